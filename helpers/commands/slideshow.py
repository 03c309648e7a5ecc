"""Which cell of a notebook begins a slide: ``cell.metadata.slideshow``, as JupyterLab, RISE and nbconvert read it.

A slide has 1280 x 720 px. The title and each section begin a slide; what belongs to a section lies below it, as much on
one as fits. A prediction has a slide of its own, so that the answer comes after it. ``python -m helpers record`` writes
this into every notebook.
"""

from __future__ import annotations

import base64
import copy
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

WIDTH, HEIGHT = 1200, 660  # px that a slide has for its cells
TEXT_LINE, BOX_LINE, CODE_LINE, OUTPUT_LINE = 34, 42, 25, 23  # px from one line to the next
TEXT_CHARACTERS, BOX_CHARACTERS, CODE_CHARACTERS = 112, 84, 100  # in a line
FIGURE, FIGURE_GAP = (220, 470), 30  # px, least and most height of a picture, and room around it
HEADING = re.compile(r"(?m)^(#{1,3}) +(.+?) *$")
CODE = re.compile(r"(?ms)^ *(```|~~~).*?^ *\1 *$")
ASKS = re.compile(r"(?m)^> \*\*(Predict|Think|Check yourself)")


def arrange(notebook: NotebookNode) -> None:
    """Give every section a cell of its own, and every cell the type of its slide; in place."""
    notebook.cells = split(notebook.cells)
    for cell, kind in zip(notebook.cells, kinds(notebook.cells), strict=True):
        cell.metadata["slideshow"] = {"slide_type": kind}


