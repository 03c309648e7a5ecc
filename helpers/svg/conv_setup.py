"""What the convolution explorer shows: its settings and presets, the numbers in its grids, and wrong guesses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from helpers import conv_math
from helpers.conv_math import InvalidSetting

KINDS = {"conv": "Convolution", "max": "Max pooling", "avg": "Average pooling"}
VIEWS = {"output": "output → its window", "input": "input → its outputs"}
LARGEST_GRID = 12  # px; larger inputs (padded: twice that) are drawn as a strip, one axis only

PRESETS: dict[str, dict[str, object]] = {
    "First steps: 3×3 on 7×7": {},
    "Lecture: 3×3 on 7×7, stride 3": {"stride": 3},
    "Padding 1 keeps the size": {"padding": 1},
    "Three channels, two filters": {"size": 5, "padding": 1, "stride": 2, "in_channels": 3, "out_channels": 2},
    "1×1 convolution": {"size": 5, "kernel_size": 1, "in_channels": 3, "out_channels": 2},
    "Depthwise: one filter a channel": {"size": 5, "padding": 1, "in_channels": 4, "out_channels": 4, "groups": 4},
    "Dilation 2": {"size": 9, "dilation": 2, "padding": 2},
    "Lecture: max pooling 4×4": {"kind": "max", "size": 4, "kernel_size": 2, "stride": 2},
    "Average pooling 4×4": {"kind": "avg", "size": 4, "kernel_size": 2, "stride": 2},
    "LeNet C1": {"size": 32, "kernel_size": 5, "out_channels": 6},
    "AlexNet conv1 at 227": {"size": 227, "kernel_size": 11, "stride": 4, "in_channels": 3, "out_channels": 96},
    "AlexNet conv1 at 224": {
        "size": 224, "kernel_size": 11, "stride": 4, "padding": 2, "in_channels": 3, "out_channels": 64,
    },
    "VGG conv 3×3": {"size": 224, "padding": 1, "in_channels": 64, "out_channels": 64},
    "ResNet stem": {"size": 224, "kernel_size": 7, "stride": 2, "padding": 3, "in_channels": 3, "out_channels": 64},
}  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """The settings of an explorer: a state is a dict of some of them, a preset such a dict with a name."""

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    @classmethod
    def of(cls, state: Mapping[str, object] | str | None) -> Self:
        """From the state of an explorer, the name of a preset, or nothing (the defaults).

        Raises:
            ValueError: no such preset, setting or value.
        """
        if isinstance(state, str):
            if state not in cls.presets:
                raise ValueError(f"there is no preset {state!r}; there are: {', '.join(cls.presets) or 'none'}")
            state = cls.presets[state]
        settings: dict[str, Any] = dict(state or {})
        defaults = {field.name: field.default for field in fields(cls)}
        for name, value in settings.items():
            if name not in defaults:
                raise ValueError(f"there is no setting {name!r}; there are: {', '.join(defaults)}")
            if type(defaults[name]) is int and not isinstance(value, int):
                raise ValueError(f"{name} is {value!r}; pass a whole number")
        return cls(**settings)

    def state(self) -> dict[str, object]:
        """As a dict, which ``of`` takes back."""
        return asdict(self)


@dataclass(frozen=True)
class ConvSetup(Setup):
    """A layer on a square input (px), and which part of it is looked at (indices count from 0)."""

    kind: str = "conv"
    size: int = 7
    kernel_size: int = 3
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    in_channels: int = 1
    out_channels: int = 1
    groups: int = 1
    view: str = "output"
    step: int = 0  # output cell or input pixel, row by row; on a strip the position along the axis
    channel: int = 0  # the input channel drawn, among those that the filter reads
    filter: int = 0
    predict: bool = False
    guess: int | None = None
    brief: bool = False  # sizes only: a formula without dilation, no parameters, no MACs

    presets = PRESETS

    def __post_init__(self) -> None:
        for name, allowed in (("kind", KINDS), ("view", VIEWS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it can be {', '.join(map(repr, allowed))}")

    @property
    def window(self) -> dict[str, int]:
        """Stride, padding and dilation, as conv_math's functions take them."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def pooling(self) -> bool:
        return self.kind != "conv"

    @property
    def filters(self) -> int:
        """Channels of the output: pooling treats every channel by itself."""
        return self.in_channels if self.pooling else self.out_channels

    @property
    def depth(self) -> int:
        """Channels that one filter reads."""
        return 1 if self.pooling else self.in_channels // self.groups

    @property
    def strip(self) -> bool:
        return self.size > LARGEST_GRID or self.size + 2 * self.padding > 2 * LARGEST_GRID

    @property
    def span(self) -> int:
        return self.dilation * (self.kernel_size - 1) + 1

    @property
    def hidden(self) -> bool:
        """The output is kept secret until the student has found its size."""
        return self.predict and self.guess != self.output_size()

    def output_size(self) -> int:
        """Rows of the output; InvalidSetting where PyTorch refuses the layer."""
        if not self.pooling:
            conv_math.parameter_count(self.in_channels, self.out_channels, self.kernel_size, groups=self.groups)
            return conv_math.output_size(self.size, self.kernel_size, **self.window)
        if self.kind == "avg" and self.dilation != 1:
            raise InvalidSetting(
                f"average pooling has no dilation, got dilation {self.dilation}",
                "set the dilation to 1 or take max pooling",
            )
        return conv_math.pool_output_size(
            self.size, self.kernel_size, stride=self.stride, padding=self.padding, dilation=self.dilation
        )

    def steps(self) -> int:
        """How many output cells or input pixels there are to step through."""
        along = self.output_size() if self.view == "output" else self.size
        return along if self.strip else along * along

    @property
    def at(self) -> int:
        """``step``, kept inside the range; the first one while the output is hidden."""
        return 0 if self.hidden else max(0, min(self.step, self.steps() - 1))

    @property
    def chosen(self) -> tuple[int, int]:
        """Row and column of the output cell or input pixel that ``step`` points at."""
        return divmod(self.at, self.output_size() if self.view == "output" else self.size)

    @property
    def drawn_filter(self) -> int:
        """``filter``, kept inside the range."""
        return min(self.filter, self.filters - 1)

    @property
    def drawn_channel(self) -> int:
        """The input channel that ``channel`` points at among those that the filter reads."""
        return self.reads()[min(self.channel, self.depth - 1)]

    def reads(self) -> range:
        """The input channels that the chosen filter reads."""
        index = self.drawn_filter
        first = index if self.pooling else index // (self.out_channels // self.groups) * self.depth
        return range(first, first + self.depth)

    def outputs_using(self, pixel: int) -> tuple[int, ...]:
        """The outputs along one axis whose windows read input ``pixel``."""
        return conv_math.outputs_using(pixel, self.size, self.kernel_size, **self.window)

    def dropped(self) -> conv_math.Dropped:
        """What the floor leaves unread at the end of an axis."""
        return conv_math.dropped(self.size, self.kernel_size, **self.window)


