"""Topic "nets", first half: LeNet, AlexNet and VGG taken apart with pencil and paper. See also questions_resnet."""

from __future__ import annotations

import random
from itertools import pairwise

from helpers.conv_math import output_size, parameter_count, pool_output_size
from helpers.exercises.questions import Question, question


def linear_count(*widths: int) -> int:
    """Parameters of fully connected layers of these widths in a row, biases included."""
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(widths))


LENET_CONVS = parameter_count(1, 6, 5) + parameter_count(6, 16, 5)
LENET = LENET_CONVS + linear_count(400, 120, 84, 10)
LENET_BIASES = 6 + 16 + 120 + 84 + 10
_ALEXNET_CONVS = ((3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))  # torchvision's
ALEXNET_LINEAR = linear_count(9216, 4096, 4096, 1000)
ALEXNET = ALEXNET_LINEAR + sum(parameter_count(*conv) for conv in _ALEXNET_CONVS)
_VGG16_WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG16_PARAMETERS = sum(parameter_count(c, n, 3) for c, n in pairwise(_VGG16_WIDTHS)) + linear_count(
    25088, 4096, 4096, 1000
)
AFTER_C1 = output_size(32, 5)
AFTER_C3 = output_size(pool_output_size(AFTER_C1, 2), 5)


def stack(id: str, channels: int, *, layers: int = 3, large: int = 7) -> Question:
    """The question how many weights a stack of 3 x 3 layers has, and one large layer that sees as much."""
    square = channels * channels
    small, one = layers * 9 * square, large * large * square
    return question(
        id,
        f"{layers} convolutions of 3 x 3 in a row see as many pixels as one of {large} x {large}. With {channels} "
        "channels going in and coming out everywhere: how many weights does the stack have, and how many the large "
        "one? No biases.",
        {"stack": small, "large": one},
        "Fewer weights, the same view, and more ReLUs on the way: the idea of VGG.",
        [
            ("counted one layer", {"stack": 9 * square}, f"That is one of the {layers} layers."),
            ("forgot the depth", {"stack": layers * 9 * channels, "large": large * large * channels},
             "You took flat filters. Each filter is as deep as its input."),
            ("forgot the channels", {"stack": layers * 9, "large": large * large},
             "That is for one channel in and one channel out."),
            ("forgot to square", {"large": large * square}, "The large filter is as high as it is wide."),
            ("counted biases", {"stack": small + layers * channels, "large": one + channels},
             "You counted biases. They are left out here."),
            ("swapped the two", {"stack": one, "large": small}, "You have swapped the two."),
        ],
        (
            "Begin with a single 3 x 3 layer.",
            "F x F x channels x channels for a layer; the stack has several of them.",
            f"{layers} * 9 * {channels} * {channels}, and {large * large} * {channels} * {channels}.",
        ),
        f"Stack: {layers} * 9 * {channels} * {channels} = {{stack:,}}. Large: {large * large} * {channels} * "
        f"{channels} = {{large:,}}.",
    )


def _random_stack(rng: random.Random) -> Question:
    layers, large = rng.choice(((2, 5), (3, 7), (4, 9)))
    return stack("practice-nets", rng.choice((16, 32, 64, 128, 256)), layers=layers, large=large)


