"""Two networks side by side."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from helpers.dissect import tables
from helpers.dissect.rows import Row
from helpers.dissect.stages import Stage

if TYPE_CHECKING:
    from helpers.dissect import Dissection

MOST_ROWS = 40  # of layers; networks with more are compared stage by stage
_LAYERS = ("conv", "linear", "pool", "join")
_Line = tuple[str, str, str, str]  # kind for lining up, what it is, output, parameters


@dataclass(frozen=True)
class Comparison:
    """The layers (of deep networks: the stages) of two networks, lined up by what they do, and the sums.

    A line that begins with * holds a difference; activations, norms and dropout are left out.
    """

    first: Dissection
    second: Dissection

    def lines(self) -> list[tuple[str, ...]]:
        """The lines of the table: a mark, then what, output and parameters of the first network and of the second."""
        parts = [_parts(self.first), _parts(self.second)]
        if max(map(len, parts)) > MOST_ROWS:
            parts = [_stages(self.first), _stages(self.second)]
        table = [self._line(*pair) for pair in _lined_up(*parts)]
        return [*table, ("",) * 7, *self._sums()]

    @staticmethod
    def _line(left: _Line | None, right: _Line | None) -> tuple[str, ...]:
        empty = ("", "-", "", "")
        return ("" if left == right else "*", *(left or empty)[1:], *(right or empty)[1:])

    def _sums(self) -> list[tuple[str, ...]]:
        both, rows = (self.first, self.second), []
        figures = {
            "parameters": [f"{d.params:,}" for d in both],
            "MACs, M": [tables.millions(d.macs) for d in both],
            "activations, KiB": [tables.kib(d.activation_bytes) for d in both],
        }
        for name, (left, right) in figures.items():
            rows.append(("" if left == right else "*", name, "", left, name, "", right))
        return rows

    def __str__(self) -> str:
        return tables.as_text(*self._table(), left=(0, 1, 2, 4, 5))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return tables.as_html(*self._table(), left=(0, 1, 2, 4, 5))

    def _table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]], list[str]]:
        names = [d.model for d in (self.first, self.second)]
        if names[0] == names[1]:
            names = [f"{name} ({place})" for name, place in zip(names, ("left", "right"), strict=True)]
        sizes = [tables.shape(d.input_shape) for d in (self.first, self.second)]
        titles = [f"{name}, {size}" for name, size in zip(names, sizes, strict=True)]
        heads = ("", names[0], "output", "parameters", names[1], "output", "parameters")
        return " | ".join(titles), heads, self.lines(), ["* marks a difference."]


def _parts(dissection: Dissection) -> list[_Line]:
    return [_of_row(row) for row in dissection.rows if row.kind in _LAYERS]


def _of_row(row: Row) -> _Line:
    words = " ".join(filter(None, [row.type, tables.window(row)]))
    return row.kind, words, tables.shape(row.output_shape), f"{row.params:,}" if row.params else "-"


def _stages(dissection: Dissection) -> list[_Line]:
    return [_of_stage(stage) for stage in dissection.stages()]


def _of_stage(stage: Stage) -> _Line:
    times = f" x{stage.repeats}" if stage.repeats > 1 else ""
    words = f"{stage.type} [{stage.layers}]{times}" if stage.layers and stage.kind != "pool" else stage.type
    params = f"{stage.params:,}" if stage.params else "-"
    return stage.kind, words, tables.shape(stage.output_shape), params


def _lined_up(left: list[_Line], right: list[_Line]) -> list[tuple[_Line | None, _Line | None]]:
    """Both lists as pairs, so that as many as possible of the same kind stand side by side."""
    matcher = SequenceMatcher(a=[line[0] for line in left], b=[line[0] for line in right], autojunk=False)
    pairs: list[tuple[_Line | None, _Line | None]] = []
    for _, a, b, c, d in matcher.get_opcodes():
        ours, theirs = left[a:b], right[c:d]
        count = max(len(ours), len(theirs))
        pairs += zip(ours + [None] * (count - len(ours)), theirs + [None] * (count - len(theirs)), strict=True)
    return pairs
