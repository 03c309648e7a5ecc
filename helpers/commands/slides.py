"""``python -m helpers slides``: the notebooks as slides (reveal.js), one page each, to be shown in a browser.

What is stored in a notebook is shown; nothing is executed. Its ``slideshow`` metadata says where a slide begins, as in
JupyterLab and RISE. Pictures are inside a page. Reveal.js and, for formulas, MathJax are put beside it: they are
fetched once, and where that fails, the page asks the network for them when it is shown.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import machine
from helpers.commands import run
from helpers.datasets import download

if TYPE_CHECKING:
    from nbformat import NotebookNode

ONLINE = "https://unpkg.com"
REVEAL, MATHJAX = "reveal.js@5.2.1", "mathjax@3.2.2"
SCRIPTS = {  # what a page loads from ONLINE or from the folder beside it, with its SHA-256
    f"{REVEAL}/dist/reveal.css": "68f915a11ebf7203c0446576b7e952ff61c5dd02134a8a226ffaf62ed42136d2",
    f"{REVEAL}/dist/theme/white.css": "97f64970ffd6c745ffab96ad26c504950f665e18fa851ac8864fc1851ce99780",
    f"{REVEAL}/dist/reveal.js": "46538b52db48724192f59bf46f5e851a18e302777c46f4a34c32709d010d6a29",
    f"{MATHJAX}/es5/tex-svg.js": "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882",
}


def slides(names: Sequence[str] = (), *, results: str | Path = "results") -> int:
    """Write the slides of each notebook (all by default) to ``results``/slides; returns the exit status."""
    import nbformat

    folder = Path(results).expanduser().resolve() / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        scripts, trouble = bring_scripts(folder), ""
    except OSError as error:
        scripts, trouble = ONLINE, str(error)
    for path in run.find_notebooks(names):
        page = folder / f"{path.stem}.html"
        page.write_text(export(nbformat.read(path, as_version=4), title=path.stem, scripts=scripts), encoding="utf-8")
        print(f"  {page.name}  ({page.stat().st_size / 1024:,.0f} KiB)")
    print(f"Slides: {folder}")
    if trouble:
        print(f"To show them, the browser needs a network: reveal.js could not be put beside them ({trouble}).")
    else:
        print("Open one in a browser: no network needed. Arrow keys turn them, F fills the screen, Esc shows all.")
    return 0


def bring_scripts(folder: Path) -> str:
    """Put what a page loads into ``folder``/scripts, and return that address as a page sees it.

    Raises OSError when it is not on this machine and cannot be fetched.
    """
    for name, sha256 in SCRIPTS.items():
        here, target = machine.home() / "slides" / name, folder / "scripts" / name
        if not here.is_file():
            if machine.offline():
                raise OSError(f"it is not on this machine, and {machine.no_network()}")
            here.parent.mkdir(parents=True, exist_ok=True)
            download.download(f"{ONLINE}/{name}", here, sha256=sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here, target)
    return "scripts"


def export(notebook: NotebookNode, *, title: str, scripts: str = ONLINE) -> str:
    """A page with the notebook's slides; ``scripts`` is the address below which it finds SCRIPTS."""
    from jinja2 import FileSystemLoader
    from nbconvert import SlidesExporter

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"\[!\[Open in Colab\].*\n*", "", cell.source)
            cell.source = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.html)", text)  # the other notebook's slides
        else:
            cell.outputs = [output for output in cell.outputs if not _is_dead_widget(output)]
    exporter = SlidesExporter(extra_loaders=[FileSystemLoader(Path(__file__).parent)], template_file="slides.html.j2")
    exporter.reveal_url_prefix, exporter.reveal_theme = f"{scripts}/{REVEAL}", "white"
    exporter.mathjax_url = f"{scripts}/{MATHJAX}/es5/tex-svg.js"
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = exporter.exclude_anchor_links = True
    exporter.log.setLevel("ERROR")
    return exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})[0]


def _is_dead_widget(output: NotebookNode) -> bool:
    """Is it an explorer or a progress bar, of which a notebook stores one line of text?"""
    data = output.get("data", {})
    return set(data) == {"text/plain"} and bool(re.match(r"[A-Z]\w+: |.*\d%\|", data["text/plain"]))
