"""Full fine-tuning of AlexNet with the lecture's head, validation included.

``python tests/benchmarks/bench_finetune.py DATA_FOLDER``. Random weights: they take as long as trained ones.
"""

from __future__ import annotations

import paired
import plain_loop
import torch
from torch import nn

from helpers import loaders, machine, models, training
from helpers.training import acceleration


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.replace_head(models.load("alexnet", pretrained=False), 4, hidden=(4096, 512)).to(machine.device())


def main() -> None:
    options = paired.arguments(
        __doc__,
        rounds=(3, "pairs of measurements"),
        epochs=(1, "epochs of both"),
        per_class=(0, "use only so many pictures of a class; 0: all"),
    )
    device = machine.device()
    with paired.part_of(options.folder, options.per_class) as folder, paired.fresh_home():
        data = loaders.image_folder(folder, size=plain_loop.SIZE)
        batches = plain_loop.loader(folder / "train", indices=data.train.dataset.indices.tolist())
        val = plain_loop.loader(folder / "train", indices=data.val.dataset.indices.tolist(), shuffle=False)
        model, twin = network(), network()

        def plain() -> None:
            optimizer = plain_loop.optimizer(model)
            for _ in range(options.epochs):
                plain_loop.train_epoch(model, batches, optimizer, device)
                plain_loop.accuracy(model, val, device)

        def ours() -> None:
            training.fit(twin, data, training.TrainConfig(epochs=options.epochs, lr=plain_loop.LR))

        print(data)
        exact = str(acceleration.precision(twin, torch.device(device), None)) == "float32"
        paired.compare(f"{options.epochs} epoch(s)", plain, ours, rounds=options.rounds, target=1.4 if exact else 2)


if __name__ == "__main__":
    main()
