"""Topic "cost": multiply-adds. Memory has its questions in the data file."""

from __future__ import annotations

import random

from helpers.conv_math import multiply_adds, output_size, parameter_count
from helpers.exercises.questions import Generators, Question, question


def macs(
    id: str,
    width: int,
    *,
    kernel_size: int,
    depth: int,
    filters: int,
    stride: int = 1,
    padding: int = 0,
    story: str = "",
    insight: str = "Compute is weights times positions: small filters on large maps are expensive.",
) -> Question:
    """The question how many multiply-adds a convolution takes on one image."""
    k, size = kernel_size, output_size(width, kernel_size, stride=stride, padding=padding)
    weights = parameter_count(depth, filters, k, bias=False)
    mistakes = [
        ("counted the weights", weights, "That is the number of weights. Each of them is used at every place."),
        ("used the input size", weights * width**2, "You took the places of the input. Count those of the output."),
        ("counted FLOPs", 2 * weights * size**2,
         "You counted multiplications and additions separately. A multiply-add is one of each, taken together."),
        ("forgot the depth", k * k * filters * size**2, "You took flat filters. A filter is as deep as its input."),
        ("counted one filter", k * k * depth * size**2, "That is a single filter. How many are there?"),
        ("forgot to square", k * depth * filters * size**2, "A filter is not only F wide but also F high."),
        ("took one row", weights * size, "You took one row of the map. It has a height as well."),
        ("counted the outputs", filters * size**2, "That is how many numbers come out. What does one of them cost?"),
    ]
    return question(
        id,
        f"{story} {filters} filters of {k} x {k}, stride {stride}, padding {padding}, slide over one image of "
        f"{width} x {width} x {depth}. How many multiply-adds (MACs) is that, not counting biases?".strip(),
        {"macs": multiply_adds(depth, filters, k, output_shape=size)},
        insight,
        mistakes,
        (
            "What does one number of the output cost? And how many numbers come out?",
            "F x F x depth multiply-adds for each number; output width x output height x filters numbers.",
            f"The output is {size} x {size} x {filters}, each number a dot product of length {k} * {k} * {depth}.",
        ),
        f"{size} * {size} * {filters} numbers, {k} * {k} * {depth} multiply-adds each: {{macs:,}}.",
    )


def _random_macs(rng: random.Random) -> Question:
    kernel_size = rng.choice((1, 3, 5))
    return macs("practice-cost", rng.choice((14, 28, 32, 56)), kernel_size=kernel_size, depth=rng.choice((3, 16, 64)),
                filters=rng.choice((10, 32, 128)), stride=rng.choice((1, 2)), padding=kernel_size // 2)


GENERATORS: Generators = {macs: _random_macs}
