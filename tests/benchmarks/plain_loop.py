"""The lecture's plain loop: the baseline that the benchmarks compare with. Agreed once; it is not to be improved.

ImageFolder, Resize 227, ToTensor, Normalize, a DataLoader without workers, Adam with 1e-4, batches of 32, everything
trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

SIZE, BATCH_SIZE, LR = 227, 32, 1e-4

TRANSFORM = transforms.Compose(
    [
        transforms.Resize((SIZE, SIZE)),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def loader(folder: Path, *, indices: Sequence[int] | None = None, shuffle: bool = True) -> DataLoader:
    """Batches of ``folder/<class>/*``; with ``indices`` only of these pictures."""
    pictures = datasets.ImageFolder(folder, TRANSFORM)
    return DataLoader(
        pictures if indices is None else Subset(pictures, indices), batch_size=BATCH_SIZE, shuffle=shuffle
    )


def optimizer(model: nn.Module, *, lr: float = LR) -> torch.optim.Optimizer:
    """Adam for everything that is trained."""
    return torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], lr=lr)


def train_epoch(model: nn.Module, batches: DataLoader, optimizer: torch.optim.Optimizer, device: str = "cpu") -> None:
    """One pass over the training pictures."""
    model.train()
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, batches: DataLoader, device: str = "cpu") -> float:
    """Percent of the pictures that are classified correctly."""
    model.eval()
    right = 0
    for images, labels in batches:
        right += (model(images.to(device)).argmax(dim=1).cpu() == labels).sum().item()
    return 100 * right / len(batches.dataset)
