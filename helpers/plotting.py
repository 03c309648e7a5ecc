"""Figures: data in, a matplotlib ``Figure`` out, with a text for those who cannot see it.

Each function returns a figure that carries its alternative text; ``show(figure)`` displays it *with* that text, which
``plt.show()`` cannot. Colours are the Okabe-Ito set, safe for colour-blind eyes, and never the only sign.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from helpers.loaders import Part
from helpers.training import Evaluation, History

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
STYLES = ("-", "--", ":", "-.")  # beside the colour, so that a line is known without it
DPI = 90


def show(figure: Figure, *, alt: str | None = None) -> None:
    """Display ``figure`` in the notebook with its alternative text; ``alt`` replaces the text it carries."""
    from IPython.display import display

    text = alt or getattr(figure, "alt", None)
    if not text:
        raise ValueError("This figure has no alternative text yet: show(figure, alt='what one sees in it').")
    image = base64.b64encode(_png(figure)).decode()
    display({"image/png": image, "text/plain": text}, raw=True, metadata={"image/png": {"alt": text}})
    plt.close(figure)  # forgets a figure that came from plt.figure(), so that it is not shown twice


def _png(figure: Figure) -> bytes:
    """The figure as PNG with a palette of 256 colours: photos take a third of the room in the notebook."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=DPI)
    Image.open(full).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


