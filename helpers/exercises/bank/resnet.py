"""Topic "nets", second half: ResNet, its blocks and why they are there, and the networks that came after it."""

from __future__ import annotations

import math
import random

from helpers.conv_math import parameter_count
from helpers.exercises.questions import Question, question


def bottleneck(id: str, wide: int, narrow: int) -> Question:
    """The question how many weights ResNet's bottleneck has."""
    right = 2 * wide * narrow + 9 * narrow * narrow
    return question(
        id,
        f"A bottleneck block of ResNet: 1 x 1 from {wide} to {narrow} channels, 3 x 3 from {narrow} to {narrow}, 1 x 1 "
        f"from {narrow} to {wide}. How many weights do the three convolutions have? No biases, no batch norm.",
        {"weights": right},
        f"Two 3 x 3 layers on {wide} channels would have {2 * 9 * wide * wide:,}: the 1 x 1 layers make it cheap.",
        [
            ("took two 3 x 3 layers", 2 * 9 * wide * wide,
             "Those are two 3 x 3 layers at full width, without the bottleneck."),
            ("forgot the way back", wide * narrow + 9 * narrow * narrow, "The last 1 x 1 layer is missing."),
            ("only the 3 x 3 layer", 9 * narrow * narrow, "That is the layer in the middle."),
            ("only the 1 x 1 layers", 2 * wide * narrow, "Those are the two 1 x 1 layers. What about the middle?"),
            ("took 1 x 1 in the middle", 2 * wide * narrow + narrow * narrow, "The filters in the middle are 3 x 3."),
            ("took 3 x 3 everywhere", 9 * (2 * wide * narrow + narrow * narrow), "Two of the three layers are 1 x 1."),
            ("counted biases", right + 2 * narrow + wide, "You counted biases. They are left out here."),
        ],
        (
            "Three layers: count each, then add.",
            "F x F x channels in x channels out, for each of the three.",
            f"{wide} * {narrow}, 9 * {narrow} * {narrow}, {narrow} * {wide}.",
        ),
        f"{wide} * {narrow} + 9 * {narrow} * {narrow} + {narrow} * {wide} = {{weights:,}}.",
    )


def _random_bottleneck(rng: random.Random) -> Question:
    narrow = rng.choice((32, 64, 128, 256))
    return bottleneck("practice-nets", narrow * rng.choice((2, 4)), narrow)