# ---- the numbers in the grids: small, whole, and the same on every machine ----------------------------------------

LECTURE_POOLING = ((1, 1, 2, 4), (5, 6, 7, 8), (3, 2, 1, 0), (1, 2, 3, 4))  # CS231n, lecture 5

IMAGE_SEED, WEIGHT_SEED = 33, 50  # chosen so that the first pictures have varied numbers and few zeros
WEIGHTS, BIASES = np.array([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, 2.0]), np.array([1.0, 0.0, -1.0, 2.0])


class Example(NamedTuple):
    """The numbers of one setup, all float64; whole except after average pooling."""

    padded: np.ndarray  # (C_in, n + 2p, n + 2p), the padding included
    weights: np.ndarray  # (C_out, C_in / groups, k, k); empty for pooling
    bias: np.ndarray  # (C_out,); empty for pooling
    output: np.ndarray  # (C_out, m, m)


def example(setup: ConvSetup) -> Example:
    """The numbers of a setup; what is looked at (step, channel, filter) makes no difference to them."""
    return _example(replace(setup, view="output", step=0, channel=0, filter=0, predict=False, guess=None))


@functools.lru_cache(maxsize=8)  # stepping through one setup computes it once
def _example(setup: ConvSetup) -> Example:
    image = _digits(setup.in_channels, setup.size, setup.size, seed=IMAGE_SEED) % 5.0
    if setup.pooling and setup.size == 4:
        image[0] = LECTURE_POOLING
    edge = -np.inf if setup.kind == "max" else 0.0  # padding never wins a maximum
    padding = (setup.padding, setup.padding)
    padded = np.pad(image, ((0, 0), padding, padding), constant_values=edge)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (setup.span, setup.span), axis=(1, 2))
    windows = windows[:, :: setup.stride, :: setup.stride, :: setup.dilation, :: setup.dilation]  # (C_in, m, m, k, k)
    if setup.pooling:
        output = windows.max(axis=(3, 4)) if setup.kind == "max" else windows.mean(axis=(3, 4))
        return Example(padded, np.empty(0), np.empty(0), output)
    digits = _digits(setup.out_channels, setup.depth, setup.kernel_size, setup.kernel_size, seed=WEIGHT_SEED)
    weights, bias = WEIGHTS[digits % len(WEIGHTS)], BIASES[np.arange(setup.out_channels) % len(BIASES)]
    grouped = windows.reshape(setup.groups, -1, *windows.shape[1:])  # (G, C_in / G, m, m, k, k)
    kernels = weights.reshape(setup.groups, -1, *weights.shape[1:])  # (G, C_out / G, C_in / G, k, k)
    output = np.stack([np.tensordot(w, x, axes=((1, 2, 3), (0, 3, 4))) for w, x in zip(kernels, grouped, strict=True)])
    return Example(padded, weights, bias, output.reshape(len(bias), *output.shape[2:]) + bias[:, None, None])


