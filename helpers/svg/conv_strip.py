"""A large layer as a strip: one axis of the input, the chosen window, the outputs, and the far end close up."""

from __future__ import annotations

from helpers import svg
from helpers.conv_math import Dropped
from helpers.svg.conv_setup import ConvSetup


def draw(sheet: svg.Sheet, setup: ConvSetup) -> None:
    """The strip, from the sheet's y downwards."""
    title = f"One axis of the {setup.size} × {setup.size} input, to scale (the other axis is the same)"
    sheet.text(sheet.left, sheet.y + sheet.font_px, title, bold=True)
    sheet.y += 1.8 * sheet.font_px
    _overview(sheet, setup)
    if not setup.hidden:
        sheet.y += 2.8 * sheet.font_px
        _far_end(sheet, setup)
    sheet.y += sheet.font_px


def _cells(setup: ConvSetup) -> tuple[int, ...]:
    """The outputs in focus: the chosen one, or those that read the chosen pixel."""
    return (setup.at,) if setup.view == "output" else setup.outputs_using(setup.at)


def _overview(sheet: svg.Sheet, setup: ConvSetup) -> None:
    n, p, left, y = setup.size, setup.padding, sheet.left, sheet.y
    width, bar = sheet.right - left, 1.6 * sheet.font_px
    unit, below = width / (n + 2 * p), y + bar + 2.6 * sheet.font_px
    name = f"input {n} px" + (f", and {p} px of padding on each side" if p else "")
    sheet.rect(left, y, width, bar, fill=svg.FAINT, stroke=svg.LINE)
    sheet.rect(left + p * unit, y, n * unit, bar, fill=svg.PAPER, stroke=svg.INK, line=1.5)
    _ticks(sheet, left, y, unit, n + 2 * p, bar)
    y += bar
    sheet.text(sheet.right, y + 1.2 * sheet.font_px, name, size=sheet.small, anchor="end", fill=svg.MUTED)
    if not setup.hidden:
        _outputs(sheet, setup, y, below, unit, bar)
    _focus_in_input(sheet, setup, sheet.y, unit, bar)
    sheet.y = below + (0 if setup.hidden else bar + 1.5 * sheet.font_px)
    sheet.text(left, sheet.y, _sentence(setup))


def _outputs(sheet: svg.Sheet, setup: ConvSetup, window_y: float, y: float, unit: float, bar: float) -> None:
    """The output cells, each under the middle of its window, and the light that falls from the window on its cell."""
    s, count, left = setup.stride, setup.output_size(), sheet.left
    first = left + (setup.span - s) / 2 * unit
    end, name_y = first + count * s * unit, y + bar + 1.4 * sheet.small
    colour, tint = (svg.BLUE, svg.BLUE_TINT) if setup.view == "output" else (svg.PURPLE, svg.PURPLE_TINT)
    sheet.rect(first, y, end - first, bar, fill=svg.PAPER, stroke=svg.INK, line=1.5)
    _ticks(sheet, first, y, s * unit, count, bar)
    sheet.text(sheet.right, name_y, f"output {count}", size=sheet.small, anchor="end", fill=svg.MUTED)
    for cell in _cells(setup):
        x, window = first + cell * s * unit, left + cell * s * unit
        if setup.view == "output":
            light = [(window, window_y), (window + setup.span * unit, window_y), (x + s * unit, y), (x, y)]
            sheet.polygon(light, fill=svg.ORANGE_TINT, opacity=0.8)
        sheet.rect(x, y, max(s * unit, 3), bar, fill=tint, stroke=colour, line=2)


def _focus_in_input(sheet: svg.Sheet, setup: ConvSetup, y: float, unit: float, bar: float) -> None:
    if setup.view == "input":
        x = sheet.left + (setup.at + setup.padding) * unit
        sheet.rect(x, y, max(unit, 3), bar, fill=svg.PURPLE_TINT, stroke=svg.PURPLE, line=2.5)
        return
    start = sheet.left + setup.at * setup.stride * unit
    sheet.rect(start, y, setup.span * unit, bar, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=2.5)
    for tap in range(0, setup.span, setup.dilation) if setup.dilation > 1 else ():
        sheet.rect(start + tap * unit, y, max(unit, 2), bar, fill=svg.ORANGE)


