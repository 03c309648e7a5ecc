"""The same run over settings and seeds: a seed decides all, the caller's state stays, files tell the truth."""

from __future__ import annotations

import io
import itertools
import json
import math
import random
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from torch import nn

from helpers import experiments, plotting

SETTINGS = {"low": {"start": 1.0}, "high": {"start": 5.0}}


def noisy(seed: int, start: float, epochs: int = 3) -> list[dict[str, float]]:
    """Draws from all three sources of random numbers."""
    return [
        {"loss": start / epoch + random.random() + np.random.rand(), "error": torch.rand(()).item()}
        for epoch in range(1, epochs + 1)
    ]


@pytest.fixture(scope="module")
def results() -> experiments.Results:
    return experiments.run(noisy, SETTINGS, seeds=(0, 1, 7))


# --- runs -------------------------------------------------------------------------------------------------------------


def test_every_setting_under_every_seed(results: experiments.Results) -> None:
    assert [(run.setting, run.seed) for run in results.runs] == [
        ("low", 0), ("low", 1), ("low", 7), ("high", 0), ("high", 1), ("high", 7)
    ]  # fmt: skip
    assert results.metrics == ["loss", "error"] and results.note == ""


def test_a_run_depends_on_its_seed_alone(results: experiments.Results) -> None:
    torch.rand(5), np.random.rand(3), random.random()
    alone = experiments.run(noisy, {"high": SETTINGS["high"]}, seeds=(7,))
    assert alone.runs[0].epochs == results.runs[-1].epochs
    by_hand = random.Random(7).random() + np.random.RandomState(7).rand() + 5
    assert alone.runs[0].epochs[0]["loss"] == pytest.approx(by_hand)
    assert alone.runs[0].epochs[0]["error"] == torch.rand((), generator=torch.Generator().manual_seed(7)).item()
    assert len({run.epochs for run in map(_hashable, results.runs)}) == 6


def _hashable(run: experiments.Run) -> experiments.Run:
    flat = tuple(tuple(epoch.values()) for epoch in run.epochs)
    return experiments.Run(run.setting, run.seed, flat, run.seconds, run.when, run.where)


@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
def test_callers_random_numbers_are_as_they_were(fails: bool) -> None:
    def fn(seed: int) -> dict[str, float]:
        noisy(seed, 1.0)
        return {"loss": 1 / (not fails)}

    def state() -> tuple[object, ...]:
        return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()

    before = state()
    if fails:
        with pytest.raises(experiments.ExperimentError):
            experiments.run(fn, {"it": {}})
    else:
        experiments.run(fn, {"it": {}})
    assert state() == before


def test_one_dict_is_one_epoch() -> None:
    got = experiments.run(lambda seed: {"accuracy": torch.tensor(50 + seed)}, {"it": {}}, seeds=(0, 4))
    assert got.last("it", "accuracy") == [50.0, 54.0] and got.runs[1].epochs == ({"accuracy": 54.0},)


def test_a_failing_run_says_which() -> None:
    def fails(seed: int, depth: int) -> dict[str, float]:
        if seed == 2 and depth == 56:
            raise RuntimeError("the loss is no number")
        return {"loss": 1.0}

    message = "The run 'deep' with seed 2 failed: RuntimeError: the loss is no number"
    with pytest.raises(experiments.ExperimentError, match=message) as caught:
        experiments.run(fails, {"flat": {"depth": 8}, "deep": {"depth": 56}})
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("returned", [None, 0.5, [], {}, [{}], [0.5], "loss"], ids=repr)
def test_what_a_run_returns(returned: object) -> None:
    with pytest.raises(experiments.ExperimentError, match="'it' with seed 0 .* must return a dict of numbers such as"):
        experiments.run(lambda seed: returned, {"it": {}})


def test_every_run_must_give_the_same_metrics() -> None:
    with pytest.raises(experiments.ExperimentError, match="'it' with seed 1 does not give the same .*: loss."):
        experiments.run(lambda seed: {"loss": 1.0} if seed == 0 else {"error": 1.0}, {"it": {}})


def test_no_settings_or_seeds() -> None:
    with pytest.raises(ValueError, match="There are no settings"):
        experiments.run(noisy, {})
    for seeds in ((), (1, 2, 1)):
        with pytest.raises(ValueError, match="must be one or more different numbers"):
            experiments.run(noisy, SETTINGS, seeds=seeds)


