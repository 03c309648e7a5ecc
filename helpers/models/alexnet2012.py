"""AlexNet as in the paper: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep CNNs", NIPS 2012.

torchvision's ``alexnet`` is another network: the single column of "One weird trick" (Krizhevsky 2014), with fewer
filters, no groups and no response normalisation.
"""

from __future__ import annotations

from torch import Tensor, nn

STARTS_WITH_BIAS_ONE = (
    *("features.4", "features.10", "features.12"),  # the second, fourth and fifth convolution
    *("classifier.1", "classifier.4"),  # the hidden linear layers
)


class AlexNet2012(nn.Module):
    """The network of 2012 for pictures of 227x227 px: 60,965,224 parameters for 1000 classes.

    It was trained on two GPUs, half of the maps on each. The second, fourth and fifth convolution saw only the maps on
    their own GPU. That is what ``groups=2`` does; the third saw both. The paper says 224x224, but its 55x55 maps need
    227 without padding.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, kernel_size=11, stride=4),  # 55x55
            nn.ReLU(),
            response_normalisation(),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 27x27; windows overlap, since 3 > 2
            nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
            nn.ReLU(),
            response_normalisation(),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 13x13
            nn.Conv2d(256, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 6x6
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(N, num_classes)`` of images ``(N, 3, 227, 227)``."""
        return self.classifier(self.features(images).flatten(1))

    def _initialise(self) -> None:
        """Section 5 of the paper. A bias of one gives the ReLUs positive inputs, so that they learn from the start."""
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                assert layer.bias is not None
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.constant_(layer.bias, 1.0 if name in STARTS_WITH_BIAS_ONE else 0.0)


def response_normalisation() -> nn.LocalResponseNorm:
    """Section 3.3 of the paper: a value is divided by (2 + 1e-4 * sum of squares over 5 neighbouring maps) ** 0.75."""
    neighbours = 5
    # PyTorch divides alpha by the number of neighbours, the paper does not.
    return nn.LocalResponseNorm(neighbours, alpha=1e-4 * neighbours, beta=0.75, k=2.0)
