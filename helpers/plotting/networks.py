"""Figures of dissections: where the weights of a network sit, and where it computes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from helpers.dissect.rows import WEIGHT_KINDS, Row
from helpers.dissect.tables import Stage, paper_names
from helpers.plotting import BLUE, GREEN, SKY, TEXT, Figure, finish, legend_below, new_figure, with_alt

if TYPE_CHECKING:
    from helpers.dissect import Dissection

MOST_BARS = 24  # in one figure
_BEFORE = "#DDDDDD"
_WORDS = {"conv": "convolutions", "linear": "linear layers", "other": "everything else"}
_LOOKS = {"conv": (BLUE, "//"), "linear": (GREEN, ""), "other": (SKY, "..")}  # colour, hatching
_FIGURES = {"params": "weights", "macs": "compute (MACs)", "activation_bytes": "memory (activations)"}


def weights_against_work(dissections: Dissection | Sequence[Dissection]) -> Figure:
    """For each network a bar of all its weights and one of all its MACs, divided by the kind of layer."""
    networks = list(dissections) if isinstance(dissections, Sequence) else [dissections]
    figure, ((axis,),) = new_figure(10, 1.8 + 1.2 * len(networks))
    said: list[str] = []
    labels: list[str] = []
    kinds: set[str] = set()
    for network in networks:
        for name in ("params", "macs"):
            parts = {kind: value for kind, value in shares(network, name).items() if round(value)}
            kinds |= set(parts)
            _bar(axis, len(labels), parts)
            labels.append(f"{network.model}: {_FIGURES[name]}")
            said.append(f"{labels[-1]}: " + ", ".join(f"{value:.0f} % {_WORDS[kind]}" for kind, value in parts.items()))
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    finish(axis, "", "share, %", "")
    legend_below(figure, _patches(axis, kinds))
    return with_alt(figure, ". ".join(said) + ".")


def shares(dissection: Dissection, figure: str) -> dict[str, float]:
    """Percent of "params", "macs" or "activation_bytes" in convolutions, linear layers and everything else."""
    sums = dict.fromkeys(_WORDS, 0)
    for row in dissection.rows:
        sums[_kind(row)] += _value(row, figure)
    total = sum(sums.values()) or 1
    return {kind: 100 * value / total for kind, value in sums.items()}


def cumulative(dissection: Dissection, *, figures: Sequence[str] = ("params", "macs")) -> Figure:
    """How weights and MACs add up from the first layer to the last, in percent; of deep networks stage by stage.

    The layers of a plain chain (AlexNet, VGG) have the names of the papers, conv1 or conv1_1, others those of PyTorch.
    """
    parts = _parts(dissection, figures)
    plain = not any(row.kind == "join" for row in dissection.rows)
    names = paper_names(dissection.rows) if plain else {}
    figure, axes = new_figure(min(14, max(8, 0.55 * len(parts) + 3)), 2.6 * len(figures) + 1.8, rows=len(figures))
    said = []
    for axis, name in zip(axes[:, 0], figures, strict=True):
        shares_of = _staircase(axis, parts, name)
        finish(axis, f"{dissection.model}: {_FIGURES[name]} so far", "", "%")
        axis.set_ylim(0, 104)
        axis.set_xticks([])
        largest = max(shares_of, key=shares_of.__getitem__)
        said.append(f"most of the {_FIGURES[name]} at {names.get(largest, largest)}: {shares_of[largest]:.0f} %")
    labels = [names.get(part.name, part.name) for part in parts]
    axes[-1, 0].set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
    kinds = {_kind(row) for part in parts for row in part.rows if any(_value(row, name) for name in figures)}
    legend_below(figure, {**_patches(axes[0, 0], kinds), "all before": axes[0, 0].bar([0], [0], color=_BEFORE)[0]})
    return with_alt(figure, f"{dissection.model} from the first layer to the last: {'; '.join(said)}.")


def _parts(dissection: Dissection, figures: Sequence[str]) -> list[Stage]:
    """The layers, each with its norm, that have any of the figures; the stages where there are too many."""
    for collapse in (False, True):
        stages = dissection.stages(collapse=collapse)
        parts = [stage for stage in stages if any(_value(row, name) for row in stage.rows for name in figures)]
        if len(parts) <= MOST_BARS:
            break
    return parts


def _staircase(axis: Axes, parts: list[Stage], name: str) -> dict[str, float]:
    """One bar a part, standing on all the parts before it; returns the share of each in percent."""
    total, below, sums = sum(_value(row, name) for part in parts for row in part.rows) or 1, 0.0, {}
    for place, part in enumerate(parts):
        axis.bar(place, below, color=_BEFORE)
        bottom = below
        for kind, (colour, hatch) in _LOOKS.items():
            share = 100 * sum(_value(row, name) for row in part.rows if _kind(row) == kind) / total
            axis.bar(place, share, bottom=below, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5)
            below += share
        sums[part.name] = below - bottom
    return sums


def _kind(row: Row) -> str:
    return row.kind if row.kind in WEIGHT_KINDS else "other"


def _value(row: Row, figure: str) -> int:
    """What a row adds; memory that an earlier row has counted is not counted again."""
    return 0 if figure == "activation_bytes" and row.shares_memory else getattr(row, figure)


def _bar(axis: Axes, place: int, parts: dict[str, float]) -> None:
    left = 0.0
    for kind, value in parts.items():
        colour, hatch = _LOOKS[kind]
        axis.barh(place, value, left=left, color=colour, hatch=hatch, edgecolor="white")
        if value >= 6:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            axis.text(left + value / 2, place, f"{value:.0f} %", ha="center", va="center", fontsize=TEXT, bbox=box)
        left += value


def _patches(axis: Axes, kinds: Collection[str]) -> dict[str, Artist]:
    """A patch for the legend by what it means, for those kinds that the figure shows."""
    return {
        _WORDS[kind]: axis.bar([0], [0], color=colour, hatch=hatch, edgecolor="white")[0]
        for kind, (colour, hatch) in _LOOKS.items()
        if kind in kinds
    }
