"""The explorer's arithmetic in lines of monospaced text: how one output came about, who reads one pixel."""

from __future__ import annotations

import numpy as np

from helpers import conv_math
from helpers.svg import number
from helpers.svg.conv_example import Example
from helpers.svg.conv_setup import ConvSetup

LONGEST_ROW = 7  # products in a line; wider kernels show the sum of each of their rows
MOST_CHANNELS = 4  # listed one by one


def output_lines(setup: ConvSetup, numbers: Example, *, cell: tuple[int, int], channel: int) -> list[str]:
    """The products (conv) or values (pooling) behind one output cell, kernel row by kernel row, and the result."""
    row, column = cell
    span, d = setup.span, setup.dilation
    rows = slice(row * setup.stride, row * setup.stride + span, d)
    columns = slice(column * setup.stride, column * setup.stride + span, d)
    title = f"Output row {row + 1}, column {column + 1}"
    index = min(setup.filter, setup.filters - 1)
    result = f"= {number(numbers.output[index, row, column])}"
    if setup.pooling:
        return [title, *_pooled(setup, numbers.padded[channel, rows, columns]), result]
    read = setup.reads()
    windows = numbers.padded[read.start : read.stop, rows, columns]
    products = windows * numbers.weights[index]  # (depth, k, k)
    shown = channel - read.start
    lines = _products(windows[shown], numbers.weights[index, shown], products[shown])
    sums = products.sum(axis=(1, 2))
    ledger = [(number(abs(numbers.bias[index])), "+−"[int(numbers.bias[index] < 0)], "bias")]
    if setup.depth > 1:
        ledger = _channel_sums(sums, read, shown) + ledger
    width = max(len(value) for value, _, _ in ledger)
    return [title, *lines, *(f"{sign} {value:>{width}}  {label}" for value, sign, label in ledger), result]


def use_lines(setup: ConvSetup, *, pixel: tuple[int, int]) -> list[str]:
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
        return [f"{'+ ' if i else '  '}{number(row.sum()):>3}  kernel row {i + 1}" for i, row in enumerate(products)]
    terms = [
        [f"{number(x)}×{number(w) if w >= 0 else f'({number(w)})'}" for x, w in zip(*pair, strict=True)]
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
        (number(abs(value)) if i else number(value), "=" if i == 0 else "+−"[int(value < 0)], label)
        for i, (value, label) in enumerate(rows + others)
    ]


def _pooled(setup: ConvSetup, window: np.ndarray) -> list[str]:
    joint, opening = (", ", "max( ") if setup.kind == "max" else (" + ", "( ")
    rows = [joint.join(number(value) for value in row) for row in window]
    closing = " )" if setup.kind == "max" else f" ) / {window.size}"
    indent = " " * len(opening)
    return [
        (indent if i else opening) + row + (closing if i == len(rows) - 1 else joint.rstrip())
        for i, row in enumerate(rows)
    ]
