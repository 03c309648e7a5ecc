"""Figures of how networks are trained and reused: activation functions, statistics by depth, norms, feature maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from helpers.plotting import RED, TEXT, TITLE, finish, legend_below, look, new_figure, tiles, with_alt
from helpers.plotting.figure import Figure, label_all
from helpers.plotting.runs import bands
from helpers.svg import BLUE, ORANGE

if TYPE_CHECKING:
    from helpers.activations.statistics import Layer

NORMS = {  # which of (image, channel, position) share one mean
    "batch norm": (True, False, True),
    "layer norm": (False, True, True),
    "instance norm": (False, False, True),
    "group norm": (False, None, True),  # None: half of the channels
}


def activation_functions(functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Figure:
    """Each function on the left, its slope on the right, from -5 to 5."""
    figure, ((left, right),) = new_figure(9.5, 4.2, columns=2)
    said = []
    for number, (name, function) in enumerate(functions.items()):
        x = torch.linspace(-5, 5, 401, dtype=torch.float64, requires_grad=True)
        y = function(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        style = look(number) | {"marker": "", "lw": 2.2}
        left.plot(x.detach(), y.detach(), label=name, **style)
        right.plot(x.detach(), slope, **style)
        said.append(f"{name} from {y.min().item():.2f} to {y.max().item():.2f}, slope {slope[-1].item():.2f} at 5")
    left.set_ylim(-1.6, 3.2)
    for axis, title in ((left, "output"), (right, "slope: the factor for the gradient")):
        finish(axis, title, "input", "")
    legend_below(figure)
    return with_alt(figure, f"Activation functions and their slopes between -5 and 5: {'; '.join(said)}.")


def by_depth(named: Mapping[str, Sequence[Layer]], *, title: str = "") -> Figure:
    """Standard deviation of the activations and size of the gradients, layer by layer; logarithmic. Zeros are left out.

    ``named`` holds what ``activations.statistics.watch`` tells of one network each.
    """
    figure, ((left, right),) = new_figure(9.5, 4.6, columns=2, title=title)
    for number, (name, layers) in enumerate(named.items()):
        depth = range(1, len(layers) + 1)
        sides = {"activations": (left, [x.std for x in layers]), "gradients": (right, [x.gradient for x in layers])}
        silent = [what for what, (_, values) in sides.items() if not any(values)]
        label = f"{name}: all {' and '.join(silent)} 0, not drawn" if silent else name
        for axis, values in sides.values():
            axis.plot(depth, [v or np.nan for v in values], **look(number), lw=2.2, label=label)
    for axis, what in ((left, "forward: spread of the activations"), (right, "backward: size of the gradients")):
        axis.set_yscale("log")
        low, high = np.log10(axis.get_ylim())
        axis.set_ylim(10 ** np.floor(low), 10 ** np.ceil(high))  # whole powers of ten, so that every figure has two
        axis.yaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(axis, what, "layer", "")
    legend_below(figure)
    said = "; ".join(f"{name}: {_ratio(layers)}" for name, layers in named.items())
    return with_alt(figure, f"{title} Activations forward and gradients backward, by layer. {said}.")


def _ratio(layers: Sequence[Layer]) -> str:
    """How the first and the last layer compare, in words, by powers of ten."""
    if not (layers[0].std and layers[-1].std and layers[0].gradient and layers[-1].gradient):
        return "zero in some layers"
    forward, backward = layers[-1].std / layers[0].std, layers[0].gradient / layers[-1].gradient
    return (
        f"activations change by 10^{round(np.log10(forward))} from the first to the last layer, "
        f"gradients by 10^{round(np.log10(backward))} from the last to the first"
    )


def norm_axes() -> Figure:
    """Which numbers of a batch share one mean and one variance, after Wu and He (2018), figure 2.

    A square is one map, H x W numbers: one channel of one image.
    """
    images, channels = 4, 6
    figure, axes = tiles(len(NORMS), len(NORMS), width=2.9, height=2.9)
    for axis, (name, (over_n, over_c, _)) in zip(axes, NORMS.items(), strict=True):
        for n, c in np.ndindex(images, channels):
            together = (over_n or n == 0) and (over_c or c == 0 or (over_c is None and c < channels // 2))
            colour, hatch = (ORANGE, "////") if together else ("#E8E8E8", "")
            axis.add_patch(Rectangle((c, n), 0.92, 0.92, fc=colour, hatch=hatch, ec="#555555", lw=0.8))
        axis.set(xlim=(-0.1, channels), ylim=(images, -0.1), aspect="equal")
        axis.set_title(name, fontsize=TITLE)
        axis.text(channels / 2, images + 0.15, f"{channels} channels", ha="center", va="top", fontsize=TEXT)
        axis.text(-0.25, images / 2, f"{images} images", va="center", ha="right", rotation=90, fontsize=TEXT)
    shared = (
        "batch norm: one channel, all images; layer norm: one image, all channels; instance norm: one image, one "
        "channel; group norm: one image, a group of channels; all four: all positions"
    )
    return with_alt(figure, f"Maps of a batch, a row an image; the orange ones share one mean and variance. {shared}.")


def histograms(named: Mapping[str, Mapping[str, Tensor]], *, title: str = "") -> Figure:
    """What the layers of networks put out: a row a network, a column a layer, on one scale a row.

    Zeros, of which ReLU makes many, are no part of the bars, but told in words. ``named``: network -> layer -> values.
    """
    columns = max(map(len, named.values()))
    figure, axes = new_figure(
        1.2 + 1.75 * columns, 0.8 + 1.7 * len(named), rows=len(named), columns=columns, title=title
    )
    said = []
    for row, (name, layers) in zip(axes, named.items(), strict=True):
        reach = max(values.abs().flatten().quantile(0.998).item() for values in layers.values()) or 1.0
        for axis, (layer, values) in zip(row, layers.items(), strict=False):
            flat, zeros = values.flatten().clamp(-reach, reach).numpy(), (values == 0).float().mean().item()
            low = -reach if values.min() < 0 else 0.0
            axis.hist(flat[flat != 0], bins=40, range=(low, reach), color=BLUE)
            words = f"std {values.std().item():.2g}" + f"\n{zeros:.0%} are 0" * (zeros > 0.01)
            axis.annotate(words, (0.96, 0.94), xycoords="axes fraction", ha="right", va="top", fontsize=TEXT)
            axis.margins(y=0.45)  # room for the words
            axis.set(xlim=(low - 0.05 * reach, 1.05 * reach), yticks=[])
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.set_title(layer, fontsize=TITLE)
        for axis in row[len(layers) :]:
            axis.axis("off")
        row[0].set_ylabel(name, fontsize=TITLE)
        said.append(f"{name}: {', '.join(f'{layer} {values.std().item():.1g}' for layer, values in layers.items())}")
    return with_alt(figure, f"{title} Histograms of what the layers put out; standard deviations. {'; '.join(said)}.")


def gallery(named: Mapping[str, Tensor], *, columns: int = 5, title: str = "") -> Figure:
    """Images ``(3, H, W)`` or ``(1, H, W)``, uint8 or 0..1, under their names."""
    lines = max(name.count("\n") for name in named)
    figure, axes = tiles(len(named), columns, width=1.95, height=2.2 + 0.25 * lines, title=title)
    for axis, name, pixels in zip(axes, label_all(list(named), 20 * (1 + lines)), named.values(), strict=False):
        values = pixels.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
        axis.imshow(values, interpolation="nearest")
        axis.set_title(name, fontsize=TEXT)
    return with_alt(figure, f"{title}: {', '.join(name.replace(chr(10), ' ') for name in named)}.")


def learning_rates(rates: Sequence[float], losses: Sequence[float], *, chosen: float, title: str = "") -> Figure:
    """Loss over a learning rate that grows with every step, and the rate chosen."""
    figure, ((axis,),) = new_figure(8, 4.4)
    axis.plot(rates, losses, color=BLUE, lw=2.2)
    axis.axvline(chosen, color=RED, ls="--", lw=2, label=f"chosen: {chosen:.2g}")
    axis.set(xscale="log", ylim=(0, 2 * losses[0]))
    axis.legend(fontsize=TEXT, frameon=False)
    finish(axis, title, "learning rate", "loss, smoothed")
    best = rates[int(np.nanargmin(losses))]
    return with_alt(figure, f"{title} Loss over the learning rate; lowest near {best:.1g}, chosen {chosen:.1g}.")


# ---- names of last term, which students' older copies call ---------------------------------------------------------

curves = bands


def over_settings(named: Mapping[str, Sequence[Sequence[float]]], places: Sequence[float], **labels: Any) -> Figure:
    """``bands`` in one panel; ``named`` holds for each name the numbers of the seeds at every place."""
    return bands({"": {name: list(zip(*values, strict=True)) for name, values in named.items()}}, places, **labels)
