"""What every notebook must keep to, so that it is readable, accessible, and really compared in CI."""

from __future__ import annotations

import copy
import functools
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat import NotebookNode

import colab_setup

KIT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((KIT / "notebooks").glob("*.ipynb"))
BADGE = f"https://colab.research.google.com/github/{colab_setup.ADDRESS}/blob/{colab_setup.BRANCH}/notebooks/"
RAW = f"https://raw.githubusercontent.com/{colab_setup.ADDRESS}/{colab_setup.BRANCH}/"
IGNORED = "nbval-ignore-output"
MACHINE_PATH = re.compile(r"(?<![\w.~$/-])(?:/(?:home|Users|root|tmp|var|mnt|opt|srv|work)/|[A-Z]:\\)\S*")


@functools.cache
def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> list[str]:
    """The text cells, without fenced and inline code."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^ *(```|~~~).*?^ *\1", "", source)) for source in cells]


def headings(notebook: NotebookNode) -> list[tuple[int, str]]:
    found = re.findall(r"(?m)^(#{1,6}) +(.+?)\s*$", "\n".join(prose(notebook)))
    return [(len(marks), text) for marks, text in found]


def ignored(cell: NotebookNode) -> bool:
    return IGNORED in cell.metadata.get("tags", [])


def texts(cell: NotebookNode) -> Iterator[str]:
    """The source and every stored output of a cell, pictures left out."""
    yield cell.source
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield "\n".join(output.get("traceback", []))
        yield from (value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


# ------------------------------------------------------------------- the rules: each yields what is wrong, in words


def is_valid(notebook: NotebookNode, path: Path) -> Iterator[str]:
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield str(error)
    if path.exists() and path.stat().st_size > 2**20:
        yield f"it has {path.stat().st_size:,} bytes; GitHub and slow networks want at most 1 MiB"
    if "widgets" in notebook.metadata:
        yield "metadata.widgets is there: GitHub then shows 'Invalid Notebook' (colab_setup.py record removes it)"


def was_executed_in_order(notebook: NotebookNode, path: Path) -> Iterator[str]:
    counts = [cell.execution_count for cell in code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}; nbval compares no cell without one: colab_setup.py record {path.stem}"
    for cell in code(notebook):
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"an error is stored: {cell.source[:60]!r}"


def headings_are_in_order(notebook: NotebookNode, path: Path) -> Iterator[str]:
    levels = [level for level, _ in headings(notebook)]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield "it must begin with a heading of level 1, and have no other one"
    if notebook.cells[0].cell_type != "markdown" or not notebook.cells[0].source.startswith("# "):
        yield "the first cell must be the title"
    for (before, _), (level, text) in zip(headings(notebook), headings(notebook)[1:], strict=False):
        if level > before + 1:
            yield f"heading {text!r} skips from level {before} to {level}"


def pictures_have_a_description(notebook: NotebookNode, path: Path) -> Iterator[str]:
    text = "\n".join(prose(notebook))
    for target in re.findall(r"!\[\s*\]\(([^)]*)\)", text):
        yield f"the picture {target} has no alt text"
    for tag in re.findall(r"<img\b[^>]*>", text):
        if not re.search(r"""alt=["'][^"']+["']""", tag):
            yield f"no alt text: {tag}"
    for cell in code(notebook):
        for output in cell.outputs:
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}) and not output.metadata.get(kind, {}).get("alt"):
                    yield f"a stored picture has no alt text: {cell.source[-60:]!r}"
            drawing = output.get("data", {}).get("image/svg+xml")
            if drawing and "<title" not in drawing and "aria-label" not in drawing:
                yield f"a stored drawing has no <title>: {cell.source[-60:]!r}"


def cells_are_short(notebook: NotebookNode, path: Path) -> Iterator[str]:
    lengths = [len(cell.source.splitlines()) for cell in code(notebook)]
    yield from (f"a code cell has {length} lines; at most 40" for length in lengths if length > 40)
    if lengths and statistics.median(lengths) > 8:
        yield f"the median code cell has {statistics.median(lengths)} lines; at most 8"


def no_path_of_a_machine(notebook: NotebookNode, path: Path) -> Iterator[str]:
    for cell in notebook.cells:
        for text in texts(cell):
            yield from (f"path of a machine: {found[0][:80]}" for found in MACHINE_PATH.finditer(text))


def begins_with_the_setup_cell(notebook: NotebookNode, path: Path) -> Iterator[str]:
    cells = code(notebook)
    if not cells or "runtime.describe()" not in cells[0].source:
        yield "the first code cell must be the set-up cell"
    elif RAW not in cells[0].source:
        yield "the set-up cell has another address than colab_setup.py (colab_setup.py address OWNER/NAME)"
    elif not ignored(cells[0]):
        yield f"the set-up cell prints this machine's values: tag it {IGNORED}"


def has_its_badge(notebook: NotebookNode, path: Path) -> Iterator[str]:
    targets = re.findall(re.escape(BADGE) + r"([\w.-]+\.ipynb)", notebook.cells[0].source)
    if targets != [path.name]:
        yield f"the first cell must have one Colab badge that opens this notebook's student copy; it opens {targets}"


def outputs_are_compared(notebook: NotebookNode, path: Path) -> Iterator[str]:
    cells = code(notebook)
    share = sum(map(ignored, cells)) / max(len(cells), 1)
    if share > 0.3:
        yield f"{share:.0%} of the code cells are tagged {IGNORED}; at most 30 %"
    for number, (cell, following) in enumerate(zip(cells, [*cells[1:], None], strict=True)):
        by_comment = re.search(r"(?im)^\s*#\s*(nbval|pytest_validate)_", cell.source)
        if by_comment or "nbval-skip" in cell.metadata.get("tags", []):
            yield f"use the tag {IGNORED}, not a comment and not nbval-skip: {cell.source[:60]!r}"
        if not ignored(cell):
            continue
        if following is None or ignored(following):
            yield f"the code cell after this one must be compared: {cell.source[:60]!r}"
        elif number and following.execution_count and not following.outputs:  # number 0: the set-up cell, then imports
            yield f"the code cell after this one must print what holds: {cell.source[:60]!r}"


def no_semicolon_at_the_end(notebook: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code(notebook):
        if cell.source.rstrip().endswith(";"):
            yield f"a trailing ';' does not hide the value under nbval: {cell.source[-60:]!r}"


def helpers_itself_is_not_used(notebook: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code(notebook)[1:]:
        if re.search(r"(?<![\w.])helpers\.\w", re.sub(r"#.*|from helpers\.|import helpers\.", "", cell.source)):
            yield f"on Colab the set-up cell leaves no name 'helpers': import the module you need: {cell.source[:60]!r}"


def colours_are_safe(notebook: NotebookNode, path: Path) -> Iterator[str]:
    unsafe = (
        r"""["'](jet|hsv|rainbow|gist_rainbow|nipy_spectral|turbo|Spectral|RdYlGn|PiYG|green|lime|g|tab:green)["']"""
    )
    for cell in code(notebook):
        for colour in re.findall(rf"(?:cmap|colou?rs?|c|facecolor|edgecolor)\s*=\s*\[?{unsafe}", cell.source):
            yield f"not everybody can tell {colour!r} from other colours: take plotting.COLOURS, viridis or RdBu"


