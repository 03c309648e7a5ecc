"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998): two convolutions, two poolings, three linear layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class LeNet5(nn.Module):
    """LeNet-5 as it is built today: 61,706 parameters for ten classes.

    Three things were different in 1998. Sixteen maps of the second convolution saw only a part of the six maps below;
    here each sees all six. Pooling had a trainable weight and bias a map; here it is a plain average. The last layer
    compared with drawn prototypes; here it is linear, and its outputs are scores.

    Args:
        padding: 0 for pictures of 32x32 px as in the paper, 2 for the 28x28 px of MNIST and Fashion-MNIST.
        activation: makes the layer that follows a convolution or a linear layer, for example ``nn.ReLU``.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_channels: int = 1,
        padding: int = 0,
        activation: Callable[[], nn.Module] = nn.Tanh,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, kernel_size=5, padding=padding),  # C1: 6 maps of 28x28
            activation(),
            nn.AvgPool2d(kernel_size=2, stride=2),  # S2: 14x14
            nn.Conv2d(6, 16, kernel_size=5),  # C3: 16 maps of 10x10
            activation(),
            nn.AvgPool2d(kernel_size=2, stride=2),  # S4: 5x5
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),  # C5: in the paper a 5x5 convolution of 5x5 maps, which is the same
            activation(),
            nn.Linear(120, 84),  # F6
            activation(),
            nn.Linear(84, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(N, num_classes)`` of images ``(N, in_channels, 32, 32)``, or of 28x28 with ``padding=2``."""
        return self.classifier(self.features(images))
