"""Notebook 08's four ways on photos, near and far, few and many images, each until validation stops improving.

    python tests/tools/experiments/quadrants.py PHOTOS

PHOTOS is a folder or a zip like bcdp_v1: ``train/<class>/*``, ``test/<class>/*``, four classes (the near target); the
far one are four digits that the kit draws. One loop trains all four ways. Every 50 steps it looks at 300 validation
images that no run trains on, stops when four looks brought nothing better, and takes the best look. Beside that it
computes straight lines between networks, ways to grade the learning rates, and MobileNetV2 (its ImageNet weights from
TORCH_HOME, or a network) fine-tuned with batch norm in train mode, and with its averages kept.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stored
import torch
import torch.nn.functional as F
from stored import KIT, PHOTOS
from torch import Tensor, nn

from helpers import datasets, loaders, models, transfer
from helpers.models import alexnet_mini

SEEDS, SIZES, SIZE = (0, 1, 2), (5, 80), 48
WAYS, DIGITS = ("frozen", "probe on conv3", "few stages", "all", "scratch"), (3, 5, 8, 9)
LOOK, PATIENCE, MOST = 50, 4, 2000  # steps between two looks, looks without gain, steps at most
Parts = dict[str, tuple[Tensor, Tensor]]  # "train", "val", "test": images and labels


def images_of(folder: Path, size: int, classes: tuple[int, ...] | None = None) -> Parts:
    """Part -> images ``(N, 3, size, size)``, labels ``(N,)``: 300 a class to draw from, 75 to validate, 75 to test."""
    data = loaders.image_folder(folder, size=size, val_fraction=0.0)
    parts = {}
    for name, part, most in (("train", data.train.dataset, 375), ("test", data.test.dataset, 75)):
        positions, labels = transfer.only_classes(torch.arange(len(part)), part.labels, classes or range(4))
        chosen = transfer.per_class(labels, most)
        images = transfer.batch_of(part, positions[chosen]).contiguous(memory_format=torch.channels_last)
        parts[name] = images, labels[chosen]
    (images, labels) = parts["train"]
    kept = transfer.per_class(labels, 75, seed=1000)
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[kept] = False
    return {"train": (images[rest], labels[rest]), "val": (images[kept], labels[kept]), "test": parts["test"]}


def start(way: str) -> nn.Module:
    """A network ready to be trained in one of the four ways."""
    model = models.load("alexnet_mini", num_classes=4, pretrained=way != "scratch")
    if way == "frozen":
        models.freeze(model)
    if way == "few stages":
        models.freeze(model, except_for=("features.10", "classifier"))
    if way == "scratch":
        model = alexnet_mini.with_batch_norm(model)
    return model.to(memory_format=torch.channels_last)


def split(model: nn.Module, way: str) -> tuple[nn.Sequential, nn.Sequential]:
    """The part that stays as it is, so that its outputs are computed once, and the part that is trained."""
    layers = [*model.features, model.avgpool, nn.Flatten(), *model.classifier]
    first = {"frozen": len(layers) - 1, "few stages": 10}.get(way, 0)
    return nn.Sequential(*layers[:first]), nn.Sequential(*layers[first:])


def train(
    model: nn.Module, images: Tensor, labels: Tensor, val: tuple[Tensor, Tensor] | None, *, seed: int, factor: float,
    most: int = MOST, groups: list[dict[str, Any]] | None = None,
    before_step: Callable[[int], None] | None = None,
) -> tuple[int, float]:  # fmt: skip
    """Train until ``val`` stops improving and leave the best look in ``model``: its step, and its accuracy there.

    Without ``val`` it makes ``most`` steps.
    """
    order = torch.Generator().manual_seed(seed)
    groups = groups or models.parameter_groups(model, 1e-3, backbone_factor=factor)
    optimizer = torch.optim.Adam(groups, fused=True)
    best, best_step, best_state, step = -1.0, 0, model.state_dict(), 0
    while step < most and (val is None or step - best_step < LOOK * PATIENCE):
        for batch in torch.randperm(len(images), generator=order).split(16):
            models.train_mode(model)
            if before_step:
                before_step(step)
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if val is not None and step % LOOK == 0:
                accuracy = transfer.accuracy(transfer.scores(model, val[0]), val[1])
                if accuracy > best:
                    best, best_step, best_state = accuracy, step, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    return best_step, best


def after(fixed: nn.Sequential, parts: Parts) -> Parts:
    """The parts as they come out of ``fixed``."""
    return {name: (transfer.scores(fixed, images), labels) for name, (images, labels) in parts.items()}


def quadrant(targets: dict[str, Parts], target: str, count: int, way: str, seed: int) -> dict[str, Any]:
    """One cell of the table: validation and test accuracy, and what the network answers to each test image."""
    whole = start("frozen" if way == "probe on conv3" else way)
    if way == "probe on conv3":
        fixed, rest = nn.Sequential(*whole.features[:8], nn.AdaptiveAvgPool2d(2), nn.Flatten()), nn.Sequential()
    else:
        fixed, rest = split(whole, way)
    parts = after(fixed, targets[target]) if len(fixed) else targets[target]
    images, labels = parts["train"]
    chosen = transfer.per_class(labels, count, seed=seed)
    images, labels = images[chosen], labels[chosen]
    numbers = {}
    if len(rest):
        factor = {"scratch": 1.0, "few stages": 0.3}.get(way, 0.1)
        steps, val = train(rest, images, labels, parts["val"], seed=seed, factor=factor)
        numbers = {"steps": steps, "validation": round(val, 2)}
    else:  # in closed form
        rest = nn.Sequential(transfer.linear_probe(images, labels))
    scores = transfer.scores(rest, parts["test"][0])
    answers = "".join(map(str, scores.argmax(dim=1).tolist()))
    return {**numbers, "test": round(transfer.accuracy(scores, parts["test"][1]), 2), "answers": answers}


# --- straight lines between networks ------------------------------------------------------------------------------

Run = tuple[str, int, int]  # way, seed of the first weights, seed of the batches' order and of dropout
PAIRS: dict[str, tuple[tuple[Run, Run], ...]] = {
    "fine-tuned": tuple((("all", i, i), ("all", j, j)) for i, j in ((0, 1), (1, 2), (2, 0))),
    "scratch, same first weights": tuple((("scratch", i, 0), ("scratch", i, 1)) for i in range(3)),
    "scratch, same order": tuple((("scratch", i, i % 2), ("scratch", j, i % 2)) for i, j in ((0, 1), (1, 2), (2, 0))),
    "scratch, nothing shared": tuple((("scratch", i, 0), ("scratch", j, 1)) for i, j in ((0, 1), (1, 2), (2, 0))),
}
SHARES = tuple(i / 10 for i in range(11))


@torch.no_grad()
def average_anew(model: nn.Module, images: Tensor) -> None:
    """Batch norm's averages as the training images have them: those of a mixture are no mixture of averages."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    if norms:
        model(images)
    model.eval()


