"""Notebook 06: each half runs without the other, and what its text says is what its stored numbers say."""

from __future__ import annotations

import ast
import builtins
import functools
import json
import re
from pathlib import Path

import pytest

from helpers import experiments

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "06_training_recipe.ipynb"
STORED = ("augmentation",)
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
