"""The convolution explorer's picture: what goes in, the window, the arithmetic, what comes out."""

from __future__ import annotations

from collections.abc import Mapping

from helpers import conv_math, svg
from helpers.conv_math import InvalidSetting
from helpers.svg import conv_grids, conv_strip
from helpers.svg.conv_setup import KINDS, ConvSetup


def conv_picture(state: Mapping[str, object] | str | None = None, *, font_px: int = 16) -> svg.Picture:
    """One convolution or pooling layer with real numbers; above 12 px of input, one axis of it as a strip.

    ``state`` is what an explorer's ``state`` holds, the name of a preset, or None for a 3 × 3 kernel on 7 × 7.
    A setup that PyTorch refuses gives a picture too: the reason, and what to change.
    """
    setup, sheet = ConvSetup.of(state), svg.Sheet(font_px)
    title = f"{KINDS[setup.kind]} explorer"
    _heading(sheet, setup)
    try:
        setup.output_size()
    except InvalidSetting as error:
        _problem(sheet, setup, error)
        return sheet.picture(title=title, alt=f"This does not work: {error}.")
    _formula(sheet, setup)
    sheet.y += 0.8 * font_px
    if setup.strip:
        conv_strip.draw(sheet, setup)
    else:
        conv_grids.draw(sheet, setup)
        _legend(sheet, setup)
    if not setup.brief:
        _facts(sheet, setup)
    return sheet.picture(title=title, alt=_in_words(setup))


def formula(setup: ConvSetup) -> list[str]:
    """The output size in symbols, below it the same with the numbers in, aligned, then the steps to the result."""
    n, k, s, p, d = setup.size, setup.kernel_size, setup.stride, setup.padding, setup.dilation
    room, result = n + 2 * p - setup.span, setup.output_size()
    kernel = [("k", f"{k}"), (") / ", ") / ")]
    if not setup.brief or d > 1:
        kernel = [("d·(k − 1)", f"{d}·({k} − 1)"), (" − 1) / ", " − 1) / ")]
    columns = [
        ("floor( (", "floor( ("), ("n", f"{n}"), (" + ", " + "), ("2p", f"2·{p}"), (" − ", " − "),
        *kernel, ("s", f"{s}"), (" ) + 1", " ) + 1"),
    ]  # fmt: skip
    symbols = "".join(symbol.center(len(value)) for symbol, value in columns)
    numbers = "".join(value.center(len(symbol)) for symbol, value in columns)
    quotient = f"{room // s}" if room % s == 0 else f"floor({room / s:.2f})"
    steps = f"floor({room} / {s}) + 1 = {quotient} + 1 = {result}"
    return [f"output = {symbols}", f"       = {numbers}", f"       = {steps}"]


def _heading(sheet: svg.Sheet, setup: ConvSetup) -> None:
    about = [f"input {setup.size} × {setup.size}", f"kernel {setup.kernel_size} × {setup.kernel_size}"]
    about += [f"stride {setup.stride}", f"padding {setup.padding}"]
    about += [f"dilation {setup.dilation}"] if setup.dilation > 1 else []
    if not setup.pooling and (setup.in_channels, setup.out_channels) != (1, 1):
        about.append(f"{setup.in_channels} → {setup.out_channels} channels")
    about += [f"{setup.groups} groups"] if setup.groups > 1 and not setup.pooling else []
    sheet.y = 1.9 * sheet.font_px
    sheet.text(sheet.left, sheet.y, KINDS[setup.kind], size=1.2 * sheet.font_px, bold=True)
    items = " · ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in about)  # a line ends between items only
    sheet.lines(items, width=svg.WIDTH - 3 * sheet.font_px, fill=svg.MUTED)


def _formula(sheet: svg.Sheet, setup: ConvSetup) -> None:
    lines = formula(setup)
    if setup.hidden:
        lines = [lines[0], "       = ?"]
    size = min(sheet.font_px, (sheet.right - sheet.left) / (max(map(len, lines)) * svg.MONO_ADVANCE))
    sheet.y += 0.5 * sheet.font_px
    for index, line in enumerate(lines):
        sheet.y += 1.5 * sheet.font_px
        last = index == len(lines) - 1
        fill = svg.MUTED if index == 0 else svg.BLUE if last else svg.INK
        sheet.text(sheet.left, sheet.y, line, size=size, fill=fill, mono=True, bold=last)


