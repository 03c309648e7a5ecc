"""Pretrain the kit's own small networks on a folder of small pictures: the script that made their weights.

    python tests/tools/pretrain.py alexnet_mini DATA             # train; writes alexnet_mini.pt, .csv, .checkpoint
    python tests/tools/pretrain.py alexnet_mini DATA --resume    # go on where it was interrupted, to the same weights
    python tests/tools/pretrain.py resnet_mini DATA --soft-labels FILE   # a teacher's answers, by soft_labels.py
    python tests/tools/pretrain.py alexnet_mini DATA --evaluate  # top-1 and top-5 of the kit's own weights

DATA holds ``train/<class>/*.JPEG``, ``val/<class>/*.JPEG`` and, if it likes, ``words.txt`` (class id, tab, name).
The recipes: batch norm, SGD with Nesterov momentum, one learning-rate cycle and a smaller second one; label smoothing
or a teacher's probabilities; flips, mild random crops and changes of light; small pictures first, since an epoch at
48x48 px costs half of one at 64x64.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import datetime
import hashlib
import math
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs from a checkout, installed or not

from helpers import machine, models, pictures  # noqa: E402
from helpers.models import alexnet_mini, resnet_mini  # noqa: E402
from helpers.training import acceleration, train_step  # noqa: E402

LICENCE = (
    "Weights: MIT, as the kit. Trained on pictures of ImageNet, which belong to their owners and are given for "
    "non-commercial research and education."
)
SIZE = 64  # px: pictures are kept, and the network is judged, at this size

Curve = list[dict[str, float]]  # a row an epoch


@dataclasses.dataclass(frozen=True)
class Cycle:
    """Some epochs in which the learning rate rises once and falls to nothing."""

    epochs: int
    lr: float
    warmup: float = 0.2  # part of the cycle in which the learning rate rises
    small_until: float = 0.0  # pictures are small up to this part of the cycle
    crop_area: tuple[float, float] = (0.5, 1.0)  # of the whole picture; above 1 the edges are mirrored outwards


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, apart from the pictures."""

    # The second cycle starts from the first one's weights (warm restart, Loshchilov & Hutter 2017). Crops only ever
    # enlarge things, so a network trained on them finds whole pictures a little small; the second cycle mends that.
    cycles: tuple[Cycle, ...] = (
        Cycle(epochs=24, lr=0.1, small_until=0.58),
        Cycle(epochs=12, lr=0.03, warmup=0.1, crop_area=(0.5, 1.4)),
    )
    small_size: int = 48  # px
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    dropout: float = 0.2
    light: float = 0.3  # how far brightness and contrast are changed
    teacher: float = 0.0  # share of the teacher's probabilities in a label; the rest is the picture's own class
    seed: int = 0

    @property
    def epochs(self) -> int:
        return sum(cycle.epochs for cycle in self.cycles)

    def at(self, epoch: int) -> tuple[Cycle, int]:
        """The cycle that the epoch (from 0) lies in, and the epoch's number inside that cycle."""
        for cycle in self.cycles:
            if epoch < cycle.epochs:
                return cycle, epoch
            epoch -= cycle.epochs
        raise ValueError(f"The recipe has {self.epochs} epochs, numbered from 0; the one asked for lies beyond them.")


RECIPES = {
    "alexnet_mini": Recipe(),
    "resnet_mini": Recipe(
        cycles=(
            Cycle(epochs=44, lr=0.08, warmup=0.1, small_until=1.0, crop_area=(0.4, 1.0)),
            Cycle(epochs=16, lr=0.03, warmup=0.1, crop_area=(0.5, 1.3)),
        ),
        batch_size=64,
        label_smoothing=0.0,
        dropout=0.0,
        teacher=0.5,
    ),
}

# ---- pictures ----------------------------------------------------------------------------------------------------


