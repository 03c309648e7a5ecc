"""Topic "cost": multiply-adds and memory."""

from __future__ import annotations

import random

from helpers.conv_math import activation_size, multiply_adds, output_size, parameter_count
from helpers.exercises.bank.nets import VGG16_PARAMETERS
from helpers.exercises.questions import Question, question

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
    """The question how many multiply-adds a convolution takes on one picture."""
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
        f"{story} {filters} filters of {k} x {k}, stride {stride}, padding {padding}, slide over one picture of "
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
        ("forgot the batch", values * 4 / MIB / batch_size, "That is one picture. How many are in the batch?"),
        ("took 8 bytes", values * 8 / MIB, "You took 8 bytes for each number. That is float64."),
        ("forgot the channels", values * 4 / MIB / channels, "That is a single map. How many are there?"),
    ]
    batch = f"a batch of {batch_size} pictures" if batch_size > 1 else "one picture"
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


FULL = parameter_count(32, 64, 3, bias=False)  # weights of a full 3 x 3 convolution, and of MobileNet's pair
PAIR = parameter_count(32, 32, 3, groups=32, bias=False) + parameter_count(32, 64, 1, bias=False)

QUESTIONS: tuple[Question, ...] = (
    macs("cost-1", 32, kernel_size=5, depth=3, filters=10, padding=2, story="The lecture's \"examples time\".",
         insight="750 weights, but each of them is used at more than a thousand places."),
    macs("cost-2", 224, kernel_size=3, depth=3, filters=64, padding=1, story="VGG's first layer."),
    macs("cost-3", 224, kernel_size=3, depth=64, filters=64, padding=1, story="VGG's second layer.",
         insight="This one layer costs more than twice as much as all of AlexNet."),
    macs("cost-4", 56, kernel_size=1, depth=64, filters=32, story="The lecture's 1 x 1 convolution.",
         insight="A ninth of what a 3 x 3 layer would cost: bottlenecks and MobileNet live on that."),
    macs("cost-5", 224, kernel_size=11, depth=3, filters=64, stride=4, padding=2,
         story="AlexNet's first layer in torchvision.",
         insight="Stride 4 keeps it cheap: with stride 1 it would cost about sixteen times as much."),
    memory("cost-6", 224, 64, story="VGG's first convolution.",
           insight="The lecture's note: most memory is in the early convolutions."),
    memory("cost-7", 112, 64, batch_size=32, story="ResNet's first convolution."),
    question(
        "cost-8",
        "The ResNet table says \"FLOPs: 1.8 x 10^9\" for ResNet-18, and means multiply-adds. How many billion "
        "operations is that, if multiplications and additions are counted one by one?",
        {"billions": 2 * 1.8},
        "Before you compare two tables, ask whether they count a multiply-add as one operation or as two.",
        [
            ("kept the figure", 1.8, "That is the number of multiply-adds. Each of them is two operations."),
            ("halved it", 1.8 / 2, "You divided. Does counting one by one give more operations or fewer?"),
        ],
        ("How many operations is a * b + c?", "Multiply the table's figure by the operations of one multiply-add."),
        "Each multiply-add is one multiplication and one addition: 2 * 1.8 = {billions:.1f} billion.",
    ),
    question(
        "cost-9",
        "A picture becomes twice as wide and twice as high. How many times as many multiply-adds does a convolutional "
        "network need, roughly?",
        {"times": 2 * 2},
        "Halving the picture is the cheapest way to make a network faster.",
        [
            ("counted one side", 2, "You counted the width. The height has doubled too."),
            ("counted three sides", 2**3, "You doubled the depth as well. That is set by the filters."),
            ("thought of weights", 1, "The weights stay as many, but each is used at more places."),
        ],
        ("The weights stay. At how many more places are they used?", "Work is weights x width x height of the map."),
        "Twice the width times twice the height: {times} times as many places, so {times} times the work.",
    ),
    question(
        "cost-10",
        f"VGG-16 has {VGG16_PARAMETERS:,} parameters. How many MiB do they take in float32? Round to a whole number.",
        {"mib": VGG16_PARAMETERS * 4 / MIB},
        "This is the download of vgg16 in torchvision, and what every saved checkpoint of it takes on your Drive.",
        [
            ("forgot the 4 bytes", VGG16_PARAMETERS / MIB, "You counted one byte for each number."),
            ("divided by a million", VGG16_PARAMETERS * 4 / 1e6,
             "You divided by 1,000,000: that is MB. A MiB is 1024 * 1024 bytes."),
            ("took 8 bytes", VGG16_PARAMETERS * 8 / MIB, "You took 8 bytes for each number. That is float64."),
            ("took 2 bytes", VGG16_PARAMETERS * 2 / MIB, "You took 2 bytes for each number. That is float16."),
        ],
        ("How many bytes has a float32?", "Parameters x 4 bytes / (1024 * 1024)."),
        f"{VGG16_PARAMETERS:,} * 4 / 1,048,576 = {{mib:.1f}} MiB.",
        tolerance=1.0,
    ),
    question(
        "cost-11",
        "A fully connected layer from 4096 to 4096 numbers, as in AlexNet and VGG. How many multiply-adds (MACs) is it "
        "for one picture, not counting biases?",
        {"macs": 4096 * 4096},
        "Each weight is used once: linear layers are heavy in memory and light in work.",
        [
            ("counted FLOPs", 2 * 4096 * 4096, "You counted multiplications and additions separately."),
            ("counted the outputs", 4096, "That is how many numbers come out. What does one of them cost?"),
            ("added", 4096 + 4096, "You added inputs and outputs. Every output reads every input."),
            ("counted the biases", 4096 * 4096 + 4096, "You counted the biases. They are left out here."),
        ],
        ("How many multiply-adds does one output take?", "Inputs x outputs."),
        "4096 outputs, each a dot product of length 4096: {macs:,}.",
    ),
    question(
        "cost-12",
        "On the same map: a full 3 x 3 convolution from 32 to 64 channels, or MobileNet's pair (depthwise 3 x 3 on 32 "
        "channels, then 1 x 1 from 32 to 64). How many times as many multiply-adds does the full one take? One "
        "decimal.",
        {"times": FULL / PAIR},
        "Nearly 9 times for 3 x 3 filters, and the more filters the closer to 9.",
        [
            ("only the depthwise step", 32 * 64 / 32, "You compared with the depthwise layer. Add the 1 x 1 layer."),
            ("only the 1 x 1 step", 3 * 3, "You compared with the 1 x 1 layer. Add the depthwise layer."),
            ("turned it round", PAIR / FULL, "You divided the pair by the full one. Turn it round."),
        ],
        (
            "At one place of the map: how many multiply-adds does each take?",
            "Full: 3 * 3 * 32 * 64. Pair: 3 * 3 * 32 + 32 * 64.",
            f"{FULL:,} / (288 + 2,048).",
        ),
        f"{FULL:,} / {PAIR:,} = {{times:.2f}}.",
        tolerance=0.06,
    ),
    question(
        "cost-13",
        "The rows of the lecture's VGG-16 table add up to 15.24 million values for one picture. How many MB (a million "
        "bytes) is that in float32? One decimal.",
        {"mb": 15.24 * 4},
        "The line below the table says 24M and 96 MB: it is not the sum of its rows.",
        [
            ("took the slide", 96, "That is the slide's figure. Compute it from the rows."),
            ("forgot the 4 bytes", 15.24, "You counted one byte for each number. A float32 has more."),
            ("divided by 1024 squared", 15.24e6 * 4 / MIB, "That is in MiB. One MB is 1,000,000 bytes."),
            ("took 8 bytes", 15.24 * 8, "You took 8 bytes for each number. That is float64."),
        ],
        ("How many bytes has a float32?", "Values x 4 bytes."),
        "15.24 million * 4 bytes = {mb:.1f} MB.",
        tolerance=0.1,
    ),
)
PRACTICE = {"cost": (_random_macs, _random_memory)}
