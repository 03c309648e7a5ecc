"""What a dissection consists of: one frozen row a layer, with what its cells see of the image. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

WHOLE, UNKNOWN = "whole image", "n/a"
WEIGHT_KINDS = ("conv", "linear")
Number = int | tuple[int, int]  # one number where both axes agree, else (height, width)


class Window(NamedTuple):
    """The sliding window of a convolution or pooling layer, each entry (height, width)."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class Axis(NamedTuple):
    """What the cells of an activation see of the image along one axis, in px.

    ``size``, ``jump`` and ``start`` are the textbook's: cell i sees [start + i * jump, start + i * jump + size - 1],
    padding included; None where no such rule holds. ``low`` and ``high`` are exact: the first and the last real
    pixel that reaches cell i, at this input size.
    """

    size: int | None
    jump: int | None
    start: int | None
    low: np.ndarray
    high: np.ndarray


class Box(NamedTuple):
    """A part of the image in px; ``image[..., top:bottom, left:right]`` cuts it out."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Row:
    """One operation of a network, for one image. Shapes are (C, H, W) or (features,); pairs are (height, width)."""

    name: str  # "layer1.0.conv2"; a functional call is named after the module whose forward makes it
    type: str  # the module's class, or the function: "Conv2d", "relu", "flatten"
    kind: str  # conv, linear, pool, norm, activation, dropout, join, shape or other
    inputs: tuple[str, ...]  # the rows it reads; a placeholder of forward has its own name
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    params: int  # weights and biases; 0 where an earlier row has counted the same ones
    trainable: int  # those of them with requires_grad
    activation_bytes: int  # of the output
    shares_memory: bool  # the output lies in the memory of an input: in place, a view, or nothing done in eval mode
    macs: int  # of convolutions and matrix products; biases are not counted. FLOPs = 2 x MACs
    window: Window | None = None
    whole_image: bool = False  # behind a global pooling, a flatten, or a squeeze-and-excitation gate
    axes: tuple[Axis, Axis] | None = field(default=None, repr=False, compare=False)
    block: str = ""  # the module that the row belongs to: "layer1.0"
    block_type: str = ""  # its class: "BasicBlock"

    @property
    def kernel_size(self) -> Number | None:
        return _one(*self.window.kernel_size) if self.window else None

    @property
    def stride(self) -> Number | None:
        return _one(*self.window.stride) if self.window else None

    @property
    def padding(self) -> Number | None:
        return _one(*self.window.padding) if self.window else None

    @property
    def dilation(self) -> Number | None:
        return _one(*self.window.dilation) if self.window else None

    @property
    def groups(self) -> int | None:
        return self.window.groups if self.window else None

    @property
    def receptive_field(self) -> Number | str:
        """Pixels along an axis that one cell sees, padding included; "whole image", or "n/a" where it is not known."""
        return WHOLE if self.whole_image else self.theoretical_field

    @property
    def theoretical_field(self) -> Number | str:
        """As ``receptive_field``, but the plain sum also behind a global pooling (ResNet-18: 435 + 6 * 32 = 627)."""
        return self._of_axes("size")

    @property
    def clipped_field(self) -> Number | str:
        """Real pixels that the cell with the widest view sees at this input size; padding is not counted."""
        if self.axes is None:
            return UNKNOWN
        height, width = (max(0, int((axis.high - axis.low).max()) + 1) for axis in self.axes)
        return _one(height, width)

    @property
    def jump(self) -> Number | str:
        """Pixels from the field of one cell to that of its neighbour."""
        return self._of_axes("jump")

    @property
    def start(self) -> Number | str:
        """First pixel of cell 0's field; negative where it begins in the padding."""
        return self._of_axes("start")

    def at(self, cell: tuple[int, int]) -> Box:
        """The part of the image that the cell (row, column) of this output sees, without padding.

        Raises:
            ValueError: no such cell, or its field is not known.
        """
        if self.axes is None:
            raise ValueError(f"What a cell of {self.name} ({self.type}) sees is not known: its receptive field is n/a.")
        rows, columns = (len(axis.low) for axis in self.axes)
        if not (0 <= cell[0] < rows and 0 <= cell[1] < columns):
            raise ValueError(
                f"{self.name} has no cell {tuple(cell)}: rows go from 0 to {rows - 1}, columns from 0 to {columns - 1}."
            )
        (top, bottom), (left, right) = (
            (int(axis.low[i]), int(axis.high[i]) + 1) for axis, i in zip(self.axes, cell, strict=True)
        )
        return Box(top, left, bottom, right) if bottom > top and right > left else Box(0, 0, 0, 0)

    def _of_axes(self, figure: str) -> Number | str:
        values = [getattr(axis, figure) for axis in self.axes or ()]
        return UNKNOWN if None in values or not values else _one(*values)


def _one(height: int, width: int) -> Number:
    return height if height == width else (height, width)
