"""``python -m helpers record``: the maintainer's tool that stores a notebook's outputs, as CI will compare them.

Runs a notebook in the quick profile, offline, in fresh folders, and writes it back with the outputs, execution counts
1..n and nothing in its metadata that changes from machine to machine, so that a diff shows what really changed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.commands import run, slideshow

if TYPE_CHECKING:
    from nbformat import NotebookNode

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def record(names: Sequence[str] = ()) -> int:
    """Execute each notebook (all by default) and store its outputs in it; one that fails stays as it was."""
    import nbformat

    paths = [run.find_notebook(name) for name in names] or sorted((run.KIT / "notebooks").glob("*.ipynb"))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="cnn-course-kit-") as scratch:
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            started = time.monotonic()
            print(path.name, flush=True)
            env = fresh_environment(Path(scratch).resolve(), persist=path.stem)
            stopped = run.execute(notebook, cwd=path.parent, env=env)
            if stopped:
                failed += 1
                print(f"{stopped}\n{path.name} was left as it was.\n")
                continue
            clean(notebook, env)
            write(notebook, path)
            print(f"  {time.monotonic() - started:.0f} s, {path.stat().st_size / 1024:.0f} KiB")
    return 1 if failed else 0


def fresh_environment(folder: Path, *, persist: str) -> dict[str, str]:
    """The environment in which notebooks are recorded and tested: nothing of this machine or of an earlier run.

    Data and weights are shared within ``folder`` (drawn once); checkpoints and answers are each notebook's own, so
    that a notebook gives the same whether it runs alone or after the others.
    """
    return {
        **os.environ,
        "KIT_HOME": str(folder / "home"),
        "KIT_PERSIST": str(folder / "persist" / persist),
        "KIT_OFFLINE": "1",
        "KIT_PROFILE": "quick",
        "TORCH_HOME": str(folder / "torch"),  # weights that happen to lie on this machine would change the results
        "JUPYTER_PLATFORM_DIRS": "1",
    }


def clean(notebook: NotebookNode, env: dict[str, str]) -> None:
    """Number the executions 1..n, drop what a diff should not show, and arrange the slides, in place."""
    folders = {env[name]: f"${name}" for name in ("KIT_PERSIST", "KIT_HOME", "TORCH_HOME")}
    notebook.metadata.pop("widgets", None)  # with it, GitHub calls the notebook invalid
    notebook.metadata["kernelspec"] = dict(KERNEL)
    notebook.metadata["language_info"] = {"name": "python"}
    number = 0
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        number += 1
        cell.execution_count = number
        for output in cell.outputs:
            output.get("data", {}).pop(WIDGET_VIEW, None)  # names a widget that died with its kernel
            if "execution_count" in output:
                output.execution_count = number
            _replace_folders(output, folders)
    slideshow.arrange(notebook)


def _replace_folders(output: NotebookNode, folders: dict[str, str]) -> None:
    """Write $KIT_HOME for the temporary folder that it was while recording."""
    texts = output.get("data", output)  # a stream keeps its text directly
    for kind in ("text", "text/plain", "text/html"):
        for folder, name in folders.items():
            if kind in texts:
                texts[kind] = texts[kind].replace(folder, name)


def write(notebook: NotebookNode, path: Path) -> None:
    """Replace the notebook at ``path`` in one step."""
    import nbformat

    fresh = path.with_name(f".{path.name}.new")
    nbformat.validate(notebook)
    nbformat.write(notebook, fresh)
    fresh.replace(path)
