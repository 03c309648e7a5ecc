"""Running a network without computing it: a copy on the meta device, traced with torch.fx, every call recorded.

A tensor on the meta device has a shape and no numbers, so that a copy of VGG-16 takes no memory and a pass no time.
The caller's model is only read.
"""

from __future__ import annotations

import contextlib
import copy
import traceback
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from helpers.dissect.geometry import Call

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


# ---- copies ------------------------------------------------------------------------------------------------------


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy in ``eval`` mode with the same structure, no numbers and no hooks."""
    memo: dict[int, Any] = {}  # deepcopy takes from here whatever is listed: the weights themselves are not copied
    for module in model.modules():
        for value in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            if isinstance(value, Tensor):
                memo[id(value)] = _without_numbers(value)
    return _copied(model, memo)


def _without_numbers(value: Tensor) -> Tensor:
    if nn.parameter.is_lazy(value):
        raise ValueError(
            "This network has lazy layers that do not know their size yet: pass one picture through it first, "
            "model(torch.zeros(1, 3, 224, 224))."
        )
    empty = torch.empty_like(value, device="meta", requires_grad=False)
    return nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty


def _copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    for module in model.modules():
        for name, value in vars(module).items():
            if "_hooks" in name and isinstance(value, dict):
                memo[id(value)] = OrderedDict()  # the caller's hooks must not see this pass
    return copy.deepcopy(model, memo).eval()


@contextlib.contextmanager
def quietly(device: str) -> Iterator[None]:
    """No gradients, tensors made in forward on ``device``, and the state of the random numbers kept."""
    with torch.no_grad(), torch.device(device), torch.random.fork_rng(devices=[]):
        yield


# ---- running -----------------------------------------------------------------------------------------------------


def run(model: nn.Module, traced: Traced, images: list[Tensor]) -> dict[fx.Node, Call]:
    """Every node with what went in and what came out; ``model`` and ``images`` are on the meta device.

    Raises:
        ForwardFailed: a layer does not take what arrives; the message names it.
    """
    recorder = _Recorder(model, traced)
    with quietly("meta"):
        recorder.run(*images)
    return recorder.calls


class _Recorder(fx.Interpreter):
    def __init__(self, model: nn.Module, traced: Traced) -> None:
        super().__init__(model, graph=traced.graph)
        self.extra_traceback = False  # would write fx's own words into our sentences
        self.names = traced.names
        self.calls: dict[fx.Node, Call] = {}

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        module = self.submodules[str(n.target)] if n.op == "call_module" else None
        type_name = _function_name(n).strip("_") if module is None else type(module).__name__
        call = Call(self.names[n], type_name, module, args, kwargs, None)
        try:
            if isinstance(module, _BatchNorm) and args[0].shape[1] == module.num_features:
                result = torch.empty_like(args[0])  # without PyTorch's Python code: half the time of a ResNet
            else:
                result = super().run_node(n)
        except Exception as error:  # whatever a layer of somebody else's network raises
            raise ForwardFailed(_failure(call, error)) from error
        self.calls[n] = replace(call, result=result)
        return result


def run_hooked(model: nn.Module, images: list[Tensor]) -> list[Call]:
    """The calls of the modules without children, seen by forward hooks: what is left when ``forward`` cannot be traced.

    A copy with its weights runs on the CPU, since ``forward`` looks at numbers.

    Raises:
        ForwardFailed: ``forward`` itself fails on these images.
    """
    model, calls, seen = _copied(model, {}).cpu(), [], Counter[str]()
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        calls.append(Call(_numbered(names[module], seen), type(module).__name__, module, args, kwargs, result))

    for module in names:
        if not any(True for _ in module.children()):
            module.register_forward_hook(note, with_kwargs=True)
    try:
        with quietly("cpu"):
            model(*images)
    except Exception as error:  # whatever forward raises
        raise ForwardFailed(f"forward fails on pictures of {tuple(images[0].shape)[1:]}: {error}") from error
    return calls


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


def _failure(call: Call, error: Exception) -> str:
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
    reason = str(error).partition("\n")[0] or repr(error)
    advice = "If the maps have become too small, try a larger input_size."
    return f"{where} does not take what arrives, {arriving}: {reason}. {advice}"


def _of_one_image(shape: tuple[int, ...]) -> str:
    """As "(3, 224, 224)"; where a wrong view or flatten has lost the batch, the whole shape and that."""
    return str(shape[1:]) if shape[:1] == (BATCH,) else f"{shape} (made of {BATCH} pictures at once)"
