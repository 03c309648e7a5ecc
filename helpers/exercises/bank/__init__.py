"""The bank: every question of a topic stands in a data file, ``conv.toml`` and so on, and README.md says how.

Beside each file lies a module of the same name with the topic's generators: functions that make a question, its
mistakes and its solution from numbers. ``practice`` draws the numbers; a question of the file may give them, too.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from helpers.exercises.bank import batchnorm, conv, cost, field, nets, params, pool, training, transfer
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
}
_FILES = (conv, pool, params, field, cost, nets, batchnorm, training, transfer)  # in the order of TOPICS
GENERATORS: dict[str, Generators] = {topic: file.GENERATORS for topic, file in zip(TOPICS, _FILES, strict=True)}
_TEXTS = ("text", "insight", "solution")
_WRITTEN: dict[str, type] = dict.fromkeys(_TEXTS, str) | {"answer": dict, "hints": list, "mistakes": list}
_MADE: dict[str, type] = {"generator": str, "numbers": dict}
_MISTAKE: dict[str, type] = {"name": str, "answer": dict, "sentence": str}
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


def find_topic(topic: str) -> str:
    """``topic`` itself; ValueError where there is none of that name."""
    if topic in TOPICS:
        return topic
    near = difflib.get_close_matches(str(topic), list(TOPICS), n=1, cutoff=0.5)
    advice = f"Did you mean {listed(near)}? " if near else ""
    raise ValueError(f"There is no topic {topic!r}. {advice}The topics: {listed(TOPICS)}.")


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
    found = []
    for number, table in enumerate(tables, 1):
        id, wanted = table.pop("id", number), f"{path.stem}-{number}"
        try:
            if id != wanted:
                raise ValueError(f'its id should be "{wanted}": ids are numbered, without gaps')
            found.append(_question(id, path.stem, table))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path.name}, question {id}: {error}") from error
    return tuple(found)


def _question(id: str, topic: str, table: dict) -> Question:
    extra = table.pop("extra", False)
    if "generator" in table:
        makers = {make.__name__: make for make in GENERATORS[topic]}
        texts = {key: value for key, value in table.items() if key not in _MADE}
        _check(table, _MADE | dict.fromkeys(texts, str))
        if table["generator"] not in makers:
            raise ValueError(f"generator should be one of {listed(makers)}")
        made = makers[table["generator"]](id, **_values(table["numbers"]), **texts)
        return dataclasses.replace(made, extra=extra)
    tolerance = table.pop("tolerance", 0.01)
    _check(table, _WRITTEN)
    answer = _values(table.pop("answer"))
    mistakes = tuple(_mistake(mistake, answer) for mistake in table.pop("mistakes"))
    hints = tuple(table.pop("hints"))
    return Question(id, topic, answer=answer, mistakes=mistakes, hints=hints, tolerance=tolerance, extra=extra, **table)


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
