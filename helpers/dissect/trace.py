"""Running a network without computing it: a copy on the meta device, traced with torch.fx, every call recorded.

A tensor on the meta device has a shape and no numbers, so that a copy of VGG-16 takes no memory and a pass no time.
The caller's model is only read.
"""

from __future__ import annotations

import contextlib
import copy
import operator
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.nn.modules.batchnorm import _BatchNorm

from helpers.dissect.geometry import Call

BATCH = 2  # pictures; with a single one a forgotten batch dimension would go unnoticed


class ForwardFailed(ValueError):
    """The network does not take pictures of this size."""


class Tracer(fx.Tracer):
    """fx's tracer, noting for every node where it comes from: "layer1.0.conv1", "layer1.0.add".

    These are the names of ``torchvision.models.feature_extraction``, except that modules keep theirs to the letter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[fx.Node, str] = {}
        self.owners: dict[fx.Node, str] = {}  # the module whose forward makes the call
        self._owner = ""
        self._seen: Counter[str] = Counter()

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict) -> Any:
        before, path = self._owner, self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return super().call_module(m, forward, args, kwargs)
        self._owner = path
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self._owner = before

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any = None
    ) -> fx.Node:
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        path = target if kind == "call_module" else _inside(self._owner, _function_name(node))
        self.names[node], self.owners[node] = numbered(path, self._seen), self._owner
        return node


def _function_name(node: fx.Node) -> str:
    return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _inside(owner: str, name: str) -> str:
    return f"{owner}.{name}" if owner else name


def numbered(name: str, seen: Counter[str]) -> str:
    """As "relu", and when that is called again "relu_1"."""
    count = seen[name]
    seen[name] += 1
    return f"{name}_{count}" if count else name


def type_of(node: fx.Node, module: nn.Module | None) -> str:
    """As "Conv2d" for a module, "relu" for a function or a method."""
    return type(module).__name__ if module is not None else _function_name(node).strip("_")


# ---- copies ------------------------------------------------------------------------------------------------------


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy in ``eval`` mode with the same structure, no numbers and no hooks."""
    memo: dict[int, Any] = {}  # deepcopy takes from here whatever is listed: the weights themselves are not copied
    for module in model.modules():
        for value in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            if isinstance(value, Tensor):
                memo[id(value)] = _without_numbers(value)
    return _copied(model, memo)


def real_copy(model: nn.Module) -> nn.Module:
    """A copy in ``eval`` mode on the CPU with the weights, without hooks."""
    return _copied(model, {}).cpu()


def _without_numbers(value: Tensor) -> Tensor:
    if isinstance(value, nn.parameter.UninitializedTensorMixin):
        raise ValueError(
            "This network has lazy layers that do not know their size yet: pass one picture through it first, "
            "model(torch.zeros(1, 3, 224, 224))."
        )
    empty = torch.empty_like(value, device="meta", requires_grad=False)
    return nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty


def _copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    for module in model.modules():
        for name, value in vars(module).items():
            if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and isinstance(value, dict):
                memo[id(value)] = OrderedDict()  # the caller's hooks must not see this pass
    return copy.deepcopy(model, memo).eval()


@contextlib.contextmanager
def quietly(device: str) -> Iterator[None]:
    """No gradients, tensors made in forward on ``device``, and the state of the random numbers kept."""
    with torch.no_grad(), torch.device(device), torch.random.fork_rng(devices=[]):
        yield


# ---- running -----------------------------------------------------------------------------------------------------


def trace(model: nn.Module) -> tuple[fx.Graph, Tracer]:
    """The graph of a copy, without running it. Raises whatever ``forward`` raises when its input is a stand-in."""
    tracer = Tracer()
    with quietly("meta"):
        return tracer.trace(model), tracer


