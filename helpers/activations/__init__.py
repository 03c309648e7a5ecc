"""What a network computes inside: feature maps, filters, dead maps, what excites a unit, predictions, Grad-CAM.

Nothing here changes the network: layer modes, ``requires_grad``, gradients, hooks and random numbers stay as they were.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from helpers import dissect, models
from helpers.dissect import trace
from helpers.dissect.rows import Axis, Box
from helpers.models.copies import unwrapped

Swap = Callable[[Tensor], Tensor]
POOLING = nn.modules.pooling._AvgPoolNd | nn.modules.pooling._MaxPoolNd | nn.modules.pooling._AdaptiveAvgPoolNd


def nodes(model: nn.Module) -> list[str]:
    """The nodes that can be looked at, in the order of the forward pass, by the names that ``dissect`` gives them.

    A node is a module ("features.0"; called a second time it is "relu_1") or any call in a ``forward``:
    "layer1.0.add", "max_pool2d_1". Modules that contain others ("features", "layer1.0") can be looked at too. Where
    torch.fx cannot trace ``forward``, the modules without children.
    """
    model = unwrapped(model)
    with models.evaluating(model):
        calls = _calls(model)
    if calls is not None:
        return list(calls)
    return [name for name, module in model.named_modules() if name and not any(True for _ in module.children())]


def feature_maps(model: nn.Module, images: Tensor, node: str) -> Tensor:
    """What ``node`` puts out for ``images`` ``(N, 3, H, W)``: ``(N, C, h, w)``, or ``(N, features)``, on the CPU.

    A copy: an in-place ReLU that follows in the network does not change it. ``node`` is a name out of ``nodes(model)``.
    Maps with the channels behind (Swin) are turned round; the tokens of a transformer stay ``(N, tokens, features)``.

    Raises:
        ValueError: no such node (the message names close ones), or it puts out no tensor.
    """
    kept: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        kept.append(output.clone())
        return output

    model = unwrapped(model)
    with models.evaluating(model, grad=False):
        _forward_through(model, images.to(_device_of(model)), node, keep)
    return _channels_first(kept[0], model, images, node).cpu()


def dead_share(maps: Tensor) -> float:
    """The share (0..1) of maps that are nowhere above zero, in any image; ``maps`` ``(N, C, h, w)`` behind a ReLU."""
    if maps.ndim < 2:
        raise ValueError(f"maps of shape {tuple(maps.shape)} must be (N, C, h, w) or (N, C), with several images.")
    alive = (maps > 0).transpose(0, 1).flatten(1).any(dim=1)
    return 1 - alive.float().mean().item()


def filters(model: nn.Module, layer: str | None = None) -> Tensor:
    """A copy of the weights ``(out_channels, in_channels, h, w)`` of the convolution ``layer``, by default the first.

    With three input channels they can be drawn in colour (``plotting.filters``).
    """
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    if not convolutions:
        raise ValueError(f"{models.name_of(model)} has no convolution (nn.Conv2d), and so no filters.")
    name = next(iter(convolutions)) if layer is None else layer
    if name not in convolutions:
        raise ValueError(f"{name!r} is no convolution of this network. These are: {', '.join(convolutions)}.")
    return convolutions[name].weight.detach().cpu().clone()


# --- predictions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TopK:
    """The likeliest classes of one image, the likeliest first."""

    rows: tuple[tuple[str, float], ...]  # class name, probability 0..1

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join(f"{name:{width}}  {100 * probability:5.1f} %" for name, probability in self.rows)


def top_k(model: nn.Module, image: Tensor, categories: Sequence[str], k: int = 5) -> TopK:
    """The ``k`` likeliest ``categories`` of ``image`` ``(1, 3, H, W)``, normalised as the network expects it.

    ``categories`` are names in the order of the outputs, for example ``weights.meta["categories"]``.
    """
    _check_single(image)
    model = unwrapped(model)
    with models.evaluating(model, grad=False):
        probabilities = models.scores_of(model(image.to(_device_of(model))))[0].softmax(dim=0).cpu()
    if len(categories) != len(probabilities):
        raise ValueError(f"There are {len(categories)} categories, but the network has {len(probabilities)} outputs.")
    values, indices = probabilities.topk(min(k, len(categories)))
    return TopK(tuple((categories[i], p) for i, p in zip(indices.tolist(), values.tolist(), strict=True)))


# --- Grad-CAM ---------------------------------------------------------------------------------------------------------


def grad_cam(model: nn.Module, image: Tensor, class_index: int, node: str | None = None) -> Tensor:
    """Where ``image`` speaks for class ``class_index``: ``(h, w)`` float32 on the grid of the node's maps, >= 0.

    Selvaraju et al. 2017: each map is weighted with the mean of the gradient of the class's score, the weighted maps
    are added, and what speaks against the class is cut off. The values are not scaled, so that several classes can be
    compared on one scale (``plotting.activations.cam_overlay``).

    Args:
        image: ``(1, 3, H, W)``, normalised as the network expects it.
        node: whose maps; None for ``cam_node(model, image)``, those behind the last convolution.

    Raises:
        ValueError: no such class or node, or its output is not ``(1, C, h, w)``.
    """
    model = unwrapped(model)
    node = node or cam_node(model, image)
    score, maps = _score_and_maps(model, image, class_index, node)
    gradient = None
    if score.requires_grad:
        (gradient,) = torch.autograd.grad(score, maps, allow_unused=True)  # leaves the .grad of the weights alone
    if gradient is None:
        raise ValueError(f"The score does not depend on the node {node!r}, so there is no gradient for it.")
    gradient, maps = (_channels_first(values, model, image, node) for values in (gradient, maps))
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (1, C, 1, 1): how much each map speaks for the class
    return F.relu((weights * maps.detach()).sum(dim=1))[0].cpu()


def _score_and_maps(model: nn.Module, image: Tensor, class_index: int, node: str) -> tuple[Tensor, Tensor]:
    """The score of a class, and the node's maps ``(1, C, h, w)`` that it can be differentiated by."""
    _check_single(image)
    kept: list[Tensor] = []

    def start_here(output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()  # an in-place ReLU that follows works on the copy

    with torch.inference_mode(False), models.evaluating(model, grad=True):
        output = _forward_through(model, image.detach().clone().to(_device_of(model)), node, start_here)
        scores = models.scores_of(output)
        if kept[0].ndim != 4:
            tokens = " Tokens of a transformer have no place in the picture." if kept[0].ndim == 3 else ""
            raise ValueError(f"Grad-CAM needs maps (1, C, h, w); {node!r} puts out {tuple(kept[0].shape)}.{tokens}")
        if not 0 <= class_index < scores.shape[1]:
            raise ValueError(f"class_index={class_index} must be from 0 to {scores.shape[1] - 1}, the last output.")
        return scores[0, class_index], kept[0]


def cam_node(model: nn.Module, image: Tensor) -> str:
    """The node that Grad-CAM takes by default: the last one that has maps of the last convolution's size.

    That is "features.11" in AlexNet (the ReLU before the last pooling), "layer4" in a ResNet. The head is left out,
    even where it holds a convolution as in SqueezeNet. Where attention follows (Swin) it is the last node with maps.
    ``image`` is ``(1, 3, H, W)``.

    Raises:
        ValueError: no convolution before the head, or behind it tokens only.
    """
    model = unwrapped(model)
    seen = _outputs(model, image)
    names = [name for name, _, _ in seen]
    maps = [
        i
        for i, (name, module, shape) in enumerate(seen)
        if len(shape) == 4 and names.count(name) == 1 and not isinstance(module, POOLING)
    ]
    places = [i for i, (_, module, shape) in enumerate(seen) if isinstance(module, nn.Conv2d) and len(shape) == 4]
    places = [i for i in places if _spread(seen[i][2])] or places  # a gate's convolution has maps of 1x1
    if not places:
        raise ValueError(f"{models.name_of(model)} calls no convolution before its head: name a node to look at.")
    last, size = places[-1], seen[places[-1]][2][2:]
    last = max([last, *(i for i in maps if i > last and seen[i][2][2:] == size)])
    behind = [i for i, (_, module, shape) in enumerate(seen) if i > last and _spread(shape)]
    if any(isinstance(seen[i][1], nn.Linear) for i in behind):
        found = [i for i in behind if i in maps]
        if not found:
            raise ValueError(
                f"Behind {names[last]}, its last maps, {models.name_of(model)} goes on with tokens, so there are no "
                "maps to weight for a class: Grad-CAM is made for convolutional networks."
            )
        last = found[-1]
    return names[last]


def _spread(shape: torch.Size) -> bool:
    """Whether an output has several places, wherever the channels stand."""
    return len(shape) > 2 and shape[1:-1].numel() > 1 and shape[2:].numel() > 1


def _outputs(model: nn.Module, image: Tensor) -> list[tuple[str, nn.Module, torch.Size]]:
    """Every call of a module before the head, as it ends: name, module, shape; those that put out a tensor."""
    try:
        head = models.head_name(model)
    except ValueError:  # a network of one's own, with other names
        head = None
    names = {m: name for name, m in model.named_modules() if name and not (head and models.within(name, head))}
    seen: list[tuple[str, nn.Module, torch.Size]] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            seen.append((names[module], module, output.shape))

    with models.evaluating(model, grad=False), contextlib.ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(note))
        model(image.to(_device_of(model)))
    return seen


