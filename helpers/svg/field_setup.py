"""What the receptive-field explorer shows: a stack of layers, how far up it is looked at, and from which cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from helpers import conv_math
from helpers.conv_math import FieldRow, InvalidSetting, Layer
from helpers.svg.conv_setup import Setup


def _vgg16() -> list[tuple[int, int, int, int, str]]:
    layers = []
    for block, convs in enumerate((2, 2, 3, 3, 3), start=1):
        layers += [(3, 1, 1, 1, f"conv{block}_{i}") for i in range(1, convs + 1)] + [(2, 2, 0, 1, f"pool{block}")]
    return layers


PRESETS: dict[str, dict[str, object]] = {
    "Three 3×3 see as much as one 7×7": {"size": 16, "layers": [(3, 1, 1)] * 3},
    "One 7×7": {"size": 16, "layers": [(7, 1, 3)]},
    "Stride 2 in every layer": {"size": 32, "layers": [(3, 2, 1)] * 4},
    "Convolutions and pooling": {"size": 24, "layers": [(3, 1, 1, 1, "conv1"), (2, 2, 0, 1, "pool1"),
                                                        (3, 1, 1, 1, "conv2"), (2, 2, 0, 1, "pool2")]},
    "Dilation 1, 2, 4": {"size": 24, "layers": [(3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 4, 4)]},
    "LeNet-5": {"size": 32, "layers": [(5, 1, 0, 1, "C1"), (2, 2, 0, 1, "S2"), (5, 1, 0, 1, "C3"), (2, 2, 0, 1, "S4")]},
    "AlexNet": {"size": 224, "layers": [
        (11, 4, 2, 1, "conv1"), (3, 2, 0, 1, "pool1"), (5, 1, 2, 1, "conv2"), (3, 2, 0, 1, "pool2"),
        (3, 1, 1, 1, "conv3"), (3, 1, 1, 1, "conv4"), (3, 1, 1, 1, "conv5"), (3, 2, 0, 1, "pool5")]},
    "VGG-16": {"size": 224, "layers": _vgg16()},
}  # fmt: skip


@dataclass(frozen=True)
class FieldSetup(Setup):
    """A stack of layers over a line of ``size`` input pixels; a layer is (k, s[, p[, d[, name]]])."""

    size: int = 16
    layers: tuple[tuple[int | str, ...], ...] = ((3, 1, 1), (3, 1, 1), (3, 1, 1))
    shown: int | None = None  # layers looked at, from the input upwards; None for all
    cell: int | None = None  # cell of the topmost layer looked at; None for the one nearest the middle of the input

    presets = PRESETS

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(tuple(layer) for layer in self.layers))

    @cached_property
    def stack(self) -> list[Layer]:
        """The layers looked at, with a name each."""
        layers = [Layer(*layer) for layer in self.layers[: self.depth]]
        return [replace(layer, name=layer.name or _describe(layer)) for layer in layers]

    @property
    def depth(self) -> int:
        count = len(self.layers)
        return count if self.shown is None else max(0, min(self.shown, count))

    @cached_property
    def rows(self) -> list[FieldRow]:
        """The input (one pixel sees itself), then every layer looked at."""
        return [FieldRow("input", 1, 1, 0), *conv_math.receptive_field_chain(self.stack)]

    @cached_property
    def sizes(self) -> list[int]:
        """Cells along the axis: the input's, then every layer's; InvalidSetting where a layer does not fit."""
        sizes = [self.size]
        for layer in self.stack:
            options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
            try:
                sizes.append(conv_math.output_size(sizes[-1], layer.kernel_size, **options))
            except InvalidSetting as error:
                raise InvalidSetting(f"layer {len(sizes)} ({layer.name}): {error.reason}", error.remedy) from None
        return sizes

    @cached_property
    def chosen(self) -> int:
        """The cell of the topmost layer that is looked at."""
        top = self.rows[-1]
        middle = round((self.size - top.size - 2 * top.start) / (2 * top.jump))
        return max(0, min(middle if self.cell is None else self.cell, self.sizes[-1] - 1))

    @cached_property
    def seen(self) -> list[set[int]]:
        """The cells that the chosen cell sees, in the input and in every layer; beyond the ends is padding."""
        seen = [{self.chosen}]
        for layer in reversed(self.stack):
            taps = [tap * layer.dilation - layer.padding for tap in range(layer.kernel_size)]
            seen.append({cell * layer.stride + tap for cell in seen[-1] for tap in taps})
        return seen[::-1]


def _describe(layer: Layer) -> str:
    stride = f" /{layer.stride}" if layer.stride > 1 else ""
    dilation = f" d{layer.dilation}" if layer.dilation > 1 else ""
    return f"{layer.kernel_size}×{layer.kernel_size}{stride}{dilation}"
