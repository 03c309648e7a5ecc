"""Topic "field": receptive fields, how many pixels of the input one unit of a map sees."""

from __future__ import annotations

import math
import random

from helpers.conv_math import receptive_field
from helpers.exercises.questions import Generators, Question, question


def field(
    id: str,
    layers: tuple[tuple[int, int], ...],
    *,
    chain: str = "",
    story: str = "",
    insight: str = "Each layer adds (K - 1) times the product of all strides before it.",
) -> Question:
    """The question how wide the receptive field of a chain of (kernel_size, stride) layers is."""
    jumps = [1]
    for _, stride in layers:
        jumps.append(jumps[-1] * stride)
    steps = [(k - 1) * jump for (k, _), jump in zip(layers, jumps, strict=False)]
    mistakes = [
        ("ignored the strides", 1 + sum(k - 1 for k, _ in layers),
         "That adds K - 1 for every layer. After a stride, one step in the map is several pixels in the input."),
        ("added the kernels", sum(k for k, _ in layers),
         "That is the sum of the kernel sizes. Neighbouring windows overlap, so a layer adds less than its kernel."),
        ("forgot the first pixel", sum(steps),
         "That is what the layers add, all together. From what size do you start?"),
        ("used the stride too early", 1 + sum((k - 1) * jump for (k, _), jump in zip(layers, jumps[1:], strict=True)),
         "There a layer's own stride widens its own view. It only counts for the layers after it."),
        ("multiplied the kernels", math.prod(k for k, _ in layers),
         "That is the product of the kernel sizes. Receptive fields grow by adding."),
        ("looked one layer back", layers[-1][0], "That is what it sees in the layer before. The input is asked for."),
    ]
    chain = chain or ", then ".join(f"{k} x {k} with stride {s}" for k, s in layers)
    summands = " + ".join(f"{k - 1} * {jump}" for (k, _), jump in zip(layers, jumps, strict=False))
    return question(
        id,
        f"{story} The layers: {chain}. How many pixels of the input, along one side, does one unit of the last map "
        "see?".strip(),
        {"pixels": receptive_field(layers)},
        insight,
        mistakes,
        (
            "Go from one unit of the last map backwards, or start with 1 pixel and let it grow layer by layer.",
            "Start with 1. Each layer adds (K - 1) times the strides of all layers before it, multiplied together.",
            f"The distances between neighbours are, layer by layer: {', '.join(map(str, jumps[:-1]))} pixels.",
        ),
        f"1 + {summands} = {{pixels}}.",
    )


def _random_field(rng: random.Random) -> Question:
    layers = tuple((rng.choice((2, 3, 3, 5, 7)), rng.choice((1, 1, 2))) for _ in range(rng.randint(2, 4)))
    return field("practice-field", layers)


GENERATORS: Generators = {field: _random_field}
