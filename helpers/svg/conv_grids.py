"""Input, kernel and output of a small layer as grids of numbers, and the arithmetic of the chosen cell written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from helpers import conv_math, svg
from helpers.svg.conv_setup import ConvSetup, Example, example

LONGEST_ROW = 7  # products in a line; wider kernels show the sum of each of their rows
MOST_CHANNELS = 4  # listed one by one
Cell = tuple[int, int]


class Look(NamedTuple):
    """How one cell is drawn."""

    fill: str = svg.PAPER
    ink: str = svg.INK
    bold: bool = False


PIXEL = DONE = Look()
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


def draw(setup: ConvSetup, y: float, *, width: float, font_px: int) -> tuple[list[str], float]:
    """The grids from y downwards, beside or below them the arithmetic; returns the parts and where they end."""
    numbers, left = example(setup), 1.2 * font_px
    place = _place(setup, y, width, font_px)
    parts = _grids(setup, numbers, _focus(setup), place, font_px)
    needed = _longest_line(setup) * svg.MONO_ADVANCE * font_px
    beside = place.right + 2 * font_px + needed <= width - left
    x, top = left, place.bottom + 0.6 * font_px
    if beside:
        x, top = place.right + 2 * font_px, min(place.tops) - 1.1 * font_px
    size = min(font_px, font_px * (width - 2 * left) / needed)
    for index, line in enumerate(lines := _lines(setup, numbers)):
        result = line.startswith("=") and index == len(lines) - 1
        ink = svg.BLUE if result else svg.INK
        top += 1.45 * font_px
        parts.append(svg.text(x, top, line, size=size, mono=True, bold=result or not index, fill=ink))
    return parts, max(place.bottom, top) + 0.4 * font_px


def _lines(setup: ConvSetup, numbers: Example) -> list[str]:
    if setup.hidden:
        return ["Predict first", "How many rows", "come out?"]
    if setup.view == "output":
        return _output_lines(setup, numbers, cell=_chosen(setup), channel=_channel(setup))
    return _use_lines(setup, pixel=_chosen(setup))


def _longest_line(setup: ConvSetup) -> int:
    """Letters that the arithmetic may need at any step, so that the layout stays put while stepping."""
    products = 9 * setup.kernel_size - 1 if setup.kernel_size <= LONGEST_ROW else 0
    return max(26, 8 + 5 * setup.kernel_size if setup.pooling else products)


# ---- where things stand ------------------------------------------------------------------------------------------


def _place(setup: ConvSetup, y: float, width: float, font_px: int) -> Place:
    left, gap = 1.2 * font_px, 2.6 * font_px
    sides = (setup.size + 2 * setup.padding, setup.kernel_size, 3 if setup.hidden else setup.output_size())
    captions, room = _captions(setup), width - 2 * left - 2 * gap
    least = [max(0.6 * len(name), 0.48 * len(detail)) * font_px for name, detail in captions]
    shrink = min(1.0, 0.68 * room / sum(least))  # long captions must leave room for the grids
    least, cell = [shrink * text for text in least], 1.95 * font_px
    while sum(columns := [max(n * cell, text) for n, text in zip(sides, least, strict=True)]) > room:
        cell *= 0.98
    lefts = (left, left + columns[0] + gap, left + columns[0] + columns[1] + 2 * gap)
    top = y + 3.2 * font_px
    height = max(sides[0], sides[1] + 2 * (not setup.pooling), sides[2]) * cell  # the bias stands below the kernel
    tops = tuple(top + (height - side * cell) / 2 for side in sides)
    return Place(cell, lefts, tops, captions, shrink * font_px, lefts[2] + columns[2], top + height)


def _captions(setup: ConvSetup) -> tuple[tuple[str, str], ...]:
    """Name and detail of input, kernel and output."""
    index, read, k = min(setup.filter, setup.filters - 1), setup.reads(), setup.kernel_size
    of_filter = f" {index + 1} of {setup.filters}" if setup.filters > 1 else ""
    of_channel = f"channel {_channel(setup) + 1} of {setup.in_channels}" if setup.in_channels > 1 else ""
    size = "?" if setup.hidden else setup.output_size()
    window = ("Window", f"{k} × {k}") if setup.pooling else (f"Filter{of_filter}", of_channel or f"{k} × {k}")
    if setup.groups > 1 and not setup.pooling:
        reads = f"reads channel {read[0] + 1}" if len(read) == 1 else f"reads channels {read[0] + 1} to {read[-1] + 1}"
        window = (window[0], reads)
    return ("Input", of_channel or f"{setup.size} × {setup.size}"), window, (f"Output{of_filter}", f"{size} × {size}")


def _channel(setup: ConvSetup) -> int:
    readable = setup.reads()
    return readable[min(setup.channel, len(readable) - 1)]


# ---- what is looked at -------------------------------------------------------------------------------------------


def _focus(setup: ConvSetup) -> Focus:
    k, s, p, d = setup.kernel_size, setup.stride, setup.padding, setup.dilation
    every_tap = frozenset((i, j) for i in range(k) for j in range(k))
    if setup.view == "output":
        row, column = _chosen(setup)
        inputs = frozenset((row * s + i * d, column * s + j * d) for i, j in every_tap)
        return Focus(inputs, every_tap, frozenset({(row, column)}), svg.ORANGE, svg.ORANGE_TINT)
    row, column = _chosen(setup)
    rows, columns = (conv_math.outputs_using(i, setup.size, k, **setup.window) for i in (row, column))
    outputs = frozenset((r, c) for r in rows for c in columns)
    taps = frozenset(((row + p - r * s) // d, (column + p - c * s) // d) for r, c in outputs)
    return Focus(frozenset({(row + p, column + p)}), taps, outputs, svg.PURPLE, svg.PURPLE_TINT)


def _chosen(setup: ConvSetup) -> Cell:
    """Row and column of the output cell or input pixel that ``step`` points at."""
    side = setup.output_size() if setup.view == "output" else setup.size
    row, column = divmod(setup.at, side)
    return row, column


# ---- grids -------------------------------------------------------------------------------------------------------


def _grids(setup: ConvSetup, numbers: Example, focus: Focus, place: Place, font_px: int) -> list[str]:
    cell, lefts, tops = place.cell, place.lefts, place.tops
    parts = _input(setup, numbers, focus, lefts[0], tops[0], cell)
    parts += _kernel(setup, numbers, focus, lefts[1], tops[1], cell)
    if setup.hidden:
        parts.append(svg.rect(lefts[2], tops[2], 3 * cell, 3 * cell, stroke=svg.BLUE, line=2, dash="7 5"))
        middle = (lefts[2] + 1.5 * cell, tops[2] + 1.85 * cell)
        parts.append(svg.text(*middle, "?", size=cell, anchor="middle", bold=True))
    else:
        parts += _output(setup, numbers, focus, lefts[2], tops[2], cell)
    for x, y, (name, detail) in zip(lefts, tops, place.captions, strict=True):
        parts.append(svg.text(x, y - 1.9 * font_px, name, size=place.caption_px, bold=True))
        parts.append(svg.text(x, y - 0.6 * font_px, detail, size=0.85 * place.caption_px, fill=svg.MUTED))
    middle = tops[1] + setup.kernel_size * cell / 2 + 0.4 * font_px
    for x, sign in ((lefts[1], "∗" if setup.kind == "conv" else "→"), (lefts[2], "=")):
        parts.append(svg.text(x - 1.3 * font_px, middle, sign, size=1.3 * font_px, anchor="middle", fill=svg.MUTED))
    if not setup.pooling:
        bias, y = numbers.bias[min(setup.filter, setup.filters - 1)], tops[1] + setup.kernel_size * cell + 1.4 * font_px
        parts.append(svg.text(lefts[1], y, f"bias {svg.number(bias)}", size=font_px))
    return parts


def _cells(name: str, values: np.ndarray, x: float, y: float, cell: float, look: Callable[[Cell], Look]) -> list[str]:
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
    return [*parts, "</g>"]


def _outlines(cells: frozenset[Cell], x: float, y: float, cell: float, colour: str) -> list[str]:
    """A thick frame around the cells: one where they touch, one each and a dashed one around all where they do not."""
    if not cells:
        return []
    rows, columns = sorted({r for r, _ in cells}), sorted({c for _, c in cells})
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    whole = (x + columns[0] * cell, y + rows[0] * cell, width * cell, height * cell)
    if height * width == len(cells):
        return [svg.rect(*whole, stroke=colour, line=3)]
    parts = [svg.rect(*whole, stroke=colour, line=1.5, dash="5 4")]
    return parts + [svg.rect(x + c * cell, y + r * cell, cell, cell, stroke=colour, line=2.5) for r, c in sorted(cells)]


def _input(setup: ConvSetup, numbers: Example, focus: Focus, x: float, y: float, cell: float) -> list[str]:
    p, end = setup.padding, setup.size + setup.padding

    def look(at: Cell) -> Look:
        real = p <= at[0] < end and p <= at[1] < end
        if at in focus.inputs:
            return Look(focus.tint, svg.INK if real else svg.MUTED, real)
        return PIXEL if real else PADDING

    parts = _cells("input", numbers.padded[_channel(setup)], x, y, cell, look)
    lost = 0 if setup.hidden else conv_math.dropped(setup.size, setup.kernel_size, **setup.window).total
    if lost:
        side = (setup.size + 2 * p) * cell
        parts.append(svg.hatch(x, y + side - lost * cell, side, lost * cell))
        parts.append(svg.hatch(x + side - lost * cell, y, lost * cell, side - lost * cell))
    if p:
        side = setup.size * cell
        parts.append(svg.rect(x + p * cell, y + p * cell, side, side, stroke=svg.INK, line=1.5))
    return parts + _outlines(focus.inputs, x, y, cell, focus.colour)


def _kernel(setup: ConvSetup, numbers: Example, focus: Focus, x: float, y: float, cell: float) -> list[str]:
    side = setup.kernel_size
    if setup.pooling:
        word = {"max": "max", "avg": "mean"}[setup.kind]
        size = min(0.5 * cell, 0.4 * side * cell)
        middle = (x + side * cell / 2, y + side * cell / 2 + 0.35 * size)
        return [
            svg.rect(x, y, side * cell, side * cell, fill=focus.tint, stroke=focus.colour, line=3),
            svg.text(*middle, word, size=size, anchor="middle", bold=True),
        ]
    weights = numbers.weights[min(setup.filter, setup.filters - 1), _channel(setup) - setup.reads()[0]]
    parts = _cells("kernel", weights, x, y, cell, lambda at: Look(focus.tint if at in focus.taps else svg.PAPER))
    return parts + _outlines(focus.taps, x, y, cell, focus.colour)


def _output(setup: ConvSetup, numbers: Example, focus: Focus, x: float, y: float, cell: float) -> list[str]:
    by_step = setup.view == "output"
    chosen, colour, tint = max(focus.outputs, default=None), svg.BLUE, svg.BLUE_TINT
    if not by_step:
        colour, tint = focus.colour, focus.tint

    def look(at: Cell) -> Look:
        if at in focus.outputs:
            return Look(tint, svg.INK, True)
        return DONE if not by_step or at < chosen else LATER

    values = numbers.output[min(setup.filter, setup.filters - 1)]
    return _cells("output", values, x, y, cell, look) + _outlines(focus.outputs, x, y, cell, colour)


# ---- arithmetic, in lines of monospaced text ----------------------------------------------------------------------


def _output_lines(setup: ConvSetup, numbers: Example, *, cell: tuple[int, int], channel: int) -> list[str]:
    """The products (conv) or values (pooling) behind one output cell, kernel row by kernel row, and the result."""
    row, column = cell
    span, d = setup.span, setup.dilation
    rows = slice(row * setup.stride, row * setup.stride + span, d)
    columns = slice(column * setup.stride, column * setup.stride + span, d)
    title = f"Output row {row + 1}, column {column + 1}"
    index = min(setup.filter, setup.filters - 1)
    result = f"= {svg.number(numbers.output[index, row, column])}"
    if setup.pooling:
        return [title, *_pooled(setup, numbers.padded[channel, rows, columns]), result]
    read = setup.reads()
    windows = numbers.padded[read.start : read.stop, rows, columns]
    products = windows * numbers.weights[index]  # (depth, k, k)
    shown = channel - read.start
    lines = _products(windows[shown], numbers.weights[index, shown], products[shown])
    sums = products.sum(axis=(1, 2))
    ledger = [(svg.number(abs(numbers.bias[index])), "+−"[int(numbers.bias[index] < 0)], "bias")]
    if setup.depth > 1:
        ledger = _channel_sums(sums, read, shown) + ledger
    width = max(len(value) for value, _, _ in ledger)
    return [title, *lines, *(f"{sign} {value:>{width}}  {label}" for value, sign, label in ledger), result]


def _use_lines(setup: ConvSetup, *, pixel: tuple[int, int]) -> list[str]:
    """How many outputs read one input pixel, and why none does where that is so."""
    options = setup.window
    rows, columns = (conv_math.outputs_using(at, setup.size, setup.kernel_size, **options) for at in pixel)
    lines = [f"Input row {pixel[0] + 1}, column {pixel[1] + 1}", f"is read by {len(rows) * len(columns)} outputs"]
    lost = conv_math.dropped(setup.size, setup.kernel_size, **options).real
    if rows and columns:
        lines.append(f"({len(rows)} rows × {len(columns)} columns)")
    elif max(pixel) >= setup.size - lost:
        lines.append("(the floor drops it)")
    else:
        lines.append("(it lies between windows)")
    middle = setup.size // 2
    for name, at in (("corner pixel", 0), ("middle pixel", middle)):
        count = len(conv_math.outputs_using(at, setup.size, setup.kernel_size, **options)) ** 2
        lines.append(f"{name}: {count}")
    return lines


def _products(window: np.ndarray, weights: np.ndarray, products: np.ndarray) -> list[str]:
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
    rows = [(sums[shown], f"channel {read[shown] + 1}, above")]
    others = [(value, f"channel {read[i] + 1}") for i, value in enumerate(sums) if i != shown]
    if len(others) >= MOST_CHANNELS:
        others = [(sum(value for value, _ in others), f"{len(others)} other channels")]
    return [
        (svg.number(abs(value)) if i else svg.number(value), "=" if i == 0 else "+−"[int(value < 0)], label)
        for i, (value, label) in enumerate(rows + others)
    ]


def _pooled(setup: ConvSetup, window: np.ndarray) -> list[str]:
    joint, opening = (", ", "max( ") if setup.kind == "max" else (" + ", "( ")
    rows = [joint.join(svg.number(value) for value in row) for row in window]
    closing = " )" if setup.kind == "max" else f" ) / {window.size}"
    indent = " " * len(opening)
    return [
        (indent if i else opening) + row + (closing if i == len(rows) - 1 else joint.rstrip())
        for i, row in enumerate(rows)
    ]