def _check_single(image: Tensor) -> None:
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(
            f"image of shape {tuple(image.shape)} must be one picture, (1, 3, H, W): image.unsqueeze(0) adds the 1, "
            "images[:1] takes the first of several."
        )


# --- what a unit waits for --------------------------------------------------------------------------------------------


class Patch(NamedTuple):
    """A part of an image that excites a unit: how much, and where it lies."""

    value: float  # of the unit
    image: int  # its number among the images
    scale: float
    position: tuple[int, int]  # (row, column) of the unit in its map
    box: Box  # what the unit sees, in px of the scaled image
    pixels: Tensor  # (3, h, w): that part of the scaled image


def top_patches(
    model: nn.Module, node: str, channels: Sequence[int], images: Sequence[Tensor], *,
    count: int = 9, scales: Sequence[float] = (1.0,),
) -> dict[int, list[Patch]]:  # fmt: skip
    """For each of the maps ``channels`` of ``node`` the ``count`` patches that excite its units most, highest first.

    Candidates are all positions of all ``images`` at all ``scales`` whose receptive field lies inside the image: the
    zeros beyond its border excite units too. A patch whose centre lies in a stronger one of the same image, at whatever
    scale, is left out. Where a map is above zero at too few places, there are fewer. Zeiler and Fergus 2014, figure 2.

    Args:
        images: ``(1, 3, H, W)`` each, normalised as the network expects them; they may differ in size.

    Raises:
        ValueError: no such node or map, or what its units see is not known or is the whole image.
    """
    model = unwrapped(model)
    found: dict[int, list[tuple[Patch, tuple[float, ...]]]] = {channel: [] for channel in channels}
    rows: dict[torch.Size, dissect.Row] = {}  # by the size of the image
    for number, image in enumerate(images):
        _check_single(image)
        for scale in scales:
            scaled = F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=True) if scale != 1 else image
            if scaled.shape not in rows:
                rows[scaled.shape] = dissect.layers(model, tuple(scaled.shape[1:])).find(node)
            row = rows[scaled.shape]
            if row.axes is None or row.whole_image or None in (row.axes[0].size, row.axes[1].size):
                raise ValueError(f"What a unit of {node!r} sees is {row.receptive_field}: it has no patches.")
            maps = feature_maps(model, scaled, node)[0]
            if not all(0 <= channel < len(maps) for channel in channels):
                raise ValueError(f"channels={list(channels)}: {node!r} has the maps 0 to {len(maps) - 1}.")
            height, width = scaled.shape[2:]
            for channel, peaks in zip(channels, _peaks(maps[list(channels)], row.axes, count), strict=True):
                for position in peaks:
                    box = row.at(position)
                    pixels = scaled[0, :, box.top : box.bottom, box.left : box.right].clone()
                    patch = Patch(float(maps[channel][position]), number, scale, position, box, pixels)
                    share = (box.top / height, box.left / width, box.bottom / height, box.right / width)
                    found[channel].append((patch, share))
    return {channel: _apart(patches)[:count] for channel, patches in found.items()}


