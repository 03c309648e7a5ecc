"""Frozen SqueezeNet 1.1, only the new layer trained: all epochs together, and the accuracy they reach.

``python tests/benchmarks/bench_frozen.py DATA_FOLDER`` needs its ImageNet weights (in TORCH_HOME, or a network).
"""

from __future__ import annotations

import statistics
import time

import paired
import plain_loop
import torch
from torch import nn

from helpers import loaders, machine, models, training

LR = 1e-3  # for both: with the lecture's 1e-4 a new layer has not arrived after ten epochs


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.freeze(models.load("squeezenet1_1", num_classes=4)).to(machine.device())


def main() -> None:
    options = paired.arguments(
        __doc__,
        rounds=(1, "pairs of measurements"),
        epochs=(10, "epochs of both"),
        per_class=(0, "use only so many pictures of a class; 0: all"),
    )
    device = machine.device()
    with paired.part_of(options.folder, options.per_class) as folder, paired.fresh_home():
        split = loaders.image_folder(folder, size=plain_loop.SIZE)
        test = plain_loop.loader(folder / "test", shuffle=False)
        reached: dict[str, list[float]] = {"plain": [], "kit": []}
        epochs: list[float] = []  # seconds of one epoch of the plain loop
        trained: list[float] = []  # seconds of all epochs of the kit, decoding included

        def plain() -> None:
            model = network()
            batches = plain_loop.loader(folder / "train", indices=split.train.dataset.indices.tolist())
            optimizer = plain_loop.optimizer(model, lr=LR)
            for _ in range(options.epochs):
                began = time.perf_counter()
                plain_loop.train_epoch(model, batches, optimizer, device)
                epochs.append(time.perf_counter() - began)
            reached["plain"].append(plain_loop.accuracy(model, test, device))

        def ours() -> None:
            with paired.fresh_home():  # decoding counts
                began = time.perf_counter()
                data = loaders.image_folder(folder, size=plain_loop.SIZE)
                model = network()
                training.fit(model, data, training.TrainConfig(epochs=options.epochs, lr=LR))
                trained.append(time.perf_counter() - began)
            reached["kit"].append(training.evaluate(model, data.test).accuracy)

        print(split)
        title = f"{options.epochs} epochs, decoding and the test included"
        paired.compare(title, plain, ours, rounds=options.rounds, target=10)
        for name, accuracies in reached.items():
            print(f"  {name}: test accuracy {', '.join(f'{value:.1f}' for value in accuracies)} %")
        one, whole = statistics.median(epochs), statistics.median(trained)
        print(f"  one epoch of the plain loop {one:.1f} s, {options.epochs} of the kit with decoding {whole:.1f} s")


if __name__ == "__main__":
    main()
