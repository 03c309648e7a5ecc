"""Topic "transfer": a new head on an old network."""

from __future__ import annotations

import random

from helpers.exercises.questions import Generators, Question, question


def head(
    id: str,
    features: int,
    classes: int,
    *,
    net: str = "A pretrained network",
    insight: str = "So little is trained that minutes on a CPU are enough.",
) -> Question:
    """The question how many parameters are trained when only a new last layer is."""
    weights = features * classes
    return question(
        id,
        f"{net} gives {features:,} features to its last linear layer, which had 1000 classes. You freeze everything, "
        f"put in a new last layer for {classes} classes and train it. How many parameters are trained, biases "
        "included?",
        {"parameters": (features + 1) * classes},
        insight,
        [
            ("forgot the biases", weights, "You left out the biases: there is one for each class."),
            ("kept 1000 classes", (features + 1) * 1000,
             "That is the old last layer. How many classes are there now?"),
            ("counted biases by inputs", weights + features,
             "You counted a bias for each feature. The biases belong to the classes."),
            ("counted one bias", weights + 1, "You counted a single bias. Every class has one of its own."),
            ("counted one class", features + 1, "That is one class. How many are there?"),
            ("added a class", (features + 1) * (classes + 1),
             "You added a class for \"something else\". There is none."),
        ],
        ("Only the new layer is trained: how many inputs and outputs does it have?", "Features x classes + classes.",
         f"{features} * {classes} + {classes}."),
        f"{features:,} * {classes} + {classes} = {{parameters:,}}.",
    )


def _random_head(rng: random.Random) -> Question:
    return head("practice-transfer", rng.choice((512, 1024, 1280, 2048, 4096)), rng.randint(2, 120))


GENERATORS: Generators = {head: _random_head}