def _peaks(maps: Tensor, axes: tuple[Axis, Axis], count: int) -> list[list[tuple[int, int]]]:
    """Of each map ``(C, h, w)`` up to ``count`` positions that see no padding, above zero and the highest around."""
    inside = [torch.from_numpy(axis.high - axis.low + 1 == axis.size) for axis in axes]
    seen = torch.where(inside[0][:, None] & inside[1], maps, 0.0)
    reach = [(axis.size or 1) // (2 * (axis.jump or 1)) for axis in axes]  # units whose centre lies in the same field
    around = F.max_pool2d(seen, [2 * steps + 1 for steps in reach], stride=1, padding=reach)
    peaks = torch.where(seen == around, seen, 0.0).flatten(1)
    values, places = peaks.topk(min(count, peaks.shape[1]))
    return [
        [divmod(place, maps.shape[2]) for value, place in zip(*pair, strict=True) if value > 0]
        for pair in zip(values.tolist(), places.tolist(), strict=True)
    ]


def _apart(patches: list[tuple[Patch, tuple[float, ...]]]) -> list[Patch]:
    """The patches, highest first, without those whose centre lies in a higher one; places in parts of the image."""
    kept: list[tuple[Patch, tuple[float, ...]]] = []
    for patch, place in sorted(patches, key=lambda pair: -pair[0].value):
        y, x = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
        taken = [other for stronger, other in kept if stronger.image == patch.image]
        if not any(top <= y < bottom and left <= x < right for top, left, bottom, right in taken):
            kept.append((patch, place))
    return [patch for patch, _ in kept]


# --- getting at a node ------------------------------------------------------------------------------------------------


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _calls(model: nn.Module) -> dict[str, fx.Node] | None:
    """The calls in ``forward`` by name, in their order; None where torch.fx cannot trace it."""
    try:
        return trace.trace(model).calls()
    except trace.NotTraceable:
        return None


def _channels_first(maps: Tensor, model: nn.Module, images: Tensor, node: str) -> Tensor:
    """Maps ``(N, C, h, w)``, turned round where the node has them as (N, h, w, C).

    That is told by the sides of the images; where these fit both ways, by what grows when the images become wider.
    """
    if maps.ndim != 4 or images.ndim != 4:
        return maps
    (_, a, b, c), (height, width) = maps.shape, images.shape[2:]
    as_first, as_last = (abs(h * width - w * height) <= max(height, width) for h, w in ((b, c), (a, b)))
    if as_first == as_last:
        wider: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            wider.append(output)
            return output

        with contextlib.suppress(Exception), models.evaluating(model, grad=False):  # it may not take other sizes
            padded = F.pad(images[:1].to(_device_of(model)), (0, width))
            _forward_through(model, padded, node, keep)
        as_last = bool(wider) and wider[0].shape[2] != b and wider[0].shape[3] == c
    return maps.permute(0, 3, 1, 2) if as_last else maps


def _forward_through(model: nn.Module, images: Tensor, node: str, swap: Swap) -> Any:
    """What comes out for ``images``, with the output of ``node`` replaced by what ``swap`` makes of it.

    Raises:
        ValueError: no such node, or it does not put out a tensor.
    """
    if node and node in dict(model.named_modules()):
        return _hooked(model, images, node, swap)
    found = _calls(model)
    if found is None or node not in found:
        raise ValueError(_unknown(model, node, found))
    return _Interpreter(model, found[node], swap).run(images)


def _hooked(model: nn.Module, images: Tensor, node: str, swap: Swap) -> Any:
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
        what = type(output).__name__
        raise ValueError(f"The node {node!r} puts out a {what}, not a tensor. Choose a node inside it.")
    return output


def _unknown(model: nn.Module, node: str, found: dict[str, fx.Node] | None) -> str:
    names = list(dict.fromkeys([*(found or ()), *(name for name, _ in model.named_modules() if name)]))
    close = difflib.get_close_matches(node, names, n=4, cutoff=0.5) or names[:4]
    text = f"There is no node {node!r} in this network. Close to it: {', '.join(close)}. "
    if found is None:
        text += "torch.fx cannot trace this forward, so only modules can be looked at, no functional calls. "
    return text + "activations.nodes(model) lists the nodes."
