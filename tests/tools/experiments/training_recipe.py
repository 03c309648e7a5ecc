"""Notebook 06's comparisons, each until it has converged; they write ``notebooks/results/06_*.json``.

    python tests/tools/experiments/training_recipe.py                # all of them: some minutes on one core
    python tests/tools/experiments/training_recipe.py dropout        # one of them; what is in its file is not repeated

MNIST and Fashion-MNIST come from KIT_HOME, or over the network; the networks see them averaged to 14x14 px, so that one
core will do. A run that is interrupted is made again from its start; those before it stay.
"""

from __future__ import annotations

import argparse
import functools
import math
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.transforms import v2

KIT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(KIT))  # runs from a checkout, installed or not

from helpers import digits, experiments  # noqa: E402
from helpers.loaders import augment  # noqa: E402

Images = tuple[Tensor, Tensor]  # (N, 1, 28, 28) uint8, and labels (N,)
Rows = Iterator[dict[str, float]]
Change = Callable[[Tensor], Tensor]
SEEDS = (0, 1, 2)


class Small(nn.Module):
    """Normalised with MNIST's mean and standard deviation, and averaged to 14x14 px."""

    def forward(self, images: Tensor) -> Tensor:
        return (F.avg_pool2d(images / 255, 2) - 0.1307) / 0.3081


@functools.cache
def parts(name: str, train: int) -> dict[str, Images]:
    """The first ``train`` training images, the last 2,000 of them as validation, and the whole test."""
    data = digits.load(name)
    return {
        "training": (data.train_images[:train], data.train_labels[:train]),
        "validation": (data.train_images[-2000:], data.train_labels[-2000:]),
        "test": (data.test_images, data.test_labels),
    }


