"""The receptive-field picture: a stack of layers, one cell on top, and everything below that it sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from helpers import svg
from helpers.conv_math import FieldRow, InvalidSetting
from helpers.svg.field_setup import FieldSetup

WIDTH = 960.0  # px
NARROW = 4.0  # px; cells below this run together


class Scale(NamedTuple):
    """Where input pixels and layers stand: x = left + (pixel - first) * unit; layer i is centred on y(i)."""

    left: float
    first: int
    unit: float
    top: float
    row: float
    count: int

    def x(self, pixel: float) -> float:
        return self.left + (pixel - self.first) * self.unit

    def y(self, layer: int) -> float:
        return self.top + (self.count - 1 - layer) * self.row


def field_picture(state: Mapping[str, object] | str | None = None, *, font_px: int = 16) -> svg.Picture:
    """The field of one cell, layer by layer down to the input, with r += (k - 1) d j and j *= s row by row.

    ``state`` is what a receptive-field explorer's ``state`` holds, the name of a preset, or None.
    """
    setup = FieldSetup.of(state)
    left = 1.2 * font_px
    try:
        _ = setup.sizes  # raises where a layer does not fit
    except InvalidSetting as error:
        parts = [svg.text(left, 1.9 * font_px, "Receptive field", size=1.2 * font_px, bold=True)]
        body, y = svg.problem(left, 3 * font_px, error.reason, error.remedy, width=WIDTH - 2 * left, font_px=font_px)
        return _document(parts + body, y, f"This does not work: {error}.", font_px)
    scale, columns = _scale(setup, 8.6 * font_px, font_px)
    under, y = _under(setup, scale, font_px)
    parts = _heading(setup, left, font_px) + _table(setup, scale, columns, font_px)
    return _document(parts + _cones(setup, scale) + _layers(setup, scale) + under, y, _in_words(setup), font_px)


def _heading(setup: FieldSetup, left: float, font_px: int) -> list[str]:
    row = setup.rows[-1]
    layer = f"of layer {setup.depth}, {row.name}" if setup.depth else "of the input"
    title = f"Receptive field of one cell {layer}: {row.size} px"
    names = "field r and jump j (from one cell to the next) in input px; kernel k, dilation d, stride s"
    return [
        svg.text(left, 1.9 * font_px, title, size=1.2 * font_px, bold=True),
        svg.text(left, 3.7 * font_px, "r ← r + (k − 1)·d·j     j ← j·s", size=font_px, mono=True),
        svg.text(left, 5.2 * font_px, names, size=0.85 * font_px, fill=svg.MUTED),
    ]


def _scale(setup: FieldSetup, top: float, font_px: int) -> tuple[Scale, tuple[float, float]]:
    """The scale of the diagram, and where the columns with the fields and the jumps begin."""
    count, seen = len(setup.rows), setup.seen[0]
    first, last = min(0, *seen), max(setup.size - 1, *seen)
    left, longest = 8.2 * font_px, max(11, *map(len, _growth(setup)))
    fields = WIDTH - 1.2 * font_px - 4.2 * font_px - longest * svg.MONO_ADVANCE * font_px
    unit = (fields - 1.5 * font_px - left) / (last - first + 1)
    row = max(1.45 * font_px, min(2.9 * font_px, 34 * font_px / count))
    return Scale(left, first, unit, top + row / 2, row, count), (fields, WIDTH - 4 * font_px)


def _growth(setup: FieldSetup) -> list[str]:
    """For the input and every layer, how its field follows from the one below."""
    rows, lines = setup.rows, ["1"]
    for layer, below, row in zip(setup.stack, rows, rows[1:], strict=False):
        lines.append(f"{below.size} + ({layer.kernel_size}−1)·{layer.dilation}·{below.jump} = {row.size}")
    return lines


def _table(setup: FieldSetup, scale: Scale, columns: tuple[float, float], font_px: int) -> list[str]:
    left, small, heads = 1.2 * font_px, 0.85 * font_px, scale.top - scale.row / 2 - 0.5 * font_px
    names = ("layer", "cells, the seen ones filled", "field r", "jump j")
    places = zip((left, scale.left, *columns), names, strict=True)
    parts = [svg.text(x, heads, name, size=small, fill=svg.MUTED) for x, name in places]
    size = min(font_px, 0.75 * scale.row)
    for index, (row, growth) in enumerate(zip(setup.rows, _growth(setup), strict=True)):
        y = scale.y(index) + 0.35 * size
        top = index == scale.count - 1
        parts.append(svg.text(left, y, row.name, size=size, bold=top))
        parts.append(svg.text(columns[0], y, growth, size=size, mono=True, bold=top, fill=svg.BLUE if top else svg.INK))
        parts.append(svg.text(columns[1] + 2 * font_px, y, f"{row.jump}", size=size, mono=True, anchor="end"))
    return parts


def _cell(row: FieldRow, scale: Scale, index: int) -> tuple[float, float]:
    """Left edge and width of a cell as drawn: over the middle of its field, at most as wide as its jump."""
    middle, width = scale.x(row.start + index * row.jump + row.size / 2), row.jump * scale.unit
    drawn = width if width < NARROW else min(0.86 * width, 0.96 * scale.row)
    return middle - drawn / 2, drawn


def _cones(setup: FieldSetup, scale: Scale) -> list[str]:
    """The light that falls from the seen cells of a layer on those of the layer below."""
    rows, seen, half, parts = setup.rows, setup.seen, 0.3 * scale.row, []
    for layer in range(1, scale.count):
        corners = []
        for index, side in ((layer, 1), (layer - 1, -1)):
            left, _ = _cell(rows[index], scale, min(seen[index]))
            start, width = _cell(rows[index], scale, max(seen[index]))
            y = scale.y(index) + side * half
            corners += [(left, y), (start + width, y)][::side]
        parts.append(svg.polygon(corners, fill=svg.ORANGE_TINT, opacity=0.9))
    return parts


def _layers(setup: FieldSetup, scale: Scale) -> list[str]:
    """A line of cells for every layer; a plain bar where they are too narrow to tell apart."""
    parts, height = [], 0.6 * scale.row
    for layer, (row, size) in enumerate(zip(setup.rows, setup.sizes, strict=True)):
        seen, y = setup.seen[layer], scale.y(layer) - height / 2
        top = layer == scale.count - 1
        look = {"fill": svg.BLUE_TINT, "stroke": svg.BLUE} if top else {"fill": svg.ORANGE_TINT, "stroke": svg.ORANGE}
        start, width = _cell(row, scale, 0)
        if width < NARROW:
            x, _ = _cell(row, scale, max(0, min(seen)))
            length = (min(size - 1, max(seen)) - max(0, min(seen)) + 1) * width
            parts.append(svg.rect(start, y, width * size, height, fill=svg.PAPER, stroke=svg.LINE))
            parts.append(svg.rect(x, y, max(length, 3), height, line=2, **look))
            continue
        for at in sorted({*range(size), *seen}):
            x, drawn = _cell(row, scale, at)
            style = {"line": 2, **look} if at in seen else {"fill": svg.PAPER, "stroke": svg.LINE}
            if not 0 <= at < size:  # seen, but padding
                style |= {"fill": svg.FAINT, "dash": "3 3", "line": 1.5}
            parts.append(svg.rect(x, y, drawn, height, radius=2, **style))
    return parts


def _under(setup: FieldSetup, scale: Scale, font_px: int) -> tuple[list[str], float]:
    """Below the input: a measure of the field, the field as a square in the image, and 1 + L(K - 1)."""
    seen, field = setup.seen[0], setup.rows[-1].size
    first, last = min(seen), max(seen)
    y = scale.y(0) + 0.3 * scale.row + 0.7 * font_px
    x1, x2 = scale.x(first), scale.x(last + 1)
    parts = [svg.segment(x1, y, x2, y, stroke=svg.ORANGE, line=2)]
    parts += [svg.segment(x, y - 5, x, y + 5, stroke=svg.ORANGE, line=2) for x in (x1, x2)]
    parts.append(svg.text((x1 + x2) / 2, y + 1.4 * font_px, f"{field} px", size=font_px, anchor="middle", bold=True))
    y += 2.6 * font_px
    side, left = 8 * font_px, 1.2 * font_px
    unit = side / setup.size
    inside = [max(0, first), min(setup.size - 1, last)]
    low, length = left + inside[0] * unit, (inside[1] - inside[0] + 1) * unit
    parts.append(svg.rect(left, y, side, side, fill=svg.PAPER, stroke=svg.INK, line=1.5))
    parts.append(svg.rect(low, y + inside[0] * unit, length, length, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=2.5))
    share = round(100 * (inside[1] - inside[0] + 1) ** 2 / setup.size**2)
    looks = f"This cell looks at {share or 'less than 1'} % of the image"
    words = [
        f"In the image: {field} × {field} px; the input has {setup.size} × {setup.size}.",
        looks + (", the rest of its field is padding." if _cut(setup) else "."),
        *_shortcut(setup),
    ]
    x = left + side + 1.5 * font_px
    lines = [line for sentence in words for line in svg.wrap(sentence, size=font_px, width=WIDTH - left - x)]
    for index, line in enumerate(lines):
        parts.append(svg.text(x, y + (1.2 + 1.5 * index) * font_px, line, size=font_px))
    return parts, y + side


def _cut(setup: FieldSetup) -> bool:
    seen = setup.seen[0]
    return min(seen) < 0 or max(seen) >= setup.size


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


def _document(parts: list[str], y: float, alt: str, font_px: int) -> svg.Picture:
    return svg.document(parts, width=WIDTH, height=y + 1.2 * font_px, title="Receptive field", alt=alt)
