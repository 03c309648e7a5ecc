"""Notebook 02's stored curve: four classifiers on 500 to 60,000 images of MNIST, each trained until it is done.

    python tests/tools/experiments/data_size.py

A linear classifier on the pixels, the same on edge directions (the notebook's hand-made features), a network with one
hidden layer of 78 units, and LeNet-5, which has as many parameters. A tenth of the images is kept for validation: when
its loss has not improved in five looks (at every epoch, but at least 100 and at most 200 steps apart), the learning
rate is divided by 10, and the second time the run ends; the weights of the best look are tested on all 10,000 test
images. MLP and LeNet also run on shuffled pixels, LeNet also on digits that move while it trains, and these are tested
on digits that are moved by 0 to 5 px. MNIST comes from KIT_HOME, or with a network. A run that is over is never
computed again.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import stored
import torch
import torch.nn.functional as F
from stored import KIT
from torch import Tensor, nn

from helpers import digits
from helpers.models.lenet import LeNet5

SIZES, SEEDS = (500, 2_000, 5_000, 20_000, 60_000), (0, 1, 2)
PATIENCE, FALLS, BATCH, RATE = 5, 1, 128, 0.003
MOVED = range(6)  # px


def edge_directions(images: Tensor) -> Tensor:
    """(N, 1, 28, 28) -> (N, 392): 8 directions in each of 7 x 7 squares, as notebook 02 has it."""
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    gradient = F.conv2d(images, torch.stack([sobel, sobel.T]).unsqueeze(1), padding=1)
    angle = torch.atan2(gradient[:, 1], gradient[:, 0])
    direction = ((angle / (2 * math.pi) + 0.5) * 8).long().clamp(max=7)
    maps = F.one_hot(direction, 8).permute(0, 3, 1, 2) * gradient.norm(dim=1).unsqueeze(1)
    return F.normalize(F.avg_pool2d(maps, 4).flatten(1)) * 10


WAYS = {
    "linear, on pixels": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    "linear, on edge directions": lambda: nn.Linear(392, 10),
    "MLP": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 78), nn.ReLU(), nn.Linear(78, 10)),
    "LeNet-5": lambda: LeNet5(padding=2),
}
MORE = {  # ways that are no new network
    "MLP, shuffled pixels": "MLP",
    "LeNet-5, shuffled pixels": "LeNet-5",
    "LeNet-5, trained on moving digits": "LeNet-5",
}


def one(way: str, images: int, seed: int) -> dict[str, Any]:
    """Test accuracy in percent, and after how many looks and steps the run ended."""
    data = digits.load("MNIST")
    chosen = torch.randperm(60_000)[:images]
    x, test_x = data.train_images[chosen] / 255, data.test_images / 255
    if way == "linear, on edge directions":
        x, test_x = (torch.cat([edge_directions(part) for part in whole.split(2000)]) for whole in (x, test_x))
    if way.endswith("shuffled pixels"):
        order = torch.randperm(784)
        x, test_x = (whole.flatten(1)[:, order].view_as(whole) for whole in (x, test_x))
    y, kept = data.train_labels[chosen], images // 10
    model = WAYS[MORE.get(way, way)]()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    best, weights, since, falls, looks, steps = math.inf, copy.deepcopy(model.state_dict()), 0, 0, 0, 0
    look_every = min(max(100, (images - kept) // BATCH), 200)
    while falls <= FALLS:
        for batch in (torch.randperm(images - kept) + kept).split(BATCH):
            seen = at_random(x[batch]) if way.endswith("moving digits") else x[batch]
            loss = F.cross_entropy(model(seen), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if steps % look_every:
                continue
            with torch.no_grad():
                error = sum(F.cross_entropy(model(a), b, reduction="sum") for a, b in parts(x[:kept], y[:kept])) / kept
            looks, since = looks + 1, since + 1
            if error < best:
                best, weights, since = float(error), copy.deepcopy(model.state_dict()), 0
            elif since >= PATIENCE:
                model.load_state_dict(weights)
                falls, since = falls + 1, 0
                optimizer.param_groups[0]["lr"] /= 10
                if falls > FALLS:
                    break
    model.load_state_dict(weights)
    found = {"test accuracy, %": accuracy(model, test_x, data.test_labels), "looks": looks, "steps": steps}
    if images >= 5_000 and way in ("MLP", "LeNet-5", "LeNet-5, trained on moving digits"):
        found["test accuracy of moved digits, %"] = [
            round(sum(accuracy(model, moved(test_x[:2000], d * r, d * u), data.test_labels[:2000])
                      for r, u in ((1, 0), (-1, 0), (0, 1), (0, -1))) / 4, 2)
            for d in MOVED
        ]  # fmt: skip
    return found


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """In percent."""
    return round(100 * sum(int((model(a).argmax(dim=1) == b).sum()) for a, b in parts(x, y)) / len(y), 2)


def moved(images: Tensor, right: int, down: int) -> Tensor:
    """Images ``(N, 1, 28, 28)`` moved by whole pixels; black comes in at the edge."""
    return F.pad(images, (5, 5, 5, 5))[..., 5 - down : 33 - down, 5 - right : 33 - right]


def at_random(images: Tensor) -> Tensor:
    """The batch in four parts, each moved by its own number of pixels, at most 3 in both directions."""
    return torch.cat([moved(part, *torch.randint(-3, 4, (2,)).tolist()) for part in images.chunk(4)])


def parts(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Batches of 1,000 that are only looked at."""
    return list(zip(x.split(1000), y.split(1000), strict=True))


if __name__ == "__main__":
    torch.set_num_threads(1)
    jobs = []
    for seed in SEEDS:
        jobs += [{"way": way, "images": n, "seed": seed} for n in SIZES for way in WAYS]
        jobs += [{"way": way, "images": 5_000, "seed": seed} for way in MORE]
    stored.compute(
        KIT / "notebooks" / "results" / "02_data_size.json",
        jobs,
        one,
        shown="notebook 02, section 7",
        data="MNIST: 500 to 60,000 of its training images, drawn anew for every seed; all 10,000 test images",
        about=f"Adam, batches of {BATCH}, learning rate {RATE}; a tenth of the images decides when a run ends",
    )