@torch.no_grad()
def error(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Wrong answers in percent, in eval mode."""
    model.eval()
    wrong = sum(
        int((model(x).argmax(dim=1) != y).sum()) for x, y in zip(images.split(500), labels.split(500), strict=True)
    )
    return 100 * wrong / len(labels)


def errors(model: nn.Module, on: dict[str, Images]) -> dict[str, float]:
    return {f"{name} error, %": error(model, *part) for name, part in on.items()}


def cnn(
    *, activation: Callable[[], nn.Module] = nn.ReLU, norm: Callable[[int], nn.Module] | None = None
) -> nn.Sequential:
    """Three convolutions and a linear layer, for 14x14 px: 8, 16 and 32 maps."""
    layers: list[nn.Module] = [Small()]
    for before, maps in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(before, maps, 3, padding=1), *([norm(maps)] if norm else [])]
        layers += [activation(), *([nn.MaxPool2d(2)] if maps < 32 else [])]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 3 * 3, 10))


def epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    part: Images,
    *,
    batch_size: int,
    change: Change | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    smoothing: float = 0.0,
    mix: v2.Transform | None = None,
) -> None:
    """One epoch; the ``scheduler`` steps with every batch. A last batch of a single image is left out."""
    images, labels = part
    model.train()
    for batch in torch.randperm(len(images)).split(batch_size):
        if len(batch) < 2:
            continue
        x, y = images[batch], labels[batch]
        x = x if change is None else change(x)
        if mix is not None:
            x, y = mix(x.float(), y)
        loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def cosine(optimizer: torch.optim.Optimizer, steps: int, *, warm_up: int = 0) -> torch.optim.lr_scheduler.LambdaLR:
    """The rate rises over ``warm_up`` steps and falls to 0 along half a cosine."""

    def part(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / (steps - warm_up))))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, part)


# --- augmentation: the same CNN, with and without ---------------------------------------------------------------------


def cutout(images: torch.Tensor, fraction: float = 0.4) -> torch.Tensor:
    """One square of each image set to 0, its middle anywhere: it may reach over the edge (DeVries, Taylor 2017)."""
    count, _, *sides = images.shape
    rows, columns = (
        (torch.arange(side) + 0.5 - torch.empty(count, 1).uniform_(0, side)).abs() < fraction * min(sides) / 2
        for side in sides
    )
    return images.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0)


CHANGES: dict[str, Change | None] = {
    "nothing": None,
    "shift by 2 px": lambda x: augment.shift(x, fraction=2 / 28),
    "Cutout": cutout,
}


def augmentation(seed: int, change: str) -> Rows:
    """A row every twelve epochs, eight in all."""
    on = parts("MNIST", 500)
    model = cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(8):
        for _ in range(12):
            epoch(model, optimizer, on["training"], batch_size=50, change=CHANGES[change])
        yield errors(model, on)


# --- dropout: hidden units, inputs and hidden units -------------------------------------------------------------------


def dropout(seed: int, inputs: float, hidden: float, epochs: int) -> dict[str, float]:
    on = parts("MNIST", 1000)
    layers: list[nn.Module] = [Small(), nn.Flatten(), nn.Dropout(inputs)]
    for before in (196, 256):
        layers += [nn.Linear(before, 256), nn.ReLU(), nn.Dropout(hidden)]
    model = nn.Sequential(*layers, nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = cosine(optimizer, epochs * 10)
    for _ in range(epochs):
        epoch(model, optimizer, on["training"], batch_size=100, scheduler=scheduler)
    return errors(model, on)


# --- ReLU against tanh in a CNN of four layers, after Krizhevsky's figure 1 -------------------------------------------


def relu_tanh(seed: int, activation: str, start: str, lr: float) -> Rows:
    """Training error over the epochs, until it is at most 15 %, 15 epochs at most. ``start``: "2012" or "its own"."""
    images, labels = parts("FashionMNIST", 1000)["training"]
    model = cnn(activation={"ReLU": nn.ReLU, "tanh": nn.Tanh}[activation])
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if start == "2012":  # as in AlexNet
                nn.init.normal_(layer.weight, std=0.01)
            elif activation == "ReLU":
                nn.init.kaiming_normal_(layer.weight)
            else:
                nn.init.xavier_normal_(layer.weight)
            nn.init.constant_(layer.bias, 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(15):
        epoch(model, optimizer, (images, labels), batch_size=50)
        wrong = error(model, images, labels)
        yield {"training error, %": wrong}
        if wrong <= 15:
            return


# --- batch norm: small batches, and against overfitting ---------------------------------------------------------------

NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batch norm": nn.BatchNorm2d,
    "group norm": lambda maps: nn.GroupNorm(4, maps),
}


def norms(seed: int, norm: str, batch_size: int, lr: float, epochs: int) -> dict[str, float]:
    on = parts("MNIST", 500)
    model = cnn(norm=NORMS[norm])
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    scheduler = cosine(optimizer, epochs * math.ceil(500 / batch_size))
    for _ in range(epochs):
        epoch(model, optimizer, on["training"], batch_size=batch_size, scheduler=scheduler)
    return errors(model, on)


# --- today's recipe ---------------------------------------------------------------------------------------------------


def today(seed: int, optimizer: str, changes: str) -> dict[str, float]:
    """``changes``: "none", "shift" or "all" (shifts, MixUp, label smoothing); 96 epochs."""
    on = parts("MNIST", 500)
    model = cnn()
    if optimizer == "SGD":
        chosen: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    else:
        chosen = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    scheduler = cosine(chosen, 96 * 10, warm_up=50) if optimizer == "AdamW" else None
    change = None if changes == "none" else CHANGES["shift by 2 px"]
    mix = v2.MixUp(num_classes=10, alpha=0.2) if changes == "all" else None
    smoothing = 0.1 if changes == "all" else 0.0
    for _ in range(96):
        epoch(
            model, chosen, on["training"], batch_size=50, change=change, scheduler=scheduler, mix=mix,
            smoothing=smoothing,
        )  # fmt: skip
    return errors(model, on)


DROPPED = {
    "none": {"inputs": 0.0, "hidden": 0.0},
    "hidden 0.5": {"inputs": 0.0, "hidden": 0.5},
    "input 0.2, hidden 0.5": {"inputs": 0.2, "hidden": 0.5},
}
RATES = (0.01, 0.03, 0.1)
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "augmentation": {
        "fn": augmentation,
        "settings": {name: {"change": name} for name in CHANGES},
        "until": "96 epochs, a row for every twelve",
        "about": {"data": "MNIST at 14x14 px, 500 images for training, 2,000 for validation", "batch": 50},
    },
    "dropout": {
        "fn": dropout,
        "settings": {f"{e} epochs, {name}": {**o, "epochs": e} for e in (12, 100) for name, o in DROPPED.items()},
        "until": "12 or 100 epochs along a cosine, at whose end the rate is 0",
        "about": {"data": "MNIST at 14x14 px, 1,000 images for training", "batch": 100},
    },
    **{
        name: {
            "fn": relu_tanh,
            "settings": {
                f"{a}, {start}, {lr}": {"activation": a, "start": start, "lr": lr}
                for a in ("ReLU", "tanh") for lr in RATES
            },
            "until": "until the training error was at most 15 %, or 15 epochs",
            "about": {"data": "Fashion-MNIST at 14x14 px, 1,000 images for training", "batch": 50},
        }
        for name, start in (("relu_tanh", "its own"), ("relu_tanh_2012", "2012"))
    },
    "batch_norm": {
        "fn": norms,
        "settings": {
            f"{norm}, lr {lr}": {"norm": norm, "batch_size": 50, "lr": lr, "epochs": 40}
            for norm in ("none", "batch norm") for lr in RATES
        },
        "until": "40 epochs along a cosine, at whose end the rate is 0",
        "about": {"data": "MNIST at 14x14 px, 500 images for training, 2,000 for validation", "batch": 50},
    },
    "today": {
        "fn": today,
        "settings": {
            "SGD, constant rate": {"optimizer": "SGD", "changes": "none"},
            "AdamW, warm-up, cosine": {"optimizer": "AdamW", "changes": "none"},
            "and shifts": {"optimizer": "AdamW", "changes": "shift"},
            "and MixUp, label smoothing": {"optimizer": "AdamW", "changes": "all"},
        },
        "until": "96 epochs each",
        "about": {"data": "MNIST at 14x14 px, 500 images for training", "batch": 50},
    },
    "batch_size": {
        "fn": norms,
        "settings": {
            f"{norm}, {size}": {"norm": norm, "batch_size": size, "lr": 0.1 * size / 64, "epochs": 10}
            for norm in ("batch norm", "group norm") for size in (2, 4, 16, 64)
        },
        "until": "10 epochs along a cosine, at whose end the rate is 0",
        "about": {"data": "MNIST at 14x14 px, 500 images for training"},
    },
}  # fmt: skip


def versions() -> dict[str, str]:
    """Of the kit, Python and the libraries that compute."""
    asked = ["git", "-C", str(KIT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit, "python": platform.python_version(), "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*EXPERIMENTS, []], default=[], help="all by default")
    parser.add_argument("--to", type=Path, default=experiments.RESULTS, help="folder of the files")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.names or EXPERIMENTS:
        options = dict(EXPERIMENTS[name])
        told = options.pop("about") | versions()
        results = experiments.run(
            options.pop("fn"), options.pop("settings"), seeds=SEEDS, cache=asked.to / f"06_{name}.json",
            how=f"tests/tools/experiments/training_recipe.py {name}", about=told, **options,
            test_images=0 if name.startswith("relu_tanh") else 10_000,
        )  # fmt: skip
        print(f"{name}\n{results}\n", flush=True)


if __name__ == "__main__":
    main()
