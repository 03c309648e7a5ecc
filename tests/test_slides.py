"""Slides: the pages that are exported, and what they load."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import record
from http_server import serve, well
from nbformat import NotebookNode

from helpers import commands
from helpers.commands import slides
from helpers.datasets import download

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
new = nbformat.v4
FIGURE = new.new_output("display_data", {"image/png": "AAAA"}, metadata={"image/png": {"alt": 'black "box"'}})
DRAWING = new.new_output("display_data", {"image/svg+xml": '<svg aria-label="drawn"><rect width="5"/></svg>'})


def notebook(*cells: NotebookNode | str) -> NotebookNode:
    """Text cells from strings, after a title; recorded, which gives them their slides."""
    made = new.new_notebook(
        cells=[new.new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in ("# Title", *cells)]
    )
    record.clean(made, dict.fromkeys(("KIT_PERSIST", "KIT_HOME", "TORCH_HOME"), "/nowhere"))
    return made


def code(source: str, *outputs: NotebookNode) -> NotebookNode:
    return new.new_code_cell(source, outputs=list(outputs))


def printed(text: str) -> NotebookNode:
    return new.new_output("execute_result", {"text/plain": text}, execution_count=1)


def page(*cells: NotebookNode | str) -> str:
    return slides.export(notebook(*cells), title="tiny", scripts="scripts")


# ------------------------------------------------------------------------------------------ which cell begins one


def test_every_cell_has_its_slide_and_sections_begin_slides() -> None:
    wrong = []
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            kind = cell.metadata.get("slideshow", {}).get("slide_type")
            is_section = cell.cell_type == "markdown" and re.match("##? (?!Further reading)", cell.source)
            is_appendix = "common claims" in cell.source.partition("\n")[0].lower()
            allowed = {"slide", "subslide", "-", "skip"}
            if is_section:
                allowed = {"slide", "skip"} if is_appendix else {"slide"}  # an appendix is not for the lecture
            if kind not in allowed:
                wrong.append(f"{path.name}: {kind} for {cell.source[:40]!r}")
    assert not wrong, "\n".join(wrong)


def test_record_gives_new_cells_a_slide_and_leaves_the_others() -> None:
    kept = code("kept")
    kept.metadata["slideshow"] = {"slide_type": "skip"}
    made = notebook(
        code("print(runtime.describe())"),
        "## One",
        code("x = 1"),
        "> **Predict.** More or less?",
        code("print(1)"),
        code("print(2)"),
        "words",
        "### Below",
        kept,
    )
    kinds = [cell.metadata.slideshow.slide_type for cell in made.cells]
    assert kinds == ["slide", "skip", "slide", "-", "subslide", "subslide", "-", "-", "subslide", "skip"]


# ------------------------------------------------------------------------------------------------------- the pages


def test_a_page_loads_the_scripts_beside_it_and_nothing_else() -> None:
    shown = page("## One\n\n$x^2$, [a link](https://example.org), [next](02_lenet.ipynb)", code("show()", FIGURE))
    assert 'href="02_lenet.html"' in shown
    loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]{1,60})', shown)
    wanted = {f"scripts/{name}" for name in slides.SCRIPTS}
    assert {address for address in loaded if not address.startswith("data:")} == wanted
    assert "@import" not in shown and "MathJax.Hub" not in shown and "require(" not in shown


def test_slides_are_sections_in_sections() -> None:
    shown = page("## One", code("x = 1"), "### Below", "## Two")
    body = re.sub(r"<section[^>]*>", "<section>", shown[shown.index('<div class="slides">') :])
    assert re.findall("</?section>", body) == (
        ["<section>", "<section>", "</section>", "</section>"]
        + ["<section>", "<section>", "</section>", "<section>", "</section>", "</section>"]
        + ["<section>", "<section>", "</section>", "</section>"]
    )


def test_pictures_keep_their_descriptions() -> None:
    shown = page("## One", code("show()", FIGURE), code("draw()", DRAWING))
    assert re.search(r"""<img alt='black "box"' src="data:image/png;base64,AAAA"/>""", shown)
    assert re.search(r'<svg aria-label="drawn">\s*<rect width="5"', shown)
    assert "No description" not in shown


def test_the_badge_and_dead_widgets_are_left_out() -> None:
    shown = page(
        "## One\n\n[![Open in Colab](https://example.org/badge.svg)](https://example.org)\n\nwords",
        code("explorer", printed("ConvExplorer: one filter on a 7 × 7…")),
        code("fit()", printed("epoch 3/3 100%|####################| 00:17")),
        code("value", printed("key: one value")),
    )
    assert "badge.svg" not in shown and "words" in shown
    assert "ConvExplorer: one" not in shown and "####" not in shown and "key: one value" in shown


def test_formulas_reach_mathjax_as_they_were_written_and_code_is_left_alone() -> None:
    shown = page("so $\\frac{n}{5}$ and\n\n$$y = x^2$$\n\n| a | b |\n|---|---|\n| $x_1$ | 2 |\n\n`$HOME`")
    for formula in ("$\\frac{n}{5}$", "$$y = x^2$$", "$x_1$"):
        assert formula in shown
    assert "<code>$HOME</code>" in shown  # MathJax leaves code alone


# ----------------------------------------------------------------------------------------------------- the scripts


def test_the_scripts_are_fetched_once_and_lie_beside_the_pages(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "script").write_bytes(b"let x = 1")
    wanted = dict.fromkeys(slides.SCRIPTS, download.sha256_of(tmp_path / "script"))
    monkeypatch.setattr(slides, "SCRIPTS", wanted)
    monkeypatch.delenv("KIT_OFFLINE")
    with serve(b"let x = 1", well()) as server:
        monkeypatch.setattr(slides, "ONLINE", server.url)
        for _ in range(2):
            assert commands.main(["slides", "00", "--results", str(tmp_path / "results")]) == 0
        assert len(server.requests) == len(wanted)
    folder = tmp_path / "results" / "slides"
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert made == {"00_start_here.html", *(f"scripts/{name}" for name in wanted)}
    shown = capsys.readouterr().out
    assert f"Slides: {folder}\n" in shown and "no network needed" in shown


def test_another_script_than_the_wanted_one_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("KIT_OFFLINE")
    with serve(b"evil", well()) as server:
        monkeypatch.setattr(slides, "ONLINE", server.url)
        with pytest.raises(OSError):
            slides.bring_scripts(tmp_path)
    assert not list(tmp_path.rglob("*.js"))


def test_without_them_the_page_asks_the_network_and_that_is_said(tmp_path: Path, capsys) -> None:
    assert commands.main(["slides", "00", "--results", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "the browser needs a network" in shown and "KIT_OFFLINE=1" in shown
    text = (tmp_path / "slides" / "00_start_here.html").read_text(encoding="utf-8")
    assert all(f'"{slides.ONLINE}/{name}"' in text for name in slides.SCRIPTS)
