"""The model zoo as a picture: accuracy against compute or size, one mark a network. Data in, SVG out; no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from helpers import svg

HEIGHT = 560.0  # px, of the picture; the legend comes below
AXES = {"macs": "compute for an image, billion MACs", "params": "parameters, million"}
NO_FAMILY = ""
_Box = tuple[float, float, float, float]  # left, top, right, bottom


class Entry(NamedTuple):
    """A network with one set of published weights."""

    name: str  # "resnet50"
    weights: str  # "IMAGENET1K_V1"
    accuracy: float  # top-1 on ImageNet's validation pictures, percent
    macs: float  # billion multiply-adds for an image
    params: float  # million

    @property
    def family(self) -> str:
        """ "resnet" of "resnet50", "wide_resnet" of "wide_resnet50_2", "efficientnet_v2" of "efficientnet_v2_s"."""
        found = re.match(r"wide_resnet|efficientnet_v2|[a-z]+", self.name)
        return found[0] if found else self.name


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
    axis, family = str(state["axis"]), str(state["family"])
    if not entries or axis not in AXES:
        raise ValueError(f"There are {len(entries)} entries and axis is {axis!r}; it can be {' or '.join(AXES)}.")
    sheet, scale = svg.Sheet(font_px), _Scale(entries, axis, font_px)
    _grid(sheet, scale)
    best = frontier(entries, axis) if state["frontier"] else []
    if best:
        sheet.polyline([scale.place(entry) for entry in best], stroke=svg.BLUE, line=3)
    chosen = [entry for entry in entries if entry.family == family]
    for entry in entries:
        if entry.family != family:
            sheet.circle(*scale.place(entry), 5, fill=svg.PAPER, stroke=svg.MUTED, tip=_said(entry))
    for entry in chosen:
        x, y = scale.place(entry)
        diamond = ((x, y - 8), (x + 8, y), (x, y + 8), (x - 8, y))
        sheet.polygon(diamond, fill=svg.VERMILION, stroke=svg.INK, tip=_said(entry))
    _names(sheet, chosen, entries, scale)
    words = f"Diamonds: {family}. " if family else ""
    words += "Circles: other networks. Rest the mouse on a mark for its numbers."
    words += " Blue line: the networks that no other one beats in both." if best else ""
    sheet.y = HEIGHT - 0.2 * font_px
    sheet.lines(words, x=font_px, width=svg.WIDTH - 2 * font_px, step=1.4, fill=svg.MUTED)
    alt = _in_words(entries, chosen, best, axis)
    return sheet.picture(title="The model zoo", alt=alt, height=sheet.y + 1.4 * font_px)


class _Scale:
    """From billions and percent to px."""

    def __init__(self, entries: Sequence[Entry], axis: str, font_px: int) -> None:
        costs, accuracies = [getattr(entry, axis) for entry in entries], [entry.accuracy for entry in entries]
        self.axis, self.left, self.right = axis, 4.2 * font_px, svg.WIDTH - font_px
        self.top, self.bottom = 2.5 * font_px, HEIGHT - 3.6 * font_px
        self.first, self.last = floor(log10(min(costs))), ceil(log10(max(costs)))
        self.low, self.high = 5 * floor(min(accuracies) / 5), 5 * ceil(max(accuracies) / 5)

    def x(self, cost: float) -> float:
        return self.left + (log10(cost) - self.first) / (self.last - self.first) * (self.right - self.left)

    def y(self, accuracy: float) -> float:
        return self.bottom - (accuracy - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def place(self, entry: Entry) -> tuple[float, float]:
        return self.x(getattr(entry, self.axis)), self.y(entry.accuracy)

    def holds(self, box: _Box) -> bool:
        return box[0] > self.left and box[2] < self.right and box[1] > self.top and box[3] < self.bottom


def _grid(sheet: svg.Sheet, scale: _Scale) -> None:
    font_px = sheet.font_px
    for power in range(scale.first, scale.last + 1):
        x, anchor = scale.x(10**power), "end" if power == scale.last else "middle"
        sheet.segment(x, scale.top, x, scale.bottom)
        sheet.text(x, scale.bottom + 1.3 * font_px, f"{10**power:g}", anchor=anchor)
    for accuracy in range(scale.low, scale.high + 1, 5):
        y = scale.y(accuracy)
        sheet.segment(scale.left, y, scale.right, y)
        sheet.text(scale.left - 0.5 * font_px, y + 0.35 * font_px, f"{accuracy}", anchor="end")
    middle = (scale.left + scale.right) / 2
    sheet.text(middle, scale.bottom + 2.8 * font_px, AXES[scale.axis], anchor="middle", bold=True)
    sheet.text(0.5 * font_px, 1.3 * font_px, "top-1 accuracy, %", bold=True)


def _names(sheet: svg.Sheet, chosen: Sequence[Entry], entries: Sequence[Entry], scale: _Scale) -> None:
    """Names beside the diamonds where nothing is in the way, if need be over a circle; else only the tooltip."""
    diamonds, marks = ([_square(scale.place(entry)) for entry in group] for group in (chosen, entries))
    names: list[_Box] = []
    for entry in chosen:
        place = scale.place(entry)
        spots = [spot for spot in _spots(place, len(entry.name), sheet.font_px) if scale.holds(spot)]
        for obstacles in (marks, diamonds):
            others = [other for other in (*obstacles, *names) if other != _square(place)]
            free = next((spot for spot in spots if not any(_overlap(spot, other) for other in others)), None)
            if free:
                names.append(free)
                sheet.text(free[0], free[3] - 0.25 * sheet.font_px, entry.name, halo=True)
                break


def _square(place: tuple[float, float]) -> _Box:
    return place[0] - 9, place[1] - 9, place[0] + 9, place[1] + 9


def _spots(place: tuple[float, float], letters: int, font_px: int) -> list[_Box]:
    """Room for a name right, left, above and below of a mark."""
    (x, y), wide, high = place, 1.12 * svg.SANS_ADVANCE * font_px * letters, 1.1 * font_px
    beside = [(left, y - high / 2) for left in (x + 12, x - 12 - wide)]
    corners = [*beside, (x - wide / 2, y - 12 - high), (x - wide / 2, y + 12)]
    return [(left, top, left + wide, top + high) for left, top in corners]


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


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
