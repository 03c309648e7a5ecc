"""Figures: data in, a matplotlib ``Figure`` out, with a text for those who cannot see it.

Each function returns a figure that carries its alternative text; ``show(figure)`` displays it *with* that text, which
``plt.show()`` cannot. Colours are the kit's palette, safe for colour-blind eyes, and never the only sign.

The figures of one subject stand in files of their own, and are names of ``plotting`` too: ``plotting.bands`` (runs
over several seeds), ``plotting.feature_maps``, ``plotting.cumulative``, ``plotting.activation_functions`` ...
"""

from __future__ import annotations

import base64
import importlib
import io
import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.figure
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from PIL import Image

from helpers.plotting.figure import Figure, label, label_all, readable
from helpers.svg import BLUE, GREEN, ORANGE, PURPLE, SKY, screen
from helpers.svg import VERMILION as RED
from helpers.svg.screen import projector as projector  # plotting.projector() is what a lecturer calls

if TYPE_CHECKING:  # for their types: torch is not loaded for a bar chart
    from torch import Tensor

    from helpers.loaders import Subset
    from helpers.training import Evaluation, History

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
STYLES = ("-", "--", ":", "-.")  # beside the colour, so that a line is known without it
MARKERS = ("o", "s", "^", "D", "v", "P")
DPI, SHOWN_DPI = 150, 90  # of the stored picture, and of its size on the page: sharp on projectors and fine screens
MOST_CLASSES, MOST_CONFUSED = 30, 20  # in a confusion matrix; of a larger one the most confused are shown
MOST_ROWS = 16  # classes with samples
TITLE, TEXT = 14, 12  # points: readable from the back row when a notebook is projected

