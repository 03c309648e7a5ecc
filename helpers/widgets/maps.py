"""The feature-map browser: every map of every layer for one image, and the part of the image that a unit sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import matplotlib
import numpy as np
from torch import Tensor, nn

from helpers import activations, dissect, loaders, svg
from helpers.models import name_of
from helpers.plotting.activations import strongest
from helpers.svg import Picture
from helpers.widgets.explorer import Explorer, State, choice, columns, show, slider

COLUMNS, PER_PAGE = 6, 18
PHOTO = 300.0  # px, side of the image
ORDERS = {"highest mean first": "mean", "by number": "number"}
SCALES = {"each on its own scale": "own", "one scale for all": "shared"}


class MapBrowser(Explorer):
    """The maps that each layer of ``model`` makes of one image, with menus and sliders.

    Args:
        model: any network; it is only read.
        image: ``(1, 3, H, W)``, normalised as the network expects it.
        state: a dict as ``browser.state`` gives it, or any part of it: "node" (a name out of
            ``activations.nodes(model)`` that puts out maps), "order" ("mean" or "number"), "scale" ("own" or
            "shared"), "page", "row" and "column" (of the chosen unit).
    """

    def __init__(
        self, model: nn.Module, image: Tensor, state: State = None, *, font_px: int | None = None
    ) -> None:
        self._name = name_of(model)
        self._photo = loaders.as_image(image).clamp(0, 1).numpy()
        rows = dissect.layers(model, tuple(image.shape[1:])).rows
        self._rows = {row.name: row for row in rows if len(row.output_shape) == 3}
        # Only the layer in view is computed; the last few stay, so that sliders and going back are quick.
        self._maps = lru_cache(maxsize=4)(lambda node: activations.feature_maps(model, image, node)[0].float().numpy())
        words = {
            f"{name}  {row.type}, {' × '.join(map(str, row.output_shape))}": name for name, row in self._rows.items()
        }
        controls = {
            "node": choice("layer", words),
            "order": choice("order", ORDERS),
            "scale": choice("colours", SCALES),
            "page": slider("page"),
            "row": slider("unit: row"),
            "column": slider("unit: column"),
        }
        menus, cell = list(controls.values())[:4], [controls["row"], controls["column"]]
        super().__init__(controls, [columns(menus, cell)], draw=self._drawn, font_px=font_px)
        self.state = state

    def _load(self, state: State) -> None:
        start = {"node": next(iter(self._rows)), "order": "mean", "scale": "own", "page": 0}
        wanted = self._checked(state, start)
        height, width = self._size = self._rows[wanted["node"]].output_shape[1:]
        self.controls["node"].value = wanted["node"]
        self._arrange()
        for name, value in ({"row": height // 2, "column": width // 2} | wanted).items():
            self.controls[name].value = value

    def _changed(self, name: str) -> None:
        """In another layer the unit stays at the same place of the image, and the pages begin anew."""
        if name != "node":
            return
        size = self._rows[self.controls["node"].value].output_shape[1:]
        for side, before, after in zip(("row", "column"), self._size, size, strict=True):
            place = (self.controls[side].value + 0.5) / before
            self.controls[side].max = max(before, after)  # room for the new value; _arrange sets the limit
            self.controls[side].value = int(place * after)
        self.controls["page"].value = 0
        self._size = size

    def _arrange(self) -> None:
        count, height, width = self._rows[self.controls["node"].value].output_shape
        for name, length in (("page", -(-count // PER_PAGE)), ("row", height), ("column", width)):
            self.controls[name].max = length - 1
            show(self.controls[name], when=length > 1)

    def _drawn(self, state: Mapping[str, Any], *, font_px: int) -> Picture:
        row = self._rows[state["node"]]
        cell = state["row"], state["column"]
        return maps_picture(
            self._photo, self._maps(state["node"]), title=f"{self._name}, {row.name} ({row.type})",
            order=state["order"], shared=state["scale"] == "shared", page=state["page"], cell=cell,
            box=row.at(cell) if row.axes else None, font_px=font_px,
        )  # fmt: skip


# ---- the picture: arrays in, SVG out -----------------------------------------------------------------------------


def maps_picture(
    photo: np.ndarray, maps: np.ndarray, *, title: str, order: str = "mean", shared: bool = False, page: int = 0,
    cell: tuple[int, int] = (0, 0), box: Sequence[int] | None = None, font_px: int = 16,
) -> Picture:  # fmt: skip
    """A page of the maps ``(C, h, w)`` beside ``photo`` ``(H, W, 3)`` in 0..1; ``cell`` (row, column) is marked.

    ``box`` = (top, left, bottom, right) in px of the photo is what the unit sees; None where that is not known. Maps
    that are never negative go from black to yellow, others from blue over white (zero) to red.
    """
    ranked, signed, dead = strongest(maps)
    numbers = (ranked if order == "mean" else np.arange(len(maps)))[page * PER_PAGE : (page + 1) * PER_PAGE]
    top = float(np.abs(maps).max())
    scale = f"all from {svg.number(-top) if signed else 0} to {svg.number(top)}" if shared else "each on its own scale"
    said = f"{len(maps)} maps of {maps.shape[1]} × {maps.shape[2]}{dead}; {scale}"
    sheet, head = svg.Sheet(font_px), 5.2 * font_px
    sheet.y = head
    sees = _photo(sheet, photo, cell, box)
    sheet.text(sheet.left, 1.9 * font_px, title, bold=True)
    sheet.text(sheet.left, 3.4 * font_px, said)
    start = sheet.left + PHOTO + 1.6 * font_px
    pitch = (svg.WIDTH - 0.6 * font_px - start) / COLUMNS
    line = pitch + 1.5 * font_px
    colours = matplotlib.colormaps["RdBu_r" if signed else "inferno"]
    for place, number in enumerate(numbers.tolist()):
        x, y = start + place % COLUMNS * pitch, head + place // COLUMNS * line
        scaled = maps[number] / max(top if shared else float(np.abs(maps[number]).max()), 1e-12)
        pixels = colours((scaled + 1) / 2 if signed else scaled)[..., :3]
        _map(sheet, maps[number], pixels, number, x, y, pitch - 0.6 * font_px, cell)
    height = max(sheet.y, head + -(-len(numbers) // COLUMNS) * line) + 0.4 * font_px
    alt = f"{title}: {said}. {sees} {len(numbers)} are shown, the first is map {numbers[0]}."
    return sheet.picture(title=title, alt=alt, height=height)


def _photo(sheet: svg.Sheet, photo: np.ndarray, cell: tuple[int, int], box: Sequence[int] | None) -> str:
    """The photo with a frame around what the unit sees, and below it that in words, which come back too."""
    x, y, (height, width) = sheet.left, sheet.y, photo.shape[:2]
    unit = PHOTO / max(height, width)
    sheet.image(_pixels(photo), x, y, width * unit, height * unit, tip="the image")
    where = f"The marked position (row {cell[0]}, column {cell[1]})"
    sees = f"{where}: what it sees is not known, this network could not be traced."
    if box is not None:
        top, left, bottom, right = box
        _framed(sheet, x + left * unit, y + top * unit, (right - left) * unit, (bottom - top) * unit, line=3)
        sees = f"{where} sees rows {top} to {bottom - 1} and columns {left} to {right - 1} of {height} × {width} px."
    sheet.y = y + height * unit
    sheet.lines(sees, width=PHOTO)
    sheet.y += sheet.font_px
    return sees


def _map(
    sheet: svg.Sheet, values: np.ndarray, pixels: np.ndarray, number: int, x: float, y: float, room: float,
    cell: tuple[int, int],
) -> None:  # fmt: skip
    """One map in its colours, with the unit framed and its number below."""
    unit = room / max(values.shape)
    tip = f"map {number}: {values.min():.3g} to {values.max():.3g}, mean {values.mean():.3g}; here {values[cell]:.3g}"
    sheet.image(_pixels(pixels), x, y, values.shape[1] * unit, values.shape[0] * unit, tip=tip)
    side = max(unit, 5.0)  # in a large map a unit is too small to be seen
    left, top = x + (cell[1] + 0.5) * unit - side / 2, y + (cell[0] + 0.5) * unit - side / 2
    _framed(sheet, left, top, side, side, line=1.5)
    sheet.text(x + room / 2, y + room + 1.1 * sheet.font_px, str(number), size=0.9 * sheet.font_px, anchor="middle")


def _framed(sheet: svg.Sheet, x: float, y: float, width: float, height: float, *, line: float) -> None:
    """A frame that is seen on dark and on light."""
    sheet.rect(x, y, width, height, stroke=svg.PAPER, line=2 * line if line < 2 else line + 2)
    sheet.rect(x, y, width, height, stroke=svg.VERMILION, line=line)


def _pixels(values: np.ndarray) -> np.ndarray:
    """From 0..1 to uint8."""
    return (255 * values + 0.5).astype(np.uint8)
