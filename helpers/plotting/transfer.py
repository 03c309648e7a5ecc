"""Figures of transfer: curves over anything with a band for the seeds, and a map of pictures by their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from helpers.loaders import Prepare
from helpers.plotting import COLOURS, MARKERS, STYLES, TEXT, TITLE, new_figure, with_alt

Runs = Sequence[Sequence[float]]  # one row a seed, one value a place on the x axis


def curves(
    panels: Mapping[str, Mapping[str, Runs]],
    places: Sequence[float | str],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    guessing: float | None = None,
) -> Figure:
    """For every panel one line a name: the mean over its runs, with a band from the lowest to the highest.

    ``places`` are the same for all lines; they are drawn at equal distances, whatever their values. ``guessing`` draws
    a grey line at that height.
    """
    figure, (axes,) = new_figure(max(7.0, 5.0 * len(panels)), 4.9, columns=len(panels))
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axis, (panel, lines) in zip(axes, panels.items(), strict=True):
        for name, runs in lines.items():
            _line(axis, np.asarray(runs, dtype=float), names.index(name), name)
        if guessing is not None:
            axis.axhline(guessing, color="0.5", lw=1.2, ls=(0, (1, 3)))
            axis.annotate("guessing", (0, guessing), (2, 3), textcoords="offset points", fontsize=TEXT, color="0.35")
        axis.set_xticks(range(len(places)), [str(place) for place in places])
        axis.set_title(panel, fontsize=TEXT)
        axis.set_xlabel(x_label, fontsize=TEXT)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(y_label, fontsize=TEXT)
    low, high = zip(*(axis.get_ylim() for axis in axes), strict=True)
    for axis in axes:
        axis.set_ylim(min(low), max(high))
    _legend(figure, axes, names)
    figure.suptitle(title, fontsize=TITLE)
    said = "; ".join(
        f"{panel}, {name}: {', '.join(f'{value:.0f}' for value in np.mean(runs, axis=0))}"
        for panel, lines in panels.items()
        for name, runs in lines.items()
    )
    return with_alt(figure, f"{title}. {y_label} at {x_label} {', '.join(map(str, places))}. {said}.")


def _line(axis: Axes, runs: np.ndarray, number: int, name: str) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    x = range(runs.shape[1])
    if len(runs) > 1:
        axis.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=colour, alpha=0.2, lw=0)
    axis.plot(x, runs.mean(axis=0), STYLES[number % len(STYLES)], color=colour, marker=marker, lw=2.2, label=name)


def _legend(figure: Figure, axes: Sequence[Axes], names: list[str]) -> None:
    """One legend for all panels, in as many columns as fit below them."""
    shown = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    column = 1.0 + 0.1 * max(map(len, names))  # inches: the line and its name
    figure.legend(
        [shown[name] for name in names], names, loc="outside lower center", fontsize=TEXT, frameon=False,
        handlelength=3, ncols=max(1, min(len(names), int(figure.get_size_inches()[0] / column))),
    )  # fmt: skip


def picture_map(
    points: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, classes: Sequence[str], *, title: str = ""
) -> Figure:
    """``images`` ``(N, 3, H, W)``, normalised, drawn small at ``points`` ``(N, 2)``, framed in their class's colour."""
    figure, ((axis,),) = new_figure(9, 7)
    spots = points.cpu().numpy()
    pixels = Prepare().undo(images.cpu()).permute(0, 2, 3, 1).numpy()
    for spot, picture, label in zip(spots, pixels, labels.tolist(), strict=True):
        frame = {"edgecolor": COLOURS[label % len(COLOURS)], "lw": 2.5, "facecolor": "none"}
        box = OffsetImage(picture, zoom=26 / picture.shape[0])
        axis.add_artist(AnnotationBbox(box, spot, pad=0.1, bboxprops=frame))
    for label, name in enumerate(classes):
        middle = spots[labels.cpu().numpy() == label].mean(axis=0)
        look = {"facecolor": "white", "edgecolor": COLOURS[label % len(COLOURS)], "boxstyle": "round"}
        axis.annotate(name, middle, ha="center", va="center", fontsize=TITLE, bbox=look, zorder=9)
    low, high = spots.min(axis=0), spots.max(axis=0)
    margin = 0.06 * (high - low) + 1e-9
    axis.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axis.set_ylim(low[1] - margin[1], high[1] + margin[1])
    axis.set_xticks([])
    axis.set_yticks([])
    figure.suptitle(title, fontsize=TITLE)
    said = f"{len(spots)} small pictures laid out by their features, framed by class: {', '.join(classes)}"
    return with_alt(figure, f"{title}. {said}.")


def diagram(
    boxes: Mapping[str, tuple[float, float]], arrows: Sequence[tuple[str, str, str]], *, title: str = ""
) -> Figure:
    """Named ``boxes`` at their places (x, y), joined by ``arrows`` (from, to, what is said on the arrow).

    x and y count columns and rows of boxes. ValueError for an arrow to a box that is not there.
    """
    x, y = zip(*boxes.values(), strict=True)
    figure, ((axis,),) = new_figure(2.2 * (max(x) - min(x) + 1), 1.3 * (max(y) - min(y) + 1) + 0.6)
    axis.axis("off")
    axis.set_xlim(min(x) - 0.5, max(x) + 0.5)
    axis.set_ylim(min(y) - 0.6, max(y) + 0.6)
    for first, second, word in arrows:
        for name in (first, second):
            if name not in boxes:
                raise ValueError(f"There is no box {name!r}; there are {', '.join(boxes)}.")
        (x1, y1), (x2, y2) = boxes[first], boxes[second]
        look = {"arrowstyle": "-|>", "color": "0.25", "lw": 1.8, "shrinkA": 34, "shrinkB": 36}
        axis.annotate("", (x2, y2), (x1, y1), arrowprops=look)
        middle = ((x1 + x2) / 2, (y1 + y2) / 2)
        axis.annotate(word, middle, (0, 7), textcoords="offset points", ha="center", fontsize=TEXT)
    for name, place in boxes.items():
        look = {"boxstyle": "round,pad=0.5", "facecolor": "#DCECF6", "edgecolor": COLOURS[0]}
        axis.annotate(name, place, ha="center", va="center", fontsize=TEXT, bbox=look)
    figure.suptitle(title, fontsize=TITLE)
    said = "; ".join(f"{first}, {word or 'to'}: {second}" for first, second, word in arrows)
    return with_alt(figure, f"{title}. Boxes and arrows: {' '.join(said.split())}.")
