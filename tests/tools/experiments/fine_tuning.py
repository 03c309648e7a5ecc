"""What mean and standard deviation cost that change places, on photos: notebook 07.

    python tests/tools/experiments/fine_tuning.py PHOTOS

PHOTOS is a folder or a zip like bcdp_v1: ``train/<class>/*``, ``test/<class>/*``, four classes. SqueezeNet's ImageNet
weights come from TORCH_HOME, or with a network. (``quadrants.py`` compares frozen, fine-tuned and from scratch.)
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import stored
import torch
from stored import KIT, PHOTOS
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from helpers import loaders, models, training, transfer
from helpers.loaders import IMAGENET_MEAN, IMAGENET_STD, Loaders
from helpers.training import TrainConfig

SEEDS = (0, 1, 2)
STATISTICS = {"right": (IMAGENET_MEAN, IMAGENET_STD), "swapped": (IMAGENET_STD, IMAGENET_MEAN)}


@torch.no_grad()
def maps(model: nn.Module, loader: DataLoader[Any], per_class: int) -> TensorDataset:
    """What goes into SqueezeNet's head, ``(512, 7, 7)`` for ``per_class`` images of every class of the loader."""
    part = loader.dataset
    chosen = Subset(part, transfer.per_class(part.labels, per_class).tolist())
    batches = [(model.features(x), y) for x, y in DataLoader(chosen, batch_size=16, collate_fn=loaders.as_it_is)]
    return TensorDataset(torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches]))


def squeezenet_maps(folder: Path) -> dict[str, Any]:
    model = models.load("squeezenet1_1")
    found = {}
    for name, (mean, std) in STATISTICS.items():
        data = loaders.image_folder(folder, size=128, mean=mean, std=std)
        counts = {"train": 100, "val": 30, "test": 75}
        found[name] = {part: maps(model, getattr(data, part), count) for part, count in counts.items()}
    return found


def swap(known: dict[str, Any], trained_on: str, seed: int) -> dict[str, Any]:
    """A new last layer on the frozen network, tested with the statistics in their places, and swapped."""
    model = models.load("squeezenet1_1", num_classes=4)
    train, val = known[trained_on]["train"], known[trained_on]["val"]
    order = torch.Generator().manual_seed(seed)
    data = Loaders(
        train=DataLoader(train, batch_size=32, shuffle=True, generator=order), val=DataLoader(val, batch_size=64),
        test=DataLoader(val, batch_size=64), classes=["bike", "cat", "dog", "person"], name="maps", size=13,
    )  # fmt: skip
    head = nn.Sequential(model.classifier, nn.Flatten())
    training.fit(head, data, TrainConfig(epochs=20, lr=1e-3, schedule="one_cycle", seed=seed))
    return {
        f"test, {name}": round(training.evaluate(head, DataLoader(known[name]["test"], batch_size=64)).accuracy, 2)
        for name in known
    }


def main(source: str, *only: str) -> None:
    with stored.unpacked(source) as folder:
        known = functools.cache(lambda: squeezenet_maps(folder))
        jobs: list[dict[str, Any]] = [{"trained_on": name, "seed": seed} for seed in SEEDS for name in STATISTICS]
        stored.compute(
            KIT / "notebooks/results/07_swapped.json", jobs, lambda **job: swap(known(), **job),
            only=only, shown="notebook 07, section 3", data=PHOTOS,
            about="squeezenet1_1, 128 px, frozen, 100 images per class for training; accuracy in percent",
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
