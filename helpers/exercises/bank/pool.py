"""Topic "pool": what comes out of a pooling layer, and what it learns."""

from __future__ import annotations

import random
from collections.abc import Callable

from helpers import conv_math
from helpers.exercises.bank.conv import size_mistakes, terms, worked
from helpers.exercises.questions import Question, question

SLICE = ((1, 1, 2, 4), (5, 6, 7, 8), (3, 2, 1, 0), (1, 2, 3, 4))  # the lecture's single depth slice
HINTS = (
    "Slide the window along one row: at how many places can it stand? Every map is pooled for itself.",
    "Size = (W - F + 2P) / S + 1, rounded down: W input size, F window size, P padding, S stride. The depth stays.",
)


def pooling(
    id: str,
    width: int,
    *,
    kernel_size: int,
    depth: int,
    stride: int,
    padding: int = 0,
    story: str = "",
    insight: str = "Pooling shrinks every map for itself, so the depth stays.",
) -> Question:
    """The question what comes out of a max pooling layer, with the mistakes that its numbers allow."""
    size = conv_math.pool_output_size(width, kernel_size, stride=stride, padding=padding)
    mistakes = [
        *size_mistakes({"width": width, "height": width}, kernel_size, stride, padding),
        ("pooled over the depth", {"depth": 1},
         "That would be one map in all. Pooling works on each map for itself and never mixes them."),
        ("divided the depth as well", {"depth": depth // stride},
         "The window moves over width and height only. Nothing is taken out of the depth."),
    ]
    moves = f", stride {stride} and padding {padding}" if padding else f" and stride {stride}"
    return question(
        id,
        f"{story} The input is {width} x {width} x {depth} (width x height x depth). Max pooling follows, with windows "
        f"of {kernel_size} x {kernel_size}{moves}. What are the width, height and depth of the output?".strip(),
        {"width": size, "height": size, "depth": depth},
        insight,
        mistakes,
        (*HINTS, f"Width: {terms(width, kernel_size, stride, padding)}. The depth needs no formula."),
        f"Width and height: {worked(width, kernel_size, stride, padding)}. Depth: {{depth}}, as it was.",
    )


def pooled(function: Callable[[list[int]], float]) -> tuple[float, ...]:
    """The lecture's slice, pooled with 2 x 2 windows and stride 2, row by row."""
    windows = ([SLICE[y + i][x + j] for i in (0, 1) for j in (0, 1)] for y in (0, 2) for x in (0, 2))
    return tuple(function(window) for window in windows)


def _example(
    id: str, name: str, values: tuple[float, ...], mistake: tuple[str, tuple[float, ...], str], *, insight: str
) -> Question:
    return question(
        id,
        f"The lecture's depth slice, row by row: {', '.join(str(list(row)) for row in SLICE)}. Pool it with 2 x 2 "
        f"windows and stride 2, taking the {name} of each. Which four values come out? Give them row by row.",
        {"values": values},
        insight,
        [
            mistake,
            ("went column by column", tuple(values[i] for i in (0, 2, 1, 3)),
             "The values are right. Read them row by row."),
            ("took the minimum", pooled(min), "You took the smallest value of each window."),
            ("took the sum", pooled(sum), "You added up the values of each window."),
        ],
        ("Cut the slice into four squares of 2 x 2.", f"The first window holds 1, 1, 5, 6; take its {name}."),
        f"The windows are (1, 1, 5, 6), (2, 4, 7, 8), (3, 2, 1, 2) and (1, 0, 3, 4). The {name} of each: {{values}}.",
    )


def _mean(window: list[int]) -> float:
    return sum(window) / len(window)


def _random_pooling(rng: random.Random) -> Question:
    kernel_size, stride = rng.choice(((2, 2), (3, 2), (3, 3), (4, 3)))
    depth = rng.choice((6, 16, 64, 96, 256))
    return pooling("practice-pool", rng.randint(7, 64), kernel_size=kernel_size, stride=stride, depth=depth)


QUESTIONS: tuple[Question, ...] = (
    _example(
        "pool-1", "maximum", pooled(max),
        ("took the average", pooled(_mean), "You averaged. Max pooling keeps the largest value of each window."),
        insight="Where in its window the largest value sat is forgotten: a small shift often changes nothing.",
    ),
    pooling(
        "pool-2", 55, kernel_size=3, stride=2, depth=96, story="AlexNet's first pooling layer.",
        insight="The windows overlap by one pixel. AlexNet's authors found that this overfits slightly less.",
    ),
    question(
        "pool-3",
        "AlexNet's first pooling layer has windows of 3 x 3, stride 2, and 96 maps. How many parameters does it learn?",
        {"parameters": 0},
        "A maximum has nothing to learn: pooling is free of parameters.",
        [
            ("counted the window", 3 * 3, "Nine is the size of the window, but it holds no weights."),
            ("counted it as a convolution", 3 * 3 * 96,
             "You counted a filter for every map. Does a maximum need weights?"),
            ("counted a bias", 1, "There is no bias in pooling."),
            ("counted the maps", 96, "There is nothing that would be learned for each map."),
        ],
        ("What could training change in \"take the largest of nine numbers\"?",
         "Try sum(p.numel() for p in nn.MaxPool2d(3, 2).parameters())."),
        "Taking a maximum needs no weights and no bias: {parameters}.",
    ),
    pooling(
        "pool-4", 224, kernel_size=2, stride=2, depth=64, story="VGG's first pooling layer.",
        insight="Half the width and half the height: a quarter of the numbers is left.",
    ),
    pooling(
        "pool-5", 227, kernel_size=2, stride=2, depth=64, story="VGG-16, fed with 227 x 227 pictures.",
        insight="The size is odd, so the last row and column are dropped.",
    ),
    pooling(
        "pool-6", 13, kernel_size=3, stride=2, depth=256, story="AlexNet's last pooling layer.",
        insight="These are the 256 * 6 * 6 numbers that AlexNet's first linear layer takes.",
    ),
    question(
        "pool-7",
        "nn.MaxPool2d(3), with no stride given, gets a map of 27 x 27. How wide is the output?",
        {"width": conv_math.pool_output_size(27, 3)},
        "PyTorch's default stride is the window size for pooling, and 1 for convolutions.",
        [
            ("took stride 1", 27 - 3 + 1, "You took stride 1. That is the default of nn.Conv2d, not of nn.MaxPool2d."),
            ("took stride 2", (27 - 3) // 2 + 1, "You took stride 2, as in AlexNet. Here it is not given."),
            ("forgot the +1", (27 - 3) // 3, "Count the places, not the steps between them."),
        ],
        (
            "Look up the default stride in the documentation of nn.MaxPool2d.",
            "Without a stride the windows lie side by side; none overlap.",
            "How many windows of 3 pixels fit side by side into 27?",
        ),
        "The stride is 3, the size of the window: (27 - 3) / 3 + 1 = {width}.",
    ),
    pooling(
        "pool-8", 112, kernel_size=3, stride=2, padding=1, depth=64,
        story="The pooling layer after ResNet's first layer.",
        insight="Two layers into ResNet, the picture is a quarter as wide as it was.",
    ),
    _example(
        "pool-9", "average", pooled(_mean),
        ("took the maximum", pooled(max), "You took the largest value. Here the window is averaged."),
        insight="An average keeps a little of every pixel; a maximum keeps the strongest sign of a feature.",
    ),
    question(
        "pool-10",
        "ResNet-18 ends with 512 maps of 7 x 7. nn.AdaptiveAvgPool2d(1) averages each of them. How many numbers does "
        "the last linear layer get for a picture?",
        {"features": 512},
        "One number for each map, whatever the picture's size: so ResNet takes pictures of any size.",
        [
            ("flattened the maps", 512 * 7 * 7,
             "So many come from flattening, as in VGG. Here each map is averaged first."),
            ("took one map", 7 * 7, "That is one map before it is averaged."),
            ("averaged everything", 1, "Each map gets an average of its own."),
        ],
        ("The 1 in AdaptiveAvgPool2d(1) is the width and the height that is left.", "Maps x 1 x 1."),
        "Each of the 512 maps becomes one number: {features}.",
    ),
    pooling(
        "pool-11", 28, kernel_size=2, stride=2, depth=6, story="LeNet, after its first convolution.",
        insight="LeNet-5 of 1998 averaged here and learned a scale for each map; today one takes the maximum.",
    ),
)
PRACTICE = {"pool": (_random_pooling,)}
