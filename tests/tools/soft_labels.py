"""A teacher's answers for the training pictures of ``pretrain.py``: probabilities, from which resnet_mini also learns.

    python tests/tools/soft_labels.py DATA --out soft_labels.pt     # float16 (N, classes), in the order of the names

The teacher is MobileNetV2 with its ImageNet weights and a new last layer for the classes of DATA, on pictures enlarged
to 160 px and their mirror images. The last layer is fitted five times, each time without a fifth of the pictures, and
answers for that fifth: about pictures that it was fitted to it would be too sure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).parent)]

from pretrain import normalise, read_pictures  # noqa: E402

from helpers import machine, models  # noqa: E402
from helpers.training import acceleration  # noqa: E402

SIZE = 160  # px; of 128, 160, 192 and 224 none did better on 64 px pictures
FOLDS = 5


def features(images: Tensor, device: str) -> Tensor:
    """What MobileNetV2 hands to its last layer, ``(N, 1280)``, of uint8 images ``(N, 3, H, W)``."""
    network = models.load("mobilenet_v2").to(device, memory_format=torch.channels_last)
    precision = acceleration.precision(network, torch.device(device), None)
    found = []
    with models.evaluating(network, grad=False):
        for batch in images.split(32):
            enlarged = F.interpolate(normalise(batch.to(device)), size=(SIZE, SIZE), mode="bicubic")
            with precision.autocast():
                maps = network.features(enlarged.contiguous(memory_format=torch.channels_last))
            found.append(maps.float().mean((2, 3)).cpu())
    return torch.cat(found)


def fit(inputs: Tensor, labels: Tensor, classes: int) -> torch.nn.Linear:
    """A linear layer that tells the classes of standardised features apart, with label smoothing and weight decay."""
    layer = torch.nn.Linear(inputs.shape[1], classes)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    epochs, size = 10, 500
    optimizer = torch.optim.AdamW(layer.parameters(), lr=2e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(inputs) // size))
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(size):
            optimizer.zero_grad()
            F.cross_entropy(layer(inputs[rows]), labels[rows], label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
    return layer


def answers(views: list[Tensor], labels: Tensor, classes: int) -> Tensor:
    """Probabilities ``(N, classes)`` for each picture by a layer that has not seen it, the mean over its views."""
    mean, std = views[0].mean(0), views[0].std(0) + 1e-3
    views = [(view - mean) / std for view in views]
    fold = torch.randperm(len(labels)) % FOLDS
    soft = torch.empty(len(labels), classes)
    for number in range(FOLDS):
        seen, unseen = fold != number, fold == number
        layer = fit(torch.cat([view[seen] for view in views]), labels[seen].repeat(len(views)), classes)
        with torch.no_grad():
            soft[unseen] = torch.stack([layer(view[unseen]).softmax(1) for view in views]).mean(0)
    return soft


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="folder with train/<class>/")
    parser.add_argument("--out", type=Path, default=Path("soft_labels.pt"))
    options = parser.parse_args()
    torch.manual_seed(0)
    images, labels, classes = read_pictures(options.data / "train")
    device = machine.device()
    soft = answers([features(images, device), features(images.flip(3), device)], labels, len(classes))
    right = (soft.argmax(1) == labels).float().mean().item()
    torch.save(soft.half(), options.out)
    print(f"Wrote {options.out}: {len(labels)} pictures, {100 * right:.1f} % right first.")


if __name__ == "__main__":
    main()
