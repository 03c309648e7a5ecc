"""Ways to use a pretrained network, near and far, few and many images, each until validation stops improving.

    python tests/tools/experiments/quadrants.py PHOTOS

PHOTOS is a folder or a zip like bcdp_v1: ``train/<class>/*``, ``test/<class>/*``, four classes (the near target); the
far one are four digits of MNIST (from KIT_HOME, or with a network). One loop trains ``alexnet_mini`` in every way.
Every 50 steps it looks at 300 validation images that no run trains on, stops when neither 200 steps nor three epochs
brought anything better, and takes the best look. Photos are trained on with their mirror images. From random weights
the network gets batch norm, without which it hardly starts. Beside that: straight lines between networks, and graded
learning rates.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from typing import Any

import stored
import torch
import torch.nn.functional as F
from stored import KIT, PHOTOS
from torch import Tensor, nn

from helpers import digits, loaders, models, transfer
from helpers.models import alexnet_mini

SEEDS = 0, 1, 2
FEW, SOME, MORE, MANY = 5, 20, 80, 300  # images a class
PHOTO, DIGIT = 64, 48  # px: photos of 100 px made smaller, digits of 28 px made larger
WAYS, DIGITS = ("frozen", "part", "all", "scratch"), (3, 5, 8, 9)
FIRST_TRAINED = {"frozen": 21, "larger head": 15, "part": 10}  # the last layer; all linear layers; conv5 and these
LOOK, PATIENCE, EPOCHS, MOST = 50, 200, 3, 3000  # steps between two looks, steps and epochs without gain, steps at most

Parts = dict[str, tuple[Tensor, Tensor]]  # "train", "val", "test": images (N, 3, H, W), labels (N,)


def photos_of(folder: str, size: int) -> Parts:
    """300 photos a class to draw from, 75 to validate, 75 to test."""
    data = loaders.image_folder(folder, size=size, val_fraction=0.2)
    subsets = {"train": data.train.dataset, "val": data.val.dataset, "test": data.test.dataset}
    return {
        name: (_fast(transfer.batch_of(part, torch.arange(len(part)))), part.labels) for name, part in subsets.items()
    }


def digits_of_mnist() -> Parts:
    """As many digits of people's handwriting: white on black, in colour images of ``DIGIT`` px."""
    data = digits.load("MNIST", train=6000, test=1000)
    sources = {
        "train": (data.train_images[:4500], data.train_labels[:4500], MANY),
        "val": (data.train_images[4500:], data.train_labels[4500:], 75),
        "test": (data.test_images, data.test_labels, 75),
    }
    parts = {}
    for name, (images, labels, count) in sources.items():
        images, labels = transfer.only_classes(images, labels, DIGITS)
        chosen = transfer.per_class(labels, count)
        large = F.interpolate(images[chosen].float(), DIGIT, mode="bilinear").round().byte().expand(-1, 3, -1, -1)
        parts[name] = _fast(loaders.Preprocess().normalised(large)), labels[chosen]
    return parts


