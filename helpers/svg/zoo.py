"""The model zoo as a picture: accuracy against work or size, one mark a network. Data in, SVG out; no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

from helpers import svg

WIDTH, HEIGHT = 960.0, 560.0  # px, of the picture; the legend below comes on top
AXES = {"macs": "work for a picture, billion MACs", "params": "parameters, million"}
NO_FAMILY = ""
_Box = tuple[float, float, float, float]  # left, top, right, bottom


class Entry(NamedTuple):
    """A network with one set of published weights."""

    name: str  # "resnet50"
    weights: str  # "IMAGENET1K_V1"
    accuracy: float  # top-1 on ImageNet's validation pictures, percent
    macs: float  # billion multiply-adds for a picture
    params: float  # million

    @property
    def family(self) -> str:
        """ "resnet" of "resnet50", "wide_resnet" of "wide_resnet50_2", "efficientnet_v2" of "efficientnet_v2_s"."""
        return re.match(r"wide_resnet|efficientnet_v2|[a-z]+", self.name)[0]


def families(entries: Sequence[Entry]) -> list[str]:
    """The families among the entries, in alphabetical order."""
    return sorted({entry.family for entry in entries})


def frontier(entries: Sequence[Entry], axis: str) -> list[Entry]:
    """The entries that no other one beats: nothing at most as costly is as accurate. From cheap to costly."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: (getattr(entry, axis), -entry.accuracy)):
        if not kept or entry.accuracy > kept[-1].accuracy:
            kept.append(entry)
    return kept


def zoo_picture(entries: Sequence[Entry], state: Mapping[str, object], *, font_px: int = 16) -> svg.Picture:
    """Accuracy against ``state["axis"]`` ("macs" or "params", logarithmic).

    The networks of ``state["family"]`` are filled diamonds with their names, where these fit; with
    ``state["frontier"]`` a line joins the networks that no other one beats.

    Raises:
        ValueError: no entries, or an axis that is not known.
    """
    axis, family = state["axis"], state["family"]
    if not entries or axis not in AXES:
        raise ValueError(f"There are {len(entries)} entries and axis is {axis!r}; it can be {' or '.join(AXES)}.")
    scale = _Scale(entries, axis, font_px)
    parts = scale.grid()
    best = frontier(entries, axis) if state["frontier"] else []
    parts += _joined([scale.place(entry) for entry in best])
    chosen = [entry for entry in entries if entry.family == family]
    parts += [_circle(*scale.place(entry), entry) for entry in entries if entry.family != family]
    parts += [_diamond(*scale.place(entry), entry) for entry in chosen]
    parts += _names(chosen, entries, scale, font_px)
    legend, bottom = _legend(family, bool(best), font_px)
    alt = _in_words(entries, chosen, best, axis)
    return svg.document([*parts, *legend], width=WIDTH, height=bottom, title="The model zoo", alt=alt)