def test_ctrl_c_comes_through() -> None:
    def interrupted(seed: int) -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiments.run(interrupted, {"it": {}})


# --- mean, band, table ------------------------------------------------------------------------------------------------


def _given(*by_seed: list[float]) -> experiments.Results:
    return experiments.run(
        lambda seed: [{"loss": value} for value in by_seed[seed]], {"it": {}}, seeds=range(len(by_seed))
    )


@pytest.mark.parametrize("spread", ["min-max", "std"])
def test_band(results: experiments.Results, spread: str) -> None:
    band = results.band("low", "loss", spread=spread)
    assert len(band.mean) == 3 and band.spread == spread
    for epoch in range(3):
        values = [run.epochs[epoch]["loss"] for run in results.runs[:3]]
        mean, std = statistics.mean(values), statistics.stdev(values)
        low, high = (min(values), max(values)) if spread == "min-max" else (mean - std, mean + std)
        assert (band.mean[epoch], band.low[epoch], band.high[epoch]) == pytest.approx((mean, low, high))


def test_band_of_one_seed_and_of_runs_that_stopped_early() -> None:
    assert _given([1.0, 2.0]).band("it", "loss", spread="std") == experiments.Band((1, 2), (1, 2), (1, 2), "std")
    got = _given([1.0, 2.0, 3.0], [3.0, 4.0])
    assert got.band("it", "loss").mean == (2, 3)
    assert got.last("it", "loss") == [3, 4]


def test_a_run_that_diverged_is_not_hidden() -> None:
    got = _given([1.0, math.nan], [1.0, 2.0])
    band = got.band("it", "loss")
    assert math.isnan(band.mean[1]) and math.isnan(band.low[1]) and math.isnan(band.high[1])
    assert "nan" in str(got)


def test_table() -> None:
    got = experiments.run(
        lambda seed, start: [{"loss": 9.0, "error, %": 90}, {"loss": start + seed, "error, %": 10 * seed}], SETTINGS
    )
    assert str(got) == (
        "last epoch: mean [lowest, highest] over the seeds 0, 1, 2\n"
        "a short run, 2 epochs: how a training begins, not how it ends\n"
        "setting      loss    error, %\n"
        "low      2 [1, 3]  10 [0, 20]\n"
        "high     6 [5, 7]  10 [0, 20]"
    )


# --- trained until it is done -----------------------------------------------------------------------------------------


def _falling(seed: int, floor: int) -> Iterator[dict[str, float]]:
    """The error falls by one an epoch, from 20 to ``floor``, and stays there."""
    for epoch in itertools.count():
        yield {"validation error, %": max(20 - epoch, floor), "test error, %": 10.0}


def test_a_run_goes_on_until_validation_stops_improving() -> None:
    until = experiments.Until(patience=3, most=15)
    got = experiments.run(_falling, {"quick": {"floor": 16}, "slow": {"floor": 0}}, seeds=(0, 5), until=until)
    assert [len(run.epochs) for run in got.runs] == [8, 8, 15, 15]  # 20, 19, 18, 17, 16, and three that are no better
    assert got.last("quick", "validation error, %") == [16, 16]
    assert got.length == (
        "until validation error, % was no better for 3 epochs (8 to 15 epochs); SHORT, was still improving: slow"
    )
    assert got.length in str(got).splitlines()
    done = experiments.run(_falling, {"quick": {"floor": 16}}, until=until)
    assert done.length == "until validation error, % was no better for 3 epochs (8 epochs)"


@pytest.mark.parametrize(
    ("errors", "reached"),
    [([3, 2, 2], False), ([3, 2, 2, 2], True), ([3, 2, 4, 1], False), ([math.nan] * 3, True), ([1, 2], False)],
)
def test_the_rule_looks_for_the_best_epoch(errors: list[float], reached: bool) -> None:
    assert experiments.Until("e", patience=2).reached([{"e": error} for error in errors]) is reached


def test_a_function_may_end_by_itself_and_say_why_in_words() -> None:
    def fn(seed: int) -> Iterator[dict[str, float]]:
        yield from ({"loss": float(n)} for n in range(4))

    assert experiments.run(fn, {"it": {}}).length.startswith("a short run, 4 epochs")
    assert experiments.run(fn, {"it": {}}, until="the rate is 0").length == "the rate is 0"
    assert experiments.run(lambda seed: {"loss": 1.0}, {"it": {}}).length == ""


