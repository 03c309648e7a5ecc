"""Copies of a network to look at: out of its wrappers, without hooks, and, where shapes will do, without numbers.

A tensor on the meta device has a shape and no numbers, so that a copy of VGG-16 takes no memory and a pass no time.
"""

from __future__ import annotations

import contextlib
import copy
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The network itself where ``model`` is what ``nn.DataParallel`` or ``torch.compile`` has put around it."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(compiled := getattr(model, "_orig_mod", None), nn.Module):
            model = compiled
        else:
            return model


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy in ``eval`` mode with the same structure, no numbers, no hooks and no wrappers.

    Raises:
        ValueError: the network cannot be copied; the message says why.
    """
    return _copied(model, _without_numbers)


def cpu_copy(model: nn.Module) -> nn.Module:
    """As ``meta_copy``, with its numbers."""
    return _copied(model, lambda value: value.detach().clone() if value.grad_fn is not None else None).cpu()


def _without_numbers(value: Tensor) -> Tensor:
    if nn.parameter.is_lazy(value):
        raise ValueError(
            "This network has lazy layers that do not know their size yet: pass one picture through it first, "
            "model(torch.zeros(1, 3, 224, 224))."
        )
    empty = torch.empty_like(value, device="meta", requires_grad=False)
    return nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty


def _copied(model: nn.Module, convert: Callable[[Tensor], Tensor | None]) -> nn.Module:
    """``convert`` gives the copy of a tensor; None leaves it to ``deepcopy``."""
    memo: dict[int, Any] = {}  # deepcopy takes from here whatever is listed
    modules = list(model.modules())
    for module in modules:
        if isinstance(module, torch.jit.ScriptModule) or ".nn.quantized" in type(module).__module__:
            what = "scripted" if isinstance(module, torch.jit.ScriptModule) else "quantised"
            raise ValueError(
                f"{type(model).__name__} is {what}, and such a network cannot be taken apart: pass the one it was "
                "made from."
            )
        for name, value in vars(module).items():
            if "_hooks" in name and isinstance(value, dict):
                memo[id(value)] = OrderedDict()  # the caller's hooks must not see this pass
        for tensor in tensors_in(vars(module)):
            if id(tensor) not in memo and (new := convert(tensor)) is not None:
                memo[id(tensor)] = new
    try:
        for module in reversed(modules):
            if (inner := unwrapped(module)) is not module:
                memo[id(module)] = copy.deepcopy(inner, memo)
        return copy.deepcopy(unwrapped(model), memo).eval()
    except Exception as error:  # whatever somebody else's attributes raise
        raise ValueError(
            f"{type(model).__name__} keeps something that cannot be copied ({str(error).partition('. ')[0]}), and only "
            "a copy is taken apart: delete that attribute, or build the network anew."
        ) from error


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(tuple(value.values()))
    elif isinstance(value, (tuple, list, set, deque)):
        for item in value:
            yield from tensors_in(item)


@contextlib.contextmanager
def quietly(device: str) -> Iterator[None]:
    """No gradients, tensors made in forward on ``device``, attention by its parts, the random numbers kept."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation in place of an encoder's layers
    try:
        with torch.no_grad(), torch.device(device), torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