def links_lead_somewhere(notebook: NotebookNode, path: Path) -> Iterator[str]:
    anchors = {slug(text) for _, text in headings(notebook)}
    for text in prose(notebook):
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file, _, anchor = unquote(target).partition("#")
            if re.match(r"[a-z]+:", target) or target.startswith("attachment:"):
                continue
            if file and not (path.parent / file).exists():
                yield f"link to {file}, which does not exist"
            if not file and slug(anchor) not in anchors:
                yield f"link to #{anchor}, which is no heading"


def slug(text: str) -> str:
    return re.sub(r"[^\w-]", "", text.lower().replace(" ", "-"))


RULES: list[Callable[[NotebookNode, Path], Iterator[str]]] = [
    is_valid,
    was_executed_in_order,
    headings_are_in_order,
    pictures_have_a_description,
    cells_are_short,
    no_path_of_a_machine,
    begins_with_the_setup_cell,
    has_its_badge,
    outputs_are_compared,
    no_semicolon_at_the_end,
    helpers_itself_is_not_used,
    colours_are_safe,
    links_lead_somewhere,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_notebook_keeps_the_rule(rule: Callable[[NotebookNode, Path], Iterator[str]]) -> None:
    complaints = [f"{path.name}: {words}" for path in NOTEBOOKS for words in rule(read(path), path)]
    assert not complaints, "\n".join(complaints)


def test_setup_cell_is_the_same_everywhere() -> None:
    cells = {path.name: code(read(path))[0].source for path in NOTEBOOKS}
    first = next(iter(cells.values()), "")
    assert [name for name, source in cells.items() if source != first] == []


def test_readme_opens_every_notebook_and_its_links_exist() -> None:
    readme = (KIT / "README.md").read_text(encoding="utf-8")
    badges = re.findall(re.escape(BADGE) + r"([\w.-]+)", readme)
    assert badges == [path.name for path in NOTEBOOKS]
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)\)", readme) if "://" not in target]
    assert [target for target in targets if not (KIT / target).exists()] == []


# ---------------------------------------------------------------------------------- do the rules see what is wrong?


