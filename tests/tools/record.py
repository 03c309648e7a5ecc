"""``colab_setup.py record 07``: store a notebook's outputs in it, as CI will compare them.

Runs a notebook in the quick profile, offline, in fresh folders, and writes it back with the outputs, execution counts
1..n and nothing in its metadata that changes from machine to machine, so that a diff shows what really changed. A cell
that is new gets the type of its slide.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import settings
from nbformat import NotebookNode

from helpers import machine
from helpers.commands import run

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main(names: Sequence[str] = ()) -> int:
    """Execute each notebook (all by default) and store its outputs in it; one that fails stays as it was."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="cnn-course-kit-") as scratch:
        for path in run.find_notebooks(names):
            notebook = nbformat.read(path, as_version=4)
            started = time.monotonic()
            print(path.name, flush=True)
            fresh = settings.fresh(Path(scratch).resolve(), persist=path.stem)
            failure = run.execute(notebook, cwd=path.parent, env={**os.environ, **fresh})
            if failure:
                failed += 1
                print(f"{failure}\n{path.name} was left as it was.\n")
                continue
            clean(notebook, fresh)
            nbformat.validate(notebook)
            with machine.replacing(path) as partial:
                partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            print(f"  {time.monotonic() - started:.0f} s, {path.stat().st_size / 1024:.0f} KiB")
    return 1 if failed else 0


def clean(notebook: NotebookNode, folders: Mapping[str, str]) -> None:
    """Number the executions 1..n, drop what a diff should not show, and give new cells their slides, in place.

    ``folders`` are the temporary ones of this run, by the variables in whose place they are to stand.
    """
    notebook.metadata.pop("widgets", None)  # with it, GitHub calls the notebook invalid
    notebook.metadata["kernelspec"] = dict(KERNEL)
    notebook.metadata["language_info"] = {"name": "python"}
    number, asked = 0, False
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "slideshow" not in cell.metadata:
            cell.metadata["slideshow"] = {"slide_type": slide_type(cell, asked=asked)}
        asked = "> **Predict" in cell.source
        if cell.cell_type != "code":
            continue
        number += 1
        cell.execution_count = number
        for output in cell.outputs:
            output.get("data", {}).pop(WIDGET_VIEW, None)  # names a widget that died with its kernel
            if "execution_count" in output:
                output.execution_count = number
            texts = output.get("data", output)  # a stream keeps its text directly
            for kind in {"text", "text/plain", "text/html"} & set(texts):
                for name in ("KIT_PERSIST", "KIT_HOME", "TORCH_HOME"):
                    texts[kind] = texts[kind].replace(folders[name], f"${name}")


def slide_type(cell: NotebookNode, *, asked: bool) -> str:
    """Sections begin slides; predictions, and what answers them (``asked``), have a slide below of their own."""
    if cell.cell_type == "code":
        set_up = "runtime.describe()" in cell.source
        return "skip" if set_up else "subslide" if asked else "-"
    if re.match("##? ", cell.source):
        return "slide"
    return "subslide" if asked or re.match(r"### |> \*\*Predict", cell.source) else "-"
