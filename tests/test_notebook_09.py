"""What notebook 09 says about the zoo, checked against torchvision and against what the photos show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
import torchvision

from helpers import photos

KIT = Path(__file__).resolve().parents[1]
NOTEBOOK = nbformat.read(KIT / "notebooks/09_model_zoo.ipynb", as_version=4)
STORED = json.loads((KIT / "notebooks/results/09_top5.json").read_text(encoding="utf-8"))


def said(cell: str) -> str:
    """The text that a cell printed, or that stands for its figure."""
    (found,) = (each for each in NOTEBOOK.cells if each.id == cell)
    return "\n".join(output.get("text", "") or output.data["text/plain"] for output in found.outputs)


def test_the_zoo_has_as_many_networks_as_the_text_says() -> None:
    names = torchvision.models.list_models(module=torchvision.models)
    only_more = [
        name for name in names if all("SWAG" in weights.name for weights in torchvision.models.get_model_weights(name))
    ]
    assert f"{len(names)} networks," in said("nb09-014")
    assert f"{len(names) - len(only_more)} networks with weights from ImageNet alone" in said("nb09-014")
    assert said("nb09-014").strip().endswith(" ".join(sorted(only_more)))
    prose = " ".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    assert f"comes with {len(names)} networks" in prose


def test_the_blocks_are_drawn_as_wide_as_the_papers_have_them() -> None:
    (drawn,) = (cell for cell in NOTEBOOK.cells if cell.id == "nb09-039")
    alt = drawn.outputs[0].data["text/plain"]
    assert re.findall(r"(\d+) maps", alt) == ["256", "64", "64", "256", "24", "144", "144", "24"]


@pytest.mark.parametrize("run", STORED["runs"], ids=lambda run: f"{run['network']}, {run['photo']}")
def test_a_stored_answer_is_one_and_on_the_easy_photos_a_right_one(run: dict) -> None:
    weights = torchvision.models.get_model_weights(run["network"])[run["weights"]]
    names, probabilities = zip(*run["top5"], strict=True)
    assert not set(names) - set(weights.meta["categories"]) and len(set(names)) == 5
    assert sorted(probabilities, reverse=True) == list(probabilities) and sum(probabilities) <= 1.001
    if run["photo"] in ("coffee", "cat"):
        assert names[0] in photos.CATALOGUE[run["photo"]].answers
    if run["photo"] == "cat":
        assert f"{run['network']}: {names[0]} {100 * probabilities[0]:.0f} %" in said("nb09-top5")
