"""The bank: every question of a topic stands in a data file, ``conv.toml`` and so on, and README.md says how.

The functions to write stand in ``code.toml``.

Where a topic can be practised, a module of the same name lies beside the file, with generators: functions that make
a question, its mistakes and its solution from numbers. ``practice`` draws them; a question of the file may give them.
"""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from helpers.exercises.bank import conv, cost, field, params, pool
from helpers.exercises.code import Code, Slip
from helpers.exercises.questions import Generators, Mistake, Question, Value, listed

TOPICS = {
    "conv": "convolutions: what comes out",
    "pool": "pooling",
    "params": "counting parameters",
    "field": "receptive fields",
    "cost": "work and memory",
    "nets": "LeNet, AlexNet, VGG, ResNet",
    "batchnorm": "batch normalisation",
    "training": "training",
    "transfer": "transfer learning",
    "code": "functions to write",
}
GENERATORS: dict[str, Generators] = {  # of the topics that can be practised
    "conv": conv.GENERATORS,
    "pool": pool.GENERATORS,
    "params": params.GENERATORS,
    "field": field.GENERATORS,
    "cost": cost.GENERATORS,
}
_TEXTS = ("text", "insight", "solution")
_WRITTEN: dict[str, type] = dict.fromkeys(_TEXTS, str) | {"answer": dict, "hints": list, "mistakes": list}
_MADE: dict[str, type] = {"generator": str, "numbers": dict}
_MISTAKE: dict[str, type] = {"name": str, "answer": dict, "sentence": str}
_SLIP: dict[str, type] = {"name": str, "sentence": str, "solution": str}
_CODE: dict[str, type] = dict.fromkeys(_TEXTS, str) | {"calls": list, "hints": list, "mistakes": list}
_KINDS: dict[type, str] = {str: "a text", dict: "{ field = value, ... }", list: "a list"}


@functools.cache
def questions(topic: str) -> tuple[Question, ...]:
    """The questions of a topic of ``TOPICS``, in the order of their numbers."""
    return load(Path(__file__).with_name(f"{topic}.toml"))


def every() -> dict[str, Question]:
    """All questions by id, in the order of the course."""
    return {question.id: question for topic in TOPICS for question in questions(topic)}


def find(question_id: str) -> Question:
    """The question with this id; ValueError names the nearest ids."""
    topic = str(question_id).partition("-")[0]
    for question in questions(topic) if topic in TOPICS else ():
        if question.id == question_id:
            return question
    near = difflib.get_close_matches(str(question_id), list(every()), n=3, cutoff=0.5)
    advice = f"Near to it: {listed(near)}." if near else f"An id is a topic and a number; the topics: {listed(TOPICS)}."
    raise ValueError(f"There is no question {question_id!r}. {advice}")


def find_topic(topic: str, among: Iterable[str]) -> str:
    """``topic`` itself; ValueError where it is not ``among`` the topics that are possible."""
    names = list(among)
    if topic in names:
        return topic
    near = difflib.get_close_matches(str(topic), names, n=1, cutoff=0.5)
    advice = f"Did you mean {listed(near)}? " if near else ""
    raise ValueError(f"There is no topic {topic!r}. {advice}The topics: {listed(names)}.")


def load(path: Path) -> tuple[Question, ...]:
    """The questions of one data file, named after its topic; ValueError names the file, the question and the flaw."""
    text = path.read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(text)["question"]
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        above = text.splitlines()[: int(line[1])] if line else text.splitlines()
        ids = [row for row in above if row.startswith("id =")]
        last = ids[-1] if ids else "the beginning"
        raise ValueError(f"{path.name}: cannot be read, at or soon after {last}: {error}") from None
    except KeyError:
        raise ValueError(f"{path.name}: holds no [[question]]") from None
    found: list[Question] = []
    highest = 0
    for number, table in enumerate(tables, 1):
        id = str(table.pop("id", number))
        try:
            if path.stem == "code":
                found.append(_code(id, table, {question.id for question in found}))
                continue
            if not re.fullmatch(rf"{path.stem}-[1-9]\d*", id) or int(id.rpartition("-")[2]) <= highest:
                raise ValueError(f'its id should be "{path.stem}-{highest + 1}" or a higher number: ids are in order')
            highest = int(id.rpartition("-")[2])
            found.append(_question(id, path.stem, table))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path.name}, question {id}: {error}") from error
    return tuple(found)


