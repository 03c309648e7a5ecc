"""Plain and residual networks of depth 6n+2 for small pictures (He, Zhang, Ren, Sun 2015, section 4.2).

A plain network and its residual twin have the same layers and the same number of parameters; only the shortcuts differ.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class CifarNet(nn.Module):
    """A 3x3 convolution, three stages of ``n`` blocks of two 3x3 convolutions each, global average, linear layer.

    That makes 6n+2 layers with weights. From stage to stage the maps become half as large and twice as many: 16, 32, 64
    maps of 32x32, 16x16, 8x8 px for pictures of CIFAR-10. Any other size from 4 px on works too.

    Args:
        depth: 8, 14, 20, 26, 32, ... The paper compares 20, 32, 44, 56 and 110.
        residual: True with shortcuts ("ResNet-20"), False without ("plain-20").
        width: number of maps in the first stage; the paper's is 16.
    """

    def __init__(
        self, depth: int, *, residual: bool, num_classes: int = 10, in_channels: int = 3, width: int = 16
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth={depth} must be 6n+2 with n at least 1: 8, 14, 20, 26, 32, 38, 44, 50, 56, ...")
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.stage1 = _stage(blocks, width, width, stride=1, residual=residual)
        self.stage2 = _stage(blocks, width, 2 * width, stride=2, residual=residual)
        self.stage3 = _stage(blocks, 2 * width, 4 * width, stride=2, residual=residual)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)
        he_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(N, num_classes)`` of images ``(N, in_channels, H, W)``."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.avgpool(x).flatten(1))


class PlainBlock(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU: ``relu(F(x))``."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        # No bias: batch norm subtracts the mean and adds a bias of its own.
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out)


class ResidualBlock(PlainBlock):
    """The same layers with a shortcut: ``relu(F(x) + x)``. With all weights of F at zero it hands x on."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, stride=stride)
        self.shortcut = Shortcut(out_channels - in_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + self.shortcut(x))


class Shortcut(nn.Module):
    """Hands x on without any parameter (the paper's option A).

    Where the maps become half as large, every second row and column is taken; where they become more, maps of zeros are
    added behind.
    """

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            x = F.pad(x, (0, 0, 0, 0, 0, self.new_channels))  # (left, right, top, bottom, before, behind)
        return x


def _stage(blocks: int, in_channels: int, out_channels: int, *, stride: int, residual: bool) -> nn.Sequential:
    block = ResidualBlock if residual else PlainBlock
    first = block(in_channels, out_channels, stride=stride)
    return nn.Sequential(first, *[block(out_channels, out_channels) for _ in range(blocks - 1)])


def he_weights(model: nn.Module) -> None:
    """Initial weights of He et al. 2015, "Delving Deep into Rectifiers": standard deviation sqrt(2 / fan-in)."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
