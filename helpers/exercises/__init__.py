"""Exercises that teach: ``check`` says right, not yet, or what went wrong; hints and solutions come on request.

Everything works offline. Module ``answers`` keeps one record of what a student does. It outlives the session in the
persistent folder, and ``progress`` and ``export`` tell all of it; "try 2" and "hint 1" count what this session has
added to it, so that a notebook run from the top prints the same every time.

>>> from helpers import exercises
>>> exercises.check("conv-2", width=24, height=24, depth=64)     # doctest: +SKIP
conv-2: Right. The depth of the input does not show in the output: every filter reaches through all of it.
>>> exercises.check_code("code-06-dropout", my_dropout)          # doctest: +SKIP
code-06-dropout: not answered yet. Write the function's body in place of the dots and run the cell again.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import drive
from helpers.exercises import answers as record
from helpers.exercises import code as programs
from helpers.exercises.bank import GENERATORS, TOPICS, every, find, find_topic
from helpers.exercises.card import show, wrapped
from helpers.exercises.questions import Question, Unreadable, Value, Verdict, is_open, judge, listed, read

if TYPE_CHECKING:
    from helpers.exercises import form


class Exercise:
    """One question, and what this session has recorded of it. The texts are separate from the printing for widgets."""

    _how_to_answer = "Put your answer in place of the dots and run the cell again."
    _repeats = True  # the question, after a wrong answer

    def __init__(self, question: Question, *, prefix: str = "exercises", recorded: bool = True) -> None:
        self.question = question
        self._prefix, self._recorded = prefix, recorded
        self._entry = record.of_session(question.id) if recorded else record.new_entry()

    @property
    def done(self) -> bool:
        """True after a right answer."""
        return record.is_right(self._entry)

    def ask(self) -> None:
        """Shows the question and the call that answers it."""
        show(_lines([self._asked(), *self._kinds(), f"Your turn: {self._check_call()}"]))

    def check(self, **answers: object) -> None:
        """Shows whether the answers are right and, where they are not, what went wrong."""
        show(self.checked(answers))

    def hint(self) -> None:
        """Shows the next hint; after the last one, all of them again."""
        show(self.hinted())

    def solution(self) -> None:
        """Shows the worked solution."""
        show(self.solved())

    def checked(self, answers: Mapping[str, object]) -> str:
        """The text of ``check``; counts the try and records it."""
        question = self.question
        if unknown := sorted(set(answers) - set(question.answer)):
            wrong = f"{question.id}: there is no {listed(unknown)} in this question."
            return _lines([wrong, f"It asks for: {self._check_call()}"])
        given = {field: value for field, value in answers.items() if not is_open(value)}
        if not given:
            return _lines([f"{question.id}: not answered yet. {self._how_to_answer}", *self._kinds()])
        try:
            values = {field: read(question, field, value) for field, value in given.items()}
        except Unreadable as error:
            return f"{question.id}: {error}"
        verdict = judge(question, values)
        self._try({field: _as_json(value) for field, value in values.items()}, verdict.summary)
        return _lines([*self._report(verdict), self._save()])

    def hinted(self) -> str:
        """The text of ``hint``; counts and records the hint."""
        name, hints, seen = self.question.id, self.question.hints, self._entry["hints"]
        if seen == len(hints):
            numbered = [f"  {number}. {hint}" for number, hint in enumerate(hints, 1)]
            return _lines([f"{name}: these were all the hints; {self._call('solution')} works it out.", *numbered])
        self._entry["hints"] = seen + 1
        left = len(hints) - seen - 1
        then = f"({left} more)" if left else f"(the last one; {self._call('solution')} works it out)"
        return _lines([f"{name}, hint {seen + 1} of {len(hints)}: {hints[seen]} {then}", self._save()])

    def solved(self) -> str:
        """The text of ``solution``; records that it was looked at."""
        self._entry["solution"] = self._entry["solution"] or record.now()
        return _lines([f"{self.question.id}, solution: {self.question.solution}", self._save()])

    def _try(self, answer: dict[str, object], verdict: str) -> None:
        self._entry["attempts"].append({"when": record.now(), "answer": answer, "verdict": verdict})

    def _asked(self) -> str:
        return f"{self.question.id}: {self.question.text}"

    def _kinds(self) -> list[str]:
        question = self.question
        kinds = [f"{f}: one of {listed(question.options(f))}" for f in question.answer if question.options(f)]
        return kinds + [f"{f}: True or False" for f, value in question.answer.items() if isinstance(value, bool)]

    def _report(self, verdict: Verdict) -> list[str]:
        name, several = self.question.id, len(self.question.answer) > 1
        if verdict.all_right:
            return [f"{name}: Right. {self.question.insight}"]
        failed = verdict.mistaken or verdict.wrong
        lines = [f"{name}: " + (f"Not yet (try {len(self._entry['attempts'])})." if failed else "So far, so good.")]
        if verdict.right:
            lines[0] += f" Right: {', '.join(verdict.right)}."
        if verdict.missing:
            lines[0] += f" Still open: {', '.join(verdict.missing)}."
        for mistake, fields in verdict.mistaken:
            lines.append("  " + (f"{', '.join(fields)}: " if several else "") + mistake.sentence)
        if verdict.wrong and several:
            lines.append(f"  {', '.join(verdict.wrong)}: that is not it.")
        return [*lines, *self._again()] if failed else lines

    def _again(self) -> list[str]:
        asked = [f"  The question: {self.question.text}"] if self._repeats else []
        return [*asked, f"  For a hint: {self._call('hint')}"]

    def _save(self) -> str:
        return record.save() if self._recorded else ""

    def _check_call(self) -> str:
        return self._call("check", *(f"{field}=..." for field in self.question.answer))

    def _call(self, function: str, *arguments: str) -> str:
        named = (f'"{self.question.id}"', *arguments) if self._recorded else arguments
        return f"{self._prefix}.{function}({', '.join(named)})"


class InForm(Exercise):
    """An exercise whose answers come from the boxes of a form; it speaks of buttons where others speak of calls."""

    _how_to_answer = "Fill in a box, then click Check."
    _repeats = False  # it stands above the boxes

    def __init__(self, question: Question) -> None:
        super().__init__(question, prefix="")

    def _kinds(self) -> list[str]:
        return []  # the boxes show them

    def _call(self, function: str, *arguments: str) -> str:
        return f'the button "{function.capitalize()}"'


class Program(Exercise):
    """A function to write; it is run beside the solution."""

    question: programs.Code
    _how_to_answer = "Write the function's body in place of the dots and run the cell again."

    def run(self, function: object) -> None:
        """Shows whether ``function`` does what is asked and, where it does not, on which input it differs."""
        show(self.ran(function))

    def ran(self, function: object) -> str:
        """The text of ``run``; counts the try and records it."""
        name, question = self.question.id, self.question
        if is_open(function):
            return f"{name}: not answered yet. {self._how_to_answer}"
        if not callable(function):
            return f"{name}: pass the function itself, without brackets: {self._check_call()}"
        found = programs.difference(question, function)
        if found and found.unanswered:
            return f"{name}: not answered yet. {self._how_to_answer} It should return something."
        mistake = f"mistake: {found.slip.name}" if found and found.slip else "not yet"
        self._try({"code": programs.source(function)}, mistake if found else "right")
        if not found:
            return _lines([f"{name}: Right. {question.insight}", self._save()])
        said = [found.slip.sentence, found.words] if found.slip else [found.words]
        return _lines([f"{name}: Not yet (try {len(self._entry['attempts'])}).", *(f"  {line}" for line in said),
                       *self._again(), self._save()])  # fmt: skip

    def solution(self) -> None:
        self._entry["solution"] = self._entry["solution"] or record.now()
        show(_lines([f"{self.question.id}, solution:", self._save()]), self.question.solution)

    def _check_call(self) -> str:
        return f'{self._prefix}.check_code("{self.question.id}", {self.question.name})'


class Practice(Exercise):
    """Random questions of a topic, one after the other. Nothing is recorded. ``practice`` makes it."""

    def __init__(self, topic: str, rng: random.Random, count: int | None) -> None:
        self._topic, self._rng, self._count = topic, rng, count
        self._drawn = self._right = 0
        self._draw()

    def next(self) -> None:
        """Prints another question; after the last one of a round, the score."""
        if self._drawn == self._count:
            print(f"That was the round: {self._right + self.done} of {self._count} right.")
            return
        self._right += self.done
        self._draw()
        self.ask()

    def _draw(self) -> None:
        make = self._rng.choice(list(GENERATORS[self._topic].values()))
        super().__init__(make(self._rng), prefix="q", recorded=False)
        self._drawn += 1

    def __repr__(self) -> str:
        return f"Practice on {self._topic}: q.check(...), q.hint(), q.solution(), q.next()"


def ask(question_id: str) -> None:
    """Shows a question of the bank and the call that answers it."""
    _exercise(question_id).ask()


def check(question_id: str, /, **answers: object) -> None:
    """Shows whether the answers to a question are right and, where they are not, what went wrong.

    An answer may be a number, a text with a number in it, a numpy or torch scalar, a tuple or a list. None and ``...``
    stand for "not answered yet". ValueError for an unknown id only: a wrong answer never stops a notebook.
    """
    _exercise(question_id).check(**answers)


def check_code(question_id: str, function: object) -> None:
    """Runs a student's function beside the solution, and shows the first input on which the two differ.

    A function that returns None or ``...`` counts as not answered yet. An error of the function becomes a sentence.
    ValueError for an id that is no coding exercise.
    """
    exercise = _exercise(question_id)
    if not isinstance(exercise, Program):
        raise ValueError(f"{question_id} asks for no function; answer it by {exercise._check_call()}")
    exercise.run(function)


def hint(question_id: str) -> None:
    """Shows the next hint, from a nudge to nearly there."""
    _exercise(question_id).hint()


def solution(question_id: str) -> None:
    """Shows the worked solution; the record remembers that it was looked at."""
    _exercise(question_id).solution()


def practice(topic: str, *, seed: int | None = None, count: int | None = None) -> Practice:
    """Prints a random question of ``topic``; go on with ``q.check(...)``, ``q.hint()``, ``q.solution()``, ``q.next()``.

    The same ``seed`` gives the same questions. After ``count`` questions ``q.next()`` prints the score.
    """
    if count is not None and count < 1:
        raise ValueError(f"count is {count}; pass the number of questions of a round, at least 1, or leave it out")
    questions = Practice(find_topic(topic, GENERATORS), random.Random(seed), count)
    questions.ask()
    return questions


def progress() -> None:
    """Prints for each topic how many questions are answered right, how many were tried, and how many there are.

    There are those that the notebooks ask.
    """
    entries, note = record.load()
    print(record.table(entries))
    if note:
        print(wrapped(note))


def export(path: str | Path | None = None, *, name: str = "") -> Path:
    """Writes the record to one JSON file to hand in, prints and returns its path. Never overwrites a file.

    ``path`` is a file ("ada.json") or a folder, by default the persistent one; ``name`` is the student's. In a folder
    the file's name holds name, date, time and a number by lot: those of a class can be collected in one folder. The
    file holds, for each question touched: attempts with dates and verdicts, hints taken, and when the solution was
    looked at. DriveError where it cannot be written.
    """
    entries, note = record.load()
    content = json.dumps(record.handed_in(entries, name), indent=2, ensure_ascii=False)
    target = record.free_path(Path(path).expanduser() if path else drive.persist(), name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", errors="replace") as file:
            file.write(content)
    except OSError as error:
        raise drive.DriveError(drive.explain(error, path=target)) from error
    print(*filter(None, [wrapped(note), f"Written: {target}"]), sep="\n")
    return target


def key(topic: str | None = None) -> str:
    """The instructor's key, to print: every question with its answer, the mistakes it recognises, and the solution."""
    wanted = find_topic(topic, TOPICS) if topic else ""
    return "\n\n".join(_keyed(q) for q in every().values() if not wanted or q.topic == wanted)


