"""Notebook 06: each half runs without the other, and what its text says is what its stored numbers say."""

from __future__ import annotations

import ast
import builtins
import functools
import json
import re
import statistics
from pathlib import Path

import pytest

from helpers import experiments

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "06_training_recipe.ipynb"
STORED = ("augmentation", "batch_norm", "dropout", "relu_tanh", "today")
TEST = "test error, %"


@functools.cache
def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def sections() -> dict[str, list[str]]:
    """Code of section 1, of part A and of part B."""
    found: dict[str, list[str]] = {"1": [], "A": [], "B": []}
    now = "1"
    for cell in cells():
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found[now].append(text)
        elif part := re.match(r"## Part ([AB])\.", text):
            now = part[1]
    return found


def names(sources: list[str]) -> tuple[set[str], set[str]]:
    """Names that the cells set anywhere (functions' own ones too), and names that they read."""
    made, read = set(), set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            made.add(node.name)
    return made, read


@pytest.mark.parametrize("part", ["A", "B"])
def test_each_half_needs_section_1_only(part: str) -> None:
    code = sections()
    assert len(code[part]) > 15
    made, _ = names(code["1"] + code[part])
    _, read = names(code[part])
    assert read - made - set(dir(builtins)) == set()


def test_in_each_half_a_name_is_set_before_it_is_read() -> None:
    for part, sources in sections().items():
        before, _ = names(sections()["1"]) if part != "1" else (set(), set())
        for source in sources:
            made, read = names([source])
            assert read - made - before - set(dir(builtins)) == set(), source[:80]
            before |= made


@pytest.mark.parametrize("name", STORED)
def test_stored_results_say_where_they_come_from(name: str) -> None:
    file = experiments.RESULTS / f"06_{name}.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert {"data", "commit", "python", "torch", "torchvision"} <= set(stored["about"])
    assert stored["how"] == f"tests/tools/experiments/training_recipe.py {name}" and stored["until"]
    runs = {(run["setting"], run["seed"]) for run in stored["runs"]}
    assert runs == {(setting, seed) for setting in stored["settings"] for seed in (0, 1, 2)}, "a run is missing"
    shown = [cell for cell in cells() if f'experiments.load("06_{name}")' in "".join(cell["source"])]
    assert len(shown) == 1 and "nbval-ignore-output" not in shown[0]["metadata"].get("tags", [])


def text(cell: str) -> str:
    return next("".join(each["source"]) for each in cells() if each["id"] == cell)


def printed(cell: str) -> str:
    outputs = next(each["outputs"] for each in cells() if each["id"] == cell)
    return "".join("".join(output.get("text", [])) for output in outputs)


def mean(results: experiments.Results, setting: str, metric: str = TEST, row: int = -1) -> float:
    return statistics.mean(run[row] for run in results.of(setting, metric))


def test_augmentation_hurts_after_twelve_epochs_and_helps_after_96() -> None:
    results, said = experiments.load("06_augmentation"), text("nb06-135")
    begins, ends = ({name: mean(results, name, row=row) for name in results.settings} for row in (0, -1))
    for name, error in [*begins.items(), *ends.items()]:
        assert f"{error:.1f}" in said, name
    assert begins["nothing"] == min(begins.values()) and ends["nothing"] == max(ends.values())
    plain = results.last("nothing", TEST)
    for name in ("shift by 2 px", "Cutout"):
        assert all(less < more for less, more in zip(results.last(name, TEST), plain, strict=True)), "every seed"
        assert ends["nothing"] - ends[name] > 2 * results.standard_error("nothing", TEST)
    assert {run[2] for run in results.of("nothing", "training error, %")} == {0.0}, "knows its images after 36 epochs"
    for name in results.settings:  # it has converged: the second half brings less than half a point
        assert abs(mean(results, name, "validation error, %", 4) - mean(results, name, "validation error, %")) < 0.5


