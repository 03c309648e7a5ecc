"""Random changes of training images, another one for every image of a batch.

A transform of ``torchvision.transforms.v2`` that is given a batch draws its random numbers *once* and changes all
images alike. ``PerImage`` hands it one image after the other.

All functions here take and return ``(N, 3, H, W)`` uint8. Randomness comes from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2

Augment = Callable[[Tensor], Tensor]  # of a batch


@dataclass(frozen=True)
class PerImage:
    """A transform of one image ``(3, H, W)`` as a function of a batch: each image gets random numbers of its own."""

    transform: v2.Transform
    name: str = ""

    def __call__(self, images: Tensor) -> Tensor:
        return torch.stack([self.transform(image) for image in images])


# --- recipes for training, by name ------------------------------------------------------------------------------------


def light_preset(size: int) -> v2.Transform:
    """Mirrored or not, and moved by up to a tenth of the side; the edge is repeated."""
    moved = v2.RandomCrop(size, padding=max(1, round(0.1 * size)), padding_mode="edge")
    return v2.Compose([v2.RandomHorizontalFlip(), moved])


def strong_preset(size: int) -> v2.Transform:
    """A square of half of the area or more, enlarged again; mirrored or not; brightness and contrast +-20 %."""
    crop = v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(1.0, 1.0))
    return v2.Compose([crop, v2.RandomHorizontalFlip(), v2.ColorJitter(brightness=0.2, contrast=0.2)])


RECIPES: dict[str, Callable[[int], v2.Transform]] = {
    "flip": lambda size: v2.RandomHorizontalFlip(),
    "light": light_preset,
    "strong": strong_preset,
}


def recipe(augment: str | v2.Transform | Augment | None, *, size: int) -> Augment | None:
    """The function of a batch for ``augment``: None, a name in RECIPES, a transform of single images, or a function.

    A function of a batch is given back as it is. ``size`` is the side of the images, px.
    """
    if isinstance(augment, v2.Transform):
        return PerImage(augment, " ".join(repr(augment).split()))
    if augment is None or callable(augment):
        return augment
    if augment not in RECIPES:
        raise ValueError(f"augment={augment!r} is not known: use one of {', '.join(RECIPES)}, a function, or None.")
    return PerImage(RECIPES[augment](size), augment)


def name_of(augment: Augment | None) -> str:
    """How ``augment`` is called in checkpoints: "none", a name in RECIPES, or that of the function."""
    if augment is None:
        return "none"
    return str(getattr(augment, "name", None) or getattr(augment, "__name__", type(augment).__name__))


# --- by hand: what torchvision does not have, or has otherwise --------------------------------------------------------


def shift(images: Tensor, *, fraction: float = 0.1) -> Tensor:
    """Move each image by up to ``fraction`` of its side, whole pixels in both directions; the edge is repeated."""
    count, _, *sides = images.shape
    most = max(1, round(fraction * min(sides)))
    rows, columns = (
        (torch.arange(side) + torch.randint(-most, most + 1, (count, 1))).clamp(0, side - 1).to(images.device)
        for side in sides
    )
    image = torch.arange(count, device=images.device).view(-1, 1, 1)
    return images.permute(0, 2, 3, 1)[image, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def colour_axes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Principal directions of the colours: variances ``(3,)``, largest first, and directions ``(3, 3)``, one a column.

    Over all pixels of all images, for values in 0..1, float64. The sign of a direction means nothing.
    """
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).double() / 255
    centred = pixels - pixels.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(pixels))
    return variances.flip(0).clamp(min=0), directions.flip(1)


def pca_colour(images: Tensor, variances: Tensor, directions: Tensor, *, std: float = 0.1) -> Tensor:
    """Add one colour to all pixels of an image, along the principal directions (Krizhevsky et al. 2012, section 4.1).

    The colour is the sum of ``alpha * variance * direction``, as in the paper, with ``alpha`` normal, mean 0 and
    standard deviation ``std``, drawn anew for every image and direction. ``variances`` and ``directions`` come from
    ``colour_axes`` of the training images.
    """
    alpha = std * torch.randn(len(images), 3, device=images.device)
    colour = (alpha * variances.to(alpha)) @ directions.to(alpha).T  # (N, 3), values for 0..1
    return (images + 255 * colour.view(-1, 3, 1, 1)).clamp(0, 255).round().to(torch.uint8)
