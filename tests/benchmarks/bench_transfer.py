"""The kit's own networks on another data set, each at the same number of epochs: from scratch, last layer, fine-tuned.

``python tests/benchmarks/bench_transfer.py DATA_FOLDER`` prints test accuracies, the mean over the seeds first.
"""

from __future__ import annotations

import itertools
import statistics
import time

import paired
import torch
from torch import nn

from helpers import loaders, models, training

# How much slower the layers below the new one learn. Pretrained ones need small steps, or they forget what they know.
BACKBONE_FACTOR = {"from scratch": 1.0, "last layer only": 1.0, "fine-tuned": 0.3}


def network(name: str, how: str, num_classes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = models.load(name, num_classes=num_classes, pretrained=how != "from scratch")
    return models.freeze(model) if how == "last layer only" else model


def run(name: str, how: str, data: loaders.Loaders, *, epochs: int, seed: int) -> float:
    """Test accuracy in percent after training with one learning-rate cycle."""
    model = network(name, how, len(data.classes), seed)
    config = training.TrainConfig(
        epochs=epochs,
        lr=1e-3,
        backbone_factor=BACKBONE_FACTOR[how],
        optimizer="adamw",
        weight_decay=0.01,
        schedule="one_cycle",
        seed=seed,
    )
    with paired.quietly():
        training.fit(model, data, config)
    return training.evaluate(model, data.test).accuracy


def main() -> None:
    options = paired.arguments(
        __doc__.split("\n")[0], size=(96, "px"), epochs=(10, "epochs"), seeds=(3, "runs of each")
    )
    for name, how in itertools.product(models.OWN, BACKBONE_FACTOR):
        start, reached = time.perf_counter(), []
        for seed in range(options.seeds):
            augment = None if how == "last layer only" else "light"  # features are computed once, of plain pictures
            data = loaders.image_folder(options.folder, size=options.size, augment=augment, seed=seed)
            reached.append(run(name, how, data, epochs=options.epochs, seed=seed))
        seconds = (time.perf_counter() - start) / options.seeds
        each = ", ".join(f"{accuracy:.1f}" for accuracy in reached)
        print(f"{name:13} {how:16} {statistics.mean(reached):5.1f} %  ({each}), {seconds:.0f} s a run", flush=True)


if __name__ == "__main__":
    main()
