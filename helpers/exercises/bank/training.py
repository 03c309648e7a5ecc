"""Topic "training", first half: splits, steps, losses and accuracies of a run. See also questions_recipe."""

from __future__ import annotations

import math
import random

from helpers.exercises.questions import Question, question


def steps(
    id: str,
    pictures: int,
    batch_size: int,
    *,
    epochs: int = 1,
    story: str = "",
    insight: str = "The last batch of an epoch is smaller; drop_last=True would leave it out.",
) -> Question:
    """The question how many optimiser steps a number of epochs takes."""
    exact = pictures / batch_size
    right = math.ceil(exact) * epochs
    return question(
        id,
        f"{story} {pictures:,} training pictures, batch size {batch_size}; the data loader keeps the last, smaller "
        f"batch. How many steps does the optimiser make in {epochs} epoch{'s' if epochs > 1 else ''}?".strip(),
        {"steps": right},
        insight,
        [
            ("dropped the last batch", math.floor(exact) * epochs, "You left out the last, smaller batch."),
            ("kept the fraction", round(exact * epochs, 2),
             "There are no parts of a step. What about a smaller batch?"),
            ("forgot the epochs", math.ceil(exact), "That is a single epoch."),
            ("counted the pictures", pictures * epochs, "You counted pictures. A step takes a whole batch."),
            ("counted the epochs", epochs, "You counted epochs. The weights change after every batch."),
            ("rounded at the end", math.ceil(exact * epochs),
             "You rounded at the end. Each epoch has its own last batch."),
        ],
        (
            "How many batches has one epoch?",
            "Divide the pictures by the batch size and round up" + (", then times the epochs." if epochs > 1 else "."),
            f"{pictures} / {batch_size} = {exact:.2f}.",
        ),
        f"{pictures:,} / {batch_size} = {exact:.2f}, rounded up to {math.ceil(exact):,} batches"
        + (f"; times {epochs} epochs: {{steps:,}} steps." if epochs > 1 else ", and as many steps."),
    )


def first_loss(id: str, classes: int, *, insight: str) -> Question:
    """The question what the cross-entropy is before training, when all classes look alike."""
    return question(
        id,
        f"An untrained network gives all {classes:,} classes about the same probability. How large is the "
        "cross-entropy loss then (natural logarithm, two decimals)?",
        {"loss": math.log(classes)},
        insight,
        [
            ("took the logarithm to base 2", math.log2(classes),
             "You took the logarithm to base 2. PyTorch takes the natural one."),
            ("took the logarithm to base 10", math.log10(classes),
             "You took the logarithm to base 10. PyTorch takes the natural one."),
            ("forgot the minus", -math.log(classes), "A loss is not negative: it is minus the logarithm."),
            ("gave the probability", 1 / classes,
             "That is the probability of the right class. Now its minus logarithm."),
            ("took the wrong share", 1 - 1 / classes,
             "That is how often guessing is wrong. The loss takes a logarithm."),
            ("gave the number of classes", classes, "That is the number of classes. Take a logarithm."),
        ],
        (
            "What probability does the right class get?",
            "Cross-entropy is minus the logarithm of the right class's probability.",
            f"-ln(1 / {classes}).",
        ),
        f"-ln(1 / {classes}) = ln({classes}) = {{loss:.3f}}.",
    )


def _random_steps(rng: random.Random) -> Question:
    batch_size, epochs = rng.choice((16, 32, 64, 128)), rng.choice((1, 5, 10))
    pictures = batch_size * rng.randint(10, 60) + rng.randint(1, batch_size - 1)  # never divides evenly
    return steps("practice-training", pictures, batch_size, epochs=epochs)


def _random_first_loss(rng: random.Random) -> Question:
    return first_loss("practice-training", rng.choice((2, 3, 5, 6, 8, 20, 37, 50, 102, 200, 365)),
                      insight="If the first loss is far from that, look for a bug before you train.")


