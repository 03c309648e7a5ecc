"""Topic "batchnorm": over what is averaged, what is learned, and what differs in training and in eval mode."""

from __future__ import annotations

import random

from helpers.exercises.questions import Generators, Question, question


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
            ("took each image for itself", {"means": n * c, "numbers": places},
             "That is instance norm: each image for itself. Batch norm averages over the batch as well."),
            ("took layer norm", {"means": n, "numbers": c * places},
             "That is layer norm: all channels of an image together. Batch norm keeps the channels apart."),
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


GENERATORS: Generators = {statistics: _random_statistics}
