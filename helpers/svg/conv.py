"""The convolution explorer's picture: what goes in, the window, the arithmetic, what comes out."""

from __future__ import annotations

from collections.abc import Mapping

from helpers import conv_math, svg
from helpers.conv_math import InvalidSetting
from helpers.svg import conv_grids, conv_strip
from helpers.svg.conv_setup import KINDS, ConvSetup

WIDTH = 960.0  # px; fits beside JupyterLab's file browser on a 1280 px screen


def conv_picture(state: Mapping[str, object] | str | None = None, *, font_px: int = 16) -> svg.Picture:
    """One convolution or pooling layer with real numbers; above 12 px of input, one axis of it as a strip.

    ``state`` is what an explorer's ``state`` holds, the name of a preset, or None for a 3 × 3 kernel on 7 × 7.
    A setup that PyTorch refuses gives a picture too: the reason, and what to change.
    """
    setup = ConvSetup.of(state)
    parts, y = _heading(setup, font_px)
    try:
        setup.output_size()
    except InvalidSetting as error:
        body, y = _problem(setup, error, y, font_px)
        return _document(setup, parts + body, y, f"This does not work: {error}.", font_px)
    body, y = _formula(setup, y, font_px)
    parts += body
    draw = conv_strip.draw if setup.strip else conv_grids.draw
    body, y = draw(setup, y + 0.8 * font_px, width=WIDTH, font_px=font_px)
    legend, y = ([], y) if setup.strip else _legend(setup, y, font_px)
    facts, y = _facts(setup, y, font_px)
    return _document(setup, parts + body + legend + facts, y, _in_words(setup), font_px)


def formula(setup: ConvSetup) -> list[str]:
    """The output size in symbols, below it the same with the numbers in, aligned, then the steps to the result."""
    n, k, s, p, d = setup.size, setup.kernel_size, setup.stride, setup.padding, setup.dilation
    room, result = n + 2 * p - setup.span, setup.output_size()
    columns = [
        ("floor( (", "floor( ("), ("n", f"{n}"), (" + ", " + "), ("2p", f"2·{p}"), (" − ", " − "),
        ("d·(k − 1)", f"{d}·({k} − 1)"), (" − 1) / ", " − 1) / "), ("s", f"{s}"), (" ) + 1", " ) + 1"),
    ]  # fmt: skip
    symbols = "".join(symbol.center(len(value)) for symbol, value in columns)
    numbers = "".join(value.center(len(symbol)) for symbol, value in columns)
    quotient = f"{room // s}" if room % s == 0 else f"floor({room / s:.2f})"
    steps = f"floor({room} / {s}) + 1 = {quotient} + 1 = {result}"
    return [f"output = {symbols}", f"       = {numbers}", f"       = {steps}"]


def _heading(setup: ConvSetup, font_px: int) -> tuple[list[str], float]:
    about = [f"input {setup.size} × {setup.size}", f"kernel {setup.kernel_size} × {setup.kernel_size}"]
    about += [f"stride {setup.stride}", f"padding {setup.padding}"]
    about += [f"dilation {setup.dilation}"] if setup.dilation > 1 else []
    if not setup.pooling and (setup.in_channels, setup.out_channels) != (1, 1):
        about.append(f"{setup.in_channels} → {setup.out_channels} channels")
    about += [f"{setup.groups} groups"] if setup.groups > 1 and not setup.pooling else []
    y = 1.9 * font_px
    parts = [svg.text(1.2 * font_px, y, KINDS[setup.kind], size=1.2 * font_px, bold=True)]
    about = [item.replace(" ", "\N{NO-BREAK SPACE}") for item in about]  # a line ends between items only
    for line in svg.wrap(" · ".join(about), size=font_px, width=WIDTH - 3 * font_px):
        y += 1.5 * font_px
        parts.append(svg.text(1.2 * font_px, y, line, size=font_px, fill=svg.MUTED))
    return parts, y


def _formula(setup: ConvSetup, y: float, font_px: int) -> tuple[list[str], float]:
    lines = formula(setup)
    if setup.hidden:
        lines = [lines[0], "       = ?"]
    size = min(font_px, (WIDTH - 2.4 * font_px) / (max(map(len, lines)) * svg.MONO_ADVANCE))
    y += 0.5 * font_px
    parts = []
    for index, line in enumerate(lines):
        y += 1.5 * font_px
        last = index == len(lines) - 1
        fill = svg.MUTED if index == 0 else svg.BLUE if last else svg.INK
        parts.append(svg.text(1.2 * font_px, y, line, size=size, fill=fill, mono=True, bold=last))
    return parts, y


