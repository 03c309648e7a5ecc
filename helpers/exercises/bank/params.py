"""Topic "params": how many numbers a layer learns."""

from __future__ import annotations

import random

from helpers.conv_math import parameter_count
from helpers.exercises.questions import Question, question

FILTER_HINTS = (
    "Start with a single filter: how many numbers does it hold?",
    "F x F x (input depth) weights for each filter, plus 1 where biases count, times the number of filters.",
)
LINEAR_HINTS = (
    "Start with a single output neuron: how many weights lead to it?",
    "Inputs x outputs weights; where biases count, one for each output.",
)


def filters(
    id: str,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    groups: int = 1,
    bias: bool = True,
    positions: int = 0,
    story: str = "",
    insight: str = "The size of the picture does not enter: the same filters are used at every place.",
) -> Question:
    """The question how many parameters a convolution has; ``positions`` are its output pixels, where known."""
    c, k, n = in_channels // groups, kernel_size, out_channels
    weights = k * k * c * n
    mistakes = [
        ("forgot the biases", weights * bias, "You left out the biases: there is one for each filter."),
        ("counted biases", weights + n * (not bias), "You counted biases. They are left out here."),
        ("forgot the groups", k * k * in_channels * n + n * bias,
         "You let every filter see all input channels. With groups it sees only those of its own group."),
        ("divided twice by the groups", weights // groups + n * bias,
         "You divided by the groups twice. Every filter is thinner, but there are as many filters as before."),
        ("counted one filter", k * k * c + bias, "That is a single filter. How many are there?"),
        ("forgot the depth", (k * k + bias) * n, "You took flat filters. A filter is as deep as its input."),
        ("forgot to square", (k * c + bias) * n, "A filter is not only F wide but also F high."),
        ("counted one bias", weights + bias, "You counted a single bias. Every filter has one of its own."),
        ("gave every slice a bias", (k * k + 1) * c * n * bias,
         "You gave each channel of a filter its own bias. A filter leaves one map, so it has one bias."),
        ("counted biases by inputs", weights + in_channels * bias,
         "You counted a bias for each input channel. The biases belong to the filters."),
        ("gave every weight a bias", 2 * weights * bias,
         "You counted a bias for each weight. There is one for each filter."),
        ("counted every place", (weights + n * bias) * positions,
         "You multiplied by the places where a filter stands. It is the same filter everywhere: weights are shared."),
    ]
    subject = f"{story} The layer" if story else "A convolution"
    grouped = f" in {groups} groups" if groups > 1 else ""
    return question(
        id,
        f"{subject} takes {in_channels} channel{'s' if in_channels > 1 else ''} and has {n} filters of {k} x "
        f"{k}{grouped}. How many parameters does it learn, {_biases(bias)}?",
        {"parameters": parameter_count(in_channels, n, k, groups=groups, bias=bias)},
        insight,
        [mistake for mistake in mistakes if mistake[1]],
        (*FILTER_HINTS, f"A single filter has {k} * {k} * {c} weights{' and 1 bias' if bias else ''}; {n} filters."),
        f"({k} * {k} * {c}{' + 1' if bias else ''}) * {n} = {{parameters:,}}"
        + (f"; each filter sees {in_channels} / {groups} = {c} of the channels." if groups > 1 else "."),
    )


def linear(
    id: str,
    inputs: int,
    outputs: int,
    *,
    bias: bool = True,
    story: str = "",
    insight: str = "Every output has a weight for every input: that is why linear layers are so large.",
) -> Question:
    """The question how many parameters a fully connected layer has."""
    subject = f"{story} The layer" if story else "A fully connected layer"
    mistakes = [
        ("forgot the biases", inputs * outputs * bias, "You left out the biases: there is one for each output."),
        ("counted biases", inputs * outputs + outputs * (not bias), "You counted biases. They are left out here."),
        ("counted one bias", inputs * outputs + bias, "You counted a single bias. Every output has one of its own."),
        ("counted biases by inputs", inputs * outputs + inputs * bias,
         "You counted a bias for each input. The biases belong to the outputs."),
        ("gave every weight a bias", 2 * inputs * outputs * bias,
         "You counted a bias for each weight."),
        ("added", inputs + outputs, "You added inputs and outputs. Every output is connected with every input."),
    ]
    return question(
        id,
        f"{subject} takes {inputs:,} numbers and gives {outputs:,}. How many parameters does it learn, "
        f"{_biases(bias)}?",
        {"parameters": inputs * outputs + outputs * bias},
        insight,
        [mistake for mistake in mistakes if mistake[1]],
        (*LINEAR_HINTS, f"{inputs} * {outputs}{f' + {outputs}' if bias else ''}."),
        f"{inputs:,} * {outputs:,}{f' + {outputs:,}' if bias else ''} = {{parameters:,}}.",
    )


