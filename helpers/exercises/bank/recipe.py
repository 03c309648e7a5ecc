"""Topic "training", second half: dropout, activations, normalisation and augmentation."""

from __future__ import annotations

import math
import random

from helpers.exercises.questions import Question, question


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


QUESTIONS: tuple[Question, ...] = (
    question(
        "training-7",
        "nn.Dropout(p=0.2) in training mode on 1000 hidden units: how many are kept on average?",
        {"units": 1000 - 200},
        "In PyTorch p is dropped. In some slides, and in the dropout paper, p is the share that is kept: ask which one "
        "is meant.",
        [
            ("took p for the kept share", 200,
             "You took p for the share that is kept. In PyTorch it is the share that is dropped."),
            ("kept all", 1000, "That is eval mode."),
            ("took a half", 500, "That would be p=0.5."),
        ],
        ("Is p the probability to keep or to drop?", "nn.Dropout sets a unit to zero with probability p."),
        "A fifth is dropped: 1000 - 200 = {units}.",
    ),
    dropout_scale("training-8", 0.2),
    question(
        "training-9",
        "A slide says \"p: probability of retaining a unit (range 0.5-0.8)\" and uses p = 0.8. What do you write for p "
        "in nn.Dropout(p=...)?",
        {"p": 0.2},
        "So the slide's \"smaller p leads to under-fitting\" is, in PyTorch's p, a larger p.",
        [
            ("copied the slide", 0.8, "PyTorch's p is the probability to drop. That would drop most units."),
            ("took the default", 0.5, "That is PyTorch's default. The slide has another value."),
            ("took the scale", 1 / 0.8, "That is the factor for the units that are kept, not a probability."),
        ],
        ("The slide's p is kept, PyTorch's p is dropped.", "The two add up to 1."),
        "1 - 0.8 = {p}.",
    ),
    question(
        "training-11",
        "transforms.Normalize(mean, std) with mean 0.485 and std 0.229 for red. A pixel has the red value 1.0. What "
        "does it become? Two decimals.",
        {"value": (1.0 - 0.485) / 0.229},
        "One of the lecture's slides passes std first and mean second: it runs, and the inputs are wrong.",
        [
            ("swapped mean and std", (1.0 - 0.229) / 0.485,
             "You have swapped mean and std, as one slide does by a slip."),
            ("forgot the mean", 1.0 / 0.229, "You did not subtract the mean."),
            ("forgot the std", 1.0 - 0.485, "You did not divide by the standard deviation."),
            ("divided by the variance", (1.0 - 0.485) / 0.229**2, "You divided by the variance."),
            ("multiplied", (1.0 - 0.485) * 0.229, "You multiplied by the standard deviation. Divide by it."),
        ],
        ("First the mean, then the standard deviation.", "(value - mean) / std.", "(1.0 - 0.485) / 0.229."),
        "(1.0 - 0.485) / 0.229 = {value:.3f}.",
    ),
    question(
        "training-14",
        "How steep is the sigmoid where it is steepest, that is at 0? And ReLU at x = -3?",
        {"sigmoid": 1 / (1 + math.exp(0.0)) * (1 - 1 / (1 + math.exp(0.0))), "relu": 0.0},
        "A sigmoid lets at most a quarter of the gradient through; a ReLU all of it, or nothing.",
        [
            ("gave the value", {"sigmoid": 0.5, "relu": -3.0}, "That is a value. The slope is asked for."),
            ("took the slope 1", {"sigmoid": 1.0, "relu": 1.0}, "That is ReLU's slope to the right of 0."),
            ("took the slope of a leaky ReLU", {"relu": 0.01}, "That is a leaky ReLU, made for this very problem."),
        ],
        ("Sigmoid: slope = s * (1 - s). ReLU: what does the graph look like left of 0?", "sigmoid(0) = 0.5."),
        "Sigmoid: 0.5 * (1 - 0.5) = {sigmoid}. ReLU is flat left of 0: {relu:.0f}.",
        tolerance=0.004,
    ),
    question(
        "training-15",
        "CIFAR-10's pictures are 32 x 32 x 3. How many numbers does the mean image have (AlexNet's way), and how many "
        "the means of the channels (VGG's way)?",
        {"image": 32 * 32 * 3, "channel": 3},
        "Nearly as good with three numbers, and these fit pictures of any size.",
        [
            ("forgot the colours", {"image": 32 * 32, "channel": 1}, "You forgot the colours: three channels."),
            ("counted mean and std", {"channel": 6}, "You counted mean and std. The mean is asked for."),
            ("swapped the two", {"image": 3, "channel": 3072}, "You have swapped the two."),
        ],
        ("The mean image is a picture itself.", "Width x height x channels; and one for each channel."),
        "32 * 32 * 3 = {image:,} and {channel}.",
    ),
    question(
        "training-16",
        "ResNet at test time, as the slide has it: pictures at 5 scales; from each, 4 corners and the centre, all of "
        "them also mirrored. "
        "How many crops are averaged for one picture?",
        {"crops": 5 * 5 * 2},
        "A better answer for that many times the work: fine for a contest, too slow for most uses.",
        [
            ("forgot the mirror", 5 * 5, "You forgot the mirrored ones."),
            ("forgot the scales", 5 * 2, "That is one scale."),
            ("forgot the centre", 5 * 4 * 2, "You forgot the centre."),
            ("added", 5 + 5 * 2, "You added. Every scale has all the crops."),
        ],
        ("How many crops at one scale?", "5 places, times 2 for the mirror, times 5 scales."),
        "5 * (4 + 1) * 2 = {crops}.",
    ),
    question(
        "training-18",
        "True or False: turning handwritten digits upside down at random is a safe augmentation.",
        {"safe": False},
        "An augmentation must keep the label. A 6 upside down is a 9; a dog mirrored is still a dog.",
        [("forgot the label", True, "Think of the 6. What does its label say after it is turned?")],
        ("Does every picture keep its label?",),
        "{safe}: 6 and 9 would change places and keep their old labels.",
    ),
    question(
        "training-19",
        "tanh(x) = 2 sigmoid(2x) - 1. Compute tanh(1), two decimals.",
        {"value": math.tanh(1.0)},
        "Both forms on the lecture's slide are off: one has a wrong denominator, the other a wrong sign.",
        [
            ("took the slide's second form", -math.tanh(1.0),
             "That is 1 - 2 sigmoid(2x), as on the slide: the sign is wrong. tanh rises."),
            ("took the slide's first form", (1 - math.exp(-2)) / (1 + math.exp(2)),
             "That is the slide's first form: its denominator lost a minus."),
            ("took the sigmoid", 1 / (1 + math.exp(-1)), "That is sigmoid(1)."),
            ("forgot the 2x", 2 / (1 + math.exp(-1)) - 1, "You took sigmoid(x). Inside stands 2x."),
            ("gave sigmoid(2)", 1 / (1 + math.exp(-2)), "That is sigmoid(2). Twice that, minus 1."),
        ],
        ("First sigmoid(2).", "sigmoid(2) = 1 / (1 + exp(-2)) = 0.881.", "2 * 0.881 - 1."),
        "sigmoid(2) = 0.8808, and 2 * 0.8808 - 1 = {value:.3f}.",
    ),
    question(
        "training-21",
        "A 3x3 convolution with 128 input channels and 64 output channels, followed by ReLU. Which standard deviation "
        "do its weights get from He's initialisation (fan in)? Three decimals.",
        {"std": math.sqrt(2 / (3 * 3 * 128))},
        "ReLU sets about half of the numbers to zero; the 2 makes up for it, layer by layer.",
        [
            ("took Xavier's", math.sqrt(2 / (3 * 3 * 128 + 3 * 3 * 64)),
             "That is Xavier's: it adds inputs and outputs. He's counts the inputs only."),
            ("counted the outputs", math.sqrt(2 / (3 * 3 * 64)),
             "You counted the outputs. An output has how many inputs?"),
            ("forgot the kernel", math.sqrt(2 / 128), "Each output sees 3x3 places of every input channel."),
            ("forgot the 2", math.sqrt(1 / (3 * 3 * 128)), "You forgot the 2, which makes up for ReLU."),
            ("forgot the root", 2 / (3 * 3 * 128), "That is the variance. The standard deviation is its square root."),
        ],
        ("How many inputs has one output number?", "3 * 3 * 128 = 1152.", "sqrt(2 / 1152)."),
        "3 * 3 * 128 = 1152 inputs; sqrt(2 / 1152) = {std:.4f}.",
        tolerance=0.0006,
    ),
    question(
        "training-22",
        "A slide gives \"weight decay of 1e-5\" for ResNet. Which weight decay does the paper (He et al. 2015) use?",
        {"decay": 1e-4},
        "AlexNet's is five times as large: 5e-4.",
        [
            ("copied the slide", 1e-5, "That is the slide's. The paper says 0.0001."),
            ("took AlexNet's", 5e-4, "That is AlexNet's."),
            ("took the momentum", 0.9, "That is the momentum."),
            ("took the learning rate", 0.1, "That is the learning rate at the start."),
        ],
        ("Section 3.4 of the paper: \"We use a weight decay of ...\"", "Ten times the slide's."),
        "{decay:g}, as 0.0001 in section 3.4 of the paper.",
        tolerance=1e-6,
    ),
)
PRACTICE = {"training": (_random_dropout,)}
