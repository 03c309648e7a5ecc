"""A network drawn from its dissection: one box a layer or block, as high as its maps, and below it its weights."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log2
from typing import TYPE_CHECKING, NamedTuple

from helpers import svg
from helpers.dissect.rows import UNKNOWN, WHOLE, Row
from helpers.dissect.tables import Stage

if TYPE_CHECKING:
    from helpers.dissect import Dissection

MOST_BOXES = 30
TALLEST, LOWEST = 150.0, 3.0  # px, of a box as large as the input, and the least that can be seen
WEIGHTS = 90.0  # px, of a bar that stands for all weights
NARROWEST = 10.0
ROOM = 4.4  # that a box takes at least, in font sizes
LETTER = 0.57  # mean width of a letter or digit, in font sizes

_LOOKS = {  # kind of operation: line, filling, word in the legend
    "conv": (svg.BLUE, svg.BLUE_TINT, "convolution"),
    "block": (svg.PURPLE, svg.PURPLE_TINT, "block of several layers"),
    "pool": (svg.ORANGE, svg.ORANGE_TINT, "pooling"),
    "linear": (svg.GREEN, svg.GREEN_TINT, "linear"),
    "join": (svg.VERMILION, svg.VERMILION_TINT, "branches meet"),
    "input": (svg.INK, svg.PAPER, "input"),
    "other": (svg.MUTED, svg.FAINT, "other"),
}


class Box(NamedTuple):
    """One box to draw: what it is called, the lines under it, its size as (C, H, W), and its tooltip."""

    kind: str
    title: str
    lines: tuple[str, ...]
    shape: tuple[int, ...]
    repeats: int
    tip: str
    params: int
    names: frozenset[str]  # of the rows inside
    sources: frozenset[str]  # rows outside that it reads
    shortcut: bool


class Place(NamedTuple):
    """Where a box stands: its middle, and how large it is."""

    x: float
    y: float
    width: float
    height: float


def network_picture(dissection: Dissection, *, font_px: int = 16) -> svg.Picture:
    """The layers from left to right; heights follow H, widths log C, shortcuts are arcs, repeats are "×N".

    Under each stands a bar, as high as its share of all weights.

    Layers and blocks that are alike are put together when they do not fit on one line; at most 30 boxes are drawn.
    """
    sheet = svg.Sheet(font_px)
    usable = svg.WIDTH - 2.4 * font_px
    boxes = _boxes(dissection.stages(collapse=False), dissection)
    if len(boxes) > _slots(boxes, usable, font_px):
        boxes = _boxes(dissection.stages(), dissection)
    count = ceil(len(boxes) / _slots(boxes, usable, font_px))  # lines, filled evenly
    per_line = ceil(len(boxes) / count)
    slot = usable / per_line
    depth = max(len(box.lines) for box in boxes)
    pitch = 3.8 * font_px + TALLEST + (3.9 + 1.15 * depth) * font_px + WEIGHTS
    places = _places(sheet, boxes, slot, per_line, pitch)
    sheet.text(sheet.left, 1.9 * font_px, _headline(dissection), bold=True)
    for a, b in pairwise(places):
        if a.y == b.y:
            sheet.segment(a.x, a.y, b.x, b.y, stroke=svg.MUTED, line=2)
    for box, place in zip(boxes, places, strict=True):
        _draw(sheet, box, place, slot)
        _weights(sheet, box, place, box.params / max(1, dissection.params), depth)
    arcs = _arcs(sheet, boxes, places)
    sheet.y = 3.6 * font_px + count * pitch
    _legend(sheet, boxes, arcs)
    return sheet.picture(title=dissection.model, alt=_in_words(dissection, boxes))


def _slots(boxes: list[Box], usable: float, font_px: int) -> int:
    """How many boxes fit side by side with their words."""
    longest = max(max(LETTER * len(box.title), 0.85 * LETTER * max(map(len, box.lines))) for box in boxes)
    return max(3, int(usable / (font_px * max(ROOM, 0.9 * longest + 0.2))))


def _boxes(stages: list[Stage], dissection: Dissection) -> list[Box]:
    shape, first = dissection.input_shape, frozenset(dissection.rows[0].inputs)
    tip = f"input {_size(shape)}"
    boxes = [Box("input", "input", (_size(shape),), shape, 1, tip, 0, first, frozenset(), False), *map(_box, stages)]
    if len(boxes) > MOST_BOXES:
        head, tail = boxes[: MOST_BOXES - 10], boxes[-9:]
        left_out = boxes[MOST_BOXES - 10 : -9]
        names = frozenset(name for box in left_out for name in box.names)
        words = f"{len(left_out)} more"
        params, shape = sum(box.params for box in left_out), left_out[-1].shape
        boxes = [*head, Box("other", "…", (words,), shape, 1, words, params, names, frozenset(), False), *tail]
    return boxes


def _box(stage: Stage) -> Box:
    kind = stage.kind if stage.kind in _LOOKS else "other"
    shape, names = stage.output_shape, frozenset(row.name for row in stage.rows)
    size = _size(shape)
    details = stage.layers.split("; ") if kind in ("conv", "block") else _window(stage.head)
    if len(details) > 4:
        details = [*details[:3], f"+ {len(details) - 3} more"]
    sources = frozenset(name for row in stage.rows for name in row.inputs) - names
    lines = (*(detail.replace("x", "×") for detail in details), size)
    tip, params = _tip(stage, size), stage.params
    return Box(kind, _word(stage), lines, shape, stage.repeats, tip, params, names, sources, stage.has_shortcut)


def _window(row: Row) -> list[str]:
    return ["x".join(map(str, row.window.kernel_size))] if row.window else []


def _word(stage: Stage) -> str:
    if stage.kind == "pool":
        return "max pool" if "max" in stage.type.lower() else "avg pool"
    return stage.kind if stage.kind in ("conv", "linear") else stage.type.lstrip("_")


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _tip(stage: Stage, size: str) -> str:
    times = f" ×{stage.repeats}" if stage.repeats > 1 else ""
    field = stage.receptive_field
    field = " × ".join(map(str, field)) if isinstance(field, tuple) else field
    sees = field if field in (WHOLE, UNKNOWN) else f"{field} px"
    return (
        f"{stage.name} ({stage.type}{times})\noutput {size}\nreceptive field {sees}\n{stage.params:,} parameters\n"
        f"{stage.macs / 1e6:,.1f} M MACs"
    )


def _places(sheet: svg.Sheet, boxes: list[Box], slot: float, per_line: int, pitch: float) -> list[Place]:
    """Boxes from left to right, ``per_line`` slots of ``slot`` px in a line, the lines ``pitch`` px apart."""
    channels = max(1.0, log2(max(box.shape[0] for box in boxes)))
    tallest = max([1, *(box.shape[1] for box in boxes if len(box.shape) == 3)])
    places = []
    for index, box in enumerate(boxes):
        line, column = divmod(index, per_line)
        side = box.shape[1] if len(box.shape) == 3 else 1
        height = max(LOWEST, TALLEST * side / tallest)
        width = NARROWEST + (min(0.62 * slot, 60) - NARROWEST) * log2(box.shape[0]) / channels
        y = 2.6 * sheet.font_px + line * pitch + 3.8 * sheet.font_px + TALLEST / 2
        places.append(Place(sheet.left + (column + 0.5) * slot, y, width, height))
    return places


def _draw(sheet: svg.Sheet, box: Box, place: Place, slot: float) -> None:
    """A box, its count over it, and its words under it; words too long for the slot are set smaller."""
    font_px, (stroke, fill, _) = sheet.font_px, _LOOKS[box.kind]
    left, top = place.x - place.width / 2, place.y - place.height / 2
    if box.repeats > 1:  # a second sheet behind the first
        sheet.rect(left + 5, top - 5, place.width, place.height, fill=fill, stroke=stroke, line=1.5)
        over = top - (2.3 if box.shortcut else 0.9) * font_px
        sheet.text(place.x, over, f"×{box.repeats}", anchor="middle", bold=True)
    sheet.rect(left, top, place.width, place.height, fill=fill, stroke=stroke, line=2.5, tip=box.tip)
    y = place.y + TALLEST / 2 + 1.4 * font_px
    for index, words in enumerate((box.title, *box.lines)):
        size = min(font_px if index == 0 else sheet.small, 0.95 * slot / (LETTER * len(words)))
        grey = svg.MUTED if index == len(box.lines) else svg.INK
        sheet.text(place.x, y, words, size=size, anchor="middle", bold=index == 0, fill=grey)
        y += 1.15 * font_px


def _weights(sheet: svg.Sheet, box: Box, place: Place, share: float, depth: int) -> None:
    """Below the words of a box, ``depth`` lines and a title, a bar for its ``share`` (0..1) of all weights."""
    stroke, _, _ = _LOOKS[box.kind]
    floor = place.y + TALLEST / 2 + (3.4 + 1.15 * depth) * sheet.font_px + WEIGHTS
    if box.kind == "input":
        sheet.text(place.x, floor, "weights", size=sheet.small, anchor="middle", fill=svg.MUTED)
    elif box.params:
        height = max(1.0, WEIGHTS * share)
        sheet.rect(place.x - 16, floor - height, 32, height, fill=stroke, tip=f"{box.params:,} parameters")
        percent = f"{100 * share:.0f} %" if share >= 0.005 else "< 1 %"
        sheet.text(place.x, floor - height - 0.4 * sheet.font_px, percent, size=sheet.small, anchor="middle")


def _arcs(sheet: svg.Sheet, boxes: list[Box], places: list[Place]) -> bool:
    """Shortcuts: over one block that has them inside, or from box to box. Whether there are any."""
    before = len(sheet.parts)
    for at, (box, place) in enumerate(zip(boxes, places, strict=True)):
        if box.shortcut:
            half = place.width / 2 + 7
            _arc(sheet, place.x - half, place.x + half, place.y, place.height / 2 + 22, adds=True)
        for start in range(at - 1):
            source = places[start]
            if boxes[start].names & box.sources and source.y == place.y:
                rise = max(other.height for other in places[start : at + 1]) / 2 + 22 + 6 * (at - start)
                _arc(sheet, source.x, place.x, place.y, rise, adds=box.title == "add")
    return len(sheet.parts) > before


def _arc(sheet: svg.Sheet, x1: float, x2: float, y: float, rise: float, *, adds: bool) -> None:
    """From x1 to x2 on the middle line, up and over; where it comes down a plus if it is added, a dot if not."""
    top, red = y - 1.3 * rise, svg.VERMILION
    path = f"M{x1:.1f} {y:.1f}C{x1:.1f} {top:.1f} {x2:.1f} {top:.1f} {x2:.1f} {y:.1f}"
    sheet.parts.append(f'<path d="{path}" fill="none" stroke="{red}" stroke-width="2.5"/>')
    if not adds:
        sheet.circle(x2, y, 5, fill=red)
        return
    sheet.circle(x2, y, 7, fill=svg.PAPER, stroke=red)
    sheet.segment(x2 - 4, y, x2 + 4, y, stroke=red, line=2)
    sheet.segment(x2, y - 4, x2, y + 4, stroke=red, line=2)


def _headline(dissection: Dissection) -> str:
    return f"{dissection.model}: {_short(dissection.params)} parameters, {_short(dissection.macs)} MACs"


def _short(count: int) -> str:
    """61,100,840 -> "61.1 M"."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return str(count)