QUESTIONS: tuple[Question, ...] = (
    question(
        "nets-9",
        "A basic block of ResNet-18: two 3 x 3 convolutions on 64 channels, no biases, and a shortcut that adds the "
        "input (identity). How many weights does the block have? Leave batch norm aside.",
        {"weights": 2 * parameter_count(64, 64, 3, bias=False)},
        "The shortcut is free: it learns nothing, it only adds.",
        [
            ("counted one layer", parameter_count(64, 64, 3, bias=False), "That is one of the two convolutions."),
            ("counted the shortcut", 2 * 9 * 64**2 + 64**2,
             "You counted a 1 x 1 layer in the shortcut. Here it passes the input on as it is."),
            ("counted biases", 2 * parameter_count(64, 64, 3), "You counted biases. Batch norm makes them useless."),
            ("forgot the depth", 2 * 9 * 64, "You took flat filters. Each filter is 64 deep."),
        ],
        ("What has weights in this block, and what has none?", "3 * 3 * 64 * 64 for a layer.", "2 * 36,864."),
        "2 * 3 * 3 * 64 * 64 = {weights:,}; the identity has none.",
    ),
    bottleneck("nets-10", 256, 64),
    question(
        "nets-11",
        "Where ResNet goes from 64 to 128 channels, the shortcut is a 1 x 1 convolution without bias (a projection). "
        "How many weights does it have?",
        {"weights": parameter_count(64, 128, 1, bias=False)},
        "Only where the shape changes does a shortcut need weights.",
        [
            ("took the identity", 0, "An identity has none, but it cannot turn 64 channels into 128."),
            ("took 3 x 3", parameter_count(64, 128, 3, bias=False), "That is a 3 x 3 layer. The projection is 1 x 1."),
            ("counted biases", parameter_count(64, 128, 1), "You counted biases. There are none here."),
            ("kept the channels", 64 * 64, "You let 64 channels come out. The shapes must match to be added."),
        ],
        ("A 1 x 1 convolution is a linear layer through the depth.", "Channels in x channels out."),
        "1 * 1 * 64 * 128 = {weights:,}.",
    ),
    question(
        "nets-12",
        "The lecture's table: one ResNet has 3, 4, 23 and 3 bottleneck blocks (three convolutions each), besides the "
        "first convolution and the last linear layer. How many layers with weights is that?",
        {"layers": 3 * (3 + 4 + 23 + 3) + 2},
        "It is the network that bears this number in its name.",
        [
            ("forgot first and last", 3 * (3 + 4 + 23 + 3), "You counted the blocks. Two more layers have weights."),
            ("forgot one", 3 * (3 + 4 + 23 + 3) + 1, "One layer is missing: the first or the last."),
            ("counted the blocks", 3 + 4 + 23 + 3, "That is the number of blocks. How many layers does each have?"),
            ("took basic blocks", 2 * (3 + 4 + 23 + 3) + 2,
             "You counted two layers in a block, as in ResNet-18 and 34."),
        ],
        ("Count the blocks first.", "33 blocks of three convolutions, and two more layers."),
        "3 * (3 + 4 + 23 + 3) + 2 = {layers}.",
    ),
    question(
        "nets-13",
        "The ResNets for CIFAR-10 have 6n + 2 layers: three stages of n blocks with two convolutions each, plus the "
        "first and the last layer. How deep is the one with n = 9?",
        {"layers": 6 * 9 + 2},
        "The lecture's deep net that did worse when it was plain, in training as well as in testing.",
        [
            ("forgot first and last", 6 * 9, "You counted the blocks. Two more layers have weights."),
            ("one convolution a block", 3 * 9 + 2, "You counted one convolution in a block. It has two."),
            ("one stage", 2 * 9 + 2, "That is one stage. There are three."),
        ],
        ("Put n = 9 into the formula.", "6 * 9 + 2."),
        "6 * 9 + 2 = {layers}.",
    ),
    question(
        "nets-14",
        "A ResNet stage halves the width and height of the maps and doubles their number: 64 maps of 56 x 56 become "
        "128 maps of 28 x 28. By which factor does the count of numbers change?",
        {"factor": 128 * 28**2 / (64 * 56**2)},
        "\"Reduce the activation volume by half\", while a 3 x 3 layer costs as much work as before.",
        [
            ("forgot the doubling", 0.25, "You halved width and height. The number of maps changes as well."),
            ("took one side", 1.0, "You halved one side only."),
            ("turned it round", 2.0, "You divided the wrong way round."),
        ],
        ("Count the numbers before and after.", "Width x height x maps: (1/2) * (1/2) * 2."),
        "128 * 28 * 28 / (64 * 56 * 56) = {factor}.",
    ),
    question(
        "nets-15",
        "A residual block computes H(x) = F(x) + x. The best it can do is to pass x on unchanged. What must its layers "
        "F learn?",
        {"learn": "zero"},
        "Small weights bring F near zero, so doing nothing is easy for a residual block and hard for a plain one.",
        [
            ("took the identity", "identity", "Then the block would give x + x. The shortcut carries x already."),
            ("took one", "one", "Then the block would give x + 1."),
        ],
        ("Put H(x) = x into the equation.",),
        "x = F(x) + x means F(x) = 0: {learn}.",
    ),
    question(
        "nets-16",
        "On CIFAR-10 a plain net of 56 layers has a higher training error than one of 20 layers. What is the reason: "
        "\"harder to train\", \"overfitting\", \"too few parameters\" or \"too little data\"?",
        {"reason": "harder to train"},
        "Overfitting would show a low training error. The deeper net could do as well, but training does not find it.",
        [
            ("thought of overfitting", "overfitting", "An overfitted net has a low training error. Here it is high."),
            ("thought of capacity", "too few parameters", "The deeper net has more parameters than the other."),
            ("thought of data", "too little data", "Too little data would show in the test error, not in training."),
        ],
        ("Look at the training error, not at the test error.", "Could the deeper net copy the shallow one?"),
        "The deeper net could copy the shallow one, but training does not find that: it is {reason}.",
    ),
    question(
        "nets-20",
        "ResNet-50 gets a photo of 320 x 480 px (height x width) in place of 224 x 224. Its stem and its stages halve "
        "the map five times. How high and how wide is the last map, before it is averaged?",
        {"height": 320 // 2**5, "width": 480 // 2**5},
        "The average makes one number of each map, however large: the linear layer never sees the size.",
        [
            ("took the usual map", {"height": 7, "width": 7}, "That is the map of a 224 x 224 picture."),
            ("halved four times", {"height": 320 // 2**4, "width": 480 // 2**4},
             "That is after four halvings. The stem alone halves twice: convolution and max pooling."),
            ("swapped the two", {"height": 480 // 2**5, "width": 320 // 2**5}, "You have swapped the two."),
            ("halved six times", {"height": 320 // 2**6, "width": 480 / 2**6}, "That is one halving too many."),
        ],
        ("Five halvings: by which number do you divide?", "Divide both sides by 32."),
        "320 / 32 = {height}, 480 / 32 = {width}.",
    ),
    question(
        "nets-21",
        "He et al. start a ReLU network with weights of standard deviation sqrt(2 / fan-in). A 3 x 3 convolution has "
        "64 channels in and 64 out. Which standard deviation? Four decimals.",
        {"std": math.sqrt(2 / (9 * 64))},
        "The 2 makes up for the half of the numbers that ReLU sets to zero. Xavier's initialisation does not have it.",
        [
            ("took Xavier's", math.sqrt(1 / (9 * 64)),
             "That is Xavier's for as many channels in as out: it does not know of the ReLU."),
            ("forgot the channels", math.sqrt(2 / 9), "Fan-in counts all the inputs of a neuron, through the depth."),
            ("forgot the window", math.sqrt(2 / 64), "Fan-in counts all the inputs of a neuron: 3 x 3 places."),
            ("gave the variance", 2 / (9 * 64), "That is the variance. The standard deviation is its root."),
        ],
        ("Fan-in: how many numbers does one output add up?", "3 * 3 * 64 = 576.", "The root of 2 / 576."),
        "sqrt(2 / (3 * 3 * 64)) = {std:.4f}.",
        tolerance=0.0005,
    ),
    question(
        "nets-22",
        "AlexNet: 61.1 million parameters, 0.71 billion multiply-adds. ResNet-50: 25.6 million parameters, 4.09 "
        "billion multiply-adds. Whose file of weights is larger, and which one does more work for a picture?",
        {"larger_file": "AlexNet", "more_work": "ResNet-50"},
        "Parameters and work are different things: a convolution uses each weight at every place, a linear layer once.",
        [
            ("took work for the file", {"larger_file": "ResNet-50"}, "A file holds the parameters. Who has more?"),
            ("took parameters for work", {"more_work": "AlexNet"},
             "Work is counted in multiply-adds, not in parameters."),
        ],
        ("The file holds one number for each parameter.", "Work: multiply-adds."),
        "File: {larger_file} (233 MiB against 98). Work: {more_work} (nearly six times as much).",
    ),
    question(
        "nets-23",
        "ShuffleNet makes its 1 x 1 convolutions cheaper with groups. From 240 to 240 channels in 3 groups: how many "
        "weights are left? No biases.",
        {"weights": parameter_count(240, 240, 1, groups=3, bias=False)},
        "A third. The groups never meet in such a layer, so the network shuffles the channels after it.",
        [
            ("forgot the groups", 240 * 240, "That is without groups: every filter sees all the channels."),
            ("divided twice", 240 * 240 // 9,
             "You divided both channels. There are still 240 filters; each sees a third of the input."),
            ("made it depthwise", 240, "That would be 240 groups, one channel each."),
        ],
        ("How many channels does one filter see?", "240 filters of 1 x 1 x 80."),
        "240 * (240 / 3) = {weights:,}.",
    ),
    question(
        "nets-24",
        "Top-5 errors of the winners of the ImageNet challenge: 16.4 % (2012), 11.7 % (2013), 6.7 % (2014), 3.6 % "
        "(2015), 3.0 % (2016), 2.3 % (2017). A trained person was measured at 5.1 %. In which year did a network first "
        "do better?",
        {"year": 2015},
        "It was ResNet. One person, 1500 pictures, 120 breeds of dogs among the classes: take the 5.1 with care.",
        [
            ("one year early", 2014, "6.7 % is more errors than 5.1 %."),
            ("one year late", 2016, "There is an earlier year with fewer than 5.1 %."),
            ("took AlexNet", 2012, "16.4 % was a leap, but three times the person's error."),
        ],
        ("Look for the first number below 5.1.",),
        "3.6 % in {year}.",
    ),
)
PRACTICE = {"nets": (_random_bottleneck,)}
