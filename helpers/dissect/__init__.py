"""Networks taken apart: every operation with its shapes, weights, work, memory and receptive field.

>>> from torchvision.models import alexnet
>>> dissection = layers(alexnet(), 224)
>>> dissection.params, dissection.find("features.3").receptive_field
(61100840, 51)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import torch
from torch import nn

from helpers.dissect import record, tables, trace
from helpers.dissect.rows import Row
from helpers.dissect.tables import Comparison, Stage
from helpers.models import name_of
from helpers.models.copies import meta_copy, quietly, unwrapped

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class Dissection(tables.Shown):
    """A network, row by row, in the order of the calls; all figures are for one image."""

    model: str
    input_shapes: tuple[tuple[int, ...], ...]  # (C, H, W) of every input
    rows: tuple[Row, ...]
    params: int  # of the whole network, those of unused parts too
    trainable: int
    traced: bool  # False: only the modules were seen, by hooks; see ``notes``
    notes: tuple[str, ...] = ()
    unlisted: int = 0  # MACs that belong to no row; see ``notes``

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.input_shapes[0]

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward pass (what torchvision's tables call FLOPS), of all matrix products and
        convolutions; ``notes`` say what is missing."""
        return sum(row.macs for row in self.rows) + self.unlisted

    @property
    def activation_bytes(self) -> int:
        """Bytes of all outputs, each memory counted once; the input is not among them."""
        return sum(row.activation_bytes for row in self.rows if not row.shares_memory)

    def find(self, name: str) -> Row:
        """The row of that name.

        Raises:
            ValueError: there is none; names that look alike are listed.
        """
        named = {row.name: row for row in self.rows}
        if name in named:
            return named[name]
        close = get_close_matches(name, named, n=4, cutoff=0.4) or list(named)[:4]
        raise ValueError(f"{self.model} has no row {name!r}. Rows with a name like it: {', '.join(close)}.")

    def stages(self, *, collapse: bool = True) -> list[Stage]:
        """The rows put together: a layer with its norm and ReLU, a block; neighbours alike as one, with ``repeats``."""
        return tables.stages(self.rows, collapse=collapse)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a table of pandas, one column a figure.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas, which is not installed here: %pip install pandas.") from error
        columns = ("name", "type", "kind", "block", "input_shape", "output_shape", "kernel_size", "stride", "padding",
                   "dilation", "groups", "params", "trainable", "activation_bytes", "shares_memory", "macs",
                   "receptive_field", "clipped_field", "jump", "start")  # fmt: skip
        return pandas.DataFrame({column: [getattr(row, column) for row in self.rows] for column in columns})

    def table(self) -> tables.Table:
        """The rows and their sums, as ``print`` and a notebook show them."""
        return tables.of_rows(self)


def layers(model: nn.Module, input_size: int | tuple[int, ...] | Sequence[tuple[int, ...]]) -> Dissection:
    """Take ``model`` apart as it works on images of ``input_size``, in ``eval`` mode. The model itself is only read.

    Functional calls (F.relu, torch.flatten, x + y) have rows of their own. Where ``forward`` cannot be traced, the
    modules alone are listed, without receptive fields, and ``notes`` says which line to change.

    Args:
        input_size: side of a square image in px, (H, W), or (C, H, W); for a network with several inputs a list of
            (C, H, W). Where C is left out it is that of the first convolution.

    Raises:
        ValueError: no network, no such size, or a layer does not take what arrives (the message names it).
    """
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model is {model!r}; pass the network itself, for example models.load('alexnet', pretrained=False)."
        )
    model = unwrapped(model)
    shapes = _input_shapes(model, input_size)
    dtype = next((weight.dtype for weight in model.parameters() if weight.is_floating_point()), None)
    copied = meta_copy(model)
    try:
        with quietly("meta"):
            traced = trace.trace(copied)
    except trace.NotTraceable as obstacle:
        seen = record.record_hooked(model, [torch.zeros(trace.BATCH, *shape, dtype=dtype) for shape in shapes])
        is_traced, notes = False, [str(obstacle), *seen.notes]
    else:
        images = [torch.empty(trace.BATCH, *shape, dtype=dtype, device="meta") for shape in shapes]
        seen = record.record(copied, traced, images)
        is_traced, notes = True, seen.notes
    params = sum(weight.numel() for weight in model.parameters())
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    rows = tuple(seen.rows)
    return Dissection(name_of(model), shapes, rows, params, trainable, is_traced, tuple(notes), seen.unlisted)


def compare(first: Dissection, second: Dissection) -> Comparison:
    """Two networks side by side, layer by layer; shown as a table by ``print`` and in a notebook."""
    for each in (first, second):
        if not isinstance(each, Dissection):
            raise ValueError(f"compare takes two dissections, got {type(each).__name__}: compare(layers(a, 224), ...).")
    return Comparison(first, second)


def _input_shapes(model: nn.Module, size: object) -> tuple[tuple[int, ...], ...]:
    if isinstance(size, (tuple, list)) and size and all(isinstance(item, (tuple, list)) for item in size):
        return tuple(_input_shape(model, item) for item in size)
    return (_input_shape(model, size),)


def _input_shape(model: nn.Module, size: object) -> tuple[int, ...]:
    numbers = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in numbers) or len(numbers) not in (2, 3):
        hint = f" Leave out the batch: {numbers[1:]}." if len(numbers) == 4 else ""
        if any(isinstance(module, nn.Conv3d) for module in model.modules()):
            hint = " A network for volumes (nn.Conv3d) cannot be taken apart here."
        shown = f"a tensor of {tuple(size.shape)}" if isinstance(size, torch.Tensor) else repr(size)
        raise ValueError(
            f"input_size is {shown}; pass the side in px (224), (height, width), or (channels, height, width), "
            f"all whole numbers above 0.{hint}"
        )
    return numbers if len(numbers) == 3 else (_channels(model), *numbers)


def _channels(model: nn.Module) -> int:
    """Of the first convolution, 3 where there is none."""
    return next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), 3)
