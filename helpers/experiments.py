"""The same run over settings and seeds: one run proves little, several show what is the setting and what is luck.

    def train(seed, lr):                      # any function of the seed and the settings
        ...
        return [{"loss": 2.1}, {"loss": 1.4}]   # numbers for every epoch, or one dict of numbers

    results = experiments.run(train, {"small steps": {"lr": 0.01}, "large": {"lr": 0.1}}, seeds=(0, 1, 2))
    print(results)

No seed is ever left out: a mean over the seeds that look good would say nothing. And nothing is concluded from a run
that has not converged: with ``until=Until("validation error, %")`` and a function that yields its numbers epoch by
epoch, a run goes on until validation stops improving. Without it the table says that the runs are short ones.
"""

from __future__ import annotations

import contextlib
import datetime
import inspect
import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import machine
from helpers.training import progress

Metrics = Mapping[str, float]
Settings = Mapping[str, Mapping[str, Any]]  # name of a setting -> keyword arguments of the function
RESULTS = Path(__file__).resolve().parents[1] / "notebooks" / "results"  # computed beforehand
SPREADS = {"min-max": "lowest to highest seed", "std": "one standard deviation over the seeds up and down"}


class ExperimentError(RuntimeError):
    """A run failed; the message says which, the cause is attached."""


class ResultsError(OSError):
    """The file with earlier results cannot be read or written."""


@dataclass(frozen=True)
class Until:
    """The stopping rule: a run has converged when ``metric`` was not better in any of its last ``patience`` epochs.

    Lower is better. A run that has not converged after ``most`` epochs is stopped, and is called a short one.
    """

    metric: str = "validation error, %"
    patience: int = 10
    most: int = 200

    def reached(self, epochs: Sequence[Metrics]) -> bool:
        values = [epoch[self.metric] for epoch in epochs]
        return len(values) > self.patience + values.index(min(values))

    def __str__(self) -> str:
        return f"until {self.metric} was no better for {self.patience} epochs"


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
    until: Until | str = ""  # the stopping rule, or why the runs are long enough, in words; "": nobody has looked
    test_images: int = 0  # how many the test errors are of; 0: not told

    @property
    def metrics(self) -> list[str]:
        return list(self.runs[0].epochs[0])

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
        by_epoch = np.array(list(zip(*self.of(setting, metric), strict=False)))  # (epochs, seeds)
        mean = np.array([math.fsum(values) / len(values) for values in by_epoch])
        std = by_epoch.std(axis=1, ddof=1) if by_epoch.shape[1] > 1 else np.zeros_like(mean)
        low, high = (by_epoch.min(axis=1), by_epoch.max(axis=1)) if spread == "min-max" else (mean - std, mean + std)
        return Band(tuple(mean.tolist()), tuple(low.tolist()), tuple(high.tolist()), spread)

    @property
    def length(self) -> str:
        """In words: how long the runs are, and whether they have converged."""
        counts = sorted({len(run.epochs) for run in self.runs})
        epochs = f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} epochs"
        if isinstance(self.until, str):
            short = f"a short run, {epochs}: how a training begins, not how it ends" if counts[-1] > 1 else ""
            return self.until or short
        begun = dict.fromkeys(run.setting for run in self.runs if not self.until.reached(run.epochs))
        return f"{self.until} ({epochs})" + f"; SHORT, was still improving: {', '.join(begun)}" * bool(begun)

    def standard_error(self, setting: str, metric: str) -> float:
        """How far a mean error in percent is from the truth, typically, since ``test_images`` are a sample of all."""
        share = math.fsum(self.last(setting, metric)) / len(self.last(setting, metric)) / 100
        return 100 * math.sqrt(share * (1 - share) / self.test_images)

    def __str__(self) -> str:
        """A table: for every setting mean and [lowest, highest] seed of every metric, after the last epoch."""
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in self.runs))
        table = [["setting", *self.metrics]]
        table += [[name, *(self._cell(name, metric) for metric in self.metrics)] for name in self.settings]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [self.note] if self.note else []
        lines.append(f"last epoch: mean [lowest, highest] over the seeds {seeds}")
        lines += filter(None, [self.length])
        if self.test_images:
            lines.append(f"±: standard error of a test with {self.test_images:,} images, the same for all seeds")
        for name, *cells in table:
            right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([name.ljust(widths[0]), *right]))
        return "\n".join(lines)

    def _cell(self, setting: str, metric: str) -> str:
        values = self.last(setting, metric)
        sampled = bool(self.test_images) and metric.startswith("test error")
        error = f" ±{self.standard_error(setting, metric):.2g}" if sampled else ""
        return f"{math.fsum(values) / len(values):.3g} [{min(values):.3g}, {max(values):.3g}]{error}"


