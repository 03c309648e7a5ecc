"""The figure of runs over several seeds: the mean as a line, their spread as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from helpers.experiments import SPREADS, Band, Results
from helpers.plotting import TEXT, Figure, finish, legend_below, look, new_figure, with_alt

Runs = Sequence[Sequence[float]]  # one row a seed, one value a place on the x axis


def bands(
    panels: Results | Mapping[str, Mapping[str, Runs]],
    at: str | Sequence[str] | Sequence[float],
    *,
    x_label: str = "epoch",
    y_label: str = "",
    title: str = "",
    spread: str = "min-max",
    log: bool = False,
    pairs: bool = False,
    guessing: float | None = None,
) -> Figure:
    """For every panel one line a name: the mean over the seeds, in a band from the lowest to the highest of them.

    ``bands(results, "test error, %")`` draws an experiment over its epochs, a panel a metric, a line a setting;
    ``bands({"near": {"frozen": runs}}, (5, 80), x_label=..., y_label=...)`` draws any ``runs``, one row a seed and one
    value a place. The places are the same for all lines and stand at equal distances, whatever their values.

    Args:
        panels: what an experiment measured, or panel -> name of a line -> runs; a panel may be named "".
        at: of results the metric, or several; of runs the places on the x axis.
        spread: of results, what the band is, as in ``Results.band``; the figure says which.
        log: a logarithmic y axis.
        pairs: two lines that follow each other share colour and marker, and the second is dashed.
        guessing: a grey line at this height.
    """
    if isinstance(panels, Results):
        metrics = [at] if isinstance(at, str) else [str(metric) for metric in at]
        lines = {name: {s: panels.band(s, name, spread=spread) for s in panels.settings} for name in metrics}
        said = f"{len({run.seed for run in panels.runs})} seeds; band: {SPREADS[spread]}"
        ends = [f"{s}: {name} {lines[name][s].mean[-1]:.3g} at the end" for name in metrics for s in panels.settings]
        alt = f"{title or ', '.join(metrics)} over the epochs, {said}. {'; '.join(ends)}. {panels.note}"
        short = panels.note.split(")")[0] + ")" if panels.note else ""  # without its details
        title = "\n".join(filter(None, [title, said, short]))
    else:
        lines = {panel: {name: _band(runs) for name, runs in named.items()} for panel, named in panels.items()}
        means = [
            f"{f'{panel}, ' if panel else ''}{name}: {', '.join(f'{mean:.0f}' for mean in band.mean)}"
            for panel, named in lines.items()
            for name, band in named.items()
        ]
        alt = f"{title}. {y_label} at {x_label} {', '.join(map(str, at))}. {'; '.join(means)}."
    names = list(dict.fromkeys(name for named in lines.values() for name in named))
    width, height = max(7.5, min(5.2 * len(lines), 14)), 4.6 + 0.15 * len(names)
    figure, (axes,) = new_figure(width, height, columns=len(lines), title=title)
    for axis, (panel, named) in zip(axes, lines.items(), strict=True):
        for name, band in named.items():
            number = names.index(name)
            style = look(number // 2) | {"linestyle": "--" if number % 2 else "-"} if pairs else look(number)
            x = np.arange(len(band.mean)) + isinstance(panels, Results)  # epochs count from 1
            axis.fill_between(x, band.low, band.high, color=style["color"], alpha=0.2, lw=0)
            axis.plot(x, band.mean, **style, lw=2.2, markevery=max(1, len(x) // 10), label=name)
        if log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(ScalarFormatter())
        if guessing is not None:
            axis.axhline(guessing, color="0.5", lw=1.2, ls=(0, (1, 3)))
            axis.annotate("guessing", (0, guessing), (2, 3), textcoords="offset points", fontsize=TEXT, color="0.35")
        if isinstance(panels, Results):
            finish(axis, "", x_label, panel)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            finish(axis, panel, x_label, y_label if axis is axes[0] else "")
            axis.set_xticks(range(len(at)), [str(place) for place in at])
    if not isinstance(panels, Results):  # the panels are of one kind: let them be compared
        low, high = zip(*(axis.get_ylim() for axis in axes), strict=True)
        for axis in axes:
            axis.set_ylim(min(low), max(high))
    legend_below(figure)
    return with_alt(figure, alt)


def _band(runs: Runs) -> Band:
    values = np.asarray(runs, dtype=float)
    mean, low, high = (tuple(function(axis=0).tolist()) for function in (values.mean, values.min, values.max))
    return Band(mean, low, high, "min-max")