def _legend(setup: ConvSetup, y: float, font_px: int) -> tuple[list[str], float]:
    """What the frames and fillings mean; only what this picture has."""
    lost = conv_math.dropped(setup.size, setup.kernel_size, **setup.window)
    if setup.view == "output":
        entries = [(svg.ORANGE_TINT, svg.ORANGE, "window")]
        entries += [] if setup.hidden else [(svg.BLUE_TINT, svg.BLUE, "its output")]
    else:
        entries = [(svg.PURPLE_TINT, svg.PURPLE, "chosen pixel, and every output that reads it")]
    if setup.padding:
        value = "−∞, never the largest" if setup.kind == "max" else "0"
        entries.append((svg.FAINT, svg.LINE, f"padding ({value})"))
    if lost.total and not setup.hidden:
        what = "row and column" if lost.total == 1 else f"{lost.total} rows and columns"
        entries.append((svg.PAPER, svg.VERMILION, f"never read: the floor drops the last {what}"))
    y += 1.5 * font_px
    needed = sum(3 + 0.5 * len(label) for *_, label in entries)
    x, size, parts = 1.2 * font_px, min(0.85 * font_px, (WIDTH - 2.4 * font_px) / needed), []
    for fill, stroke, label in entries:
        parts.append(svg.rect(x, y - 0.85 * size, size, size, fill=fill, stroke=stroke, line=2))
        if stroke == svg.VERMILION:
            parts.append(svg.hatch(x, y - 0.85 * size, size, size, pitch=5))
        parts.append(svg.text(x + 1.5 * size, y, label, size=size, fill=svg.MUTED))
        x += (3 + 0.5 * len(label)) * size
    return parts, y + 0.5 * font_px


def _facts(setup: ConvSetup, y: float, font_px: int) -> tuple[list[str], float]:
    """Output volume, parameters and MACs, side by side under a line."""
    small, left = 0.85 * font_px, 1.2 * font_px
    column = (WIDTH - 2 * left) / 3
    y += 0.6 * font_px
    parts = [svg.segment(left, y, WIDTH - left, y)]
    for index, (label, value, how) in enumerate(_counts(setup)):
        x = left + index * column
        size = min(small, 0.94 * column / (max(len(label), len(how)) * svg.SANS_ADVANCE))
        parts.append(svg.text(x, y + 1.5 * font_px, label, size=size, fill=svg.MUTED))
        parts.append(svg.text(x, y + 3.0 * font_px, value, size=1.15 * font_px, bold=True))
        parts.append(svg.text(x, y + 4.3 * font_px, how, size=size, fill=svg.MUTED))
    return parts, y + 4.6 * font_px


def _counts(setup: ConvSetup) -> list[tuple[str, str, str]]:
    size = setup.output_size()
    values = f"{conv_math.activation_size(setup.filters, size):,} values per image"
    volume = ("Output (C × H × W)", f"{setup.filters} × {size} × {size}", values)
    if setup.hidden:
        volume = (volume[0], f"{setup.filters} × ? × ?", "predict it first")
    if setup.pooling:
        return [volume, ("Parameters", "0", "pooling has nothing to learn"), ("MACs", "0", "no weights, no products")]
    k, depth = setup.kernel_size, setup.depth
    channels = (setup.in_channels, setup.out_channels, k)
    parameters = conv_math.parameter_count(*channels, groups=setup.groups)
    macs = conv_math.multiply_adds(*channels, output_shape=size, groups=setup.groups)
    work = (f"{macs:,}", f"{setup.out_channels}·{size}·{size} values × {depth}·{k}·{k} weights")
    if setup.hidden:
        work = ("?", "output values × weights in a filter")
    return [
        volume,
        ("Parameters", f"{parameters:,}", f"{setup.out_channels} × ({depth}·{k}·{k} weights + 1 bias)"),
        ("Multiply-adds (MACs) per image", *work),
    ]


def _problem(setup: ConvSetup, error: InvalidSetting, y: float, font_px: int) -> tuple[list[str], float]:
    """The reason and what to change; where the window is too long, the padded input and the window to scale."""
    left = 1.2 * font_px
    parts, y = svg.problem(left, y + 1.2 * font_px, error.reason, error.remedy, width=WIDTH - 2 * left, font_px=font_px)
    padded = setup.size + 2 * max(0, setup.padding)
    if setup.span <= padded:
        return parts, y
    unit = min(2 * font_px, (WIDTH - 2 * left) / setup.span)
    bars = ((padded, "padded input", svg.FAINT, svg.LINE), (setup.span, "window", svg.ORANGE_TINT, svg.ORANGE))
    for length, name, fill, stroke in bars:
        y += 1.9 * font_px
        parts.append(svg.text(left, y, f"{name}: {length} px", size=font_px))
        parts.append(svg.rect(left, y + 0.5 * font_px, length * unit, font_px, fill=fill, stroke=stroke, line=2))
        y += 1.2 * font_px
    return parts, y + font_px


def _in_words(setup: ConvSetup) -> str:
    name = f"{KINDS[setup.kind]}, kernel {setup.kernel_size}, stride {setup.stride}, padding {setup.padding}"
    name += f", dilation {setup.dilation}, on a {setup.size} × {setup.size} input with "
    name += "1 channel" if setup.in_channels == 1 else f"{setup.in_channels} channels"
    if setup.hidden:
        return f"{name}. The output size is hidden until it is predicted."
    size, lost = setup.output_size(), conv_math.dropped(setup.size, setup.kernel_size, **setup.window)
    unread = f" The floor drops the last {lost.total} px of the padded input." if lost.total else ""
    return f"{name}, gives {setup.filters} × {size} × {size}.{unread}"


def _document(setup: ConvSetup, parts: list[str], y: float, alt: str, font_px: int) -> svg.Picture:
    return svg.document(parts, width=WIDTH, height=y + 1.2 * font_px, title=f"{KINDS[setup.kind]} explorer", alt=alt)
