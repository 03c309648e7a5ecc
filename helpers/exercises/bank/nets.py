"""Topic "nets": the two ideas that one can count, VGG's stacks of small filters and ResNet's bottlenecks."""

from __future__ import annotations

import random

from helpers.exercises.questions import Generators, Question, question


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


GENERATORS: Generators = {stack: _random_stack, bottleneck: _random_bottleneck}
