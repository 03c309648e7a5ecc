"""What one call of a layer or a function costs and where it looks: its window, its MACs, what its result sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from helpers.conv_math import pads
from helpers.dissect import field
from helpers.dissect.field import Reach
from helpers.dissect.rows import Window, kind_of, operation

_SIGNATURES = {  # the arguments of the functions that slide a window, in their order
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
}
_LAYERS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_PADS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
_CATS = ("cat", "concat", "concatenate", "stack")
_SPATIAL = ("matmul", "bmm", "mm", "addmm", "einsum", "scaled_dot_product_attention", "multiheadattention", "roll")


@dataclass(frozen=True)
class Call:
    """One operation as it ran on the meta device: what was called, with what, and what came out."""

    name: str
    type: str
    module: nn.Module | None
    args: tuple
    kwargs: dict[str, Any]
    result: Any

    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments, those in lists (cat) too."""
        return list(_tensors((self.args, self.kwargs)))

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)

    def kind(self) -> str:
        return kind_of(self.type, len(self.tensors()))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


# ---- windows and work --------------------------------------------------------------------------------------------


def window(call: Call) -> Window | None:
    """The sliding window of a convolution or pooling in two dimensions; None for every other call."""
    settings = _settings(call)
    if settings is None:
        return None
    kernel, dilation = _pair(settings["kernel_size"]), _pair(settings.get("dilation") or 1)
    stride, padding = _pair(settings.get("stride") or kernel), settings.get("padding") or 0  # a pool's stride may be ()
    axes = zip(kernel, stride, padding if isinstance(padding, (tuple, list)) else (padding,) * 2, dilation, strict=True)
    before = tuple(pads(k, s, p, d)[0] for k, s, p, d in axes)
    return Window(kernel, stride, before, dilation, settings.get("groups") or 1)


def _settings(call: Call) -> dict[str, Any] | None:
    if isinstance(call.module, _LAYERS):
        names = ("kernel_size", "stride", "padding", "dilation", "groups")
        return {name: getattr(call.module, name, None) for name in names}
    names = _SIGNATURES.get(operation(call.type))
    if call.module is not None or names is None:
        return None
    settings = dict(zip(names, call.args, strict=False)) | call.kwargs
    if "weight" in settings:
        settings["kernel_size"] = settings["weight"].shape[2:]
        settings.setdefault("stride", 1)
    return settings


def _pair(value: Any) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    return values if len(values) == 2 else values * 2  # F.conv2d takes stride=[2]


def macs(call: Call) -> int | None:
    """Multiplications, each with its addition, of the whole batch; None where the weights' work is not known.

    Convolutions and matrix products are counted, biases and everything else are not, as torchvision counts them.
    """
    name, tensors = operation(call.type), call.tensors()
    weight = getattr(call.module, "weight", None) if call.module is not None else call.argument(1, "weight")
    if name.startswith("conv") and isinstance(weight, Tensor):
        positions = tensors[0] if "transpose" in name else call.result
        return positions.numel() * weight[0].numel()
    if name == "linear" and isinstance(weight, Tensor):
        return call.result.numel() * weight.shape[-1]
    if name in ("matmul", "bmm", "mm"):
        return call.result.numel() * tensors[0].shape[-1]
    weights = tensors if call.module is None else call.module.parameters()
    known = isinstance(call.module, nn.Embedding) or call.kind() in ("norm", "activation", "join", "shape")
    return 0 if known or not any(isinstance(w, nn.Parameter) and w.ndim > 1 for w in weights) else None


def shares_memory(call: Call) -> bool:
    """Whether the result lies in the memory of an argument: in place, a view, or the argument itself."""
    if not isinstance(call.result, Tensor):
        return False
    storage = call.result.untyped_storage()._cdata  # data_ptr() is 0 for every tensor on the meta device
    return any(tensor.untyped_storage()._cdata == storage for tensor in call.tensors())


# ---- receptive field ---------------------------------------------------------------------------------------------


