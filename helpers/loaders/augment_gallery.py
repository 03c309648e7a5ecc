"""More random changes of whole batches, after the list in the lecture: turned, stretched, bent, recoloured, cut out.

As in ``augment``, each takes and returns ``(N, 3, H, W)`` uint8 and draws one set of random numbers a picture from
torch's global generator. What moves out of the picture is lost; what moves in repeats the edge.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def rotate(images: Tensor, *, degrees: float = 15.0) -> Tensor:
    """Turn each picture about its middle by up to ``degrees`` either way."""
    angle = _between(images, -math.radians(degrees), math.radians(degrees))
    cos, sin = angle.cos(), angle.sin()
    return _affine(images, ((cos, -sin), (sin, cos)))


def stretch(images: Tensor, *, factor: float = 1.3) -> Tensor:
    """Make each picture up to ``factor`` times wider or higher, by another number in each direction."""
    wide, high = (torch.exp(_between(images, -math.log(factor), math.log(factor))) for _ in range(2))
    nothing = torch.zeros_like(wide)
    return _affine(images, ((1 / wide, nothing), (nothing, 1 / high)))


def shear(images: Tensor, *, amount: float = 0.3) -> Tensor:
    """Slant each picture: the top moves sideways by up to ``amount`` of half the height, the bottom the other way."""
    slant = _between(images, -amount, amount)
    one, nothing = torch.ones_like(slant), torch.zeros_like(slant)
    return _affine(images, ((one, slant), (nothing, one)))


def lens(images: Tensor, *, strength: float = 0.3) -> Tensor:
    """Bend each picture as a cheap lens does: straight lines bulge outwards (barrel) or inwards (pincushion).

    A point at distance r from the middle (1 at the middle of an edge) is taken from r * (1 + k * r^2), with k drawn
    from -``strength`` to ``strength``, and the whole scaled so that the middle of the edges stays in place.
    """
    k = _between(images, -strength, strength).view(-1, 1, 1, 1)
    nothing, one = torch.zeros(len(images), device=images.device), torch.ones(len(images), device=images.device)
    grid = _grid(images, ((one, nothing), (nothing, one)))  # (N, H, W, 2)
    squared = grid.pow(2).sum(dim=3, keepdim=True)
    return _sampled(images, grid * (1 + k * squared) / (1 + k))


def cutout(images: Tensor, *, fraction: float = 0.4) -> Tensor:
    """Set one square of each picture to 0, side ``fraction`` of the picture's, middle anywhere (DeVries, Taylor 2017).

    As in the paper the square may reach over the edge, so that some pictures lose little.
    """
    count, _, height, width = images.shape
    half = fraction * min(height, width) / 2
    row, column = (_between(images, 0, side).view(-1, 1) for side in (height, width))
    rows = (torch.arange(height, device=images.device) + 0.5 - row).abs() < half  # (N, H)
    columns = (torch.arange(width, device=images.device) + 0.5 - column).abs() < half  # (N, W)
    return images.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0)


def colour_axes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Principal directions of the colours: variances ``(3,)``, largest first, and directions ``(3, 3)``, one a column.

    Over all pixels of all pictures, for values in 0..1, float64. The sign of a direction means nothing.
    """
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).double() / 255
    centred = pixels - pixels.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(pixels))
    return variances.flip(0).clamp(min=0), directions.flip(1)


def pca_colour(images: Tensor, variances: Tensor, directions: Tensor, *, std: float = 0.1) -> Tensor:
    """Add one colour to all pixels of a picture, along the principal directions (Krizhevsky et al. 2012, section 4.1).

    The colour is the sum of ``alpha * variance * direction``, as in the paper, with ``alpha`` normal, mean 0 and
    standard deviation ``std``, drawn anew for every picture and direction. ``variances`` and ``directions`` come from
    ``colour_axes`` of the training pictures.
    """
    alpha = std * torch.randn(len(images), 3, device=images.device)
    colour = (alpha * variances.to(alpha)) @ directions.to(alpha).T  # (N, 3), values for 0..1
    return (images + 255 * colour.view(-1, 3, 1, 1)).clamp(0, 255).round().to(torch.uint8)


def crop_and_scale(images: Tensor, *, size: int, short: tuple[int, int]) -> Tensor:
    """Scale each picture so that its short side is a random L in ``short``; cut a random square: (N, 3, size, size).

    ResNet's training: ``size=224, short=(256, 480)``. L counts as drawn from all whole numbers in between.

    Raises:
        ValueError: ``size`` is larger than the smallest L.
    """
    low, high = short
    if not 1 <= size <= low <= high:
        raise ValueError(f"size={size} must be at most the shortest side drawn, short={short}: 224 and (256, 480).")
    count, _, height, width = images.shape
    scaled = torch.randint(low, high + 1, (count,), device=images.device) / min(height, width)
    side = torch.stack((size / (scaled * width), size / (scaled * height)))  # (2, N): share of the picture in the cut
    middle = (torch.rand(2, count, device=images.device) * 2 - 1) * (1 - side)
    nothing = torch.zeros_like(side[0])
    grid = _grid(images, ((side[0], nothing), (nothing, side[1])), middle=middle, size=size)
    return _sampled(images, grid)


def _between(images: Tensor, low: float, high: float) -> Tensor:
    """One random number a picture, ``(N,)``."""
    return torch.empty(len(images), device=images.device).uniform_(low, high)


def _affine(images: Tensor, matrix: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    return _sampled(images, _grid(images, matrix))


def _grid(
    images: Tensor,
    matrix: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
    *,
    middle: Tensor | None = None,
    size: int | None = None,
) -> Tensor:
    """Where each pixel of the result is taken from, ``(N, H, W, 2)``, in -1..1; ``matrix`` is for square pictures."""
    count, channels, height, width = images.shape
    (a, b), (c, d) = matrix
    x, y = torch.zeros(2, count, device=images.device) if middle is None else middle
    theta = torch.stack((a, b * height / width, x, c * width / height, d, y), dim=1).view(count, 2, 3)
    shape = [count, channels, size or height, size or width]
    return F.affine_grid(theta.float(), shape, align_corners=False)


def _sampled(images: Tensor, grid: Tensor) -> Tensor:
    values = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return values.round().to(torch.uint8)