def _code(id: str, table: dict, taken: set[str]) -> Code:
    if id in taken or not re.fullmatch(r"code-\w+-\w+", id):
        raise ValueError("its id should be code-NOTEBOOK-WORD, and no other question's")
    optional = {name: table.pop(name) for name in ("setup", "view", "tolerance") if name in table}
    _check(table, _CODE)
    slips, solution = [], table["solution"]
    for slip in table.pop("mistakes"):
        for old, new in slip.pop("changes", ()):
            if solution.count(old) != 1:
                raise ValueError(f'the mistake "{slip["name"]}" changes {old!r}, which the solution does not have once')
            slip["solution"] = slip.get("solution", solution).replace(old, new)
        _check(slip, _SLIP)
        slips.append(Slip(**slip))
    calls, hints = tuple(table.pop("calls")), tuple(table.pop("hints"))
    optional.setdefault("tolerance", 1e-5)
    return Code(id, "code", answer={}, mistakes=(), hints=hints, calls=calls, slips=tuple(slips), **table, **optional)


def _question(id: str, topic: str, table: dict) -> Question:
    if "generator" in table:
        makers = {make.__name__: make for make in GENERATORS.get(topic, ())}
        texts = {key: value for key, value in table.items() if key not in _MADE}
        _check(table, _MADE | dict.fromkeys(texts, str))
        if table["generator"] not in makers:
            raise ValueError(f"generator should be one of {listed(makers)}")
        return makers[table["generator"]](id, **_values(table["numbers"]), **texts)
    tolerance = table.pop("tolerance", 0.01)
    _check(table, _WRITTEN)
    answer = _values(table.pop("answer"))
    mistakes = tuple(_mistake(mistake, answer) for mistake in table.pop("mistakes"))
    hints = tuple(table.pop("hints"))
    return Question(id, topic, answer=answer, mistakes=mistakes, hints=hints, tolerance=tolerance, **table)


def _mistake(table: dict, right: dict[str, Value]) -> Mistake:
    _check(table, _MISTAKE)
    answer = _values(table["answer"])
    for name, value in answer.items():
        if _kind(value) != _kind(right.get(name)):
            raise ValueError(f'the mistake "{table["name"]}" gives {name} = {value!r}, which the answer does not have')
    return Mistake(table["name"], answer, table["sentence"])


def _kind(value: object) -> type:
    return float if type(value) is int else type(value)


def _check(table: dict, wanted: Mapping[str, type]) -> None:
    """ValueError unless ``table`` has the wanted keys, filled in, and no others."""
    for key, kind in wanted.items():
        if not table.get(key) or not isinstance(table[key], kind):
            raise ValueError(f"{key} should be {_KINDS[kind]}, not {table.get(key, 'left out')!r}")
    if unknown := sorted(set(table) - set(wanted)):
        raise ValueError(f"there is no {listed(unknown)} here; there are {listed(wanted)}")


def _values(table: dict) -> dict[str, Value]:
    """The values of an answer, or the numbers of a generator; arrays become tuples."""
    return {name: _as_tuples(value) for name, value in table.items()}


def _as_tuples(value: object) -> Value:
    if isinstance(value, list):
        return tuple(_as_tuples(item) for item in value)  # type: ignore[misc]  # pairs, for the layers of a field
    if not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is no number, text, true, false or list of numbers")
    return value
