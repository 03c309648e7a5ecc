"""Blocks of layers drawn from top to bottom, as wide as they have maps: a bottleneck has a waist.

And convolutions drawn from left to right, channel by channel: which one reads which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helpers import svg

if TYPE_CHECKING:
    from torch import nn

    Step = nn.Conv2d | Sequence[int]  # of channels: an order puts channel order[i] at place i

WIDEST, LAYER, BAR = 150.0, 3.4, 0.5  # px, of the most maps; heights of a layer and of its maps, in font sizes
MOST = 12  # channels in a column, so that single lines can be seen
COLOURS = (svg.BLUE, svg.ORANGE, svg.GREEN, svg.VERMILION, svg.PURPLE, svg.SKY)
MIXED = svg.MUTED
PITCH, SIDE = 1.5, 1.2  # of the channels in a column and of the square for each, in font sizes


@dataclass(frozen=True)
class Block:
    """One block: a name, what stands beside each layer, and how many maps go into the first and come out of each."""

    title: str
    layers: Sequence[str]  # one or two lines each, parted by "\n"
    maps: Sequence[int]  # one more than layers
    shortcut: str = ""  # what stands at the shortcut; without it there is none
    end: str = "ReLU"  # what follows the last layer, or the sum

    def __post_init__(self) -> None:
        if len(self.maps) != len(self.layers) + 1:
            raise ValueError(f"{len(self.layers)} layers have {len(self.layers) + 1} counts of maps: {self.maps}.")


def block_picture(blocks: Sequence[Block], *, font_px: int = 16) -> svg.Picture:
    """The blocks side by side (up to four), the widths of all to one scale."""
    sheet = svg.Sheet(font_px)
    slot = (sheet.right - sheet.left) / len(blocks)
    unit = min(WIDEST, 0.5 * slot) / max(count for block in blocks for count in block.maps)
    bottoms = [_draw(sheet, block, sheet.left + (n + 0.36) * slot, unit) for n, block in enumerate(blocks)]
    sheet.y = max(bottoms)
    sheet.lines("Width: number of maps. Each layer reads the maps above it.", size=sheet.small, fill=svg.MUTED)
    return sheet.picture(title="Blocks", alt=" ".join(map(_in_words, blocks)))


def _draw(sheet: svg.Sheet, block: Block, x: float, unit: float) -> float:
    """One block around the vertical line at ``x``; returns where it ends."""
    em, y = sheet.font_px, 2.0 * sheet.font_px
    sheet.text(x, y, block.title, anchor="middle", bold=True)
    y += em
    start, half = y + BAR * em / 2, [max(4.0, count * unit / 2) for count in block.maps]
    _maps(sheet, x, y, half[0], f"x: {block.maps[0]} maps")
    for number, words in enumerate(block.layers):
        top, bottom, above, below = y + BAR * em, y + (BAR + LAYER) * em, half[number], half[number + 1]
        shape = [(x - above, top), (x + above, top), (x + below, bottom), (x - below, bottom)]
        sheet.polygon(shape, fill=svg.BLUE_TINT, stroke=svg.BLUE, line=1.5)
        lines = words.split("\n")
        for line, text in enumerate(lines):
            place = (top + bottom) / 2 + (line - len(lines) / 2 + 0.85) * 1.1 * em
            sheet.text(x + max(above, below) + 0.6 * em, place, text, size=sheet.small)
        y = bottom
        _maps(sheet, x, y, below, f"{block.maps[number + 1]} maps")
    end = y + 2.6 * em
    sheet.segment(x, y + BAR * em, x, end + 3.2 * em, stroke=svg.MUTED, line=2)
    if block.shortcut:
        side, red = x - max(half) - 1.1 * em, svg.VERMILION
        way = [(x - half[0], start), (side, start), (side, end), (x - 0.7 * em, end)]
        sheet.polyline(way, stroke=red, line=3)
        sheet.polygon([(x - 1.2 * em, end - 6), (x - 0.6 * em, end), (x - 1.2 * em, end + 6)], fill=red)
        sheet.text(side - 0.3 * em, (start + end) / 2, block.shortcut, size=sheet.small, fill=red, anchor="end")
        sheet.circle(x, end, 0.6 * em, fill=svg.PAPER, stroke=red)
        for dx, dy in ((0.35 * em, 0), (0, 0.35 * em)):
            sheet.segment(x - dx, end - dy, x + dx, end + dy, stroke=red, line=2)
        sheet.text(x + em, end + 0.35 * em, "F(x) + x", size=sheet.small)
    if block.end:
        sheet.text(x + em, end + 1.9 * em, block.end, size=sheet.small)
    _maps(sheet, x, end + 3.2 * em, half[-1], f"{block.maps[-1]} maps")
    return end + 4.5 * em


def _maps(sheet: svg.Sheet, x: float, y: float, half: float, words: str) -> None:
    sheet.rect(x - half, y, 2 * half, BAR * sheet.font_px, fill=svg.INK)
    sheet.text(x + half + 0.6 * sheet.font_px, y + 0.5 * sheet.font_px, words, size=sheet.small, fill=svg.MUTED)


def _in_words(block: Block) -> str:
    layers = [" ".join(words.split()) for words in block.layers]
    parts = [f"{block.maps[0]} maps", *(f"{w}: {n} maps" for w, n in zip(layers, block.maps[1:], strict=True))]
    shortcut = f", the input added ({block.shortcut})" if block.shortcut else ", no shortcut"
    return f"{block.title}: {'; '.join(parts)}{shortcut}{f', {block.end}' if block.end else ''}."


# ---- which channel reads which --------------------------------------------------------------------------------------


def wiring_picture(networks: Mapping[str, Sequence[Step]], *, font_px: int = 16) -> svg.Picture:
    """Networks of few channels by their titles, one below the other, each from left to right.

    A step is a convolution, whose lines join each channel that comes out with those that it reads (its ``groups``), or
    a new order of the channels. Lines have the colour of the channel that is read: that of its group, or its own; grey
    is a channel that all were mixed into.

    Raises:
        ValueError: a column of more than 12 channels.
    """
    sheet, said = svg.Sheet(font_px), []
    for title, steps in networks.items():
        counts = [_count(step, "in") for step in steps] + [_count(steps[-1], "out")]
        if max(counts) > MOST:
            raise ValueError(f"{title!r} has {max(counts)} channels: lines can be told apart up to {MOST}.")
        _wires(sheet, title, steps, counts)
        parts = [f"{_words(step)}, {count} channels" for step, count in zip(steps, counts[1:], strict=True)]
        said.append(f"{title}: {counts[0]} channels, {', '.join(parts)}")
    return sheet.picture(title="Which channel reads which", alt=f"{'. '.join(said)}.")


def links(step: Step) -> list[tuple[int, int]]:
    """Pairs (channel that is read, channel that it helps to make)."""
    if isinstance(step, Sequence):
        return [(read, place) for place, read in enumerate(step)]
    reads, makes = step.in_channels // step.groups, step.out_channels // step.groups
    return [(g * reads + a, g * makes + b) for g in range(step.groups) for a in range(reads) for b in range(makes)]


def _wires(sheet: svg.Sheet, title: str, steps: Sequence[Step], counts: Sequence[int]) -> None:
    """One network below ``sheet.y``."""
    em, tall = sheet.font_px, PITCH * sheet.font_px * max(counts)
    sheet.text(sheet.left, sheet.y + 2 * em, title, bold=True)
    middle, first = sheet.y + 5 * em + tall / 2, sheet.left + 3 * em
    gap = (sheet.right - 3 * em - first) / len(steps)
    places = [
        [(first + column * gap, middle + PITCH * em * (n - (count - 1) / 2)) for n in range(count)]
        for column, count in enumerate(counts)
    ]
    numbers, colours = list(range(counts[0])), _colours(steps[0])
    for column, step in enumerate(steps):
        here, there = places[column], places[column + 1]
        sheet.text(here[0][0] + gap / 2, middle - tall / 2 - em, _words(step), size=sheet.small, anchor="middle")
        for a, b in links(step):
            sheet.segment(*here[a], *there[b], stroke=colours[a], line=2)
        _squares(sheet, here, numbers, colours)
        if isinstance(step, Sequence):
            numbers, colours = [numbers[a] for a in step], [colours[a] for a in step]
        else:
            numbers = list(range(step.out_channels))
            colours = [
                COLOURS[n * step.groups // len(numbers) % len(COLOURS)] if step.groups > 1 else MIXED for n in numbers
            ]
    _squares(sheet, places[-1], numbers, colours)
    sheet.y = middle + tall / 2


def _squares(
    sheet: svg.Sheet, places: Sequence[tuple[float, float]], numbers: Sequence[int], colours: Sequence[str]
) -> None:
    side = SIDE * sheet.font_px
    for (x, y), number, colour in zip(places, numbers, colours, strict=True):
        sheet.rect(x - side / 2, y - side / 2, side, side, fill=svg.PAPER, stroke=colour, line=3)
        sheet.text(x, y + 0.3 * sheet.font_px, str(number), size=sheet.small, anchor="middle")


def _count(step: Step, end: str) -> int:
    """The channels at the "in" or "out" end of a step."""
    return len(step) if isinstance(step, Sequence) else int(getattr(step, f"{end}_channels"))


def _colours(step: Step) -> list[str]:
    """Of the channels that the first step reads: one a group, or, where there are no groups, one each."""
    count, groups = _count(step, "in"), 1 if isinstance(step, Sequence) else step.groups
    return [COLOURS[(n * groups // count if groups > 1 else n) % len(COLOURS)] for n in range(count)]


def _words(step: Step) -> str:
    if isinstance(step, Sequence):
        return "shuffle"
    kind = f" in {step.groups} groups" if step.groups > 1 else ""
    kind = " depthwise" if 1 < step.groups == step.in_channels else kind
    return f"{'×'.join(map(str, step.kernel_size))}{kind}, {step.weight.numel()} weights"
