"""The house has six floors, and imports go down only: what the map in ``helpers/__init__.py`` promises."""

from __future__ import annotations

import ast
import importlib
import json
import re
from graphlib import TopologicalSorter
from pathlib import Path

import helpers

KIT = Path(__file__).resolve().parents[1]
HELPERS = KIT / "helpers"
FLOORS = {  # floor 0 first, read from the map
    name: int(number)
    for number, names in re.findall(r"^floor (\d)  (.+)$", helpers.__doc__ or "", re.M)
    for name in names.split(", ")
}
ENTRANCES = {"__init__", "__main__"}  # nobody imports them from inside; they may import everything


def place(path: Path) -> str:
    """The name on top that a file belongs to: "plotting" for helpers/plotting/recipe.py."""
    return path.relative_to(HELPERS).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(path for path in HELPERS.rglob("*.py") if place(path) not in ENTRANCES and path.stem != "__main__")


def imported(path: Path, *, deferred: bool) -> set[str]:
    """The modules that a file imports, ``helpers.plotting.recipe`` and the like; ``deferred``: in functions, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree) if deferred else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def below(path: Path) -> set[str]:
    """The names on top that a file imports from, without its own."""
    parts = [name.split(".") for name in imported(path, deferred=True) if name.startswith("helpers.")]
    return {name for _, name, *_ in parts if name in FLOORS} - {place(path)}


def test_every_name_on_top_stands_on_a_floor_and_there_are_few() -> None:
    on_top = {place(path) for path in HELPERS.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert on_top - ENTRANCES == set(FLOORS)
    assert len(FLOORS) <= 24


def test_imports_go_down_only_and_never_in_a_circle() -> None:
    wrong, arrows = [], {}
    for path in files():
        above = {name for name in below(path) if FLOORS[name] > FLOORS[place(path)]}
        if above:
            wrong.append(f"{path.relative_to(KIT)} (floor {FLOORS[place(path)]}) imports {', '.join(sorted(above))}")
        arrows.setdefault(place(path), set()).update(below(path))
    assert not wrong, "\n".join(wrong)
    TopologicalSorter(arrows).prepare()  # CycleError names the circle


def test_inside_a_folder_too_no_import_goes_in_a_circle() -> None:
    modules = {".".join(path.relative_to(KIT).with_suffix("").parts).removesuffix(".__init__") for path in files()}
    arrows = {}
    for path in files():
        own = ".".join(path.relative_to(KIT).with_suffix("").parts).removesuffix(".__init__")
        # ``from helpers.dissect import rows`` asks for the file rows; where there is none, for a name of the folder.
        asked = {name if name in modules else name.rpartition(".")[0] for name in imported(path, deferred=False)}
        arrows[own] = (asked & modules) - {own}
    TopologicalSorter(arrows).prepare()


def test_what_is_heavy_stays_where_it_is_needed() -> None:
    for path in files():
        packages = {name.split(".")[0] for name in imported(path, deferred=False)}
        floor = FLOORS[place(path)]
        assert "google" not in packages, path  # exists on Colab only: imported inside the function that needs it
        assert "ipywidgets" not in packages or place(path) == "widgets" or path.name == "form.py", path
        assert "matplotlib" not in packages or floor >= 3, path
        light = floor == 0 or place(path) in {"drive", "doctor", "environment", "datasets", "diagnosis", "runtime"}
        assert not (light and packages & {"torch", "torchvision"}), path


def test_a_file_holds_one_idea_and_a_folder_few_files() -> None:
    too_long = {str(p.relative_to(KIT)): n for p in files() if (n := len(p.read_text().splitlines())) > 450}
    assert not too_long
    folders = {path.parent for path in files()} - {HELPERS}
    assert {str(f.relative_to(KIT)): n for f in folders if (n := len(list(f.glob("*.py")))) > 13} == {}


def test_old_names_lead_to_modules_that_are_there() -> None:
    for old, new in helpers.OLD_NAMES.items():
        module = importlib.import_module(f"helpers.{old}")
        assert module.__name__ == f"helpers.{new}", old
        assert module.__spec__ is not None and module.__spec__.name == module.__name__, old


def test_what_a_notebook_imports_is_public() -> None:
    private = []
    for notebook in sorted((KIT / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        for line in re.findall(r"^\s*from (helpers[\w.]*) import ([\w, ]+)$", source, re.M):
            module = importlib.import_module(line[0])
            for name in (each.split(" as ")[0].strip() for each in line[1].split(",")):
                thing = getattr(module, name, None) or importlib.import_module(f"{line[0]}.{name}")
                public = getattr(module, "__all__", None)
                home = getattr(thing, "__module__", None)
                if name.startswith("_") or (public and name not in public and home not in (None, module.__name__)):
                    private.append(f"{notebook.name}: from {line[0]} import {name}")
    assert not private, "\n".join(private)
