"""Input, kernel and output of a small layer as grids of numbers, and the arithmetic of the chosen cell written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from helpers import svg
from helpers.svg.conv_setup import ConvSetup, example

LONGEST_ROW = 7  # products in a line; wider kernels show the sum of each of their rows
MOST_CHANNELS = 4  # listed one by one
Cell = tuple[int, int]


class Look(NamedTuple):
    """How one cell is drawn."""

    fill: str = svg.PAPER
    ink: str = svg.INK
    bold: bool = False


PADDING, LATER = Look(svg.FAINT, "#8A959D"), Look(ink=svg.MUTED)


class Focus(NamedTuple):
    """What is looked at: cells of the padded input, of the kernel and of the output."""

    inputs: frozenset[Cell]
    taps: frozenset[Cell]
    outputs: frozenset[Cell]
    colour: str
    tint: str


class Place(NamedTuple):
    """Where the three grids stand: the side of a cell, and for each grid its left edge, top edge and caption."""

    cell: float
    lefts: tuple[float, ...]
    tops: tuple[float, ...]
    captions: tuple[tuple[str, str], ...]
    caption_px: float
    right: float
    bottom: float


def draw(sheet: svg.Sheet, setup: ConvSetup) -> None:
    """The grids from the sheet's y downwards, beside or below them the arithmetic."""
    font_px, place = sheet.font_px, _place(sheet, setup)
    _grids(sheet, setup, place)
    needed = _longest_line(setup) * svg.MONO_ADVANCE * font_px
    x, sheet.y = sheet.left, place.bottom + 0.6 * font_px
    if place.right + 2 * font_px + needed <= sheet.right:  # there is room beside the grids
        x, sheet.y = place.right + 2 * font_px, min(place.tops) - 1.1 * font_px
    size = min(font_px, font_px * (sheet.right - sheet.left) / needed)
    for index, line in enumerate(lines := _lines(setup)):
        result = line.startswith("=") and index == len(lines) - 1
        sheet.y += 1.45 * font_px
        fill = svg.BLUE if result else svg.INK
        sheet.text(x, sheet.y, line, size=size, mono=True, bold=result or not index, fill=fill)
    sheet.y = max(place.bottom, sheet.y) + 0.4 * font_px


# ---- where things stand ------------------------------------------------------------------------------------------


def _place(sheet: svg.Sheet, setup: ConvSetup) -> Place:
    font_px, left, gap = sheet.font_px, sheet.left, 2.6 * sheet.font_px
    sides = (setup.size + 2 * setup.padding, setup.kernel_size, 3 if setup.hidden else setup.output_size())
    captions, room = _captions(setup), sheet.right - left - 2 * gap
    least = [max(0.6 * len(name), 0.48 * len(detail)) * font_px for name, detail in captions]
    shrink = min(1.0, 0.68 * room / sum(least))  # long captions must leave room for the grids
    least, cell = [shrink * text for text in least], 1.95 * font_px
    while sum(columns := [max(n * cell, text) for n, text in zip(sides, least, strict=True)]) > room:
        cell *= 0.98
    lefts = (left, left + columns[0] + gap, left + columns[0] + columns[1] + 2 * gap)
    top = sheet.y + 3.2 * font_px
    height = max(sides[0], sides[1] + 2 * (not setup.pooling), sides[2]) * cell  # the bias stands below the kernel
    tops = tuple(top + (height - side * cell) / 2 for side in sides)
    return Place(cell, lefts, tops, captions, shrink * font_px, lefts[2] + columns[2], top + height)


def _captions(setup: ConvSetup) -> tuple[tuple[str, str], ...]:
    """Name and detail of input, kernel and output."""
    read, k = setup.reads(), setup.kernel_size
    of_filter = f" {setup.drawn_filter + 1} of {setup.filters}" if setup.filters > 1 else ""
    of_channel = f"channel {setup.drawn_channel + 1} of {setup.in_channels}" if setup.in_channels > 1 else ""
    size = "?" if setup.hidden else setup.output_size()
    window = ("Window", f"{k} × {k}") if setup.pooling else (f"Filter{of_filter}", of_channel or f"{k} × {k}")
    if setup.groups > 1 and not setup.pooling:
        reads = f"reads channel {read[0] + 1}" if len(read) == 1 else f"reads channels {read[0] + 1} to {read[-1] + 1}"
        window = (window[0], reads)
    return ("Input", of_channel or f"{setup.size} × {setup.size}"), window, (f"Output{of_filter}", f"{size} × {size}")