def test_the_table_has_the_standard_error_of_its_test() -> None:
    """As often as the same network is tested on another 400 images, its error spreads by so much."""
    got = experiments.run(lambda seed: {"training error, %": 0, "test error, %": 10}, {"it": {}}, test_images=400)
    drawn = np.random.default_rng(0).binomial(400, 0.1, size=20_000) / 4
    assert got.standard_error("it", "test error, %") == pytest.approx(drawn.std(), rel=0.02)
    header, *_, line = str(got).splitlines()[1:]
    assert header == "±: standard error of a test with 400 images, the same for all seeds"
    assert line.split("  ")[-1].strip() == "10 [10, 10] ±1.5" and line.count("±") == 1


def test_what_a_script_stored_comes_back_without_its_function(tmp_path: Path) -> None:
    path, until = tmp_path / "06_x.json", experiments.Until(patience=2, most=9)
    options = {"cache": path, "how": "x.py", "until": until, "test_images": 50, "about": {"commit": "abc"}}
    first = experiments.run(_falling, {"quick": {"floor": 16}}, **options)
    again = experiments.load(path)
    assert (again.runs, again.settings) == (first.runs, first.settings)
    assert (again.until, again.test_images) == (until, 50) and "by x.py, loaded: 3 runs" in again.note
    assert str(again).splitlines()[1:] == str(first).splitlines()
    assert json.loads(path.read_text())["about"] == {"commit": "abc"}
    with pytest.raises(experiments.ResultsError, match="There are no results in .*07_x.json"):
        experiments.load(tmp_path / "07_x")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda got: got.band("Low", "loss"), "There is no setting 'Low', only low, high"),
        (lambda got: got.last("low", "acc"), "There is no metric 'acc', only loss, error"),
        (lambda got: got.band("low", "loss", spread="sem"), "spread='sem' is not known; choose min-max or std"),
    ],
    ids=["setting", "metric", "spread"],
)
def test_wrong_names(results: experiments.Results, ask: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(results)


# --- a file of results ------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Every call of ``noisy``."""
    calls: list[tuple[int, float]] = []

    def counting(seed: int, start: float) -> list[dict[str, float]]:
        calls.append((seed, start))
        return noisy_before(seed, start)

    noisy_before = noisy
    monkeypatch.setitem(globals(), "noisy", counting)
    return calls


def test_loaded_results_say_so(tmp_path: Path, counted: list[tuple[int, float]]) -> None:
    path = tmp_path / "new" / "activations.json"
    first = experiments.run(noisy, SETTINGS, seeds=(0, 1), cache=path, how="notebook 06, section 1")
    assert first.note == "" and len(counted) == 4
    again = experiments.run(noisy, SETTINGS, seeds=(0, 1), cache=path)
    assert len(counted) == 4 and again.runs == first.runs
    day = first.runs[0].when
    assert str(again).splitlines()[0] == again.note
    assert again.note.startswith(f"Computed beforehand ({day}, torch {torch.__version__}, ")
    assert again.note.endswith("s in all) by notebook 06, section 1, loaded: 4 runs from activations.json.")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_only_missing_runs_are_computed(tmp_path: Path, counted: list[tuple[int, float]]) -> None:
    path = tmp_path / "runs.json"
    experiments.run(noisy, {"low": SETTINGS["low"]}, seeds=(1,), cache=path)
    got = experiments.run(noisy, SETTINGS, seeds=(0, 1), cache=path)
    assert counted == [(1, 1.0), (0, 1.0), (0, 5.0), (1, 5.0)]
    assert "loaded: 1 runs from runs.json" in got.note
    assert [(run.setting, run.seed) for run in got.runs] == [("low", 0), ("low", 1), ("high", 0), ("high", 1)]
    assert got.runs == experiments.run(noisy, SETTINGS, seeds=(0, 1), cache=path).runs


def test_one_switch_computes_anew_and_leaves_the_file_alone(tmp_path: Path, counted: list[tuple[int, float]]) -> None:
    path = tmp_path / "runs.json"
    experiments.run(noisy, SETTINGS, seeds=(0,), cache=path)
    before = path.read_bytes()
    got = experiments.run(noisy, SETTINGS, seeds=(0,), cache=path, recompute=True)
    assert len(counted) == 4 and got.note == "" and path.read_bytes() == before


def test_a_session_that_dies_loses_one_run(tmp_path: Path) -> None:
    def dies(seed: int) -> dict[str, float]:
        if seed == 2:
            raise KeyboardInterrupt
        return {"loss": float(seed)}

    with pytest.raises(KeyboardInterrupt):
        experiments.run(dies, {"it": {}}, cache=tmp_path / "runs.json")
    assert len(json.loads((tmp_path / "runs.json").read_text())["runs"]) == 2


def test_other_settings_under_the_same_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    experiments.run(noisy, SETTINGS, cache=path)
    before = path.read_bytes()
    message = r"runs.json holds runs of 'low' with other settings: \{'start': 1.0\}, now \{'start': 2.0\}"
    with pytest.raises(ValueError, match=message):
        experiments.run(noisy, {"low": {"start": 2.0}}, cache=path)
    assert path.read_bytes() == before


def test_a_changed_function_is_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    experiments.run(lambda seed: {"loss": 1.0}, {"it": {}}, cache=path)
    now = experiments.run(lambda seed: {"loss": 2.0}, {"it": {}}, cache=path)
    assert now.last("it", "loss") == [1.0] * 3 and now.note.endswith("has changed since.")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "null"], ids=repr)
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(experiments.ResultsError, match=r"mine.json cannot be read .* nothing was changed"):
        experiments.run(noisy, SETTINGS, cache=path)
    assert path.read_text() == content


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(experiments.ResultsError, match="The results cannot be written to .*runs.json"):
        experiments.run(noisy, SETTINGS, cache=tmp_path / "a file" / "runs.json")


