"""Random changes of whole batches, a different one for every picture.

A transform of ``torchvision.transforms.v2`` given a batch draws its random numbers *once* and changes all
pictures alike. These draw one set of numbers a picture, and stay on the batch's device.

Each takes and returns ``(N, 3, H, W)`` uint8. Randomness comes from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

Augment = Callable[[torch.Tensor], torch.Tensor]


def flip(images: torch.Tensor) -> torch.Tensor:
    """Mirror each picture left-right with probability 1/2."""
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)


def shift(images: torch.Tensor, *, fraction: float = 0.1) -> torch.Tensor:
    """Move each picture by up to ``fraction`` of its side in both directions; the edge pixels are repeated."""
    count, _, height, width = images.shape
    most = max(1, round(fraction * min(height, width)))
    rows = torch.arange(height, device=images.device) + _offsets(count, most, images.device)  # (N, H)
    columns = torch.arange(width, device=images.device) + _offsets(count, most, images.device)  # (N, W)
    picture = torch.arange(count, device=images.device).view(-1, 1, 1)
    rows, columns = rows.clamp(0, height - 1).unsqueeze(2), columns.clamp(0, width - 1).unsqueeze(1)
    return images.permute(0, 2, 3, 1)[picture, rows, columns].permute(0, 3, 1, 2)  # gather (N, H, W, 3)


def zoom(images: torch.Tensor, *, low: float = 0.7, high: float = 1.0) -> torch.Tensor:
    """Cut a random square window whose side is ``low``..``high`` of the picture's, and enlarge it again."""
    count, device = len(images), images.device
    side = torch.empty(count, device=device).uniform_(low, high)
    x, y = ((torch.rand(2, count, device=device) * 2 - 1) * (1 - side)).unbind()
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2] = side, side, x, y
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)  # (N, H, W, 2)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False).round().to(torch.uint8)


def light(images: torch.Tensor, *, strength: float = 0.2) -> torch.Tensor:
    """Change each picture's brightness and contrast by up to ``strength`` (0.2 = 20 %)."""
    bright, contrast = (1 + strength * (torch.rand(2, len(images), 1, 1, 1, device=images.device) * 2 - 1)).unbind()
    values = images.float()
    grey = values.mean(dim=(1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
    return ((values - grey) * contrast + grey * bright).clamp_(0, 255).round_().to(torch.uint8)


def _offsets(count: int, most: int, device: torch.device) -> torch.Tensor:
    return torch.randint(-most, most + 1, (count, 1), device=device)


@dataclass(frozen=True)
class Recipe:
    """Some of the changes above, one after the other."""

    name: str
    steps: tuple[Augment, ...]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            images = step(images)
        return images


RECIPES: dict[str, tuple[Augment, ...]] = {
    "flip": (flip,),
    "light": (flip, shift),
    "strong": (flip, zoom, light),
}


def recipe(augment: str | Augment | None) -> Augment | None:
    """The function for ``augment``: None, a name in RECIPES, or a function of a uint8 batch, given back as it is."""
    if augment is None or callable(augment):
        return augment
    if augment not in RECIPES:
        raise ValueError(f"augment={augment!r} is not known: use one of {', '.join(RECIPES)}, a function, or None.")
    return Recipe(augment, RECIPES[augment])


def name_of(augment: Augment | None) -> str:
    """How ``augment`` is called in checkpoints: "none", a name in RECIPES, or that of the function."""
    if augment is None:
        return "none"
    return str(getattr(augment, "name", None) or getattr(augment, "__name__", type(augment).__name__))
