"""Networks of the papers that the kit writes out itself, by name. They come untrained: nobody published weights.

The code to read is in ``lenet``, ``alexnet2012`` and ``cifar_nets``.
"""

from __future__ import annotations

import re

from torch import nn

from helpers.models.alexnet2012 import AlexNet2012
from helpers.models.cifar_nets import CifarNet
from helpers.models.lenet import LeNet5

NAMES = ("lenet5", "alexnet_2012", "resnet20_cifar", "plainnet20_cifar")  # and the last two with any depth 6n+2


def is_known(name: str) -> bool:
    return name in NAMES or _depth(name) is not None


def build(name: str, *, num_classes: int | None = None) -> nn.Module:
    """The untrained network ``name``, in train mode.

    "lenet5" takes ``(N, 1, 32, 32)``, "alexnet_2012" ``(N, 3, 227, 227)``, "resnet20_cifar" and "plainnet20_cifar"
    ``(N, 3, 32, 32)``. ``num_classes`` None is the paper's own: 1000 for AlexNet, 10 for the others.

    Raises:
        ValueError: no such name, or a depth that is not 6n+2.
    """
    classes = {} if num_classes is None else {"num_classes": num_classes}
    if name == "lenet5":
        return LeNet5(**classes)
    if name == "alexnet_2012":
        return AlexNet2012(**classes)
    if not is_known(name):
        raise ValueError(f"The kit writes out no network {name!r}, only {', '.join(NAMES)} (and other depths).")
    return CifarNet(_depth(name), residual=name.startswith("resnet"), **classes)


def _depth(name: str) -> int | None:
    """20 of "resnet20_cifar" or "plainnet20_cifar"; None of any other name."""
    found = re.fullmatch(r"(?:resnet|plainnet)(\d+)_cifar", name)
    return int(found[1]) if found else None
