"""What the cells of an activation see of the picture, carried through a network operation by operation.

Along one axis a window of size k, stride s, dilation d on cells that are j px apart widens the field r to
r + (k - 1) d j and the jump to j s (Araujo, Norris, Sim 2019, distill.pub). Where branches meet a cell sees what it
sees through any of them. Beside this textbook's field the exact first and last pixel of every cell are carried.
Normalising over the whole map (GroupNorm, InstanceNorm) is counted as if it looked at one cell only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from helpers.dissect.rows import Axis, Window

Shape = tuple[int, ...]
_NOWHERE = (1 << 30, -1)  # lowest and highest pixel of a cell that sees padding only


@dataclass(frozen=True)
class Reach:
    """What an activation's cells see: height and width, and which dimensions of the tensor these are."""

    axes: tuple[Axis, Axis]
    dims: tuple[int, int] | None  # None: flattened
    whole: bool = False

    def sizes(self) -> tuple[int, int]:
        return len(self.axes[0].low), len(self.axes[1].low)


def picture(shape: Shape) -> Reach | None:
    """Every cell of the picture (N, C, H, W) sees itself; None for anything else."""
    if len(shape) != 4:
        return None
    height, width = (Axis(1, 1, 0, np.arange(n), np.arange(n)) for n in shape[2:])
    return Reach((height, width), (2, 3))


def slide(reach: Reach, window: Window, sizes: tuple[int, int]) -> Reach:
    """Behind a window that slides over the map and leaves ``sizes`` (height, width) cells."""
    axes = tuple(
        _slide(axis, k, s, p, d, count) for axis, k, s, p, d, count in zip(reach.axes, *window[:4], sizes, strict=True)
    )
    return replace(reach, axes=axes)


def _slide(axis: Axis, k: int, s: int, p: int, d: int, count: int) -> Axis:
    low, high = (np.full(count, value) for value in _NOWHERE)
    first = np.arange(count) * s - p
    for tap in range(k):
        cells = first + tap * d
        real = np.flatnonzero((cells >= 0) & (cells < len(axis.low)))  # the others are padding
        low[real] = np.minimum(low[real], axis.low[cells[real]])
        high[real] = np.maximum(high[real], axis.high[cells[real]])
    if axis.size is None or axis.jump is None:
        return Axis(None, None, None, low, high)
    j = axis.jump
    return Axis(axis.size + (k - 1) * d * j, j * s, axis.start - p * j, low, high)


def adaptive(reach: Reach, sizes: tuple[int, int]) -> Reach:
    """Behind an adaptive pooling: cell i of m reads the cells floor(i n / m) to ceil((i + 1) n / m) - 1 of n."""
    axes = tuple(_adaptive(axis, count) for axis, count in zip(reach.axes, sizes, strict=True))
    return replace(reach, axes=axes, whole=reach.whole or sizes == (1, 1))


def _adaptive(axis: Axis, count: int) -> Axis:
    n = len(axis.low)
    if n % count == 0:
        return _slide(axis, n // count, n // count, 0, 1, count)
    cells = [(i * n // count, -(-(i + 1) * n // count) - 1) for i in range(count)]
    low = np.array([axis.low[a : b + 1].min() for a, b in cells])
    high = np.array([axis.high[a : b + 1].max() for a, b in cells])
    if axis.size is None or axis.jump is None:
        return Axis(None, None, None, low, high)
    widest = max(b - a for a, b in cells)
    return Axis(axis.size + widest * axis.jump, None, axis.start, low, high)  # the windows are not evenly spaced


def everything(reach: Reach, dims: tuple[int, int] | None) -> Reach:
    """Behind an operation that lets every number depend on all cells: global pooling, flatten."""
    axes = tuple(_slide(axis, len(axis.low), len(axis.low), 0, 1, 1) for axis in reach.axes)
    return Reach(axes, dims, whole=True)


def join(reaches: list[Reach]) -> tuple[Reach, str]:
    """Where branches meet (add, cat, mul); and what is odd about it, or ""."""
    first = max(reaches, key=lambda reach: reach.sizes())
    if len({reach.sizes() for reach in reaches if reach.dims == first.dims}) > 1:  # a gate: one number a channel
        axes = tuple(_gated(first, reaches, index) for index in (0, 1))
        return Reach(axes, first.dims, whole=any(reach.whole for reach in reaches)), ""
    axes, odd = [], ""
    for index in (0, 1):
        branches = [reach.axes[index] for reach in reaches]
        jumps = {branch.jump for branch in branches}
        if len(jumps) > 1:
            odd = "branches meet whose cells lie " + " and ".join(sorted(f"{jump} px" for jump in jumps)) + " apart"
        axes.append(_union(branches, known=len(jumps) == 1))
    return Reach((axes[0], axes[1]), first.dims, whole=any(reach.whole for reach in reaches)), odd


def _gated(main: Reach, reaches: list[Reach], index: int) -> Axis:
    """The cells of the main branch, each multiplied with numbers that saw everything: no size, but still a jump."""
    union = _union([reach.axes[index] for reach in reaches], known=False)
    return union._replace(jump=main.axes[index].jump)


def _union(branches: list[Axis], *, known: bool) -> Axis:
    if all(branch is branches[0] for branch in branches):
        return branches[0]
    low = np.minimum.reduce(np.broadcast_arrays(*(branch.low for branch in branches)))
    high = np.maximum.reduce(np.broadcast_arrays(*(branch.high for branch in branches)))
    if not known or any(branch.size is None for branch in branches):
        return Axis(None, branches[0].jump if known else None, None, low, high)
    start = min(branch.start for branch in branches)
    size = max(branch.start + branch.size for branch in branches) - start
    return Axis(size, branches[0].jump, start, low, high)


def permuted(reach: Reach, order: list[int]) -> Reach:
    """Behind permute: dimension ``order[i]`` of the input becomes dimension i."""
    if reach.dims is None:
        return reach
    return replace(reach, dims=tuple(order.index(dim) for dim in reach.dims))


def reshaped(reach: Reach, before: Shape, after: Shape) -> Reach | None:
    """Behind view, flatten, squeeze, mean: the map is kept, gone, or (None) no longer to be told."""
    if reach.dims == (len(before) - 2, len(before) - 1) and len(after) > 2 and after[-2:] == before[-2:]:
        return replace(reach, dims=(len(after) - 2, len(after) - 1))
    if len(after) <= 2:
        return everything(reach, None)
    if after[-2:] == (1, 1):
        return everything(reach, (len(after) - 2, len(after) - 1))
    return None
