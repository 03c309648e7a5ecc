"""The student's record: every answer, hint and solution looked at, kept in ``answers.json`` in the persistent folder.

What happens in this process is also kept in memory and merged with the file before each write. So two notebooks that
are open at once lose nothing to each other, and answers given before the Drive was mounted reach it later.
Nothing here prints: a function returns a sentence for the student where there is something to say.
"""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

from helpers import drive
from helpers.datasets import locks

FILE_NAME = "answers.json"

_session: dict[str, dict] = {}  # what this process has recorded
_said: set[str] = set()


def now() -> str:
    """The local time, to the microsecond, as ISO 8601."""
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")


def record(question_id: str, *, attempt: dict | None = None, hints: int = 0, solution: bool = False) -> str:
    """Adds an attempt (keys "answer" and "verdict"), the hints seen so far or a look at the solution, and saves.

    Returns a sentence for the student, or "". Where the folder cannot be written, the record goes on in memory.
    """
    entry = _session.setdefault(question_id, {"attempts": [], "hints": 0, "solution": ""})
    if attempt is not None:
        entry["attempts"].append({"when": now(), **attempt})
    entry["hints"] = max(entry["hints"], hints)
    entry["solution"] = entry["solution"] or (now() if solution else "")
    try:
        path = drive.persist() / FILE_NAME
        with locks.only_one(path.with_suffix(".lock")):
            entries, note = _read(path)
            _write(path, _merged(entries, _session))
    except OSError as error:
        return _once(
            f"Your answers cannot be saved ({error.strerror or error}). They are kept until this session ends; "
            "exercises.export(path) writes them to a file of your choice."
        )
    return note


def load() -> tuple[dict[str, dict], str]:
    """(the record by question id, a sentence for the student or "")."""
    try:
        entries, note = _read(drive.persist() / FILE_NAME)
    except OSError as error:
        reason = error.strerror or error
        note = _once(f"Your earlier answers cannot be read ({reason}): this shows the present session only.")
        return _merged({}, _session), note
    return _merged(entries, _session), note


def is_right(entry: dict) -> bool:
    """True when one of the attempts was right."""
    return any(attempt["verdict"] == "right" for attempt in entry["attempts"])


def _read(path: Path) -> tuple[dict[str, dict], str]:
    try:
        return _checked(path.read_bytes()), ""
    except FileNotFoundError:
        return {}, ""
    except ValueError:  # neither JSON nor of our making: keep it, start a new one
        aside = next(p for n in range(1, 10**6) if not (p := path.with_name(f"answers.damaged-{n}.json")).exists())
        os.replace(path, aside)
        return {}, f"Your record of answers was damaged. It is kept as {aside}, and a new record begins."


def _checked(content: bytes) -> dict[str, dict]:
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


def _merged(first: dict[str, dict], second: dict[str, dict]) -> dict[str, dict]:
    merged = {}
    for question_id in {**first, **second}:
        entries = [entries[question_id] for entries in (first, second) if question_id in entries]
        attempts = {json.dumps(a, sort_keys=True): a for entry in entries for a in entry["attempts"]}
        merged[question_id] = {
            "attempts": sorted(attempts.values(), key=lambda attempt: attempt["when"]),
            "hints": max(entry["hints"] for entry in entries),
            "solution": min((entry["solution"] for entry in entries if entry["solution"]), default=""),
        }
    return merged


def _write(path: Path, entries: dict[str, dict]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps({"questions": entries}, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _once(sentence: str) -> str:
    fresh = sentence not in _said
    _said.add(sentence)
    return sentence if fresh else ""
