"""The same run over settings and seeds: one run proves little, several show what is the setting and what is luck.

    def train(seed, lr):                      # any function of the seed and the settings
        ...
        return [{"loss": 2.1}, {"loss": 1.4}]   # numbers for every epoch, or one dict of numbers

    results = experiments.run(train, {"small steps": {"lr": 0.01}, "large": {"lr": 0.1}}, seeds=(0, 1, 2))
    print(results)

No seed is ever left out: a mean over the seeds that look good would say nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import inspect
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import machine
from helpers.training import progress

Metrics = Mapping[str, float]
SPREADS = {"min-max": "lowest to highest seed", "std": "one standard deviation over the seeds up and down"}


class ExperimentError(RuntimeError):
    """A run failed; the message says which, the cause is attached."""


@dataclass(frozen=True)
class Run:
    """One run: what it measured after every epoch, and where the numbers come from."""

    setting: str
    seed: int
    epochs: tuple[dict[str, float], ...]
    seconds: float
    when: str  # date, as 2025-03-31
    where: str  # torch version and device


@dataclass(frozen=True)
class Band:
    """Mean over the seeds and how far they lie apart, for every epoch."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: str  # "min-max" or "std"


@dataclass
class Results:
    """All runs, in the order of the settings and seeds. ``print`` shows the last epoch's numbers of every setting."""

    settings: dict[str, dict[str, Any]]
    runs: list[Run] = field(default_factory=list)
    note: str = ""  # says it when numbers were computed beforehand

    @property
    def metrics(self) -> list[str]:
        return list(self.runs[0].epochs[0])

    def rows(self) -> list[dict[str, Any]]:
        """One dict an epoch of a run, for ``pandas.DataFrame(results.rows())``: setting, seed, epoch, metrics."""
        return [
            {"setting": run.setting, "seed": run.seed, "epoch": number, **metrics}
            for run in self.runs
            for number, metrics in enumerate(run.epochs, start=1)
        ]

    def of(self, setting: str, metric: str) -> list[list[float]]:
        """For every seed the values of ``metric`` over the epochs. ValueError for a name that is not there."""
        if setting not in self.settings:
            raise ValueError(f"There is no setting {setting!r}, only {', '.join(self.settings)}.")
        if metric not in self.metrics:
            raise ValueError(f"There is no metric {metric!r}, only {', '.join(self.metrics)}.")
        return [[epoch[metric] for epoch in run.epochs] for run in self.runs if run.setting == setting]

    def last(self, setting: str, metric: str) -> list[float]:
        """For every seed the value of ``metric`` after the last epoch."""
        return [values[-1] for values in self.of(setting, metric)]

    def band(self, setting: str, metric: str, *, spread: str = "min-max") -> Band:
        """Mean and spread over the seeds, for the epochs that every seed has.

        ``spread`` is "min-max" (lowest to highest seed) or "std" (mean plus and minus the sample standard deviation).
        """
        if spread not in SPREADS:
            raise ValueError(f"spread={spread!r} is not known; choose {' or '.join(SPREADS)}.")
        by_epoch = list(zip(*self.of(setting, metric), strict=False))
        mean = [math.fsum(values) / len(values) for values in by_epoch]
        if spread == "min-max":
            low, high = [float(np.min(values)) for values in by_epoch], [float(np.max(values)) for values in by_epoch]
        else:
            std = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for values in by_epoch]
            low = [m - s for m, s in zip(mean, std, strict=True)]
            high = [m + s for m, s in zip(mean, std, strict=True)]
        return Band(tuple(mean), tuple(low), tuple(high), spread)

    def __str__(self) -> str:
        """A table: for every setting mean and [lowest, highest] seed of every metric, after the last epoch."""
        width = max(len("setting"), *map(len, self.settings))
        cells = {name: [_cell(self.last(name, metric)) for metric in self.metrics] for name in self.settings}
        columns = [max(len(metric), *(len(row[i]) for row in cells.values())) for i, metric in enumerate(self.metrics)]
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in self.runs))
        header = [f"{metric:>{column}}" for metric, column in zip(self.metrics, columns, strict=True)]
        lines = [self.note] if self.note else []
        lines += [
            f"last epoch: mean [lowest, highest] over the seeds {seeds}",
            "  ".join([f"{'setting':{width}}", *header]),
        ]
        for name, row in cells.items():
            lines.append("  ".join([f"{name:{width}}", *(f"{c:>{w}}" for c, w in zip(row, columns, strict=True))]))
        return "\n".join(lines)


def run(
    fn: Callable[..., Metrics | Sequence[Metrics]],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    cache: str | Path | None = None,
    how: str = "",
    recompute: bool = False,
) -> Results:
    """Call ``fn(seed, **setting)`` for every setting and every seed.

    Before each call Python's, numpy's and torch's random numbers are set to the seed, so the order of the runs does not
    matter; afterwards the caller's are as they were.

    Args:
        fn: returns a dict of numbers, or a list of such dicts, one an epoch.
        settings: name -> keyword arguments of ``fn``, for example ``{"ReLU": {"activation": "relu"}}``.
        cache: a JSON file. Runs that are in it are loaded, which ``Results.note`` (and so ``print``) says; every new
            run is added to it at once, so that a session that dies loses one run. None: compute everything.
        how: stands in the file: which notebook and cell compute it, for example "notebook 05, section 6, full profile".
        recompute: True computes everything now and leaves the file as it is.

    Raises:
        ValueError: no settings, no seeds or a seed twice; or the file holds other settings under the same name.
        ExperimentError: a run failed; names its setting and seed.
    """
    settings = {name: dict(options) for name, options in settings.items()}
    _check(settings, seeds)
    path = None if cache is None or recompute else Path(cache)
    record = Record(path, how=how, source=_source(fn), settings=settings)
    loaded = {(old["setting"], old["seed"]): Run(**old | {"epochs": tuple(old["epochs"])}) for old in record.runs}
    jobs = [(name, seed) for name in settings for seed in seeds]
    missing = [job for job in jobs if job not in loaded]
    fresh = {}
    for name, seed in progress.steps(missing, f"{len(missing)} runs") if missing else ():
        fresh[name, seed] = one_run(fn, name, settings[name], seed)
        record.add(vars(fresh[name, seed]))
    runs = [fresh.get(job) or loaded[job] for job in jobs]
    _check_metrics(runs)
    return Results(settings, runs, record.label([vars(run) for run in runs if (run.setting, run.seed) in loaded]))


