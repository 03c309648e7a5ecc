"""The kit learns what the plain loop learns: losses step by step, and the accuracy over three seeds.

``python tests/benchmarks/bench_trajectory.py DATA_FOLDER`` needs SqueezeNet's ImageNet weights. Both see the same
pictures in the same order; dropout is off, since its random numbers depend on the layout in memory.
``--seeds 3`` fine-tunes with three seeds, each loop in an order of its own, and compares the test accuracies.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

import paired
import plain_loop
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from helpers import loaders, machine, models, training


def network(name: str, *, seed: int = 0, dropout: bool = False) -> nn.Module:
    torch.manual_seed(seed)
    if name == "alexnet":
        model = models.replace_head(models.load(name, pretrained=False), 4, hidden=(4096, 512))
    else:
        model = models.load(name, num_classes=4)
    for module in model.modules():
        if isinstance(module, nn.Dropout) and not dropout:
            module.p = 0.0
    return model.to(machine.device())


@contextlib.contextmanager
def recorded_losses() -> Iterator[list[float]]:
    """The loss of every training step while this lasts."""
    losses, cross_entropy = [], F.cross_entropy

    def recording(*args: object, **options: object) -> torch.Tensor:
        loss = cross_entropy(*args, **options)
        if loss.requires_grad:
            losses.append(loss.item())
        return loss

    F.cross_entropy = recording
    try:
        yield losses
    finally:
        F.cross_entropy = cross_entropy


def same_order(name: str, folder: Path, *, epochs: int) -> None:
    data = loaders.image_folder(folder, size=plain_loop.SIZE)
    indices = data.train.dataset.indices
    config = training.TrainConfig(epochs=epochs, lr=plain_loop.LR, mixed_precision=False)
    with paired.quietly(), recorded_losses() as ours:
        training.fit(network(name), data, config)
    model, device = network(name), machine.device()
    optimizer = plain_loop.optimizer(model)
    with recorded_losses() as plain:
        for epoch in range(epochs):
            generator = torch.Generator().manual_seed(epoch)  # as fit promises
            order = list(DataLoader(range(len(indices)), batch_size=None, shuffle=True, generator=generator))
            batches = plain_loop.loader(folder / "train", indices=indices[order].tolist(), shuffle=False)
            plain_loop.train_epoch(model, batches, optimizer, device)
    steps = len(plain) // epochs
    print(f"{name}, {epochs} epochs of {steps} steps (wanted: epoch means within 1 %)")
    for epoch in range(epochs):
        mine, theirs = (statistics.fmean(losses[epoch * steps : (epoch + 1) * steps]) for losses in (ours, plain))
        print(f"  epoch {epoch + 1}: plain {theirs:.5f}   kit {mine:.5f}   {100 * abs(mine / theirs - 1):.3f} % apart")
    apart = [abs(a / b - 1) for a, b in zip(ours, plain, strict=True)]
    print(
        f"  single steps: median {100 * statistics.median(apart):.4f} %, largest {100 * max(apart):.3f} % apart",
        flush=True,
    )


def over_seeds(folder: Path, *, seeds: int, epochs: int) -> None:
    test = plain_loop.loader(folder / "test", shuffle=False)
    device = machine.device()
    print(f"squeezenet1_1 fine-tuned for {epochs} epochs: test accuracy in percent")
    for seed in range(seeds):
        data = loaders.image_folder(folder, size=plain_loop.SIZE, seed=seed)
        ours = network("squeezenet1_1", seed=seed, dropout=True)
        with paired.quietly():
            training.fit(ours, data, training.TrainConfig(epochs=epochs, lr=plain_loop.LR, seed=seed))
        plain = network("squeezenet1_1", seed=seed, dropout=True)
        batches = plain_loop.loader(folder / "train", indices=data.train.dataset.indices.tolist())
        optimizer = plain_loop.optimizer(plain)
        for _ in range(epochs):
            plain_loop.train_epoch(plain, batches, optimizer, device)
        results = [plain_loop.accuracy(model, test, device) for model in (plain, ours)]
        print("  seed {}: plain {:.1f}   kit {:.1f}".format(seed, *results), flush=True)


def main() -> None:
    options = paired.arguments(
        __doc__,
        epochs=(2, "epochs"),
        per_class=(64, "use only so many pictures of a class; 0: all"),
        seeds=(0, "compare test accuracies over so many seeds instead"),
    )
    with paired.part_of(options.folder, options.per_class) as folder, paired.fresh_home():
        if options.seeds:
            over_seeds(folder, seeds=options.seeds, epochs=options.epochs)
            return
        for name in ("squeezenet1_1", "alexnet"):
            same_order(name, folder, epochs=options.epochs)


if __name__ == "__main__":
    main()
