"""Topic "training": steps of a run, the loss before it begins, and what dropout does to a unit."""

from __future__ import annotations

import math
import random

from helpers.exercises.questions import Generators, Question, question


def steps(
    id: str,
    images: int,
    batch_size: int,
    *,
    epochs: int = 1,
    story: str = "",
    insight: str = "The last batch of an epoch is smaller; drop_last=True would leave it out.",
) -> Question:
    """The question how many optimiser steps a number of epochs takes."""
    exact = images / batch_size
    right = math.ceil(exact) * epochs
    return question(
        id,
        f"{story} {images:,} training images, batch size {batch_size}; the data loader keeps the last, smaller "
        f"batch. How many steps does the optimiser make in {epochs} epoch{'s' if epochs > 1 else ''}?".strip(),
        {"steps": right},
        insight,
        [
            ("dropped the last batch", math.floor(exact) * epochs, "You left out the last, smaller batch."),
            ("kept the fraction", round(exact * epochs, 2),
             "There are no parts of a step. What about a smaller batch?"),
            ("forgot the epochs", math.ceil(exact), "That is a single epoch."),
            ("counted the images", images * epochs, "You counted images. A step takes a whole batch."),
            ("counted the epochs", epochs, "You counted epochs. The weights change after every batch."),
            ("rounded at the end", math.ceil(exact * epochs),
             "You rounded at the end. Each epoch has its own last batch."),
        ],
        (
            "How many batches has one epoch?",
            "Divide the images by the batch size and round up" + (", then times the epochs." if epochs > 1 else "."),
            f"{images} / {batch_size} = {exact:.2f}.",
        ),
        f"{images:,} / {batch_size} = {exact:.2f}, rounded up to {math.ceil(exact):,} batches"
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
    images = batch_size * rng.randint(10, 60) + rng.randint(1, batch_size - 1)  # never divides evenly
    return steps("practice-training", images, batch_size, epochs=epochs)


def _random_first_loss(rng: random.Random) -> Question:
    return first_loss("practice-training", rng.choice((2, 3, 5, 6, 8, 20, 37, 50, 102, 200, 365)),
                      insight="If the first loss is far from that, look for a bug before you train.")


def dropout_scale(
    id: str, p: float, *, insight: str = "In eval mode nothing is dropped and nothing is scaled."
) -> Question:
    """The question by what nn.Dropout(p) multiplies the units that it keeps."""
    return question(
        id,
        f"nn.Dropout(p={p}) in training mode. By which factor are the units multiplied that are kept?",
        {"factor": 1 / (1 - p)},
        insight,
        [
            ("multiplied by the kept share", 1 - p,
             "That would make them smaller still. What was lost has to be made up for."),
            ("did not scale", 1.0, "Then the sum would be smaller in training than in eval mode."),
            ("divided by p", 1 / p,
             "You took p for the share that is kept. In PyTorch p is the share that is dropped."),
            ("took p", p, "That is how many are dropped. What makes up for them?"),
        ],
        (
            "On average, the sum over all units should stay as it was.",
            "What share is kept? Divide by it.",
            f"1 / (1 - {p}).",
        ),
        f"1 / (1 - {p}) = {{factor:.3g}}.",
    )


def _random_dropout(rng: random.Random) -> Question:
    return dropout_scale("practice-training", rng.choice((0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.75, 0.8, 0.9)))


GENERATORS: Generators = {steps: _random_steps, first_loss: _random_first_loss, dropout_scale: _random_dropout}
