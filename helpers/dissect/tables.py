"""A dissection in tables: row by row, in stages as people speak of them, beside another one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING

from helpers.dissect.rows import UNKNOWN, WEIGHT_KINDS, Number, Row

if TYPE_CHECKING:
    from helpers.dissect import Dissection

Line = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Words in columns: as text that a test can compare, and as HTML for people. An empty line stands for a rule."""

    title: str
    heads: Line
    lines: Sequence[Line]
    notes: Sequence[str]
    left: Collection[int]  # the columns that hold words are set to the left

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.heads, *self.lines, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

        def text(line: Line) -> str:
            sides = (str.ljust if index in self.left else str.rjust for index in range(len(line)))
            return "  ".join(set_(word, width) for set_, word, width in zip(sides, line, widths, strict=True)).rstrip()

        body = [text(line) if any(line) else rule for line in self.lines]
        return "\n".join([self.title, rule, text(self.heads), rule, *body, rule, *self.notes])

    def html(self) -> str:
        """Attributes only, since notebook viewers strip styles."""

        def row(line: Line, tag: str) -> str:
            sides = ("left" if index in self.left else "right" for index in range(len(line)))
            return "".join(f'<{tag} align="{side}">{escape(w)}</{tag}>' for w, side in zip(line, sides, strict=True))

        body = "".join(f"<tr>{row(line, 'td')}</tr>" for line in self.lines if any(line))
        return (
            f"<table><caption><b>{escape(self.title)}</b></caption><thead><tr>{row(self.heads, 'th')}</tr></thead>"
            f"<tbody>{body}</tbody></table>{''.join(f'<p>{escape(note)}</p>' for note in self.notes)}"
        )


class Shown:
    """Something that print and a notebook show as a table."""

    def table(self) -> Table:
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        return str(self)  # what a notebook stores beside the HTML

    def _repr_html_(self) -> str:
        return self.table().html()


def of_rows(dissection: Dissection) -> Table:
    """One line a row, and the sums."""
    sizes = " and ".join(" x ".join(map(str, shape)) for shape in dissection.input_shapes)
    params, rows = dissection.params, dissection.rows
    total = f"{params:,}", kib(dissection.activation_bytes), work(dissection)
    notes = ["window: size /stride +padding. MACs: one multiplication and one addition; FLOPs = 2 x MACs."]
    if dissection.trainable != params:
        notes.insert(0, f"{dissection.trainable:,} of {params:,} parameters are trained, the others are frozen.")
    if any(row.shares_memory for row in rows):
        notes.append("KiB: the output in float32; shared: it lies in the memory of the input.")
    if any(row.receptive_field == UNKNOWN for row in rows):
        notes.append("n/a: not known.")
    heads = ("layer", "type", "output", "window", "parameters", "KiB", "MACs, M", "field", "jump")
    lines = [*map(_cells, rows), ("",) * len(heads), ("in all", "", "", "", *total, "", "")]
    return Table(f"{dissection.model}, input {sizes}", heads, lines, [*notes, *dissection.notes], range(4))


def _cells(row: Row) -> Line:
    return (
        row.name,
        row.type,
        shape(row.output_shape),
        window(row),
        f"{row.params:,}" if row.params else "-",
        "shared" if row.shares_memory else kib(row.activation_bytes),
        millions(row.macs) if row.macs else "-",
        number(row.receptive_field),
        "-" if row.whole_image else number(row.jump),
    )


def shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "one number"


def number(value: Number | str | None) -> str:
    return shape(value) if isinstance(value, tuple) else str(value)


def kib(count: int) -> str:
    return f"{count / 1024:,.1f}"


def millions(count: int) -> str:
    return f"{count / 1e6:,.2f}"


def work(dissection: Dissection) -> str:
    """Its MACs in millions; "at least", where calls between the layers were not seen."""
    return ("" if dissection.traced else "at least ") + millions(dissection.macs)


