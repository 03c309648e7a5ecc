"""Getting at what a network computes inside: one forward pass that hands the output of a chosen node to a function.

A node is a module ("features.3", "layer1.0") or, in a network that torch.fx can trace, any call in a ``forward``, by
the name that ``dissect`` gives it: "layer1.0.add", "relu", "max_pool2d_1". A module that is called several times is
"relu" at its first call, "relu_1" at its second.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from helpers.dissect.trace import Tracer
from helpers.models import evaluating

Swap = Callable[[Tensor], Tensor]


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """``model`` in ``eval`` mode; afterwards every layer's mode and the random numbers are as they were."""
    with evaluating(model), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def node_names(model: nn.Module) -> list[str]:
    """Every node in the order of the forward pass; in a network that does not trace, the modules without children."""
    graph, tracer = _traced(model)
    if graph is None:
        return [name for name, module in model.named_modules() if name and not any(module.children())]
    return [tracer.names[node] for node in graph.nodes if node.op.startswith("call_")]


def forward_through(model: nn.Module, images: Tensor, node: str, swap: Swap) -> Tensor:
    """The scores of ``images``, with the output of ``node`` replaced by what ``swap`` makes of it.

    Raises:
        ValueError: no such node, or it does not put out a tensor.
    """
    if node and node in dict(model.named_modules()):
        return _hooked(model, images, node, swap)
    graph, tracer = _traced(model)
    calls = {tracer.names[n]: n for n in graph.nodes if n.op.startswith("call_")} if graph else {}
    if node not in calls:
        raise ValueError(_unknown(model, node, traced=graph is not None))
    return _Interpreter(model, graph, calls[node], swap).run(images)


def _hooked(model: nn.Module, images: Tensor, node: str, swap: Swap) -> Tensor:
    calls = 0

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        nonlocal calls
        calls += 1
        return swap(_tensor(output, node)) if calls == 1 else None  # None leaves the output as it is

    handle = model.get_submodule(node).register_forward_hook(hook)
    try:
        scores = model(images)
    finally:
        handle.remove()
    if not calls:
        raise ValueError(f"{node!r} is in the network, but its forward never calls it, so it puts out nothing.")
    return scores


class _Interpreter(fx.Interpreter):
    """Runs a traced network call by call; the modules are the caller's own."""

    def __init__(self, model: nn.Module, graph: fx.Graph, wanted: fx.Node, swap: Swap) -> None:
        super().__init__(model, garbage_collect_values=True, graph=graph)
        self.wanted, self.swap = wanted, swap

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        return self.swap(_tensor(result, str(n))) if n is self.wanted else result


def _traced(model: nn.Module) -> tuple[fx.Graph | None, Tracer]:
    tracer = Tracer()
    try:
        return tracer.trace(model), tracer
    except Exception:  # whatever a forward raises that asks its input for numbers
        return None, tracer


def _tensor(output: Any, node: str) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(
            f"The node {node!r} puts out a {type(output).__name__}, not a tensor. Choose a node inside it."
        )
    return output


def _unknown(model: nn.Module, node: str, *, traced: bool) -> str:
    names = list(dict.fromkeys([*node_names(model), *(name for name, _ in model.named_modules() if name)]))
    close = difflib.get_close_matches(node, names, n=4, cutoff=0.5) or names[:4]
    text = f"There is no node {node!r} in this network. Close to it: {', '.join(close)}. "
    if not traced:
        text += "torch.fx cannot trace this forward, so only modules can be looked at, no functional calls. "
    return text + "activations.nodes(model) lists the nodes."
