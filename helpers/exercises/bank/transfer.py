"""Topic "transfer": new heads on old networks, frozen layers, and the four quadrants."""

from __future__ import annotations

import random

from helpers.exercises.bank.nets import ALEXNET, linear_count
from helpers.exercises.questions import Question, question

FEW_SIMILAR = "linear classifier"
MUCH_SIMILAR = "fine-tune few layers"
FEW_DIFFERENT = "several stages"
MUCH_DIFFERENT = "fine-tune many layers"
ADVICE = {
    FEW_SIMILAR: "That is the advice for very little data that is very similar.",
    MUCH_SIMILAR: "That is the advice for quite a lot of data that is very similar.",
    FEW_DIFFERENT: "That is the advice for very little data that is very different.",
    MUCH_DIFFERENT: "That is the advice for quite a lot of data that is very different.",
}
FOUR = ALEXNET - linear_count(4096, 1000) + linear_count(4096, 4)  # torchvision's AlexNet with a head for 4 classes


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
        {"parameters": linear_count(features, classes)},
        insight,
        [
            ("forgot the biases", weights, "You left out the biases: there is one for each class."),
            ("kept 1000 classes", linear_count(features, 1000),
             "That is the old last layer. How many classes are there now?"),
            ("counted biases by inputs", weights + features,
             "You counted a bias for each feature. The biases belong to the classes."),
            ("counted one bias", weights + 1, "You counted a single bias. Every class has one of its own."),
            ("counted one class", features + 1, "That is one class. How many are there?"),
            ("added a class", linear_count(features, classes + 1),
             "You added a class for \"something else\". There is none."),
        ],
        ("Only the new layer is trained: how many inputs and outputs does it have?", "Features x classes + classes.",
         f"{features} * {classes} + {classes}."),
        f"{features:,} * {classes} + {classes} = {{parameters:,}}.",
    )


def _quadrant(id: str, data: str, similarity: str, right: str, insight: str) -> Question:
    return question(
        id,
        f"You have {data} that is {similarity} ImageNet. What does the lecture's table advise: a \"linear classifier\" "
        "on the last features, \"fine-tune few layers\", linear classifiers on features of \"several stages\", or "
        "\"fine-tune many layers\" (or start from scratch)?",
        {"advice": right},
        insight,
        [(f"took {text}", text, sentence) for text, sentence in ADVICE.items() if text != right],
        ("Little data: train few parameters. Different data: do not trust the last, most specific features.",
         "Which half of the table: are there enough pictures to change the layers themselves?"),
        "The lecture's table says: {advice}.",
    )


def _random_head(rng: random.Random) -> Question:
    return head("practice-transfer", rng.choice((512, 1024, 1280, 2048, 4096)), rng.randint(2, 120))