def run(
    fn: Callable[..., Metrics | Iterable[Metrics]],
    settings: Settings,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    cache: str | Path | None = None,
    how: str = "",
    recompute: bool = False,
    until: Until | str = "",
    test_images: int = 0,
    about: Mapping[str, Any] | None = None,
) -> Results:
    """Call ``fn(seed, **setting)`` for every setting and every seed.

    Before each call Python's, numpy's and torch's random numbers are set to the seed, so the order of the runs does not
    matter; afterwards the caller's are as they were.

    Args:
        fn: returns a dict of numbers, or a list of such dicts, one an epoch; or yields them, one after each epoch.
        settings: name -> keyword arguments of ``fn``, for example ``{"ReLU": {"activation": "relu"}}``.
        cache: a JSON file. Runs that are in it are loaded, which ``Results.note`` (and so ``print``) says; every new
            run is added to it at once, so that a session that dies loses one run. None: compute everything.
        how: stands in the file: which notebook and cell compute it, for example "notebook 05, section 6, full profile".
        recompute: True computes everything now and leaves the file as it is.
        until: when to stop a function that yields; or, in words, why its own number of epochs is enough.
        test_images: number of images that a metric "test error ..." was measured on; the table has its standard error.
        about: whatever else is to stand in the file: data, steps, versions, commit.

    Raises:
        ValueError: no settings, no seeds or a seed twice; or the file holds other settings under the same name.
        ExperimentError: a run failed; names its setting and seed.
    """
    chosen = {name: dict(options) for name, options in settings.items()}
    if not chosen:
        raise ValueError("There are no settings: give at least one, for example {'as it is': {}}.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={tuple(seeds)} must be one or more different numbers, for example (0, 1, 2).")
    record = _Record(None if cache is None or recompute else Path(cache), how, _source(fn), chosen)
    record.length = {"until": until if isinstance(until, str) else asdict(until), "test_images": test_images}
    record.about |= about or {}
    done = {(old.setting, old.seed): old for old in record.runs}
    jobs = [(name, seed) for name in chosen for seed in seeds]
    loaded, missing = [done[job] for job in jobs if job in done], [job for job in jobs if job not in done]
    for name, seed in progress.steps(missing, f"{len(missing)} runs") if missing else ():
        done[name, seed] = _run(fn, name, chosen[name], seed, until)
        record.add(done[name, seed])
    runs = [done[job] for job in jobs]
    expected = list(runs[0].epochs[0])
    for each in runs:
        if any(list(epoch) != expected for epoch in each.epochs):
            what = f"The run {each.setting!r} with seed {each.seed} does not give the same numbers in every epoch"
            raise ExperimentError(f"{what} as the first run does: {', '.join(expected)}.")
    return Results(chosen, runs, record.label(loaded), until, test_images)


def load(name: str | Path) -> Results:
    """All that a script of ``tests/tools/experiments`` has stored as ``notebooks/results/<name>.json``; or a file.

    Raises:
        ResultsError: there is no such file, or it holds no results.
    """
    record = _Record(path := RESULTS / f"{Path(name).with_suffix('')}.json", "", "", {})
    if not record.runs:
        raise ResultsError(f"There are no results in {path}.")
    until = record.length["until"]
    until = until if isinstance(until, str) else Until(**until)
    return Results(record.settings, record.runs, record.label(record.runs), until, record.length["test_images"])


def _run(fn: Callable[..., Any], name: str, options: Mapping[str, Any], seed: int, until: Until | str) -> Run:
    """``fn(seed, **options)``, timed, under its own random numbers."""
    began = time.perf_counter()
    try:
        with seeded(seed):
            epochs = _epochs(fn(seed, **options), until)
    except Exception as error:  # fn is the caller's own code
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


