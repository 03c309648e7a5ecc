"""The arithmetic of convolution and pooling layers: integers in, integers out, no torch.

Symbols in formulas: input size n, kernel k, stride s, padding p, dilation d, all in pixels along one axis.
Wherever PyTorch refuses a setting, these functions raise an ``InvalidSetting`` that says what to change.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

Pair = int | tuple[int, int]  # one number for both axes, or (height, width)


class InvalidSetting(ValueError):
    """A setting that no layer can have; ``reason`` says what was passed, ``remedy`` what to change."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class Layer:
    """The geometry of one convolution or pooling layer."""

    kernel_size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _window(self.kernel_size, self.stride, self.dilation)
        _integer("padding", self.padding, least=0)


class Dropped(NamedTuple):
    """Pixels at the end of one axis that the floor leaves unread."""

    total: int
    real: int  # pixels of the image itself; the other ``total - real`` are padding


class FieldRow(NamedTuple):
    """One layer of a chain, in input pixels: cell i sees [start + i * jump, start + i * jump + size - 1]."""

    name: str
    size: int  # receptive field
    jump: int  # distance between the fields of two neighbours
    start: int  # first pixel of cell 0's field; negative where it begins in the padding


def output_size(size: int, kernel_size: int, *, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> int:
    """Output size of a convolution along one axis, floored as PyTorch does: floor((n + 2p - d(k - 1) - 1) / s) + 1.

    ``padding`` is a number of pixels, "valid" (none) or "same" (stride 1 only: the output is as large as the input).

    >>> output_size(227, 11, stride=4), output_size(224, 11, stride=4, padding=2)
    (55, 55)
    """
    span = _window(kernel_size, stride, dilation)
    padded = _integer("size", size, least=1) + sum(pads(kernel_size, stride, padding, dilation))
    if span > padded:
        raise _too_large(size, kernel_size, padded=padded, dilation=dilation, padding_limit=None)
    return (padded - span) // stride + 1


def pool_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Output size of a pooling layer along one axis; without a ``stride`` the windows lie side by side.

    The padding is at most half a kernel. ``ceil_mode`` adds the last, cut-off window, but only when that window
    starts in the image or in the padding before it, never when it lies wholly in the padding behind it.
    """
    stride = kernel_size if stride is None else stride
    span = _window(kernel_size, stride, dilation)
    padded = _integer("size", size, least=1) + 2 * _integer("padding", padding, least=0)
    if padding > kernel_size // 2:
        raise InvalidSetting(
            f"padding {padding} is more than half of the pooling kernel {kernel_size}",
            f"lower the padding to {kernel_size // 2} or enlarge the kernel to {2 * padding}",
        )
    count = (padded - span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    if count < 1:
        raise _too_large(size, kernel_size, padded=padded, dilation=dilation, padding_limit=kernel_size // 2)
    return count


def dropped(size: int, kernel_size: int, *, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> Dropped:
    """How many pixels at the end of the padded input the floor leaves unread, and how many of these are real.

    >>> dropped(7, 3, stride=3), dropped(224, 11, stride=4, padding=2)
    (Dropped(total=1, real=1), Dropped(total=1, real=0))
    """
    count = output_size(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    before, behind = pads(kernel_size, stride, padding, dilation)
    total = before + size + behind - _window(kernel_size, stride, dilation) - (count - 1) * stride
    return Dropped(total, max(0, total - behind))


def outputs_using(
    pixel: int, size: int, kernel_size: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[int, ...]:
    """The output cells along one axis whose window reads input ``pixel`` (counted from 0, padding is negative).

    Their number is the coverage of the pixel; on an image, multiply the coverages of its row and its column.
    """
    count = output_size(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    taps = range(0, _window(kernel_size, stride, dilation), dilation)
    return tuple(cell for cell in range(count) if pixel + padding - cell * stride in taps)


def parameter_count(
    in_channels: int, out_channels: int, kernel_size: Pair, *, groups: int = 1, bias: bool = True
) -> int:
    """Learnable numbers of a convolution: every filter spans C_in / groups channels, plus one bias a filter.

    >>> parameter_count(3, 10, 5), parameter_count(3, 96, 11)
    (760, 34944)
    """
    height, width = _pair(kernel_size)
    _check_groups(in_channels, out_channels, groups)
    area = _integer("kernel height", height, least=1) * _integer("kernel width", width, least=1)
    return out_channels * (in_channels // groups * area + (1 if bias else 0))


def multiply_adds(
    in_channels: int, out_channels: int, kernel_size: Pair, *, output_shape: Pair, groups: int = 1
) -> int:
    """MACs of a convolution on one image; a MAC is one multiplication and one addition. Biases are not counted."""
    height, width = _pair(output_shape)
    weights = parameter_count(in_channels, out_channels, kernel_size, groups=groups, bias=False)
    return weights * _integer("output height", height, least=1) * _integer("output width", width, least=1)


def activation_size(channels: int, shape: Pair, *, batch_size: int = 1) -> int:
    """Values in an activation of shape (batch_size, channels, H, W)."""
    height, width = _pair(shape)
    named = {"channels": channels, "height": height, "width": width, "batch_size": batch_size}
    return prod(_integer(name, value, least=1) for name, value in named.items())


def receptive_field(layers: Iterable[Layer | tuple[int, ...]]) -> int:
    """Input pixels along one axis that one cell of the last layer sees; 1 for no layer.

    >>> receptive_field([(3, 1)] * 4), receptive_field([(3, 2)] * 4)
    (9, 31)
    """
    rows = receptive_field_chain(layers)
    return rows[-1].size if rows else 1


def receptive_field_chain(layers: Iterable[Layer | tuple[int, ...]]) -> list[FieldRow]:
    """The field after every layer: r += (k - 1) d j, then j *= s. A layer is a ``Layer`` or (k, s[, p[, d]]).

    r = 1 + L(K - 1) holds only where every stride is 1. Source: Araujo, Norris, Sim (2019), distill.pub.
    """
    size, jump, start, rows = 1, 1, 0, []
    for layer in layers:
        layer = layer if isinstance(layer, Layer) else Layer(*layer)
        size += (layer.kernel_size - 1) * layer.dilation * jump
        start -= layer.padding * jump
        jump *= layer.stride
        rows.append(FieldRow(layer.name, size, jump, start))
    return rows


# ---- what no layer can have --------------------------------------------------------------------------------------


def _integer(name: str, value: object, *, least: int) -> int:
    """``value`` as an int (numpy integers pass, 3.0 and "3" do not); InvalidSetting below ``least``."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # that is what is tried here
    except TypeError:
        raise InvalidSetting(f"{name} is {value!r}", f"pass a whole number, at least {least}") from None
    if number < least:
        raise InvalidSetting(f"{name} is {number}", f"raise it to at least {least}")
    return number


def _pair(value: Pair) -> tuple[int, int]:
    """(value, value) for one number; two numbers as they are."""
    if not isinstance(value, (tuple, list)):
        return value, value
    if len(value) != 2:
        raise InvalidSetting(f"got {value!r}", "pass one number for both axes, or two: (height, width)")
    return value[0], value[1]


def _window(kernel_size: int, stride: int, dilation: int) -> int:
    """Pixels that one window spans, d(k - 1) + 1, after checking all three."""
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        _integer(name, value, least=1)
    return dilation * (kernel_size - 1) + 1


def pads(kernel_size: int, stride: int, padding: int | str, dilation: int) -> tuple[int, int]:
    """Pixels of padding (before, behind) the input; "same" puts an odd pixel behind, as torch does."""
    if padding == "same":
        if stride != 1:
            raise InvalidSetting(
                f"padding 'same' needs stride 1, got stride {stride}",
                "set the stride to 1, or pass the padding as a number",
            )
        total = dilation * (kernel_size - 1)
        return total // 2, total - total // 2
    if isinstance(padding, str) and padding != "valid":
        raise InvalidSetting(f"padding is {padding!r}", "pass a number of pixels, 'valid' or 'same'")
    pixels = 0 if padding == "valid" else _integer("padding", padding, least=0)
    return pixels, pixels


def _too_large(size: int, kernel_size: int, *, padded: int, dilation: int, padding_limit: int | None) -> InvalidSetting:
    """The error for a window that does not fit; pooling sets ``padding_limit``, half its kernel."""
    span = dilation * (kernel_size - 1) + 1
    needed, smaller = -(-(span - size) // 2), (padded - 1) // dilation + 1
    remedies = []
    if padding_limit is None or needed <= padding_limit:
        remedies.append(f"raise padding to at least {needed}")
    if padding_limit is None or (padded - size) // 2 <= smaller // 2:
        remedies.append(f"shrink the kernel to {smaller}")
    if dilation > 1 and kernel_size <= padded:
        remedies.append(f"lower the dilation to {(padded - 1) // (kernel_size - 1)}")
    remedy = " or ".join(remedies) or "shrink the kernel and lower the dilation"
    what = f"kernel {kernel_size} is larger than"
    if dilation > 1:
        what = f"kernel {kernel_size} with dilation {dilation} spans {span} pixels, more than"
    return InvalidSetting(f"{what} the padded input {padded}", remedy)


def _check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Both channel counts are split into ``groups`` equal parts."""
    named = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
    for name, value in named.items():
        _integer(name, value, least=1)
    if in_channels % groups or out_channels % groups:
        name = "in_channels" if in_channels % groups else "out_channels"
        nearest = next(g for g in range(groups, 0, -1) if in_channels % g == out_channels % g == 0)
        raise InvalidSetting(
            f"{name} {named[name]} cannot be divided into {groups} groups",
            f"lower groups to {nearest} or make in_channels and out_channels multiples of {groups}",
        )
