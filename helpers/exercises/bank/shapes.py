"""Topic "conv", second half: shapes, padding, dilation, and what a filter does at one place."""

from __future__ import annotations

import random

from helpers import conv_math
from helpers.exercises.questions import Question, question

RECAP = conv_math.output_size(conv_math.output_size(28, 3), 3)  # the recap network: 28 -> 26 -> 24
RECAP_POOLED = conv_math.pool_output_size(RECAP, 2)


def batch_shape(
    id: str,
    batch: tuple[int, int, int],
    *,
    kernel_size: int,
    filters: int,
    insight: str = "N stays, the filters make C, the sliding makes H and W.",
) -> Question:
    """The question which shape a convolution gives to a batch of (N, C, side) square pictures."""
    n, c, side = batch
    size = conv_math.output_size(side, kernel_size)
    return question(
        id,
        f"A batch of shape ({n}, {c}, {side}, {side}) goes through nn.Conv2d({c}, {filters}, "
        f"kernel_size={kernel_size}). What is the shape of the output?",
        {"shape": (n, filters, size, size)},
        insight,
        [
            ("put the channels last", (n, size, size, filters),
             "The numbers are right, the order is not: in PyTorch the channels come before height and width."),
            ("kept the channels", (n, c, size, size),
             "You kept the channels of the input. How many filters are there?"),
            ("swapped batch and channels", (filters, n, size, size), "The batch comes first, then the channels."),
            ("multiplied the channels", (n, c * filters, size, size),
             "A filter adds up over the input channels and leaves one map."),
            ("left out the batch", (filters, size, size), "That is one picture. How many are in the batch?"),
            ("kept the size", (n, filters, side, side),
             "Without padding, the filter finds no place near the edge: the map gets smaller."),
            ("forgot the +1", (n, filters, size - 1, size - 1),
             "That is the number of steps. Count the places: there is one before the first step."),
        ],
        (
            "One of the four numbers stays, three change.",
            "The shape is (N, C_out, H_out, W_out). C_out is the second argument of nn.Conv2d; no padding is given.",
            f"H_out = W_out = {side} - {kernel_size} + 1.",
        ),
        f"N stays {n}, the {filters} filters make {filters} channels, and {side} - {kernel_size} + 1 = {size}: "
        f"{{shape}}.",
    )


def _random_batch_shape(rng: random.Random) -> Question:
    batch = (rng.choice((2, 8, 16)), rng.choice((1, 3)), rng.randint(24, 64))
    return batch_shape("practice-conv", batch, kernel_size=rng.choice((3, 5, 7)), filters=rng.choice((6, 10, 32)))