def _fast(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def start(way: str) -> nn.Sequential:
    """The layers of a network for four classes, one behind the other."""
    model = models.load("alexnet_mini", num_classes=4, pretrained=way != "scratch")
    if way == "scratch":
        model = alexnet_mini.with_batch_norm(model)
    head = list(model.classifier)
    if way == "larger head":
        sizes = (head[1].in_features, 4096, 512)
        groups = [(nn.Linear(*pair), nn.ReLU(), nn.Dropout()) for pair in zip(sizes, sizes[1:], strict=False)]
        head = [layer for group in groups for layer in group] + [nn.Linear(512, 4)]
        for layer in head:
            layer.is_new = True
    return nn.Sequential(*model.features, model.avgpool, nn.Flatten(), *head).to(memory_format=torch.channels_last)


class Target:
    """One target and the networks that were trained on it."""

    def __init__(self, parts: Parts, *, mirrored: bool) -> None:
        if mirrored:
            images, labels = parts["train"]
            parts = {**parts, "train": (_fast(torch.cat([images, images.flip(3)])), torch.cat([labels, labels]))}
        self.parts, self.copies = parts, 2 if mirrored else 1
        self.after = functools.cache(self._after)
        self.trained = functools.cache(self._trained)

    def _after(self, first: int) -> Parts:
        """The parts as they come out of the pretrained layers before ``first``, computed once."""
        front = start("frozen")[:first]
        return {name: (transfer.scores(front, images), labels) for name, (images, labels) in self.parts.items()}

    def _trained(self, way: str, count: int, init: int, order: int) -> tuple[nn.Sequential, Parts, dict[str, Any]]:
        """The trained layers, what goes into them, and what the looks saw. ``init`` draws the first weights."""
        torch.manual_seed(init)
        network, first = start(way), FIRST_TRAINED.get(way, 0)
        parts = self.after(first) if first else self.parts
        torch.manual_seed(order)
        (images, labels), rest = parts["train"], network[first:] if first else network
        factor = {"part": 0.3, "all": 0.1}.get(way, 1.0)
        found = train(rest, images, labels, self.chosen(count, order), parts["val"], seed=order, factor=factor)
        return rest, parts, found

    def chosen(self, count: int, seed: int) -> Tensor:
        """Positions of ``count`` training images a class, with their mirror images where there are any."""
        once = len(self.parts["train"][1]) // self.copies
        chosen = transfer.per_class(self.parts["train"][1][:once], count, seed=seed)
        return torch.cat([chosen + copy * once for copy in range(self.copies)])


def train(
    model: nn.Module, images: Tensor, labels: Tensor, chosen: Tensor, val: tuple[Tensor, Tensor], *, seed: int,
    factor: float, groups: list[dict[str, Any]] | None = None, before_step: Callable[[int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train on the ``chosen`` until ``val`` stops improving, and leave the best look in ``model``.

    Returns the best look's step, the steps in all, and validation's accuracy at every look.
    """
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(groups or models.parameter_groups(model, 1e-3, backbone_factor=factor), fused=True)
    looks: list[float] = []
    best_step, best_state, step = 0, model.state_dict(), 0
    patience = max(PATIENCE, EPOCHS * -(-len(chosen) // 16))
    while step < min(MOST, best_step + patience):
        for batch in chosen[torch.randperm(len(chosen), generator=order)].split(16):
            models.train_mode(model)
            if before_step:
                before_step(step)
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % LOOK == 0:
                looks.append(round(transfer.accuracy(transfer.scores(model, val[0]), val[1]), 2))
                if looks[-1] > max(looks[:-1], default=-1):
                    best_step, best_state = step, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    return {"best_step": best_step, "steps": step, "looks": looks}


def quadrant(target: Target, count: int, way: str, seed: int) -> dict[str, Any]:
    """Steps, validation's looks, test accuracy, and the answer to each test image."""
    model, parts, found = target.trained(way, count, seed, seed)
    images, labels = parts["test"]
    scores = transfer.scores(model, images)
    answers = "".join(map(str, scores.argmax(dim=1).tolist()))
    return {**found, "test": round(transfer.accuracy(scores, labels), 2), "answers": answers}


# --- straight lines between networks ------------------------------------------------------------------------------

Run = tuple[str, int, int]  # way, seed of the first weights, seed of the images and of their order
RING = ((0, 1), (1, 2), (2, 0))
PAIRS: dict[str, tuple[tuple[Run, Run], ...]] = {
    "fine-tuned": tuple((("all", i, i), ("all", j, j)) for i, j in RING),
    "scratch, same first weights": tuple((("scratch", i, i), ("scratch", i, j)) for i, j in RING),
    "scratch, same images in the same order": tuple((("scratch", i, j), ("scratch", j, j)) for i, j in RING),
    "scratch, nothing shared": tuple((("scratch", i, i), ("scratch", j, j)) for i, j in RING),
}
SHARES = (0, 0.25, 0.5, 0.75, 1)


@torch.no_grad()
def average_anew(model: nn.Module, images: Tensor) -> None:
    """Batch norm's averages as the images have them: those of a mixture are no mixture of averages."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    if norms:
        model(images)
    model.eval()


def line(target: Target, count: int, kind: str, seed: int) -> dict[str, Any]:
    """Test accuracy along the straight line between the two networks of a pair."""
    runs = PAIRS[kind][seed]
    (first, parts, _), (second, _, _) = (target.trained(way, count, init, order) for way, init, order in runs)
    images, labels = parts["test"]
    seen = parts["train"][0][torch.cat([target.chosen(count, order) for _, _, order in runs])]

    def measure(model: nn.Module) -> float:
        average_anew(model, seen)
        return round(transfer.accuracy(transfer.scores(model, images), labels), 2)

    return {"shares": SHARES, "test": transfer.along_line(first, second, measure, SHARES)}


# --- how the learning rates are graded ----------------------------------------------------------------------------

GRADED = ("one rate", "ten times", "by layer", "unfreezing")  # a tenth of the last layer's rate is the way "all"


def graded(target: Target, count: int, way: str, seed: int) -> dict[str, Any]:
    """Everything fine-tuned, the new layer with 0.001 (ten times: 0.01), the others as ``way`` says."""
    torch.manual_seed(seed)
    model = start("all")
    layers = [weights for layer in model if (weights := list(layer.parameters()))]
    tenth = [{"params": layer, "lr": 1e-3 if layer is layers[-1] else 1e-4} for layer in layers]
    by_layer = [{"params": layer, "lr": 1e-3 * 0.5**place} for place, layer in enumerate(reversed(layers))]
    groups = {"ten times": [{"params": sum(layers, []), "lr": 1e-2}], "by layer": by_layer, "unfreezing": tenth}

    def unfreeze(step: int) -> None:  # two layers more every 20 steps
        for number, layer in enumerate(reversed(layers)):
            for parameter in layer:
                parameter.requires_grad_(number <= 2 * (step // 20))

    (images, labels), (test_images, test_labels) = target.parts["train"], target.parts["test"]
    found = train(
        model, images, labels, target.chosen(count, seed), target.parts["val"], seed=seed, factor=1.0,
        groups=groups.get(way), before_step=unfreeze if way == "unfreezing" else None,
    )  # fmt: skip
    return {**found, "test": round(transfer.accuracy(transfer.scores(model, test_images), test_labels), 2)}


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
    torch.set_num_threads(1)
    photo, digit = f"{PHOTOS}; 300 of the 1500 to validate", "four digits of MNIST (3, 5, 8, 9), 300 to validate"
    plain = f"alexnet_mini, photos {PHOTO} px, digits {DIGIT} px; count: images per class; looks: validation; percent"
    mobile = "mobilenet_v2, 96 px, 20 images per class, everything fine-tuned; test accuracy in percent"

    def compute(
        name: str, run: Callable[..., dict[str, Any]], jobs: list[stored.Job], shown: str, data: str, about: str = plain
    ) -> None:
        file = KIT / "notebooks" / "results" / f"{name}.json"
        stored.compute(file, jobs, run, only=only, shown=f"notebook {shown}", data=data, about=about)

    with stored.unpacked(source) as folder:
        near = Target(photos_of(str(folder), PHOTO), mirrored=True)
        norm = functools.cache(functools.partial(photos_of, str(folder), 96))
        jobs: list[stored.Job] = [
            {"mode": mode, "epochs": epochs, "seed": seed}
            for epochs in (8, 24) for seed in SEEDS for mode in ("train", "kept")
        ]  # fmt: skip
        compute("08_batch_norm", lambda **job: batch_norm(norm(), **job), jobs, "08, section 6", PHOTOS, mobile)
    far = Target(digits_of_mnist(), mirrored=False)
    ways = ("frozen", "larger head", "all", "scratch", "part")
    jobs = [{"count": MANY, "way": way, "seed": seed} for seed in SEEDS for way in ways]
    compute("07_three_ways", functools.partial(quadrant, near), jobs, "07, section 7; 08, section 5", photo)
    ends, middle = (
        [{"count": count, "way": way, "seed": seed} for seed in SEEDS for count in counts for way in WAYS]
        for counts in ((FEW, MORE), (SOME,))
    )
    compute("08_near", functools.partial(quadrant, near), ends, "08, section 5", photo)
    compute("08_far", functools.partial(quadrant, far), ends, "08, section 5", digit)
    jobs = [{"count": SOME, "kind": kind, "seed": seed} for seed in SEEDS for kind in PAIRS]
    compute("08_basins", functools.partial(line, far), jobs, "08, section 7; seed: the pair", digit)
    compute("08_near", functools.partial(quadrant, near), middle, "08, section 5", photo)
    compute("08_far", functools.partial(quadrant, far), middle, "08, section 5", digit)
    jobs = [{"count": SOME, "way": way, "seed": seed} for seed in SEEDS for way in GRADED]
    compute("08_rates", functools.partial(graded, near), jobs, "08, section 6", photo)


if __name__ == "__main__":
    main(*sys.argv[1:])
