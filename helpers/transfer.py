"""Measuring transfer: small subsets, probes on cached features, straight lines between networks, shuffled images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import models
from helpers.loaders import Subset

# --- data -------------------------------------------------------------------------------------------------------------


def batch_of(subset: Subset, positions: Tensor) -> Tensor:
    """The images of ``subset`` at ``positions`` ``(N,)`` in one batch ``(N, 3, H, W)``, as the network gets them."""
    return subset.__getitems__(positions.tolist())[0]


def per_class(labels: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Positions (sorted, int64) of ``count`` examples of every class in ``labels`` ``(N,)``, drawn by ``seed``.

    With one seed a smaller subset lies within a larger one, so that a curve over sizes only ever adds images.
    ValueError when a class has fewer than ``count``.
    """
    labels = labels.cpu()
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        if not 1 <= count <= len(members):
            raise ValueError(f"count={count} must be from 1 to {len(members)}, the examples of class {label}.")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values


def only_classes(images: Tensor, labels: Tensor, classes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The examples of ``classes`` alone, with the labels 0, 1, ... in the order of ``classes``."""
    places = [(labels == label).nonzero().flatten() for label in classes]
    new_labels = torch.cat([torch.full_like(place, number) for number, place in enumerate(places)])
    return images[torch.cat(places)], new_labels


def shuffle_blocks(images: Tensor, block: int, *, seed: int = 0) -> Tensor:
    """A copy of ``images`` ``(N, C, H, W)``, cut into ``block`` x ``block`` px and put together in random order.

    Every image gets an order of its own. What lies within a block stays, what the blocks form is gone
    (Neyshabur, Sedghi, Zhang 2020). ValueError when ``block`` does not divide H and W.
    """
    count, channels, height, width = images.shape
    if block < 1 or height % block or width % block:
        raise ValueError(f"block={block} must divide the height {height} and the width {width} of the pictures.")
    size = channels * block * block
    blocks = F.unfold(images, block, stride=block).transpose(1, 2)  # (N, blocks, C * block * block)
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(count, blocks.shape[1], generator=generator).argsort(dim=1).to(images.device)
    mixed = blocks.gather(1, order.unsqueeze(2).expand(-1, -1, size)).transpose(1, 2)
    return F.fold(mixed, (height, width), block, stride=block)


# --- predictions ------------------------------------------------------------------------------------------------------


def scores(model: nn.Module, images: Tensor, *, batch_size: int = 64) -> Tensor:
    """``model`` on ``images`` ``(N, ...)`` in ``eval`` mode, batch by batch: ``(N, classes)``, on the CPU."""
    device = next(model.parameters()).device
    with models.evaluating(model, grad=False):
        return torch.cat([model(batch.to(device)).float().cpu() for batch in images.split(batch_size)])


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Percent of ``predicted`` (scores ``(N, classes)``, or labels ``(N,)``) that are right."""
    if predicted.ndim == 2:
        predicted = predicted.argmax(dim=1)
    return 100 * (predicted.cpu() == labels.cpu()).float().mean().item()


# --- classifiers on features that were computed once ------------------------------------------------------------------


@torch.no_grad()
def linear_probe(features: Tensor, labels: Tensor, *, num_classes: int | None = None, ridge: float = 1.0) -> nn.Linear:
    """A linear layer from ``features`` ``(N, D)`` to classes, in closed form: ridge regression on targets +1 and -1.

    Also known as the least-squares support vector machine (Suykens, Vandewalle 1999). The features are centred and
    divided by one common scale first, which is folded into the layer; ``ridge`` is relative to that scale. It solves a
    system of N or D equations, whichever are fewer.
    """
    num_classes = int(labels.max()) + 1 if num_classes is None else num_classes
    targets = 2 * F.one_hot(labels.cpu(), num_classes).double() - 1
    x = features.cpu().double()
    mean, target_mean = x.mean(dim=0), targets.mean(dim=0)
    x, targets = x - mean, targets - target_mean
    scale = x.square().sum(dim=1).mean().sqrt().clamp(min=1e-12)  # a typical example has length 1
    x = x / scale
    if len(x) <= x.shape[1]:
        gram = x @ x.T
        weight = x.T @ torch.linalg.solve(gram + ridge * torch.eye(len(x), dtype=x.dtype), targets)
    else:
        weight = torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype), x.T @ targets)
    layer = nn.Linear(x.shape[1], num_classes)
    layer.weight.copy_((weight / scale).T)
    layer.bias.copy_(target_mean - mean @ weight / scale)
    return layer.to(features.device)


@torch.no_grad()
def nearest(features: Tensor, queries: Tensor, *, count: int = 1) -> Tensor:
    """For every query ``(M, D)`` the positions of its ``count`` nearest ``features`` ``(N, D)``: ``(M, count)``.

    Nearest by the cosine of the angle, the nearest first.
    """
    return (F.normalize(queries) @ F.normalize(features).T).topk(count, dim=1).indices


# --- straight lines between two networks ------------------------------------------------------------------------------


def interpolate(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The state dict ``(1 - share) * first + share * second``; whole numbers (counters) are those of ``first``.

    ValueError when the two do not hold the same names and shapes.
    """
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (first, second)]
    if shapes[0] != shapes[1]:
        odd = sorted({name for name, _ in shapes[0].items() ^ shapes[1].items()})
        raise ValueError(f"The two networks must have the same layers; these differ: {', '.join(odd[:4])}.")
    return {
        name: torch.lerp(value, second[name].to(value), share) if value.is_floating_point() else value.clone()
        for name, value in first.items()
    }


def along_line(
    first: nn.Module, second: nn.Module, measure: Callable[[nn.Module], float], shares: Sequence[float]
) -> list[float]:
    """``measure(network)`` at every point of the straight line from ``first`` (share 0) to ``second`` (share 1)."""
    states = first.state_dict(), second.state_dict()
    between = copy.deepcopy(first)
    values = []
    for share in shares:
        between.load_state_dict(interpolate(*states, share))
        values.append(measure(between))
    return values