QUESTIONS: tuple[Question, ...] = (
    question(
        "nets-1",
        "LeNet-5 on 32 x 32 pictures: 5 x 5 convolution with 6 filters, 2 x 2 pooling with stride 2, 5 x 5 convolution "
        "with 16 filters, 2 x 2 pooling with stride 2 (no padding). How many numbers does its first linear layer get?",
        {"features": pool_output_size(AFTER_C3, 2) ** 2 * 16},
        "32 -> 28 -> 14 -> 10 -> 5: that is why LeNet-5 wants 32 pixels and MNIST's 28 are padded by 2.",
        [
            ("forgot the maps", pool_output_size(AFTER_C3, 2) ** 2, "That is one map. How many are there?"),
            ("started from 28", 4**2 * 16, "You started from 28 x 28, the size of MNIST before it is padded."),
            ("forgot the last pooling", AFTER_C3**2 * 16, "You flattened before the second pooling."),
            ("took 6 maps", pool_output_size(AFTER_C3, 2) ** 2 * 6, "You took the maps after the first convolution."),
            ("forgot the shrinking", 8**2 * 16, "You only halved twice. The convolutions shrink the map too."),
        ],
        (
            "Follow the size through the four layers.",
            "A 5 x 5 filter takes 4 pixels off, a pooling layer halves.",
            "After the second pooling a map is 5 x 5.",
        ),
        "32 -> 28 -> 14 -> 10 -> 5, and 5 * 5 * 16 = {features:,}.",
    ),
    question(
        "nets-2",
        "LeNet-5 as it is built today: convolutions 1 -> 6 and 6 -> 16 (both 5 x 5), then linear layers 400 -> 120 -> "
        "84 -> 10. How many parameters in all, biases included?",
        {"parameters": LENET},
        "A thousandth of AlexNet. In 1998 most maps of the second convolution saw only some of the six: even fewer.",
        [
            ("forgot the biases", LENET - LENET_BIASES, "You left out the biases."),
            ("only the convolutions", LENET_CONVS, "Those are the two convolutions. The linear layers are missing."),
            ("only the linear layers", LENET - LENET_CONVS,
             "Those are the linear layers. The convolutions are missing."),
            ("took flat filters", LENET - parameter_count(6, 16, 5) + 16 * 26,
             "The filters of the second convolution are 6 deep."),
        ],
        (
            "Five layers: count each, then add.",
            "Convolution: (F * F * depth + 1) * filters. Linear: (inputs + 1) * outputs.",
            "156 + 2,416 + 48,120 + 10,164 + 850.",
        ),
        "156 + 2,416 + 48,120 + 10,164 + 850 = {parameters:,}.",
    ),
    question(
        "nets-3",
        "AlexNet has 8 layers with weights. How many of them are convolutions, and how many are linear layers?",
        {"convolutions": 5, "linear": 3},
        "Names like VGG-16 and ResNet-50 count the same way: only layers with weights.",
        [
            ("counted the pooling layers", {"convolutions": 8}, "Eight is the number of all layers with weights."),
            ("swapped the two", {"convolutions": 3, "linear": 5}, "You have swapped the two."),
            ("forgot the output layer", {"convolutions": 6, "linear": 2},
             "FC8, which gives the class scores, is linear as well."),
        ],
        ("Look at the names in the lecture's listing: CONV1, CONV2, ... and FC6, FC7, ...",
         "The numbers run on: the last convolution is followed by FC6."),
        "CONV1 to CONV5 and FC6 to FC8: {convolutions} convolutions, {linear} linear layers.",
    ),
    question(
        "nets-4",
        f"torchvision's AlexNet has {ALEXNET:,} parameters; its three linear layers (9216 -> 4096 -> 4096 -> 1000) "
        f"have {ALEXNET_LINEAR:,} of them. How many percent is that?",
        {"percent": 100 * ALEXNET_LINEAR / ALEXNET},
        "And yet the convolutions do more than nine tenths of the work.",
        [
            ("gave the fraction", ALEXNET_LINEAR / ALEXNET, "That is the fraction. Percent means of a hundred."),
            ("took the convolutions", 100 - 100 * ALEXNET_LINEAR / ALEXNET, "That is the share of the convolutions."),
            ("took the first linear layer", 100 * linear_count(9216, 4096) / ALEXNET, "That is FC6 on its own."),
            ("compared with the rest", 100 * ALEXNET_LINEAR / (ALEXNET - ALEXNET_LINEAR),
             "You divided by the parameters of the convolutions. Divide by all of them."),
        ],
        ("Divide the part by the whole.", "58.6 million of 61.1 million."),
        f"100 * {ALEXNET_LINEAR:,} / {ALEXNET:,} = {{percent:.1f}} percent.",
        tolerance=0.5,
    ),
    question(
        "nets-5",
        "The AlexNet of 2012 ran on two GPUs. Its second layer has 256 filters in 2 groups, on an input of 96 "
        "channels. How many channels does one of these filters see?",
        {"channels": 96 // 2},
        "The paper's figure shows it: two towers; its layers 2, 4 and 5 read only their own.",
        [
            ("forgot the groups", 96, "That is the whole input. One GPU held only its own part of it."),
            ("divided the filters", 256 // 2, "That is how many filters each GPU has. How deep is one of them?"),
            ("divided twice", 96 // 4, "There are two groups. You divided by more."),
        ],
        ("Each GPU sees its own part of the input.", "Input channels / groups."),
        "96 / 2 = {channels}.",
    ),
    stack("nets-6", 64),
    question(
        "nets-7",
        "In VGG-16, which layer has the most parameters?",
        {"layer": "first linear layer"},
        "102,764,544 of its 138 million: 7 * 7 * 512 numbers go into 4096 neurons.",
        [
            ("took the first convolution", "first convolution",
             "It is the smallest layer of all: its input has three channels."),
            ("took the last convolution", "last convolution",
             "It is a large convolution with 2.4 million. Look further."),
            ("took the last linear layer", "last linear layer", "It has 4096 * 1000 weights. There is a larger one."),
        ],
        ("Weights of a linear layer: inputs x outputs. Where are there most inputs?",),
        "The {layer}: 25,088 inputs, 4096 outputs.",
    ),
    question(
        "nets-8",
        "In VGG-16, where are the largest activation maps (the most numbers to keep in memory for a picture)?",
        {"layer": "first convolutions"},
        "3.2 million numbers each: most memory is early, most parameters are late.",
        [
            ("took the last convolutions", "last convolutions", "They have most maps, 512, but small ones: 14 x 14."),
            ("took the linear layers", "linear layers", "They have most parameters, but put out 4096 numbers."),
        ],
        ("Width x height x depth: what do pooling and more filters do to it?",),
        "The {layer}: 224 * 224 * 64, against 14 * 14 * 512 late in the network.",
    ),
    question(
        "nets-17",
        "ILSVRC 2012, top-5 error: the next best entry had 26.2 %, AlexNet 16.4 %. By how many percentage points is it "
        "lower, and by how many percent?",
        {"points": 26.2 - 16.4, "percent": 100 * (26.2 - 16.4) / 26.2},
        "\"Reduced the error rate by 10 %\" means points: in percent it is much more.",
        [
            ("took points for percent", {"percent": 26.2 - 16.4},
             "That is the difference, in points. Percent of what?"),
            ("divided by the new error", {"percent": 100 * (26.2 - 16.4) / 16.4},
             "You divided by the new error. The old one was there first."),
            ("took what is left", {"percent": 100 * 16.4 / 26.2}, "So many percent of the errors are left."),
            ("swapped the two", {"points": 100 * (26.2 - 16.4) / 26.2},
             "That is in percent. Points are the difference."),
        ],
        ("Points: a difference. Percent: compared with what there was before.", "100 * (26.2 - 16.4) / 26.2."),
        "26.2 - 16.4 = {points:.1f} points; 100 * 9.8 / 26.2 = {percent:.1f} percent.",
        tolerance=0.5,
    ),
    question(
        "nets-18",
        "VGG-16 gets a picture of 224 x 224. Its convolutions keep the size, its five 2 x 2 pooling layers halve it. "
        "How wide is the last map?",
        {"width": 224 // 2**5},
        "A size that can be halved five times: 224 = 7 * 32.",
        [
            ("one pooling too few", 224 // 2**4, "That is after four of the five."),
            ("one pooling too many", 224 / 2**6, "That is one halving too many."),
            ("divided by five", 224 / 5, "You divided by 5. Each layer divides by 2."),
            ("divided by ten", 224 / 10, "Five halvings are not one tenth."),
        ],
        ("Halve, and halve again.", "224, 112, 56, ..."),
        "224 -> 112 -> 56 -> 28 -> 14 -> {width}.",
    ),
    question(
        "nets-19",
        "Which network won the classification task of ILSVRC 2014?",
        {"network": "GoogLeNet"},
        "6.7 % against VGG's 7.3 % top-5 error. VGG came second there, and first in localisation.",
        [
            ("took VGG", "VGG", "Some slides say so. The abstract on the same slide says which places it got."),
            ("took AlexNet", "AlexNet", "That was 2012."),
            ("took ResNet", "ResNet", "That was 2015."),
        ],
        ("Read the abstract of the VGG paper to its end.",),
        "{network}, with 6.7 % top-5 error.",
    ),
    question(
        "nets-29",
        "ImageNet's challenge has 1000 classes, equally many pictures of each. Somebody guesses five of the classes at "
        "random. How many percent is the top-5 error?",
        {"percent": 100 * (1 - 5 / 1000)},
        "An error of 16.4 % is far from perfect, and very far from guessing.",
        [
            ("took one guess", 100 * (1 - 1 / 1000), "That is the top-1 error. Five guesses are allowed."),
            ("gave the accuracy", 100 * 5 / 1000, "So often one of the five is right. How often is none?"),
            ("divided by five", 100 / 5, "There are 1000 classes, not five."),
        ],
        ("How many of the 1000 classes are not among the five?", "Error: 100 percent minus what is right."),
        "5 of 1000 are right by chance, 0.5 percent; the error is 100 - 0.5 = {percent:.1f} percent.",
        tolerance=0.04,
    ),
    question(
        "nets-30",
        "Which of these did the AlexNet paper introduce?",
        {"introduced": "neither"},
        "Dropout: Hinton et al., July 2012; the abstract says \"recently-developed\". ReLU: Nair and Hinton 2010, and "
        "earlier. AlexNet made both famous.",
        [
            ("took dropout", "dropout", "The abstract calls it a \"recently-developed\" method, and cites a paper."),
            ("took ReLU", "ReLU", "The paper cites Nair and Hinton for it, two years earlier."),
        ],
        ("Read the abstract: which words stand before \"dropout\"?",),
        "It introduced {introduced} of them: it cites others for both.",
    ),
    question(
        "nets-31",
        "How many neurons (numbers that come out) has the first convolution of the 2012 AlexNet: 96 maps of 55 x 55?",
        {"neurons": 55 * 55 * 96},
        "The caption of the paper's figure says 253,440. It does not fit the 55 x 55 that its text implies.",
        [
            ("took the caption", 253440, "So says the caption of the paper's figure. Compute it."),
            ("took one map", 55 * 55, "That is one map. How many are there?"),
            ("forgot to square", 55 * 96, "A map is as high as it is wide."),
            ("took the parameters", (11 * 11 * 3 + 1) * 96, "Those are the parameters. Neurons are what comes out."),
        ],
        ("Width x height x depth.",),
        "55 * 55 * 96 = {neurons:,}.",
    ),
    question(
        "nets-25",
        "A linear classifier, f(x) = Wx + b, for pictures of 28 x 28 in grey and 10 classes. How many parameters does "
        "it have, biases included?",
        {"parameters": linear_count(784, 10)},
        "Each row of W is a template as large as the picture.",
        [
            ("forgot the biases", 7840, "You left out b: one number for each class."),
            ("took one side", linear_count(28, 10), "A picture has 28 rows of 28 pixels each."),
            ("took one template", 785, "That is for one class. There are ten."),
            ("took three colours", linear_count(3 * 784, 10), "The pictures are grey: one number a pixel."),
        ],
        ("How many numbers go in, how many come out?", "(inputs + 1) * outputs.", "(28 * 28 + 1) * 10."),
        "(784 + 1) * 10 = {parameters:,}.",
    ),
    question(
        "nets-26",
        f"A network 784 -> h -> 10 with one hidden layer should have about as many parameters as LeNet-5 ({LENET:,}), "
        "biases included. For which h does it come nearest? A whole number.",
        {"hidden": 78},
        "LeNet spends most of its parameters in a fully connected layer too, but behind its convolutions.",
        [
            ("rounded down", 77, "That gives 61,225: near, but the next one is nearer."),
            ("forgot the output layer", 79, "You divided by 785. Each hidden unit also has 10 weights that leave it."),
            ("gave the parameters", linear_count(784, 78, 10), "That is the number of parameters. How many units?"),
        ],
        (
            "Count the parameters with h as an unknown.",
            "(784 + 1) * h + (h + 1) * 10 = 795 * h + 10.",
            f"({LENET:,} - 10) / 795, rounded.",
        ),
        "795 * h + 10 is nearest to 61,706 for h = {hidden}: 62,020.",
    ),
    question(
        "nets-27",
        "How many pictures does the training part of MNIST hold?",
        {"pictures": 60_000},
        "A slide says 10^3. ImageNet's 1.3 million are about 20 times as many.",
        [
            ("took the slide's number", 1000, "So says a slide. Count them."),
            ("took the test part", 10_000, "Those are the test pictures."),
            ("took both parts", 70_000, "Those are both parts together."),
            ("took one class", 6000, "About so many show each digit. There are ten digits."),
        ],
        ("There are about 6000 of each digit.",),
        "{pictures:,}, and 10,000 for the test.",
    ),
    question(
        "nets-28",
        "The pixels of all pictures, for training and for the test, are shuffled in the same way. A two-layer MLP and "
        "LeNet are trained on them. Which of them reads fewer test pictures than without the shuffling?",
        {"network": "LeNet"},
        "To a fully connected layer the order of its inputs means nothing; a convolution relies on neighbours.",
        [
            ("took the MLP", "the MLP", "Its weights can be shuffled along with the pixels. What has it lost?"),
            ("took both", "both", "One of the two never knew which pixels are neighbours."),
            ("took none", "none", "No information is lost, but one of the two has a use for neighbours."),
        ],
        ("Which of them knows that two pixels are neighbours?",),
        "{network}.",
    ),
)
PRACTICE = {"nets": (_random_stack,)}
