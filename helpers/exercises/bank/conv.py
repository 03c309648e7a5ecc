"""Topic "conv", first half: the sizes that come out of a convolution, made by formula. See also questions_shapes."""

from __future__ import annotations

import random
from collections.abc import Callable

from helpers import conv_math
from helpers.exercises.questions import Question, question

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
    mistakes = [
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


def size_mistakes(sides: dict[str, int], k: int, s: int, p: int) -> list[tuple[str, dict[str, float], str]]:
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
         "That is divided by S + 1, as one slide of the lecture has it by a slip. The +1 comes after the division."),
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


QUESTIONS: tuple[Question, ...] = (
    convolution(
        "conv-1", 28, kernel_size=3, depth=1, filters=32, story="The first layer of the recap network.",
        insight="There is no padding, so a 3 x 3 filter costs one pixel on every side.",
    ),
    convolution(
        "conv-2", 26, kernel_size=3, depth=32, filters=64, story="The second layer of the recap network.",
        insight="The depth of the input does not show in the output: every filter reaches through all of it.",
    ),
    convolution(
        "conv-3", 32, kernel_size=5, depth=3, filters=6,
        insight="One can see it as 6 maps, or as a grid with a 6-vector at each point.",
    ),
    convolution(
        "conv-4", 7, kernel_size=3, depth=1, filters=1, stride=2, story="The lecture's small example.",
        insight="Stride 2 skips every second place.",
    ),
    convolution(
        "conv-5", 7, kernel_size=3, depth=1, filters=1, stride=3,
        story="The lecture says that this one \"doesn't fit\". PyTorch computes it all the same.",
        insight="PyTorch rounds down; the last row and column of pixels are never read.",
    ),
    convolution(
        "conv-6", 7, kernel_size=3, depth=1, filters=1, padding=1, story="Now with a border of zeros, 1 pixel wide.",
        insight="With stride 1, padding (F - 1) / 2 keeps the size, so a network can be as deep as one likes.",
    ),
    convolution(
        "conv-7", 32, kernel_size=5, depth=3, filters=10, padding=2, story="The lecture's \"examples time\".",
        insight="For a 5 x 5 filter a padding of 2 keeps width and height.",
    ),
    convolution(
        "conv-8", 227, kernel_size=11, depth=3, filters=96, stride=4, story="AlexNet's first layer.",
        insight="The paper speaks of 224 pixels, but its own map size needs 227 when nothing is padded.",
    ),
    convolution(
        "conv-9", 224, kernel_size=11, depth=3, filters=64, stride=4, padding=2,
        story="AlexNet's first layer in torchvision.",
        insight="The division leaves a rest here too: PyTorch rounds down, and nobody notices.",
    ),
    convolution(
        "conv-10", 227, kernel_size=11, depth=3, filters=64, stride=4, padding=2,
        story="torchvision's AlexNet, fed with the lecture's 227 x 227 pictures.",
        insight="One more than with 224 pixels; the pooling layer that follows evens it out.",
    ),
    convolution(
        "conv-11", 224, kernel_size=11, depth=3, filters=96, stride=4,
        story="AlexNet's first layer, if its input had 224 pixels and no padding.",
        insight="The paper has 55 here, so 224 pixels without padding cannot be what was run.",
    ),
    convolution(
        "conv-12", 224, kernel_size=7, depth=3, filters=64, stride=2, padding=3, story="ResNet's first layer.",
        insight="It halves the picture at once, and every layer after it has less to do.",
    ),
    convolution(
        "conv-20", 640, height=480, kernel_size=3, depth=3, filters=16, stride=2, padding=1, story="A photo.",
        insight="Width and height go their own ways, by the same formula.",
    ),
    convolution(
        "conv-25", 56, kernel_size=1, depth=64, filters=32, story="1 x 1 convolutions make perfect sense.",
        insight="At every point a dot product through the depth: 64 numbers go in, 32 come out.",
    ),
)
PRACTICE = {"conv": (_random_convolution,)}
