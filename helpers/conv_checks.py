"""What a convolution or pooling layer may be set to, and sentences for what it may not."""

from __future__ import annotations

import operator

Pair = int | tuple[int, int]  # one number for both axes, or (height, width)


class InvalidSetting(ValueError):
    """A setting that no layer can have; ``reason`` says what was passed, ``remedy`` what to change."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


def whole(name: str, value: int, *, least: int) -> int:
    """``value`` as an int (numpy integers pass, 3.0 and "3" do not); InvalidSetting below ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidSetting(f"{name} is {value!r}", f"pass a whole number, at least {least}") from None
    if number < least:
        raise InvalidSetting(f"{name} is {number}", f"raise it to at least {least}")
    return number


def pair(value: Pair) -> tuple[int, int]:
    """(value, value) for one number; two numbers as they are."""
    if not isinstance(value, (tuple, list)):
        return value, value
    if len(value) != 2:
        raise InvalidSetting(f"got {value!r}", "pass one number for both axes, or two: (height, width)")
    return value[0], value[1]


def window(kernel_size: int, stride: int, dilation: int) -> int:
    """Pixels that one window spans, d(k - 1) + 1, after checking all three."""
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        whole(name, value, least=1)
    return dilation * (kernel_size - 1) + 1


def pads(kernel_size: int, stride: int, padding: int | str, dilation: int) -> tuple[int, int]:
    """Pixels of padding (before, behind) the input; "same" puts an odd pixel behind, as torch does."""
    if padding == "same":
        if stride != 1:
            raise InvalidSetting(
                f"padding 'same' needs stride 1, got stride {stride}",
                "set the stride to 1, or pass the padding as a number (conv_math.padding_for finds it)",
            )
        total = dilation * (kernel_size - 1)
        return total // 2, total - total // 2
    if isinstance(padding, str) and padding != "valid":
        raise InvalidSetting(f"padding is {padding!r}", "pass a number of pixels, 'valid' or 'same'")
    pixels = 0 if padding == "valid" else whole("padding", padding, least=0)
    return pixels, pixels


def too_large(size: int, kernel_size: int, *, padded: int, dilation: int, padding_limit: int | None) -> InvalidSetting:
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


def check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Both channel counts are split into ``groups`` equal parts."""
    named = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
    for name, value in named.items():
        whole(name, value, least=1)
    if in_channels % groups or out_channels % groups:
        name = "in_channels" if in_channels % groups else "out_channels"
        nearest = next(g for g in range(groups, 0, -1) if in_channels % g == out_channels % g == 0)
        raise InvalidSetting(
            f"{name} {named[name]} cannot be divided into {groups} groups",
            f"lower groups to {nearest} or make in_channels and out_channels multiples of {groups}",
        )
