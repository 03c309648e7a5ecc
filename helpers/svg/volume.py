"""The volume picture: a block of channels, a filter through its full depth, and the activation maps stacked up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from helpers import conv_math, svg
from helpers.conv_math import InvalidSetting
from helpers.svg.conv_setup import Setup

WIDTH = 960.0  # px
MOST_MAPS = 8  # drawn one by one; of more, the first and the last stand for all
LARGEST_PX = 20  # a larger font makes the words larger, not the blocks
SLOPE = (0.46, -0.30)  # where the width of a volume runs to, per px of its height


@dataclass(frozen=True)
class VolumeSetup(Setup):
    """A convolution on an input of in_channels × size × size; by default the lecture's, six 5 × 5 filters."""

    in_channels: int = 3
    size: int = 32
    kernel_size: int = 5
    stride: int = 1
    padding: int = 0
    out_channels: int = 6

    def output_size(self) -> int:
        conv_math.parameter_count(self.in_channels, self.out_channels, self.kernel_size)  # checks the channels
        return conv_math.output_size(self.size, self.kernel_size, stride=self.stride, padding=self.padding)


def volume_picture(state: Mapping[str, int] | None = None, *, font_px: int = 16) -> svg.Picture:
    """Input block, filter block and activation maps with their sizes; heights are to scale, channels are not."""
    setup, left = VolumeSetup.of(state), 1.2 * font_px
    try:
        size = setup.output_size()
    except InvalidSetting as error:
        parts, y = svg.problem(left, left, error.reason, error.remedy, width=WIDTH - 2 * left, font_px=font_px)
        return _document(parts, y, f"This does not work: {error}.", font_px)
    unit = 11.5 * min(font_px, LARGEST_PX) / max(setup.size, size)
    floor = 5 * font_px + (1 - SLOPE[1]) * max(setup.size, size) * unit  # where all three blocks stand
    columns = _columns(setup, unit, font_px)
    parts = _titles(setup, columns, font_px)
    parts += _input(setup, columns[0], floor, unit, font_px)
    parts += _filter(setup, columns[1], floor, unit, font_px)
    parts += _maps(setup, size, columns[2], floor, unit, font_px)
    words, y = _words(setup, size, floor + 3.4 * font_px, font_px)
    block, kernel, maps = _shapes(setup)
    alt = f"A {block} input, {_count(setup.out_channels, 'filter')}, each {kernel}, and activation maps of {maps}."
    return _document(parts + words, y, alt, font_px)


def _thickness(channels: int, font_px: int) -> float:
    return min(font_px, LARGEST_PX) * (1 + 0.55 * math.log2(channels))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _shapes(setup: VolumeSetup) -> tuple[str, str, str]:
    """C × H × W of the input, of one filter and of the output."""
    sides = (setup.size, setup.kernel_size, setup.output_size())
    channels = (setup.in_channels, setup.in_channels, setup.out_channels)
    block, kernel, maps = (f"{c} × {side} × {side}" for c, side in zip(channels, sides, strict=True))
    return block, kernel, maps


def _columns(setup: VolumeSetup, unit: float, font_px: int) -> tuple[float, float, float]:
    """Left edges of the input block, the filter and the first map."""
    thick = _thickness(setup.in_channels, font_px)
    first = 3.6 * font_px
    second = first + thick + SLOPE[0] * setup.size * unit + 3 * font_px
    caption = 0.52 * len(f"each {_shapes(setup)[1]}") * font_px
    drawn = thick + SLOPE[0] * max(setup.kernel_size * unit, font_px) + font_px
    return first, second, second + max(caption, drawn) + 2.6 * font_px


def _block(
    x: float, floor: float, thickness: float, height: float, *, fill: str, stroke: str, line: float = 1.5, tip: str = ""
) -> list[str]:
    """A box standing on the floor: channels to the right, rows upwards, columns to the back."""
    dx, dy = SLOPE[0] * height, SLOPE[1] * height
    front = [(x, floor), (x + thickness, floor), (x + thickness, floor - height), (x, floor - height)]
    top = [front[3], front[2], (x + thickness + dx, floor - height + dy), (x + dx, floor - height + dy)]
    side = [front[1], (x + thickness + dx, floor + dy), (x + thickness + dx, floor - height + dy), front[2]]
    look = {"stroke": stroke, "line": line}
    return [
        svg.polygon(side, fill=fill, tip=tip, **look),
        svg.polygon(top, fill=svg.PAPER, tip=tip, **look),
        svg.polygon(front, fill=svg.FAINT if fill == svg.PAPER else fill, tip=tip, **look),
    ]


def _at(x: float, floor: float, unit: float, row: float, column: float) -> tuple[float, float]:
    """Where a row (from the floor) and a column (from the front) of a face stand, in px."""
    return x + SLOPE[0] * column * unit, floor - row * unit + SLOPE[1] * column * unit


def _titles(setup: VolumeSetup, columns: tuple[float, ...], font_px: int) -> list[str]:
    titles = ("Input", _count(setup.out_channels, "filter"), "Activation maps")
    block, kernel, maps = _shapes(setup)
    parts = []
    for x, title, detail in zip(columns, titles, (block, f"each {kernel}", maps), strict=True):
        parts.append(svg.text(x, 1.9 * font_px, title, size=font_px, bold=True))
        parts.append(svg.text(x, 3.3 * font_px, detail, size=font_px, fill=svg.MUTED))
    return parts


