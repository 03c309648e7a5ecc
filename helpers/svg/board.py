"""The training board's picture: curves of a run, first filters, images with their classes. State in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helpers import svg

CURVE_POINTS = 150  # a longer run is drawn as means over neighbouring steps
MOST_FILTERS = 16
MOST_SIDE = 290.0  # px, of an image


class Tile(NamedTuple):
    """An image, and what is said about it."""

    pixels: np.ndarray  # (h, w, 3), uint8
    words: str = ""
    bars: tuple[tuple[str, float], ...] = ()  # (class, probability)
    right: str = ""  # the true class, where it is known: its bar is green and has a tick

    @property
    def alt(self) -> str:
        return " ".join([self.words, *(f"{name} {100 * share:.0f} %" for name, share in self.bars[:1])]).strip()


@dataclass(frozen=True)
class BoardState:
    """What is known of a run at one moment."""

    losses: tuple[float, ...] = ()  # training loss of every step
    checks: tuple[tuple[int, float], ...] = ()  # (steps done, correct validation images in percent)
    rates: tuple[tuple[int, float], ...] = ()  # (steps done, learning rate from there on)
    filters: np.ndarray | None = None  # (K, C, h, w), the weights of the first convolution
    status: str = "not started"
    problem: str = ""  # why the run ended early; empty while all is well
    images: tuple[Tile, ...] = ()  # a few validation images, and what the network says


def board_picture(state: BoardState, *, font_px: int = 16) -> svg.Picture:
    """Loss and accuracy over the steps, a mark where the learning rate changed; below them filters and images."""
    sheet, steps = svg.Sheet(font_px), max(len(state.losses), 1)
    left, width, apart = 3.5 * font_px, (svg.WIDTH - 11 * font_px) / 2, 5.5 * font_px
    sheet.text(font_px, 1.6 * font_px, _headline(state), bold=True)
    losses = _thinned(state.losses)
    highest = 1.1 * max((value for _, value in losses if np.isfinite(value)), default=1.0) or 1.0
    loss = _Axes(left, 3.8 * font_px, width, 12.0 * font_px, steps, highest)
    loss.draw(sheet, "training loss", losses, svg.VERMILION)
    accuracy = _Axes(left + width + apart, 3.8 * font_px, width, 12.0 * font_px, steps, 100.0)
    accuracy.draw(sheet, "validation images correct, %", state.checks, svg.BLUE)
    _rate_marks(sheet, loss, state.rates)
    sheet.y = loss.y + loss.height + 3.4 * font_px
    if state.filters is not None:
        _filters(sheet, state.filters)
    if state.images:
        sheet.text(font_px, sheet.y + 0.6 * font_px, "validation images, and what the network says (✓: the true class)")
        sheet.y += 1.3 * font_px
        tiles(sheet, state.images, columns=8)
    if state.problem:
        sheet.note(("The training ended early:", svg.VERMILION, state.problem))
    return sheet.picture(title="Training board", alt=_in_words(state), height=sheet.y + 0.5 * font_px)


def _headline(state: BoardState) -> str:
    rate = f", learning rate {state.rates[-1][1]:.3g}" if state.rates else ""
    return f"{state.status}: {len(state.losses):,} steps{rate}"


def _in_words(state: BoardState) -> str:
    """The picture for those who cannot see it."""
    said = [f"Training board, {_headline(state)}"]
    if state.losses:
        thinned = _thinned(state.losses)
        said.append(f"training loss {state.losses[0]:.2f} at the first step, about {thinned[-1][1]:.2f} at the last")
    if state.checks:
        said.append(f"{state.checks[-1][1]:.1f} % of the validation images correct")
    if state.filters is not None:
        count, _, height, width = state.filters.shape
        said.append(f"{count} filters of {height} × {width} in the first layer")
    return "; ".join(said) + f". {state.problem}".rstrip()


def tiles(sheet: svg.Sheet, content: Sequence[Tile], *, columns: int) -> None:
    """The tiles below ``y``, so many in a row, words and bars under each image; ``y`` is then below them all."""
    size, pitch, bottom, top = sheet.small, (sheet.right - sheet.left + sheet.font_px) / columns, sheet.y, sheet.y
    side = min(pitch - sheet.font_px, MOST_SIDE)
    for number, tile in enumerate(content):
        top = bottom if number % columns == 0 else top
        x, unit = sheet.left + number % columns * pitch, side / max(tile.pixels.shape[:2])
        height, width = (unit * length for length in tile.pixels.shape[:2])
        sheet.image(tile.pixels, x, top, width, height, tip=tile.words)
        sheet.y = top + height
        if tile.words:
            sheet.lines(tile.words, x=x, width=side, size=size, step=1.3)
            sheet.y += 0.2 * sheet.font_px
        for name, share in tile.bars:
            sheet.y += 1.35 * sheet.font_px
            colour, tick = (svg.GREEN_TINT, " ✓") if name == tile.right else (svg.BLUE_TINT, "")
            box = sheet.y - sheet.font_px, side * share, 1.25 * sheet.font_px
            sheet.rect(x, *box, fill=colour, stroke=svg.GREEN if tick else svg.BLUE)
            room = int(side / (size * svg.SANS_ADVANCE)) - 6
            sheet.text(x + 3, sheet.y, (name if len(name) <= room else name[: room - 1] + "…") + tick, size=size)
            sheet.text(x + side, sheet.y, f"{100 * share:.0f} %", size=size, anchor="end")
        bottom = max(bottom, sheet.y + sheet.font_px)
    sheet.y = bottom


def _thinned(values: Sequence[float]) -> list[tuple[float, float]]:
    """At most ``CURVE_POINTS`` points (steps done, mean of the values since the point before)."""
    if not values:
        return []
    pieces = np.array_split(np.asarray(values, dtype=float), min(len(values), CURVE_POINTS))
    ends = np.cumsum([len(piece) for piece in pieces])
    return [(float(end), float(piece.mean())) for end, piece in zip(ends, pieces, strict=True)]


class _Axes(NamedTuple):
    """Where a curve stands: its left and upper edge, its size, and the values at its right and upper end."""

    x: float
    y: float
    width: float
    height: float
    steps: int
    highest: float

    def across(self, step: float) -> float:
        return self.x + self.width * min(step / self.steps, 1.0)

    def up(self, value: float) -> float:
        return self.y + self.height * (1 - min(value / self.highest, 1.0))

    def draw(self, sheet: svg.Sheet, title: str, points: Sequence[tuple[float, float]], colour: str) -> None:
        """The axes, from 0, and a line through the points; those that are no numbers are left out."""
        font_px, right = sheet.font_px, self.x + self.width
        sheet.text(self.x, self.y - 0.6 * font_px, title)
        for value in (0.0, 0.5 * self.highest, self.highest):
            y = self.up(value)
            sheet.segment(self.x, y, right, y)
            label = f"{value:.3g}"
            sheet.text(self.x - 0.4 * font_px, y + 0.3 * font_px, label, size=sheet.small, anchor="end")
        below = self.y + self.height + 1.2 * font_px
        sheet.text(self.x, below, "0", size=sheet.small, anchor="middle")
        sheet.text(right, below, f"{self.steps:,} steps", size=sheet.small, anchor="end")
        places = [(self.across(step), self.up(value)) for step, value in points if np.isfinite(value)]
        if places:
            sheet.polyline(places, stroke=colour, line=2.5)
            sheet.circle(*places[-1], 3, fill=colour)


def _rate_marks(sheet: svg.Sheet, axes: _Axes, rates: Sequence[tuple[int, float]]) -> None:
    """A dashed line where somebody moved the learning rate, with the new value beside the last three of them."""
    font_px, changes = sheet.font_px, [(at, rate) for at, rate in rates if at > 0]
    for at, _ in changes:
        x = axes.across(at)
        sheet.segment(x, axes.y, x, axes.y + axes.height, stroke=svg.PURPLE, line=1.5, dash="5 4")
    for row, (at, rate) in enumerate(changes[-3:]):
        x = axes.across(at)
        shift, anchor = (-0.3 * font_px, "end") if x > axes.x + 0.75 * axes.width else (0.3 * font_px, "start")
        y, words = axes.y + (1.0 + 1.2 * row) * font_px, f"learning rate {rate:.3g}"
        sheet.text(x + shift, y, words, size=sheet.small, fill=svg.PURPLE, anchor=anchor, halo=True)


def _filters(sheet: svg.Sheet, weights: np.ndarray) -> None:
    """The first filters side by side, each from its lowest weight (black) to its highest (white, or full colour)."""
    font_px, (count, channels, height, width) = sheet.font_px, weights.shape
    shown = min(count, MOST_FILTERS)
    said = f"the {count} filters of the first layer" if shown == count else f"{shown} of {count} filters"
    sheet.text(font_px, sheet.y, f"{said}, {height} × {width}, each on its own scale")
    finite = np.nan_to_num(weights[:shown].astype(float), nan=0.0, posinf=0.0, neginf=0.0).transpose(0, 2, 3, 1)
    low, high = (function(finite, axis=(1, 2, 3), keepdims=True) for function in (np.min, np.max))
    values = np.round(255 * (finite - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    pixels = values if channels == 3 else np.repeat(values[..., :1], 3, axis=3)  # (K, h, w, 3)
    pitch = min(5.8 * font_px, (svg.WIDTH - 2 * font_px) / 8)
    unit = (pitch - 0.8 * font_px) / max(height, width)
    for number, image in enumerate(pixels):
        row, column = divmod(number, 8)
        x, y = font_px + column * pitch, sheet.y + 0.7 * font_px + row * pitch
        sheet.image(image, x, y, width * unit, height * unit, tip=f"filter {number}")
        sheet.rect(x, y, width * unit, height * unit, stroke=svg.INK)
    sheet.y += 1.2 * font_px + pitch * -(-shown // 8)
