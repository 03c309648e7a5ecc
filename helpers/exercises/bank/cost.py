"""Topic "cost": multiply-adds and memory."""

from __future__ import annotations

import random

from helpers.conv_math import activation_size, multiply_adds, output_size, parameter_count
from helpers.exercises.questions import Generators, Question, question

MIB = 2**20


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
    insight: str = "Work is weights times places: small filters on large maps are expensive.",
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


def memory(
    id: str,
    width: int,
    channels: int,
    *,
    batch_size: int = 1,
    story: str = "",
    insight: str = "Training keeps every such map until the backward pass: memory, not speed, limits the batch.",
) -> Question:
    """The question how much memory an activation takes in float32."""
    values = activation_size(channels, width, batch_size=batch_size)
    mistakes = [
        ("forgot the 4 bytes", values / MIB, "You counted one byte for each number. A float32 has more."),
        ("counted in bits", values * 32 / MIB, "You counted bits. Memory is counted in bytes."),
        ("divided by a million", values * 4 / 1e6, "You divided by 1,000,000: that is MB. A MiB is 1024 * 1024 bytes."),
        ("forgot the batch", values * 4 / MIB / batch_size, "That is one image. How many are in the batch?"),
        ("took 8 bytes", values * 8 / MIB, "You took 8 bytes for each number. That is float64."),
        ("forgot the channels", values * 4 / MIB / channels, "That is a single map. How many are there?"),
    ]
    batch = f"a batch of {batch_size} images" if batch_size > 1 else "one image"
    return question(
        id,
        f"{story} {'The' if story else 'A'} layer puts out {channels} maps of {width} x {width} in float32, for "
        f"{batch}. How many MiB is that? Two decimals will do.".strip(),
        {"mib": values * 4 / MIB},
        insight,
        mistakes,
        (
            "How many numbers are there? And how many bytes has a float32?",
            "Pictures x maps x width x height x 4 bytes, divided by 1024 * 1024.",
            f"{values:,} numbers, 4 bytes each.",
        ),
        f"{values:,} numbers * 4 bytes / 1,048,576 = {{mib:.2f}} MiB.",
    )


def _random_macs(rng: random.Random) -> Question:
    kernel_size = rng.choice((1, 3, 5))
    return macs("practice-cost", rng.choice((14, 28, 32, 56)), kernel_size=kernel_size, depth=rng.choice((3, 16, 64)),
                filters=rng.choice((10, 32, 128)), stride=rng.choice((1, 2)), padding=kernel_size // 2)


def _random_memory(rng: random.Random) -> Question:
    return memory("practice-cost", rng.choice((28, 56, 112)), rng.choice((64, 128)), batch_size=rng.choice((1, 16, 32)))


GENERATORS: Generators = {macs: _random_macs, memory: _random_memory}