def read_pictures(folder: Path) -> tuple[Tensor, Tensor, list[str]]:
    """Pictures ``(N, 3, 64, 64)`` uint8, class numbers ``(N,)``, and class ids of ``folder/<class id>/**``."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    files = [(path, index) for index, name in enumerate(classes) for path in sorted((folder / name).rglob("*"))]
    files = [(path, index) for path, index in files if pictures.is_picture_name(path.name)]
    if not files:
        raise ValueError(f"{folder} holds no pictures. Pass the folder that has train/<class>/ and val/<class>/ in it.")
    images = np.empty((len(files), SIZE, SIZE, 3), np.uint8)
    for row, (path, _) in enumerate(files):
        with Image.open(path) as image:
            images[row] = np.asarray(ImageOps.fit(image.convert("RGB"), (SIZE, SIZE)))
    labels = torch.tensor([index for _, index in files])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), labels, classes


def normalise(images: Tensor) -> Tensor:
    """uint8 ``(N, 3, H, W)`` to float32 with ImageNet's mean and standard deviation taken out."""
    statistics = pictures.IMAGENET_MEAN, pictures.IMAGENET_STD
    mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in statistics)
    return (images.float() / 255 - mean) / std


def augment(images: Tensor, size: int, *, crop_area: tuple[float, float], light: float) -> Tensor:
    """A random crop, flip and change of light for each of the normalised images; result ``(N, 3, size, size)``."""
    n, device = len(images), images.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(n, device=device).uniform_(low, high)

    # Crop, resize and flip are one affine map from the new picture's coordinates (-1..1) to the old picture's.
    side, aspect, largest = uniform(*crop_area).sqrt(), uniform(-0.15, 0.15).exp(), math.sqrt(crop_area[1])
    height, width = (side * aspect).clamp(max=largest), (side / aspect).clamp(max=largest)
    flip = uniform(-1, 1).sign()
    zero = torch.zeros(n, device=device)
    rows = torch.stack([flip * width, zero, uniform(-1, 1) * (1 - width)], 1)
    columns = torch.stack([zero, height, uniform(-1, 1) * (1 - height)], 1)
    grid = F.affine_grid(torch.stack([rows, columns], 1), [n, 3, size, size], align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    contrast, brightness = uniform(1 - light, 1 + light), uniform(-light, light)
    return images * contrast.view(n, 1, 1, 1) + brightness.view(n, 1, 1, 1)


# ---- training ----------------------------------------------------------------------------------------------------


def learning_rate(progress: float, cycle: Cycle) -> float:
    """One cycle: up in a straight line, then down along half a cosine. ``progress`` runs from 0 to 1."""
    if progress < cycle.warmup:
        return cycle.lr * progress / cycle.warmup
    return cycle.lr * 0.5 * (1 + math.cos(math.pi * (progress - cycle.warmup) / (1 - cycle.warmup)))


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    recipe: Recipe | None = None,
    soft_labels: Path | None = None,
    resume: bool = False,
    device: str | None = None,
) -> Curve:
    """Train network ``name`` on ``data/train``, judge it on ``data/val``, write the file ``out``. Returns the curve.

    Every fifth picture judges after an epoch, all of them after the last. ``soft_labels`` is a file of probabilities
    ``(N, classes)`` for the training pictures, in the order of their names. Interrupted, it goes on from the last whole
    epoch with ``resume=True``, to the same weights. Beside ``out`` lie the curve (.csv) and the state after the last
    epoch (.checkpoint). The caller's random state is left alone.
    """
    recipe = recipe or RECIPES[name]
    checkpoint = out.with_suffix(".checkpoint")
    _check_files(out, checkpoint, resume)
    device = device or machine.device()
    (images, labels, classes), (val_images, val_labels, val_classes) = (
        read_pictures(data / split) for split in ("train", "val")
    )
    if classes != val_classes:
        raise ValueError(f"{data}: train ({len(classes)}) and val ({len(val_classes)}) must hold the same classes.")
    targets = mixed(labels, len(classes), recipe.teacher, soft_labels)
    made_with = dataclasses.asdict(recipe)
    made_with["soft_labels"] = hashlib.sha256(soft_labels.read_bytes()).hexdigest() if soft_labels else ""
    images, targets = images.to(device), targets.to(device)  # 50,000 images are 600 MB
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = _trainable(name, len(classes), recipe)
        model = model.to(device).to(memory_format=torch.channels_last)
        optimizer = _optimizer(model, recipe)
        curve = _restore(checkpoint, model, optimizer, made_with) if resume else []
        for epoch in range(len(curve), recipe.epochs):
            start = time.perf_counter()
            row: dict[str, float] = {"epoch": epoch + 1} | _train_epoch(
                model, optimizer, images, targets, epoch, recipe
            )
            judges = slice(None, None, 5 if epoch + 1 < recipe.epochs else 1)
            row |= evaluate(model, val_images[judges], val_labels[judges])
            curve.append(row | {"seconds": round(time.perf_counter() - start, 1)})
            _store(checkpoint, model, optimizer, made_with, curve)
            print("  ".join(f"{fact} {value:g}" for fact, value in curve[-1].items()), flush=True)
    model = model.cpu()
    model = fold_batch_norm(model) if name == "alexnet_mini" else model
    sha256 = write(out, model, make_card(name, data, classes, recipe, curve))
    print(f'Wrote {out}. To ship it: copy it to {models.OWN[name].WEIGHTS_FILE}, set WEIGHTS_SHA256 = "{sha256}"')
    return curve


