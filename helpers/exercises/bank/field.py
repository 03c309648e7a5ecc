"""Topic "field": receptive fields, how many pixels of the input one cell of a map sees."""

from __future__ import annotations

import math
import random

from helpers.conv_math import Layer, receptive_field
from helpers.exercises.questions import Question, question

ALEXNET = ((11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2))  # (kernel_size, stride), to the last pool
VGG16 = ((*((3, 1),) * 2, (2, 2)) * 2) + ((*((3, 1),) * 3, (2, 2)) * 3)


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
        f"{story} The layers: {chain}. How many pixels of the input, along one side, does one cell of the last map "
        "see?".strip(),
        {"pixels": receptive_field(layers)},
        insight,
        mistakes,
        (
            "Go from one cell of the last map backwards, or start with 1 pixel and let it grow layer by layer.",
            "Start with 1. Each layer adds (K - 1) times the strides of all layers before it, multiplied together.",
            f"The distances between neighbours are, layer by layer: {', '.join(map(str, jumps[:-1]))} pixels.",
        ),
        f"1 + {summands} = {{pixels}}.",
    )


def _random_field(rng: random.Random) -> Question:
    layers = tuple((rng.choice((2, 3, 3, 5, 7)), rng.choice((1, 1, 2))) for _ in range(rng.randint(2, 4)))
    return field("practice-field", layers)



DILATED = [Layer(3, dilation=dilation) for dilation in (1, 2, 4)]

QUESTIONS: tuple[Question, ...] = (
    field("field-1", ((3, 1),) * 2, story="Two convolutions in a row.",
          insight="Two 3 x 3 layers see as much as one 5 x 5 layer, with fewer weights and one more ReLU."),
    field("field-2", ((3, 1),) * 3, story="Three convolutions in a row, as in VGG.",
          insight="Three 3 x 3 layers see as much as one 7 x 7 layer: the idea behind VGG."),
    question(
        "field-3",
        "Only 3 x 3 convolutions with stride 1. How many layers until one cell sees 224 pixels of the input, or more?",
        {"layers": (224 - 1 + 1) // 2},
        "That is why networks shrink the map on the way: with strides the view grows much faster.",
        [
            ("stopped one short", (224 - 1) // 2, "That many layers see 223 pixels. Round the other way."),
            ("divided by the kernel", -(-224 // 3), "You divided by 3. How many pixels does one more layer add?"),
            ("added one layer", (224 + 2) // 2, "One layer too many: one fewer sees enough already."),
            ("thought it one pixel a layer", 224 - 1, "You let each layer add one pixel. It adds one on either side."),
        ],
        (
            "With L layers the receptive field is 1 + L (K - 1).",
            "Solve 1 + 2L >= 224 for a whole number L.",
            "L >= 223 / 2.",
        ),
        "1 + 2L >= 224 means L >= 111.5: {layers} layers, which see 225 pixels.",
    ),
    field("field-4", ((5, 1),) * 5, story="Five convolutions in a row.",
          insight="1 + L (K - 1) is all one needs as long as every stride is 1."),
    field("field-5", ((3, 2), (3, 1)), story="Now with a stride.",
          insight="The lecture's 1 + L (K - 1) gives less: it only holds where every stride is 1."),
    field("field-6", ((7, 2), (3, 2)), story="The first convolution and the pooling of ResNet."),
    field("field-7", ((11, 4), (3, 2)), story="The first convolution and the first pooling of AlexNet.",
          insight="After two layers a cell sees a patch as large as an eye in a photo, not more."),
    field(
        "field-8", ALEXNET, story="AlexNet (torchvision), up to the last pooling layer.",
        chain="conv 11 x 11 stride 4, pool 3 x 3 stride 2, conv 5 x 5, pool 3 x 3 stride 2, three times conv 3 x 3, "
              "pool 3 x 3 stride 2; every other stride is 1",
        insight="Nearly the whole picture of 224 pixels: the linear layers behind it can talk about objects.",
    ),
    field(
        "field-9", VGG16, story="VGG-16, up to the last pooling layer.",
        chain="2, 2, 3, 3 and 3 convolutions 3 x 3 with stride 1, and after each of these five groups a pooling layer "
              "2 x 2 with stride 2",
        insight="The poolings do it: without them the same thirteen convolutions would see 27 pixels.",
    ),
    question(
        "field-10",
        "Three 3 x 3 convolutions with stride 1 in a row. How many pixels, along one side, does a cell of the third "
        "map see in the map directly before it?",
        {"pixels": 3},
        "The lecture's \"be careful\": a field in the previous layer is one thing, a field in the input another.",
        [
            ("looked at the input", receptive_field([(3, 1)] * 3),
             "That is what it sees in the input. Here the map directly before it is asked for."),
            ("looked two layers back", receptive_field([(3, 1)] * 2), "That is two layers back."),
            ("counted the area", 9, "That is the whole window. One side is asked for."),
        ],
        ("Only the last layer matters here.",),
        "A 3 x 3 filter covers {pixels} pixels, along one side, of the map that it reads.",
    ),
    question(
        "field-11",
        "Three 3 x 3 convolutions in a row with stride 1 and dilations 1, 2 and 4. How many pixels of the input, along "
        "one side, does one cell of the last map see?",
        {"pixels": receptive_field(DILATED)},
        "With dilations 1, 2, 4, ... the view doubles with each layer, and the map keeps its size.",
        [
            ("ignored the dilations", receptive_field([(3, 1)] * 3), "That is the field without dilation."),
            ("forgot the first pixel", receptive_field(DILATED) - 1,
             "That is what the layers add, all together. From what size do you start?"),
            ("added the spans", 3 + 5 + 9, "You added the widths of the spread filters. Neighbouring windows overlap."),
            ("multiplied size and dilation", 1 + 2 + 5 + 11, "You took the spread filters to be 6 and 12 wide."),
        ],
        (
            "A spread filter is d (K - 1) + 1 wide.",
            "Start with 1; each layer adds d (K - 1).",
            "The layers add 2, 4 and 8.",
        ),
        "1 + 1 * 2 + 2 * 2 + 4 * 2 = {pixels}.",
    ),
    field("field-12", ((3, 2),) * 4, story="Four convolutions that each halve the map.",
          insight="With stride 1 the same four layers would see 9 pixels: \"downsample inside the network\"."),
)
PRACTICE = {"field": (_random_field,)}