def split(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """The cells, where a heading stands at the beginning of its cell: what came before it gets a cell of its own."""
    names = {cell.id for cell in cells}
    result = []
    for cell in cells:
        for number, source in enumerate(_sections(cell.source) if cell.cell_type == "markdown" else [cell.source]):
            part = cell if number == 0 else copy.deepcopy(cell)
            part.source = source
            if number:
                part.id = next(name for i in range(2, 1000) if (name := f"{cell.id}-{i}") not in names)
                names.add(part.id)
            result.append(part)
    return result


def kinds(cells: Sequence[NotebookNode]) -> list[str]:
    """For each cell "slide" (to the right), "subslide" (below), "-" (on the same one) or "skip"."""
    result: list[str] = []
    section, first = "", next((i for i, cell in enumerate(cells) if _heading(cell)[0] == 2), len(cells))
    used, asked, has_code = 0.0, False, False  # what is on the slide so far
    for number, cell in enumerate(cells):
        level, title = _heading(cell)
        section = title if level in (1, 2) else section
        if _is_for_nobody(cell, section, before_sections=number < first):
            kind = "skip"
        else:
            kind = _kind(cells[number:], cells[number - 1], used=used, asked=asked, has_code=has_code)
        if kind in ("slide", "subslide"):
            used, has_code = 0.0, False
        if kind != "skip":
            used += height(cell)
            has_code = has_code or cell.cell_type == "code"
            asked = bool(ASKS.search(cell.source))
        result.append(kind)
    return result


def _kind(cells: Sequence[NotebookNode], before: NotebookNode, *, used: float, asked: bool, has_code: bool) -> str:
    """For the first of the cells, on a slide of which ``used`` px are taken."""
    cell, (level, _) = cells[0], _heading(cells[0])
    if level in (1, 2):
        return "slide"
    is_question = cell.cell_type == "code" and cell.source.startswith("exercises.check(")
    new_idea = level == 3 or ASKS.match(cell.source) or asked or (has_code and is_question)
    if not new_idea and used + _needed(cells) <= HEIGHT:
        return "-"
    return "skip" if _is_check(cell, before) else "subslide"


def height(cell: NotebookNode) -> float:
    """About how many px of a slide a cell takes."""
    if cell.cell_type == "markdown":
        return _text_height(cell.source)
    return _code_height(cell) + sum(_figure_height(cell, output) for output in _figures(cell))


def figure_size(cell: NotebookNode, output: NotebookNode) -> tuple[float, float]:
    """Width and height, in px, of a picture on its slide: as large as its code leaves room for."""
    width, tall = _natural_size(output)
    free = (HEIGHT - _code_height(cell)) / len(list(_figures(cell))) - FIGURE_GAP
    factor = min(WIDTH / width, max(FIGURE[0], min(FIGURE[1], free)) / tall)
    return round(factor * width), round(factor * tall)


def _sections(source: str) -> list[str]:
    """The text in parts that begin with a heading; headings in direct sequence stay together."""
    code = [found.span() for found in CODE.finditer(source)]
    parts, begin = [], 0
    for found in HEADING.finditer(source):
        before = source[begin : found.start()]
        if HEADING.sub("", before).strip() and not any(start < found.start() < end for start, end in code):
            parts.append(before.strip())
            begin = found.start()
    return [*parts, source[begin:].strip() if parts else source]


def _heading(cell: NotebookNode) -> tuple[int, str]:
    """Level and words of the heading that a cell begins with; (0, "") without one."""
    found = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
    return (len(found[1]), found[2]) if found else (0, "")


def _is_for_nobody(cell: NotebookNode, section: str, *, before_sections: bool) -> bool:
    """Set-up, imports, homework and further reading are not for the screen."""
    if section == "Further reading":
        return True
    if cell.cell_type != "code":
        return False
    only_imports = all(re.match(r"(import|from) |$", line) for line in cell.source.splitlines())
    return before_sections or only_imports or section == "Exercises" or "runtime.describe()" in cell.source


def _is_check(cell: NotebookNode, before: NotebookNode) -> bool:
    """Does it only say of the cell before that it came out right? Worth a look, but no slide of its own."""
    printed = "".join(output.get("text", "") for output in cell.get("outputs", []))
    ran = cell.cell_type == "code" and "nbval-ignore-output" in before.metadata.get("tags", [])
    is_small = len(cell.source.splitlines()) <= 4 and len(printed.splitlines()) <= 2
    return ran and is_small and not list(_figures(cell)) and "exercises." not in cell.source


def _needed(cells: Sequence[NotebookNode]) -> float:
    """Room for the first cell; for a text also for the code that follows it, unless that fills a slide anyhow."""
    first = height(cells[0])
    if cells[0].cell_type == "markdown" and len(cells) > 1 and cells[1].cell_type == "code":
        both = first + height(cells[1])
        return both if both <= HEIGHT else first
    return first


def _text_height(source: str) -> float:
    total = 0.0
    for found in CODE.finditer(source):
        total += 20 + CODE_LINE * len(found[0].splitlines())
    for line in CODE.sub("", source).splitlines():
        words = re.sub(r"\]\([^)]*\)", "]", line).strip()  # addresses of links are not shown
        if words.startswith("#"):
            total += {1: 90, 2: 75}.get(len(words) - len(words.lstrip("#")), 62)
        elif words.startswith("$$"):
            total += 90
        elif words.startswith("> "):
            total += 60 + BOX_LINE * _lines(words, BOX_CHARACTERS)
        elif words and not words.startswith(("[![", "|--", "| --")):
            gap = 4 if re.match(r"[-*] |\d+\. ", words) else 14
            total += gap + TEXT_LINE * _lines(words, TEXT_CHARACTERS)
    return total


def _code_height(cell: NotebookNode) -> float:
    """The code, and what it printed."""
    total = 38 + CODE_LINE * sum(_lines(line, CODE_CHARACTERS) for line in cell.source.splitlines())
    for output in cell.outputs:
        data = output.get("data", {})
        if "text/html" in data:
            total += 38 * data["text/html"].count("<tr")
        elif output not in _figures(cell):
            text = output.get("text") or data.get("text/plain", "")
            total += 12 + OUTPUT_LINE * sum(_lines(line, CODE_CHARACTERS) for line in text.splitlines())
    return total


def _lines(text: str, width: int) -> int:
    return max(1, len(textwrap.wrap(text, width)))


def _figures(cell: NotebookNode) -> Iterator[NotebookNode]:
    for output in cell.get("outputs", []):
        if {"image/png", "image/svg+xml"} & set(output.get("data", {})):
            yield output


def _figure_height(cell: NotebookNode, output: NotebookNode) -> float:
    return FIGURE_GAP + figure_size(cell, output)[1]


def _natural_size(output: NotebookNode) -> tuple[float, float]:
    if "image/png" in output.data:
        header = base64.b64decode(output.data["image/png"][:64])  # the size stands at a fixed place
        return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
    width, tall = (re.search(rf'\b{side}="([\d.]+)', output.data["image/svg+xml"]) for side in ("width", "height"))
    return float(width[1]), float(tall[1])
