"""The receptive-field explorer's picture: a stack of layers, one cell on top, and everything below that it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from helpers import conv_math, svg
from helpers.conv_math import FieldRow, InvalidSetting, Layer
from helpers.svg.conv_setup import Setup

NARROW = 4.0  # px; cells below this run together


def _vgg16() -> list[tuple[int, int, int, int, str]]:
    layers = []
    for block, convs in enumerate((2, 2, 3, 3, 3), start=1):
        layers += [(3, 1, 1, 1, f"conv{block}_{i}") for i in range(1, convs + 1)] + [(2, 2, 0, 1, f"pool{block}")]
    return layers


PRESETS: dict[str, dict[str, object]] = {
    "Three 3×3 see as much as one 7×7": {"size": 16, "layers": [(3, 1, 1)] * 3},
    "One 7×7": {"size": 16, "layers": [(7, 1, 3)]},
    "Stride 2 in every layer": {"size": 32, "layers": [(3, 2, 1)] * 4},
    "Convolutions and pooling": {"size": 24, "layers": [(3, 1, 1, 1, "conv1"), (2, 2, 0, 1, "pool1"),
                                                        (3, 1, 1, 1, "conv2"), (2, 2, 0, 1, "pool2")]},
    "Dilation 1, 2, 4": {"size": 24, "layers": [(3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 4, 4)]},
    "LeNet-5": {"size": 32, "layers": [(5, 1, 0, 1, "C1"), (2, 2, 0, 1, "S2"), (5, 1, 0, 1, "C3"), (2, 2, 0, 1, "S4")]},
    "AlexNet": {"size": 224, "layers": [
        (11, 4, 2, 1, "conv1"), (3, 2, 0, 1, "pool1"), (5, 1, 2, 1, "conv2"), (3, 2, 0, 1, "pool2"),
        (3, 1, 1, 1, "conv3"), (3, 1, 1, 1, "conv4"), (3, 1, 1, 1, "conv5"), (3, 2, 0, 1, "pool5")]},
    "VGG-16": {"size": 224, "layers": _vgg16()},
}  # fmt: skip


@dataclass(frozen=True)
class FieldSetup(Setup):
    """A stack of layers over a line of ``size`` input pixels; a layer is (k, s[, p[, d[, name]]])."""

    size: int = 16
    layers: tuple[tuple[Any, ...], ...] = ((3, 1, 1), (3, 1, 1), (3, 1, 1))
    shown: int | None = None  # layers looked at, from the input upwards; None for all
    cell: int | None = None  # cell of the topmost layer looked at; None for the one nearest the middle of the input

    presets = PRESETS

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(tuple(layer) for layer in self.layers))

    @cached_property
    def stack(self) -> list[Layer]:
        """The layers looked at, with a name each."""
        named = [(Layer(*layer[:4]), layer[4:]) for layer in self.layers[: self.depth]]
        return [replace(layer, name=name[0] if name else _describe(layer)) for layer, name in named]

    @property
    def depth(self) -> int:
        count = len(self.layers)
        return count if self.shown is None else max(0, min(self.shown, count))

    @cached_property
    def rows(self) -> list[FieldRow]:
        """The input (one pixel sees itself), then every layer looked at."""
        return [FieldRow("input", 1, 1, 0), *conv_math.receptive_field_chain(self.stack)]

    @cached_property
    def sizes(self) -> list[int]:
        """Cells along the axis: the input's, then every layer's; InvalidSetting where a layer does not fit."""
        sizes = [self.size]
        for layer in self.stack:
            options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
            try:
                sizes.append(conv_math.output_size(sizes[-1], layer.kernel_size, **options))
            except InvalidSetting as error:
                raise InvalidSetting(f"layer {len(sizes)} ({layer.name}): {error.reason}", error.remedy) from None
        return sizes

    @cached_property
    def chosen(self) -> int:
        """The cell of the topmost layer that is looked at."""
        top = self.rows[-1]
        middle = round((self.size - top.size - 2 * top.start) / (2 * top.jump))
        return max(0, min(middle if self.cell is None else self.cell, self.sizes[-1] - 1))

    @cached_property
    def seen(self) -> list[set[int]]:
        """The cells that the chosen cell sees, in the input and in every layer; beyond the ends is padding."""
        seen = [{self.chosen}]
        for layer in reversed(self.stack):
            taps = [tap * layer.dilation - layer.padding for tap in range(layer.kernel_size)]
            seen.append({cell * layer.stride + tap for cell in seen[-1] for tap in taps})
        return seen[::-1]


def _describe(layer: Layer) -> str:
    stride = f" /{layer.stride}" if layer.stride > 1 else ""
    dilation = f" d{layer.dilation}" if layer.dilation > 1 else ""
    return f"{layer.kernel_size}×{layer.kernel_size}{stride}{dilation}"


# ---- the picture -------------------------------------------------------------------------------------------------


class Scale(NamedTuple):
    """Where input pixels and layers stand: x = left + (pixel - first) * unit; layer i is centred on y(i)."""

    left: float
    first: int
    unit: float
    top: float
    row: float
    layers: int

    def x(self, pixel: float) -> float:
        return self.left + (pixel - self.first) * self.unit

    def y(self, layer: int) -> float:
        return self.top + (self.layers - 1 - layer) * self.row


def field_picture(state: Mapping[str, object] | str | None = None, *, font_px: int = 16) -> svg.Picture:
    """The field of one cell, layer by layer down to the input, with r += (k - 1) d j and j *= s row by row.

    ``state`` is what a receptive-field explorer's ``state`` holds, the name of a preset, or None.
    """
    setup, sheet = FieldSetup.of(state), svg.Sheet(font_px)
    try:
        _ = setup.sizes  # raises where a layer does not fit
    except InvalidSetting as error:
        sheet.text(sheet.left, 1.9 * font_px, "Receptive field", size=1.2 * font_px, bold=True)
        sheet.y = 3 * font_px
        sheet.problem(error)
        return sheet.picture(title="Receptive field", alt=f"This does not work: {error}.")
    scale, columns = _scale(sheet, setup)
    _heading(sheet, setup)
    _table(sheet, setup, scale, columns)
    _cones(sheet, setup, scale)
    _layers(sheet, setup, scale)
    _under(sheet, setup, scale)
    return sheet.picture(title="Receptive field", alt=_in_words(setup))


def _heading(sheet: svg.Sheet, setup: FieldSetup) -> None:
    row, font_px = setup.rows[-1], sheet.font_px
    layer = f"of layer {setup.depth}, {row.name}" if setup.depth else "of the input"
    title = f"Receptive field of one unit {layer}: {row.size} px"
    names = "field r and jump j (from one unit to the next) in input px; kernel k, dilation d, stride s"
    sheet.text(sheet.left, 1.9 * font_px, title, size=1.2 * font_px, bold=True)
    sheet.text(sheet.left, 3.7 * font_px, "r ← r + (k − 1)·d·j     j ← j·s", mono=True)
    sheet.text(sheet.left, 5.2 * font_px, names, size=sheet.small, fill=svg.MUTED)


def _scale(sheet: svg.Sheet, setup: FieldSetup) -> tuple[Scale, tuple[float, float]]:
    """The scale of the diagram, and where the columns with the fields and the jumps begin."""
    font_px, count, seen = sheet.font_px, len(setup.rows), setup.seen[0]
    first, last = min(0, *seen), max(setup.size - 1, *seen)
    left, longest = 8.2 * font_px, max(11, *map(len, _growth(setup)))
    fields = sheet.right - 4.2 * font_px - longest * svg.MONO_ADVANCE * font_px
    unit = (fields - 1.5 * font_px - left) / (last - first + 1)
    row = max(1.45 * font_px, min(2.9 * font_px, 34 * font_px / count))
    return Scale(left, first, unit, 8.6 * font_px + row / 2, row, count), (fields, svg.WIDTH - 4 * font_px)


def _growth(setup: FieldSetup) -> list[str]:
    """For the input and every layer, how its field follows from the one below."""
    rows, lines = setup.rows, ["1"]
    for layer, below, row in zip(setup.stack, rows, rows[1:], strict=False):
        lines.append(f"{below.size} + ({layer.kernel_size}−1)·{layer.dilation}·{below.jump} = {row.size}")
    return lines


def _table(sheet: svg.Sheet, setup: FieldSetup, scale: Scale, columns: tuple[float, float]) -> None:
    heads = scale.top - scale.row / 2 - 0.5 * sheet.font_px
    names = ("layer", "units, the seen ones filled", "field r", "jump j")
    for x, name in zip((sheet.left, scale.left, *columns), names, strict=True):
        sheet.text(x, heads, name, size=sheet.small, fill=svg.MUTED)
    size = min(sheet.font_px, 0.75 * scale.row)
    for index, (row, growth) in enumerate(zip(setup.rows, _growth(setup), strict=True)):
        y, top = scale.y(index) + 0.35 * size, index == scale.layers - 1
        sheet.text(sheet.left, y, row.name, size=size, bold=top)
        sheet.text(columns[0], y, growth, size=size, mono=True, bold=top, fill=svg.BLUE if top else svg.INK)
        sheet.text(columns[1] + 2 * sheet.font_px, y, f"{row.jump}", size=size, mono=True, anchor="end")


def _cell(row: FieldRow, scale: Scale, index: int) -> tuple[float, float]:
    """Left edge and width of a cell as drawn: over the middle of its field, at most as wide as its jump."""
    middle, width = scale.x(row.start + index * row.jump + row.size / 2), row.jump * scale.unit
    drawn = width if width < NARROW else min(0.86 * width, 0.96 * scale.row)
    return middle - drawn / 2, drawn


def _cones(sheet: svg.Sheet, setup: FieldSetup, scale: Scale) -> None:
    """The light that falls from the seen cells of a layer on those of the layer below."""
    for layer in range(1, scale.layers):
        corners = []
        for index, side in ((layer, 1), (layer - 1, -1)):
            left, _ = _cell(setup.rows[index], scale, min(setup.seen[index]))
            start, width = _cell(setup.rows[index], scale, max(setup.seen[index]))
            y = scale.y(index) + side * 0.3 * scale.row
            corners += [(left, y), (start + width, y)][::side]
        sheet.polygon(corners, fill=svg.ORANGE_TINT, opacity=0.9)


def _layers(sheet: svg.Sheet, setup: FieldSetup, scale: Scale) -> None:
    """A line of cells for every layer; a plain bar where they are too narrow to tell apart."""
    height = 0.6 * scale.row
    for layer, (row, size, seen) in enumerate(zip(setup.rows, setup.sizes, setup.seen, strict=True)):
        y, top = scale.y(layer) - height / 2, layer == scale.layers - 1
        tint, colour = (svg.BLUE_TINT, svg.BLUE) if top else (svg.ORANGE_TINT, svg.ORANGE)
        start, width = _cell(row, scale, 0)
        if width < NARROW:
            x, _ = _cell(row, scale, max(0, min(seen)))
            length = (min(size - 1, max(seen)) - max(0, min(seen)) + 1) * width
            sheet.rect(start, y, width * size, height, fill=svg.PAPER, stroke=svg.LINE)
            sheet.rect(x, y, max(length, 3), height, line=2, fill=tint, stroke=colour)
            continue
        for at in sorted({*range(size), *seen}):
            x, drawn = _cell(row, scale, at)
            if not 0 <= at < size:  # seen, but padding
                sheet.rect(x, y, drawn, height, fill=svg.FAINT, stroke=colour, line=1.5, dash="3 3", radius=2)
            elif at in seen:
                sheet.rect(x, y, drawn, height, fill=tint, stroke=colour, line=2, radius=2)
            else:
                sheet.rect(x, y, drawn, height, fill=svg.PAPER, stroke=svg.LINE, radius=2)


def _under(sheet: svg.Sheet, setup: FieldSetup, scale: Scale) -> None:
    """Below the input: a measure of the field, the field as a square in the image, and 1 + L(K - 1)."""
    font_px, field, left = sheet.font_px, setup.rows[-1].size, sheet.left
    first, last = min(setup.seen[0]), max(setup.seen[0])
    y = scale.y(0) + 0.3 * scale.row + 0.7 * font_px
    x1, x2 = scale.x(first), scale.x(last + 1)
    sheet.segment(x1, y, x2, y, stroke=svg.ORANGE, line=2)
    for x in (x1, x2):
        sheet.segment(x, y - 5, x, y + 5, stroke=svg.ORANGE, line=2)
    sheet.text((x1 + x2) / 2, y + 1.4 * font_px, f"{field} px", anchor="middle", bold=True)
    y += 2.6 * font_px
    side = 8 * font_px
    unit = side / setup.size
    low, high = max(0, first), min(setup.size - 1, last)
    length = (high - low + 1) * unit
    sheet.rect(left, y, side, side, fill=svg.PAPER, stroke=svg.INK, line=1.5)
    sheet.rect(left + low * unit, y + low * unit, length, length, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=2.5)
    share = round(100 * (high - low + 1) ** 2 / setup.size**2)
    looks, cut = f"This unit looks at {share or 'less than 1'} % of the image", (low, high) != (first, last)
    sheet.y = y - 0.3 * font_px
    for sentence in (
        f"In the image: {field} × {field} px; the input has {setup.size} × {setup.size}.",
        looks + (", the rest of its field is padding." if cut else "."),
        *_shortcut(setup),
    ):
        x = left + side + 1.5 * font_px
        sheet.lines(sentence, x=x, width=svg.WIDTH - left - x)
    sheet.y = y + side


def _shortcut(setup: FieldSetup) -> list[str]:
    """Whether the lecture's 1 + L(K - 1) holds here; nothing where the kernels differ."""
    layers = setup.stack
    kernels = {layer.kernel_size for layer in layers}
    if len(kernels) != 1:
        return []
    kernel, count, field = kernels.pop(), len(layers), setup.rows[-1].size
    short = 1 + count * (kernel - 1)
    formula = f"1 + L(K − 1) = 1 + {count}·{kernel - 1} = {short}"
    if short == field:
        return [f"{formula} holds here: stride 1, dilation 1."]
    return [f"{formula} does not hold here:", "it is for stride 1 and dilation 1 only."]


def _in_words(setup: FieldSetup) -> str:
    rows = setup.rows
    chain = ", ".join(f"{row.size} px after {row.name}" for row in rows)
    return f"Receptive field of {len(rows) - 1} layers: {rows[-1].size} px of {setup.size} ({chain})."