class _Scale:
    """From billions and percent to px."""

    def __init__(self, entries: Sequence[Entry], axis: str, font_px: int) -> None:
        costs, accuracies = [getattr(entry, axis) for entry in entries], [entry.accuracy for entry in entries]
        self.axis, self.font_px = axis, font_px
        self.first, self.last = floor(log10(min(costs))), ceil(log10(max(costs)))
        self.low, self.high = 5 * floor(min(accuracies) / 5), 5 * ceil(max(accuracies) / 5)
        self.left, self.right, self.top, self.bottom = (
            4.2 * font_px,
            WIDTH - font_px,
            2.5 * font_px,
            HEIGHT - 3.6 * font_px,
        )

    def x(self, cost: float) -> float:
        return self.left + (log10(cost) - self.first) / (self.last - self.first) * (self.right - self.left)

    def y(self, accuracy: float) -> float:
        return self.bottom - (accuracy - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def place(self, entry: Entry) -> tuple[float, float]:
        return self.x(getattr(entry, self.axis)), self.y(entry.accuracy)

    def holds(self, box: _Box) -> bool:
        return box[0] > self.left and box[2] < self.right and box[1] > self.top and box[3] < self.bottom

    def grid(self) -> list[str]:
        font, parts = self.font_px, []
        for power in range(self.first, self.last + 1):
            x = self.x(10**power)
            parts.append(svg.segment(x, self.top, x, self.bottom))
            anchor = "end" if power == self.last else "middle"
            parts.append(svg.text(x, self.bottom + 1.3 * font, f"{10**power:g}", size=font, anchor=anchor))
        for accuracy in range(self.low, self.high + 1, 5):
            y = self.y(accuracy)
            parts.append(svg.segment(self.left, y, self.right, y))
            parts.append(svg.text(self.left - 0.5 * font, y + 0.35 * font, f"{accuracy}", size=font, anchor="end"))
        middle = (self.left + self.right) / 2
        parts.append(svg.text(middle, self.bottom + 2.8 * font, AXES[self.axis], size=font, anchor="middle", bold=True))
        return [*parts, svg.text(0.5 * font, 1.3 * font, "top-1 accuracy, %", size=font, bold=True)]


def _circle(x: float, y: float, entry: Entry) -> str:
    look = f'r="5" fill="{svg.PAPER}" stroke="{svg.MUTED}" stroke-width="2"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" {look}><title>{escape(_said(entry))}</title></circle>'


def _diamond(x: float, y: float, entry: Entry) -> str:
    points = ((x, y - 8), (x + 8, y), (x, y + 8), (x - 8, y))
    return svg.polygon(points, fill=svg.VERMILION, stroke=svg.INK, line=1, tip=_said(entry))


def _joined(points: Sequence[tuple[float, float]]) -> list[str]:
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [f'<polyline points="{way}" fill="none" stroke="{svg.BLUE}" stroke-width="3"/>'] if points else []


def _names(chosen: Sequence[Entry], entries: Sequence[Entry], scale: _Scale, font_px: int) -> list[str]:
    """Names beside the diamonds where nothing is in the way, if need be over a circle; else only the tooltip."""
    diamonds, marks = ([_square(scale.place(entry)) for entry in group] for group in (chosen, entries))
    names: list[_Box] = []
    parts = []
    for entry in chosen:
        place = scale.place(entry)
        spots = [spot for spot in _spots(place, len(entry.name), font_px) if scale.holds(spot)]
        for obstacles in (marks, diamonds):
            others = [other for other in (*obstacles, *names) if other != _square(place)]
            free = next((spot for spot in spots if not any(_overlap(spot, other) for other in others)), None)
            if free:
                names.append(free)
                parts.append(svg.text(free[0], free[3] - 0.25 * font_px, entry.name, size=font_px, halo=True))
                break
    return parts


def _square(place: tuple[float, float]) -> _Box:
    return place[0] - 9, place[1] - 9, place[0] + 9, place[1] + 9


def _spots(place: tuple[float, float], letters: int, font_px: int) -> list[_Box]:
    """Room for a name right, left, above and below of a mark."""
    (x, y), wide, high = place, 1.12 * svg.SANS_ADVANCE * font_px * letters, 1.1 * font_px
    corners = (
        (x + 12, y - high / 2),
        (x - 12 - wide, y - high / 2),
        (x - wide / 2, y - 12 - high),
        (x - wide / 2, y + 12),
    )
    return [(left, top, left + wide, top + high) for left, top in corners]


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _legend(family: str, best: bool, font_px: int) -> tuple[list[str], float]:
    words = ["Circles: other networks. Rest the mouse on a mark for its numbers."]
    if family:
        words.insert(0, f"Diamonds: {family}.")
    if best:
        words.append("Blue line: the networks that no other one beats in both.")
    parts, y = [], HEIGHT + 1.2 * font_px
    for line in svg.wrap(" ".join(words), size=font_px, width=WIDTH - 2 * font_px):
        parts.append(svg.text(font_px, y, line, size=font_px, fill=svg.MUTED))
        y += 1.4 * font_px
    return parts, y


def _said(entry: Entry) -> str:
    cost = f"{entry.macs:g} billion MACs, {entry.params:.1f} M parameters"
    return f"{entry.name} ({entry.weights}): {entry.accuracy:.1f} %, {cost}"


def _in_words(entries: Sequence[Entry], chosen: Sequence[Entry], best: Sequence[Entry], axis: str) -> str:
    words = [f"Accuracy of {len(entries)} networks against {AXES[axis]}."]
    if chosen:
        words.append("Marked: " + ", ".join(f"{entry.name} {entry.accuracy:.1f} %" for entry in chosen) + ".")
    if best:
        words.append("Beaten by none: " + ", ".join(entry.name for entry in best) + ".")
    return " ".join(words)