def _epochs(returned: Metrics | Iterable[Metrics], until: Until | str) -> tuple[dict[str, float], ...]:
    if isinstance(returned, Iterator):
        taken: list[Metrics] = []
        for epoch in returned:
            taken.append(epoch)
            if isinstance(until, Until) and (until.reached(taken) or len(taken) == until.most):
                break
        returned = taken
    epochs = [returned] if isinstance(returned, Mapping) else returned
    if not isinstance(epochs, Sequence) or not epochs or not all(isinstance(e, Mapping) and e for e in epochs):
        raise ValueError(
            f"it returned {returned!r}; it must return a dict of numbers such as {{'loss': 0.3}}, or a list of them, "
            "one an epoch."
        )
    return tuple({name: float(value) for name, value in epoch.items()} for epoch in epochs)


def _source(fn: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(fn)
    except (OSError, TypeError):  # typed into a plain Python prompt, or written in C
        return ""


# --- numbers computed beforehand: a JSON file that says when, where and how -----------------------------------------


class _Record:
    """The runs in the file ``path``, which need not be there yet; None keeps nothing. What is in it stays in it.

    Raises ValueError when the file holds other settings under one of the names, ResultsError when it cannot be read.
    """

    def __init__(self, path: Path | None, how: str, source: str, settings: Settings) -> None:
        self.path, self.how, self.source, self.is_same_source = path, how, source, True
        self.runs: list[Run] = []
        self.settings: dict[str, Any] = {}
        self.about: dict[str, Any] = {}
        self.length: dict[str, Any] = {"until": "", "test_images": 0}
        if path is None:
            return
        try:
            if path.exists():
                stored = json.loads(path.read_text(encoding="utf-8"))
                self.how, self.source, self.settings = stored["how"], stored["source"], stored["settings"]
                self.about, self.length = stored.get("about", {}), {k: stored.get(k, v) for k, v in self.length.items()}
                for run in stored["runs"]:
                    run["epochs"] = tuple(run["epochs"])
                    self.runs.append(Run(**run))
        except (OSError, ValueError, LookupError, TypeError) as error:
            what = error if isinstance(error, OSError) else "it is no file of results"
            raise ResultsError(
                f"{path} cannot be read as earlier results: {what}. Move it away, or choose another file; nothing was "
                "changed."
            ) from error
        self.is_same_source = source in ("", self.source)
        for name, options in _plain(settings).items():
            before = self.settings.setdefault(name, options)
            if before != options:
                raise ValueError(
                    f"{path.name} holds runs of {name!r} with other settings: {before}, now {options}. Give this "
                    "setting another name, or choose another file."
                )

    def add(self, run: Run) -> None:
        """Add a run, and write the file: whole, or not at all."""
        if self.path is None:
            return
        self.runs.append(run)
        content: dict[str, Any] = {"how": self.how, "about": self.about, **self.length, "source": self.source}
        content |= {"settings": self.settings}
        content["runs"] = [vars(run) for run in self.runs]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with machine.replacing(self.path) as partial:
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {self.path}: {machine.reason(error)}.") from error

    def label(self, loaded: Sequence[Run]) -> str:
        """What must stand beside numbers of which these runs were not computed now; "" when all are new."""
        if self.path is None or not loaded:
            return ""
        days, places = sorted({run.when for run in loaded}), sorted({run.where for run in loaded})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        took, how = sum(run.seconds for run in loaded), f" by {self.how}" if self.how else ""
        text = (
            f"Computed beforehand ({when}, {'; '.join(places)}, {took:.0f} s in all){how}, loaded: {len(loaded)} runs "
            f"from {self.path.name}."
        )
        return text if self.is_same_source else f"{text} The function that is to compute them has changed since."


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings as they come back out of a JSON file, classes and functions by name ("torch.nn.Tanh")."""

    def name_of(value: Any) -> str:
        name = getattr(value, "__qualname__", "")
        if not name or "<" in name:
            raise ValueError(
                f"The setting {value!r} cannot be written to a file. With a cache, settings are numbers, texts, lists, "
                "or classes and functions that have a name."
            )
        return f"{value.__module__}.{name}"

    return json.loads(json.dumps(settings, default=name_of))
