"""A dissection as text that a test can compare, as HTML for people, and in the words of the lecture."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from helpers.dissect.rows import UNKNOWN, Row

HEADS = ("layer", "type", "output", "window", "parameters", "KiB", "MACs, M", "field", "jump")
LEFT = range(4)  # the columns that hold words are set to the left


def cells(row: Row) -> tuple[str, ...]:
    """One row as the words of a table, in the order of ``HEADS``."""
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


def number(value: int | tuple[int, int] | str) -> str:
    return shape(value) if isinstance(value, tuple) else str(value)


def kib(count: int) -> str:
    return f"{count / 1024:,.1f}"


def millions(count: int) -> str:
    return f"{count / 1e6:,.2f}"


def window(row: Row) -> str:
    """As "11x11 /4 +2" for a window of 11x11, stride 4, padding 2; dilation and groups where they are not 1."""
    if row.window is None:
        return ""
    words = [shape(row.window.kernel_size)]
    if row.stride != 1:
        words.append(f"/{number(row.stride)}")
    if row.padding != 0:
        words.append(f"+{number(row.padding)}")
    if row.dilation != 1:
        words.append(f"dilation {number(row.dilation)}")
    if row.groups != 1:
        words.append(f"groups {row.groups}")
    return " ".join(words)


def as_text(
    title: str, heads: Sequence[str], lines: Sequence[Sequence[str]], notes: Sequence[str], left: Collection[int]
) -> str:
    """A table in a monospaced font, the columns ``left`` set to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(words: Sequence[str]) -> str:
        parts = [
            word.ljust(width) if index in left else word.rjust(width)
            for index, (word, width) in enumerate(zip(words, widths, strict=True))
        ]
        return "  ".join(parts).rstrip()

    body = [line(words) if any(words) else rule for words in lines]
    return "\n".join([title, rule, line(heads), rule, *body, rule, *notes])


def as_html(
    title: str, heads: Sequence[str], lines: Sequence[Sequence[str]], notes: Sequence[str], left: Collection[int]
) -> str:
    """The same as an HTML table: attributes only, since notebook viewers strip styles."""

    def line(words: Sequence[str], tag: str) -> str:
        sides = ("left" if index in left else "right" for index in range(len(words)))
        return "".join(f'<{tag} align="{side}">{escape(w)}</{tag}>' for w, side in zip(words, sides, strict=True))

    head = f"<tr>{line(heads, 'th')}</tr>"
    body = "".join(f"<tr>{line(words, 'td')}</tr>" for words in lines if any(words))
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table><caption><b>{escape(title)}</b></caption><thead>{head}</thead><tbody>{body}</tbody></table>{below}"


def table(rows: Sequence[Row], totals: tuple[int, int, int]) -> list[tuple[str, ...]]:
    """The lines of a dissection's table; an empty line stands for a rule, the last one for the sums."""
    params, stored, macs = totals
    last = ("in all", "", "", "", f"{params:,}", kib(stored), millions(macs), "", "")
    return [*map(cells, rows), ("",) * len(HEADS), last]


# ---- the lecture's listing ---------------------------------------------------------------------------------------


def lecture_style(input_shape: tuple[int, ...], rows: Sequence[Row]) -> str:
    """The listing of CS195's "Dissecting CNNs", line for line: convolutions, poolings, linear layers.

    As in the papers, convolutions are counted through (CONV1 ... CONV5, then FC6: AlexNet), or, where every run of
    convolutions between two poolings makes maps of one shape, by run (CONV1_1, CONV1_2, ..., then FC6: VGG).
    """
    shown = [row for row in rows if row.kind in ("conv", "pool", "linear", "join")]
    numbers, last = _conv_numbers(shown)
    lines, pools, linears = [_line(input_shape, "INPUT")], 0, 0
    for row in shown:
        pools += row.kind == "pool" and row.window is not None
        linears += row.kind == "linear"
        lines.append(_line(row.output_shape, _lecture_words(row, numbers.get(row.name, ""), pools, last + linears)))
    return "\n".join(lines)


def _line(sizes: tuple[int, ...], words: str) -> str:
    return f"[torch.Size({list(sizes)})] {words}"


def _conv_numbers(rows: Sequence[Row]) -> tuple[dict[str, str], int]:
    """The number of every convolution as printed, and the number before that of the first linear layer."""
    runs: list[list[Row]] = [[]]
    for row in rows:
        if row.kind == "pool":
            runs.append([])
        elif row.kind == "conv":
            runs[-1].append(row)
    runs = [run for run in runs if run]
    one_shape = all(len({row.output_shape for row in run}) == 1 for run in runs)
    if one_shape and any(len(run) > 1 for run in runs) and not any(row.kind == "join" for row in rows):
        return {row.name: f"{b}_{i}" for b, run in enumerate(runs, 1) for i, row in enumerate(run, 1)}, len(runs)
    flat = [row for run in runs for row in run]
    return {row.name: str(index) for index, row in enumerate(flat, 1)}, len(flat)


def _lecture_words(row: Row, conv: str, pool: int, linear: int) -> str:
    if row.kind == "linear":
        return f"FC{linear}: neurons"
    if row.kind == "join":
        return f"{row.type.upper()} of {len(row.inputs)} branches"
    if row.window is None:
        return f"{_pool_name(row)}: fixed output size [width x height]" if row.kind == "pool" else row.type
    size, stride, pad = shape(row.window.kernel_size), number(row.stride), number(row.padding)
    if row.kind == "pool":
        what = "max" if "max" in row.type.lower() else "average"
        return f"{_pool_name(row)}{pool}: {size} {what} pooling filters with stride={stride}, pad={pad}"
    groups = f", groups={row.groups}" if row.groups > 1 else ""
    filters = f"{row.output_shape[0]} convolutional filters each with a shape={size}"
    return f"CONV{conv}: {filters}, stride={stride}, pad={pad}{groups}"


def _pool_name(row: Row) -> str:
    return "MAX POOL" if "max" in row.type.lower() else "AVG POOL"


def explained(rows: Sequence[Row]) -> list[str]:
    """What the columns mean, in a line or two under the table."""
    lines = ["window: size /stride +padding. MACs: one multiplication and one addition; FLOPs = 2 x MACs."]
    if any(row.shares_memory for row in rows):
        lines.append("KiB: the output in float32; shared: it lies in the memory of the input.")
    if any(row.receptive_field == UNKNOWN for row in rows):
        lines.append("n/a: not known.")
    return lines
