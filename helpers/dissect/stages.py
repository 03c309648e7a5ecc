"""Rows put together as people speak of them: a convolution with its norm and ReLU, a residual block, three alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from helpers.dissect.rows import WEIGHT_KINDS, Number, Row

_HEADS = ("conv", "linear", "pool", "join", "other")  # what begins a new unit; norms, ReLUs and views go with it


@dataclass(frozen=True)
class Stage:
    """A part of a network: one layer with what follows it, one block, or several alike in a row (``repeats``)."""

    name: str
    type: str  # "Conv2d", "Bottleneck", ...
    kind: str  # that of its first layer, or "block"
    repeats: int
    rows: tuple[Row, ...]

    @property
    def head(self) -> Row:
        """The layer that gives a stage its name; what stands before it (dropout) and behind it is minor."""
        return next((row for row in self.rows if row.kind in _HEADS), self.rows[0])

    @property
    def layers(self) -> str:
        """The layers of one repeat as papers write them: "1x1, 64; 3x3, 64; 1x1, 256"; the shortcut's is left out."""
        main = _main_path(_blocks(self.rows)[0]) if self.kind == "block" else [self.head]
        return "; ".join(_in_words(row) for row in main)

    @property
    def last(self) -> Row:
        """The row whose output is the stage's; a flatten behind a pooling is not counted."""
        alike = [row for row in self.rows if row.kind == self.kind]
        return self.rows[-1] if self.kind == "block" else alike[-1]

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.last.output_shape

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows)

    @property
    def receptive_field(self) -> Number | str:
        return self.last.receptive_field

    @property
    def has_shortcut(self) -> bool:
        """Whether a way leads around layers inside it and is added at the end."""
        return self.kind == "block" and any(row.kind == "join" and row.type in ("add", "iadd") for row in self.rows)


def stages(rows: Sequence[Row], *, collapse: bool = True) -> list[Stage]:
    """The parts of a network in their order; with ``collapse`` neighbours that are alike become one, counted."""
    units = [_stage([group], rows) for group in _units(rows)]
    if not collapse:
        return units
    runs = [list(run) for _, run in groupby(units, _key)]
    return [_stage([unit.rows for unit in part], rows) for run in runs for part in _mergeable(run)]


def _mergeable(run: list[Stage]) -> list[list[Stage]]:
    """Alike poolings or joins are not called a repetition."""
    return [run] if run[0].kind in ("block", *WEIGHT_KINDS) else [[unit] for unit in run]


def _units(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Runs of rows: a block, or a layer with the minor rows behind it; minor rows behind a block go with the next."""
    groups: list[list[Row]] = []
    for row in rows:
        before = groups[-1] if groups else [row]
        opened = any(other.kind in _HEADS for other in before)
        if groups and row.block == before[-1].block and (row.block or row.kind not in _HEADS or not opened):
            before.append(row)
        else:
            groups.append([row])
    return [tuple(group) for group in groups]


def _stage(units: list[tuple[Row, ...]], rows: Sequence[Row]) -> Stage:
    together = tuple(row for unit in units for row in unit)
    heads = [next((row for row in unit if row.kind in _HEADS), unit[0]) for unit in units]
    if together[0].block and not _is_one_layer(units[0]):
        names = [unit[0].block for unit in units]
        return Stage(_common_name(names, together, rows), together[0].block_type, "block", len(units), together)
    name = _common_name([unit[0].block or head.name for unit, head in zip(units, heads, strict=True)], together, rows)
    return Stage(name, heads[0].type, heads[0].kind, len(units), together)


def _is_one_layer(block: tuple[Row, ...]) -> bool:
    """A convolution wrapped up with its norm and ReLU (torchvision's Conv2dNormActivation) is no more than that."""
    return sum(row.kind in _HEADS for row in block) == 1 and any(row.kind in WEIGHT_KINDS for row in block)


def _common_name(names: list[str], inside: tuple[Row, ...], rows: Sequence[Row]) -> str:
    """The name "layer1" for "layer1.0" and "layer1.1" where nothing else is in it, otherwise "features.0 to 2"."""
    if len(names) == 1:
        return names[0]
    parent, _, last = names[-1].rpartition(".")
    if parent and sum(row.name.startswith(f"{parent}.") for row in rows) == len(inside):
        return parent
    return f"{names[0]} to {last}"


def _key(stage: Stage) -> tuple:
    """What two stages must share to be called the same."""
    if stage.kind == "block":
        return stage.type, stage.layers, stage.output_shape
    inputs = stage.head.input_shape[:1] if stage.kind == "linear" else None
    return stage.kind, stage.head.window, stage.output_shape, inputs


def _blocks(rows: tuple[Row, ...]) -> list[tuple[Row, ...]]:
    names = list(dict.fromkeys(row.block for row in rows))
    return [tuple(row for row in rows if row.block == name) for name in names]


def _main_path(rows: tuple[Row, ...]) -> list[Row]:
    """The layers on the longest way through a block; all of them where its branches are put side by side (cat).

    Layers of a squeeze-and-excitation gate, whose maps are 1x1, are left out.
    """
    gate = (1, 1) if rows[-1].output_shape[1:] != (1, 1) else None
    wide = [row for row in rows if row.kind in WEIGHT_KINDS and row.output_shape[1:] != gate]
    if any(row.type in ("cat", "concat") and row is not rows[0] for row in rows):
        return wide
    length: dict[str, int] = {}
    before: dict[str, Row | None] = {}
    named = {row.name: row for row in rows}
    for row in rows:
        sources = [named[name] for name in row.inputs if name in length]
        best = max(sources, key=lambda source: length[source.name], default=None)
        length[row.name], before[row.name] = 1 + (length[best.name] if best else 0), best
    path, at = [], rows[-1]
    while at is not None:
        path.append(at)
        at = before[at.name]
    return [row for row in wide if row in path]


def _in_words(row: Row) -> str:
    if row.kind == "linear":
        return f"{row.output_shape[-1]}"
    if row.window is None:
        return row.type
    size = "x".join(map(str, row.window.kernel_size))
    if row.kind == "pool":
        return f"{size} {row.type}"
    if row.groups == 1:
        return f"{size}, {row.output_shape[0]}"
    if row.groups == row.input_shape[0] == row.output_shape[0]:
        return f"{size} depthwise"
    return f"{size}, {row.output_shape[0]} in {row.groups} groups"
