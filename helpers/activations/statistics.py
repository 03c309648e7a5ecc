"""What flows through a network, layer by layer: the size of the activations forward and of the gradients backward.

Nothing here changes the network: layer modes, weights, gradients, running statistics and random numbers stay as they
were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import models

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.Sigmoid, nn.Tanh)


@dataclass(frozen=True)
class Layer:
    """One layer during one forward and backward pass of a batch."""

    name: str  # as in ``model.named_modules()``
    kind: str  # class of the layer, for example "ReLU"
    mean: float  # of what it puts out
    std: float
    zeros: float  # share 0..1 of outputs that are exactly zero
    dead: float  # share 0..1 of units (or maps) that are zero for every image of the batch
    gradient: float  # root mean square of d loss / d output


def watch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    kinds: Sequence[type[nn.Module]] = ACTIVATIONS,
) -> list[Layer]:
    """Send one batch forward and its cross-entropy backward, in training mode; tell what every such layer puts out.

    Args:
        images: whatever ``model`` takes, ``(N, ...)``; labels ``(N,)`` int64.
        kinds: classes of layers to look at, by default the activation functions.

    Returns:
        one ``Layer`` for every such layer, in the order of the forward pass.

    Raises:
        ValueError: the network has no layer of these kinds.
    """
    chosen: tuple[type[nn.Module], ...] = tuple(kinds)
    names = {module: name for name, module in model.named_modules() if isinstance(module, chosen)}
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        seen.append((module, output if output.requires_grad else output.requires_grad_()))
        return output.clone()  # an in-place layer that follows works on the copy

    with models.evaluating(model, grad=True), _same_buffers(model), contextlib.ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(note))
        loss = F.cross_entropy(models.scores_of(model.train()(images)), labels)
        outputs = [output for _, output in seen]
        gradients = torch.autograd.grad(loss, outputs, allow_unused=True) if seen else ()
    if not seen:
        told = ", ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"The network calls no layer of these kinds: {told}. Name others with kinds=(nn.Linear,).")
    return [
        _layer(names[module], module, output, gradient)
        for (module, output), gradient in zip(seen, gradients, strict=True)
    ]


@contextlib.contextmanager
def _same_buffers(model: nn.Module) -> Iterator[None]:
    """Afterwards the running statistics are as they were."""
    before = {name: value.clone() for name, value in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(before[name])


def _layer(name: str, module: nn.Module, output: Tensor, gradient: Tensor | None) -> Layer:
    values = output.detach().float()
    units = values.transpose(0, 1).flatten(1)  # (C, N * h * w)
    size = 0.0 if gradient is None else gradient.float().pow(2).mean().sqrt().item()
    return Layer(
        name=name,
        kind=type(module).__name__,
        mean=values.mean().item(),
        std=values.std().item(),
        zeros=(values == 0).float().mean().item(),
        dead=(units == 0).all(dim=1).float().mean().item(),
        gradient=size,
    )
