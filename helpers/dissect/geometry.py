"""What one call of a layer or function costs, and what the cells of its result see of the image.

Along one axis a window of size k, stride s, dilation d on cells that are j px apart widens the field r to
r + (k - 1) d j and the jump to j s (Araujo, Norris, Sim 2019, distill.pub). Where branches meet a cell sees what it
sees through any of them. Beside this textbook's field the exact first and last pixel of every cell are carried.
Normalising over the whole map (GroupNorm, InstanceNorm) is counted as if it looked at one cell only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn
from torch.nn import modules

from helpers.conv_math import pads
from helpers.dissect.rows import Axis, Window
from helpers.models.copies import tensors_in

Shape = tuple[int, ...]

_FILES = {  # the files of torch.nn, and the kind of operation that their layers are
    modules.conv: "conv",
    modules.pooling: "pool",
    modules.batchnorm: "norm",
    modules.instancenorm: "norm",
    modules.normalization: "norm",
    modules.dropout: "dropout",
    modules.activation: "activation",
    modules.padding: "shape",
    modules.flatten: "shape",
}
_LAYERS: dict[type[nn.Module], str] = {nn.MultiheadAttention: "other", nn.Linear: "linear"} | {
    getattr(file, name): kind for file, kind in _FILES.items() for name in file.__all__ if name != "MultiheadAttention"
}
_FUNCTIONS = {  # kind of operation: the names of functions and methods, as a pattern
    "conv": r"conv\d+d|conv_transpose\d+d",
    "linear": r"linear|matmul|bmm|mm|addmm",
    "pool": r".*pool.*|mean",
    "norm": r".*norm.*",
    "dropout": r".*dropout.*|stochastic_depth",
    "join": r"cat|concat|concatenate|stack|i?add|i?mul|sub|maximum",
    "shape": r"(un)?flatten|view|reshape|permute|transpose|movedim|(un)?squeeze|contiguous|pad|getitem|chunk|split",
    "activation": r".*(relu|sigmoid|tanh|elu|silu|swish|softmax|softplus|softsign|mish).*",
}
_SIGNATURES = {  # the arguments of the functions that slide a window, in their order
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
}
_CATS = ("cat", "concat", "concatenate", "stack")
_VIEWS = ("view", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze", "clone", "alias")  # in the order of memory


class Op(NamedTuple):
    """One operation of PyTorch inside a call."""

    name: str
    macs: int | None  # of the whole batch; None: it may multiply matrices, and nobody knows a formula
    dims: tuple[int, ...] | None  # along which numbers meet: () every number by itself; None: not known


@dataclass(frozen=True)
class Call:
    """One operation as it ran: what was called, with what, and what came out."""

    name: str
    type: str
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    ops: tuple[Op, ...] = ()

    @property
    def function(self) -> str:
        """As "relu" for F.relu, x.relu() and x.relu_(); "" for a module."""
        return "" if self.module is not None else self.type.lower().strip("_")

    @property
    def kind(self) -> str:
        """As rows name it: "conv", "linear", "pool", ..."""
        if self.module is not None:
            return next((kind for layer, kind in _LAYERS.items() if isinstance(self.module, layer)), "other")
        kind = next((kind for kind, names in _FUNCTIONS.items() if re.fullmatch(names, self.function)), "other")
        return "other" if kind == "join" and len(self.tensors()) < 2 else kind  # x + 1 joins nothing

    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments, those in lists (cat) too."""
        return list(tensors_in((self.args, self.kwargs)))

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)


# ---- windows and memory -----------------------------------------------------------------------------------------


