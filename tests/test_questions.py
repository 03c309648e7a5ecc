"""The questions in the markdown: word for word those of the bank, right above the cell that answers them."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import questions  # in tests/tools

from helpers.exercises import bank

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TEXTS = {question.id: question.text for question in bank.every().values()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_markdown_and_bank_agree(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    for above, cell in zip(cells, cells[1:], strict=False):
        names = questions.asked(cell)
        assert len(names) <= 1, f"one question a cell, not {names}"
        if names:
            last = "".join(above["source"]).split("\n\n")[-1]
            wanted = f"> **{names[0]}.** {TEXTS[names[0]]}"
            assert (above["cell_type"], last) == ("markdown", wanted), "run tests/tools/questions.py"
    assert questions.rewrite(copy.deepcopy(notebook), TEXTS) == notebook, "run tests/tools/questions.py"


def markdown(*parts: str) -> dict:
    source = "\n\n".join(parts).splitlines(keepends=True)
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source}


def code(source: str, **metadata: object) -> dict:
    return {"cell_type": "code", "id": "c", "metadata": metadata, "source": source.splitlines(keepends=True)}


CHECK = 'exercises.check("conv-2", width=...)'
ASKED = "> **conv-2.** How wide?"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([markdown("Text."), code(CHECK)], [markdown("Text.", ASKED), code(CHECK)]),
        ([markdown("Text.", "> **conv-2.** How\n> high?"), code(CHECK)], [markdown("Text.", ASKED), code(CHECK)]),
        ([markdown("Text.", "> **pool-1.** Old?"), code(CHECK)], [markdown("Text.", ASKED), code(CHECK)]),
        ([markdown("A", ASKED, "B"), code("x = 1")], [markdown("A", "B"), code("x = 1")]),
        ([markdown(ASKED), code("x = 1")], [code("x = 1")]),
        ([markdown("> **Predict.** So?"), code("1")], [markdown("> **Predict.** So?"), code("1")]),
        ([code(f"# {CHECK}")], [code(f"# {CHECK}")]),
        (
            [markdown("A"), code('exercises.check_code("code-01-size", size)')],
            [markdown("A", "> **code-01-size.** Write\n> it."), code('exercises.check_code("code-01-size", size)')],
        ),
    ],
)
def test_lines_are_written_updated_and_removed(before: list[dict], after: list[dict]) -> None:
    texts = {"conv-2": "How wide?", "code-01-size": "Write\nit."}
    written = questions.rewrite({"cells": copy.deepcopy(before)}, texts)
    assert written["cells"] == after
    assert questions.rewrite(copy.deepcopy(written), texts) == written, "a second time changes nothing"


def test_without_markdown_above_a_cell_is_made_and_takes_the_place_of_the_answer_on_the_slide() -> None:
    cells = [code("x = 1"), code(CHECK, slideshow={"slide_type": "subslide"})]
    first, question, answer = questions.rewrite({"cells": cells}, {"conv-2": "How wide?"})["cells"]
    assert (question["id"], question["source"], question["metadata"]["slideshow"]["slide_type"]) == (
        "q-conv-2", [ASKED], "subslide")  # fmt: skip
    assert answer["metadata"]["slideshow"]["slide_type"] == "-" and first == code("x = 1")