def one_run(fn: Callable[..., Any], name: str, options: Mapping[str, Any], seed: int) -> Run:
    """``fn(seed, **options)``, timed, under its own random numbers."""
    began = time.perf_counter()
    try:
        with seeded(seed):
            epochs = _epochs(fn(seed, **options))
    except Exception as error:
        raise ExperimentError(f"The run {name!r} with seed {seed} failed: {type(error).__name__}: {error}") from error
    where = f"torch {torch.__version__}, {machine.device()}"
    return Run(name, seed, epochs, round(time.perf_counter() - began, 2), datetime.date.today().isoformat(), where)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of Python, numpy and torch from ``seed``; afterwards the caller's states are back."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _epochs(returned: Metrics | Sequence[Metrics]) -> tuple[dict[str, float], ...]:
    epochs = [returned] if isinstance(returned, Mapping) else returned
    if not isinstance(epochs, Sequence) or not epochs or not all(isinstance(e, Mapping) and e for e in epochs):
        raise ValueError(
            f"it returned {returned!r}; it must return a dict of numbers such as {{'loss': 0.3}}, or a list of them, "
            "one an epoch."
        )
    return tuple({name: float(value) for name, value in epoch.items()} for epoch in epochs)


def _check(settings: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> None:
    if not settings:
        raise ValueError("There are no settings: give at least one, for example {'as it is': {}}.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={tuple(seeds)} must be one or more different numbers, for example (0, 1, 2).")


def _check_metrics(runs: Sequence[Run]) -> None:
    expected = list(runs[0].epochs[0])
    for run in runs:
        if any(list(epoch) != expected for epoch in run.epochs):
            raise ExperimentError(
                f"The run {run.setting!r} with seed {run.seed} does not give the same numbers in every epoch as the "
                f"first run does: {', '.join(expected)}."
            )


def _source(fn: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(fn)
    except (OSError, TypeError):  # typed into a plain Python prompt, or written in C
        return ""


def _cell(values: Sequence[float]) -> str:
    return f"{math.fsum(values) / len(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


# --- numbers computed beforehand: a JSON file that says when, where and how -----------------------------------------


class ResultsError(OSError):
    """The file with earlier results cannot be read or written."""


class Record:
    """The runs in the file ``path`` (there need not be one yet; None keeps nothing).

    Raises ValueError when the file holds other settings under one
    of the names, ResultsError when it cannot be read. What is in the file is never removed from it.
    """

    def __init__(self, path: Path | None, *, how: str, source: str, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.path = path
        self.content = {"how": how, "source": source, "settings": {}, "runs": []}
        self.is_same_source = True
        if path is None:
            return
        plain = _plain(settings)
        if path.exists():
            self.content = _read(path)
            self.is_same_source = not source or source == self.content["source"]
            self._check_same(plain)
        self.content["settings"] |= plain

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.content["runs"])

    def add(self, run: dict[str, Any]) -> None:
        """Add a run, and write the file: whole, or not at all."""
        if self.path is None:
            return
        self.content["runs"].append(run)
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
                partial.replace(self.path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {self.path}: {error.strerror or error}.") from error

    def label(self, loaded: Sequence[Mapping[str, Any]]) -> str:
        """What must stand beside numbers of which these runs were not computed now; "" when all are new."""
        if not loaded:
            return ""
        days, places = (sorted({run[key] for run in loaded}) for key in ("when", "where"))
        days = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        how = f" by {self.content['how']}" if self.content["how"] else ""
        took = sum(run["seconds"] for run in loaded)
        text = (
            f"Computed beforehand ({days}, {'; '.join(places)}, {took:.0f} s in all){how}, loaded: {len(loaded)} runs "
            f"from {self.path.name}."
        )
        return text if self.is_same_source else f"{text} The function that is to compute them has changed since."

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        for name, options in settings.items():
            before = self.content["settings"].get(name, options)
            if before != options:
                raise ValueError(
                    f"{self.path.name} holds runs of {name!r} with other settings: {before}, now {options}. Give this "
                    "setting another name, or choose another file."
                )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not {"how", "source", "settings", "runs"} <= content.keys():
            raise ValueError("it is no file of results")
    except (OSError, ValueError, AttributeError) as error:
        raise ResultsError(
            f"{path} cannot be read as earlier results: {error}. Move it away, or choose another file; nothing was "
            "changed."
        ) from error
    return content


def _plain(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings as they come back out of a JSON file."""
    return json.loads(json.dumps(settings, default=_name))


def _name(value: Callable[..., Any]) -> str:
    """``torch.nn.Tanh`` and the like stand in a file by name."""
    name = getattr(value, "__qualname__", "")
    if not name or "<" in name:
        raise ValueError(
            f"The setting {value!r} cannot be written to a file. With a cache, settings are numbers, texts, lists, or "
            "classes and functions that have a name."
        )
    return f"{value.__module__}.{name}"