def window(call: Call) -> Window | None:
    """The sliding window of a convolution or pooling in two dimensions; None for every other call."""
    if isinstance(call.module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        settings = vars(call.module)
    elif call.function in _SIGNATURES:
        settings = dict(zip(_SIGNATURES[call.function], call.args, strict=False)) | call.kwargs
        if call.function == "conv2d":
            settings = {"stride": 1, "kernel_size": settings["weight"].shape[2:]} | settings
    else:
        return None
    kernel, dilation = _pair(settings["kernel_size"]), _pair(settings.get("dilation") or 1)
    stride, padding = _pair(settings.get("stride") or kernel), _pair(settings.get("padding") or 0)  # a pool's may be ()
    top, left = (pads(*axis)[0] for axis in zip(kernel, stride, padding, dilation, strict=True))
    return Window(kernel, stride, (top, left), dilation, settings.get("groups") or 1)


def _pair(value: Any) -> tuple[Any, Any]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values[0], values[-1]  # F.conv2d takes stride=[2]


def shares_memory(call: Call) -> bool:
    """Whether the result lies in the memory of an argument: in place, a view, or the argument itself."""
    storage = call.result.untyped_storage()._cdata  # data_ptr() is 0 for every tensor on the meta device
    return any(tensor.untyped_storage()._cdata == storage for tensor in call.tensors())


# ---- receptive fields --------------------------------------------------------------------------------------------

_NOWHERE = (1 << 30, -1)  # lowest and highest pixel of a cell that sees padding only


@dataclass(frozen=True)
class Field:
    """What the cells of an activation see: along height and width, and which dimensions of the tensor these are."""

    axes: tuple[Axis, Axis]
    dims: tuple[int, int] | None  # None: flattened
    whole_image: bool = False

    @property
    def sizes(self) -> tuple[int, int]:
        """Cells along the height and along the width."""
        return len(self.axes[0].low), len(self.axes[1].low)


def image_field(shape: Shape) -> Field | None:
    """Every pixel of an image (N, C, H, W) sees itself; None for anything else."""
    if len(shape) != 4:
        return None
    height, width = (Axis(1, 1, 0, np.arange(n), np.arange(n)) for n in shape[2:])
    return Field((height, width), (2, 3))


def field_after(call: Call, before: Shape, fields: list[Field | None]) -> tuple[Field | None, str]:
    """What the result's cells see, and a sentence about branches that do not fit, or "".

    ``before`` is the shape of the first value that arrives, ``fields`` what the cells of all that arrive see.
    """
    known = [field for field in fields if field is not None]
    if len(known) < len(fields):
        return None, ""
    if call.function in _CATS:
        dim = call.argument(1, "dim", 0) % call.result.ndim
        along_map = call.function == "stack" or any(dim in (field.dims or ()) for field in known)
        return (None, "") if along_map else _joined(known)
    if len(known) > 1:
        return _joined(known) if _apart(call, known[0].dims) else (None, "")
    return _moved(call, known[0], before), ""


def _apart(call: Call, dims: tuple[int, ...] | None) -> bool:
    """Whether no operation inside the call lets cells meet that lie apart along ``dims``."""
    if call.kind == "dropout" or call.kind == "norm" and call.function != "normalize":
        return True
    return all(op.name in _VIEWS or op.dims is not None and not set(op.dims) & set(dims or ()) for op in call.ops)


def _moved(call: Call, field: Field, before: Shape) -> Field | None:
    """Through one operation: a window that slides, or cells moved around, cut, padded, or mixed."""
    results = list(tensors_in(call.result))
    if field.dims is None and all(result.ndim <= 2 for result in results):
        return field  # flattened: every number is counted as one that sees all
    dims = field.dims or ()
    same = all(len(out.shape) == len(before) and all(out.shape[d] == before[d] for d in dims) for out in results)
    if call.function == "getitem":
        return _cut(call, field, tuple(results[0].shape))
    if same and window(call) is None and call.kind != "conv" and _apart(call, dims):
        return field
    if not isinstance(call.result, Tensor):
        return None
    slid, name, after = window(call), call.function, tuple(call.result.shape)
    adaptive = isinstance(call.module, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)) or "adaptive" in name
    if slid is not None or adaptive:
        averages = isinstance(call.module, nn.AvgPool2d) or name == "avg_pool2d"
        if field.dims != (2, 3):
            return None
        if slid is None or averages and slid.kernel_size == before[2:] and after[2:] == (1, 1):
            return _adaptive(field, after[2:])
        if isinstance(call.module, nn.Conv2d) and call.module.padding_mode != "zeros" and any(call.module.padding):
            return None  # a cell at the edge sees reflected, repeated or wrapped pixels
        return _slide(field, slid, after[2:])
    if name in ("permute", "transpose"):
        return _permuted(call, field, len(before))
    if name == "pad" or isinstance(call.module, nn.ConstantPad2d):
        return _padded(call, field, after)
    if call.kind == "linear" and name in ("", "linear"):  # works on the last dimension
        return field if max(dims) < len(after) - 1 else None
    return _reshaped(call, field, before, after)


def _slide(field: Field, window: Window, sizes: Shape) -> Field:
    """Behind a window that slides over the map and leaves ``sizes`` (height, width) cells."""
    height, width = map(_slide_axis, field.axes, *window[:4], sizes)
    return replace(field, axes=(height, width))


def _slide_axis(axis: Axis, k: int, s: int, p: int, d: int, count: int) -> Axis:
    low, high = _seen(axis, np.arange(count)[:, None] * s - p + np.arange(k) * d)
    if axis.jump is None or axis.size is None or axis.start is None:
        return Axis(None, axis.jump and axis.jump * s, None, low, high)
    return Axis(axis.size + (k - 1) * d * axis.jump, axis.jump * s, axis.start - p * axis.jump, low, high)


