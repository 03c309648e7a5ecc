"""The student's record: every answer, hint and solution looked at, kept in ``answers.json`` in the persistent folder.

What happens in this process is also kept in memory and merged with the file before each write. So two notebooks that
are open at once lose nothing to each other, and answers given before the Drive was mounted reach it later.
Nothing here prints: a function returns a sentence for the student where there is something to say.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import unicodedata
from pathlib import Path
from typing import TypedDict

import helpers
from helpers import drive, machine
from helpers.exercises.bank import TOPICS, every, questions

FILE_NAME = "answers.json"
COLUMNS = ("right", "tried", "of")


class Attempt(TypedDict):
    """One try: when, what was answered, and "right", "mistake: ..." or "not yet"."""

    when: str
    answer: dict[str, object]
    verdict: str


class Entry(TypedDict):
    """What a student did with one question."""

    attempts: list[Attempt]
    hints: int  # how many of them were seen
    solution: str  # when it was looked at first, or ""


Entries = dict[str, Entry]  # by the question's id

_session: Entries = {}  # what this process has recorded
_told: set[str] = set()


def now() -> str:
    """The local time, to the microsecond, as ISO 8601."""
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")


def new_entry() -> Entry:
    """Nothing done yet."""
    return {"attempts": [], "hints": 0, "solution": ""}


def of_session(question_id: str) -> Entry:
    """What this process has recorded of a question, to add to; ``save`` brings it into the file."""
    return _session.setdefault(question_id, new_entry())


def save() -> str:
    """Merges what this process has recorded into the file. Returns a sentence for the student, or "".

    Where the folder cannot be written, the record goes on in memory.
    """
    from helpers.datasets import locks  # here, so that importing this module stays light

    try:
        path = drive.persist() / FILE_NAME
        with locks.only_one(path.with_suffix(".lock")):
            entries, note = _read(path)
            content = json.dumps({"questions": _merged(entries, _session)}, indent=1, ensure_ascii=False)
            with machine.replacing(path) as partial:
                partial.write_text(content, encoding="utf-8")
    except OSError as error:
        return _once(
            f"Your answers cannot be saved ({machine.reason(error)}). They are kept until this session ends; "
            "exercises.export(path) writes them to a file of your choice."
        )
    return note


def load() -> tuple[Entries, str]:
    """(the record by question id, a sentence for the student or "")."""
    try:
        entries, note = _read(drive.persist() / FILE_NAME)
    except OSError as error:
        why = machine.reason(error)
        note = _once(f"Your earlier answers cannot be read ({why}): this shows the present session only.")
        return _merged({}, _session), note
    return _merged(entries, _session), note


def is_right(entry: Entry) -> bool:
    """True when one of the attempts was right."""
    return any(attempt["verdict"] == "right" for attempt in entry["attempts"])


def table(entries: Entries) -> str:
    """One line for each topic: answered right, tried, how many there are, and a bar."""
    counts = {topic: _counts(entries, topic) for topic in TOPICS}
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [_row(name, *numbers) for name, numbers in [*counts.items(), ("all", total)]]
    return "\n".join([f"{'topic':<11}" + "".join(f"{column:>6}" for column in COLUMNS), *rows])


def handed_in(entries: Entries, name: str) -> dict[str, object]:
    """The record as it is handed in: who, when, totals, and each question touched with all its attempts."""
    bank = every()
    known = [question_id for question_id in bank if question_id in entries]
    return {
        "kit": f"{machine.KIT_NAME} {helpers.__version__}",
        "name": name,
        "exported": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "topics": {topic: dict(zip(COLUMNS, _counts(entries, topic), strict=True)) for topic in TOPICS},
        "questions": [
            {
                "id": question_id,
                "question": bank[question_id].text if question_id in bank else "",
                "right": is_right(entries[question_id]),
                "tries": len(entries[question_id]["attempts"]),
                "hints": entries[question_id]["hints"],
                "solution_looked_at": entries[question_id]["solution"],
                "attempts": entries[question_id]["attempts"],
            }
            for question_id in [*known, *sorted(set(entries) - set(bank))]
        ],
    }


def free_path(path: Path, name: str) -> Path:
    """A path where no file is yet: ``path``, or "path-2" beside it; in a folder, with name, date, time and a number.

    The number is drawn by lot, so that the files of two students of one name do not meet in one folder either. Of the
    name only letters (of any alphabet), digits and the marks that belong to them stay: all file systems take these.
    """
    if path.is_dir() or not path.suffix:
        kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", name))
        who = "-".join("".join(kept).split())[:40]
        words = ("answers", who, f"{datetime.datetime.now():%Y-%m-%d_%H%M}", f"{secrets.randbelow(10**6):06}")
        path = path / ("_".join(filter(None, words)) + ".json")
    number, wanted = 1, path
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return path


def _counts(entries: Entries, topic: str) -> tuple[int, int, int]:
    """Right, tried, of: the questions of the bank, all of which the notebooks ask."""
    names = [question.id for question in questions(topic)]
    tried = [entries[name] for name in names if name in entries and entries[name]["attempts"]]
    return sum(map(is_right, tried)), len(tried), len(names)


def _row(name: str, right: int, tried: int, of: int) -> str:
    filled = 20 * right // of
    bar = "#" * filled + "." * (20 - filled)
    return f"{name:<11}{right:>6}{tried:>6}{of:>6}  [{bar}]  {TOPICS.get(name, '')}".rstrip()


def _read(path: Path) -> tuple[Entries, str]:
    try:
        return _checked(path.read_bytes()), ""
    except FileNotFoundError:
        return {}, ""
    except ValueError:  # neither JSON nor of our making: keep it, start a new one
        aside = next(p for n in range(1, 10**6) if not (p := path.with_name(f"answers.damaged-{n}.json")).exists())
        os.replace(path, aside)
        return {}, f"Your record of answers was damaged. It is kept as {aside}, and a new record begins."


def _checked(content: bytes) -> Entries:
    try:
        return {
            question_id: {
                "attempts": [
                    {"when": str(a["when"]), "answer": dict(a["answer"]), "verdict": str(a["verdict"])}
                    for a in entry["attempts"]
                ],
                "hints": int(entry["hints"]),
                "solution": str(entry["solution"]),
            }
            for question_id, entry in json.loads(content)["questions"].items()
        }
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a record of answers") from error


def _merged(file: Entries, session: Entries) -> Entries:
    merged: Entries = {}
    for question_id in {**file, **session}:
        entries = [source[question_id] for source in (file, session) if question_id in source]
        attempts = {json.dumps(a, sort_keys=True): a for entry in entries for a in entry["attempts"]}
        both: Entry = {
            "attempts": sorted(attempts.values(), key=lambda attempt: attempt["when"]),
            "hints": max(entry["hints"] for entry in entries),
            "solution": min((entry["solution"] for entry in entries if entry["solution"]), default=""),
        }
        if both != new_entry():
            merged[question_id] = both
    return merged


def _once(sentence: str) -> str:
    fresh = sentence not in _told
    _told.add(sentence)
    return sentence if fresh else ""