@pytest.fixture
def good() -> NotebookNode:
    new = nbformat.v4
    setup = f"# {RAW}colab_setup.py\nprint(runtime.describe())"
    picture = new.new_output("display_data", {"image/png": "AAAA"}, metadata={"image/png": {"alt": "a grey square"}})
    printed = new.new_output("stream", name="stdout", text="True\n")
    cells = [
        new.new_markdown_cell(f"# Good\n\n[![Open in Colab](https://example.org/b.svg)]({BADGE}good.ipynb)"),
        new.new_code_cell(setup, metadata={"tags": [IGNORED]}, execution_count=1, outputs=[printed]),
        new.new_code_cell("import torch", execution_count=2),
        new.new_markdown_cell("## 1. Two parts\n\n```python\n# no heading\n```\nSee [below](#2.-End) and `[x](y.md)`."),
        new.new_code_cell("show()", execution_count=3, outputs=[picture]),
        new.new_code_cell("print(True)", execution_count=4, outputs=[printed]),
        new.new_markdown_cell("### Inside\n\n## 2. End"),
    ]
    return new.new_notebook(cells=cells)


def change(path: str, value: object) -> Callable[[NotebookNode], None]:
    """A function that sets one thing deep in a notebook: "cells.4.outputs.0.metadata" and the like."""

    def apply(notebook: NotebookNode) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place = notebook
        for part in way:
            place = place[part]
        place[last] = nbformat.from_dict(value)

    return apply


WITH_OUTPUTS = f"https://colab.research.google.com/github/{colab_setup.ADDRESS}/blob/main/notebooks/good.ipynb"
BREAKAGES = [
    (is_valid, change("metadata.widgets", {}), "Invalid Notebook"),
    (is_valid, change("cells.1.outputs", "none"), "none"),
    (was_executed_in_order, change("cells.2.execution_count", None), r"\[1, None, 3, 4\]"),
    (was_executed_in_order, change("cells.5.outputs.0.output_type", "error"), "an error is stored"),
    (headings_are_in_order, change("cells.6.source", "# Another"), "no other one"),
    (headings_are_in_order, change("cells.3.source", "### Inside"), "skips from level 1 to 3"),
    (headings_are_in_order, change("cells.0.source", "text\n\n# Good"), "first cell must be the title"),
    (pictures_have_a_description, change("cells.4.outputs.0.metadata", {}), "stored picture has no alt text"),
    (pictures_have_a_description, change("cells.4.outputs.0.data", {"image/svg+xml": "<svg/>"}), "no <title>"),
    (pictures_have_a_description, change("cells.3.source", "![](a.png)"), "picture a.png has no alt text"),
    (pictures_have_a_description, change("cells.3.source", '<img src="a.png">'), "no alt text: <img"),
    (cells_are_short, change("cells.4.source", "x\n" * 41), "has 41 lines"),
    (no_path_of_a_machine, change("cells.5.outputs.0.text", "saved in /home/eve/x.pt"), "/home/eve/x.pt"),
    (no_path_of_a_machine, change("cells.4.source", r"open('C:\Users\eve')"), r"C:\\Users"),
    (begins_with_the_setup_cell, change("cells.1.source", "import helpers"), "must be the set-up cell"),
    (begins_with_the_setup_cell, change("cells.1.source", "runtime.describe()"), "another address"),
    (begins_with_the_setup_cell, change("cells.1.metadata", {}), "this machine's values"),
    (has_its_badge, change("cells.0.source", "# Good"), r"it opens \[\]"),
    (has_its_badge, change("cells.0.source", f"# Good\n[x]({WITH_OUTPUTS})"), r"student copy; it opens \[\]"),
    (outputs_are_compared, change("cells.4.metadata.tags", [IGNORED]), "50% of the code cells"),
    (outputs_are_compared, change("cells.2.metadata.tags", [IGNORED]), "must be compared: '# https"),
    (outputs_are_compared, change("cells.5.metadata.tags", [IGNORED]), "must be compared: 'print"),
    (outputs_are_compared, change("cells.5.source", "# NBVAL_IGNORE_OUTPUT\nprint()"), "not a comment"),
    (outputs_are_compared, change("cells.5.metadata.tags", ["nbval-skip"]), "not nbval-skip"),
    (no_semicolon_at_the_end, change("cells.4.source", "show();"), "trailing ';'"),
    (helpers_itself_is_not_used, change("cells.4.source", "print(helpers.__file__)"), "no name 'helpers'"),
    (colours_are_safe, change("cells.4.source", 'imshow(x, cmap="jet")'), "tell 'jet' from"),
    (colours_are_safe, change("cells.4.source", "plot(x, color='green')"), "tell 'green' from"),
    (links_lead_somewhere, change("cells.3.source", "[next](99_none.ipynb)"), "99_none.ipynb, which does not exist"),
    (links_lead_somewhere, change("cells.3.source", "[up](#nowhere)"), "#nowhere, which is no heading"),
]


def test_a_good_notebook_passes_and_what_breaks_a_rule_is_noticed(good: NotebookNode) -> None:
    path = Path("good.ipynb")
    missed = [(rule.__name__, words) for rule in RULES for words in rule(good, path)]
    for rule, breakage, complaint in BREAKAGES:
        broken = copy.deepcopy(good)
        breakage(broken)
        words = "; ".join(rule(broken, path))
        if not re.search(complaint, words):
            missed.append((f"{rule.__name__} said {words!r}", complaint))
    assert missed == []
    assert {rule for rule, _, _ in BREAKAGES} == set(RULES)
