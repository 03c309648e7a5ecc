"""``python -m helpers run``: execute a notebook without a browser and keep everything it made in one folder.

Also what the other commands share: where the kit lies, which notebook a name means, how a program is started.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nbclient and nbformat are imported where they are used: other commands do without them
    from nbformat import NotebookNode

KIT = Path(__file__).resolve().parents[2]


def run(name: str, *, results: str | Path = "results") -> int:
    """Execute a copy of a notebook and leave it, an HTML page and what it saved in a new folder in ``results``.

    The notebook finds that folder in KIT_RESULTS (``results.save`` writes the model and summary.json there). Returns
    the exit status: 0, 1 when a cell failed, 130 when stopped with Ctrl-C.
    """
    import nbformat

    [source] = find_notebooks([name])
    folder = new_folder(Path(results))
    content = nbformat.read(source, as_version=4)
    print(f"Executing {source.name}; everything it makes goes to {folder}", flush=True)
    try:
        failure = execute(content, cwd=source.parent, env={**os.environ, "KIT_RESULTS": str(folder)})
        status = 1 if failure else 0
    except KeyboardInterrupt:
        failure, status = "Stopped with Ctrl-C.", 130
    finally:
        nbformat.write(content, folder / source.name)
        write_html(content, folder / f"{source.stem}.html")
    print(report(folder, failure))
    return status


def find_notebooks(names: Sequence[str] = ()) -> list[Path]:
    """The notebooks that are named by a path or by the beginning of a name ("07" is enough); all without names."""
    there = sorted((KIT / "notebooks").glob("*.ipynb"))
    paths = []
    for name in names:
        found = [path for path in there if path.stem.startswith(name.removesuffix(".ipynb"))]
        if Path(name).is_file():
            found = [Path(name).resolve()]
        if len(found) != 1:
            what, stems = "not one" if found else "no", ", ".join(path.stem for path in there)
            raise ValueError(f"{name!r} is {what} notebook. There are: {stems}; or give a path.")
        paths += found
    return paths or there


def new_folder(parent: Path) -> Path:
    """Make a folder in ``parent`` named after the time; it was not there before."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ["", *(f"_{number}" for number in range(2, 100))]:
        folder = parent.expanduser().resolve() / (stamp + suffix)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise OSError(f"No new folder could be made in {parent}.")


def execute(notebook: NotebookNode, *, cwd: Path, env: Mapping[str, str]) -> str:
    """Run every cell in a fresh kernel of this Python, with a progress bar; outputs are stored in ``notebook``.

    Returns "", or which cell failed and why; after it nothing was run. Raises KeyboardInterrupt on Ctrl-C.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from tqdm import tqdm

    client = NotebookClient(notebook, timeout=None, kernel_name="python3", coalesce_streams=True, record_timing=False)
    client.extra_arguments = ["--log-level=CRITICAL"]  # else the kernel's own messages break the progress bar
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    bar = tqdm(total=total, bar_format="{elapsed} |{bar:20}| {n_fmt}/{total_fmt} cells {desc}", file=sys.stderr)
    with bar, client.setup_kernel(cwd=str(cwd), env=kernel_environment(env)):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                headings = re.findall(r"(?m)^#{1,3} +(.+?) *$", cell.source)
                bar.set_description_str(headings[-1] if headings else bar.desc)
                continue
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                return failure(bar.n + 1, cell.source, f"{error.ename}: {error.evalue}".strip())
            except DeadKernelError:
                reason = "The kernel died; most often the memory was too small. Close other programs and try again."
                return failure(bar.n + 1, cell.source, reason)
            bar.update()
        client.set_widgets_metadata()
    return ""


def failure(number: int, source: str, reason: str) -> str:
    """Where and why a notebook stopped. ``number`` counts code cells from 1; ``reason`` is the error's last line."""
    lines = [f"    {line}" for line in source.strip().splitlines()]
    return "\n".join([f"Code cell {number} failed:", *lines[:6], *["    ..."][: len(lines) > 6], reason])


def report(folder: Path, failure: str = "") -> str:
    """What to tell the person who started the run: the accuracy, or what went wrong; the files; the folder, last."""
    lines = ["", failure, "What was executed so far is kept."] if failure else [""]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:  # the notebook may have saved none: not every one trains
        with contextlib.suppress(OSError, ValueError, KeyError):
            summary = json.loads(path.read_text(encoding="utf-8")) if path.name == "summary.json" else {}
            on = " on ".join(str(summary[key]) for key in ("model", "data") if key in summary)
            lines.append(f"Test accuracy: {summary['test_accuracy']:.1f} %" + (f" ({on})" if on else ""))
    lines += [f"  {path.relative_to(folder)}  ({path.stat().st_size / 1024:,.0f} KiB)" for path in files]
    return "\n".join([*lines, f"Results: {folder}"])


def write_html(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook as a page that any browser opens; pictures are inside, those of the widgets too."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    kinds = ["text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain"]
    exporter = HTMLExporter(config=Config({"NbConvertBase": {"display_data_priority": kinds}}))
    exporter.log.setLevel("ERROR")
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": path.stem}})
    path.write_text(page, encoding="utf-8")


def kernel_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``env`` with the kit importable, and without a matplotlib backend that would keep figures out of the notebook."""
    path = os.pathsep.join(filter(None, [str(KIT), env.get("PYTHONPATH", "")]))
    return {**{name: value for name, value in env.items() if name != "MPLBACKEND"}, "PYTHONPATH": path}


def call(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run a command to its end, with the kit importable unless ``env`` says otherwise; returns its exit status.

    Ctrl-C is the command's to handle.
    """
    with subprocess.Popen(command, cwd=cwd, env=kernel_environment() if env is None else env) as process:
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the command got it too, and is tidying up
                return process.wait()
