"""``resnet_mini``: ResNet-18's shape at an eighth of its size, with pretrained weights inside the kit.

A convolution, three stages of two residual blocks, global average, one linear layer, under the names of
``torchvision.models.resnet18`` (``conv1`` ... ``layer3.1.conv2``, ``fc``) and with torchvision's own block. There is
no max pool and no fourth stage: it is made for images of 64 px, which are 8x8 maps in the end.
``tests/tools/pretrain.py`` made the weights; ``card()`` tells their story.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from helpers.models import shipped
from helpers.models.cifar_nets import he_weights

WEIGHTS_FILE = Path(__file__).with_name("resnet_mini.pt")
WEIGHTS_SHA256 = "e0669c3f9642a96551ee40775365639cbc625d6312fc9832b195bbf5c7931262"
CHANNELS = (32, 96, 176)  # of the three stages; ResNet-18: 64, 128, 256, 512


class ResNetMini(nn.Module):
    """ResNet-18 (He et al. 2015) made narrow and one stage shorter, for images of 64x64 px and larger."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.conv1 = nn.Conv2d(3, first, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(first, first), BasicBlock(first, first))
        self.layer2 = nn.Sequential(_halving(first, second), BasicBlock(second, second))
        self.layer3 = nn.Sequential(_halving(second, third), BasicBlock(third, third))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(third, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(N, num_classes)`` of normalised images ``(N, 3, H, W)``, H and W at least 32 px."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


def _halving(inputs: int, outputs: int) -> BasicBlock:
    """A block whose maps are half as large and more; a 1x1 convolution makes its shortcut fit."""
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=1, stride=2, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)


def build(num_classes: int = 200) -> nn.Module:
    """An untrained ``resnet_mini``, in train mode, with He's initial weights (He et al. 2015)."""
    model = ResNetMini(num_classes)
    he_weights(model)
    return model


def load() -> nn.Module:
    """The pretrained network, in eval mode: scores for the 200 classes of ``card()["classes"]``.

    Images ``(N, 3, H, W)`` normalised as ImageNet's. Weights are float32, rounded to float16 on disk.
    Raises WeightsError when the file is missing or not the one that belongs to this kit.
    """
    return shipped.restore(ResNetMini, shipped.read(WEIGHTS_FILE, WEIGHTS_SHA256))


def card() -> dict[str, Any]:
    """What the weights were trained on, how, when, how good they are, their classes and their licence."""
    return shipped.read(WEIGHTS_FILE, WEIGHTS_SHA256)["card"]
