"""``python -m helpers run``: execute a notebook without a browser and keep everything it made in one folder."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nbclient and nbformat are imported where they are used: other commands do without them
    from nbformat import NotebookNode

KIT = Path(__file__).resolve().parents[2]
DEFAULT_NOTEBOOK = "07_finetuning_bcdp"


@dataclasses.dataclass(frozen=True)
class CellFailure:
    """Where and why a notebook stopped. ``number`` counts code cells from 1; ``reason`` is the error's last line."""

    number: int
    source: str
    reason: str

    def __str__(self) -> str:
        lines = self.source.strip().splitlines()
        shown = [f"    {line}" for line in lines[:6]] + ["    ..."] * (len(lines) > 6)
        return "\n".join([f"Code cell {self.number} failed:", *shown, self.reason])


def run(notebook: str = "", *, results: str | Path = "results") -> int:
    """Execute a copy of ``notebook`` and leave it, an HTML page and what it saved in a new folder in ``results``.

    The notebook finds that folder in KIT_RESULTS (``results.save`` writes the model and summary.json
    there). Returns the exit status: 0, 1 when a cell failed, 130 when stopped with Ctrl-C.
    """
    import nbformat

    source = find_notebook(notebook)
    folder = new_folder(Path(results))
    content = nbformat.read(source, as_version=4)
    print(f"Executing {source.name}; everything it makes goes to {folder}", flush=True)
    stopped: CellFailure | None = None
    try:
        stopped = execute(content, cwd=source.parent, env={**os.environ, "KIT_RESULTS": str(folder)})
        status = 1 if stopped else 0
    except KeyboardInterrupt:
        status = 130
    finally:
        nbformat.write(content, folder / source.name)
        write_html(content, folder / f"{source.stem}.html")
    print(report(folder, stopped, interrupted=status == 130))
    return status


def find_notebook(name: str = "") -> Path:
    """The notebook that ``name`` means: a path, or a name in the kit's notebooks folder ("07" is enough)."""
    wanted = name or DEFAULT_NOTEBOOK
    if Path(wanted).is_file():
        return Path(wanted).resolve()
    stem = Path(wanted).name.removesuffix(".ipynb")
    found = sorted((KIT / "notebooks").glob(f"{stem}*.ipynb"))
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(path.stem for path in (KIT / "notebooks").glob("*.ipynb")))
    raise ValueError(f"{wanted!r} is {'not one' if found else 'no'} notebook. There are: {there}; or give a path.")


def new_folder(parent: Path) -> Path:
    """Make a folder in ``parent`` named after the time; it was not there before."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ["", *(f"_{number}" for number in range(2, 100))]:
        folder = parent.expanduser().resolve() / (stamp + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise OSError(f"No new folder could be made in {parent}.")


def execute(notebook: NotebookNode, *, cwd: Path, env: dict[str, str]) -> CellFailure | None:
    """Run every cell in a fresh kernel of this Python, with a progress bar; outputs are stored in ``notebook``.

    Returns None, or the failure after which nothing was run. Raises KeyboardInterrupt on Ctrl-C.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from tqdm import tqdm

    client = NotebookClient(notebook, timeout=None, kernel_name="python3", coalesce_streams=True, record_timing=False)
    client.extra_arguments = ["--log-level=CRITICAL"]  # else the kernel's own messages break the progress bar
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    headings = _headings(notebook)
    bar = tqdm(cells, bar_format="{elapsed} |{bar:20}| {n_fmt}/{total_fmt} cells {desc}", file=sys.stderr)
    with bar, client.setup_kernel(cwd=str(cwd), env=kernel_environment(env)):
        for number, (index, cell) in enumerate(bar, start=1):
            bar.set_description_str(headings[index])
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                return CellFailure(number, cell.source, f"{error.ename}: {error.evalue}".strip())
            except DeadKernelError:
                reason = "The kernel died; most often the memory was too small. Close other programs and try again."
                return CellFailure(number, cell.source, reason)
        client.set_widgets_metadata()
    return None


def kernel_environment(env: dict[str, str]) -> dict[str, str]:
    """``env`` with the kit importable, and without a matplotlib backend that would keep figures out of the notebook."""
    path = os.pathsep.join(filter(None, [str(KIT), env.get("PYTHONPATH", "")]))
    return {**{name: value for name, value in env.items() if name != "MPLBACKEND"}, "PYTHONPATH": path}


def call(command: Sequence[str], *, cwd: Path, env: dict[str, str]) -> int:
    """Run a command to its end and return its exit status; Ctrl-C is the command's to handle."""
    with subprocess.Popen(command, cwd=cwd, env=env) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command got it too, and is tidying up


def write_html(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook as a page that any browser opens; pictures are inside."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter()
    exporter.log.setLevel("ERROR")
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": path.stem}})
    path.write_text(page, encoding="utf-8")


def report(folder: Path, stopped: CellFailure | None, *, interrupted: bool = False) -> str:
    """What to tell the person who started the run: the accuracy, or what went wrong; the files; the folder, last."""
    lines = [""]
    if stopped:
        lines += [str(stopped), "", "What was executed so far is kept."]
    elif interrupted:
        lines.append("Stopped with Ctrl-C. What was executed so far is kept.")
    summary = read_summary(folder)
    if "test_accuracy" in summary:
        on = " on ".join(str(summary[key]) for key in ("model", "data") if key in summary)
        lines.append(f"Test accuracy: {summary['test_accuracy']:.1f} %" + (f" ({on})" if on else ""))
    lines += [f"  {path.name}  ({path.stat().st_size / 1024:,.0f} KiB)" for path in sorted(folder.iterdir())]
    return "\n".join([*lines, f"Results: {folder}"])


def read_summary(folder: Path) -> dict[str, object]:
    try:
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # the notebook saved nothing: not every one trains
        return {}


def _headings(notebook: NotebookNode) -> list[str]:
    """For each cell the heading it stands under."""
    current, headings = "", []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"(?m)^#{1,3} +(.+)$", cell.source)
            current = found[-1].strip() if found else current
        headings.append(current)
    return headings
