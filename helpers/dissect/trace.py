"""Running a network without computing it: a copy on the meta device, traced with torch.fx, every call recorded.

Inside a call every operation of PyTorch is seen: its products are counted by PyTorch's own formulas
(``torch.utils.flop_counter``). The caller's model is only read.
"""

from __future__ import annotations

import math
import re
import traceback
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from helpers.dissect.geometry import Call, Op
from helpers.models.copies import cpu_copy, quietly, tensors_in

BATCH = 2  # images; with a single one a forgotten batch dimension would go unnoticed


class ForwardFailed(ValueError):
    """The network does not take images of this size."""


class NotTraceable(ValueError):
    """``forward`` asks for numbers that only a real image has; the message says where, and what to change."""


@dataclass(frozen=True)
class Traced:
    """The graph of a network, and for every node a name and the module whose forward makes the call.

    Names are those of ``torchvision.models.feature_extraction``, "layer1.0.add", except that modules keep theirs to
    the letter: "layer1.0.conv1". What is called again is "relu_1".
    """

    graph: fx.Graph
    names: dict[fx.Node, str]
    owners: dict[fx.Node, str]

    def calls(self) -> dict[str, fx.Node]:
        """The nodes that call something, by name, in the order of the forward pass."""
        return {self.names[node]: node for node in self.graph.nodes if node.op.startswith("call_")}


def trace(model: nn.Module) -> Traced:
    """Trace ``model`` without running it.

    Raises:
        NotTraceable: torch.fx cannot follow ``forward``.
    """
    try:
        graph = fx.Tracer().trace(model)
    except Exception as error:  # only PyTorch's code and the network's own run in there, and it raises what it likes
        raise NotTraceable(_obstacle(error, type(model).__name__)) from error
    owners, seen = {node: _owner(node) for node in graph.nodes}, Counter[str]()
    names = {node: _numbered(_path(node, owner), seen) for node, owner in owners.items()}
    return Traced(graph, names, owners)


def _owner(node: fx.Node) -> str:
    modules = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    if node.op == "call_module":
        modules.pop()  # the module that is called
    return modules[-1] if modules else ""


def _path(node: fx.Node, owner: str) -> str:
    return str(node.target) if node.op == "call_module" else f"{owner}.{_function_name(node)}".lstrip(".")


def _function_name(node: fx.Node) -> str:
    return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _numbered(name: str, seen: Counter[str]) -> str:
    seen[name] += 1
    return f"{name}_{seen[name] - 1}" if seen[name] > 1 else name


# ---- the operations inside a call ------------------------------------------------------------------------------------

_aten = torch.ops.aten
_counter = FlopCounterMode(
    display=False,
    custom_mapping={  # products with a vector, which PyTorch leaves out
        _aten.mv: lambda matrix, vector, **_: 2 * math.prod(matrix),
        _aten.dot: lambda first, second, **_: 2 * math.prod(first),
        _aten.addmv: lambda bias, matrix, vector, **_: 2 * math.prod(matrix),
    },
)
_PRODUCTS = _counter.flop_registry  # an operation's formula
_BY_PLACE = "hardswish_?|_prelu_kernel|rrelu.*|log_sigmoid_forward|_to_copy|copy_|alias|detach|expand|lift_fresh"
_FREE = rf"{_BY_PLACE}|.*norm.*|cat|stack|.*scatter.*|index_.*|.*dropout.*"  # several tensors, and yet no product
_LINALG = r"_?linalg_(?!vector_norm).*|_fft.*|_trilinear|.*cdist.*"