QUESTIONS: tuple[Question, ...] = (
    question(
        "conv-13",
        "A 7 x 7 filter slides with stride 1. Which padding keeps the width and height as they are?",
        {"padding": (7 - 1) // 2},
        "P = (F - 1) / 2 needs an odd F: that is why filters are 3, 5 or 7 wide and hardly ever 4.",
        [
            ("counted both sides", 7 - 1, "So many zeros are needed left and right together. Padding counts one side."),
            ("took the padding of 3 x 3", (3 - 1) // 2, "That padding suits a 3 x 3 filter."),
            ("took the padding of 5 x 5", (5 - 1) // 2, "That padding suits a 5 x 5 filter."),
            ("halved the filter", 7 / 2,
             "Half a pixel cannot be padded. Which pixel of the filter lies in its centre?"),
            ("took the filter size", 7, "With so much padding the output grows."),
        ],
        (
            "Put the centre of the filter on the first pixel. How many of its columns hang over the edge?",
            "The size stays when W - F + 2P + 1 = W. Solve for P.",
            "2P = 7 - 1.",
        ),
        "W - 7 + 2P + 1 = W gives 2P = 6, so P = {padding}.",
    ),
    question(
        "conv-14",
        "The lecture lists F = 5, S = 2, P = whatever fits. The input is 32 x 32. Which padding makes the output "
        "exactly half as large, 16 x 16?",
        {"padding": conv_math.padding_for(32, 5, stride=2, goal="same")[0]},
        "The division leaves a rest; PyTorch rounds down, and the last column of zeros goes unread.",
        [
            ("forgot to pad", 0, "Without padding the output is 14 x 14."),
            ("padded too little", 1, "With a padding of 1 the output is 15 x 15."),
            ("padded too much", 3, "With a padding of 3 the output is 17 x 17."),
            ("demanded an exact fit", 1.5,
             "Then nothing would be left over, but half a pixel cannot be padded. Remember that PyTorch rounds."),
        ],
        (
            "Start with a padding of 0. How far is the output from 16?",
            "Solve (32 - 5 + 2P) / 2 + 1 = 16, and remember that PyTorch rounds the division down.",
            "27 + 2P must be at least 30, and less than 32.",
        ),
        "(32 - 5 + 2 * {padding}) / 2 + 1 = 16.5, rounded down to 16: a padding of {padding}.",
    ),
    batch_shape(
        "conv-15", (2, 3, 32), kernel_size=5, filters=6,
        insight="PyTorch's order is N, C, H, W. The pictures of a batch never mix; the channels do.",
    ),
    question(
        "conv-16",
        "layer = nn.Conv2d(3, 64, kernel_size=11). What is the shape of layer.weight?",
        {"shape": (64, 3, 11, 11)},
        "The lecture's 64 x 3 x 11 x 11: 64 small colour pictures that one can look at.",
        [
            ("swapped the channels", (3, 64, 11, 11),
             "The filters are stacked along the first axis, so that axis counts filters."),
            ("put the channels last", (64, 11, 11, 3), "In PyTorch the channels come before height and width."),
            ("forgot the depth", (64, 11, 11), "A filter is not flat: it reaches through the whole depth."),
            ("described one filter", (3, 11, 11), "That is one filter. How many are there?"),
        ],
        (
            "Think of a stack of filters, each as deep as the input.",
            "The shape is (C_out, C_in, height, width).",
        ),
        "64 filters, each 3 channels deep and 11 x 11 large: {shape}.",
    ),
    question(
        "conv-17",
        "32 -> 28 -> 24 -> ...: 5 x 5 filters, stride 1, no padding. How many such layers until the map is 4 x 4?",
        {"layers": (32 - 4) // (5 - 1)},
        "Then no 5 x 5 filter fits any more: without padding the picture limits the depth of the network.",
        [
            ("counted the input", (32 - 4) // (5 - 1) + 1,
             "You counted the sizes in the chain. The first one is the input."),
            ("divided by the filter size", (32 - 4) // 5, "You divided by 5. How many pixels does a layer take away?"),
            ("counted one side", (32 - 4) // 2, "You took 2 pixels off in each layer. The other side shrinks too."),
        ],
        (
            "Continue the chain by hand: 32, 28, 24, ...",
            "Every layer takes F - 1 = 4 pixels away.",
            "28 pixels have to go, 4 in each layer.",
        ),
        "(32 - 4) / 4 = {layers} layers: 32, 28, 24, 20, 16, 12, 8, 4.",
    ),
    question(
        "conv-18",
        "A 3 x 3 filter with dilation 2 (it leaves out one pixel between two that it reads) slides over a 32 x 32 "
        "input, stride 1, no padding. How wide is the output?",
        {"width": conv_math.output_size(32, 3, dilation=2)},
        "Dilation widens the view without a single new weight: still nine for each channel.",
        [
            ("ignored the dilation", 32 - 3 + 1,
             "That is the width without dilation. The filter is spread out: how wide is it from end to end?"),
            ("multiplied size and dilation", 32 - 3 * 2 + 1,
             "You took the filter to be 6 wide. Between three pixels there are two gaps, not three."),
            ("took dilation for stride", (32 - 3) // 2 + 1,
             "You used the 2 as a stride. Dilation spreads the filter, it does not change its steps."),
            ("forgot the +1", 32 - 5, "The filter is spread as it should be. Now count the places, not the steps."),
        ],
        (
            "Draw one row of the filter: x . x . x. How wide is it?",
            "The spread filter is d * (k - 1) + 1 wide; use that for F.",
            "d * (k - 1) + 1 = 5, so it is the output of a 5 x 5 filter.",
        ),
        "Spread: 2 * (3 - 1) + 1 = 5. Width: 32 - 5 + 1 = {width}.",
    ),
    question(
        "conv-19",
        "A 5 x 5 filter lies on one place of a 32 x 32 x 3 picture and takes a dot product there. How many numbers "
        "long are the two vectors? Leave the bias aside.",
        {"length": 5 * 5 * 3},
        "One filter at one place gives one number: a neuron that looks at a small piece of the picture.",
        [
            ("forgot the depth", 5 * 5, "The filter is not flat: it reaches through all channels."),
            ("counted the bias", 5 * 5 * 3 + 1, "You counted the bias. It is added after the dot product."),
            ("took the whole picture", 32 * 32 * 3,
             "That is the whole picture. The filter covers a small piece of it."),
            ("forgot the height", 5 * 3, "The filter is 5 wide and 5 high."),
        ],
        ("Count the numbers of the picture that lie under the filter.", "Width x height x depth of the filter."),
        "5 * 5 * 3 = {length}.",
    ),
    question(
        "conv-21",
        "A 5 x 5 filter with stride 4 slides over a 32 x 32 picture without padding. How many columns at the right "
        "edge does it never read?",
        {"columns": conv_math.dropped(32, 5, stride=4).total},
        "What \"doesn't fit\" is no error in PyTorch: it rounds down and never looks at these pixels.",
        [
            ("nothing is lost", 0, "32 - 5 = 27 cannot be divided by 4, so something is left over."),
            ("gave the fraction", 27 / 4 % 1, "That is the part of a step that is left. How many pixels is it?"),
            ("laid the filters side by side", 32 % 5, "You laid the filters side by side. With stride 4 they overlap."),
            ("completed the step", -27 % 4, "So many columns are missing for one more step. How many are left over?"),
        ],
        ("Where is the filter at its last place?", "Take the remainder of W - F divided by S.", "27 = 6 * 4 + ?"),
        "32 - 5 = 27 = 6 * 4 + {columns}: after 6 steps the last {columns} columns are left over.",
    ),
    question(
        "conv-22",
        "True or False: nn.Conv2d turns the kernel upside down and left to right before it slides.",
        {"flips": False},
        "What deep learning calls convolution is cross-correlation. For learned kernels it makes no difference.",
        [
            ("thought of mathematics", True,
             "That is the convolution of mathematics. PyTorch's text for nn.Conv2d names another operator."),
        ],
        ("The documentation of nn.Conv2d says: the valid 2D cross-correlation operator.",),
        "{flips}. nn.Conv2d slides the kernel as it is; that is cross-correlation.",
    ),
    question(
        "conv-23",
        "A 32 x 32 x 3 picture is stretched into one column for a fully connected layer. How long is the column?",
        {"length": 32 * 32 * 3},
        "In the column, neighbours of the picture are no neighbours any more: its structure is lost.",
        [
            ("forgot the channels", 32 * 32, "That is one channel. Every pixel has three numbers."),
            ("took one row", 32 * 3, "That is one row of the picture with its colours."),
            ("added", 32 + 32 + 3, "You added the three sizes. Count the numbers in the block."),
        ],
        ("Every number of the picture goes into the column.", "Width x height x channels."),
        "32 * 32 * 3 = {length:,}.",
    ),
    question(
        "conv-24",
        "The recap network goes on: 28 x 28 x 1 -> 32 filters 3 x 3 -> 64 filters 3 x 3 -> 2 x 2 max pooling with "
        "stride 2 -> flatten (stride 1 and no padding in both convolutions). How many numbers does the first linear "
        "layer get?",
        {"features": RECAP_POOLED**2 * 64},
        "This is in_features of nn.Linear, the number that people most often find by trial and error.",
        [
            ("forgot the pooling", RECAP**2 * 64, "You flattened before the pooling."),
            ("forgot the maps", RECAP_POOLED**2, "That is one map. How many are there?"),
            ("forgot the height", RECAP_POOLED * 64, "A map has a width and a height."),
            ("forgot the shrinking", 14**2 * 64, "You pooled 28 x 28. The two convolutions come first."),
            ("took the first depth", RECAP_POOLED**2 * 32, "You took the depth after the first convolution."),
        ],
        (
            "Follow the size through the chain, step by step.",
            "Two convolutions: 28 -> 26 -> 24. Then the pooling. Then width x height x depth.",
            "After the pooling there are 64 maps of 12 x 12.",
        ),
        f"28 -> 26 -> {RECAP} -> {RECAP_POOLED}; {RECAP_POOLED} * {RECAP_POOLED} * 64 = {{features:,}}.",
    ),
)
PRACTICE = {"conv": (_random_batch_shape,)}
