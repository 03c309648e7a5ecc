"""A 3 × 3 kernel on a grey image: the image, one window with its sum written out, and what comes out as an image."""

from __future__ import annotations

import numpy as np

from helpers import svg
from helpers.svg.conv_grids import Cell, Look, number_grid, outline, product_lines

KERNELS: dict[str, tuple[tuple[int, ...], int]] = {  # weights row by row, and what the sum is divided by
    "identity": ((0, 0, 0, 0, 1, 0, 0, 0, 0), 1),
    "shift left": ((0, 0, 0, 0, 0, 1, 0, 0, 0), 1),
    "blur": ((1, 1, 1, 1, 1, 1, 1, 1, 1), 9),
    "sharpen": ((0, -1, 0, -1, 5, -1, 0, -1, 0), 1),
    "Sobel x": ((-1, 0, 1, -2, 0, 2, -1, 0, 1), 1),
    "Sobel y": ((-1, -2, -1, 0, 0, 0, 1, 2, 1), 1),
    "emboss": ((-2, -1, 0, -1, 1, 1, 0, 1, 2), 1),
}
SIDE = 296.0  # px, of the image


def kernel_picture(
    pixels: np.ndarray, weights: np.ndarray, *, divisor: int = 1, at: Cell = (0, 0), relu: bool = False,
    title: str = "", font_px: int = 16,
) -> svg.Picture:  # fmt: skip
    """``weights`` ``(3, 3)``, whole, slid over ``pixels`` ``(H, W)`` in 0..255 without padding; the sum of ``at``.

    A kernel whose weights add up to 0 gives positive and negative numbers: blue below zero, white zero, orange above.
    With ``relu`` what is negative becomes 0.
    """
    numbers, sheet, right = pixels.astype(float), svg.Sheet(font_px), svg.WIDTH - 1.2 * font_px - SIDE
    answers = np.tensordot(np.lib.stride_tricks.sliding_window_view(numbers, (3, 3)), weights, axes=2) / divisor
    out, signed = np.maximum(answers, 0) if relu else answers, not weights.sum()
    (height, width), size = pixels.shape, " × ".join(map(str, out.shape))
    sheet.y, words = 5 * font_px, _scale(out, signed, relu)
    sheet.text(sheet.left, 1.9 * font_px, title, size=1.2 * font_px, bold=True)
    grey = np.repeat(pixels[..., None], 3, axis=2)
    _image(sheet, f"input {height} × {width}", grey, sheet.left, SIDE / max(pixels.shape), at, side=3)
    name = f"output {size}" + " after ReLU" * relu
    _image(sheet, name, _colours(out, signed, relu), right, SIDE / max(pixels.shape), at, side=1)
    window = numbers[at[0] : at[0] + 3, at[1] : at[1] + 3]
    _sum_of_products(sheet, window, weights, divisor, right)
    sheet.y = below = 5.6 * font_px + height * SIDE / max(pixels.shape)
    lines = product_lines(window, weights, window * weights) + [f"= {svg.number((window * weights).sum())}"]
    lines += [f"/ {divisor} = {svg.number(answers[at])}"] * (divisor != 1) + [f"ReLU: {svg.number(out[at])}"] * relu
    for number, line in enumerate(lines, start=1):
        sheet.y += 1.4 * font_px
        last = number == len(lines)
        sheet.text(sheet.left, sheet.y, line, mono=True, fill=svg.BLUE if last else svg.INK, bold=last)
    bottom, sheet.y = sheet.y, below
    sheet.lines(words, x=right, size=sheet.small, fill=svg.MUTED)
    sheet.y = max(bottom, sheet.y)
    alt = f"{title}: input {height} × {width}, output {size}. At row {at[0] + 1}, column {at[1] + 1} it answers "
    return sheet.picture(title="Kernel explorer", alt=f"{alt}{svg.number(out[at])}. The output is drawn {words}.")


def _image(sheet: svg.Sheet, name: str, pixels: np.ndarray, x: float, unit: float, at: Cell, *, side: int) -> None:
    """An image with the window (``side`` 3) or its answer (1, one pixel in from the edge of the input) framed."""
    edge, (row, column) = (0 if side == 3 else unit), at
    height, width = (unit * length for length in pixels.shape[:2])
    sheet.text(x, sheet.y - 0.6 * sheet.font_px, name, size=sheet.small, fill=svg.MUTED)
    sheet.rect(x, sheet.y, width + 2 * edge, height + 2 * edge, fill=svg.FAINT)
    sheet.image(pixels, x + edge, sheet.y + edge, width, height, tip=name)
    for line, colour in ((5, svg.PAPER), (3, svg.ORANGE if side == 3 else svg.BLUE)):
        place = (x + edge + column * unit, sheet.y + edge + row * unit, side * unit, side * unit)
        sheet.rect(*place, stroke=colour, line=line)


def _sum_of_products(sheet: svg.Sheet, window: np.ndarray, weights: np.ndarray, divisor: int, right: float) -> None:
    """The window and the kernel as grids of numbers, between the two images."""
    gap, every = 18, frozenset((i, j) for i in range(3) for j in range(3))
    x, y, cell = sheet.left + SIDE + gap, sheet.y + SIDE / 4, (right - sheet.left - SIDE - 4 * gap) / 6
    for name, grid in (("window", window), ("kernel", weights)):
        sheet.text(x, y - 0.6 * sheet.font_px, name, size=sheet.small, fill=svg.MUTED)
        number_grid(sheet, name, grid, x, y, cell, lambda _: Look(svg.ORANGE_TINT))
        outline(sheet, every, x, y, cell, svg.ORANGE)
        x += 3 * cell + 2 * gap
    sheet.text(x - 3 * cell - 3 * gap, y + 1.7 * cell, "∗", size=1.3 * sheet.font_px, anchor="middle")
    if divisor != 1:
        sheet.text(x - 3 * cell - 2 * gap, y + 3 * cell + 1.4 * sheet.font_px, f"/ {divisor}")


def _scale(out: np.ndarray, signed: bool, relu: bool) -> str:
    """How the numbers of the output are drawn, in words."""
    if not signed:
        return "in grey: 0 or less black, 255 or more white"
    top = svg.number(round(float(np.abs(out).max())))
    if relu:
        return f"in grey: 0 black, {top} white"
    return f"in colours: −{top} blue, 0 white, {top} orange"


def _colours(out: np.ndarray, signed: bool, relu: bool) -> np.ndarray:
    """The output ``(h, w)`` as pixels ``(h, w, 3)``, uint8, as ``_scale`` says."""
    share = out[..., None] / max(1.0, np.abs(out).max())
    ends = [np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) for colour in (svg.BLUE, svg.VERMILION)]
    coloured = 255 - np.abs(share) * (255 - np.where(share < 0, *ends))
    grey = np.repeat(255 * share if relu and signed else out[..., None], 3, axis=2)
    return (coloured if signed and not relu else grey).clip(0, 255).round().astype(np.uint8)