QUESTIONS: tuple[Question, ...] = (
    question(
        "training-1",
        "The bcdp data set has 1500 training pictures in 4 classes of equal size. One tenth is split off for "
        "validation. How many are left for training, how many go to validation, and how many of the 1500 belong to "
        "each class?",
        {"train": 1500 - 150, "val": 150, "per_class": 1500 // 4},
        "The 300 test pictures stay aside until the very end.",
        [
            ("took the test set", {"train": 1500 - 300, "val": 300},
             "You took as many as the test set has. The validation part is a tenth of the training pictures."),
            ("counted the test set", {"train": 1800 - 180, "val": 180}, "You split the test pictures as well."),
            ("did not subtract", {"train": 1500}, "The validation pictures are taken away from these."),
            ("mixed up train and val", {"train": 150, "val": 1350}, "You have swapped the two."),
            ("divided by ten classes", {"per_class": 150}, "You divided by ten. There are four classes."),
            ("counted test pictures too", {"per_class": 450}, "You counted the test pictures as well."),
        ],
        ("A tenth of 1500.", "Training: what is left of 1500. Class: a quarter of 1500."),
        "1500 / 10 = {val}; 1500 - 150 = {train:,}; 1500 / 4 = {per_class}.",
    ),
    steps("training-2", 1350, 32, story="The bcdp data set without its validation part."),
    steps("training-3", 1350, 32, epochs=10, story="The same, for longer.",
          insight="Learning-rate schedules count in steps or in epochs: look which."),
    question(
        "training-4",
        "4 classes, equally many test pictures of each. What accuracy, in percent, does pure guessing reach?",
        {"percent": 100 / 4},
        "Compare every accuracy with that: on two classes 50 % is nothing.",
        [
            ("gave the fraction", 1 / 4, "That is the fraction. Percent means of a hundred."),
            ("took two classes", 50.0, "That is for two classes."),
            ("took the errors", 75.0, "That is how often guessing is wrong."),
            ("thought of nothing", 0.0, "Even guessing is right now and then."),
        ],
        ("How often is a guess right?", "100 / number of classes."),
        "100 / 4 = {percent:.0f} percent.",
    ),
    first_loss("training-5", 4,
               insight="A first loss far above it means a bug: wrong normalisation, wrong labels, too large weights."),
    first_loss("training-6", 1000,
               insight="ImageNet's 1000 classes: if your first loss is 100, do not start the training."),
    question(
        "training-10",
        "You train for 20 epochs and want to keep the best epoch. The accuracy on which split decides?",
        {"split": "validation"},
        "Test pictures that help to choose are no test any more: the figure comes out too good.",
        [
            ("took train", "train", "On these pictures the last epoch nearly always looks best, by memorising."),
            ("took test", "test", "Then the test set has taken part in the choice, and its accuracy is too good."),
        ],
        ("Which pictures are neither used to train nor kept for the end?",),
        "The {split} split: not trained on, and not the final test.",
    ),
    question(
        "training-12",
        "One step of plain gradient descent: weight 1.0, gradient 2.0, learning rate 0.1. What is the weight "
        "afterwards?",
        {"weight": 1.0 - 0.1 * 2.0},
        "Learning rate times gradient: ten times the rate is ten times the step.",
        [
            ("went uphill", 1.2, "You went uphill. Which sign makes the loss smaller?"),
            ("forgot the learning rate", -1.0, "You took the whole gradient as the step."),
            ("forgot the weight", -0.2, "That is the step. Where does it start?"),
            ("forgot the gradient", 0.9, "You stepped by the learning rate alone."),
        ],
        ("Downhill: against the gradient.", "weight - learning rate * gradient."),
        "1.0 - 0.1 * 2.0 = {weight:.1f}.",
    ),
    question(
        "training-13",
        "ResNet's recipe: learning rate 0.1, divided by 10 whenever the validation error stops falling. What is it "
        "after the second time?",
        {"lr": 0.1 / 10**2},
        "Each of these drops shows as a step in the paper's training curves.",
        [
            ("divided by 20", 0.1 / 20, "You divided by 20. It is divided by 10, and again by 10."),
            ("divided once", 0.1 / 10, "That is after the first time."),
            ("divided three times", 0.1 / 1000, "That is after the third time."),
            ("subtracted", 0.1 - 2 * 0.01, "You subtracted. It is divided."),
        ],
        ("What is it after the first time?", "0.1 / 10 / 10."),
        "0.1 / 10 / 10 = {lr:.3f}.",
        tolerance=0.00005,
    ),
    question(
        "training-17",
        "Training accuracy 99 %, validation accuracy 70 %, and the gap still grows. What is it called?",
        {"name": "overfitting"},
        "More data, augmentation, dropout, weight decay, a pretrained backbone, or stopping earlier help.",
        [
            ("took underfitting", "underfitting", "Then the training accuracy would be low as well."),
            ("took vanishing gradients", "vanishing gradients",
             "Then the network would not have learned the training set."),
            ("took a too small net", "too small a network", "It is large enough to learn the training set by heart."),
        ],
        ("What does it do well, and what badly?",),
        "It learns the training pictures by heart: {name}.",
    ),
    question(
        "training-20",
        "300 test pictures, 24 of them classified wrongly. What is the accuracy in percent?",
        {"percent": 100 * (300 - 24) / 300},
        "One picture more or less is a third of a percent: differences below one percent mean little here.",
        [
            ("took the errors", 100 * 24 / 300, "That is the error. Accuracy counts the right ones."),
            ("gave the fraction", (300 - 24) / 300, "That is the fraction. Percent means of a hundred."),
            ("counted pictures", 300.0 - 24, "That is how many are right. Of a hundred, how many?"),
        ],
        ("How many are right?", "100 * right / all."),
        "100 * 276 / 300 = {percent:.0f} percent.",
    ),
)
PRACTICE = {"training": (_random_steps, _random_first_loss)}