class _Watch(TorchDispatchMode):
    """Keeps every operation of PyTorch that is run inside."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, packet = kwargs or {}, getattr(func, "_overloadpacket", func)
        if packet not in _PRODUCTS and isinstance(func, torch._ops.OpOverload):
            with self:  # in inference mode matmul and its like arrive whole
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        self.ops.append(_op(func, packet, args, kwargs, result))
        return result


def _op(func: Any, packet: Any, args: Any, kwargs: Any, result: Any) -> Op:
    name, tensors = packet.__name__, list(tensors_in((args, kwargs)))
    if packet in _PRODUCTS:
        return Op(name, _PRODUCTS[packet](*args, **kwargs, out_val=result) // 2, None)
    tags, real = getattr(func, "tags", ()), [x for x in tensors if x.is_floating_point() or x.is_complex()]
    pointwise = torch.Tag.pointwise in tags or re.fullmatch(_BY_PLACE, name) is not None
    if pointwise:  # an outer product is one, too
        outer = name == "mul" and len(real) == 2 and result.numel() > max(tensor.numel() for tensor in real)
        return Op(name, None if outer else 0, ())
    known = getattr(func, "namespace", "") in ("aten", "prim", "prims")
    several = len(real) > 1 and torch.Tag.reduction not in tags and not re.fullmatch(_FREE, name)
    free = not real or known and not several and not re.fullmatch(_LINALG, name)
    names = (argument.name for argument in func._schema.arguments) if known else ()
    given = dict(zip(names, args, strict=False)) | kwargs
    dims = given.get("dim", given.get("dims", ()))
    count = tensors[0].ndim if tensors else 0
    places = tuple(dim % count for dim in ([dims] if isinstance(dims, int) else dims or ()) if count)
    return Op(name, 0 if free else None, places or None)


# ---- running -----------------------------------------------------------------------------------------------------


def run(model: nn.Module, traced: Traced, images: list[Tensor]) -> dict[fx.Node, Call]:
    """Every node with what went in and what came out; ``model`` and ``images`` are on the meta device.

    Raises:
        ForwardFailed: a layer does not take what arrives; the message names it.
    """
    recorder = _Recorder(model, traced)
    with quietly("meta"), recorder.watch:
        recorder.run(*images)
    return recorder.calls


class _Recorder(fx.Interpreter):
    def __init__(self, model: nn.Module, traced: Traced) -> None:
        super().__init__(model, graph=traced.graph)
        self.extra_traceback = False  # would write fx's own words into our sentences
        self.names = traced.names
        self.calls: dict[fx.Node, Call] = {}
        self.watch = _Watch()

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        module = self.submodules[str(n.target)] if n.op == "call_module" else None
        type_name = _function_name(n).strip("_") if module is None else type(module).__name__
        call = Call(self.names[n], type_name, module, args, kwargs, None)
        self.watch.ops.clear()
        try:
            if isinstance(module, _BatchNorm) and args[0].shape[1] == module.num_features:
                result = torch.empty_like(args[0])  # without PyTorch's Python code: half the time of a ResNet
            else:
                result = super().run_node(n)
        except Exception as error:  # whatever a layer of somebody else's network raises
            values = {node.name: str(seen.result) for node, seen in self.calls.items()}
            words = re.sub(r"Proxy\((\w+)\)", lambda found: values.get(found[1], "another"), str(error))
            raise ForwardFailed(_failure(call, words or repr(error))) from error
        self.calls[n] = replace(call, result=result, ops=tuple(self.watch.ops))
        return result


def run_hooked(model: nn.Module, images: list[Tensor]) -> tuple[list[Call], list[Op]]:
    """The calls of single layers, seen by hooks, and what forward does beside them: where it cannot be traced.

    A copy with its weights runs on the CPU, since ``forward`` looks at numbers.

    Raises:
        ForwardFailed: ``forward`` itself fails on these images.
    """
    model, seen, watch = cpu_copy(model), Counter[str](), _Watch()
    calls: list[Call] = []
    outside: list[Op] = []
    running: list[nn.Module] = []  # the layer that is called, and the layers inside it

    def begin(module: nn.Module, args: object) -> None:
        if not running:
            outside.extend(watch.ops)
            watch.ops.clear()
        running.append(module)

    def end(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        running.pop()
        if not running:
            name, ops = _numbered(names[module], seen), tuple(watch.ops)
            calls.append(Call(name, type(module).__name__, module, args, kwargs, result, ops))
            watch.ops.clear()

    names = {module: name for name, module in model.named_modules()}
    for module, name in names.items():
        if not any(True for _ in module.children()) or fx.Tracer().is_leaf_module(module, name):
            module.register_forward_pre_hook(begin)
            module.register_forward_hook(end, with_kwargs=True)
    try:
        with quietly("cpu"), watch:
            model(*images)
    except Exception as error:  # whatever forward raises
        raise ForwardFailed(f"forward fails on pictures of {tuple(images[0].shape)[1:]}: {error}") from error
    return calls, [*outside, *watch.ops]


# ---- sentences ---------------------------------------------------------------------------------------------------

_ADVICE = {  # a part of the message, and what to do about it; the first that fits
    "cannot be iterated": "a loop goes over a tensor: take its parts by index, x[:, 0], or loop over the layers",
    "control flow": "an if, while or assert asks for the numbers in a picture or for its size. Decide by something "
    "that is fixed in __init__ (if self.deep: ...), or move the check out of forward",
    "'len' is not supported": "write x.shape[0] in the place of len(x)",
    "int() argument": "leave out int(): x.size(0) and x.shape[0] can be used as they are",
    "": "this line needs the picture's numbers; keep only layers and torch functions in forward",
}


def _obstacle(error: Exception, model_name: str) -> str:
    """File and line where ``forward`` stops the tracer, the line itself, and what to change."""
    advice = next(text for part, text in _ADVICE.items() if part in str(error))
    lines = traceback.extract_tb(error.__traceback__)
    others = Path(torch.__file__).parent, Path(__file__).parent
    theirs = [line for line in lines if not any(Path(line.filename).is_relative_to(folder) for folder in others)]
    line = theirs[-1] if theirs else lines[-1]
    path = Path(line.filename)
    place = f"{path.name}:{line.lineno}" if path.is_file() else f"line {line.lineno} of a notebook's cell"
    return (
        f"{model_name} cannot be traced: it stops at {place}, in {line.name}:\n    {line.line or error}\n"
        f"What to change: {advice}.\nUntil then only the layers made in __init__ are listed, each with what went in "
        "and came out; calls like F.relu or x + y are not seen, and receptive fields are n/a."
    )


def _failure(call: Call, error: str) -> str:
    """Which layer stops a pass, what arrives there, and what it takes."""
    shapes = [tuple(tensor.shape) for tensor in call.tensors() if not isinstance(tensor, nn.Parameter)]
    arriving, where = " and ".join(map(_of_one_image, shapes)) or "nothing", f"{call.name} ({call.type})"
    if call.type == "assert":
        return f"forward itself refuses pictures of this size: {error}"
    if isinstance(call.module, nn.Linear) and shapes:
        return (
            f"{where} takes {call.module.in_features} numbers a picture, but {arriving} arrives. Either input_size is "
            "not the size this network was made for, or the flatten before this layer is missing or wrong."
        )
    if isinstance(call.module, nn.Conv2d) and len(shapes[0]) == 4 and shapes[0][1] != call.module.in_channels:
        channels = call.module.in_channels
        return (
            f"{where} takes {channels} channels, but {arriving} arrives. For the first layer this is input_size: try "
            f"({channels}, H, W)."
        )
    if isinstance(call.module, (nn.Conv1d, nn.Conv3d)):
        kind = "sequences" if isinstance(call.module, nn.Conv1d) else "volumes"
        return f"{where} works on {kind}, but {arriving} arrives: dissect takes networks for pictures (nn.Conv2d)."
    reason = error.partition("\n")[0]
    advice = "If the maps have become too small, try a larger input_size."
    return f"{where} does not take what arrives, {arriving}: {reason}. {advice}"


def _of_one_image(shape: tuple[int, ...]) -> str:
    """As "(3, 224, 224)"; where a wrong view or flatten has lost the batch, the whole shape and that."""
    return str(shape[1:]) if shape[:1] == (BATCH,) else f"{shape} (made of {BATCH} pictures at once)"
