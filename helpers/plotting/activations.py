"""Figures of what a network computes inside: feature maps, Grad-CAM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from helpers.plotting import TEXT, Figure, label_all, tiles, with_alt

Picture = np.ndarray | torch.Tensor  # (H, W, 3) in 0..1, as ``loaders.as_image`` gives it


def feature_maps(
    maps: torch.Tensor, *, image: Picture | None = None, count: int = 16, columns: int = 8, shared: bool = False,
    title: str = "",
) -> Figure:  # fmt: skip
    """The ``count`` strongest maps of ``(C, h, w)``, the highest mean first, behind the ``image`` that they are of.

    Maps that are never negative (behind a ReLU) go from black to yellow, others from blue over white (zero) to red.
    ``shared=True`` draws all on one scale, else each has its own; the title says which. Behind a ReLU it also says how
    many of all maps are dead, that is zero everywhere in this picture.
    """
    if maps.ndim != 3:
        raise ValueError(f"maps of shape {tuple(maps.shape)} must be those of one picture, (C, h, w): take maps[0].")
    values = maps.detach().cpu().float().numpy()
    order, signed, dead = strongest(values)
    order = order[:count]
    top = np.abs(values[order]).max(axis=(1, 2))
    top = np.maximum(np.full_like(top, top.max()) if shared else top, 1e-12)
    scale = "one scale for all" if shared else "each on its own scale"
    said = f"{len(order)} of {len(values)} maps{dead}; {scale}"
    tiled = len(order) + (image is not None)
    figure, axes = tiles(tiled, columns, width=1.3, height=1.55, title=". ".join(filter(None, [title, said])))
    if image is not None:
        first = axes.pop(0)
        first.imshow(np.asarray(image).clip(0, 1))
        first.set_title("the image", fontsize=TEXT)
    for axis, index, limit in zip(axes, order, top, strict=False):
        low, colours = (-limit, "RdBu_r") if signed else (0, "inferno")
        axis.imshow(values[index], cmap=colours, vmin=low, vmax=limit, interpolation="nearest")
        axis.set_title(f"map {index}", fontsize=TEXT)
    return with_alt(figure, f"Feature maps, highest mean first. {title}. {said}. The strongest is map {order[0]}.")


def strongest(maps: np.ndarray) -> tuple[np.ndarray, bool, str]:
    """Of maps ``(C, h, w)``: their numbers, highest mean first; whether a value is negative; the dead, in words."""
    signed = bool((maps < 0).any())
    dead = "" if signed else f", {int((maps == 0).all(axis=(1, 2)).sum())} dead"
    return maps.mean(axis=(1, 2)).argsort(kind="stable")[::-1], signed, dead


def cam_overlay(
    picture: Picture, cams: Mapping[str, torch.Tensor], *, shared: bool = True, smooth: bool = True, title: str = ""
) -> Figure:
    """A picture, and over copies of it the Grad-CAM ``(h, w)`` of every class in ``cams``, with its highest value.

    ``shared=True`` draws all on one scale, so that classes can be compared; the title says so. ``smooth=False`` shows
    the cells of the grid as they are.
    """
    pixels = np.asarray(picture)
    grids = {name: cam.detach().cpu().float().numpy() for name, cam in cams.items()}
    highest = max(float(grid.max()) for grid in grids.values())
    scale = "one scale for all" if shared else "each on its own scale"
    heading = f"{title} ({scale})" if title else f"Grad-CAM, {scale}"
    height = 0.7 + 3.1 * pixels.shape[0] / pixels.shape[1]
    figure, axes = tiles(1 + len(grids), 5, width=3.1, height=height, title=heading)
    axes[0].imshow(pixels)
    axes[0].set_title("the image", fontsize=TEXT)
    for axis, name, grid in zip(axes[1:], label_all(list(grids), 30), grids.values(), strict=False):
        axis.imshow(pixels.mean(axis=2), cmap="gray", vmin=0, vmax=1)  # grey, so that all colour is Grad-CAM's
        shown = axis.imshow(
            grid, cmap="viridis", alpha=0.6, vmin=0, vmax=max(highest if shared else grid.max(), 1e-12),
            extent=(-0.5, pixels.shape[1] - 0.5, pixels.shape[0] - 0.5, -0.5),
            interpolation="bilinear" if smooth else "nearest",
        )  # fmt: skip
        axis.set_title(f"{name}\nhighest {grid.max():.3g}", fontsize=TEXT)
    bar = figure.colorbar(shown, ax=axes, shrink=0.6)
    bar.set_label("speaks for the class", fontsize=TEXT)
    bar.ax.tick_params(labelsize=TEXT)
    if not shared:
        bar.set_ticks([0, shown.get_clim()[1] or 1], labels=["0", "highest"])
    said = "; ".join(f"{name}: highest {grid.max():.3g}, {_place(grid)}" for name, grid in grids.items())
    return with_alt(figure, f"{heading}. {said}.")


def _place(grid: np.ndarray) -> str:
    """Where in the picture the highest value is, in words."""
    if not grid.any():
        return "nothing speaks for it"
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    vertical = ("top", "middle", "bottom")[int(3 * row / grid.shape[0])]
    horizontal = ("left", "centre", "right")[int(3 * column / grid.shape[1])]
    return f"at the {vertical}, {horizontal}"