def _input(setup: VolumeSetup, x: float, floor: float, unit: float, font_px: int) -> list[str]:
    """The block, inside it the filter at one position, and the lengths of its edges."""
    thick, n, k = _thickness(setup.in_channels, font_px), setup.size, min(setup.kernel_size, setup.size)
    parts = _block(x, floor, thick, n * unit, fill=svg.PAPER, stroke=svg.INK, tip="input volume")
    px, py = _at(x, floor, unit, 0.42 * (n - k), 0.3 * (n - k))
    window = _block(px, py, thick, k * unit, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=2, tip="the filter's window")
    back = _at(x + thick, floor, unit, 0, n / 2)
    small = 0.85 * font_px
    return parts + window + [
        svg.text(x - 0.5 * font_px, floor - n * unit / 2, f"{n}", size=small, anchor="end"),
        svg.text(x + thick / 2, floor + 1.2 * font_px, f"{setup.in_channels}", size=small, anchor="middle"),
        svg.text(back[0] + 0.6 * font_px, back[1] + 0.9 * font_px, f"{n}", size=small),
    ]  # fmt: skip


def _filter(setup: VolumeSetup, x: float, floor: float, unit: float, font_px: int) -> list[str]:
    """One filter by itself, through the full depth; up to two more behind it stand for the rest."""
    side = max(setup.kernel_size * unit, 0.9 * font_px)
    thick = _thickness(setup.in_channels, font_px)
    bottom = floor - 4.2 * font_px
    parts = []
    for behind in range(min(setup.out_channels, 3) - 1, -1, -1):
        look = {"fill": svg.ORANGE_TINT, "stroke": svg.ORANGE, "line": 2 if behind == 0 else 1}
        parts += _block(x + 0.35 * behind * font_px, bottom - 0.55 * behind * font_px, thick, side, **look)
    small = 0.85 * font_px
    depth = f"depth {setup.in_channels}" if setup.in_channels == 1 else f"full depth {setup.in_channels}"
    return parts + [
        svg.text(x, bottom + 1.4 * font_px, depth, size=small),
        svg.text(x, bottom + 2.7 * font_px, "+ 1 bias", size=small),
    ]


def _maps(setup: VolumeSetup, size: int, x: float, floor: float, unit: float, font_px: int) -> list[str]:
    """One slab a filter, side by side, and across all of them the vector that stands at one grid point."""
    count = min(setup.out_channels, MOST_MAPS)
    height, slab = size * unit, 0.55 * font_px
    room = WIDTH - 1.2 * font_px - x - SLOPE[0] * height - slab
    pitch = min(3.4 * font_px, room / max(1, count - 1))
    middle = (size // 2, size // 3)
    cell = max(unit, 0.75 * font_px)
    parts, row = [], []
    for index in range(count - 1, -1, -1):
        left = x + index * pitch
        tip = f"map {index + 1 if index < count - 1 else setup.out_channels}"
        parts += _block(left, floor, slab, height, fill=svg.PAPER, stroke=svg.BLUE, line=1.2, tip=tip)
        px, py = _at(left + slab, floor, unit, *middle)
        dx, dy = SLOPE[0] * cell, SLOPE[1] * cell
        corners = [(px, py), (px + dx, py + dy), (px + dx, py + dy - cell), (px, py - cell)]
        row.append(svg.polygon(corners, fill=svg.PURPLE, stroke=svg.PURPLE, tip="one value"))
    first, last = _at(x + slab, floor, unit, *middle), _at(x + slab + (count - 1) * pitch, floor, unit, *middle)
    y = first[1] - 0.6 * cell
    line = svg.segment(first[0], y, last[0], y, stroke=svg.PURPLE, line=2, dash="5 4")
    small, names = 0.85 * font_px, []
    for index in range(count):
        name = f"{index + 1}"
        if setup.out_channels > MOST_MAPS and index >= count - 2:
            name = "…" if index == count - 2 else f"{setup.out_channels}"
        names.append(svg.text(x + index * pitch + slab / 2, floor + 1.2 * font_px, name, size=small, anchor="middle"))
    edge = svg.text(x - 0.5 * font_px, floor - height / 2, f"{size}", size=small, anchor="end")
    return parts + [line] + row + names + [edge]


def _words(setup: VolumeSetup, size: int, y: float, font_px: int) -> tuple[list[str], float]:
    k, products = setup.kernel_size, setup.in_channels * setup.kernel_size**2
    product = f"{setup.in_channels}·{k}·{k} = {products} products"
    vector = f"{setup.out_channels}-dim vector" if setup.out_channels > 1 else "single number"
    values = conv_math.activation_size(setup.out_channels, size)
    parameters = conv_math.parameter_count(setup.in_channels, setup.out_channels, k)
    filters, maps = _count(setup.out_channels, "filter"), _count(setup.out_channels, "map")
    lines = (
        (svg.ORANGE, f"One filter at one position: {product} + bias → 1 number"),
        (svg.BLUE, f"{filters} → {maps} of {size} × {size} = {values:,} numbers"),
        (svg.PURPLE, f"A {size} × {size} grid, at each point a {vector}"),
        (svg.INK, f"Parameters: {setup.out_channels} × ({products} + 1) = {parameters:,}"),
    )
    parts = []
    for colour, line in lines:
        parts.append(svg.rect(1.2 * font_px, y - 0.75 * font_px, 0.8 * font_px, 0.8 * font_px, fill=colour))
        parts.append(svg.text(2.8 * font_px, y, line, size=font_px))
        y += 1.6 * font_px
    return parts, y - 1.4 * font_px


def _document(parts: list[str], y: float, alt: str, font_px: int) -> svg.Picture:
    return svg.document(parts, width=WIDTH, height=y + 1.2 * font_px, title="Volumes of a convolution", alt=alt)
