"""Figures of experiments: the mean over the seeds as a line, their spread as a band."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from helpers.experiments import SPREADS, Results
from helpers.plotting import COLOURS, MARKERS, STYLES, TEXT, TITLE, new_figure, with_alt


def bands(
    results: Results,
    metric: str | Sequence[str],
    *,
    title: str = "",
    spread: str = "min-max",
    log: bool = False,
    pairs: bool = False,
) -> Figure:
    """``metric`` over the epochs, one line a setting with a band for the seeds; several metrics side by side.

    Colour, line style and marker tell the settings apart; with ``pairs``, two that follow each other share colour and
    marker, and the second is dashed. ``spread`` as in ``Results.band``; the figure says which.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    figure, (axes,) = new_figure(max(7.5, 5.2 * len(metrics)), 4.6 + 0.15 * len(results.settings), columns=len(metrics))
    for axis, name in zip(axes, metrics, strict=True):
        for number, setting in enumerate(results.settings):
            band = results.band(setting, name, spread=spread)
            epochs = range(1, len(band.mean) + 1)
            kind, style = (number // 2, ("-", "--")[number % 2]) if pairs else (number, STYLES[number % len(STYLES)])
            colour, marker = COLOURS[kind % len(COLOURS)], MARKERS[kind % len(MARKERS)]
            axis.fill_between(epochs, band.low, band.high, color=colour, alpha=0.2, lw=0)
            axis.plot(epochs, band.mean, style, color=colour, marker=marker, lw=2.2, markevery=0.1, label=setting)
        axis.set_xlabel("epoch", fontsize=TEXT)
        axis.set_ylabel(name, fontsize=TEXT)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(ScalarFormatter())
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False,
        handlelength=3.5,
    )  # fmt: skip
    seeds = len({run.seed for run in results.runs})
    said = f"{seeds} seeds; band: {SPREADS[spread]}"
    figure.suptitle("\n".join(filter(None, [title, said, _short(results.note)])), fontsize=TITLE)
    what = title or ", ".join(metrics)
    return with_alt(figure, f"{what} over the epochs, {said}. {_ends(results, metrics)} {results.note}")


def _ends(results: Results, metrics: Sequence[str]) -> str:
    """Where every line ends, in words."""
    return (
        "; ".join(
            f"{setting}: {metric} {results.band(setting, metric).mean[-1]:.3g} at the end"
            for metric in metrics
            for setting in results.settings
        )
        + "."
    )


def _short(note: str) -> str:
    """The label of loaded numbers without its details, for a title."""
    return note.split(")")[0] + ")" if note else ""