def window(row: Row) -> str:
    """As "11x11 /4 +2" for a window of 11x11, stride 4, padding 2; dilation and groups where they are not 1."""
    if row.window is None:
        return ""
    words = {"/": (row.stride, 1), "+": (row.padding, 0), "dilation ": (row.dilation, 1), "groups ": (row.groups, 1)}
    told = [f"{word}{number(value)}" for word, (value, usual) in words.items() if value != usual]
    return " ".join([shape(row.window.kernel_size), *told])


# ---- stages: a convolution with its norm and ReLU, a residual block, three alike ---------------------------------

_HEADS = ("conv", "linear", "pool", "join", "other")  # what begins a new stage; norms, ReLUs and views go with it


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
        return _head(self.rows)

    @property
    def layers(self) -> str:
        """The layers of one repeat as papers write them: "1x1, 64; 3x3, 64; 1x1, 256"; the shortcut's is left out."""
        if self.kind != "block":
            return _in_words(self.head)
        return "; ".join(map(_in_words, _main_path([row for row in self.rows if row.block == self.rows[0].block])))

    @property
    def last(self) -> Row:
        """The row whose output is the stage's; a flatten behind a pooling is not counted."""
        return [row for row in self.rows if self.kind in ("block", row.kind)][-1]

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
    single = [_stage([unit], rows) for unit in _units(rows)]
    if not collapse:
        return single
    found = []
    for _, alike in groupby(single, _key):
        run = list(alike)
        repeated = run[0].kind in ("block", *WEIGHT_KINDS)  # poolings and joins in a row are no repetition
        found += [_stage([stage.rows for stage in run], rows)] if repeated else run
    return found


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


def _head(unit: Sequence[Row]) -> Row:
    return next((row for row in unit if row.kind in _HEADS), unit[0])


def _stage(units: list[tuple[Row, ...]], rows: Sequence[Row]) -> Stage:
    """One stage of units that are alike; ``rows`` are those of the whole network."""
    together, head = tuple(row for unit in units for row in unit), _head(units[0])
    names = [unit[0].block or _head(unit).name for unit in units]
    parent, _, last = names[-1].rpartition(".")
    if len(names) == 1:
        name = names[0]
    elif parent and sum(row.name.startswith(f"{parent}.") for row in rows) == len(together):
        name = parent  # "layer1" for "layer1.0" and "layer1.1" where nothing else is in it
    else:
        name = f"{names[0]} to {last}"
    # A convolution wrapped up with its norm and ReLU (torchvision's Conv2dNormActivation) is no more than that.
    heads = [row for row in units[0] if row.kind in _HEADS]
    is_block = together[0].block and not (len(heads) == 1 and heads[0].kind in WEIGHT_KINDS)
    kind, type_name = ("block", together[0].block_type) if is_block else (head.kind, head.type)
    return Stage(name, type_name, kind, len(units), together)


def _key(stage: Stage) -> tuple[object, ...]:
    """What two stages must share to be called the same."""
    if stage.kind == "block":
        return stage.type, stage.layers, stage.output_shape
    inputs = stage.head.input_shape[:1] if stage.kind == "linear" else None
    return stage.kind, stage.head.window, stage.output_shape, inputs


def _main_path(rows: Sequence[Row]) -> list[Row]:
    """The layers on the longest way through a block; all of them where its branches are put side by side (cat).

    Layers of a squeeze-and-excitation gate, whose maps are 1x1, are left out.
    """
    gate = (1, 1) if rows[-1].output_shape[1:] != (1, 1) else None
    wide = [row for row in rows if row.kind in WEIGHT_KINDS and row.output_shape[1:] != gate]
    if any(row.type in ("cat", "concat") and row is not rows[0] for row in rows):
        return wide
    paths: dict[str, list[str]] = {}  # the longest way to every row
    for row in rows:
        paths[row.name] = [*max((paths.get(name, []) for name in row.inputs), key=len, default=[]), row.name]
    return [row for row in wide if row.name in paths[rows[-1].name]]


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


# ---- two networks side by side -----------------------------------------------------------------------------------

