"""Figures of what a network computes inside: feature maps, slices of filters, Grad-CAM, the field of a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.patches import Rectangle

from helpers.plotting import ORANGE, TEXT, Figure, label_all, new_figure, tiles, with_alt

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


def filter_slices(weight: torch.Tensor, *, count: int = 4, slices: int = 8, title: str = "") -> Figure:
    """The first ``slices`` input channels of the first ``count`` filters of ``(K, C, h, w)``, a row a filter.

    Every filter has its own scale, the same upwards and downwards: blue below zero, white zero, red above.
    """
    values = weight.detach().cpu().float().numpy()[:count, :slices]
    rows, columns = values.shape[:2]
    figure, axes = tiles(rows * columns, columns, width=1.3, height=1.6, title=title)
    for place, axis in enumerate(axes):
        row, column = divmod(place, columns)
        limit = max(np.abs(values[row]).max(), 1e-12)
        axis.imshow(values[row, column], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axis.set_title(f"filter {row}\nchannel {column}", fontsize=TEXT)
    size = f"{values.shape[2]}x{values.shape[3]}"
    return with_alt(
        figure, f"{title}. {rows} filters, {columns} input channels of each, {size} weights. Red is positive."
    )


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


def box_on_picture(picture: Picture, box: Sequence[int], *, title: str = "") -> Figure:
    """The part ``box`` = (top, left, bottom, right), px, of a picture, framed; beside it that part alone.

    ``bottom`` and ``right`` are the first row and column behind the box, as in ``picture[top:bottom, left:right]``. A
    box may reach over the edge: there the network sees padding, drawn hatched.
    """
    pixels = np.asarray(picture)
    top, left, bottom, right = box
    if bottom <= top or right <= left:
        raise ValueError(f"box={tuple(box)} must be (top, left, bottom, right) with top < bottom and left < right.")
    said = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}: {bottom - top} x {right - left} px"
    place = (left - 0.5, top - 0.5), right - left, bottom - top
    figure, ((whole, part),) = new_figure(8, 4.4, columns=2, title="\n".join(filter(None, [title, said])))
    for axis, name in ((whole, "the image"), (part, "what the cell sees")):
        axis.set(facecolor="white", xticks=[], yticks=[])
        axis.set_title(name, fontsize=TEXT)
        axis.add_patch(Rectangle(*place, fill=False, ec="grey", hatch="//", lw=0, zorder=0))  # padding
        axis.imshow(pixels, zorder=1)
    whole.add_patch(Rectangle(*place, fill=False, ec=ORANGE, lw=3, zorder=2))
    height, width = pixels.shape[:2]
    whole.set(xlim=(min(left, 0) - 1, max(right, width)), ylim=(max(bottom, height), min(top, 0) - 1))
    part.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
    return with_alt(
        figure, f"{title} A picture of {height} x {width} px with a frame around {said}; beside it that part."
    )


def _place(grid: np.ndarray) -> str:
    """Where in the picture the highest value is, in words."""
    if not grid.any():
        return "nothing speaks for it"
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    vertical = ("top", "middle", "bottom")[int(3 * row / grid.shape[0])]
    horizontal = ("left", "centre", "right")[int(3 * column / grid.shape[1])]
    return f"at the {vertical}, {horizontal}"
