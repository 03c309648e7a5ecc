"""Data side: tensors ready for the network, no model. ``python tests/benchmarks/bench_data.py DATA_FOLDER``"""

from __future__ import annotations

import paired
import plain_loop
import torch

from helpers import loaders, machine


def main() -> None:
    options = paired.arguments(
        __doc__, rounds=(5, "pairs of measurements"), epochs=(10, "epochs with the first decoding")
    )
    device = machine.device()
    plain = plain_loop.loader(options.folder / "train")

    def epoch(batches: torch.utils.data.DataLoader) -> None:
        for images, _ in batches:
            images.to(device)

    def with_first_decoding() -> None:
        with paired.fresh_home():
            train = loaders.image_folder(options.folder, size=plain_loop.SIZE, val_fraction=0).train
        for _ in range(options.epochs):
            epoch(train)

    with paired.fresh_home():
        ready = loaders.image_folder(options.folder, size=plain_loop.SIZE, val_fraction=0).train
    pictures = len(ready.dataset)
    print(f"{pictures} pictures of {plain_loop.SIZE}x{plain_loop.SIZE} on {device}, {torch.get_num_threads()} threads")
    target = 4 if device == "cpu" else 20
    paired.compare(
        "an epoch after the first", lambda: epoch(plain), lambda: epoch(ready), rounds=options.rounds, target=target
    )
    paired.compare(
        f"{options.epochs} epochs, the first decoding included",
        lambda: [epoch(plain) for _ in range(options.epochs)],
        with_first_decoding,
        rounds=max(1, options.rounds // 2),
        target=3.5,
    )


if __name__ == "__main__":
    main()
