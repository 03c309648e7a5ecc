"""Writes the text of every question into the markdown above the cell that answers it, word for word as in the bank.

    python tests/tools/questions.py notebooks/01*.ipynb

A question stands as ``> **conv-2.** What ...`` at the end of the markdown cell right above; where there is none, a new
one is made. Lines of questions that are no longer asked there go. Everything else in the notebook stays as it is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

CALL = re.compile(r'exercises\.(?:check|check_code|widget)\(\s*"((?:[a-z]+-\d+|code-\w+-\w+))"')
LINE = re.compile(r"^> \*\*((?:[a-z]+-\d+|code-\w+-\w+))\.\*\* .*(?:\n> .*)*$", re.M)


def asked(cell: dict) -> list[str]:
    """The questions that a code cell answers, in order, each once."""
    source = "".join(cell["source"]) if cell["cell_type"] == "code" else ""
    live = "\n".join(line for line in source.split("\n") if not line.lstrip().startswith("#"))
    return list(dict.fromkeys(CALL.findall(live)))


def written(cell: dict) -> dict[str, str]:
    """The questions that stand in a markdown cell, with their lines."""
    source = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
    return {match[1]: match[0] for match in LINE.finditer(source)}


def line(name: str, text: str) -> str:
    """A question as it stands in the markdown."""
    return f"> **{name}.** " + text.replace("\n", "\n> ")


def rewrite(notebook: dict, texts: Mapping[str, str]) -> dict:
    """The notebook with the questions where they belong; a cell that held nothing else goes with its question."""
    cells: list[dict] = []
    ids = {cell.get("id") for cell in notebook["cells"]}
    for cell in notebook["cells"]:
        names = asked(cell)
        above = cells[-1] if cells and cells[-1]["cell_type"] == "markdown" else None
        if above and set(written(above)) - set(names):
            _clean(above, names)
            if not above["source"]:
                cells.pop()
                above = cells[-1] if cells and cells[-1]["cell_type"] == "markdown" else None
        if names:
            if above is None:
                new = next(i for i in (f"q-{names[0]}", *(f"q-{names[0]}-{n}" for n in range(2, 99))) if i not in ids)
                ids.add(new)
                above = {"cell_type": "markdown", "id": new, "metadata": _metadata(cell), "source": []}
                cells.append(above)
            source = "".join(above["source"])
            for name in names:
                wanted, there = line(name, texts[name]), written(above).get(name)
                added = "\n\n".join(filter(None, [source.rstrip(), wanted]))
                source = source.replace(there, wanted) if there else added
                above["source"] = source.splitlines(keepends=True)
        cells.append(cell)
    return {**notebook, "cells": cells}


def _clean(cell: dict, names: list[str]) -> None:
    source = LINE.sub(lambda match: match[0] if match[1] in names else "", "".join(cell["source"]))
    cell["source"] = re.sub(r"\n{3,}", "\n\n", source).strip("\n").splitlines(keepends=True)


def _metadata(cell: dict) -> dict:
    """The question begins the slide that its answer stands on; the answer then goes on with it."""
    show = cell["metadata"].get("slideshow")
    if not show:
        return {}
    cell["metadata"]["slideshow"] = {"slide_type": "-"}
    return {"slideshow": dict(show)}


def main(paths: list[str]) -> None:
    """Rewrites the notebooks at ``paths`` and says which of them changed."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from helpers.exercises import bank

    texts = {question.id: question.text for question in bank.every().values()}
    for path in map(Path, paths):
        before = path.read_text(encoding="utf-8")
        after = json.dumps(rewrite(json.loads(before), texts), indent=1, ensure_ascii=False) + "\n"
        path.write_text(after, encoding="utf-8")
        print(f"{path}: {'changed' if after != before else 'as it was'}")


if __name__ == "__main__":
    main(sys.argv[1:])