def test_classes_as_settings(tmp_path: Path) -> None:
    def fn(seed: int, activation: type) -> dict[str, float]:
        return {"loss": activation()(torch.tensor(-1.0))}

    path, settings = tmp_path / "runs.json", {"ReLU": {"activation": nn.ReLU}, "tanh": {"activation": nn.Tanh}}
    first = experiments.run(fn, settings, cache=path)
    again = experiments.run(fn, settings, cache=path)
    assert again.runs == first.runs and again.last("tanh", "loss") == pytest.approx([math.tanh(-1)] * 3)
    with pytest.raises(ValueError, match="cannot be written to a file. With a cache, settings are numbers"):
        experiments.run(fn, {"odd": {"activation": lambda: nn.ReLU()}}, cache=path)


# --- the figure -------------------------------------------------------------------------------------------------------


def _texts(figure: object) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def test_figure_says_what_it_shows(results: experiments.Results) -> None:
    figure = plotting.bands(results, ["loss", "error"], title="Two starts", spread="std")
    figure.savefig(io.BytesIO(), format="png")
    assert "Two starts\n3 seeds; band: one standard deviation" in _texts(figure)
    axis = figure.axes[0]
    low, high = axis.get_lines()
    assert low.get_ydata() == pytest.approx(results.band("low", "loss").mean)
    assert (low.get_linestyle(), low.get_marker()) != (high.get_linestyle(), high.get_marker())
    edges = axis.collections[0].get_paths()[0].vertices[:, 1]
    band = results.band("low", "loss", spread="std")
    assert {round(v, 9) for v in edges} == {round(v, 9) for v in (*band.low, *band.high)}
    assert f"low: loss {band.mean[-1]:.3g} at the end" in figure.alt and "3 seeds" in figure.alt


def test_pairs_share_colour_and_marker_and_the_second_is_dashed() -> None:
    names = [f"{trouble}, {norm}" for trouble in ("good", "small", "large", "fast") for norm in ("without", "with")]
    results = experiments.run(noisy, {name: SETTINGS["low"] for name in names}, seeds=(0,))
    lines = plotting.bands(results, "loss", pairs=True).axes[0].get_lines()
    looks = [(line.get_color(), line.get_marker()) for line in lines]
    assert looks[::2] == looks[1::2] and len(set(looks)) == 4
    assert [line.get_linestyle() for line in lines] == ["-", "--"] * 4


def test_figure_of_loaded_results_says_so(tmp_path: Path) -> None:
    for _ in range(2):
        got = experiments.run(noisy, SETTINGS, cache=tmp_path / "runs.json")
    figure = plotting.bands(got, "loss", log=True)
    assert "Computed beforehand (" in _texts(figure) and got.note in figure.alt
    assert figure.axes[0].get_yscale() == "log"