def run(model: nn.Module, graph: fx.Graph, names: dict[fx.Node, str], inputs: list[Tensor]) -> dict[fx.Node, Call]:
    """Every node of the graph with what went in and what came out.

    Raises:
        ForwardFailed: a layer does not take what arrives; the message names it.
    """
    values: dict[fx.Node, Any] = {}
    calls: dict[fx.Node, Call] = {}
    waiting = iter(inputs)
    with quietly("meta"):
        for node in graph.nodes:
            args, kwargs = map_arg(node.args, values.__getitem__), map_arg(node.kwargs, values.__getitem__)
            module = model.get_submodule(node.target) if node.op == "call_module" else None
            call = Call(names[node], type_of(node, module), module, args, kwargs, None)
            try:
                values[node] = _result(model, node, module, args, kwargs, waiting)
            except Exception as error:  # whatever a layer of somebody else's network raises
                raise ForwardFailed(_failure(call, error)) from error
            calls[node] = Call(call.name, call.type, module, args, kwargs, values[node])
    return calls


def _result(
    model: nn.Module, node: fx.Node, module: nn.Module | None, args: tuple, kwargs: dict, inputs: Iterator[Tensor]
) -> Any:
    if node.op == "placeholder":
        return next(inputs, args[0] if args else None)  # arguments beyond the pictures keep their defaults
    if node.op == "get_attr":
        return operator.attrgetter(node.target)(model)
    if node.op == "call_module":
        if isinstance(module, _BatchNorm) and args[0].shape[1] == module.num_features:
            return torch.empty_like(args[0])  # the same, without PyTorch's Python code: half the time of a ResNet
        return module(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return node.target(*args, **kwargs) if node.op == "call_function" else None


def _failure(call: Call, error: Exception) -> str:
    """Which layer stops a pass, what arrives there, and what it takes."""
    shapes = [tuple(tensor.shape) for tensor in call.tensors() if not isinstance(tensor, nn.Parameter)]
    arriving = " and ".join(map(_of_one_picture, shapes)) or "nothing"
    if call.type == "assert":
        return f"forward itself refuses pictures of this size: {error}"
    where = f"{call.name} ({call.type})"
    if isinstance(call.module, nn.Linear) and shapes:
        return (
            f"{where} takes {call.module.in_features} numbers a picture, but {arriving} arrives. Either input_size is "
            "not the size this network was made for, or the flatten before this layer is missing or wrong."
        )
    if isinstance(call.module, nn.Conv2d) and len(shapes[0]) == 4 and shapes[0][1] != call.module.in_channels:
        return (
            f"{where} takes {call.module.in_channels} channels, but {arriving} arrives. For the first layer this is "
            f"input_size: try ({call.module.in_channels}, H, W)."
        )
    return (
        f"{where} does not take what arrives, {arriving}: {str(error).splitlines()[0] if str(error) else error!r}. "
        "If the maps have become too small, try a larger input_size."
    )


def _of_one_picture(shape: tuple[int, ...]) -> str:
    """As "(3, 224, 224)"; where a wrong view or flatten has lost the batch, the whole shape and that."""
    return str(shape[1:]) if shape[:1] == (BATCH,) else f"{shape} (made of {BATCH} pictures at once)"


def run_hooked(model: nn.Module, inputs: list[Tensor]) -> list[Call]:
    """The calls of the modules without children, seen by forward hooks: what is left when ``forward`` cannot be traced.

    Raises:
        ForwardFailed: ``forward`` itself fails on these inputs.
    """
    calls: list[Call] = []
    seen: Counter[str] = Counter()
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, args: tuple, kwargs: dict, result: Any) -> None:
        calls.append(Call(numbered(names[module], seen), type(module).__name__, module, args, kwargs, result))

    for module in names:
        if not any(True for _ in module.children()):
            module.register_forward_hook(note, with_kwargs=True)
    device = inputs[0].device.type
    try:
        with quietly(device):
            model(*inputs)
    except Exception as error:  # whatever forward raises
        raise ForwardFailed(f"forward fails on pictures of {tuple(inputs[0].shape)[1:]}: {error}") from error
    return calls