def test_dropout_costs_after_twelve_epochs_and_gains_after_100() -> None:
    results, said = experiments.load("06_dropout"), text("nb06-121")
    errors = {name: results.last(name, TEST) for name in results.settings}
    for name, values in errors.items():
        assert f"{statistics.mean(values):.1f}" in said, name
    for dropped in ("hidden 0.5", "input 0.2, hidden 0.5"):
        assert min(errors[f"12 epochs, {dropped}"]) > max(errors["12 epochs, none"]), "every seed against every seed"
        assert max(errors[f"100 epochs, {dropped}"]) < min(errors["100 epochs, none"])


def test_batch_norm_is_better_on_new_images_at_every_rate() -> None:
    results, said, rates = experiments.load("06_batch_norm"), text("nb06-092"), (0.01, 0.03, 0.1)
    errors = {norm: [results.last(f"{norm}, lr {lr}", TEST) for lr in rates] for norm in ("none", "batch norm")}
    means = {norm: list(map(statistics.mean, values)) for norm, values in errors.items()}
    assert all(with_it < without for without, with_it in zip(*means.values(), strict=True))
    assert means["none"].index(min(means["none"])) == 1 and means["batch norm"].index(min(means["batch norm"])) == 2
    assert max(errors["batch norm"][2]) < min(map(min, errors["none"]))
    assert f"0.03 ({means['none'][1]:.1f} %)" in said and f"0.1 ({means['batch norm'][2]:.1f} %)" in said
    for setting in ("none, lr 0.03", "batch norm, lr 0.1"):
        assert set(results.last(setting, "training error, %")) == {0.0}


def test_every_step_of_todays_recipe_is_better_with_every_seed() -> None:
    results, said = experiments.load("06_today"), text("nb06-162")
    steps = [results.last(name, TEST) for name in results.settings]
    for before, after in zip(steps, steps[1:], strict=False):
        assert all(less < more for less, more in zip(after, before, strict=True))
    first, rate, shifts, last = map(statistics.mean, steps)
    assert f"From {first:.1f} % to {last:.1f}" in said and last < 0.6 * first
    assert f"{rate - shifts:.1f} points, is due to the shifts" in said and rate - shifts > (first - last) / 2
    assert f"cosine brings {first - rate:.1f}" in said and f"another {shifts - last:.1f}" in said


def test_relu_and_tanh_need_as_many_epochs_each_at_its_best_rate() -> None:
    results, said, best = experiments.load("06_relu_tanh"), text("nb06-027"), {}
    for setting in results.settings:
        runs = results.of(setting, "training error, %")
        if all(run[-1] <= 15 for run in runs):
            name, needed = setting.partition(",")[0], statistics.mean(map(len, runs))
            best[name] = min(needed, best.get(name, needed))
    assert abs(best["ReLU"] - best["tanh"]) < 1 and all(f"{needed:.1f}" in said for needed in best.values())


@pytest.mark.parametrize(
    ("cell", "said_in", "numbers"),
    [
        ("nb06-029", "nb06-163", {"lr 1": "20", "lr 0.1, biases -2": "63"}),
        ("nb06-152", "nb06-157", {"constant": "19", "plateau": "16", "plateau, decay 0.005": "12"}),
        ("nb06-093", "nb06-163", {"test error, %": "17"}),
    ],
)
def test_what_the_text_says_of_live_runs_is_what_they_printed(cell: str, said_in: str, numbers: dict) -> None:
    for setting, number in numbers.items():
        (line,) = re.findall(rf"^{re.escape(setting)} .*$", printed(cell), re.M)
        values = [float(value) for value in re.findall(r"(\S+) \[", line)]
        assert number in {f"{value:.0f}" for value in values} and re.search(rf"\b{number}\b", text(said_in)), setting


def test_a_short_run_says_that_it_is_one() -> None:
    for cell in ("nb06-029", "nb06-133"):
        assert re.search(r"^a short run, \d+ epochs: how a training begins, not how it ends$", printed(cell), re.M)
    for cell in ("nb06-039", "nb06-064", "nb06-149", "nb06-152"):
        assert re.search(r"^until validation error, % was no better for \d+ epochs", printed(cell), re.M)