def reach_after(call: Call, arriving: list[Any], reaches: list[Reach | None]) -> tuple[Reach | None, str]:
    """What the result's cells see, given what those of the arriving values see; and what is odd about it, or ""."""
    if any(reach is None for reach in reaches):
        return None, ""
    name, kind, reach = operation(call.type), call.kind(), reaches[0]
    if len(reaches) > 1 or name in _CATS:
        return _joined(call, name, reaches)
    if isinstance(call.result, (tuple, list)):  # chunk, split
        same = all(part.shape[dim] == size for part in _tensors(call.result)
                   for dim, size in zip(reach.dims or (), reach.sizes(), strict=False))  # fmt: skip
        return (reach if same else None), ""
    if not isinstance(call.result, Tensor):
        return None, ""
    before, after = tuple(next(_tensors(arriving)).shape), tuple(call.result.shape)
    slid = window(call)
    averages_all = slid is not None and "avg" in name and after[2:] == (1, 1) and slid.kernel_size == before[2:]
    if slid is not None and not averages_all:
        return field.slide(reach, slid, after[2:]), ""
    if (averages_all or name.startswith("adaptive")) and reach.dims == (2, 3):
        return field.adaptive(reach, after[2:]), ""
    return _moved(call, name, kind, reach, before, after), ""


def _joined(call: Call, name: str, reaches: list[Reach]) -> tuple[Reach | None, str]:
    if name in _SPATIAL:
        return None, ""
    if name in _CATS:
        dim = call.argument(1, "dim", 0) % call.result.ndim
        if name == "stack" or any(dim in (reach.dims or ()) for reach in reaches):
            return None, ""
    return field.join(reaches)


def _moved(call: Call, name: str, kind: str, reach: Reach, before: tuple, after: tuple) -> Reach | None:
    """Through the operations that slide no window: cell by cell, moved around, cut, padded, or mixed."""
    if name in ("permute", "transpose"):
        return field.permuted(reach, _order(call, len(before)))
    if name == "getitem":
        return _cut(call, reach, after)
    if name == "pad" or isinstance(call.module, _PADS):
        return _padded(call, reach, after)
    if name in _SPATIAL or name.startswith(("conv", "upsample", "interpolate")):
        return None
    if before == after:
        return reach
    if kind == "linear":  # works on the last dimension
        return reach if reach.dims is None or max(reach.dims) < len(after) - 1 else None
    return field.reshaped(reach, before, after) if kind in ("shape", "pool") else None


def _order(call: Call, count: int) -> list[int]:
    if operation(call.type) == "transpose":
        order = list(range(count))
        a, b = call.argument(1, "dim0"), call.argument(2, "dim1")
        order[a], order[b] = order[b], order[a]
        return order
    dims = call.module.dims if call.module is not None else call.argument(1, "dims")
    dims = dims if isinstance(dims, (tuple, list)) else call.args[1:]  # x.permute(0, 2, 3, 1)
    return [dim % count for dim in dims]


def _cut(call: Call, reach: Reach, after: tuple[int, ...]) -> Reach | None:
    """Behind x[:, :, ::2, ::2], or a part of what chunk returned."""
    source, index = call.args
    if not isinstance(source, Tensor):
        return reach
    index = index if isinstance(index, tuple) else (index,)
    if reach.dims is None or any(not isinstance(item, slice) for item in index):
        return None
    slices = [index[dim] if dim < len(index) else slice(None) for dim in reach.dims]
    ranges = [range(size)[item] for size, item in zip(reach.sizes(), slices, strict=True)]
    steps = Window((1, 1), tuple(r.step for r in ranges), tuple(-r.start for r in ranges), (1, 1))
    return field.slide(reach, steps, tuple(after[dim] for dim in reach.dims))


def _padded(call: Call, reach: Reach, after: tuple[int, ...]) -> Reach | None:
    """Behind F.pad, whose numbers begin with the last dimension, or a padding layer."""
    if reach.dims != (len(after) - 2, len(after) - 1):
        return None
    pad = tuple(call.module.padding if call.module is not None else call.argument(1, "pad")) + (0,) * 4
    return field.slide(reach, Window((1, 1), (1, 1), (pad[2], pad[0]), (1, 1)), after[-2:])
