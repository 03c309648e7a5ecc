"""What a question is, and how an answer to it is judged. The questions themselves lie in ``bank``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

Value = int | float | bool | str | tuple[float, ...]
Listed = tuple[str, Value | Mapping[str, Value], str]  # a mistake in short: its name, what it gives, the sentence


@dataclass(frozen=True)
class Mistake:
    """A typical mistake: the values it gives, for the fields that it gets wrong, and what to tell the student.

    The sentence says what went wrong without giving the right answer away.
    """

    name: str
    answer: Mapping[str, Value]
    sentence: str


@dataclass(frozen=True)
class Question:
    """One question of the bank, or one made up by ``practice``.

    The type of a right value decides what a student may type: a whole number, a number (right within ``tolerance``,
    an absolute figure), True or False, one of several words (the right one and those of the mistakes), or a tuple.
    """

    id: str  # stable: notebooks and students' records refer to it
    topic: str
    text: str
    answer: Mapping[str, Value]
    insight: str  # one sentence that a right answer earns
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]  # from a nudge to nearly there
    solution: str
    tolerance: float = 0.01

    def options(self, field: str) -> tuple[str, ...]:
        """The words to choose from, in alphabetical order; empty where the field is no choice between words."""
        values = (self.answer[field], *(m.answer[field] for m in self.mistakes if field in m.answer))
        return tuple(sorted({value for value in values if isinstance(value, str)}))


@dataclass(frozen=True)
class Verdict:
    """What is right and what is wrong in an answer: names of fields."""

    right: tuple[str, ...]
    missing: tuple[str, ...]
    mistaken: tuple[tuple[Mistake, tuple[str, ...]], ...]  # a recognised mistake and the fields that show it
    wrong: tuple[str, ...]  # wrong in a way that no listed mistake explains

    @property
    def all_right(self) -> bool:
        return not (self.missing or self.mistaken or self.wrong)

    @property
    def summary(self) -> str:
        """ "right", "mistake: ..." or "not yet", for the record."""
        names = "; ".join(mistake.name for mistake, _ in self.mistaken)
        return "right" if self.all_right else f"mistake: {names}" if names else "not yet"


Generators = dict[Callable[..., Question], Callable[[Random], Question]]  # each with one that draws its numbers


class Unreadable(ValueError):
    """A value that is not of the kind asked for; the message is a sentence for the student."""


def question(
    id: str,
    text: str,
    answer: Mapping[str, Value],
    insight: str,
    mistakes: Iterable[Listed],
    hints: Iterable[str],
    solution: str,
    *,
    tolerance: float = 0.01,
) -> Question:
    """A question of a generator; its topic is the first part of ``id``. In ``solution``, {field} is the right answer.

    What a mistake gives is a mapping where the question has several fields. With some numbers a mistake gives the right
    answer (forgetting a padding of 0) or that of another mistake: it is none then, and is dropped, field by field, so
    that every wrong value has one explanation.
    """
    taken: dict[str, list[Value]] = {field: [value] for field, value in answer.items()}
    kept = []
    for name, value, sentence in mistakes:
        values = value if isinstance(value, Mapping) else {next(iter(answer)): value}
        own = {field: v for field, v in values.items() if not _near_any(v, taken[field], tolerance)}
        for field, v in own.items():
            taken[field].append(v)
        if own:
            kept.append(Mistake(name, own, sentence))
    topic = id.removeprefix("practice-").partition("-")[0]
    return Question(id, topic, text, answer, insight, tuple(kept), tuple(hints), solution.format(**answer), tolerance)


def judge(question: Question, values: Mapping[str, Value]) -> Verdict:
    """Compares ``values`` (read already) with the right answer and the listed mistakes, field by field."""
    right, missing, wrong = [], [], []
    mistaken: dict[str, tuple[Mistake, list[str]]] = {}
    for field, wanted in question.answer.items():
        if field not in values:
            missing.append(field)
        elif matches(values[field], wanted, question.tolerance):
            right.append(field)
        elif mistake := _recognised(question, field, values[field]):
            mistaken.setdefault(mistake.name, (mistake, []))[1].append(field)
        else:
            wrong.append(field)
    pairs = tuple((mistake, tuple(fields)) for mistake, fields in mistaken.values())
    return Verdict(tuple(right), tuple(missing), pairs, tuple(wrong))


def is_open(value: object) -> bool:
    """True for what stands in a cell that nobody has filled in yet: nothing, None, ``...`` or an empty text."""
    return value is None or value is ... or (isinstance(value, str) and value.strip() in ("", "..."))


def matches(value: Value, wanted: Value, tolerance: float) -> bool:
    """True when ``value`` (read already) is ``wanted``; only a wanted float leaves room, and NaN is never right."""
    if isinstance(wanted, tuple) and isinstance(value, tuple):
        pairs = zip(value, wanted, strict=False)
        return len(value) == len(wanted) and all(matches(v, w, tolerance) for v, w in pairs)
    if isinstance(wanted, (bool, str, tuple)) or isinstance(value, (bool, str, tuple)):
        return value == wanted
    return abs(value - wanted) <= (tolerance if isinstance(wanted, float) else 1e-6)


def read(question: Question, field: str, value: object) -> Value:
    """``value`` as the kind that the question asks for; numpy, torch and clean text are welcome. Or ``Unreadable``."""
    try:
        return _read(question, field, value)
    except Unreadable as error:
        raise Unreadable(f"{field} {error}") from None


def _read(question: Question, field: str, value: object) -> Value:
    wanted = question.answer[field]
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        try:
            value = value.tolist()
        except (RuntimeError, TypeError, ValueError):  # a tensor without data
            raise Unreadable(f"has no values to look at: {_short(value)}") from None
    if isinstance(wanted, bool):
        return _read_bool(value)
    if isinstance(wanted, str):
        return _read_option(value, question.options(field))
    if isinstance(wanted, tuple):
        return _read_tuple(value)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return _read_number(value)


def _recognised(question: Question, field: str, value: Value) -> Mistake | None:
    hits = (m for m in question.mistakes if field in m.answer and matches(value, m.answer[field], question.tolerance))
    return next(hits, None)


def _near_any(value: Value, others: list[Value], tolerance: float) -> bool:
    return any(matches(value, other, tolerance) or matches(other, value, tolerance) for other in others)


def _read_number(value: object) -> int | float:
    if isinstance(value, str):
        value = _number_in(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unreadable(f"should be a number such as 24, not {_short(value)}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _number_in(text: str) -> object:
    """The number written in ``text`` ("24", "34,944", "25 %"), or the text itself where it is none."""
    clean = text.strip().removesuffix("%").strip().replace("_", "")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", clean):
        clean = clean.replace(",", "")
    return float(clean) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", clean) else text


def _read_bool(value: object) -> bool:
    if isinstance(value, str):
        value = {"true": True, "yes": True, "false": False, "no": False}.get(value.strip().lower(), value)
    if not isinstance(value, bool):
        raise Unreadable(f"should be True or False, not {_short(value)}")
    return value


def _read_option(value: object, options: tuple[str, ...]) -> str:
    given = _plain(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    near = [o for o in options if len(given) >= 3 and _plain(o).startswith(given)]  # "val" for "validation"
    exact = [option for option in options if given == _plain(option)]
    if exact or len(near) == 1:
        return (exact or near)[0]
    raise Unreadable(f"should be one of {listed(options)}, not {_short(value)}")


def _read_tuple(value: object) -> tuple[int | float, ...]:
    parts: list | tuple
    if isinstance(value, str):
        parts = re.split(r"[\s,x]+", value.strip().strip("()[]").strip().rstrip(",").lower())
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        parts = [value]
    flat = [v for part in parts for v in (part if isinstance(part, (list, tuple)) else [part])]
    if len(flat) > 32:
        raise Unreadable(f"should be a few numbers, not {len(flat)}. Did you pass a tensor in place of its shape?")
    try:
        return tuple(_read_number(part) for part in flat)
    except Unreadable:
        raise Unreadable(f"should be several numbers such as (3, 32, 32), not {_short(value)}") from None


def listed(words: Iterable[str]) -> str:
    """The words in quotes, with commas between them."""
    return ", ".join(f'"{word}"' for word in words)


def _plain(text: str) -> str:
    words = re.sub(r"[\s_-]+", " ", text.strip().lower())
    return re.sub(r"^(the|an?) | ones?$", "", words).replace("0", "zero")  # "MLP" for "the MLP", "a smaller one"


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**15 else "so large a number"
    return text if len(text) <= 40 else text[:37] + "..."