_ELSEWHERE = {  # file: figures that are found here too, loaded when they are asked for
    "runs": ("bands",),
    "activations": ("feature_maps", "cam_overlay"),
    "descent": ("descents",),
    "networks": ("weights_against_work", "cumulative", "shares"),
    "recipe": (
        "activation_functions", "by_depth", "norm_axes", "histograms", "gallery", "learning_rates",
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for file, names in _ELSEWHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def show(figure: matplotlib.figure.Figure, *, alt: str | None = None) -> None:
    """Display ``figure`` in the notebook with its alternative text; ``alt`` replaces the text it carries."""
    import matplotlib.pyplot as plt
    from IPython.display import display

    text = readable(alt or (figure.alt if isinstance(figure, Figure) else ""))
    if not text:
        raise ValueError("This figure has no alternative text yet: show(figure, alt='what one sees in it').")
    image = base64.b64encode(_png(figure)).decode()
    width, height = (round(side * SHOWN_DPI * screen.scale()) for side in figure.get_size_inches())
    about = {"alt": text, "width": width, "height": height}
    display({"image/png": image, "text/plain": text}, raw=True, metadata={"image/png": about})
    plt.close(figure)  # forgets a figure that came from plt.figure(), so that it is not shown twice


def _png(figure: matplotlib.figure.Figure) -> bytes:
    """The figure as PNG with a palette: 256 colours for images, a third of the room; 64 for lines and letters."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=DPI * screen.scale())
    few = 256 if any(axis.images for axis in figure.axes) else 64
    _in_few_colours(Image.open(full).convert("RGB"), few).save(small, format="png", optimize=True)
    return small.getvalue()


def _in_few_colours(image: Image.Image, few: int = 256) -> Image.Image:
    """The palette is spread over all colours that occur, then moved to the middle of those that it stands for.

    The usual median cut gives nearly all of it to a photo, and leaves bands in a colour bar beside it.
    """
    levels = [round(round(value / 255 * 31) * 255 / 31) for value in range(256)]  # 32 of each channel: a photo in time
    few_change = image.width * image.height // 100  # k-means ends when at most so many pixels change their colour
    return image.point(levels * 3).quantize(few, Image.Quantize.MAXCOVERAGE, kmeans=few_change)


# ---- what every figure is made with ------------------------------------------------------------------------------


def new_figure(
    width: float = 8, height: float = 4, *, rows: int = 1, columns: int = 1, title: str = ""
) -> tuple[Figure, np.ndarray]:
    """A figure of ``width`` x ``height`` inches that is not displayed by itself, and its axes ``(rows, columns)``."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.tick_params(labelsize=TEXT)
    if title:
        most = max(12, int(9.5 * width))  # letters that fit side by side
        lines = [textwrap.fill(label(line, 300), most) for line in title.splitlines()]
        figure.suptitle("\n".join(lines), fontsize=TITLE)
    return figure, axes


def tiles(count: int, columns: int, *, width: float, height: float, title: str = "") -> tuple[Figure, list[Axes]]:
    """A figure with room for ``count`` images, each ``width`` x ``height`` inches, row by row; no frames."""
    columns = min(columns, count)
    rows, above = math.ceil(count / columns), 0.4 * bool(title)
    figure, axes = new_figure(width * columns, height * rows + above, rows=rows, columns=columns, title=title)
    for axis in axes.flat:
        axis.axis("off")
    return figure, list(axes.flat)


def with_alt(figure: Figure, alt: str) -> Figure:
    """``figure``, carrying its alternative text."""
    figure.alt = " ".join(readable(alt).split())
    return figure


def look(number: int) -> dict[str, Any]:
    """Colour, line style and marker of line ``number``, for ``axis.plot``."""
    return {
        "color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)],
        "marker": MARKERS[number % len(MARKERS)],
    }  # fmt: skip


def finish(axis: Axes, title: str, x_label: str, y_label: str) -> None:
    """Title, labels and a grid, as every diagram of the kit has them."""
    axis.set_title(title, fontsize=TITLE)
    axis.set_xlabel(x_label, fontsize=TEXT)
    axis.set_ylabel(y_label, fontsize=TEXT)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Figure, handles: Mapping[str, Artist] | None = None, *, columns: int = 99) -> None:
    """One legend for all axes, below them in as many columns as fit; ``handles`` by what is written beside them."""
    if handles is None:
        pairs = [zip(*axis.get_legend_handles_labels(), strict=True) for axis in figure.axes]
        handles = {str(name): handle for axis in pairs for handle, name in axis}
    names = label_all(list(handles), int(10 * figure.get_size_inches()[0]) - 14)
    width = 1.0 + 0.1 * max(map(len, names))  # inches: the line and its name
    most = max(1, min(columns, len(handles), int(figure.get_size_inches()[0] / width)))
    figure.legend(
        list(handles.values()), names, loc="outside lower center", ncols=most, fontsize=TEXT,
        frameon=False, handlelength=3.5,
    )  # fmt: skip


# ---- data, training, predictions ---------------------------------------------------------------------------------


def sample_grid(part: Subset, classes: Sequence[str], *, per_class: int = 6, title: str = "") -> Figure:
    """The first ``per_class`` pictures of every class, one row a class, as the network gets them.

    Of more than 16 classes it shows 16, spread evenly over the alphabet, and says so.
    """
    shown = sorted(set(np.linspace(0, len(classes) - 1, MOST_ROWS).round().astype(int).tolist()))
    if len(shown) < len(classes):
        title = f"{title}\n{len(shown)} of {len(classes)} classes".strip()
    figure, axes = tiles(per_class * len(shown), per_class, width=1.4, height=1.65, title=title)
    short = label_all(list(classes), 10 * per_class + 2)
    for row, number in enumerate(shown):
        first = row * per_class
        for axis, index in zip(axes[first:], np.flatnonzero(part.labels.numpy() == number)[:per_class], strict=False):
            axis.imshow(picture(part, int(index)))
        axes[first].set_title(short[number], loc="left", fontsize=TITLE)
    names = ", ".join(classes[number] for number in shown)
    return with_alt(figure, f"{per_class} sample pictures of each class: {names}. {title}")


def picture(part: Subset, index: int) -> np.ndarray:
    """Picture ``index`` of ``part`` as ``(H, W, 3)`` in 0..1, without augmentation or normalisation."""
    pixels = part.data[int(part.indices[index])][0]
    return pixels.permute(1, 2, 0).cpu().numpy() / 255


def curves(histories: History | Sequence[History], *, names: Sequence[str] | None = None) -> Figure:
    """Loss and accuracy over the epochs, training beside validation; several histories for comparing runs."""
    histories = list(histories) if isinstance(histories, Sequence) else [histories]
    names = list(names or [history.model for history in histories])
    data = " and ".join(dict.fromkeys(history.data for history in histories))
    figure, ((left, right),) = new_figure(10, 4.3 + 0.3 * len(histories), columns=2, title=data)
    for number, (history, name) in enumerate(zip(histories, names, strict=True)):
        for axis, value in ((left, "loss"), (right, "accuracy")):
            train, val = history.column(f"train_{value}"), history.column(f"val_{value}")
            same, epochs = look(number), history.column("epoch")
            axis.plot(epochs, train, **same | {"linestyle": "--"}, mfc="white", lw=1.2, label=f"{name}, training")
            axis.plot(epochs, val, **same | {"linestyle": "-"}, lw=2.2, label=f"{name}, validation")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(left, "loss", "epoch", "cross-entropy")
    finish(right, "accuracy", "epoch", "correct, %")
    legend_below(figure, columns=2)  # one a run, while there are two
    said = "; ".join(f"{name}: {_course(history)}" for name, history in zip(names, histories, strict=True))
    return with_alt(figure, f"Curves of loss and accuracy over the epochs. {said}.")


def _course(history: History) -> str:
    """A training run in words."""
    if not history.epochs:
        return "no epoch was done"
    first, best = history.epochs[0], history.best
    return (
        f"validation accuracy {first.val_accuracy:.0f} % after the first epoch, "
        f"at best {best.val_accuracy:.0f} % (epoch {best.epoch})"
    )


def confusion(evaluation: Evaluation, classes: Sequence[str], *, title: str = "") -> Figure:
    """The confusion matrix with its counts: row = what it is, column = what the network said.

    Of more than 30 classes it shows the 20 that are most often mistaken for each other, and says so. The colour is the
    share of all pictures of the row's class.
    """
    counts = evaluation.confusion.numpy()
    off = counts - np.diag(np.diag(counts))
    heading, shown = title or f"{evaluation.accuracy:.1f} % correct", np.arange(len(classes))
    if len(classes) > MOST_CLASSES:
        pairs = np.transpose(np.unravel_index(off.argsort(axis=None, kind="stable")[::-1], off.shape))
        shown = np.sort(list(dict.fromkeys(pairs.ravel().tolist()))[:MOST_CONFUSED])
        heading += f"\n{len(shown)} of {len(classes)} classes: those most often mistaken for each other"
    height = 2.2 + 0.7 * len(shown)
    figure, ((axis,),) = new_figure(max(height + 0.8, 5.5), height, title=heading)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares[np.ix_(shown, shown)], cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(len(shown), len(shown)):
        at = shown[row], shown[column]
        colour = "white" if shares[at] > 0.5 else "black"
        axis.text(column, row, str(counts[at]), ha="center", va="center", color=colour, fontsize=TITLE)
    names = label_all([classes[int(number)] for number in shown], 24)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("predicted", fontsize=TEXT)
    axis.set_ylabel("true", fontsize=TEXT)
    row, column = np.unravel_index(off.argmax(), off.shape)
    worst = f"Most often mistaken: {classes[row]} for {classes[column]} ({off.max()} times)."
    worst = worst if off.max() else "No mistakes."
    return with_alt(figure, f"Confusion matrix, {evaluation.accuracy:.1f} % correct. {worst} {title}")


def worst_mistakes(evaluation: Evaluation, part: Subset, classes: Sequence[str], *, count: int = 8) -> Figure:
    """The pictures on which the network was most surely wrong, with the probabilities it gave."""
    wrong = np.flatnonzero((evaluation.probabilities.argmax(dim=1) != evaluation.labels).numpy())
    if not len(wrong):
        figure, (axis,) = tiles(1, 1, width=7.5, height=1)
        sentence = "No mistakes to show: every picture is classified correctly."
        axis.text(0.5, 0.5, sentence, ha="center", va="center", fontsize=TITLE)
        return with_alt(figure, sentence)
    given = evaluation.probabilities[wrong, evaluation.labels[wrong]].numpy()
    order = wrong[given.argsort(kind="stable")][:count]
    figure, axes = tiles(len(order), 4, width=2.4, height=3.2)
    said = []
    for axis, index in zip(axes, order, strict=False):
        truth, probabilities = int(evaluation.labels[index]), evaluation.probabilities[index]
        guess = int(probabilities.argmax())
        axis.imshow(picture(part, int(index)))
        axis.set_title(
            f"says {label(classes[guess], 12)}, {100 * probabilities[guess]:.0f} %\nis {label(classes[truth], 12)}, "
            f"{100 * probabilities[truth]:.0f} %\n{label(part.paths[index].name, 22)}", fontsize=TEXT,
        )  # fmt: skip
        said.append(f"{classes[truth]} taken for {classes[guess]}")
    return with_alt(figure, f"The {len(order)} worst mistakes: {', '.join(said)}.")


def prediction(image: np.ndarray, probabilities: Sequence[float], classes: Sequence[str], *, title: str = "") -> Figure:
    """One picture ``(H, W, 3)`` beside a bar for the probability of each class (at most the ten likeliest)."""
    values = np.asarray(probabilities, dtype=float)
    order = values.argsort()[::-1][:10]
    figure, ((left, right),) = new_figure(9, max(3.4, 1.2 + 0.4 * len(order)), columns=2, title=title)
    left.imshow(image)
    left.axis("off")
    right.barh(range(len(order)), 100 * values[order], color=BLUE)
    right.set_yticks(range(len(order)), label_all([classes[index] for index in order], 20))
    right.invert_yaxis()
    right.set(xlim=(0, 125), xticks=range(0, 101, 25))
    for place, index in enumerate(order):
        right.text(100 * values[index] + 1, place, f"{100 * values[index]:.1f} %", va="center", fontsize=TEXT)
    finish(right, "", "probability, %", "")
    top = f"{classes[order[0]]} with {100 * values[order[0]]:.0f} %"
    return with_alt(figure, f"A picture and the probability of each class; most likely {top}. {title}")


def channels(pixels: Tensor, *, title: str = "") -> Figure:
    """A colour image ``(3, H, W)`` uint8 beside its red, green and blue values in grey."""
    values = pixels.cpu().numpy()
    figure, axes = tiles(4, 4, width=2.5, height=0.3 + 2.5 * values.shape[1] / values.shape[2], title=title)
    axes[0].imshow(values.transpose(1, 2, 0))
    axes[0].set_title("the image", fontsize=TEXT)
    means = [f"{name}: mean {plane.mean():.0f}" for name, plane in zip(("red", "green", "blue"), values, strict=True)]
    for axis, plane, mean in zip(axes[1:], values, means, strict=True):
        axis.imshow(plane, cmap="gray", vmin=0, vmax=255)
        axis.set_title(mean, fontsize=TEXT)
    return with_alt(figure, f"{title} (values from 0 to 255; {', '.join(means)}).")


def maps(
    named: Mapping[str, Tensor], *, columns: int = 5, signed: bool = False, width: float = 2.1, title: str = ""
) -> Figure:
    """Maps ``(H, W)`` side by side in grey, each from its lowest to its highest value; ``(H, W, 3)`` in 0..1 in colour.

    ``signed=True`` draws those with a value below zero from blue over white (zero) to red, each on its own scale, and
    those of at most 5 x 5, kernels, with their numbers.
    """
    figure, axes = tiles(len(named), columns, width=width, height=width + 0.3, title=title)
    for axis, (name, values) in zip(axes, named.items(), strict=False):
        pixels = values.detach().cpu().float().numpy()
        small, top = pixels.ndim == 2 and pixels.size <= 25, np.abs(pixels).max() or 1
        diverging = signed and (small or pixels.min() < 0)
        look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -top, "vmax": top} if diverging else {"cmap": "gray"}
        axis.imshow(pixels, interpolation="nearest", **look)
        for (row, column), number in np.ndenumerate(pixels) if diverging and small else ():
            ink = "white" if abs(number) > 0.7 * top else "black"
            words = f"{round(float(number), 2) + 0:g}"
            axis.text(column, row, words, ha="center", va="center", fontsize=TEXT, color=ink)
        axis.set_title(name, fontsize=TEXT)
    grey = "Each map is drawn from its lowest value (black) to its highest."
    scale = "Blue is below zero, white is zero, red above." if signed else grey
    return with_alt(figure, f"{title}: {', '.join(named)}. {scale}")