def mixed(labels: Tensor, classes: int, teacher: float, file: Path | None) -> Tensor:
    """Class probabilities ``(N, classes)`` to train for: the labels', and a share of ``teacher`` from the file."""
    if bool(teacher) != bool(file):
        raise ValueError(
            "This recipe has a teacher: name the file of its soft labels, --soft-labels FILE."
            if teacher
            else "This recipe has no teacher: leave --soft-labels out."
        )
    targets = F.one_hot(labels, classes).float()
    if file is None:
        return targets
    soft = torch.load(file, map_location="cpu", weights_only=True).float()
    if soft.shape != targets.shape:
        raise ValueError(f"{file} holds labels of the shape {tuple(soft.shape)}, not {tuple(targets.shape)}.")
    return targets.lerp(soft, teacher)


def _trainable(name: str, classes: int, recipe: Recipe) -> nn.Module:
    if name == "alexnet_mini":
        return alexnet_mini.with_batch_norm(alexnet_mini.build(classes, dropout=recipe.dropout))
    return resnet_mini.build(classes)


def _check_files(out: Path, checkpoint: Path, resume: bool) -> None:
    if resume and not checkpoint.is_file():
        raise ValueError(f"There is nothing to resume: {checkpoint} does not exist. Start without --resume.")
    for path in [] if resume else [out, checkpoint]:
        if path.exists():
            raise ValueError(f"{path} is there already. Go on with --resume, choose another --out, or move it away.")


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.ndim > 1]  # weights, but no biases and no batch norm
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=recipe.cycles[0].lr, momentum=recipe.momentum, nesterov=True)


def _train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, pixels: Tensor, targets: Tensor, epoch: int, recipe: Recipe
) -> dict[str, float]:
    torch.manual_seed(recipe.seed * 100_003 + epoch + 1)  # each epoch by its own seed: nothing to store for resuming
    device = pixels.device
    precision = acceleration.precision(model, device, None)
    steps = max(1, len(pixels) // recipe.batch_size)  # a last batch that is not full is left out
    cycle, epoch = recipe.at(epoch)
    size = recipe.small_size if epoch < cycle.small_until * cycle.epochs else SIZE
    order = torch.randperm(len(pixels)).to(device)
    total_loss = torch.zeros((), device=device)
    model.train()
    for step in range(steps):
        rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate((epoch + step / steps) / cycle.epochs, cycle)
        images = augment(normalise(pixels[rows]), size, crop_area=cycle.crop_area, light=recipe.light)
        images = images.contiguous(memory_format=torch.channels_last)
        smoothing = recipe.label_smoothing
        loss, _ = train_step(model, images, targets[rows], optimizer, label_smoothing=smoothing, precision=precision)
        total_loss += loss
    lr, mean_loss = optimizer.param_groups[0]["lr"], total_loss.item() / steps
    return {"size": size, "lr": round(lr, 5), "train_loss": round(mean_loss, 4)}


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent on uint8 images ``(N, 3, H, W)``: one view each, as they are."""
    device = next(model.parameters()).device
    top1 = top5 = 0.0
    with models.evaluating(model, grad=False):
        for batch, target in zip(images.split(500), labels.split(500), strict=True):
            scores = model(normalise(batch.to(device)))
            best = scores.topk(min(5, scores.shape[1])).indices.cpu()
            top1 += (best[:, 0] == target).sum().item()
            top5 += (best == target.view(-1, 1)).any(1).sum().item()
    return {"top1": round(100 * top1 / len(labels), 2), "top5": round(100 * top5 / len(labels), 2)}


def score(name: str, folder: Path) -> dict[str, float]:
    """Top-1 and top-5 in percent of the kit's own weights on ``folder/<class id>/*``, and the count of pictures."""
    images, labels, classes = read_pictures(folder)
    known = models.OWN[name].card()["class_ids"]
    if unknown := sorted(set(classes) - set(known)):
        raise ValueError(f"{folder} has classes that {name} was not trained on: {', '.join(unknown[:5])} ...")
    labels = torch.tensor([known.index(wnid) for wnid in classes])[labels]
    return evaluate(models.OWN[name].load(), images, labels) | {"count": len(labels)}


# ---- files -------------------------------------------------------------------------------------------------------


def write(path: Path, model: nn.Module, card: dict[str, Any]) -> str:
    """Write the network in float16 with its card, as the kit reads it; returns the SHA-256."""
    card = card | {"parameters": sum(p.numel() for p in model.parameters())}
    state = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save(path, {"state_dict": state, "card": card})
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save(path: Path, content: dict[str, Any]) -> None:
    """``torch.save``, whole or not at all: an interruption leaves the last good file."""
    with machine.replacing(path) as unfinished:
        torch.save(content, unfinished)


def _store(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, made_with: dict[str, Any], curve: Curve
) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    save(path, state | {"made_with": made_with, "curve": curve})
    with path.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, curve[0])
        writer.writeheader()
        writer.writerows(curve)


