"""The four quadrants with real ImageNet weights: MobileNetV2 on few and many pictures, near and far.

``python tests/benchmarks/bench_quadrants.py DATA_FOLDER`` needs MobileNetV2's ImageNet weights (in TORCH_HOME, or a
network). The near target is DATA_FOLDER; the far one are four digits that the kit draws. First the frozen network at
224 px with up to all pictures, then the four ways of notebook 08 at ``--size`` px. Pretrained batch norm keeps its
averages.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import paired
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import datasets, loaders, machine, models, transfer

DIGITS = (3, 5, 8, 9)
EPOCHS = {5: 15, 20: 8, 80: 4}  # by pictures a class
FEW = ("features.14", "features.15", "features.16", "features.17", "features.18", "classifier")
WAYS = ("frozen", "few stages", "all", "scratch")


def pictures(folder: Path, size: int, classes: tuple[int, ...] | None = None) -> list[Tensor]:
    """Training pictures, their labels, test pictures, their labels; at most 375 and 75 a class."""
    data = loaders.image_folder(folder, size=size, val_fraction=0.0)
    tensors = []
    for part, most in ((data.train.dataset, 375), (data.test.dataset, 75)):
        positions, labels = transfer.only_classes(torch.arange(len(part)), part.labels, classes or range(4))
        chosen = transfer.per_class(labels, min(most, int(labels.bincount().min())))
        tensors += [transfer.batch_of(part, positions[chosen]), labels[chosen]]
    return tensors


@torch.no_grad()
def features(model: nn.Module, images: Tensor) -> Tensor:
    """What goes into the classifier: ``(N, 1280)``."""
    headless = nn.Sequential(model.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return transfer.scores(headless, images, batch_size=16)


def network(way: str) -> nn.Module:
    model = models.load("mobilenet_v2", num_classes=4, pretrained=way != "scratch")
    if way == "few stages":
        models.freeze(model, except_for=FEW)
    return model.to(machine.device())


def train(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, seed: int, backbone_factor: float) -> None:
    order, device = torch.Generator().manual_seed(seed), machine.device()
    optimizer = torch.optim.Adam(models.parameter_groups(model, 1e-3, backbone_factor=backbone_factor), fused=True)
    models.train_mode(model)
    if backbone_factor < 1:  # averages from ImageNet are better than those of a few small batches: 91 against 48 %
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=order).split(16):
            loss = F.cross_entropy(model(images[batch].to(device)), labels[batch].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def probed(data: list[Tensor], known: tuple[Tensor, Tensor], count: int, seed: int) -> float:
    chosen = transfer.per_class(data[1], count, seed=seed)
    probe = transfer.linear_probe(known[0][chosen], data[1][chosen])
    return transfer.accuracy(probe(known[1]), data[3])


def trained(data: list[Tensor], way: str, count: int, seed: int) -> float:
    torch.manual_seed(seed)
    model, chosen = network(way), transfer.per_class(data[1], count, seed=seed)
    factor = 1.0 if way == "scratch" else 0.1
    train(model, data[0][chosen], data[1][chosen], epochs=EPOCHS[count], seed=seed, backbone_factor=factor)
    return transfer.accuracy(transfer.scores(model, data[2]), data[3])


def told(name: str, values: list[float], began: float) -> None:
    span = f"{statistics.fmean(values):5.1f} [{min(values):.1f}, {max(values):.1f}]"
    print(f"  {name:28s} {span}   {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    options = paired.arguments(__doc__, seeds=(3, "seeds"), size=(128, "side of the pictures for the four ways, px"))
    targets = {"near": (options.folder, None), "far": (datasets.fetch("digits_standin"), DIGITS)}
    frozen = models.load("mobilenet_v2").to(machine.device())
    with paired.fresh_home():
        for target, (folder, classes) in targets.items():
            for size, counts in ((224, (5, 20, 80, 375)), (options.size, EPOCHS)):
                data, began = pictures(folder, size, classes), time.perf_counter()
                known = features(frozen, data[0]), features(frozen, data[2])
                print(f"{target}, {size} px: test accuracy of {len(data[3])} pictures, mean [lowest, highest]")
                for count in counts:
                    values = [probed(data, known, count, seed) for seed in range(5)]
                    told(f"{count:3d} a class, frozen, probe", values, began)
            for way in WAYS[1:]:
                for count in EPOCHS:
                    began = time.perf_counter()
                    values = [trained(data, way, count, seed) for seed in range(options.seeds)]
                    told(f"{count:3d} a class, {way}", values, began)


if __name__ == "__main__":
    main()
