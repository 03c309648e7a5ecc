"""``python -m helpers prefetch``: before class, bring every data set and pretrained network of the course here.

Afterwards the notebooks need no network, in either profile: with KIT_OFFLINE=1 ``runtime.choose`` takes what is here.
What the kit draws itself, and ``alexnet_mini``, come with it and are not in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from helpers import datasets, machine
from helpers.datasets import catalogue, download

PICTURES = {"MNIST": 11, "FashionMNIST": 30, "CIFAR10": 163}  # torchvision's data sets: MiB to download
WEIGHTS = (  # pretrained networks that a cell of a notebook loads, by torchvision's names
    "alexnet", "squeezenet1_1", "vgg16", "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large",
    "ssd300_vgg16", "fcn_resnet50", "keypointrcnn_resnet50_fpn",
)  # fmt: skip
MIB = 2**20


@dataclass(frozen=True)
class Item:
    """One thing to bring. ``bring`` returns its file or folder, or raises an OSError that says what to do."""

    name: str
    mib: float | None  # to download; None: not known
    is_there: Callable[[], bool]
    bring: Callable[[], Path | None]


def prefetch(*, only_list: bool = False) -> int:
    """Bring what is missing, or only list it; returns the exit status, 1 when something could not be had."""
    return show(items()) if only_list else bring(items())


def items() -> list[Item]:
    """Everything that the notebooks use and that does not come with the kit."""
    wanted = [
        Item(name, None, partial(datasets.is_ready, name), partial(datasets.fetch, name))
        for name in catalogue.names()
        if not catalogue.look_up(name).drawn
    ]
    wanted += [_pictures(name, mib) for name, mib in PICTURES.items()]
    return wanted + [_weights(name) for name in WEIGHTS]


def show(wanted: Sequence[Item]) -> int:
    """Print what is here and what would be fetched."""
    missing = [item for item in wanted if not item.is_there()]
    for item in wanted:
        print(f"{'to fetch' if item in missing else 'here':12s}{item.name:35s}{_size(item.mib)}")
    known = sum(item.mib or 0 for item in missing)
    unknown = sum(item.mib is None for item in missing)
    print(
        f"To fetch: {len(missing)} of {len(wanted)}, {_size(known)}" + f" and {unknown} of unknown size" * bool(unknown)
    )
    return 0


def bring(wanted: Sequence[Item]) -> int:
    """Bring everything and say for each what became of it."""
    failed, total = 0, 0.0
    for item in wanted:
        there = item.is_there()
        try:
            place = item.bring()
        except OSError as error:
            failed += 1
            reason = str(error).replace("\n", "\n    ")
            print(f"{'MISSING':12s}{item.name}\n    {reason}", flush=True)
            continue
        mib = item.mib or _mib(place)
        total += mib
        print(f"{'was here' if there else 'fetched':12s}{item.name:35s}{_size(mib)}", flush=True)
    print(f"\nHere: {len(wanted) - failed} of {len(wanted)}, {_size(total).strip()}.")
    if failed:
        print(f"Missing: {failed}; the reasons stand above. Run the same command again when they are mended.")
    else:
        print("Every notebook now runs without a network: set KIT_OFFLINE=1.")
    return 1 if failed else 0


def _pictures(name: str, mib: float) -> Item:
    from helpers import digits  # here, since it takes torch a second

    def bring() -> None:
        digits.load(name, train=1, test=1)

    return Item(name, mib, partial(digits.is_ready, name), bring)


def _weights(name: str) -> Item:
    import torch
    import torchvision

    weights = torchvision.models.get_model_weights(name).DEFAULT
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name  # where torchvision looks for it
    return Item(
        f"weights of {name}", weights.meta["_file_size"], file.is_file, partial(fetch_weights, weights.url, file)
    )


def fetch_weights(url: str, file: Path) -> Path:
    """Bring a file of weights, whose name ends in the beginning of its SHA-256; one that is here must be readable."""
    if file.is_file():
        if not _is_readable(file):
            raise OSError(f"{file} is damaged. Delete it and run the same command again.")
        return file
    if machine.offline():
        raise OSError("It is not on this machine, and KIT_OFFLINE=1 forbids fetching it. Unset KIT_OFFLINE.")
    try:
        return download.download(url, file, check=partial(_check_sum, start=file.stem.rpartition("-")[2]))
    except download.DownloadError as error:
        raise OSError(f"{error}. Try again, or bring the file {url} into {file.parent}.") from error
    except OSError as error:
        why = error.strerror or error
        raise OSError(f"{file} cannot be written ({why}). Set TORCH_HOME to a folder on another disk.") from error


def _check_sum(path: Path, *, start: str) -> None:
    if not download.sha256_of(path).startswith(start):
        raise download.DownloadError(f"another file came, or it was damaged on the way (its SHA-256 is not {start}...)")


def _is_readable(file: Path) -> bool:
    import torch

    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # torch.load names no exception for a damaged file
        return False
    return True


def _mib(place: Path) -> float:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / MIB


def _size(mib: float | None) -> str:
    if mib is None:
        return "size not known"
    return f"{mib / 1024:5.1f} GiB" if mib >= 1024 else f"{mib:5.0f} MiB"
