"""A large layer as a strip: one axis of the input, the chosen window, the outputs, and the far end close up."""

from __future__ import annotations

from helpers import conv_math, svg
from helpers.svg.conv_setup import ConvSetup


def draw(setup: ConvSetup, y: float, *, width: float, font_px: int) -> tuple[list[str], float]:
    """The strip from y downwards; returns the parts and where they end."""
    left = 1.2 * font_px
    width -= 2 * left
    title = f"One axis of the {setup.size} × {setup.size} input, to scale (the other axis is the same)"
    parts = [svg.text(left, y + font_px, title, size=font_px, bold=True)]
    overview, y = _overview(setup, y + 1.8 * font_px, left, width, font_px)
    if setup.hidden:
        return parts + overview, y + font_px
    end, y = _far_end(setup, y + 2.8 * font_px, left, width, font_px)
    return parts + overview + end, y + font_px


def _chosen(setup: ConvSetup) -> tuple[int, tuple[int, ...]]:
    """The chosen position, and the output cells in focus: itself, or those that read the chosen pixel."""
    if setup.view == "output":
        return setup.at, (setup.at,)
    return setup.at, conv_math.outputs_using(setup.at, setup.size, setup.kernel_size, **setup.window)


# ---- the whole axis ----------------------------------------------------------------------------------------------


def _overview(setup: ConvSetup, y: float, left: float, width: float, font_px: int) -> tuple[list[str], float]:
    n, p = setup.size, setup.padding
    unit, bar, small = width / (n + 2 * p), 1.6 * font_px, 0.85 * font_px
    below = y + bar + 2.6 * font_px
    name = f"input {n} px" + (f", and {p} px of padding on each side" if p else "")
    parts = [
        svg.rect(left, y, width, bar, fill=svg.FAINT, stroke=svg.LINE),
        svg.rect(left + p * unit, y, n * unit, bar, fill=svg.PAPER, stroke=svg.INK, line=1.5),
        _ticks(left, y, unit, n + 2 * p, bar),
        svg.text(left + width, y + bar + 1.2 * font_px, name, size=small, anchor="end", fill=svg.MUTED),
    ]
    if not setup.hidden:
        parts += _outputs(setup, y + bar, below, left, unit, bar, small)
    parts += _focus_in_input(setup, left, y, unit, bar)
    y = below + (0 if setup.hidden else bar + 1.5 * font_px)
    return [*parts, svg.text(left, y, _sentence(setup), size=font_px)], y


def _outputs(
    setup: ConvSetup, window_y: float, y: float, left: float, unit: float, bar: float, small: float
) -> list[str]:
    """The output cells, each under the middle of its window, and the light that falls from the window on its cell."""
    s, count, (_, cells) = setup.stride, setup.output_size(), _chosen(setup)
    first = left + (setup.span - s) / 2 * unit
    end = first + count * s * unit
    colour, tint = (svg.BLUE, svg.BLUE_TINT) if setup.view == "output" else (svg.PURPLE, svg.PURPLE_TINT)
    parts = [
        svg.rect(first, y, end - first, bar, fill=svg.PAPER, stroke=svg.INK, line=1.5),
        _ticks(first, y, s * unit, count, bar),
        svg.text(left + unit * (setup.size + 2 * setup.padding), y + bar + 1.4 * small, f"output {count}",
                 size=small, anchor="end", fill=svg.MUTED),
    ]  # fmt: skip
    for cell in cells:
        x, window = first + cell * s * unit, left + cell * s * unit
        if setup.view == "output":
            light = [(window, window_y), (window + setup.span * unit, window_y), (x + s * unit, y), (x, y)]
            parts.append(svg.polygon(light, fill=svg.ORANGE_TINT, opacity=0.8))
        parts.append(svg.rect(x, y, max(s * unit, 3), bar, fill=tint, stroke=colour, line=2))
    return parts