def line(far: Parts, runs: dict[Run, nn.Module], kind: str, seed: int) -> dict[str, Any]:
    """Test accuracy on the straight line between the two networks of a pair, each after 300 steps on 20 per class."""
    images, labels = far["train"]
    chosen = transfer.per_class(labels, 20)
    for run in PAIRS[kind][seed]:
        if run not in runs:
            way, init, order = run
            torch.manual_seed(init)
            whole = start(way)
            torch.manual_seed(order)
            factor = 1.0 if way == "scratch" else 0.1
            train(whole, images[chosen], labels[chosen], None, seed=order, factor=factor, most=300)
            runs[run] = whole

    def measure(model: nn.Module) -> float:
        average_anew(model, images[chosen])
        return round(transfer.accuracy(transfer.scores(model, far["test"][0]), far["test"][1]), 2)

    first, second = (runs[run] for run in PAIRS[kind][seed])
    return {"shares": SHARES, "test": transfer.along_line(first, second, measure, SHARES)}


# --- how the learning rates are graded ----------------------------------------------------------------------------

GRADED = ("one rate", "a tenth", "by layer", "unfreezing", "ten times")


def graded(near: Parts, way: str, seed: int) -> dict[str, Any]:
    """Everything fine-tuned on 20 photos per class, the new layer with 0.001, the others as ``way`` says."""
    images, labels = near["train"]
    chosen = transfer.per_class(labels, 20, seed=seed)
    model = start("all")
    layers = [layer for layer in model.modules() if list(layer.parameters(recurse=False))]
    groups = before_step = None
    if way == "by layer":
        rates = [1e-3 * 0.5 ** (len(layers) - 1 - i) for i in range(len(layers))]
        groups = [{"params": list(x.parameters()), "lr": rate} for x, rate in zip(layers, rates, strict=True)]
    if way == "ten times":
        groups = [{"params": list(model.parameters()), "lr": 1e-2}]
    if way == "unfreezing":

        def before_step(step: int) -> None:
            for number, layer in enumerate(reversed(layers)):
                layer.requires_grad_(number <= 2 * (step // 20))

        groups = [{"params": list(x.parameters()), "lr": 1e-3 if x is layers[-1] else 1e-4} for x in layers]
    steps, val = train(
        model, images[chosen], labels[chosen], near["val"], seed=seed, factor=1.0 if way == "one rate" else 0.1,
        groups=groups, before_step=before_step,
    )  # fmt: skip
    test = transfer.accuracy(transfer.scores(model, near["test"][0]), near["test"][1])
    return {"steps": steps, "validation": round(val, 2), "test": round(test, 2)}


# --- batch norm ---------------------------------------------------------------------------------------------------


def batch_norm(parts: Parts, mode: str, epochs: int, seed: int) -> dict[str, Any]:
    """MobileNetV2, all layers fine-tuned on 20 images per class; ``mode`` of its batch norm is "train" or "kept"."""
    model = models.load("mobilenet_v2", num_classes=4).to(memory_format=torch.channels_last)
    images, labels = parts["train"]
    chosen = transfer.per_class(labels, 20, seed=seed)
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(models.parameter_groups(model, 1e-3, backbone_factor=0.1), fused=True)
    model.train()
    for module in model.modules() if mode == "kept" else ():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for _ in range(epochs):
        for batch in torch.randperm(len(chosen), generator=order).split(16):
            loss = F.cross_entropy(model(images[chosen[batch]]), labels[chosen[batch]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    test_images, test_labels = parts["test"]
    return {"test": round(transfer.accuracy(transfer.scores(model, test_images, batch_size=16), test_labels), 2)}


def main(source: str, *only: str) -> None:
    with stored.unpacked(source) as folder:
        write = KIT / "notebooks" / "results"
        near = functools.cache(lambda size: images_of(folder, size))
        jobs: list[dict[str, Any]] = [{"mode": mode, "epochs": epochs, "seed": seed}
                for epochs in (8, 24) for seed in SEEDS for mode in ("train", "kept")]  # fmt: skip
        stored.compute(
            write / "08_batch_norm.json", jobs, lambda **job: batch_norm(near(96), **job),
            only=only, shown="notebook 08, section 6", data=PHOTOS,
            about="mobilenet_v2, 96 px, 20 images per class, everything fine-tuned; test accuracy in percent",
        )  # fmt: skip
        far = images_of(datasets.fetch("digits_standin"), SIZE, DIGITS)
        targets = {"near": near(SIZE), "far": far}
        jobs = [{"target": target, "count": count, "way": way, "seed": seed}
                for seed in SEEDS for count in SIZES for target in targets for way in WAYS]  # fmt: skip
        stored.compute(
            write / "08_quadrants.json", jobs, functools.partial(quadrant, targets), only=only,
            shown="notebook 08, section 5",
            data=f"near: {PHOTOS}; far: four of the kit's drawn digits, as many",
            about=f"alexnet_mini, {SIZE} px; accuracy in percent, answers: the class named for each test image",
        )  # fmt: skip
        jobs = [{"kind": kind, "seed": seed} for seed in range(3) for kind in PAIRS]
        stored.compute(
            write / "08_basins.json", jobs, functools.partial(line, far, {}), only=only, shown="notebook 08, section 7",
            data="four of the kit's drawn digits, 20 images per class, 300 for the test",
            about=f"alexnet_mini, {SIZE} px, 300 steps each; test accuracy in percent along the line; seed: the pair",
        )  # fmt: skip
        jobs = [{"way": way, "seed": seed} for seed in SEEDS for way in GRADED]
        stored.compute(
            write / "08_rates.json", jobs, functools.partial(graded, near(SIZE)), only=only,
            shown="notebook 08, section 6",
            data=PHOTOS, about=f"alexnet_mini, {SIZE} px, 20 images per class, all layers; accuracy in percent",
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
