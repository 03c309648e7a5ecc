"""Slides: which cell begins one, and the pages that are exported."""

from __future__ import annotations

import copy
import io
import re
import struct
import tarfile
import zlib
from base64 import b64encode
from pathlib import Path

import nbformat
import pytest
from http_server import serve, well
from nbformat import NotebookNode

from helpers import __main__
from helpers.commands import record, slides, slideshow
from helpers.datasets import download

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
new = nbformat.v4


def png(width: int, height: int) -> str:
    """A black picture, as a notebook stores it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\0" * width) * height)
    return b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")).decode()


def figure(width: int, height: int) -> NotebookNode:
    return new.new_output("display_data", {"image/png": png(width, height)}, metadata={"image/png": {"alt": "black"}})


def drawing(width: int, height: int, text: str = "a drawing") -> NotebookNode:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"><rect width="5" height="5"/></svg>'
    )
    return new.new_output("execute_result", {"image/svg+xml": svg, "text/plain": text}, execution_count=1)


def notebook(*cells: NotebookNode | str) -> NotebookNode:
    """Text cells from strings, after a title."""
    made = [new.new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in ("# Title", *cells)]
    return new.new_notebook(cells=made)


def code(source: str, *outputs: NotebookNode) -> NotebookNode:
    return new.new_code_cell(source, outputs=list(outputs))


def kinds(*cells: NotebookNode | str) -> list[str]:
    return slideshow.kinds(notebook(*cells).cells)[1:]


# ------------------------------------------------------------------------------------------- which cell begins one


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_arranged(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    again = copy.deepcopy(stored)
    slideshow.arrange(again)
    assert again == stored, f"python -m helpers record {path.stem}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_sections_begin_slides_and_nearly_all_fit(path: Path) -> None:
    cells, heights = nbformat.read(path, as_version=4).cells, []
    for cell in cells:
        kind = cell.metadata.slideshow.slide_type
        if re.match("##? ", cell.source) and cell.cell_type == "markdown" and "Further reading" not in cell.source:
            assert kind == "slide", cell.source[:40]
        if kind in ("slide", "subslide"):
            heights.append(0.0)
        if kind != "skip":
            heights[-1] += slideshow.height(cell)
    assert sum(each > slideshow.HEIGHT for each in heights) <= 0.12 * len(heights)


def test_record_arranges() -> None:
    made = notebook("## One\n\ntext\n\n## Two", code("1 + 1"))
    record.clean(made, {name: "/nowhere" for name in ("KIT_PERSIST", "KIT_HOME", "TORCH_HOME")})
    assert [cell.metadata.slideshow.slide_type for cell in made.cells] == ["slide", "slide", "slide", "-"]


def test_a_section_gets_a_cell_of_its_own() -> None:
    text = "before\n\n## One\n\n### Inside\n\nmore\n\n```\n# no heading\n```\n\n### Two\n\nend"
    made = notebook(text).cells[1:]
    made[0].id = "abc"
    parts = slideshow.split(made)
    assert [part.source for part in parts] == [
        "before",
        "## One\n\n### Inside\n\nmore\n\n```\n# no heading\n```",
        "### Two\n\nend",
    ]
    assert [part.id for part in parts] == ["abc", "abc-2", "abc-3"]
    assert slideshow.split(parts) == parts
    assert slideshow.split([code("# no heading\n\n# either")])[0].source == "# no heading\n\n# either"


def test_what_answers_a_prediction_waits_for_the_next_slide() -> None:
    assert kinds("## One", "> **Predict.** More or less?", code("print(1)")) == ["slide", "subslide", "subslide"]
    assert kinds("## One\n\n> **Predict.** More or less?", code("print(1)")) == ["slide", "subslide"]


def test_small_cells_share_a_slide_and_long_ones_do_not() -> None:
    def cells(*lines: int) -> list[NotebookNode]:
        return [code("x = 1\n" * count) for count in lines]

    assert kinds("## One", *cells(1, 1, 1)) == ["slide", "-", "-", "-"]
    assert kinds("## One", *cells(1, 20, 1)) == ["slide", "-", "subslide", "-"]
    assert kinds("## One", *cells(20), "text that announces it", *cells(20)) == ["slide", "-", "subslide", "-"]
    assert kinds("## One", code("show()", figure(900, 450)), code("show()", figure(900, 450))) == [
        "slide",
        "-",
        "subslide",
    ]
    printed = new.new_output("stream", text="line\n" * 20)
    assert kinds("## One", code("a", printed), code("b", printed)) == ["slide", "-", "subslide"]


def test_an_exercise_follows_code_on_a_slide_of_its_own() -> None:
    first, second = (code(f'exercises.check("conv-{number}", width=...)') for number in (1, 2))
    assert kinds("## One", first, second) == ["slide", "-", "subslide"]


def test_a_check_of_what_was_just_seen_gets_no_slide_of_its_own() -> None:
    def cells(lines: int) -> list[NotebookNode]:
        trained = code("train()\nshow()", figure(900, 500))
        trained.metadata["tags"] = ["nbval-ignore-output"]
        return [trained, code("print(1)", new.new_output("stream", text="True\n" * lines))]

    assert kinds("## One", *cells(1)) == ["slide", "subslide", "skip"]
    assert kinds("## One", *cells(9)) == ["slide", "subslide", "subslide"]
    assert kinds("## One", "words", *cells(1)[1:]) == ["slide", "-", "-"]


def test_set_up_homework_and_further_reading_are_not_shown() -> None:
    cells = (
        code("print(runtime.describe())"),
        code("import torch\nfrom torch import nn"),
        "## One",
        code("import time"),
        code("import time\ntime.time()"),
        "## Exercises",
        code("exercises.check(...)"),
        "## Further reading",
    )
    assert kinds(*cells) == ["skip", "skip", "slide", "skip", "-", "slide", "skip", "skip"]


@pytest.mark.parametrize("make", [figure, drawing], ids=["PNG", "SVG"])
@pytest.mark.parametrize("size", [(900, 450), (100, 100), (3000, 300), (300, 3000)], ids=str)
@pytest.mark.parametrize("lines", [1, 12, 40])
def test_a_picture_fills_what_the_code_leaves(make, size: tuple[int, int], lines: int) -> None:
    output = make(*size)
    width, height = slideshow.figure_size(code("x\n" * lines, output), output)
    assert width <= slideshow.WIDTH and height <= slideshow.FIGURE[1]
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02)
    room = min(max(slideshow.FIGURE[0], slideshow.HEIGHT - 25 * lines - 100), slideshow.FIGURE[1])
    assert width > 0.98 * slideshow.WIDTH or height >= 0.95 * min(room, slideshow.FIGURE[1])


# ------------------------------------------------------------------------------------------------------- the pages


def page(*cells: NotebookNode | str) -> str:
    made = notebook(*cells)
    slideshow.arrange(made)
    return slides.export(made, title="tiny", reveal="reveal.js")


def test_a_page_needs_no_network() -> None:
    shown = page(
        "## One\n\n$x^2$, [a link](https://example.org), [next](02_lenet.ipynb)", code("show()", figure(90, 45))
    )
    assert 'href="02_lenet.html"' in shown
    loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]{1,40})', shown)
    assert {address for address in loaded if not address.startswith("data:")} == {
        "reveal.js/dist/reveal.js",
        "reveal.js/dist/reveal.css",
        "reveal.js/dist/theme/white.css",
    }
    assert "@import" not in shown and "MathJax.Hub" not in shown


def test_slides_are_sections_in_sections() -> None:
    shown = page("## One", code("x = 1"), "### Below", "## Two")
    body = re.sub(r"<section[^>]*>", "<section>", shown[shown.index('<div class="slides">') :])
    assert re.findall("</?section>", body) == (
        ["<section>", "<section>", "</section>", "</section>"]
        + ["<section>", "<section>", "</section>", "<section>", "</section>", "</section>"]
        + ["<section>", "<section>", "</section>", "</section>"]
    )


def test_pictures_are_as_large_as_the_slide_allows() -> None:
    shown = page("## One", code("show()", figure(90, 45)), code("draw()", drawing(100, 50)))
    [tag] = re.findall(r'<img [^>]*src="data:image/png[^>]*>', shown)
    assert 'alt="black"' in tag and 'width="940"' in tag and 'height="470"' in tag
    [tag] = re.findall("<svg [^>]*>", shown)
    assert 'width="940"' in tag and 'height="470"' in tag and re.search('<rect height="5" width="5"', shown)


def test_the_badge_and_the_words_of_a_dead_widget_are_left_out() -> None:
    said = new.new_output("execute_result", {"text/plain": "ConvExplorer: one filter on a 7 × 7…"}, execution_count=1)
    other = new.new_output("execute_result", {"text/plain": "key: one value"}, execution_count=1)
    shown = page(
        "## One\n\n[![Open in Colab](https://example.org/badge.svg)](https://example.org)\n\nwords",
        code("explorer", said),
        code("explorer.svg()", drawing(100, 50, "one filter on a 7 × 7 input")),
        code("value", other),
        code("explorer.svg()", drawing(100, 50, "one filter")),
    )
    assert "badge.svg" not in shown and "words" in shown
    assert "ConvExplorer: one" not in shown and "key: one value" in shown


def test_formulas_are_pictures_with_a_description_and_code_is_left_alone() -> None:
    text = slides.drawn("size $n < 5$ and\n\n$$y = \\frac{1}{x}$$")
    assert re.findall(r'<img class="([\w ]+)" alt="([^"]+)"', text) == [
        ("formula", "n &lt; 5"),
        ("formula display", "y = \\frac{1}{x}"),
    ]
    shown = page("text `$HOME` and `$PATH`\n\n```\n$a$\n```\n\n| a | b |\n|---|---|\n| $x$ | 2 |")
    assert "$HOME" in shown and "$PATH" in shown and "$a$" in shown
    assert shown.count('class="formula"') == 1 and re.search(r'<td><img [^>]*class="formula"', shown)


def test_a_formula_that_matplotlib_cannot_draw_stays_as_it_was_written() -> None:
    assert (
        slides.drawn(r"so $\begin{cases} a < b \end{cases}$ is")
        == r"so <code>\begin{cases} a &lt; b \end{cases}</code> is"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_can_be_drawn(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    for cell in cells:
        text = "".join(slides.CODE.split(cell.source)[::2])
        for found in slides.FORMULA.finditer(text):
            assert slides.drawn(found[0]).startswith("<img")


# ------------------------------------------------------------------------------------------------------- reveal.js


def package(names: tuple[str, ...]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return stream.getvalue()


PARTS = (
    "package/LICENSE",
    "package/dist/reveal.js",
    "package/dist/theme/white.css",
    "package/dist/theme/fonts/source-sans-pro/a.woff",
)
OTHERS = ("package/js/index.js", "package/dist/theme/fonts/source-sans-pro/../../../../../../evil", "/evil")


def test_slides_come_with_reveal_js_which_is_fetched_once(tmp_path: Path, monkeypatch, capsys) -> None:
    body = package(PARTS + OTHERS)
    (tmp_path / "archive").write_bytes(body)
    monkeypatch.setattr(slides, "REVEAL_SHA256", download.sha256_of(tmp_path / "archive"))
    monkeypatch.delenv("KIT_OFFLINE")
    with serve(body, well()) as server:
        monkeypatch.setattr(slides, "REVEAL_URL", f"{server.url}/reveal.tgz")
        for _ in range(2):
            assert __main__.main(["slides", "00", "--results", str(tmp_path / "results")]) == 0
        assert len(server.requests) == 1
    folder = tmp_path / "results" / "slides"
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert made == {"00_start_here.html", *(name.replace("package/", "reveal.js/") for name in PARTS)}
    assert not list(tmp_path.rglob("evil"))
    shown = capsys.readouterr().out
    assert f"Slides: {folder}\n" in shown and "no network needed" in shown


def test_without_reveal_js_the_page_asks_the_network_and_that_is_said(tmp_path: Path, capsys) -> None:
    assert __main__.main(["slides", "00", "--results", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "the browser needs a network" in shown and "KIT_OFFLINE=1" in shown
    text = (tmp_path / "slides" / "00_start_here.html").read_text(encoding="utf-8")
    assert 'src="https://unpkg.com/reveal.js@5.2.1/dist/reveal.js"' in text
