"""Blocks of layers drawn from top to bottom, as wide as they have maps: a bottleneck has a waist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helpers import svg

WIDEST, LAYER, BAR = 150.0, 3.4, 0.5  # px, of the most maps; heights of a layer and of its maps, in font sizes


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
        side = x - max(half) - 1.1 * em
        way = [(x - half[0], start), (side, start), (side, end), (x - 0.7 * em, end)]
        sheet.polyline(way, stroke=svg.VERMILION, line=3)
        sheet.polygon([(x - 1.2 * em, end - 6), (x - 0.6 * em, end), (x - 1.2 * em, end + 6)], fill=svg.VERMILION)
        middle, red = (start + end) / 2, svg.VERMILION
        sheet.text(side - 0.3 * em, middle, block.shortcut, size=sheet.small, fill=red, anchor="end")
        sheet.circle(x, end, 0.6 * em, fill=svg.PAPER, stroke=svg.VERMILION)
        sheet.segment(x - 0.35 * em, end, x + 0.35 * em, end, stroke=svg.VERMILION, line=2)
        sheet.segment(x, end - 0.35 * em, x, end + 0.35 * em, stroke=svg.VERMILION, line=2)
        sheet.text(x + em, end + 0.35 * em, "F(x) + x", size=sheet.small)
    if block.end:
        sheet.text(x + em, end + 1.9 * em, block.end, size=sheet.small)
    _maps(sheet, x, end + 3.2 * em, half[-1], f"{block.maps[-1]} maps")
    return end + 4.5 * em


def _maps(sheet: svg.Sheet, x: float, y: float, half: float, words: str) -> None:
    sheet.rect(x - half, y, 2 * half, BAR * sheet.font_px, fill=svg.INK)
    sheet.text(x + half + 0.6 * sheet.font_px, y + 0.5 * sheet.font_px, words, size=sheet.small, fill=svg.MUTED)


def _in_words(block: Block) -> str:
    parts = [f"{block.maps[0]} maps"]
    for words, count in zip(block.layers, block.maps[1:], strict=True):
        parts.append(f"{words.replace(chr(10), ' ')}: {count} maps")
    shortcut = f", the input added ({block.shortcut})" if block.shortcut else ", no shortcut"
    return f"{block.title}: {'; '.join(parts)}{shortcut}{f', {block.end}' if block.end else ''}."