def new_figure(width: float = 8, height: float = 4, *, rows: int = 1, columns: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of ``width`` x ``height`` inches that is not displayed by itself, and its axes ``(rows, columns)``."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def with_alt(figure: Figure, alt: str) -> Figure:
    """``figure``, carrying its alternative text."""
    figure.alt = alt
    return figure


def sample_grid(part: Part, classes: Sequence[str], *, per_class: int = 6, title: str = "") -> Figure:
    """The first ``per_class`` pictures of every class, one row a class, as the network gets them."""
    figure, axes = new_figure(1.35 * per_class, 1.45 * len(classes), rows=len(classes), columns=per_class)
    labels = part.labels.numpy()
    for row, name in enumerate(classes):
        for axis in axes[row]:
            axis.axis("off")
        for axis, index in zip(axes[row], np.flatnonzero(labels == row)[:per_class], strict=False):
            axis.imshow(picture(part, int(index)))
        axes[row][0].set_title(name, loc="left", fontsize=12)
    figure.suptitle(title)
    return with_alt(figure, f"{per_class} sample pictures of each class: {', '.join(classes)}. {title}")


def picture(part: Part, index: int) -> np.ndarray:
    """Picture ``index`` of ``part`` as ``(H, W, 3)`` in 0..1, without augmentation or normalisation."""
    pixels = part.data[int(part.indices[index])][0]
    return pixels.permute(1, 2, 0).cpu().numpy() / 255


def curves(histories: History | Sequence[History], *, names: Sequence[str] | None = None) -> Figure:
    """Loss and accuracy over the epochs, training beside validation; several histories for comparing runs."""
    histories = [histories] if isinstance(histories, History) else list(histories)
    names = list(names or [history.model for history in histories])
    figure, ((left, right),) = new_figure(10, 3.8, columns=2)
    for number, (history, name) in enumerate(zip(histories, names, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        for axis, value in ((left, "loss"), (right, "accuracy")):
            epochs = history.column("epoch")
            axis.plot(epochs, history.column(f"train_{value}"), "--o", color=colour, ms=3, alpha=0.6, label=f"{name}, training")
            axis.plot(epochs, history.column(f"val_{value}"), "-s", color=colour, ms=4, label=f"{name}, validation")
    _finish(left, "loss", "epoch", "cross-entropy")
    _finish(right, "accuracy", "epoch", "correct, %")
    left.legend(fontsize=8)
    figure.suptitle(" and ".join(dict.fromkeys(history.data for history in histories)))
    said = [f"{name}: validation accuracy {h.column('val_accuracy')[0]:.0f} % after the first epoch, at best {h.best.val_accuracy:.0f} % (epoch {h.best.epoch})" for h, name in zip(histories, names, strict=True)]
    return with_alt(figure, f"Curves of loss and accuracy over the epochs. {'; '.join(said)}.")


def confusion(evaluation: Evaluation, classes: Sequence[str], *, title: str = "") -> Figure:
    """The confusion matrix with its counts: row = what it is, column = what the network said."""
    counts = evaluation.confusion.numpy()
    size = 1.6 + 0.8 * len(classes)
    figure, ((axis,),) = new_figure(size + 0.6, size)
    axis.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        dark = counts[row, column] > 0.5 * counts[row].sum()
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", color="white" if dark else "black")
    axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set_xlabel("the network says")
    axis.set_ylabel("it is")
    axis.set_title(title or f"{evaluation.accuracy:.1f} % correct")
    off = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(off.argmax(), off.shape)
    worst = f"Most often mistaken: {classes[row]} for {classes[column]} ({off.max()} times)." if off.max() else "No mistakes."
    return with_alt(figure, f"Confusion matrix, {evaluation.accuracy:.1f} % correct. {worst}")


def worst_mistakes(evaluation: Evaluation, part: Part, classes: Sequence[str], *, count: int = 8) -> Figure:
    """The pictures on which the network was most surely wrong, with the probabilities it gave."""
    wrong = np.flatnonzero((evaluation.probabilities.argmax(dim=1) != evaluation.labels).numpy())
    if not len(wrong):
        figure, ((axis,),) = new_figure(6, 1)
        axis.text(0.5, 0.5, "No mistakes to show: every picture is classified correctly.", ha="center", va="center")
        axis.axis("off")
        return with_alt(figure, "No mistakes to show.")
    truth = evaluation.probabilities[wrong, evaluation.labels[wrong]].numpy()
    order = wrong[truth.argsort(kind="stable")][:count]
    columns = min(4, len(order))
    rows = math.ceil(len(order) / columns)
    figure, axes = new_figure(2.3 * columns, 2.7 * rows, rows=rows, columns=columns)
    for axis in axes.flat:
        axis.axis("off")
    said = []
    for axis, index in zip(axes.flat, order, strict=False):
        label, probabilities = int(evaluation.labels[index]), evaluation.probabilities[index]
        guess = int(probabilities.argmax())
        axis.imshow(picture(part, int(index)))
        axis.set_title(
            f"says {classes[guess]} {100 * probabilities[guess]:.0f} %\nis {classes[label]} "
            f"({100 * probabilities[label]:.0f} %)\n{_short(part.paths[index])}", fontsize=9,
        )  # fmt: skip
        said.append(f"a {classes[label]} taken for a {classes[guess]}")
    return with_alt(figure, f"The {len(order)} worst mistakes: {', '.join(said)}.")


def prediction(image: np.ndarray, probabilities: Sequence[float], classes: Sequence[str], *, title: str = "") -> Figure:
    """One picture ``(H, W, 3)`` beside a bar for the probability of each class (at most the ten likeliest)."""
    values = np.asarray(probabilities, dtype=float)
    order = values.argsort()[::-1][:10]
    figure, ((left, right),) = new_figure(8, 3.2, columns=2)
    left.imshow(image)
    left.axis("off")
    left.set_title(title)
    right.barh([classes[index] for index in order], 100 * values[order], color=BLUE)
    right.invert_yaxis()
    right.set_xlim(0, 112)
    for place, index in enumerate(order):
        right.text(100 * values[index] + 1, place, f"{100 * values[index]:.1f} %", va="center")
    _finish(right, "", "probability, %", "")
    top = f"{classes[order[0]]} with {100 * values[order[0]]:.0f} %"
    return with_alt(figure, f"A picture and the probability of each class; most likely {top}. {title}")


def channels(pixels: torch.Tensor, *, title: str = "") -> Figure:
    """A colour picture ``(3, H, W)`` uint8 beside its red, green and blue values in grey."""
    figure, axes = new_figure(10, 3, columns=4)
    values = pixels.cpu().numpy()
    axes[0][0].imshow(values.transpose(1, 2, 0))
    axes[0][0].set_title("the picture")
    for axis, plane, name in zip(axes[0][1:], values, ("red", "green", "blue"), strict=True):
        axis.imshow(plane, cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{name}: mean {plane.mean():.0f}")
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(title)
    means = ", ".join(f"{name} {plane.mean():.0f}" for name, plane in zip(("red", "green", "blue"), values, strict=True))
    return with_alt(figure, f"{title} (mean values of 255: {means}).")


def maps(named: dict[str, torch.Tensor], *, columns: int = 5, title: str = "") -> Figure:
    """Activation maps ``(H, W)`` side by side in grey, each on its own scale from its lowest to its highest value."""
    rows = math.ceil(len(named) / columns)
    columns = min(columns, len(named))
    figure, axes = new_figure(2.1 * columns, 2.3 * rows + 0.4, rows=rows, columns=columns)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, values) in zip(axes.flat, named.items(), strict=False):
        axis.imshow(values.cpu().numpy(), cmap="gray")
        axis.set_title(name, fontsize=11)
    figure.suptitle(title)
    return with_alt(figure, f"{title}: {', '.join(named)}. Each map is drawn from its lowest value (black) to its highest.")


def filters(weight: np.ndarray, *, columns: int = 16, title: str = "") -> Figure:
    """First-layer filters ``(K, 3, h, w)`` as small colour pictures, each stretched to its own range."""
    low, high = (f(axis=(1, 2, 3), keepdims=True) for f in (weight.min, weight.max))
    tiles = ((weight - low) / np.maximum(high - low, 1e-12)).transpose(0, 2, 3, 1)  # (K, h, w, 3)
    rows = math.ceil(len(tiles) / columns)
    figure, axes = new_figure(0.6 * columns, 0.62 * rows + 0.4, rows=rows, columns=columns)
    for axis in axes.flat:
        axis.axis("off")
    for axis, tile in zip(axes.flat, tiles, strict=False):
        axis.imshow(tile, interpolation="nearest")
    figure.suptitle(title)
    size = f"{weight.shape[2]}x{weight.shape[3]}"
    return with_alt(figure, f"{len(tiles)} filters of the first layer, {size} pixels each, in colour. {title}")


def bars(values: dict[str, float], *, title: str, unit: str, spread: dict[str, float] | None = None) -> Figure:
    """One labelled bar a name; ``spread`` adds an error bar (for example a standard deviation over seeds)."""
    names = list(values)
    figure, ((axis,),) = new_figure(8, 0.9 + 0.5 * len(names))
    errors = None if spread is None else [spread[name] for name in names]
    axis.barh(names, list(values.values()), xerr=errors, color=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
    axis.invert_yaxis()
    highest = max(values.values())
    for place, value in enumerate(values.values()):
        axis.text(value + 0.02 * highest, place, f"{value:.1f} {unit}", va="center")
    axis.set_xlim(0, 1.15 * highest)
    _finish(axis, title, unit, "")
    return with_alt(figure, f"{title}: " + ", ".join(f"{name} {value:.1f} {unit}" for name, value in values.items()))


def _finish(axis: Axes, title: str, x_label: str, y_label: str) -> None:
    axis.set_title(title)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
