"""The house has four floors, and imports go down only: what the map in ``helpers/__init__.py`` promises."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
MODULES = sorted(path.stem for path in HELPERS.glob("*.py") if path.stem not in ("__init__", "__main__"))

# What a name begins with says where it belongs; the longest beginning counts.
FLOORS = {
    "widgets": 3, "explorer": 3, "board": 3, "exercises": 3, "answers": 3, "questions": 3,
    "svg": 2, "plotting": 2, "screen": 2, "conv_setup": 2, "conv_example": 2, "conv_checks": 0, "field_setup": 2,
    "loaders": 1, "decoding": 1, "augment": 1, "models": 1, "architectures": 1, "lenet": 1, "alexnet2012": 1,
    "cifar_nets": 1, "alexnet_mini": 1, "pretrain": 1, "training": 1, "history": 1, "results": 1, "checkpoints": 1,
    "resuming": 1, "acceleration": 1, "optimizers": 1, "progress": 1, "experiments": 1, "dissect": 1,
    "activations": 1, "transfer": 1, "digits": 1, "layer_statistics": 1, "distributed": 1,
    "runtime": 0, "environment": 0, "diagnosis": 0, "drive": 0, "datasets": 0, "catalogue": 0, "download": 0,
    "archives": 0, "locks": 0, "pictures": 0, "doctor": 0, "lookalikes": 0, "standin": 0, "conv_math": 0,
    "slideshow": 0, "cmd": 4,
}  # fmt: skip
WITHOUT_TORCH = {0}  # floors; a function may still import it, when it is called


def floor(module: str) -> int:
    beginnings = [name for name in FLOORS if module == name or module.startswith(name + "_")]
    assert beginnings, f"helpers/{module}.py stands on no floor: add it to FLOORS and to the map in helpers/__init__.py"
    return FLOORS[max(beginnings, key=len)]


def imported(module: str) -> set[str]:
    """What the module imports while it is itself imported; not in functions, and not for type checkers only."""
    tree = ast.parse((HELPERS / f"{module}.py").read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "helpers":
            names |= {f"helpers.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def neighbours(module: str) -> set[str]:
    return {name.split(".")[1] for name in imported(module) if name.startswith("helpers.")}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    above = {name for name in neighbours(module) if floor(name) > floor(module)}
    assert not above, f"helpers/{module}.py is on floor {floor(module)} and imports from above: {', '.join(above)}"


def test_no_import_goes_in_a_circle() -> None:
    TopologicalSorter({module: neighbours(module) for module in MODULES}).prepare()  # CycleError names the circle


@pytest.mark.parametrize("module", MODULES)
def test_what_is_heavy_stays_on_its_floor(module: str) -> None:
    packages = {name.split(".")[0] for name in imported(module)}
    assert "google" not in packages  # exists on Colab only: imported inside the function that needs it
    assert "ipywidgets" not in packages or floor(module) == 3
    assert "matplotlib" not in packages or floor(module) >= 2 or module.startswith("standin")  # it lends its fonts
    assert not packages & {"torch", "torchvision"} or floor(module) not in WITHOUT_TORCH


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("questions_")])
def test_a_file_holds_one_idea_and_can_be_read_in_one_go(module: str) -> None:
    assert len((HELPERS / f"{module}.py").read_text(encoding="utf-8").splitlines()) <= 310


def test_the_map_names_every_module_that_notebooks_use() -> None:
    import helpers

    parts = {"conv_setup", "conv_example", "conv_checks", "field_setup", "lookalikes"}  # of svg, conv_math, doctor
    families = {name for name in FLOORS if name in MODULES} - parts
    assert families <= set(re.findall(r"\w+", helpers.__doc__))