def _legend(sheet: svg.Sheet, boxes: list[Box], arcs: bool) -> None:
    """The colours by name, and what sizes and signs mean."""
    small, x = sheet.small, sheet.left
    for kind, (stroke, fill, word) in _LOOKS.items():
        if kind == "input" or not any(box.kind == kind for box in boxes):
            continue
        length = (2.6 + svg.SANS_ADVANCE * len(word)) * small
        if x + length > sheet.right:
            x, sheet.y = sheet.left, sheet.y + 1.5 * sheet.font_px
        sheet.rect(x, sheet.y - 0.8 * small, small, small, fill=fill, stroke=stroke, line=2)
        sheet.text(x + 1.5 * small, sheet.y, word, size=small)
        x += length + sheet.font_px
    words = "Height: that of the map. Width: log of the channels. Bars: share of the weights."
    words += " Arc: a shortcut." * arcs
    words += " ×N: N alike, one after the other." * any(box.repeats > 1 for box in boxes)
    sheet.lines(words, size=small, width=0.94 * (sheet.right - sheet.left), fill=svg.MUTED)


def _in_words(dissection: Dissection, boxes: list[Box]) -> str:
    named = (f"{box.title}{f' ×{box.repeats}' if box.repeats > 1 else ''} {box.lines[-1]}" for box in boxes)
    return f"{_headline(dissection)}. Drawn from left to right: {', '.join(named)}."
