"""Topic "params": how many numbers a layer learns."""

from __future__ import annotations

import random

from helpers.conv_math import parameter_count
from helpers.exercises.questions import Generators, Question, question

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
    insight: str = "The size of the image does not enter: the same filters are used at every place.",
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


GENERATORS: Generators = {filters: _random_filters, linear: _random_linear}
