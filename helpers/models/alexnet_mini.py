"""``alexnet_mini``: AlexNet's shape at a fortieth of its size, with pretrained weights inside the kit.

Five convolutions, three max pools and three linear layers, under the same names and indices as
``torchvision.models.alexnet`` (``features.0`` ... ``classifier.6``), so that whatever takes the one apart or gives it a
new head does the same with the other. ``tests/tools/pretrain.py`` made the weights; ``card()`` tells their story.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from helpers.models import shipped
from helpers.models.cifar_nets import he_weights

WEIGHTS_FILE = Path(__file__).with_name("alexnet_mini.pt")
WEIGHTS_SHA256 = "bce4baa409374c29ba07ba83e9f25fae3d3c5b0d44f15472f61a3df6385d8edc"
CHANNELS = (48, 128, 192, 192, 192)  # of the five convolutions; AlexNet in torchvision: 64, 192, 384, 256, 256
HIDDEN = 384  # width of the first two linear layers; AlexNet: 4096
LAYERS_WITH_NORM = (
    *("features.0", "features.3", "features.6", "features.8", "features.10"),
    *("classifier.1", "classifier.4"),
)


class AlexNetMini(nn.Module):
    """AlexNet (Krizhevsky et al. 2012) made narrow, for images of 64x64 px and larger."""

    def __init__(self, num_classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        self.features = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=7, stride=2, padding=3),  # AlexNet: 11x11, stride 4
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(first, second, kernel_size=3, padding=1),  # AlexNet: 5x5
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(second, third, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(third, fourth, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(fourth, fifth, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(2)  # AlexNet: 6x6
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(fifth * 2 * 2, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(N, num_classes)`` of normalised images ``(N, 3, H, W)``, H and W at least 64 px."""
        return self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))


def build(num_classes: int = 200, *, dropout: float = 0.2) -> nn.Module:
    """An untrained ``alexnet_mini``, in train mode, with He's initial weights (He et al. 2015)."""
    model = AlexNetMini(num_classes, dropout)
    he_weights(model)
    return model


def load() -> nn.Module:
    """The pretrained network, in eval mode: scores for the 200 classes of ``card()["classes"]``.

    Images ``(N, 3, H, W)`` normalised as ImageNet's. Weights are float32, rounded to float16 on disk.
    Raises WeightsError when the file is missing or not the one that belongs to this kit.
    """
    return shipped.restore(AlexNetMini, shipped.read(WEIGHTS_FILE, WEIGHTS_SHA256))


def card() -> dict[str, Any]:
    """What the weights were trained on, how, when, how good they are, their classes and their licence."""
    return shipped.read(WEIGHTS_FILE, WEIGHTS_SHA256)["card"]


# ---- batch norm: there while training, gone in the published network (pretrain.py puts it into the weights) -------


def with_batch_norm(model: nn.Module) -> nn.Module:
    """A copy with batch norm after every convolution and hidden linear layer, which makes it train faster."""
    model = copy.deepcopy(model)
    for name in LAYERS_WITH_NORM:
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Conv2d):
            norm: nn.Module = nn.BatchNorm2d(layer.out_channels)
        else:
            norm = nn.BatchNorm1d(cast(nn.Linear, layer).out_features)
        exchange(model, name, nn.Sequential(layer, norm))
    return model


def exchange(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put ``new`` where the layer ``name`` is, in place."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