def _digits(*shape: int, seed: int) -> np.ndarray:
    """Integers from 0 to 65535 that look random and depend on the position only (a 32-bit hash)."""
    index = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(seed * 1000)
    for multiplier in (2654435769, 2246822519):
        index = (index ^ (index >> np.uint32(15))) * np.uint32(multiplier)
    return (index >> np.uint32(16)).astype(np.int64).reshape(shape)


# ---- guesses ----------------------------------------------------------------------------------------------------


def diagnose(setup: ConvSetup, guess: int) -> str:
    """A sentence on a guessed output size: right, or the mistake it looks like."""
    truth = setup.output_size()
    if guess == truth:
        return f"Right: the output is {truth} × {truth}."
    for wrong, sentence in _mistakes(setup):
        if guess == wrong != truth:
            return f"Not {guess}. {sentence}"
    return f"Not {guess}. Put the numbers into the formula one by one, and floor before you add 1."


def _mistakes(setup: ConvSetup) -> list[tuple[int | float, str]]:
    n, k, s, p = setup.size, setup.kernel_size, setup.stride, setup.padding
    room = n + 2 * p - setup.span
    return [
        (room // s, "That looks like the formula without the + 1 at the end: the first window counts too."),
        (-(-room // s) + 1, "That looks rounded up. A window that does not fit is left out: round down."),
        ((room - 2 * p) // s + 1, f"That looks like no padding; {p} px are added on both sides."),
        ((room - p) // s + 1, "That looks like padding on one side only; it is added on both, so 2p."),
        ((n + 2 * p - k) // s + 1, f"That looks like dilation 1; the window spans {setup.span} px, d(k − 1) + 1."),
        (room + 1, f"That looks like stride 1; here the window moves {s} px at a time."),
        (room // (s + 1), "That looks like a division by s + 1. Divide by s, floor, then add 1."),
        (room // (s + 1) + 1, "That looks like a division by s + 1. Divide by s, floor, then add 1."),
        (n, "That is the size of the input."),
        (setup.filters, "That is the number of channels of the output; its height and width were asked."),
    ]
