"""Getting at what a network computes inside: one forward pass that hands the output of a chosen node to a function.

A node is a module ("features.3", "layer1.0") or, in a network that torch.fx can trace, any call in a ``forward``, by
the name that ``dissect`` gives it: "layer1.0.add", "relu", "max_pool2d_1". A module that is called several times is
"relu" at its first call, "relu_1" at its second.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from helpers.dissect import trace

Swap = Callable[[Tensor], Tensor]


def device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def calls(model: nn.Module) -> dict[str, fx.Node] | None:
    """The calls in ``forward`` by name, in their order; None where torch.fx cannot trace it."""
    try:
        return trace.trace(model).calls()
    except trace.NotTraceable:
        return None


def node_names(model: nn.Module) -> list[str]:
    """Every node in the order of the forward pass; in a network that does not trace, the modules without children."""
    found = calls(model)
    if found is not None:
        return list(found)
    return [name for name, module in model.named_modules() if name and not any(module.children())]


def forward_through(model: nn.Module, images: Tensor, node: str, swap: Swap) -> Tensor:
    """The scores of ``images``, with the output of ``node`` replaced by what ``swap`` makes of it.

    Raises:
        ValueError: no such node, or it does not put out a tensor.
    """
    if node and node in dict(model.named_modules()):
        return _hooked(model, images, node, swap)
    found = calls(model)
    if found is None or node not in found:
        raise ValueError(_unknown(model, node, found))
    return _Interpreter(model, found[node], swap).run(images)


def _hooked(model: nn.Module, images: Tensor, node: str, swap: Swap) -> Tensor:
    calls = 0

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        nonlocal calls
        calls += 1
        return swap(_tensor(output, node)) if calls == 1 else None  # None leaves the output as it is

    with model.get_submodule(node).register_forward_hook(hook):
        scores = model(images)
    if not calls:
        raise ValueError(f"{node!r} is in the network, but its forward never calls it, so it puts out nothing.")
    return scores


class _Interpreter(fx.Interpreter):
    """Runs a traced network call by call; the modules are the caller's own."""

    def __init__(self, model: nn.Module, wanted: fx.Node, swap: Swap) -> None:
        super().__init__(model, garbage_collect_values=True, graph=wanted.graph)
        self.wanted, self.swap = wanted, swap

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        return self.swap(_tensor(result, str(n))) if n is self.wanted else result


def _tensor(output: Any, node: str) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(
            f"The node {node!r} puts out a {type(output).__name__}, not a tensor. Choose a node inside it."
        )
    return output


def _unknown(model: nn.Module, node: str, found: dict[str, fx.Node] | None) -> str:
    names = list(dict.fromkeys([*(found or ()), *(name for name, _ in model.named_modules() if name)]))
    close = difflib.get_close_matches(node, names, n=4, cutoff=0.5) or names[:4]
    text = f"There is no node {node!r} in this network. Close to it: {', '.join(close)}. "
    if found is None:
        text += "torch.fx cannot trace this forward, so only modules can be looked at, no functional calls. "
    return text + "activations.nodes(model) lists the nodes."
