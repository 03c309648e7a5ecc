"""Topic "batchnorm": over what is averaged, what is learned, and what differs in training and in eval mode."""

from __future__ import annotations

import math
import random

from helpers.exercises.questions import Question, question

BATCH = (2.0, 4.0, 6.0, 8.0)
MEAN = sum(BATCH) / len(BATCH)
SQUARES = sum((value - MEAN) ** 2 for value in BATCH)
VARIANCE = SQUARES / len(BATCH)


def statistics(
    id: str,
    batch_size: int,
    channels: int,
    side: int,
    *,
    insight: str = "One mean a channel: a filter means the same everywhere, so all its places are pooled.",
) -> Question:
    """The question how many means batch norm takes on (N, C, H, W), and over how many numbers each."""
    n, c, places = batch_size, channels, side * side
    return question(
        id,
        f"nn.BatchNorm2d gets a batch of shape ({n}, {c}, {side}, {side}) in training mode. How many means does it "
        "take, and over how many numbers is each of them averaged?",
        {"means": c, "numbers": n * places},
        insight,
        [
            ("took each picture for itself", {"means": n * c, "numbers": places},
             "That is instance norm: each picture for itself. Batch norm averages over the batch as well."),
            ("took layer norm", {"means": n, "numbers": c * places},
             "That is layer norm: all channels of a picture together. Batch norm keeps the channels apart."),
            ("took each pixel for itself", {"means": c * places, "numbers": n},
             "You kept the pixels apart. For maps the average also runs over height and width."),
            ("averaged everything", {"means": 1, "numbers": n * c * places},
             "That is a single mean over everything. The channels are kept apart."),
            ("forgot the height", {"numbers": n * side}, "A map has a width and a height."),
            ("counted two for each", {"means": 2 * c}, "You counted the variances as well. The means are asked for."),
        ],
        (
            "Batch norm asks of each channel: what are its mean and its variance?",
            "The average runs over N, H and W; what is left is C.",
            f"Each mean is taken over {n} * {side} * {side} numbers.",
        ),
        f"Means: one for each of the {{means}} channels. Each over {n} * {side} * {side} = {{numbers:,}} numbers.",
    )


def _random_statistics(rng: random.Random) -> Question:
    return statistics("practice-batchnorm", rng.choice((8, 16, 32)), rng.choice((3, 10, 64, 256)),
                      rng.choice((7, 14, 28, 56)))