def _ticks(sheet: svg.Sheet, x: float, y: float, pitch: float, count: int, height: float) -> None:
    """The borders between cells, where there is room for them."""
    if pitch >= 6:
        lines = "".join(f"M{x + i * pitch:.1f} {y:.1f}v{height:.1f}" for i in range(1, count))
        sheet.parts.append(f'<path d="{lines}" stroke="{svg.LINE}" stroke-width="1" fill="none"/>')


def _sentence(setup: ConvSetup) -> str:
    if setup.hidden:
        return "Predict first: how large is the output?"
    at, cells = setup.at, _cells(setup)
    if setup.view == "input":
        if not cells:
            return f"Input pixel {at + 1} of {setup.size} is read by no window."
        which = f"output {cells[0] + 1}" if len(cells) == 1 else f"outputs {cells[0] + 1} to {cells[-1] + 1}"
        return f"Input pixel {at + 1} of {setup.size} is read by {which}: {len(cells)} along this axis."
    first = at * setup.stride - setup.padding
    last = first + setup.span - 1
    inside = (max(first, 0) + 1, min(last, setup.size - 1) + 1)
    padding = max(0, -first) + max(0, last - setup.size + 1)
    also = f" and {padding} px of padding" if padding else ""
    return f"Output {at + 1} of {setup.output_size()} looks at input pixels {inside[0]} to {inside[1]}{also}."


def _far_end(sheet: svg.Sheet, setup: ConvSetup) -> None:
    """The last pixels one by one, under them the last two windows and the one that would come next."""
    s, p, span, count = setup.stride, setup.padding, setup.span, setup.output_size()
    left, font_px = sheet.left, sheet.font_px
    total, begin = setup.size + 2 * p, max(0, (count - 2) * s - 2)
    over = count * s + span - total  # what the next window needs beyond the padded input
    unit = min(1.5 * font_px, (sheet.right - left - 19 * font_px) / (total + over - begin))  # 19: for the words
    bar, lost, label = 1.4 * font_px, setup.dropped(), left + (total + over - begin) * unit + font_px
    sheet.text(left, sheet.y, "The far end, pixel by pixel", bold=True)
    sheet.y += 0.8 * font_px
    for pixel in range(begin, total):
        fill = svg.PAPER if p <= pixel < p + setup.size else svg.FAINT
        sheet.rect(left + (pixel - begin) * unit, sheet.y, unit, bar, fill=fill, stroke=svg.LINE)
    if lost.total:
        sheet.hatch(left + (total - lost.total - begin) * unit, sheet.y, lost.total * unit, bar)
    edge = left + (p + setup.size - begin) * unit
    sheet.segment(edge, sheet.y - 4, edge, sheet.y + bar + 4, stroke=svg.INK, line=2)
    sheet.text(label, sheet.y + 0.7 * bar + 2, _loss_in_words(lost), size=sheet.small, fill=svg.MUTED)
    sheet.y += bar + 0.3 * font_px
    for index in range(max(0, count - 2), count + 1):
        x, fill, ink, border, dash = left + (index * s - begin) * unit, svg.ORANGE_TINT, svg.INK, svg.ORANGE, ""
        name = f"window {index + 1}" + (", the last one" if index == count - 1 else "")
        if index == count:
            fill, ink, border, dash = "none", svg.VERMILION, svg.VERMILION, "6 4"
            name = f"window {index + 1} would need {over} px more"
        sheet.rect(x, sheet.y, span * unit, 0.9 * font_px, fill=fill, stroke=border, line=2, dash=dash)
        sheet.text(label, sheet.y + 0.8 * font_px, name, size=sheet.small, fill=ink)
        sheet.y += 1.4 * font_px


def _loss_in_words(lost: Dropped) -> str:
    if not lost.total:
        return "the windows end on the last pixel"
    if not lost.real:
        return f"hatched: {lost.total} px never read, padding only"
    if lost.real == lost.total:
        return f"hatched: {lost.total} px of the image never read"
    return f"hatched: {lost.total} px never read, {lost.real} of the image"
