"""Small pictures for first experiments, whole sets as tensors: MNIST, Fashion-MNIST, CIFAR-10, and drawn digits.

The first three come through ``torchvision.datasets`` and lie in ``machine.home()/torchvision``. Without a network the
kit draws digits, ``digits_standin``, a data set of its own with fewer pictures.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor
from torchvision.datasets.utils import check_integrity

from helpers import machine
from helpers.datasets import DataError, standin

STANDIN = "digits_standin"
SIZES = {  # pictures for training and for the test
    "MNIST": (60_000, 10_000),
    "FashionMNIST": (60_000, 10_000),
    "CIFAR10": (50_000, 10_000),
    STANDIN: (6_000, 1_000),
}


@dataclass(frozen=True)
class Digits:
    """A data set in memory. Pictures are uint8 ``(N, C, H, W)``, labels int64 ``(N,)``, all on the CPU."""

    name: str  # stands in titles
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.train_images.shape[1:]))
        return (
            f"{self.name}: {len(self.train_labels):,} pictures for training, {len(self.test_labels):,} for the test, "
            f"each {shape}; {len(self.classes)} classes: {', '.join(self.classes)}"
        )


def choose(online: str) -> str:
    """``online`` where it can be had, else the drawn digits; says in one line which. As ``runtime.choose``.

    Raises:
        ValueError: no such data set.
    """
    _check(online)
    return machine.choose(online, [STANDIN], is_ready=is_ready, url=_address(online))


def can_have(name: str) -> bool:
    """True where ``load(name)`` has a chance: the data set is on this machine, or its server answers."""
    _check(name)
    return is_ready(name) or machine.can_reach(_address(name))


def is_ready(name: str) -> bool:
    """True when ``load(name)`` needs no network: drawn by the kit, unpacked, or packed and whole on this machine."""
    _check(name)
    if name == STANDIN:
        return True
    with contextlib.suppress(RuntimeError):  # torchvision's word for "not found or damaged"
        _open(name, train=True, download=False)
        return True
    return all(check_integrity(str(path), md5) for path, md5 in _archives(name))


def load(name: str, *, train: int | None = None, test: int | None = None) -> Digits:
    """The data set ``name``; ``train`` and ``test`` take that many pictures only, the first ones.

    Both parts come in mixed order (torchvision's are mixed already), so that the first ones are of all classes.

    Raises:
        ValueError: no such data set, or more pictures asked for than it has.
        DataError: it is not on this machine and cannot be downloaded; the message says what to do.
    """
    _check(name)
    for part, wanted, most in zip(("train", "test"), (train, test), SIZES[name], strict=True):
        if wanted is not None and not 1 <= wanted <= most:
            raise ValueError(f"{part}={wanted} must be from 1 to {most:,}, what {name} has. None takes all.")
    if name == STANDIN:
        (images, labels), (others, other_labels) = map(_mixed, standin.digits().values())
        classes = tuple("0123456789")
    else:
        first, second = _bring(name)
        (images, labels), (others, other_labels) = _tensors(first), _tensors(second)
        classes = tuple(word.partition(" - ")[0] for word in first.classes)  # MNIST's are "0 - zero", "1 - one", ...
    return Digits(name, images[:train], labels[:train], others[:test], other_labels[:test], classes)


def _check(name: str) -> None:
    if name not in SIZES:
        raise ValueError(f"There is no data set {name!r} here; choose one of {', '.join(SIZES)}.")


# --- torchvision's --------------------------------------------------------------------------------------------------


def _root() -> Path:
    return machine.home() / "torchvision"


def _open(name: str, *, train: bool, download: bool) -> torchvision.datasets.VisionDataset:
    return getattr(torchvision.datasets, name)(_root(), train=train, download=download)


def _archives(name: str) -> list[tuple[Path, str]]:
    """The packed files that torchvision unpacks, with their MD5 sums."""
    kind = getattr(torchvision.datasets, name)
    if name == "CIFAR10":
        return [(_root() / kind.filename, kind.tgz_md5)]
    return [(_root() / name / "raw" / file, md5) for file, md5 in kind.resources]


def _address(name: str) -> str:
    kind = getattr(torchvision.datasets, name)
    return kind.url if name == "CIFAR10" else kind.mirrors[0] + kind.resources[0][0]


def _bring(name: str) -> tuple[torchvision.datasets.VisionDataset, torchvision.datasets.VisionDataset]:
    """Both parts, downloaded if that is needed and allowed."""
    ready = is_ready(name)
    if not ready and machine.offline():
        raise DataError(
            f"{name} is not on this machine and {machine.no_network()}. Put its files into "
            f"{_archives(name)[0][0].parent}, remove KIT_OFFLINE, or work with {STANDIN}."
        )
    try:
        return _open(name, train=True, download=True), _open(name, train=False, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be had: {error}. Try again, put its files into {_archives(name)[0][0].parent}, or "
            f"work with {STANDIN}."
        ) from error


def _tensors(part: torchvision.datasets.VisionDataset) -> tuple[Tensor, Tensor]:
    pixels = torch.as_tensor(part.data)
    images = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return images, torch.as_tensor(part.targets)


# --- the kit's ------------------------------------------------------------------------------------------------------


def _mixed(drawn: np.ndarray) -> tuple[Tensor, Tensor]:
    """The drawn digits ``(N, 1, 28, 28)`` and their labels, in an order that is always the same and mixed."""
    images = torch.from_numpy(drawn).reshape(-1, 1, 28, 28)
    labels = torch.arange(10).repeat_interleave(drawn.shape[1])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return images[order], labels[order]
