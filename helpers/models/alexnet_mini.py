"""``alexnet_mini``: AlexNet's shape at a fortieth of its size, with pretrained weights inside the kit.

Five convolutions, three max pools and three linear layers, under the same names and indices as
``torchvision.models.alexnet`` (``features.0`` ... ``classifier.6``), so that whatever takes the one apart or gives it a
new head does the same with the other. ``tests/tools/pretrain.py`` made the weights; ``card()`` tells their story.
"""

from __future__ import annotations

import copy
import hashlib
import io
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from helpers.models.cifar_nets import he_weights

WEIGHTS_FILE = Path(__file__).with_name("alexnet_mini.pt")
WEIGHTS_SHA256 = "bce4baa409374c29ba07ba83e9f25fae3d3c5b0d44f15472f61a3df6385d8edc"
CHANNELS = (48, 128, 192, 192, 192)  # of the five convolutions; AlexNet in torchvision: 64, 192, 384, 256, 256
HIDDEN = 384  # width of the first two linear layers; AlexNet: 4096
LAYERS_WITH_NORM = (
    *("features.0", "features.3", "features.6", "features.8", "features.10"),
    *("classifier.1", "classifier.4"),
)


class WeightsError(OSError):
    """The file with the pretrained weights is missing, damaged, or not the one that belongs to this kit."""


class AlexNetMini(nn.Module):
    """AlexNet (Krizhevsky et al. 2012) made narrow, for images of 64x64 px and larger."""

    def __init__(self, num_classes: int, dropout: float) -> None:
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


# ---- the weights file: float16 tensors and a card ---------------------------------------------------------------


def load() -> nn.Module:
    """The pretrained network, in eval mode: scores for the 200 classes of ``card()["classes"]``.

    Images ``(N, 3, H, W)`` normalised as ImageNet's. Weights are float32, rounded to float16 on disk.
    Raises WeightsError when the file is missing or not the one that belongs to this kit.
    """
    return restore(_read())


def card() -> dict[str, Any]:
    """What the weights were trained on, how, when, how good they are, their classes and their licence."""
    return _read()["card"]


def restore(weights: dict[str, dict[str, Any]]) -> nn.Module:
    """The network of a weights file's content, in float32 and eval mode."""
    with torch.device("meta"):
        model = AlexNetMini(len(weights["card"]["classes"]), dropout=0.2)
    state = {name: tensor.float() for name, tensor in weights["state_dict"].items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def _read() -> dict[str, dict[str, Any]]:
    """``{"state_dict": ..., "card": ...}`` of the kit's own file, which is checked before anything in it is used."""
    repair = "Get the kit again: run the notebook's set-up cell, or reinstall cnn-course-kit."
    try:
        content = WEIGHTS_FILE.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights file {WEIGHTS_FILE} cannot be read ({error.strerror}). {repair}") from error
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        size = len(content)
        raise WeightsError(f"The weights file {WEIGHTS_FILE} is damaged or not the kit's own ({size} bytes). {repair}")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


# ---- batch norm: there while training, gone in the published network ---------------------------------------------


def with_batch_norm(model: nn.Module) -> nn.Module:
    """A copy with batch norm after every convolution and hidden linear layer, which makes it train faster."""
    model = copy.deepcopy(model)
    for name in LAYERS_WITH_NORM:
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Conv2d):
            norm: nn.Module = nn.BatchNorm2d(layer.out_channels)
        else:
            norm = nn.BatchNorm1d(cast(nn.Linear, layer).out_features)
        _replace(model, name, nn.Sequential(layer, norm))
    return model


@torch.no_grad()
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A plain copy of a network from ``with_batch_norm``: same outputs in eval mode, no batch norm.

    In eval mode batch norm is ``y * scale + shift``, and so can be put into the weights and bias that computed ``y``.
    """
    model = copy.deepcopy(model)
    for name in LAYERS_WITH_NORM:
        layer, norm = cast(Any, model.get_submodule(name))
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
        _replace(model, name, layer)
    return model


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