MOST_ROWS = 40  # of layers; networks with more are compared stage by stage


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """The layers (of deep networks: the stages) of two networks, lined up by what they do, and the sums.

    A line that begins with * holds a difference; activations, norms and dropout are left out.
    """

    first: Dissection
    second: Dissection

    def lines(self) -> list[Line]:
        """The lines of the table: a mark, then what, output and parameters of the first network and of the second."""
        both = (self.first, self.second)
        parts = [[_of_row(row) for row in each.rows if row.kind in ("conv", "linear", "pool", "join")] for each in both]
        if max(map(len, parts)) > MOST_ROWS:
            parts = [[_of_stage(stage) for stage in each.stages()] for each in both]
        figures = {
            "parameters": [f"{each.params:,}" for each in both],
            "MACs, M": [work(each) for each in both],
            "activations, KiB": [kib(each.activation_bytes) for each in both],
        }
        sums = [_marked((name, "", left), (name, "", right)) for name, (left, right) in figures.items()]
        return [*(_marked(left[1:], right[1:]) for left, right in _lined_up(*parts)), ("",) * 7, *sums]

    def table(self) -> Table:
        names = [each.model for each in (self.first, self.second)]
        if names[0] == names[1]:
            names = [f"{names[0]} (left)", f"{names[1]} (right)"]
        sizes = [shape(each.input_shape) for each in (self.first, self.second)]
        title = " | ".join(f"{name}, {size}" for name, size in zip(names, sizes, strict=True))
        heads = ("", names[0], "output", "parameters", names[1], "output", "parameters")
        return Table(title, heads, self.lines(), ["* marks a difference."], (0, 1, 2, 4, 5))


def _marked(left: Line, right: Line) -> Line:
    return ("" if left == right else "*", *left, *right)


def _of_row(row: Row) -> Line:
    """The kind, for lining up; what it is, its output, its parameters."""
    words = f"{row.type} {window(row)}".strip()
    return row.kind, words, shape(row.output_shape), f"{row.params:,}" if row.params else "-"


def _of_stage(stage: Stage) -> Line:
    times = f" x{stage.repeats}" if stage.repeats > 1 else ""
    words = f"{stage.type} [{stage.layers}]{times}" if stage.layers and stage.kind != "pool" else stage.type
    return stage.kind, words, shape(stage.output_shape), f"{stage.params:,}" if stage.params else "-"


def _lined_up(left: list[Line], right: list[Line]) -> list[tuple[Line, Line]]:
    """Both lists as pairs, so that as many as possible of the same kind stand side by side."""
    matcher = SequenceMatcher(a=[line[0] for line in left], b=[line[0] for line in right], autojunk=False)
    pairs: list[tuple[Line, Line]] = []
    for _, a, b, c, d in matcher.get_opcodes():
        pairs += zip_longest(left[a:b], right[c:d], fillvalue=("", "-", "", ""))
    return pairs


# ---- the layers as papers name them --------------------------------------------------------------------------------


def paper_names(rows: Sequence[Row]) -> dict[str, str]:
    """What papers call the layers, by their names in PyTorch: "conv1", "pool1", "fc6".

    Convolutions are counted through (conv1 ... conv5, then fc6: AlexNet), or, where every run of convolutions between
    two poolings makes maps of one shape, by run (conv1_1, conv1_2, ..., then fc6: VGG).
    """
    between = groupby((row for row in rows if row.kind in ("conv", "pool")), lambda row: row.kind)
    runs = [list(run) for kind, run in between if kind == "conv"]
    one_shape = all(len({row.output_shape for row in run}) == 1 for run in runs)
    by_run = one_shape and any(len(run) > 1 for run in runs) and not any(row.kind == "join" for row in rows)
    names: dict[str, str] = {}
    for block, run in enumerate(runs, 1):
        for place, row in enumerate(run, 1):
            names[row.name] = f"conv{block}_{place}" if by_run else f"conv{len(names) + 1}"
    before = len(runs) if by_run else len(names)
    for kind, short, first in (("pool", "pool", 1), ("linear", "fc", before + 1)):
        counted = [row for row in rows if row.kind == kind and (kind == "linear" or row.window is not None)]
        names |= {row.name: f"{short}{number}" for number, row in enumerate(counted, first)}
    return names
