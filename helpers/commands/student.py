"""``python -m helpers student FOLDER``: the notebooks without outputs, so that no stored answer spoils a question.

Standard library only: the workflow publishes the copies before anything is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

from helpers import machine
from helpers.commands import run


def student(to: str | Path) -> int:
    """Copy every notebook into the folder ``to`` and say what was done; a file that is there is never overwritten."""
    folder = Path(to).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    written, kept = 0, []
    for source in run.find_notebooks():
        target, text = folder / source.name, without_outputs(source.read_text(encoding="utf-8"))
        if not target.exists():
            with machine.replacing(target) as partial:
                partial.write_text(text, encoding="utf-8")
            written += 1
        elif target.read_text(encoding="utf-8") != text:
            kept.append(target.name)
    print(f"Notebooks without outputs: {written} new in {folder}")
    if kept:
        print(f"Kept as they are, since they were changed: {', '.join(kept)}")
        print("For a fresh copy of one, rename yours and run the same command again.")
    return 0


def without_outputs(text: str) -> str:
    """The text of a notebook file without outputs and execution counts; nothing else in it moves."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"  # as nbformat writes it