def widget(question_id: str) -> form.Form:
    """A form for one question: a box for each field, and buttons for check, hint and solution.

    ValueError for a coding exercise: a function is written in a cell.
    """
    from helpers.exercises import form  # here, so that importing this module stays light

    question = find(question_id)
    if isinstance(question, programs.Code):
        raise ValueError(f"{question_id} asks for a function; write it in a cell and pass it to exercises.check_code")
    return form.Form(InForm(question))


def _exercise(question_id: str) -> Exercise:
    question = find(question_id)
    return Program(question) if isinstance(question, programs.Code) else Exercise(question)


def _keyed(question: Question) -> str:
    lines = [f"{question.id}: {question.text}"]
    if isinstance(question, programs.Code):
        slips = [f"  ({slip.name}): {slip.sentence}" for slip in question.slips]
        return wrapped(_lines([*lines, *slips, "  Solution:"])) + f"\n{question.solution.rstrip()}"
    lines += [f"  Answer: {_shown(question.answer)}"]
    lines += [f"  {_shown(m.answer)} ({m.name}): {m.sentence}" for m in question.mistakes]
    return wrapped(_lines([*lines, f"  Solution: {question.solution}"]))


def _shown(answer: Mapping[str, Value]) -> str:
    return ", ".join(f"{f} = {v:.6g}" if isinstance(v, float) else f"{f} = {v}" for f, v in answer.items())


def _as_json(value: Value) -> object:
    """``value`` as JSON can hold it: no NaN, no infinity."""
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(filter(None, lines))
