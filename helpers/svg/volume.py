"""The volume picture: a block of channels, a filter through its full depth, and the activation maps stacked up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from helpers import conv_math, svg
from helpers.conv_math import InvalidSetting
from helpers.svg.conv_setup import Setup

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


def volume_picture(
    state: Mapping[str, int] | None = None, *, photo: np.ndarray | None = None, font_px: int = 16
) -> svg.Picture:
    """Input block, filter block and activation maps with their sizes; heights are to scale, channels are not.

    ``state`` is what a volume view's ``state`` holds, or None; ``photo`` ``(H, W, 3)`` in 0..1 lies on the input.
    """
    setup, sheet, title = VolumeSetup.of(state), svg.Sheet(font_px), "Volumes of a convolution"
    try:
        size = setup.output_size()
    except InvalidSetting as error:
        sheet.y = sheet.left
        sheet.problem(error)
        return sheet.picture(title=title, alt=f"This does not work: {error}.")
    unit = 11.5 * min(font_px, LARGEST_PX) / max(setup.size, size)
    floor = 5 * font_px + (1 - SLOPE[1]) * max(setup.size, size) * unit  # where all three blocks stand
    columns = _columns(setup, unit, font_px)
    _titles(sheet, setup, columns)
    _input(sheet, setup, columns[0], floor, unit, photo)
    _filter(sheet, setup, columns[1], floor, unit)
    _maps(sheet, setup, size, columns[2], floor, unit)
    sheet.y = floor + 3.4 * font_px
    _words(sheet, setup, size)
    block, kernel, maps = _shapes(setup)
    alt = f"A {block} input, {_count(setup.out_channels, 'filter')}, each {kernel}, and activation maps of {maps}."
    return sheet.picture(title=title, alt=alt)


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
    sheet: svg.Sheet, x: float, floor: float, thickness: float, height: float, *, fill: str, stroke: str,
    line: float = 1.5, tip: str = "", opacity: float = 1.0,
) -> None:  # fmt: skip
    """A box standing on the floor: channels to the right, rows upwards, columns to the back."""
    dx, dy = SLOPE[0] * height, SLOPE[1] * height
    front = [(x, floor), (x + thickness, floor), (x + thickness, floor - height), (x, floor - height)]
    top = [front[3], front[2], (x + thickness + dx, floor - height + dy), (x + dx, floor - height + dy)]
    side = [front[1], (x + thickness + dx, floor + dy), (x + thickness + dx, floor - height + dy), front[2]]
    for face, colour in ((side, fill), (top, svg.PAPER), (front, svg.FAINT if fill == svg.PAPER else fill)):
        sheet.polygon(face, fill=colour, stroke=stroke, line=line, tip=tip, opacity=opacity)


def _at(x: float, floor: float, unit: float, row: float, column: float) -> tuple[float, float]:
    """Where a row (from the floor) and a column (from the front) of a face stand, in px."""
    return x + SLOPE[0] * column * unit, floor - row * unit + SLOPE[1] * column * unit


def _titles(sheet: svg.Sheet, setup: VolumeSetup, columns: tuple[float, ...]) -> None:
    titles = ("Input", _count(setup.out_channels, "filter"), "Activation maps")
    block, kernel, maps = _shapes(setup)
    for x, title, detail in zip(columns, titles, (block, f"each {kernel}", maps), strict=True):
        sheet.text(x, 1.9 * sheet.font_px, title, bold=True)
        sheet.text(x, 3.3 * sheet.font_px, detail, fill=svg.MUTED)


def _input(
    sheet: svg.Sheet, setup: VolumeSetup, x: float, floor: float, unit: float, photo: np.ndarray | None
) -> None:
    """The block, inside it the filter at one position, and the lengths of its edges."""
    font_px, n, k = sheet.font_px, setup.size, min(setup.kernel_size, setup.size)
    thick = _thickness(setup.in_channels, font_px)
    _block(sheet, x, floor, thick, n * unit, fill=svg.PAPER, stroke=svg.INK, tip="input volume")
    if photo is not None:  # along its rows it runs to the back, as the columns of the volume do
        pixels = np.asarray(Image.fromarray((255 * photo + 0.5).astype(np.uint8)).resize((n, n)))
        turned = SLOPE[0] * unit, SLOPE[1] * unit, 0, unit, x + thick, floor - n * unit
        sheet.image(pixels, 0, 0, n, n, matrix=turned, tip="the input, n × n pixels")
    window = _at(x, floor, unit, 0.42 * (n - k), 0.3 * (n - k))
    tip = "the filter's window"
    clear = 1.0 if photo is None else 0.3
    _block(sheet, *window, thick, k * unit, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=2, tip=tip, opacity=clear)
    back = _at(x + thick, floor, unit, 0, n / 2)
    sheet.text(x - 0.5 * font_px, floor - n * unit / 2, f"{n}", size=sheet.small, anchor="end")
    sheet.text(x + thick / 2, floor + 1.2 * font_px, f"{setup.in_channels}", size=sheet.small, anchor="middle")
    sheet.text(back[0] + 0.6 * font_px, back[1] + 0.9 * font_px, f"{n}", size=sheet.small)


def _filter(sheet: svg.Sheet, setup: VolumeSetup, x: float, floor: float, unit: float) -> None:
    """One filter by itself, through the full depth; up to two more behind it stand for the rest."""
    font_px, thick = sheet.font_px, _thickness(setup.in_channels, sheet.font_px)
    side, bottom = max(setup.kernel_size * unit, 0.9 * font_px), floor - 4.2 * font_px
    for behind in range(min(setup.out_channels, 3) - 1, -1, -1):
        left, stands = x + 0.35 * behind * font_px, bottom - 0.55 * behind * font_px
        line = 1 if behind else 2
        _block(sheet, left, stands, thick, side, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=line)
    depth = f"depth {setup.in_channels}" if setup.in_channels == 1 else f"full depth {setup.in_channels}"
    sheet.text(x, bottom + 1.4 * font_px, depth, size=sheet.small)
    sheet.text(x, bottom + 2.7 * font_px, "+ 1 bias", size=sheet.small)


def _maps(sheet: svg.Sheet, setup: VolumeSetup, size: int, x: float, floor: float, unit: float) -> None:
    """One slab a filter, side by side, and across all of them the vector that stands at one grid point."""
    font_px, count = sheet.font_px, min(setup.out_channels, MOST_MAPS)
    height, slab = size * unit, 0.55 * font_px
    room = sheet.right - x - SLOPE[0] * height - slab
    lefts = [x + index * min(3.4 * font_px, room / max(1, count - 1)) for index in range(count)]
    names = [f"{index + 1}" for index in range(count)]
    if setup.out_channels > MOST_MAPS:
        names[-2:] = ["…", f"{setup.out_channels}"]
    for index in reversed(range(count)):
        number = index + 1 if index < count - 1 else setup.out_channels
        _block(sheet, lefts[index], floor, slab, height, fill=svg.PAPER, stroke=svg.BLUE, line=1.2, tip=f"map {number}")
    cell = max(unit, 0.75 * font_px)
    dx, dy = SLOPE[0] * cell, SLOPE[1] * cell
    points = [_at(left + slab, floor, unit, size // 2, size // 3) for left in lefts]
    y = points[0][1] - 0.6 * cell
    sheet.segment(points[0][0], y, points[-1][0], y, stroke=svg.PURPLE, line=2, dash="5 4")
    for px, py in reversed(points):
        corners = [(px, py), (px + dx, py + dy), (px + dx, py + dy - cell), (px, py - cell)]
        sheet.polygon(corners, fill=svg.PURPLE, stroke=svg.PURPLE, tip="one value")
    for left, name in zip(lefts, names, strict=True):
        sheet.text(left + slab / 2, floor + 1.2 * font_px, name, size=sheet.small, anchor="middle")
    sheet.text(x - 0.5 * font_px, floor - height / 2, f"{size}", size=sheet.small, anchor="end")


def _words(sheet: svg.Sheet, setup: VolumeSetup, size: int) -> None:
    font_px, k, products = sheet.font_px, setup.kernel_size, setup.in_channels * setup.kernel_size**2
    product = f"{setup.in_channels}·{k}·{k} = {products} products"
    vector = f"{setup.out_channels}-dim vector" if setup.out_channels > 1 else "single number"
    values = conv_math.activation_size(setup.out_channels, size)
    parameters = conv_math.parameter_count(setup.in_channels, setup.out_channels, k)
    filters, maps = _count(setup.out_channels, "filter"), _count(setup.out_channels, "map")
    for colour, line in (
        (svg.ORANGE, f"One filter at one position: {product} + bias → 1 number"),
        (svg.BLUE, f"{filters} → {maps} of {size} × {size} = {values:,} numbers"),
        (svg.PURPLE, f"A {size} × {size} grid, at each point a {vector}"),
        (svg.INK, f"Parameters: {setup.out_channels} × ({products} + 1) = {parameters:,}"),
    ):
        sheet.rect(sheet.left, sheet.y - 0.75 * font_px, 0.8 * font_px, 0.8 * font_px, fill=colour)
        sheet.text(2.8 * font_px, sheet.y, line)
        sheet.y += 1.6 * font_px
    sheet.y -= 1.4 * font_px