QUESTIONS: tuple[Question, ...] = (
    question(
        "batchnorm-1",
        "Batch norm on fully connected activations x of shape N x D = 32 x 100. What is the shape of the mean?",
        {"shape": (100,)},
        "Each of the D features is made zero-mean and unit-variance by its own statistics.",
        [
            ("averaged over the features", (32,), "You averaged over the features. That is layer norm."),
            ("kept the batch", (32, 100), "That is the shape of x. Over which axis is the average taken?"),
            ("averaged everything", (1,), "You averaged over everything. Each feature has a mean of its own."),
        ],
        ("The lecture: mu_j = 1/N times the sum over i of x_ij. Which index is left?",
         "The sum runs over the batch, N."),
        "The sum runs over the batch; the index of the feature is left: {shape}.",
    ),
    statistics("batchnorm-2", 32, 64, 56),
    question(
        "batchnorm-3",
        "How many numbers does nn.BatchNorm2d(64) learn by gradient descent?",
        {"parameters": 2 * 64},
        "A scale and a shift for each channel. They can undo the normalisation if that is better.",
        [
            ("forgot the shift", 64, "You counted the scales or the shifts. There are both."),
            ("counted the running statistics", 4 * 64,
             "You counted running mean and variance. They are kept up to date, but not by gradients."),
            ("counted two", 2, "Each channel has a scale and a shift of its own."),
        ],
        ("After normalising, y = gamma * x + beta. How many gammas?", "A gamma and a beta for each channel."),
        "2 * 64 = {parameters}.",
    ),
    question(
        "batchnorm-4",
        "Which statistics does batch norm use after model.eval()?",
        {"statistics": "running"},
        "So in eval mode the answer for a picture does not depend on the other pictures of the batch.",
        [
            ("took the batch's", "batch", "That is training mode. In eval mode a picture may come alone."),
            ("took none", "none", "It still normalises. By which mean and variance?"),
        ],
        ("What could it do with a single picture?",
         "During training it keeps a moving average of means and variances."),
        "The {statistics} mean and variance, gathered during training.",
    ),
    question(
        "batchnorm-5",
        "One feature has the values 2, 4, 6, 8 in a batch. What becomes of the 8 in batch norm (training mode, epsilon "
        "0, gamma 1, beta 0)? Two decimals.",
        {"value": (BATCH[-1] - MEAN) / math.sqrt(VARIANCE)},
        "The four become -1.34, -0.45, 0.45 and 1.34, whatever scale they had before.",
        [
            ("divided by the variance", (BATCH[-1] - MEAN) / VARIANCE,
             "You divided by the variance. Its square root is missing."),
            ("divided by N - 1", (BATCH[-1] - MEAN) / math.sqrt(SQUARES / 3),
             "You divided the squares by N - 1. The lecture's formula has 1/N."),
            ("forgot the mean", BATCH[-1] / math.sqrt(VARIANCE), "You did not subtract the mean."),
            ("forgot the spread", BATCH[-1] - MEAN, "You subtracted the mean. Now divide by the spread."),
            ("forgot to average", (BATCH[-1] - MEAN) / math.sqrt(SQUARES), "You added up the squares. Average them."),
        ],
        ("First the mean, then the variance.", "(x - mean) / sqrt(variance), the variance with 1/N.",
         "Mean 5, variance (9 + 1 + 1 + 9) / 4 = 5."),
        "Mean 5, variance (9 + 1 + 1 + 9) / 4 = 5, so (8 - 5) / sqrt(5) = {value:.3f}.",
    ),
    question(
        "batchnorm-6",
        "A batch of a single picture, fully connected activations, training mode. By the lecture's formula, what "
        "becomes of an activation of 7 (gamma 1, beta 0)?",
        {"value": 0},
        "Everything becomes the same, whatever the picture shows: PyTorch refuses such a batch with an error.",
        [
            ("kept it", 7, "Subtract the mean of the batch. What is the mean of a single value?"),
            ("made it one", 1, "The spread of a single value is no help. Subtract the mean first."),
        ],
        ("What is the mean of a single number?", "(7 - 7) / sqrt(0 + epsilon)."),
        "The mean of one value is the value: (7 - 7) / sqrt(0 + epsilon) = {value}.",
    ),
    question(
        "batchnorm-7",
        "Activations of shape (32, 64, 56, 56). How many means do layer norm (over C, H, W), instance norm and group "
        "norm with 32 groups take?",
        {"layer": 32, "instance": 32 * 64, "group": 32 * 32},
        "None of the three averages over the batch, so none of them differs between training and eval mode.",
        [
            ("averaged over the batch", {"layer": 1, "instance": 64, "group": 32},
             "You averaged over the batch. Only batch norm does that: here every picture has its own."),
            ("counted groups by channels", {"group": 32 * 2}, "You counted the channels of a group. Count the groups."),
            ("took layer norm for instance norm", {"layer": 32 * 64, "instance": 32},
             "Layer norm takes all channels of a picture together, instance norm one at a time."),
            ("kept the channels apart", {"layer": 64, "group": 32 * 64},
             "You kept every channel apart. How many go together here?"),
        ],
        (
            "All three treat each picture for itself.",
            "Layer norm: one mean a picture. Instance norm: one for each channel. Group norm: one for each group.",
            "32 pictures, 64 channels, 32 groups.",
        ),
        "Layer: {layer} pictures. Instance: 32 * 64 = {instance:,}. Group: 32 * 32 = {group:,}.",
    ),
    question(
        "batchnorm-8",
        "Batch norm has made an activation zero-mean and unit-variance. With gamma = 2 and beta = 3, what are its mean "
        "and its standard deviation afterwards?",
        {"mean": 3, "std": 2},
        "The network chooses mean and spread itself, by two learned numbers instead of all the weights below.",
        [
            ("swapped the two", {"mean": 2, "std": 3}, "You have swapped the two. Gamma multiplies, beta is added."),
            ("took the variance", {"std": 4}, "That is the variance. The standard deviation is its square root."),
            ("kept 0 and 1", {"mean": 0, "std": 1}, "That is before gamma and beta."),
            ("multiplied the shift", {"mean": 6}, "Beta is added after the multiplication."),
        ],
        ("y = gamma * x + beta.", "Multiplying stretches the spread, adding moves the mean."),
        "y = 2 x + 3: the mean moves from 0 to {mean}, the standard deviation from 1 to {std}.",
    ),
    question(
        "batchnorm-9",
        "True or False: a bias in the convolution right before a batch norm layer (training mode) changes what comes "
        "out.",
        {"changes": False},
        "That is why torchvision's ResNets have bias=False in their convolutions.",
        [
            ("overlooked the mean", True,
             "The bias moves all values of a channel, and with them their mean. What is done with the mean?"),
        ],
        ("What does batch norm subtract?",),
        "{changes}: the bias is in the mean too, and is subtracted again. Beta takes its place.",
    ),
    question(
        "batchnorm-10",
        "Where does batch norm usually stand, according to the lecture?",
        {"place": "between convolution and ReLU"},
        "Convolution, batch norm, ReLU: the order in ResNet, and in most networks since.",
        [
            ("put it behind the ReLU", "after the ReLU", "The lecture says: before the nonlinearity."),
            ("put it first", "before the convolution",
             "The lecture says: after fully connected or convolutional layers."),
            ("put it at the end", "after the last layer", "Class scores are not normalised."),
        ],
        ("\"After fully connected or convolutional layers, and before ...\"",),
        "Conv, batch norm, ReLU: {place}.",
    ),
)
PRACTICE = {"batchnorm": (_random_statistics,)}
