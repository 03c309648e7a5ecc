"""Topic "pool": what comes out of a pooling layer, and what it learns."""

from __future__ import annotations

import random

from helpers import conv_math
from helpers.exercises.bank.conv import size_mistakes, terms, worked
from helpers.exercises.questions import Generators, Listed, Question, question

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
    mistakes: list[Listed] = [
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


def _random_pooling(rng: random.Random) -> Question:
    kernel_size, stride = rng.choice(((2, 2), (3, 2), (3, 3), (4, 3)))
    depth = rng.choice((6, 16, 64, 96, 256))
    return pooling("practice-pool", rng.randint(7, 64), kernel_size=kernel_size, stride=stride, depth=depth)


GENERATORS: Generators = {pooling: _random_pooling}
