"""The training board's picture: curves of a run and the filters of its first layer. State in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers import svg

WIDTH = 940.0  # px
CURVE_POINTS = 150  # a longer run is drawn as means over neighbouring steps
MOST_FILTERS = 16


@dataclass(frozen=True)
class BoardState:
    """What is known of a run at one moment."""

    losses: tuple[float, ...] = ()  # training loss of every step
    checks: tuple[tuple[int, float], ...] = ()  # (steps done, correct validation pictures in percent)
    rates: tuple[tuple[int, float], ...] = ()  # (steps done, learning rate from there on)
    filters: np.ndarray | None = None  # (K, C, h, w), the weights of the first convolution
    status: str = "not started"
    problem: str = ""  # why the run ended early; empty while all is well


def board_picture(state: BoardState, *, font_px: int = 16) -> svg.Picture:
    """Loss and accuracy over the steps, a mark where the learning rate changed, and below them the filters."""
    top = 3.8 * font_px
    size = ((WIDTH - 11 * font_px) / 2, 12.0 * font_px)  # of the plotting area of a curve
    steps = max(len(state.losses), 1)
    left, right = 3.5 * font_px, 3.5 * font_px + size[0] + 5.5 * font_px
    accuracy = [(float(step), value) for step, value in state.checks]
    parts = [svg.text(font_px, 1.6 * font_px, _headline(state), size=font_px, bold=True)]
    parts += _curve("training loss", _thinned(state.losses), left, top, size, steps, font_px, svg.VERMILION)
    parts += _curve(
        "validation pictures correct, %", accuracy, right, top, size, steps, font_px, svg.BLUE, highest=100.0
    )
    parts += _rate_marks(state.rates, left, top, size, steps, font_px)
    y = top + size[1] + 3.4 * font_px
    if state.filters is not None:
        drawn, y = _filters(state.filters, y, font_px)
        parts += drawn
    if state.problem:
        drawn, y = _problem(state.problem, y, font_px)
        parts += drawn
    alt = _in_words(state)
    return svg.document(parts, width=WIDTH, height=y + 0.5 * font_px, title="Training board", alt=alt)


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
        said.append(f"{state.checks[-1][1]:.1f} % of the validation pictures correct")
    if state.filters is not None:
        count, _, height, width = state.filters.shape
        said.append(f"{count} filters of {height} × {width} in the first layer")
    return "; ".join(said) + f". {state.problem}".rstrip()


def _thinned(values: Sequence[float]) -> list[tuple[float, float]]:
    """At most ``CURVE_POINTS`` points (steps done, mean of the values since the point before)."""
    if not values:
        return []
    pieces = np.array_split(np.asarray(values, dtype=float), min(len(values), CURVE_POINTS))
    ends = np.cumsum([len(piece) for piece in pieces])
    return [(float(end), float(piece.mean())) for end, piece in zip(ends, pieces, strict=True)]


def _curve(
    title: str,
    points: Sequence[tuple[float, float]],
    x: float,
    y: float,
    size: tuple[float, float],
    steps: int,
    font_px: int,
    colour: str,
    *,
    highest: float = 0.0,
) -> list[str]:
    """Axes with a line through the points; the vertical axis begins at 0."""
    width, height = size
    finite = [(at, value) for at, value in points if np.isfinite(value)]
    top = highest or 1.1 * max((value for _, value in finite), default=1.0) or 1.0
    small = 0.85 * font_px

    def place(at: float, value: float) -> tuple[float, float]:
        return x + width * at / steps, y + height * (1 - min(value / top, 1.0))

    parts = [svg.text(x, y - 0.6 * font_px, title, size=font_px)]
    for share in (0.0, 0.5, 1.0):
        line = y + height * (1 - share)
        parts.append(svg.segment(x, line, x + width, line))
        parts.append(svg.text(x - 0.4 * font_px, line + 0.3 * font_px, f"{share * top:.3g}", size=small, anchor="end"))
    below = y + height + 1.2 * font_px
    parts.append(svg.text(x, below, "0", size=small, anchor="middle"))
    parts.append(svg.text(x + width, below, f"{steps:,} steps", size=small, anchor="end"))
    if finite:
        parts.append(_line([place(*point) for point in finite], colour))
    return parts


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points[-1:])
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2.5"/>{dots}'


def _rate_marks(
    rates: Sequence[tuple[int, float]], x: float, y: float, size: tuple[float, float], steps: int, font_px: int
) -> list[str]:
    """A dashed line where somebody moved the learning rate, with the new value beside the last three of them."""
    lines, labels = [], []
    changes = [(at, rate) for at, rate in rates if at > 0]
    for number, (at, rate) in enumerate(changes, -max(0, len(changes) - 3)):  # 0, 1 and 2: the last three
        here = x + size[0] * min(at / steps, 1.0)
        lines.append(svg.segment(here, y, here, y + size[1], stroke=svg.PURPLE, line=1.5, dash="5 4"))
        if number >= 0:
            late = here > x + 0.75 * size[0]
            shift, anchor = (-0.3 * font_px, "end") if late else (0.3 * font_px, "start")
            height = y + (1.0 + 1.2 * number) * font_px
            look = {"size": 0.85 * font_px, "fill": svg.PURPLE, "anchor": anchor, "halo": True}
            labels.append(svg.text(here + shift, height, f"learning rate {rate:.3g}", **look))
    return lines + labels


def _filters(weights: np.ndarray, y: float, font_px: int) -> tuple[list[str], float]:
    """The first filters side by side, each from its lowest weight (black) to its highest (white, or full colour)."""
    count, channels, height, width = weights.shape
    shown = min(count, MOST_FILTERS)
    said = f"the {count} filters of the first layer" if shown == count else f"{shown} of {count} filters"
    parts = [svg.text(font_px, y, f"{said}, {height} × {width}, each on its own scale", size=font_px)]
    columns = min(shown, 8)
    cell = min(5.0 * font_px, (WIDTH - 2 * font_px) / columns - 0.8 * font_px) / max(height, width)
    pitch = max(height, width) * cell + 0.8 * font_px
    colours = _colours(weights[:shown])
    for number in range(shown):
        left = font_px + pitch * (number % columns)
        above = y + 0.7 * font_px + pitch * (number // columns)
        parts += _pixels(colours[number], left, above, cell)
        parts.append(svg.rect(left, above, width * cell, height * cell, stroke=svg.INK, tip=f"filter {number}"))
    return parts, y + 0.7 * font_px + pitch * -(-shown // columns) + 0.5 * font_px


def _colours(weights: np.ndarray) -> list[list[list[str]]]:
    """Every weight's colour: grey, or red-green-blue where the filters have three channels."""
    finite = np.nan_to_num(weights.astype(float), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (function(finite, axis=(1, 2, 3), keepdims=True) for function in (np.min, np.max))
    values = np.round(255 * (finite - low) / np.maximum(high - low, 1e-12)).astype(int)
    rgb = values if values.shape[1] == 3 else np.repeat(values[:, :1], 3, axis=1)
    red, green, blue = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    return [[[f"#{v:06x}" for v in row] for row in one] for one in (red * 65536 + green * 256 + blue).tolist()]


def _pixels(colours: Sequence[Sequence[str]], x: float, y: float, cell: float) -> list[str]:
    shape = f'width="{cell + 0.3:.1f}" height="{cell + 0.3:.1f}"'  # a little overlap, so that no seam shows
    return [
        f'<rect x="{x + column * cell:.1f}" y="{y + row * cell:.1f}" {shape} fill="{colour}"/>'
        for row, line in enumerate(colours)
        for column, colour in enumerate(line)
    ]


def _problem(sentence: str, y: float, font_px: int) -> tuple[list[str], float]:
    lines = svg.wrap(sentence, size=font_px, width=WIDTH - 4 * font_px)
    height = (1.4 * len(lines) + 1.0) * font_px
    parts = [svg.rect(font_px, y, WIDTH - 2 * font_px, height, stroke=svg.VERMILION, line=2, dash="7 5", radius=6)]
    for number, line in enumerate(lines):
        parts.append(svg.text(2 * font_px, y + (1.5 + 1.4 * number) * font_px, line, size=font_px))
    return parts, y + height + 0.5 * font_px
