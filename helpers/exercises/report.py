"""What the record of answers says: the table of progress, and the file to hand in."""

from __future__ import annotations

import datetime
from pathlib import Path

import helpers
from helpers import machine
from helpers.exercises.answers import is_right
from helpers.exercises.bank import BANK, TOPICS

COLUMNS = ("right", "tried", "of")


def table(entries: dict[str, dict]) -> str:
    """One line for each topic: answered right, tried, how many there are, and a bar."""
    counts = {topic: _counts(entries, topic) for topic in TOPICS}
    total = tuple(map(sum, zip(*counts.values(), strict=True)))
    rows = [_row(name, *numbers) for name, numbers in {**counts, "all": total}.items()]
    return "\n".join([f"{'topic':<11}" + "".join(f"{column:>6}" for column in COLUMNS), *rows])


def handed_in(entries: dict[str, dict], name: str) -> dict:
    """The record as it is handed in: who, when, totals, and each question touched with all its attempts."""
    known = [question_id for question_id in BANK if question_id in entries]
    return {
        "kit": f"{machine.KIT_NAME} {helpers.__version__}",
        "name": name,
        "exported": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "topics": {topic: dict(zip(COLUMNS, _counts(entries, topic), strict=True)) for topic in TOPICS},
        "questions": [_question(i, entries[i]) for i in [*known, *sorted(set(entries) - set(BANK))]],
    }


def free_path(path: Path) -> Path:
    """``path``, or the first free name beside it; in a folder, a name with today's date."""
    if path.is_dir():
        path = path / f"answers_{datetime.date.today().isoformat()}.json"
    number, wanted = 1, path
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return path


def _question(question_id: str, entry: dict) -> dict:
    return {
        "id": question_id,
        "question": BANK[question_id].text if question_id in BANK else "",
        "right": is_right(entry),
        "tries": len(entry["attempts"]),
        "hints": entry["hints"],
        "solution_looked_at": entry["solution"],
        "attempts": entry["attempts"],
    }


def _counts(entries: dict[str, dict], topic: str) -> tuple[int, int, int]:
    own = [entries.get(question.id) for question in BANK.values() if question.topic == topic]
    tried = [entry for entry in own if entry and entry["attempts"]]
    return sum(map(is_right, tried)), len(tried), len(own)


def _row(name: str, right: int, tried: int, of: int) -> str:
    filled = 20 * right // of
    bar = "#" * filled + "." * (20 - filled)
    return f"{name:<11}{right:>6}{tried:>6}{of:>6}  [{bar}]  {TOPICS.get(name, '')}".rstrip()