def _legend(sheet: svg.Sheet, setup: ConvSetup) -> None:
    """What the frames and fillings mean; only what this picture has."""
    lost = setup.dropped().total
    if setup.view == "output":
        entries = [(svg.ORANGE_TINT, svg.ORANGE, "window")]
        entries += [] if setup.hidden else [(svg.BLUE_TINT, svg.BLUE, "its output")]
    else:
        entries = [(svg.PURPLE_TINT, svg.PURPLE, "chosen pixel, and every output that reads it")]
    if setup.padding:
        value = "−∞, never the largest" if setup.kind == "max" else "0"
        entries.append((svg.FAINT, svg.LINE, f"padding ({value})"))
    if lost and not setup.hidden:
        what = "row and column" if lost == 1 else f"{lost} rows and columns"
        entries.append((svg.PAPER, svg.VERMILION, f"never read: the floor drops the last {what}"))
    sheet.y += 1.5 * sheet.font_px
    needed = sum(3 + 0.5 * len(label) for *_, label in entries)
    x, size = sheet.left, min(sheet.small, (sheet.right - sheet.left) / needed)
    for fill, stroke, label in entries:
        sheet.rect(x, sheet.y - 0.85 * size, size, size, fill=fill, stroke=stroke, line=2)
        if stroke == svg.VERMILION:
            sheet.hatch(x, sheet.y - 0.85 * size, size, size, pitch=5)
        sheet.text(x + 1.5 * size, sheet.y, label, size=size, fill=svg.MUTED)
        x += (3 + 0.5 * len(label)) * size
    sheet.y += 0.5 * sheet.font_px


def _facts(sheet: svg.Sheet, setup: ConvSetup) -> None:
    """Output volume, parameters and MACs, side by side under a line."""
    font_px, column = sheet.font_px, (sheet.right - sheet.left) / 3
    sheet.y += 0.6 * font_px
    sheet.segment(sheet.left, sheet.y, sheet.right, sheet.y)
    for index, (label, value, how) in enumerate(_counts(setup)):
        x = sheet.left + index * column
        size = min(sheet.small, 0.94 * column / (max(len(label), len(how)) * svg.SANS_ADVANCE))
        sheet.text(x, sheet.y + 1.5 * font_px, label, size=size, fill=svg.MUTED)
        sheet.text(x, sheet.y + 3.0 * font_px, value, size=1.15 * font_px, bold=True)
        sheet.text(x, sheet.y + 4.3 * font_px, how, size=size, fill=svg.MUTED)
    sheet.y += 4.6 * font_px


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


def _problem(sheet: svg.Sheet, setup: ConvSetup, error: InvalidSetting) -> None:
    """The reason and what to change; where the window is too long, the padded input and the window to scale."""
    sheet.y += 1.2 * sheet.font_px
    sheet.problem(error)
    padded = setup.size + 2 * max(0, setup.padding)
    if setup.span <= padded:
        return
    unit = min(2 * sheet.font_px, (sheet.right - sheet.left) / setup.span)
    bars = ((padded, "padded input", svg.FAINT, svg.LINE), (setup.span, "window", svg.ORANGE_TINT, svg.ORANGE))
    for length, name, fill, stroke in bars:
        sheet.lines(f"{name}: {length} px", step=1.9)
        top = sheet.y + 0.5 * sheet.font_px
        sheet.rect(sheet.left, top, length * unit, sheet.font_px, fill=fill, stroke=stroke, line=2)
        sheet.y += 1.2 * sheet.font_px
    sheet.y += sheet.font_px


def _in_words(setup: ConvSetup) -> str:
    name = f"{KINDS[setup.kind]}, kernel {setup.kernel_size}, stride {setup.stride}, padding {setup.padding}"
    name += f", dilation {setup.dilation}, on a {setup.size} × {setup.size} input with "
    name += "1 channel" if setup.in_channels == 1 else f"{setup.in_channels} channels"
    if setup.hidden:
        return f"{name}. The output size is hidden until it is predicted."
    size, lost = setup.output_size(), setup.dropped().total
    unread = f" The floor drops the last {lost} px of the padded input." if lost else ""
    return f"{name}, gives {setup.filters} × {size} × {size}.{unread}"
