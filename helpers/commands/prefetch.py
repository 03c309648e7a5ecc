"""``python -m helpers prefetch``: before class, bring every dataset and pretrained network of the course here.

Afterwards the notebooks need no network, in either profile: with KIT_OFFLINE=1 ``runtime.choose`` takes what is here.
What the kit draws itself, ``alexnet_mini`` and ``resnet_mini`` come with it and are not in the list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torchvision

from helpers import datasets, digits, machine, models, photos
from helpers.datasets import catalogue, download

DIGITS = {"MNIST": 11, "FashionMNIST": 30, "CIFAR10": 163}  # torchvision's datasets: MiB to download
PHOTOS = [name for name, photo in photos.CATALOGUE.items() if photo.url]
WEIGHTS = (  # pretrained networks that a cell of a notebook loads, by torchvision's names
    "alexnet", "squeezenet1_1", "vgg16", "resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One thing to bring. ``bring`` raises an OSError that says what to do."""

    name: str
    mib: float | None  # to download; None: not known
    is_there: Callable[[], bool]
    bring: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.name:35s}{'size not known' if self.mib is None else size(self.mib)}"


def prefetch(*, only_list: bool = False) -> int:
    """Bring what is missing, or only list it; returns the exit status, 1 when something could not be had."""
    wanted = items()
    missing = [item for item in wanted if not item.is_there()]
    if only_list:
        for item in wanted:
            print(f"{'to fetch' if item in missing else 'here':12s}{item}")
        unknown = sum(item.mib is None for item in missing)
        known = size(sum(item.mib or 0 for item in missing))
        print(f"To fetch: {len(missing)} of {len(wanted)}, {known}" + f" and {unknown} of unknown size" * bool(unknown))
        return 0
    failed = 0
    for item in wanted:
        try:
            item.bring()
            print(f"{'fetched' if item in missing else 'was here':12s}{item}", flush=True)
        except OSError as error:
            failed += 1
            print(f"{'MISSING':12s}{item.name}\n    {str(error).replace(chr(10), chr(10) + '    ')}", flush=True)
    print(f"\nHere: {len(wanted) - failed} of {len(wanted)}.")
    if failed:
        print(f"Missing: {failed}; the reasons stand above. Run the same command again when they are mended.")
    else:
        print("Every notebook now runs without a network: set KIT_OFFLINE=1.")
    return 1 if failed else 0


def items() -> list[Item]:
    """Everything that the notebooks use and that does not come with the kit."""
    real = [name for name in catalogue.names() if not catalogue.look_up(name).drawn]
    wanted = [Item(name, None, partial(datasets.is_ready, name), partial(datasets.fetch, name)) for name in real]
    for name, mib in DIGITS.items():
        wanted.append(Item(name, mib, partial(digits.is_ready, name), partial(digits.load, name, train=1, test=1)))
    for name in PHOTOS:
        here = partial(lambda name: name in photos.names(here=True), name)
        wanted.append(Item(f"photo {name}", 0.2, here, partial(photos.load, name)))
    for name in WEIGHTS:
        weights = torchvision.models.get_model_weights(name).DEFAULT
        mib, file = weights.meta["_file_size"], models.weights_file(weights)
        bring = partial(fetch_weights, weights.url, file)
        wanted.append(Item(f"weights of {name}", mib, file.is_file, bring))
    return wanted


def fetch_weights(url: str, file: Path) -> None:
    """Bring a file of weights, whose name ends in the beginning of its SHA-256; one that is here is checked.

    Raises OSError: it is damaged, cannot be had, or cannot be written.
    """
    start = file.stem.rpartition("-")[2]
    if file.is_file():
        if download.sha256_of(file).startswith(start):
            return
        raise OSError(f"{file} is damaged. Delete it and run the same command again.")
    if machine.offline():
        raise OSError("It is not on this machine, and KIT_OFFLINE=1 forbids fetching it. Unset KIT_OFFLINE.")
    try:
        download.download(url, file, sha256=start)
    except OSError as error:
        raise OSError(
            f"{machine.reason(error)}. Try again, bring the file {url} into {file.parent}, "
            "or set TORCH_HOME to a folder on another disk."
        ) from error


def size(mib: float) -> str:
    return f"{mib / 1024:5.1f} GiB" if mib >= 1024 else f"{mib:5.0f} MiB"