def _restore(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, made_with: dict[str, Any]) -> Curve:
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if saved["made_with"] != made_with:
        was = {fact: value for fact, value in saved["made_with"].items() if value != made_with.get(fact)}
        raise ValueError(f"{path} was made with another recipe or teacher: {was}. Go on with that, or start anew.")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["curve"]


def make_card(name: str, data: Path, classes: list[str], recipe: Recipe, curve: Curve) -> dict[str, Any]:
    """The weights' story in plain Python types; class ids become names where ``data/words.txt`` knows them.

    What was measured later (bench_transfer.py, near duplicates) is added by hand before the file is shipped.
    """
    return {
        "name": name,
        "made_by": f"python tests/tools/pretrain.py {name} DATA" + " --soft-labels FILE" * bool(recipe.teacher),
        "licence": LICENCE,
        "date": datetime.date.today().isoformat(),
        "data": f"{data.name}: {len(classes)} classes of {SIZE}x{SIZE} px pictures",
        "classes": _names(data / "words.txt", classes),
        "class_ids": classes,
        "recipe": dataclasses.asdict(recipe),
        "accuracy": {fact: curve[-1][fact] for fact in ("top1", "top5")},
        "curve": curve,
    }


def _names(words: Path, classes: list[str]) -> list[str]:
    """The first name of each class id in ``words.txt``; the id itself where there is none."""
    lines = words.read_text().splitlines() if words.is_file() else []
    names = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return [names.get(name, name).split(",")[0] for name in classes]


# ---- batch norm: there while alexnet_mini is trained, gone in the published network ------------------------------


@torch.no_grad()
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A plain copy of a network from ``alexnet_mini.with_batch_norm``: same outputs in eval mode, no batch norm.

    In eval mode batch norm is ``y * scale + shift``, and so can be put into the weights and bias that computed ``y``.
    """
    model = copy.deepcopy(model)
    for name in alexnet_mini.LAYERS_WITH_NORM:
        layer, norm = cast(Any, model.get_submodule(name))
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
        alexnet_mini.exchange(model, name, layer)
    return model


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python tests/tools/pretrain.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("network", choices=models.OWN)
    parser.add_argument("data", type=Path, help="folder with train/<class>/ and val/<class>/")
    parser.add_argument("--out", type=Path, help="the weights file to write (NETWORK.pt, here)")
    parser.add_argument("--soft-labels", type=Path, help="what soft_labels.py wrote")
    parser.add_argument("--epochs", type=int, help="one cycle of so many epochs, in place of the recipe's two")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    try:
        if options.evaluate:
            result = score(options.network, options.data / "val")
            print(f"{options.network} on {{count}} pictures: top-1 {{top1}} %, top-5 {{top5}} %".format(**result))
        else:
            recipe = RECIPES[options.network]
            if options.epochs:
                recipe = dataclasses.replace(
                    recipe, cycles=(dataclasses.replace(recipe.cycles[0], epochs=options.epochs),)
                )
            out = options.out or Path(f"{options.network}.pt")
            train(
                options.network,
                options.data,
                out,
                recipe=recipe,
                soft_labels=options.soft_labels,
                resume=options.resume,
            )
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Interrupted. The same command with --resume goes on after the last whole epoch.\n")


if __name__ == "__main__":
    main()