def _focus(setup: ConvSetup) -> Focus:
    """What is looked at, from the chosen output cell down or from the chosen pixel up."""
    (row, column), k, s, p, d = setup.chosen, setup.kernel_size, setup.stride, setup.padding, setup.dilation
    if setup.view == "output":
        every_tap = frozenset((i, j) for i in range(k) for j in range(k))
        inputs = frozenset((row * s + i * d, column * s + j * d) for i, j in every_tap)
        return Focus(inputs, every_tap, frozenset({(row, column)}), svg.ORANGE, svg.ORANGE_TINT)
    outputs = frozenset((r, c) for r in setup.outputs_using(row) for c in setup.outputs_using(column))
    taps = frozenset(((row + p - r * s) // d, (column + p - c * s) // d) for r, c in outputs)
    return Focus(frozenset({(row + p, column + p)}), taps, outputs, svg.PURPLE, svg.PURPLE_TINT)


# ---- grids -------------------------------------------------------------------------------------------------------


def _grids(sheet: svg.Sheet, setup: ConvSetup, place: Place) -> None:
    focus, font_px, cell, lefts, tops = _focus(setup), sheet.font_px, place.cell, place.lefts, place.tops
    _input(sheet, setup, focus, lefts[0], tops[0], cell)
    _kernel(sheet, setup, focus, lefts[1], tops[1], cell)
    if setup.hidden:
        sheet.rect(lefts[2], tops[2], 3 * cell, 3 * cell, stroke=svg.BLUE, line=2, dash="7 5")
        sheet.text(lefts[2] + 1.5 * cell, tops[2] + 1.85 * cell, "?", size=cell, anchor="middle", bold=True)
    else:
        _output(sheet, setup, focus, lefts[2], tops[2], cell)
    for x, y, (name, detail) in zip(lefts, tops, place.captions, strict=True):
        sheet.text(x, y - 1.9 * font_px, name, size=place.caption_px, bold=True)
        sheet.text(x, y - 0.6 * font_px, detail, size=0.85 * place.caption_px, fill=svg.MUTED)
    middle = tops[1] + setup.kernel_size * cell / 2 + 0.4 * font_px
    for x, sign in ((lefts[1], "∗" if setup.kind == "conv" else "→"), (lefts[2], "=")):
        sheet.text(x - 1.3 * font_px, middle, sign, size=1.3 * font_px, anchor="middle", fill=svg.MUTED)
    if not setup.pooling:
        below = tops[1] + setup.kernel_size * cell + 1.4 * font_px
        sheet.text(lefts[1], below, f"bias {svg.number(example(setup).bias[setup.drawn_filter])}")


def number_grid(
    sheet: svg.Sheet, name: str, values: np.ndarray, x: float, y: float, cell: float, look: Callable[[Cell], Look]
) -> None:
    """A grid of numbers; written out here because it is drawn hundreds of times a second."""
    words = [[svg.number(value) for value in row] for row in values.tolist()]
    size = min(0.5 * cell, 0.9 * cell / (0.58 * max(len(word) for row in words for word in row)))
    parts = [f'<g data-grid="{name}" font-size="{size:.1f}" text-anchor="middle" stroke="{svg.LINE}">']
    shape = f'width="{cell:.1f}" height="{cell:.1f}"'
    for row, line in enumerate(words):
        top = y + row * cell
        baseline = f'y="{top + cell / 2 + 0.36 * size:.1f}" stroke="none"'
        for column, word in enumerate(line):
            left = x + column * cell
            fill, ink, bold = look((row, column))
            weight = ' font-weight="bold"' if bold else ""
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" {shape} fill="{fill}"/>'
                f'<text x="{left + cell / 2:.1f}" {baseline} fill="{ink}"{weight}>{word}</text>'
            )
    sheet.parts += [*parts, "</g>"]


def outline(sheet: svg.Sheet, cells: frozenset[Cell], x: float, y: float, cell: float, colour: str) -> None:
    """A thick frame around the cells: one where they touch, one each and a dashed one around all where they do not."""
    if not cells:
        return
    rows, columns = sorted({r for r, _ in cells}), sorted({c for _, c in cells})
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    around = (x + columns[0] * cell, y + rows[0] * cell, width * cell, height * cell)
    if height * width == len(cells):
        sheet.rect(*around, stroke=colour, line=3)
        return
    sheet.rect(*around, stroke=colour, line=1.5, dash="5 4")
    for r, c in sorted(cells):
        sheet.rect(x + c * cell, y + r * cell, cell, cell, stroke=colour, line=2.5)


def _input(sheet: svg.Sheet, setup: ConvSetup, focus: Focus, x: float, y: float, cell: float) -> None:
    p, end = setup.padding, setup.size + setup.padding

    def look(at: Cell) -> Look:
        real = p <= at[0] < end and p <= at[1] < end
        if at in focus.inputs:
            return Look(focus.tint, svg.INK if real else svg.MUTED, real)
        return Look() if real else PADDING

    number_grid(sheet, "input", example(setup).padded[setup.drawn_channel], x, y, cell, look)
    lost = 0 if setup.hidden else setup.dropped().total
    if lost:
        side = (setup.size + 2 * p) * cell
        sheet.hatch(x, y + side - lost * cell, side, lost * cell)
        sheet.hatch(x + side - lost * cell, y, lost * cell, side - lost * cell)
    if p:
        side = setup.size * cell
        sheet.rect(x + p * cell, y + p * cell, side, side, stroke=svg.INK, line=1.5)
    outline(sheet, focus.inputs, x, y, cell, focus.colour)


def _kernel(sheet: svg.Sheet, setup: ConvSetup, focus: Focus, x: float, y: float, cell: float) -> None:
    if setup.pooling:
        side = setup.kernel_size * cell
        size = min(0.5 * cell, 0.4 * side)
        sheet.rect(x, y, side, side, fill=focus.tint, stroke=focus.colour, line=3)
        word = "max" if setup.kind == "max" else "mean"
        sheet.text(x + side / 2, y + side / 2 + 0.35 * size, word, size=size, anchor="middle", bold=True)
        return
    weights = example(setup).weights[setup.drawn_filter, setup.drawn_channel - setup.reads()[0]]
    number_grid(sheet, "kernel", weights, x, y, cell, lambda at: Look(focus.tint if at in focus.taps else svg.PAPER))
    outline(sheet, focus.taps, x, y, cell, focus.colour)


def _output(sheet: svg.Sheet, setup: ConvSetup, focus: Focus, x: float, y: float, cell: float) -> None:
    by_step = setup.view == "output"
    colour, tint = (svg.BLUE, svg.BLUE_TINT) if by_step else (focus.colour, focus.tint)

    def look(at: Cell) -> Look:
        if at in focus.outputs:
            return Look(tint, svg.INK, True)
        return LATER if by_step and at > setup.chosen else Look()

    number_grid(sheet, "output", example(setup).output[setup.drawn_filter], x, y, cell, look)
    outline(sheet, focus.outputs, x, y, cell, colour)


# ---- arithmetic, in lines of monospaced text ---------------------------------------------------------------------


def _lines(setup: ConvSetup) -> list[str]:
    if setup.hidden:
        return ["Predict first", "How many rows", "come out?"]
    return _output_lines(setup) if setup.view == "output" else _use_lines(setup)


def _longest_line(setup: ConvSetup) -> int:
    """Letters that the arithmetic may need at any step, so that the layout stays put while stepping."""
    products = 9 * setup.kernel_size - 1 if setup.kernel_size <= LONGEST_ROW else 0
    return max(26, 8 + 5 * setup.kernel_size if setup.pooling else products)


def _output_lines(setup: ConvSetup) -> list[str]:
    """The products (conv) or values (pooling) behind one output cell, kernel row by kernel row, and the result."""
    (row, column), s, index, channel = setup.chosen, setup.stride, setup.drawn_filter, setup.drawn_channel
    rows, columns = (slice(at * s, at * s + setup.span, setup.dilation) for at in (row, column))
    numbers = example(setup)
    title = f"Output row {row + 1}, column {column + 1}"
    result = f"= {svg.number(numbers.output[index, row, column])}"
    if setup.pooling:
        return [title, *_pooled(setup, numbers.padded[channel, rows, columns]), result]
    read = setup.reads()
    windows = numbers.padded[read.start : read.stop, rows, columns]
    products = windows * numbers.weights[index]  # (depth, k, k)
    shown, bias = channel - read.start, numbers.bias[index]
    lines = product_lines(windows[shown], numbers.weights[index, shown], products[shown])
    ledger = [(svg.number(abs(bias)), "+−"[int(bias < 0)], "bias")]
    if setup.depth > 1:
        ledger = _channel_sums(products.sum(axis=(1, 2)), read, shown) + ledger
    width = max(len(value) for value, _, _ in ledger)
    return [title, *lines, *(f"{sign} {value:>{width}}  {label}" for value, sign, label in ledger), result]


def _use_lines(setup: ConvSetup) -> list[str]:
    """How many outputs read the chosen pixel, and why none does where that is so."""
    rows, columns = (setup.outputs_using(at) for at in setup.chosen)
    why = f"({len(rows)} rows × {len(columns)} columns)"
    if not (rows and columns):
        dropped = max(setup.chosen) >= setup.size - setup.dropped().real
        why = "(the floor drops it)" if dropped else "(it lies between windows)"
    row, column = setup.chosen
    return [
        f"Input row {row + 1}, column {column + 1}",
        f"is read by {len(rows) * len(columns)} outputs",
        why,
        f"corner pixel: {len(setup.outputs_using(0)) ** 2}",
        f"middle pixel: {len(setup.outputs_using(setup.size // 2)) ** 2}",
    ]


def product_lines(window: np.ndarray, weights: np.ndarray, products: np.ndarray) -> list[str]:
    if len(window) > LONGEST_ROW:
        sums = [svg.number(row.sum()) for row in products]
        return [f"{'+ ' if i else '  '}{value:>3}  kernel row {i + 1}" for i, value in enumerate(sums)]
    terms = [
        [f"{svg.number(x)}×{svg.number(w) if w >= 0 else f'({svg.number(w)})'}" for x, w in zip(*pair, strict=True)]
        for pair in zip(window, weights, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*terms, strict=True)]
    return [
        ("+ " if i else "  ") + " + ".join(term.ljust(width) for term, width in zip(row, widths, strict=True))
        for i, row in enumerate(terms)
    ]


def _channel_sums(sums: np.ndarray, read: range, shown: int) -> list[tuple[str, str, str]]:
    """The drawn channel's sum first, then the others', one by one or together."""
    others = [(value, f"channel {read[i] + 1}") for i, value in enumerate(sums) if i != shown]
    if len(others) >= MOST_CHANNELS:
        others = [(sum(value for value, _ in others), f"{len(others)} other channels")]
    first = (svg.number(sums[shown]), "=", f"channel {read[shown] + 1}, above")
    return [first, *((svg.number(abs(value)), "+−"[int(value < 0)], label) for value, label in others)]


def _pooled(setup: ConvSetup, window: np.ndarray) -> list[str]:
    joint, opening = (", ", "max( ") if setup.kind == "max" else (" + ", "( ")
    rows = [joint.join(svg.number(value) for value in row) for row in window]
    closing = " )" if setup.kind == "max" else f" ) / {window.size}"
    indent = " " * len(opening)
    return [
        (indent if i else opening) + row + (closing if i == len(rows) - 1 else joint.rstrip())
        for i, row in enumerate(rows)
    ]