def filters(weight: np.ndarray, *, columns: int = 12, title: str = "") -> Figure:
    """First-layer filters ``(K, 3, h, w)`` as numbered colour images, each stretched to its own range."""
    low, high = (f(axis=(1, 2, 3), keepdims=True) for f in (weight.min, weight.max))
    stretched = ((weight - low) / np.maximum(high - low, 1e-12)).transpose(0, 2, 3, 1)  # (K, h, w, 3)
    figure, axes = tiles(len(stretched), columns, width=0.95, height=1.2, title=title)
    for number, (axis, pixels) in enumerate(zip(axes, stretched, strict=False)):
        axis.imshow(pixels, interpolation="nearest")
        axis.set_title(str(number), fontsize=TEXT, pad=2)
    size = f"{weight.shape[2]}x{weight.shape[3]}"
    return with_alt(figure, f"{len(stretched)} filters of the first layer, {size} pixels each, in colour. {title}")


def bars(
    values: Mapping[str, float],
    *,
    title: str,
    unit: str,
    spread: Mapping[str, tuple[float, float]] | None = None,
    apart: Collection[str] = (),
) -> Figure:
    """One labelled bar a name; ``spread`` holds (lowest, highest) for its whiskers, the title should say of what.

    Those that are of another kind, ``apart``, are grey and hatched. ValueError for a name in it that has no bar.
    """
    if unknown := set(apart) - set(values):
        raise ValueError(f"apart names {sorted(unknown)}, but the bars are {list(values)}.")
    names, means = list(values), np.array(list(values.values()), dtype=float)
    ends = [spread[name] if spread else (value, value) for name, value in values.items()]
    lows, highs = np.transpose(ends)
    whiskers = np.stack([means - lows, highs - means]).clip(min=0)  # the mean of equal numbers may differ in rounding
    figure, ((axis,),) = new_figure(9, 1.4 + (0.5 if len(names) <= MOST_CLASSES else 0.22) * len(names), title=title)
    drawn = axis.barh(range(len(names)), means, xerr=whiskers if spread else None, color=BLUE, capsize=4)
    axis.set_yticks(range(len(names)), label_all(names, 40))
    for name, bar in zip(names, drawn, strict=True):
        if name in apart:
            bar.set(facecolor="#BBBBBB", edgecolor="#555555", hatch="//")
    axis.invert_yaxis()
    left, right = min(0.0, *lows), max(0.0, *highs)
    room = 0.2 * (right - left) or 1.0  # for the numbers beside the bars
    axis.set_xlim(left - room * bool(min(means) < 0), right + room * bool(max(means) >= 0))
    axis.axvline(0, color="black", lw=0.8)
    for place, (value, low, high) in enumerate(zip(means, lows, highs, strict=True)):
        x, side = (high + 0.05 * room, "left") if value >= 0 else (low - 0.05 * room, "right")
        axis.text(x, place, f"{value:.1f} {unit}", va="center", ha=side, fontsize=TEXT)
    finish(axis, "", unit, "")
    ranges = [f" ({low:.1f} to {high:.1f})" if spread else "" for low, high in ends]
    said = ", ".join(f"{name} {value:.1f} {unit}{r}" for (name, value), r in zip(values.items(), ranges, strict=True))
    return with_alt(figure, f"{title}: {said}")