def _focus_in_input(setup: ConvSetup, left: float, y: float, unit: float, bar: float) -> list[str]:
    at, _ = _chosen(setup)
    if setup.view == "input":
        x = left + (at + setup.padding) * unit
        return [svg.rect(x, y, max(unit, 3), bar, fill=svg.PURPLE_TINT, stroke=svg.PURPLE, line=2.5)]
    start = left + at * setup.stride * unit
    frame = svg.rect(start, y, setup.span * unit, bar, fill=svg.ORANGE_TINT, stroke=svg.ORANGE, line=2.5)
    if setup.dilation == 1:
        return [frame]
    taps = range(0, setup.span, setup.dilation)
    return [frame] + [svg.rect(start + tap * unit, y, max(unit, 2), bar, fill=svg.ORANGE) for tap in taps]


def _ticks(x: float, y: float, pitch: float, count: int, height: float) -> str:
    """The borders between cells, where there is room for them."""
    if pitch < 6:
        return ""
    lines = "".join(f"M{x + i * pitch:.1f} {y:.1f}v{height:.1f}" for i in range(1, count))
    return f'<path d="{lines}" stroke="{svg.LINE}" stroke-width="1" fill="none"/>'


def _sentence(setup: ConvSetup) -> str:
    if setup.hidden:
        return "Predict first: how large is the output?"
    at, cells = _chosen(setup)
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


# ---- the far end -------------------------------------------------------------------------------------------------


def _far_end(setup: ConvSetup, y: float, left: float, width: float, font_px: int) -> tuple[list[str], float]:
    """The last pixels one by one, under them the last two windows and the one that would come next."""
    s, p, span, count = setup.stride, setup.padding, setup.span, setup.output_size()
    total, begin = setup.size + 2 * p, max(0, (count - 2) * s - 2)
    over = count * s + span - total  # what the next window needs beyond the padded input
    words = 19 * font_px
    unit = min(1.5 * font_px, (width - words) / (total + over - begin))
    bar, lost = 1.4 * font_px, conv_math.dropped(setup.size, setup.kernel_size, **setup.window)
    parts = [svg.text(left, y, "The far end, pixel by pixel", size=font_px, bold=True)]
    y += 0.8 * font_px
    for pixel in range(begin, total):
        real = p <= pixel < p + setup.size
        fill = svg.PAPER if real else svg.FAINT
        parts.append(svg.rect(left + (pixel - begin) * unit, y, unit, bar, fill=fill, stroke=svg.LINE))
    if lost.total:
        parts.append(svg.hatch(left + (total - lost.total - begin) * unit, y, lost.total * unit, bar))
    edge = left + (p + setup.size - begin) * unit
    parts.append(svg.segment(edge, y - 4, edge, y + bar + 4, stroke=svg.INK, line=2))
    label = left + (total + over - begin) * unit + font_px
    parts.append(svg.text(label, y + 0.7 * bar + 2, _loss_in_words(lost), size=0.85 * font_px, fill=svg.MUTED))
    y += bar + 0.3 * font_px
    for index in range(max(0, count - 2), count + 1):
        x, inside = left + (index * s - begin) * unit, index < count
        fill, dash = (svg.ORANGE_TINT, "") if inside else ("none", "6 4")
        border = svg.ORANGE if inside else svg.VERMILION
        parts.append(svg.rect(x, y, span * unit, 0.9 * font_px, fill=fill, stroke=border, line=2, dash=dash))
        name = f"window {index + 1}" + (", the last one" if index == count - 1 else "")
        name = name if inside else f"window {index + 1} would need {over} px more"
        ink = svg.INK if inside else svg.VERMILION
        parts.append(svg.text(label, y + 0.8 * font_px, name, size=0.85 * font_px, fill=ink))
        y += 1.4 * font_px
    return parts, y


def _loss_in_words(lost: conv_math.Dropped) -> str:
    if not lost.total:
        return "the windows end on the last pixel"
    if not lost.real:
        return f"hatched: {lost.total} px never read, padding only"
    if lost.real == lost.total:
        return f"hatched: {lost.total} px of the picture never read"
    return f"hatched: {lost.total} px never read, {lost.real} of the picture"