def _biases(bias: bool) -> str:
    return "biases included" if bias else "not counting biases"


def _random_filters(rng: random.Random) -> Question:
    groups = rng.choice((1, 1, 1, 2, 4))
    return filters(
        "practice-params", groups * rng.choice((1, 3, 16, 48)), groups * rng.choice((6, 10, 32)),
        rng.choice((1, 3, 5, 7, 11)), groups=groups, bias=rng.random() < 0.8,
    )


def _random_linear(rng: random.Random) -> Question:
    return linear("practice-params", rng.choice((400, 512, 3072, 9216)), rng.choice((4, 10, 100, 1000)))


QUESTIONS: tuple[Question, ...] = (
    filters("params-1", 3, 10, 5, positions=32 * 32, story="The lecture's \"examples time\": 32 x 32 pictures, padding "
                                                           "2."),
    filters("params-2", 3, 96, 11, positions=55 * 55, story="AlexNet's first layer. Its output is 55 x 55.",
            insight="The slide's 35K, to the last digit."),
    filters("params-3", 3, 64, 11, story="AlexNet's first layer in torchvision.",
            insight="A third fewer filters than in the paper: torchvision's AlexNet is another network."),
    filters("params-4", 1, 32, 3, positions=26 * 26, story="The recap network's first layer. Its output is 26 x 26."),
    filters("params-5", 32, 64, 3, positions=24 * 24, story="The recap network's second layer. Its output is 24 x 24.",
            insight="Its input is deep, so it holds far more than the first layer."),
    filters("params-6", 3, 64, 3, bias=False, story="VGG's first layer, as in the lecture's table.",
            insight="The first line of the lecture's table; its total of 138M has the biases in it."),
    filters("params-7", 128, 256, 3, story="The first 128 -> 256 layer of VGG-16.",
            insight="The biases are a thousandth of it, but PyTorch counts them."),
    filters("params-8", 64, 32, 1, story="A 1 x 1 convolution.",
            insight="A linear layer through the depth, shared by all pixels."),
    linear("params-9", 256 * 6 * 6, 4096, story="AlexNet's first linear layer, after flattening 256 maps of 6 x 6.",
           insight="More than half of all of AlexNet's parameters sit in this one layer."),
    linear("params-10", 512 * 7 * 7, 4096, bias=False, story="VGG-16's first linear layer, as in the lecture's table.",
           insight="Three quarters of VGG-16 in a single layer."),
    filters("params-11", 96, 256, 5, groups=2, story="The second layer of the AlexNet of 2012, on two GPUs.",
            insight="Each GPU kept its own half: half the weights, and no traffic between the two."),
    filters("params-12", 32, 32, 3, groups=32, story="A depthwise convolution: every channel has a filter of its own.",
            insight="This makes MobileNet light. A 1 x 1 convolution after it mixes the channels."),
    question(
        "params-13",
        "MobileNet's pair: a depthwise 3 x 3 convolution on 32 channels (groups=32), then a 1 x 1 convolution from 32 "
        "to 64 channels. How many parameters do both have together, biases included?",
        {"parameters": parameter_count(32, 32, 3, groups=32) + parameter_count(32, 64, 1)},
        "A full 3 x 3 convolution from 32 to 64 channels has 18,496: more than seven times as many.",
        [
            ("took the full convolution", parameter_count(32, 64, 3),
             "That is one full 3 x 3 convolution. Here it is split in two cheaper steps."),
            ("only the depthwise step", parameter_count(32, 32, 3, groups=32), "That is the first of the two layers."),
            ("only the 1 x 1 step", parameter_count(32, 64, 1), "That is the second of the two layers."),
            ("forgot the biases", 32 * 9 + 32 * 64, "You left out the biases: each layer has one for each filter."),
            ("forgot the groups", parameter_count(32, 32, 3) + parameter_count(32, 64, 1),
             "You let the first layer's filters see all channels. In a depthwise layer each sees one."),
        ],
        (
            "Two layers: count each, then add.",
            "Depthwise: 3 x 3 x 1 weights and a bias for each of 32 filters. 1 x 1: 32 weights and a bias for each of "
            "64.",
            "(9 + 1) * 32 and (32 + 1) * 64.",
        ),
        "(3 * 3 * 1 + 1) * 32 + (1 * 1 * 32 + 1) * 64 = 320 + 2,112 = {parameters:,}.",
    ),
    question(
        "params-14",
        "The same convolution runs on pictures of 224 x 224 and of 448 x 448. How many times as many parameters does "
        "it need for the larger ones?",
        {"times": 1},
        "Filters do not know how large the picture is; work and memory grow, the weights do not.",
        [
            ("counted the pixels", 4,
             "That is how many times as many pixels there are. The same filter slides over all of them."),
            ("counted one side", 2, "The side is twice as long. Does the filter change?"),
        ],
        ("Which numbers enter the formula for the parameters?", "Is the width of the picture one of them?"),
        "Parameters depend on filter size, depth and number of filters only, so the factor is {times}.",
    ),
    question(
        "params-15",
        "The lecture's fully connected network for 32 x 32 x 3 pictures: 3072 -> 100 -> 10. How many parameters does "
        "it have, biases included?",
        {"parameters": 3072 * 100 + 100 + 100 * 10 + 10},
        "LeNet-5 does the same kind of job with a fifth of that.",
        [
            ("forgot the biases", 3072 * 100 + 100 * 10,
             "You left out the biases: one for each output of both layers."),
            ("forgot the second layer", 3072 * 100 + 100, "That is the first layer. There is a second one."),
            ("forgot the first layer", 100 * 10 + 10, "That is the second layer. There is a first one."),
            ("forgot the colours", 1024 * 100 + 100 + 100 * 10 + 10,
             "You took 32 x 32 inputs. Pixels have three colours."),
            ("connected in to out", 3072 * 10 + 10,
             "You connected the pixels with the classes. There is a layer between."),
        ],
        (
            "Two layers: count each, then add.",
            "Inputs x outputs weights and one bias for each output, for both layers.",
            "3072 * 100 + 100, and 100 * 10 + 10.",
        ),
        "3072 * 100 + 100 + 100 * 10 + 10 = 307,300 + 1,010 = {parameters:,}.",
    ),
    filters("params-16", 64, 64, 3, bias=False, story="A 3 x 3 convolution of ResNet-18's first stage, bias=False.",
            insight="Batch norm follows and subtracts the mean, so a bias would do nothing."),
    question(
        "params-17",
        "VGG-19 has three more convolutions of 3 x 3 than VGG-16: one from 256 to 256 channels, two from 512 to 512. "
        "How many parameters more, biases included?",
        {"parameters": parameter_count(256, 256, 3) + 2 * parameter_count(512, 512, 3)},
        "Four percent more parameters, a quarter more work: convolutions are small and busy.",
        [
            ("forgot the biases", 9 * 256 * 256 + 2 * 9 * 512 * 512, "You left out the biases."),
            ("took one of the two", parameter_count(256, 256, 3) + parameter_count(512, 512, 3),
             "There are two convolutions with 512 channels."),
            ("took three of 512", 3 * parameter_count(512, 512, 3), "One of the three has 256 channels."),
            ("took flat filters", 10 * 256 + 2 * 10 * 512, "Each filter is as deep as its input."),
        ],
        (
            "Count one layer of each kind.",
            "(3 * 3 * 256 + 1) * 256 for the first.",
            "Then (3 * 3 * 512 + 1) * 512, twice.",
        ),
        "590,080 + 2 * 2,359,808 = {parameters:,}.",
    ),
    question(
        "params-18",
        "VGG-16 has 4,224 filters in its convolutions, and linear layers with 4096, 4096 and 1000 outputs. How many of "
        "its 138 million parameters are biases?",
        {"biases": 4224 + 4096 + 4096 + 1000},
        "A ten-thousandth: \"not counting biases\" in the lecture's table hardly matters.",
        [
            ("forgot the linear layers", 4224, "Those are the biases of the convolutions."),
            ("forgot the convolutions", 4096 + 4096 + 1000, "Those are the biases of the linear layers."),
            ("forgot a linear layer", 4224 + 4096 + 1000, "There are two linear layers with 4096 outputs."),
            ("counted the layers", 16, "That would be one bias a layer. Each filter and each neuron has one."),
        ],
        ("One bias for each filter, and one for each neuron of a linear layer.", "Add the four numbers."),
        "4,224 + 4,096 + 4,096 + 1,000 = {biases:,}.",
    ),
)
PRACTICE = {"params": (_random_filters, _random_linear)}