QUESTIONS: tuple[Question, ...] = (
    head("transfer-1", 4096, 4, net="AlexNet"),
    question(
        "transfer-2",
        "The lecture's AlexNet class puts three new linear layers behind the pretrained features: 9216 -> 4096 -> 512 "
        "-> 4. How many parameters do they have, biases included?",
        {"parameters": linear_count(9216, 4096, 512, 4)},
        "Nearly 40 million new, random weights for 1500 pictures: dropout is there for a reason.",
        [
            ("forgot the biases", 9216 * 4096 + 4096 * 512 + 512 * 4, "You left out the biases of the three layers."),
            ("only the last layer", linear_count(512, 4), "That is the last of the three layers."),
            ("forgot the first layer", linear_count(4096, 512, 4), "You left out the first of the three layers."),
            ("forgot the last layer", linear_count(9216, 4096, 512), "You left out the last of the three layers."),
            ("connected in to out", linear_count(9216, 4),
             "You connected the features with the classes. There are two layers between."),
        ],
        (
            "Three layers: count each, then add.",
            "Inputs x outputs + outputs, for each of the three.",
            "9216 * 4096 + 4096, 4096 * 512 + 512, 512 * 4 + 4.",
        ),
        "37,752,832 + 2,097,664 + 2,052 = {parameters:,}.",
    ),
    _quadrant("transfer-3", "very little data", "very similar to", FEW_SIMILAR,
              "The features fit already, and a linear classifier has too few weights to overfit much."),
    _quadrant("transfer-4", "quite a lot of data", "very similar to", MUCH_SIMILAR,
              "The first layers stay as they are: edges and colours are the same everywhere."),
    _quadrant("transfer-5", "very little data", "very different from", FEW_DIFFERENT,
              "\"You're in trouble\": earlier features are more generic, so they may fit better than the last ones."),
    _quadrant("transfer-6", "quite a lot of data", "very different from", MUCH_DIFFERENT,
              "Even here a pretrained start rarely hurts, and it often trains faster."),
    question(
        "transfer-7",
        "All parameters of a ResNet have requires_grad=False, and the model is in training mode. True or False: its "
        "batch norm layers stay exactly as they are.",
        {"stay": False},
        "A frozen backbone needs eval() for its batch norm layers as well.",
        [
            ("trusted requires_grad", True,
             "requires_grad stops gradients. What does batch norm update without gradients?"),
        ],
        ("What does batch norm keep besides gamma and beta?",),
        "{stay}: running mean and variance are updated in every forward pass in training mode.",
    ),
    head("transfer-8", 512, 4, net="ResNet-18",
         insight="In torchvision the layer is called fc in ResNet, and classifier[6] in AlexNet and VGG."),
    question(
        "transfer-9",
        f"AlexNet with a new last layer for 4 classes has {FOUR:,} parameters; only the {linear_count(4096, 4):,} of "
        "the last layer are trained. How many percent is that? Three decimals.",
        {"percent": 100 * linear_count(4096, 4) / FOUR},
        "That is the linear evaluation protocol: what you measure is how good the frozen features are.",
        [
            ("gave the fraction", linear_count(4096, 4) / FOUR, "That is the fraction. Percent means of a hundred."),
            ("turned it round", FOUR / linear_count(4096, 4), "You divided the wrong way round."),
            ("took the frozen part", 100 - 100 * linear_count(4096, 4) / FOUR, "That is the share that is frozen."),
        ],
        ("Divide the part by the whole.", "100 * trained / all."),
        f"100 * {linear_count(4096, 4):,} / {FOUR:,} = {{percent:.3f}} percent.",
        tolerance=0.0015,
    ),
    question(
        "transfer-10",
        "A classifier for bike, cat, dog and person (AlexNet's 4096 features) should also learn flower. The last layer "
        "gets one more output, the old four keep their weights. How many new parameters is that?",
        {"parameters": linear_count(4096, 1)},
        "The new weights start at random, the old ones need not be forgotten.",
        [
            ("forgot the bias", 4096, "You left out the bias of the new class."),
            ("counted all classes", linear_count(4096, 5), "That is the whole new layer. Four classes are kept."),
            ("counted the old classes", linear_count(4096, 4), "That is the old layer. What is added?"),
            ("counted the bias only", 1, "The new class also has a weight for each feature."),
        ],
        ("One output neuron more: what leads to it?", "One weight for each feature, and a bias."),
        "4096 * 1 + 1 = {parameters:,}.",
    ),
    question(
        "transfer-11",
        "A frozen backbone, 1350 training pictures, no random augmentation, 20 epochs. How many pictures go through "
        "the backbone if its features are computed once and kept, and how many if they are not?",
        {"kept": 1350, "not_kept": 1350 * 20},
        "The same result in a twentieth of the work: the backbone gives the same features in every epoch.",
        [
            ("counted the epochs", {"kept": 20, "not_kept": 20}, "You counted epochs. Count pictures."),
            ("forgot the epochs", {"not_kept": 1350}, "That is one epoch."),
            ("counted every epoch", {"kept": 1350 * 20}, "Features that are kept are not computed again."),
            ("counted one", {"kept": 1}, "Each picture has to pass once."),
        ],
        ("What changes in the backbone from epoch to epoch?",
         "Once for each picture, or once for each picture and epoch."),
        "Kept: {kept:,}. Not kept: 1350 * 20 = {not_kept:,}.",
    ),
    question(
        "transfer-12",
        "Which layers of a pretrained network are the most generic, useful for almost any pictures?",
        {"layers": "first"},
        "First filters are edges and colours in every network; the last layers know dog breeds.",
        [
            ("took the middle", "middle", "They know textures and parts. Others are more generic still."),
            ("took the last", "last", "They are made for ImageNet's classes: the most specific of all."),
        ],
        ("What do AlexNet's 64 filters of 11 x 11 look like?",),
        "The {layers} layers.",
    ),
    question(
        "transfer-13",
        "You fine-tune a pretrained backbone together with a new head. Compared with training from scratch, which "
        "learning rate does the backbone get?",
        {"rate": "smaller"},
        "The backbone is nearly right already; large steps would wipe out what it knows.",
        [
            ("took the same", "the same", "Those steps are made for random weights. Are these random?"),
            ("took a larger one", "larger", "Large steps destroy what was learned on ImageNet."),
        ],
        ("How far are the backbone's weights from good ones?",),
        "A {rate} one, often a tenth of the head's or less.",
    ),
    question(
        "transfer-14",
        "Two networks reach 90 % and 80 %. Their average, weight by weight, reaches 40 %. The barrier is how far the "
        "middle lies below the straight line between the ends. How many percentage points is that?",
        {"barrier": 45},
        "A barrier this high says that the two networks lie in different basins.",
        [
            ("measured from the better one", 50, "You measured from the better end. Where is the line in the middle?"),
            ("measured from the worse one", 40, "That is measured from the worse end, or is the accuracy itself."),
            ("took the line's height", 85, "That is the height of the straight line. How far below it is the middle?"),
        ],
        ("Where is the straight line between 90 and 80, half way along?", "Half of the sum of the ends, minus 40."),
        "(90 + 80) / 2 - 40 = {barrier}.",
    ),
    question(
        "transfer-15",
        "Two runs from scratch on one processor, with the same data and settings. What must they share to end in "
        "exactly the same weights: \"initialisation\", \"batch order\" or \"both\"?",
        {"shared": "both"},
        "With both, it is the same computation twice. With one of the two, the runs part after the first steps.",
        [
            ("took the first weights", "initialisation", "From equal weights, other batches lead to other steps."),
            ("took the order", "batch order", "The same batches, but where do the two runs begin?"),
        ],
        ("What does the first step depend on?",),
        "They must share {shared}: first weights, and every batch in its turn (dropout too).",
    ),
    question(
        "transfer-16",
        "Two networks answer four-way questions. Both are right in 90 % of the cases, and their mistakes have nothing "
        "to do with each other: a wrong answer is any of the three others, each as likely. How often do the two give "
        "the same answer? Percent, one decimal.",
        {"percent": 100 * (0.9 * 0.9 + 0.1 * 0.1 / 3)},
        "Accurate networks agree anyway. Agreement says something where it is higher than that.",
        [
            ("forgot the shared mistakes", 100 * 0.9 * 0.9,
             "You counted the cases in which both are right. They can also make the same mistake."),
            ("counted all double mistakes", 100 * (0.9 * 0.9 + 0.1 * 0.1),
             "When both are wrong, they still have three answers to choose from."),
            ("took the accuracy", 90, "That is how often one of them is right."),
        ],
        ("Both right, or both wrong in the same way.", "0.9 * 0.9 + 0.1 * 0.1 / 3, times 100."),
        "100 * (0.81 + 0.01 / 3) = {percent:.1f} percent.",
        tolerance=0.06,
    ),
    question(
        "transfer-17",
        "A network of 8 layers is fine-tuned with a rate for every layer: the last one learns with 0.001, each layer "
        "before it with half the rate of the next. Which rate has the first layer? Give it times a million, to one "
        "decimal.",
        {"lr": 1000 * 0.5**7},
        "About a hundredth of the last layer's rate: the first filters hardly move.",
        [
            ("halved eight times", 1000 * 0.5**8, "You halved once too often: how many steps lead from layer 8 to 1?"),
            ("halved six times", 1000 * 0.5**6, "You halved once too little: how many steps lead from layer 8 to 1?"),
            ("divided by the layers", 1000 / 8, "The rate is halved at each step, not shared out over the layers."),
            ("halved once", 500, "That is the layer before the last."),
        ],
        ("How often is the rate halved on the way from the last layer to the first?", "0.001 * 0.5 to the power of 7."),
        "0.001 * 0.5^7 = {lr:.1f} millionths.",
        tolerance=0.06,
    ),
)
PRACTICE = {"transfer": (_random_head,)}