def _seen(axis: Axis, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest pixel behind each line of ``cells``, of which those outside the map are padding."""
    real, inside = (cells >= 0) & (cells < len(axis.low)), cells.clip(0, len(axis.low) - 1)
    low, high = np.where(real, axis.low[inside], _NOWHERE[0]), np.where(real, axis.high[inside], _NOWHERE[1])
    return low.min(axis=1), high.max(axis=1)


def _adaptive(field: Field, sizes: Shape) -> Field:
    """Behind an adaptive pooling: cell i of m reads the cells floor(i n / m) to ceil((i + 1) n / m) - 1 of n."""
    height, width = map(_adaptive_axis, field.axes, sizes)
    return replace(field, axes=(height, width), whole_image=field.whole_image or sizes == (1, 1))


def _adaptive_axis(axis: Axis, count: int) -> Axis:
    n = len(axis.low)
    if n % count == 0:
        return _slide_axis(axis, n // count, n // count, 0, 1, count)
    first, last = np.arange(count) * n // count, -(-np.arange(1, count + 1) * n // count) - 1
    widest = int((last - first).max())
    low, high = _seen(axis, np.minimum(first[:, None] + np.arange(widest + 1), last[:, None]))
    size = None if axis.size is None or axis.jump is None else axis.size + widest * axis.jump
    return Axis(size, None, axis.start, low, high)  # the windows are not evenly spaced


def _joined(fields: list[Field]) -> tuple[Field | None, str]:
    """Where branches meet (add, cat, mul): a cell sees what it sees through any of them."""
    largest = max(field.sizes for field in fields)
    gated = any(field.sizes < largest for field in fields)  # by one number a channel, which saw everything
    main, *others = [field for field in fields if field.sizes == largest]
    if any(other.dims != main.dims for other in others):
        return None, ""  # a map and its transpose
    axes, problem = [], ""
    for branches in zip(*(field.axes for field in fields), strict=True):
        low = np.minimum.reduce(np.broadcast_arrays(*(axis.low for axis in branches)))
        high = np.maximum.reduce(np.broadcast_arrays(*(axis.high for axis in branches)))
        jumps = list(dict.fromkeys(axis.jump for axis in branches if len(axis.low) == len(low)))
        ranges = [(b.start, b.start + b.size) for b in branches if b.start is not None and b.size is not None]
        if len(jumps) > 1:
            problem = "branches meet whose cells lie " + " and ".join(sorted(f"{jump} px" for jump in jumps)) + " apart"
        if len(jumps) > 1 or gated or len(ranges) < len(branches):
            axes.append(Axis(None, jumps[0] if len(jumps) == 1 else None, None, low, high))
        else:
            start = min(first for first, _ in ranges)
            axes.append(Axis(max(end for _, end in ranges) - start, jumps[0], start, low, high))
    return Field((axes[0], axes[1]), main.dims, any(field.whole_image for field in fields)), problem


def _permuted(call: Call, field: Field, count: int) -> Field:
    if field.dims is None:
        return field
    dims = call.argument(1, "dims")
    order = list(dims if isinstance(dims, (tuple, list)) else call.args[1:])  # x.permute(0, 2, 3, 1)
    if call.function == "transpose":
        a, b = call.argument(1, "dim0"), call.argument(2, "dim1")
        order = list(range(count))
        order[a], order[b] = order[b], order[a]
    order = [dim % count for dim in order]
    return replace(field, dims=(order.index(field.dims[0]), order.index(field.dims[1])))


def _reshaped(call: Call, field: Field, before: Shape, after: Shape) -> Field | None:
    """Behind view, flatten, squeeze, mean: the map is kept, gone, or (None) no longer to be told."""
    last, together = (len(after) - 2, len(after) - 1), {dim for op in call.ops for dim in op.dims or ()}
    moved = [op for op in call.ops if op.name not in _VIEWS]
    if len(after) > 2 and field.dims == (len(before) - 2, len(before) - 1) and after[-2:] == before[-2:]:
        return replace(field, dims=last) if all(op.dims and not {*op.dims} & {*field.dims} for op in moved) else None
    gone = len(after) <= 2 or after[-2:] == (1, 1)
    if gone and (not moved or call.kind == "pool" or together >= {*(field.dims or ())}):  # all cells count in all
        return replace(_adaptive(field, (1, 1)), dims=None if len(after) <= 2 else last)
    return None


def _cut(call: Call, field: Field, after: Shape) -> Field | None:
    """Behind x[:, :, ::2, ::2], or a part of what chunk returned."""
    source, index = call.args
    if not isinstance(source, Tensor):
        return field
    index = index if isinstance(index, tuple) else (index,)
    if field.dims is None or any(not isinstance(item, slice) for item in index):
        return None
    slices = [index[dim] if dim < len(index) else slice(None) for dim in field.dims]
    rows, columns = (range(size)[item] for size, item in zip(field.sizes, slices, strict=True))
    steps = Window((1, 1), (rows.step, columns.step), (-rows.start, -columns.start))
    return _slide(field, steps, (after[field.dims[0]], after[field.dims[1]]))


def _padded(call: Call, field: Field, after: Shape) -> Field | None:
    """Behind F.pad, whose numbers begin with the last dimension, or a padding layer, both with a constant."""
    if field.dims != (len(after) - 2, len(after) - 1) or call.argument(2, "mode", "constant") != "constant":
        return None
    pad = call.module.padding if isinstance(call.module, nn.ConstantPad2d) else call.argument(1, "pad")
    left, _, top, _ = (*pad, 0, 0, 0)[:4]
    return _slide(field, Window((1, 1), (1, 1), (top, left)), after[-2:])
