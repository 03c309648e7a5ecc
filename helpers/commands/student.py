"""``python -m helpers student FOLDER``: the notebooks without outputs, so that no stored answer spoils a question.

Standard library only: the workflow publishes the copies before anything is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

KIT = Path(__file__).resolve().parents[2]


def student(folder: str | Path) -> int:
    """Write the copies into ``folder`` and say what was done; returns the exit status."""
    folder = Path(folder).expanduser().resolve()
    written, kept = copy(folder)
    print(f"Notebooks without outputs: {len(written)} new in {folder}")
    if kept:
        print(f"Kept as they are, since they were changed: {', '.join(path.name for path in kept)}")
        print("For a fresh copy of one, rename yours and run the same command again.")
    return 0


def copy(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy every notebook into ``folder``; returns what was written, and what was kept.

    A file that is there is never overwritten; it counts as kept when it differs from the copy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, kept = [], []
    for source in sorted((KIT / "notebooks").glob("*.ipynb")):
        target, text = folder / source.name, without_outputs(source.read_text(encoding="utf-8"))
        if not target.exists():
            fresh = target.with_name(f".{target.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(target)
            written.append(target)
        elif target.read_text(encoding="utf-8") != text:
            kept.append(target)
    return written, kept


def without_outputs(text: str) -> str:
    """The text of a notebook file without outputs and execution counts; nothing else in it moves."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"  # as nbformat writes it
