"""Topic "conv": what comes out of a convolution, as sizes."""

from __future__ import annotations

import random
from collections.abc import Callable

from helpers import conv_math
from helpers.exercises.questions import Generators, Listed, Question, question

HINTS = (
    "Slide the filter along one row: at how many places can it stand? And count what one filter leaves behind.",
    "Size = (W - F + 2P) / S + 1, rounded down: W input size, F filter size, P padding, S stride. Depth = number of "
    "filters.",
)


def convolution(
    id: str,
    width: int,
    *,
    kernel_size: int,
    filters: int,
    depth: int,
    height: int | None = None,
    stride: int = 1,
    padding: int = 0,
    story: str = "",
    insight: str = "Sliding makes the width and the height, the filters make the depth.",
) -> Question:
    """The question what comes out of a convolution, with the mistakes that its numbers allow."""
    sides = {"width": width, "height": height or width}
    right = {f: conv_math.output_size(n, kernel_size, stride=stride, padding=padding) for f, n in sides.items()}
    mistakes: list[Listed] = [
        *size_mistakes(sides, kernel_size, stride, padding),
        ("took the depth of the input", {"depth": depth},
         "That is the depth of the input. Every filter reaches through the whole depth and leaves one map."),
        ("multiplied the depths", {"depth": depth * filters},
         "A filter adds up over all input channels, so it leaves one map, not one for each channel."),
    ]
    named = {"Width": width, "Height": height} if height else {"Width and height": width}
    return question(
        id,
        f"{story} The input is {width} x {sides['height']} x {depth} (width x height x depth). {_count(filters)} of "
        f"{kernel_size} x {kernel_size} with stride {stride} and padding {padding}. What are the width, height and "
        "depth of the output?".strip(),
        right | {"depth": filters},
        insight,
        mistakes,
        (*HINTS, f"Width: {terms(width, kernel_size, stride, padding)}. The depth needs no formula."),
        " ".join(f"{name}: {worked(n, kernel_size, stride, padding)}." for name, n in named.items())
        + " Depth: one map for each filter, {depth}.",
    )


def size_mistakes(sides: dict[str, int], k: int, s: int, p: int) -> list[Listed]:
    """What typical mistakes make of the sizes; where some coincide, the first one keeps its value."""

    def each(size: Callable[[int], float]) -> dict[str, float]:
        return {field: size(n) for field, n in sides.items()}

    other_side = dict(zip(sides, reversed(sides.values()), strict=True))
    return [
        ("forgot the padding", each(lambda n: (n - k) // s + 1),
         "That is the size without padding. The border of zeros makes the input larger before the sliding starts."),
        ("forgot the +1", each(lambda n: (n - k + 2 * p) // s),
         "That is the number of steps. Count the places: there is one before the first step."),
        ("rounded up", each(lambda n: -(-(n - k + 2 * p) // s) + 1),
         "That is rounded up. At the last of these places the window would hang over the edge."),
        ("kept the fraction", each(lambda n: round((n - k + 2 * p) / s + 1, 2)),
         "A size is a whole number. What does PyTorch do with a last step that does not fit?"),
        ("forgot the stride", each(lambda n: n - k + 2 * p + 1),
         "That is the size for stride 1. Here the window takes larger steps."),
        ("divided by S + 1", each(lambda n: (n - k + 2 * p) // (s + 1)),
         "That is divided by S + 1, a common slip. The +1 comes after the division."),
        ("padded one side only", each(lambda n: (n - k + p) // s + 1),
         "That is with padding on one side. It is added on both: left and right, top and bottom."),
        ("swapped width and height", {f: (n - k + 2 * p) // s + 1 for f, n in other_side.items()},
         "Width and height have changed places. Here the width is named first."),
        ("kept the input size", each(lambda n: n),
         "That is the size of the input. Count the places where the window can stand."),
        ("only divided by the stride", each(lambda n: n // s),
         "That is the input size divided by the stride. The size of the window has a say as well."),
    ]


def terms(n: int, k: int, s: int, p: int) -> str:
    """The formula with its numbers in it."""
    return f"({n} - {k} + 2 * {p}) / {s} + 1"


def worked(n: int, k: int, s: int, p: int) -> str:
    """The formula with its numbers and its result."""
    exact, size = (n - k + 2 * p) / s + 1, (n - k + 2 * p) // s + 1
    return f"{terms(n, k, s, p)} = " + (f"{size}" if exact == size else f"{exact:.4g}, rounded down to {size}")


def _count(filters: int) -> str:
    return "One filter slides over it: a filter" if filters == 1 else f"{filters} filters slide over it, each"


def _random_convolution(rng: random.Random) -> Question:
    kernel_size = rng.choice((1, 3, 3, 5, 7, 11))
    return convolution(
        "practice-conv",
        rng.randint(16, 64),
        kernel_size=kernel_size,
        depth=rng.choice((1, 3, 16, 64)),
        filters=rng.choice((6, 10, 32, 96)),
        stride=rng.randint(1, 4),
        padding=rng.randint(0, kernel_size // 2),
    )


GENERATORS: Generators = {convolution: _random_convolution}
