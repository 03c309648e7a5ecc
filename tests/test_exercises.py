"""The engine and the bank: right is right, each mistake has its sentence, nothing else passes, no answer is lost."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from helpers import drive, exercises
from helpers.exercises import answers, bank
from helpers.exercises.bank import GENERATORS
from helpers.exercises.questions import Question, matches, question

ROOT = Path(__file__).parents[1]
TOPICS = [topic for topic in bank.TOPICS if topic != "code"]  # which test_exercises_code looks at
BANK = {name: q for name, q in bank.every().items() if q.topic in TOPICS}
COUNTED = list(bank.every().values())
PRACTICE = {topic: list(pairs.values()) for topic, pairs in GENERATORS.items()}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Fresh folders and a fresh session: nothing remembered from another test."""
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "persist"))
    new_session()
    return tmp_path / "persist"


def new_session() -> None:
    answers._session.clear()
    answers._told.clear()


def said(capsys) -> str:
    """What was printed since the last look, with every run of blanks made one."""
    return one_line(capsys.readouterr().out)


def near(value: object, wanted: object, tolerance: float) -> bool:
    """An independent idea of "the same answer"."""
    if isinstance(wanted, tuple):
        same_length = isinstance(value, tuple) and len(value) == len(wanted)
        return same_length and all(near(v, w, tolerance) for v, w in zip(value, wanted, strict=True))
    if isinstance(wanted, (str, bool)) or isinstance(value, (str, bool, tuple)):
        return type(value) is type(wanted) and value == wanted
    return abs(value - wanted) <= (tolerance if isinstance(wanted, float) else 1e-6)


def flaws(q: Question) -> Iterator[str]:
    """What must not be found in a question, of the bank or made up."""
    for field, right in q.answer.items():
        values = [right, *(m.answer[field] for m in q.mistakes if field in m.answer)]
        for value, other in itertools.combinations(values, 2):
            if near(value, other, q.tolerance) or near(other, value, q.tolerance):
                yield f"{field}: {value} and {other} are one answer"
    if not all(m.answer and set(m.answer) <= set(q.answer) for m in q.mistakes):
        yield "a mistake has other fields than the answer"
    if len({m.name for m in q.mistakes}) < len(q.mistakes):
        yield "two mistakes have one name"
    if len(q.mistakes) < (1 if any(isinstance(value, bool) for value in q.answer.values()) else 2):
        yield "too few mistakes"
    for text in (q.text, q.insight, q.solution, *q.hints, *(m.sentence for m in q.mistakes)):
        if not text or text != text.strip() or not re.search(r"[.?!\"\d]$", text):
            yield f"begins or ends badly: {text!r}"
        if re.search(r"[{}<\\\n]|  | ,|\bnan\b|—|\b1 (channels|pictures|epochs|filters)\b", text):
            yield f"should not be in a sentence: {text!r}"
    for value in q.answer.values():
        if not isinstance(value, (bool, tuple)) and not shown_in(value, q.solution):
            yield f"the solution does not show {value}: {q.solution}"
        if isinstance(value, int) and value >= 20 and not shown_in(value, q.text):
            for text in (*q.hints, *(m.sentence for m in q.mistakes)):
                if shown_in(value, text):
                    yield f"gives the answer away: {text}"
    if not q.hints or q.text[-1] not in "?.":
        yield "has no hints, or no end"
    exercise = exercises.Exercise(q, prefix="q", recorded=False)
    passed = one_line(exercise.checked(q.answer)).startswith(f"{q.id}: Right. {one_line(q.insight)}")
    if not passed or not exercise.done:
        yield "its own answer does not pass"
    for mistake in q.mistakes:
        text = one_line(exercise.checked({**q.answer, **mistake.answer}))
        others = {one_line(m.sentence) for m in q.mistakes} - {one_line(mistake.sentence)}
        rest = text.replace(one_line(mistake.sentence), "")
        if "Not yet" not in text or rest == text or any(other in rest for other in others):
            yield f"{mistake.name}: {text}"


def one_line(text: str) -> str:
    return " ".join(text.split())


def shown_in(value: object, text: str) -> bool:
    if isinstance(value, str):
        return value in text
    numbers = [float(n.replace(",", "")) for n in re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?", text)]
    return any(abs(number - value) <= 0.051 * (abs(value) > 5) + 0.006 for number in numbers)


# The bank ---------------------------------------------------------------------------------------------------------


def test_the_bank_covers_every_topic() -> None:
    assert all(len(bank.questions(topic)) >= 2 for topic in TOPICS)
    assert list(BANK) == sorted(BANK, key=lambda name: (TOPICS.index(BANK[name].topic), int(name.split("-")[1])))


def test_every_question_is_sound_and_its_mistakes_are_told_apart() -> None:
    found = [f"{q.id}: {flaw}" for q in BANK.values() for flaw in flaws(q)]
    assert not found, "\n".join(found)


def test_the_notebooks_ask_every_question_and_no_other() -> None:
    asked = set()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        asked |= set(re.findall(r'exercises\.(?:ask|check|widget|check_code)\(\s*"([\w-]+)"', source))
    assert asked == set(bank.every())


GOOD = """
[[question]]
id = "conv-1"
text = "How wide?"
answer = { width = 3 }
insight = "So it is."
hints = ["Count."]
solution = "3."

[[question.mistakes]]
name = "one less"
answer = { width = 2 }
sentence = "Count the places."

[[question]]
id = "conv-2"
generator = "convolution"
numbers = { width = 26, kernel_size = 3, filters = 64, depth = 32 }
"""


def test_a_file_of_questions_is_read(tmp_path) -> None:
    (tmp_path / "conv.toml").write_text(GOOD, encoding="utf-8")
    written, made = bank.load(tmp_path / "conv.toml")
    assert (written.id, written.answer, written.mistakes[0].answer) == ("conv-1", {"width": 3}, {"width": 2})
    assert made.answer == {"width": 24, "height": 24, "depth": 64}


FLAWS = [
    ("width = 2 }", "width = 2", r"^conv\.toml: cannot be read, at or soon after id = \"conv-1\": .*line 12"),
    (GOOD, "x = 1", "^conv.toml: holds no"),
    ('"conv-2"', '"conv-1"', r"question conv-1: its id should be \"conv-2\" or a higher number: ids are in order"),
    ('"conv-2"', '"pool-2"', r"question pool-2: its id should be \"conv-2\" or a higher number"),
    ('id = "conv-1"', "", r"question 1: its id should be \"conv-1\""),
    ('insight = "So it is."', "", "question conv-1: insight should be a text, not 'left out'"),
    ('hints = ["Count."]', 'hints = "Count."', "question conv-1: hints should be a list, not 'Count.'"),
    ('solution = "3."', 'solution = "3."\nnote = 1', r"conv-1: there is no \"note\" here; there are \"text\", .*"),
    ("width = 2 }", "height = 2 }", "the mistake \"one less\" gives height = 2, which the answer does not have"),
    ("width = 2 }", 'width = "two" }', "gives width = 'two', which the answer does not have"),
    ("width = 2 }", "width = true }", "gives width = True, which the answer does not have"),
    ("width = 3 }", "width = 1979-05-27 }", "question conv-1: .* is no number, text, true, false or list"),
    ('sentence = "Count the places."', "", "question conv-1: sentence should be a text"),
    ('"convolution"', '"convolutoin"', r"conv-2: generator should be one of \"convolution\""),
    ("depth = 32", "deep = 32", r"conv-2: convolution\(\) .*unexpected keyword argument 'deep'"),
    ("kernel_size = 3", "kernel_size = 30", "conv-2: .*30"),
]


def test_a_flaw_in_a_file_is_named(tmp_path) -> None:
    missed = []
    for old, new, sentence in FLAWS:
        (tmp_path / "conv.toml").write_text(GOOD.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError) as caught:
            bank.load(tmp_path / "conv.toml")
        if not re.search(sentence, str(caught.value)):
            missed.append(f"{new!r}: {caught.value}")
    assert not missed, "\n".join(missed)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_random_answer_passes_only_where_it_is_the_answer(data):
    q = data.draw(st.sampled_from(list(BANK.values())))
    value_of = {
        bool: st.booleans(),
        str: st.text(max_size=12).filter(lambda text: "0" not in text),  # it stands for "zero"
        int: st.integers(-10, 10**9) | st.floats(allow_nan=True) | st.integers(0, 300),
        float: st.floats(-100, 100) | st.floats(allow_nan=True),
        tuple: st.lists(st.integers(0, 64), max_size=5).map(tuple),
    }
    given_values = {field: data.draw(value_of[type(right)]) for field, right in q.answer.items()}
    for field, word in q.answer.items():  # three letters of a word may stand for it
        assume(not isinstance(word, str) or not word.lower().startswith(given_values[field].strip().lower()))
    exercise = exercises.Exercise(q, prefix="q", recorded=False)
    text = exercise.checked(given_values)
    right = all(near(given_values[f], w, q.tolerance) for f, w in q.answer.items())
    assert ("Right. " in text.split("\n")[0] and exercise.done) == right
    if not any(isinstance(w, (str, bool)) for w in q.answer.values()):
        for m in q.mistakes:
            hit = any(
                near(given_values[f], v, q.tolerance) and not near(given_values[f], q.answer[f], q.tolerance)
                for f, v in m.answer.items()
            )
            twins = [n for n in q.mistakes if n.sentence == m.sentence]
            if len(twins) == 1:
                assert (" ".join(m.sentence.split()) in " ".join(text.split())) == hit


MISTAKES = {  # worked with pencil and paper: what the mistake makes of the question's first field
    ("conv-8", "forgot the +1"): 54, ("conv-8", "forgot the stride"): 217,
    ("conv-8", "only divided by the stride"): 56, ("pool-5", "rounded up"): 114,
    ("conv-20", "swapped width and height"): 240, ("params-1", "gave every slice a bias"): 780,
    ("params-11", "forgot the groups"): 614_656,
    ("cost-1", "counted FLOPs"): 1_536_000,
    ("nets-12", "forgot first and last"): 99, ("batchnorm-2", "took layer norm"): 32,
    ("training-5", "took the logarithm to base 2"): 2.0,
    ("training-11", "swapped mean and std"): 1.59,
    ("transfer-1", "forgot the biases"): 16_384, ("transfer-2", "only the last layer"): 2_052,
}


def test_mistakes_have_the_values_of_their_names() -> None:
    wrong = []
    for (question_id, name), expected in MISTAKES.items():
        (mistake,) = (m for m in ALL[question_id].mistakes if m.name == name)
        value = mistake.answer[next(iter(ALL[question_id].answer))]
        if value != pytest.approx(expected, abs=0.01):
            wrong.append(f"{question_id}, {name}: {value}, not {expected}")
    assert not wrong, "\n".join(wrong)


OWN = {  # kinds of answers that no question of the bank has alone
    "conv-0": question("conv-0", "?", {"shape": (2, 6, 28, 28)}, ".", [], [], "."),
    "params-0": question("params-0", "?", {"biases": 13_416}, ".", [("a", 1, "b")], [], "."),
    "pool-0": question("pool-0", "?", {"values": (6, 8, 3, 4)}, ".", [], [], "."),
    "batchnorm-0": question("batchnorm-0", "?", {"shape": (100,)}, ".", [], [], "."),
}
ALL = BANK | OWN


# Practice ---------------------------------------------------------------------------------------------------------


def test_practice_questions_are_sound() -> None:
    found = []
    for topic in PRACTICE:
        texts = set()
        for seed in range(60 * len(PRACTICE[topic])):
            rng = random.Random(seed)
            q = rng.choice(PRACTICE[topic])(rng)
            assert q.topic == topic and q.id == f"practice-{topic}"
            found += [f"{q.id}, seed {seed}: {flaw}" for flaw in flaws(q)]
            texts.add(q.text)
        assert len(texts) >= 8, f"{topic}: too few different questions"
    assert not found, "\n".join(found)


def numbers_in(pattern: str, text: str) -> list[int]:
    return [int(group) for group in re.search(pattern, text).groups()]


def test_practice_sizes_agree_with_torch():
    seen = 0
    for seed in range(100):
        rng = random.Random(seed)
        for make in PRACTICE["conv"] + PRACTICE["pool"]:
            q = make(rng)
            if "shape" in q.answer:
                continue
            w, h, d = numbers_in(r"input is (\d+) x (\d+) x (\d+)", q.text)
            with torch.device("meta"):
                if q.topic == "conv":
                    n, k, s, p = numbers_in(r"(\d+) filters slide over it, each of (\d+) x \2 with stride (\d+) and "
                                            r"padding (\d+)".replace(r"\2", r"\d+"), q.text)
                    layer = nn.Conv2d(d, n, k, stride=s, padding=p)
                else:
                    k, s = numbers_in(r"windows of (\d+) x \d+ and stride (\d+)", q.text)
                    layer = nn.MaxPool2d(k, stride=s)
                depth, height, width = layer(torch.empty(1, d, h, w)).shape[1:]
            assert q.answer == {"width": width, "height": height, "depth": depth}
            seen += 1
    assert seen == 200


def test_practice_parameters_agree_with_torch():
    for seed in range(100):
        rng = random.Random(seed)
        convolution, linear = (make(rng) for make in PRACTICE["params"])
        bias = "biases included" in convolution.text
        c, n, k = numbers_in(r"takes (\d+) channels? and has (\d+) filters of (\d+) x", convolution.text)
        groups = re.search(r"in (\d+) groups", convolution.text)
        with torch.device("meta"):
            layer = nn.Conv2d(c, n, k, groups=int(groups[1]) if groups else 1, bias=bias)
            assert convolution.answer == {"parameters": sum(p.numel() for p in layer.parameters())}
            inputs, outputs = re.search(r"takes ([\d,]+) numbers and gives ([\d,]+)\.", linear.text).groups()
            sizes = int(inputs.replace(",", "")), int(outputs.replace(",", ""))
            assert linear.answer == {"parameters": sum(p.numel() for p in nn.Linear(*sizes).parameters())}


def test_practice_fields_agree_with_gradients():
    for seed in range(40):
        (make,) = PRACTICE["field"]
        q = make(random.Random(seed))
        layers = re.findall(r"(\d+) x \d+ with stride (\d+)", q.text)
        x = torch.zeros(1, 1, 2 * q.answer["pixels"] + 1, dtype=torch.float64, requires_grad=True)
        y = x
        for k, s in layers:
            y = F.conv1d(y, torch.ones(1, 1, int(k), dtype=torch.float64), stride=int(s))
        y[0, 0, 0].backward()
        assert q.answer["pixels"] == int((x.grad != 0).sum())


def test_practice_is_repeatable_and_leaves_the_global_generator_alone(capsys) -> None:
    state = random.getstate()
    for topic in PRACTICE:
        capsys.readouterr()
        first = exercises.practice(topic, seed=1)
        printed = capsys.readouterr().out
        second = exercises.practice(topic, seed=1)
        assert capsys.readouterr().out == printed and first.question == second.question
        assert "Your turn: q.check(" in printed
        first.next()
        assert first.question != second.question
        exercises.practice(topic)
    assert random.getstate() == state


def test_practice_goes_on_and_keeps_the_score(capsys, folders):
    q = exercises.practice("conv", seed=3, count=3)
    q.check(**q.question.answer)
    q.next()
    q.hint()
    q.solution()
    q.check(**dict.fromkeys(q.question.answer, "5"))
    q.next()
    q.check(**q.question.answer)
    capsys.readouterr()
    q.next()
    q.next()
    assert capsys.readouterr().out == "That was the round: 2 of 3 right.\n" * 2
    assert not folders.exists() or not list(folders.iterdir()), "practice is not recorded"
    assert repr(q) == "Practice on conv: q.check(...), q.hint(), q.solution(), q.next()"


def test_practice_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r'no topic \'convs\'. Did you mean "conv"\? The topics: "conv", "pool"'):
        exercises.practice("convs")
    with pytest.raises(ValueError, match=r'no topic \'nets\'. The topics: "conv", "pool", "params", "field", "cost"'):
        exercises.practice("nets")
    with pytest.raises(ValueError, match="count is 0; pass the number of questions"):
        exercises.practice("conv", count=0)


# check, hint, solution ----------------------------------------------------------------------------------------------


def test_check_tells_field_by_field(capsys):
    asked = (
        "  The question: The second layer of the recap network. The input is 26 x 26 x 32 (width x height\n"
        "  x depth). 64 filters slide over it, each of 3 x 3 with stride 1 and padding 0. What are the\n"
        "  width, height and depth of the output?\n"
    )
    exercises.check("conv-2", width=24, height=24, depth=32)
    assert capsys.readouterr().out == (
        "conv-2: Not yet (try 1). Right: width, height.\n"
        "  depth: That is the depth of the input. Every filter reaches through the whole depth and leaves\n"
        "  one map.\n"
        f"{asked}"
        '  For a hint: exercises.hint("conv-2")\n'
    )
    exercises.check("conv-2", width=23, height=99)
    assert capsys.readouterr().out == (
        "conv-2: Not yet (try 2). Still open: depth.\n"
        "  width: That is the number of steps. Count the places: there is one before the first step.\n"
        "  height: that is not it.\n"
        f"{asked}"
        '  For a hint: exercises.hint("conv-2")\n'
    )
    exercises.check("conv-2", width=24)
    assert capsys.readouterr().out == "conv-2: So far, so good. Right: width. Still open: height, depth.\n"


def test_unanswered_prints_and_goes_on(capsys, folders):
    for open_value in (None, ..., "", "  ", "..."):
        exercises.check("conv-2", width=open_value, height=open_value, depth=open_value)
    exercises.check("conv-2")
    text = said(capsys)
    sentence = "conv-2: not answered yet. Put your answer in place of the dots and run the cell again."
    assert text == " ".join([sentence] * 6)
    exercises.check("conv-22")
    assert said(capsys).endswith("run the cell again. flips: True or False"), "the question stands above the cell"
    assert not folders.exists() or not list(folders.iterdir()), "an open question is no attempt"


WAYS = [
    ("params-0", 13_416), ("params-0", "13416"), ("params-0", " 13,416 "), ("params-0", "13_416"),
    ("params-0", 13416.0), ("params-0", np.int64(13416)), ("params-0", np.float32(13416)),
    ("params-0", np.array([13416])), ("params-0", torch.tensor(13416)), ("params-0", torch.tensor([13416.0])),
    ("params-0", [13416]), ("training-5", 1.386), ("training-5", 1.39), ("training-5", "1.386"),
    ("training-5", torch.tensor(4.0, requires_grad=True).log()), ("training-4", "25 %"), ("training-4", 25),
    ("conv-0", (2, 6, 28, 28)), ("conv-0", [2, 6, 28, 28]), ("conv-0", torch.Size([2, 6, 28, 28])),
    ("conv-0", np.array([2, 6, 28, 28])), ("conv-0", "2, 6, 28, 28"), ("conv-0", "(2, 6, 28, 28)"),
    ("conv-0", "2x6x28x28"), ("conv-0", "[2 6 28 28]"), ("pool-0", torch.tensor([[6, 8], [3, 4]])),
    ("pool-0", [[6, 8], [3, 4]]), ("batchnorm-0", 100), ("batchnorm-0", torch.Size([100])),
    ("batchnorm-0", "(100,)"),
    ("conv-22", False), ("conv-22", "False"), ("conv-22", "no"), ("conv-22", np.bool_(False)),
    ("conv-22", torch.tensor(False)), ("training-10", "validation"), ("training-10", " Validation"),
    ("nets-7", "first-linear_LAYER"), ("training-10", "val"), ("nets-28", "LeNet"), ("nets-15", 0), ("nets-15", "Zero"),
    ("training-32", "the train"), ("batchnorm-10", "Between convolution and ReLU"),
]


def test_many_ways_to_write_the_right_answer() -> None:
    for question_id, value in WAYS:
        (field,) = ALL[question_id].answer
        text = exercises.Exercise(ALL[question_id]).checked({field: value})
        assert text.startswith(f"{question_id}: Right."), f"{value!r}: {text}"


UNREADABLE = [
    ("params-0", "many", "biases should be a number such as 24, not 'many'"),
    ("params-0", "34,94", "should be a number such as 24"),
    ("params-0", True, "should be a number such as 24, not True"),
    ("params-0", [1, 2], "should be a number such as 24, not [1, 2]"),
    ("params-0", 3j, "should be a number such as 24"),
    ("params-0", torch.empty(2, device="meta"), "has no values to look at"),
    ("conv-0", "two by six", "shape should be several numbers such as (3, 32, 32)"),
    ("conv-0", {"a": 1}, "should be several numbers"),
    ("conv-0", np.zeros(500), "should be a few numbers, not 500. Did you pass a tensor in place of its shape?"),
    ("conv-22", 1, "flips should be True or False, not 1"),
    ("training-10", "vel", 'split should be one of "test", "train", "validation", not \'vel\''),
    ("training-10", "t", "split should be one of"), ("training-10", True, "split should be one of"),
    ("training-10", 3, 'should be one of "test", "train", "validation", not 3'),
]


def test_unreadable_answers_get_a_sentence_and_are_no_attempt(folders) -> None:
    for question_id, value, sentence in UNREADABLE:
        (field,) = ALL[question_id].answer
        text = one_line(exercises.Exercise(ALL[question_id]).checked({field: value}))
        assert sentence in text, f"{value!r}: {text}"
    assert not folders.exists() or not list(folders.iterdir())


def test_odd_numbers_are_wrong_and_recorded() -> None:
    odd = [float("nan"), float("inf"), -float("inf"), 10**5000, -(10**400), "1e999", 1e308, 0.5]
    for value in odd:
        assert "Not yet" in exercises.Exercise(ALL["params-0"]).checked({"biases": value})
    entries, note = answers.load()
    assert len(entries["params-0"]["attempts"]) == len(odd) and not note


def test_unknown_names(capsys):
    with pytest.raises(ValueError, match=r"no question 'con-2'. Near to it: \"conv-2\""):
        exercises.check("con-2", width=1)
    with pytest.raises(ValueError, match=r"no question 'xyzzy'. An id is a topic and a number; the topics: \"conv\""):
        exercises.hint("xyzzy")
    exercises.check("conv-2", widht=24)
    assert said(capsys) == (
        'conv-2: there is no "widht" in this question. It asks for: exercises.check("conv-2", width=..., height=..., '
        "depth=...)"
    )


def test_hints_come_one_by_one(capsys):
    hints = BANK["params-1"].hints
    for n, hint in enumerate(hints, 1):
        exercises.hint("params-1")
        text = said(capsys)
        assert text.startswith(f"params-1, hint {n} of {len(hints)}: {hint}")
        left = len(hints) - n
        assert f"({left} more)" in text if left else 'exercises.solution("params-1") works it out' in text
    exercises.hint("params-1")
    assert all(hint in (text := said(capsys) if i == 0 else text) for i, hint in enumerate(hints))
    assert answers.load()[0]["params-1"]["hints"] == len(hints)


def test_solution_is_shown_and_remembered(capsys):
    exercises.solution("params-1")
    assert capsys.readouterr().out == "params-1, solution: (5 * 5 * 3 + 1) * 10 = 760.\n"
    first = answers.load()[0]["params-1"]["solution"]
    exercises.solution("params-1")
    assert first and answers.load()[0]["params-1"]["solution"] == first, "the first look counts"


def test_ask_prints_a_call_that_works(capsys) -> None:
    for question_id in BANK:
        exercises.ask(question_id)
        text = capsys.readouterr().out
        assert max(len(line) for line in text.split("\n")[:-2]) <= 96
        call = re.search(r"Your turn: (.*)", text)
        assert call
        eval(call[1])  # with the dots still in place
        assert "not answered yet" in capsys.readouterr().out


def test_a_call_and_a_form_count_the_same_tries_and_hints(capsys) -> None:
    exercises.check("params-1", parameters=1)
    _, fields, buttons, result = form("params-1")
    fields["parameters"].value = "2"
    buttons["Check"].click()
    buttons["Hint"].click()
    assert "hint 1 of 3" in result.value
    capsys.readouterr()
    exercises.check("params-1", parameters=3)
    exercises.hint("params-1")
    text = said(capsys)
    assert "(try 3)" in text and "hint 2 of 3" in text
    entry = answers.load()[0]["params-1"]
    assert ([a["answer"]["parameters"] for a in entry["attempts"]], entry["hints"]) == ([1, 2, 3], 2)


def test_a_mistake_that_coincides_is_dropped():
    q = question("conv-0", "?", {"a": 1, "b": 2.0}, ".", [
        ("same as right", {"a": 1, "b": 3.0}, "x"), ("same as another", {"b": 3.004}, "y"), ("own", {"a": 3}, "z"),
    ], (), "{a}")
    assert [(m.name, dict(m.answer)) for m in q.mistakes] == [("same as right", {"b": 3.0}), ("own", {"a": 3})]
    assert not matches(float("nan"), 2.0, 0.01) and not matches(float("inf"), 2.0, 0.01)


# The record ---------------------------------------------------------------------------------------------------------


def python(code: str, folder: Path) -> str:
    """Runs ``code`` in a process of its own and returns what it printed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "KIT_PERSIST": str(folder), "KIT_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def test_the_record_outlives_the_process_and_does_not_change_what_is_printed(folders, capsys):
    code = (
        "from helpers import exercises as e\n"
        "e.check('conv-20', width=319, height=240, depth=16); e.check('conv-20', width=320, height=240, depth=16)\n"
        "e.hint('conv-20'); e.solution('conv-20'); e.check('conv-2', width=1)"
    )
    first = python(code, folders)
    assert python(code, folders) == first
    entry = answers.load()[0]["conv-20"]
    assert [a["verdict"] for a in entry["attempts"]] == ["mistake: forgot the padding", "right"] * 2
    assert entry["attempts"][0]["answer"] == {"width": 319, "height": 240, "depth": 16}
    assert entry["hints"] == 1 and entry["solution"]
    exercises.progress()
    text = capsys.readouterr().out
    of_conv = sum(q.topic == "conv" for q in BANK.values())
    bar = "#" * (20 // of_conv)
    assert re.search(rf"^conv +1 +2 +{of_conv}  \[{bar}\.+\]  convolutions: what comes out$", text, re.M)
    assert re.search(rf"^all +1 +2 +{len(COUNTED)} ", text, re.M)


def test_who_answers_what_the_notebooks_ask_reaches_the_end() -> None:
    right = {"when": "2026", "answer": {}, "verdict": "right"}
    done = {q.id: {"attempts": [right], "hints": 0, "solution": ""} for q in COUNTED}
    lines = answers.table(done).splitlines()
    assert len(lines) == len(TOPICS) + 3 and all("[####################]" in line for line in lines[1:])


def test_many_notebooks_at_once_lose_nothing(folders):
    code = "from helpers import exercises as e\nfor n in range(10): e.check('params-1', parameters={} + n)"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "KIT_PERSIST": str(folders)}
    running = [
        subprocess.Popen([sys.executable, "-c", code.format(1000 * i)], env=env, stdout=subprocess.DEVNULL)
        for i in range(1, 5)
    ]
    assert [process.wait(timeout=180) for process in running] == [0] * 4
    given_answers = [a["answer"]["parameters"] for a in answers.load()[0]["params-1"]["attempts"]]
    assert sorted(given_answers) == sorted(1000 * i + n for i in range(1, 5) for n in range(10))
    assert sorted(p.name for p in folders.iterdir()) == ["answers.json", "answers.lock"], "no temporary file is left"


def test_a_record_overwritten_by_somebody_else_is_mended(folders):
    exercises.check("params-1", parameters=1)
    theirs = (folders / "answers.json").read_text()
    exercises.check("params-1", parameters=2)
    (folders / "answers.json").write_text(theirs)  # another machine's Drive put back an older state
    exercises.check("params-1", parameters=3)
    assert [a["answer"]["parameters"] for a in answers.load()[0]["params-1"]["attempts"]] == [1, 2, 3]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[]", b"{}", b'{"questions": []}', b'{"questions": {"conv-1": 5}}',
     b'{"questions": {"conv-1": {"attempts": [3], "hints": 0, "solution": ""}}}', b"[" * 100_000],
    ids=lambda content: repr(content[:24]),
)
def test_a_damaged_record_is_set_aside(content, folders, capsys):
    folders.mkdir()
    (folders / "answers.damaged-1.json").write_bytes(b"an older one")
    (folders / "answers.json").write_bytes(content)
    exercises.check("params-1", parameters=760)
    text = capsys.readouterr().out
    assert text.startswith("params-1: Right.") and "was damaged. It is kept as" in text and "damaged-2.json" in text
    exercises.check("params-1", parameters=760)
    exercises.progress()
    assert "damaged" not in capsys.readouterr().out
    assert (folders / "answers.damaged-1.json").read_bytes() == b"an older one"
    assert (folders / "answers.damaged-2.json").read_bytes() == content
    assert answers.is_right(answers.load()[0]["params-1"])


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "file" / "persist"))
    exercises.check("params-1", parameters=1)
    assert "Your answers cannot be saved" in capsys.readouterr().out
    exercises.check("params-1", parameters=760)
    exercises.hint("params-1")
    assert "cannot" not in capsys.readouterr().out, "said once"
    exercises.progress()
    text = capsys.readouterr().out
    assert re.search(r"^params +1 +1 ", text, re.M) and "this shows the present session only" in said_of(text)
    handed_in = json.loads(exercises.export(tmp_path / "mine.json").read_text())
    assert handed_in["questions"][0]["tries"] == 2
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "drive"))  # the Drive is mounted at last
    exercises.check("conv-20", width=26)
    assert sorted(json.loads((tmp_path / "drive" / "answers.json").read_text())["questions"]) == ["conv-20", "params-1"]


def said_of(text: str) -> str:
    return " ".join(text.split())


def test_a_failed_write_leaves_the_old_record(folders, monkeypatch, capsys):
    exercises.check("params-1", parameters=1)
    before = (folders / "answers.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", full)
        exercises.check("params-1", parameters=2)
    assert "cannot be saved (the disk is full)" in said(capsys)
    assert (folders / "answers.json").read_bytes() == before
    assert sorted(p.name for p in folders.iterdir()) == ["answers.json", "answers.lock"]


def test_ids_of_another_kit_version_are_kept(folders):
    folders.mkdir()
    entry = {"attempts": [{"when": "2024", "answer": {"x": 1}, "verdict": "right"}], "hints": 0, "solution": ""}
    (folders / "answers.json").write_text(json.dumps({"questions": {"gone-1": entry}}))
    exercises.check("params-1", parameters=760)
    assert answers.load()[0]["gone-1"] == entry
    ids = [q["id"] for q in json.loads(exercises.export().read_text())["questions"]]
    assert ids == ["params-1", "gone-1"]


def test_export_is_complete_and_never_overwrites(folders, capsys):
    exercises.check("conv-2", width=24, height=24, depth=32)
    exercises.check("conv-2", width=24, height=24, depth=64)
    exercises.hint("conv-2")
    exercises.solution("params-1")
    capsys.readouterr()
    first, second = exercises.export(name="Zoë Ångström"), exercises.export()
    assert re.fullmatch(r"answers_Zoë-Ångström_\d{4}-\d\d-\d\d_\d{4}_\d{6}\.json", first.name)
    assert re.fullmatch(r"answers_\d{4}-\d\d-\d\d_\d{4}_\d{6}\.json", second.name)
    assert first.parent == drive.persist() and f"Written: {first}" in capsys.readouterr().out
    content = json.loads(first.read_text(encoding="utf-8"))
    assert content["name"] == "Zoë Ångström" and content["kit"].startswith("cnn-course-kit ")
    assert content["topics"]["conv"] == {"right": 1, "tried": 1, "of": sum(q.topic == "conv" for q in COUNTED)}
    conv, params = content["questions"]
    assert (conv["id"], conv["right"], conv["tries"], conv["hints"], conv["solution_looked_at"]) == (
        "conv-2", True, 2, 1, "")
    assert conv["attempts"][0]["verdict"] == "mistake: took the depth of the input"
    assert conv["question"] == BANK["conv-2"].text
    assert (params["right"], params["tries"]) == (False, 0) and params["solution_looked_at"]


def test_export_where_one_likes(tmp_path):
    assert exercises.export(tmp_path / "hand" / "in.json") == tmp_path / "hand" / "in.json"
    assert exercises.export(str(tmp_path / "hand" / "in.json")) == tmp_path / "hand" / "in-2.json"
    assert exercises.export(tmp_path / "hand").parent == tmp_path / "hand"
    assert exercises.export(tmp_path / "a new folder").parent == tmp_path / "a new folder"
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(drive.DriveError, match="file"):
        exercises.export(tmp_path / "file" / "in.json")


def test_exports_of_a_class_never_meet_in_one_folder(tmp_path, monkeypatch, capsys):
    """One folder a student, whose files are collected afterwards: none may replace another's."""
    long = "Wolfeschlegelsteinhausenbergerdorff" * 9
    names = [
        "Ada", "Ada", "ada", "", "", "  ", "Zoë Müller", "Zoe\u0308 Mu\u0308ller", "王芳", "हिन्दी", "Ольга",
        "مريم", "A/B", "A:B", "..", "../../x", "CON", "aux.", 'a"b<c>d|e?f*g\\h', "tab\tline\nnul\0", "\udcf6",
        long, f"{long}2", "王" * 300, "🐱",
    ]  # fmt: skip
    files = []
    for number, name in enumerate(names):
        monkeypatch.setenv("KIT_PERSIST", str(tmp_path / str(number)))
        files.append(exercises.export(name=name))
        assert files[-1].parent == tmp_path / str(number), "in the folder, whatever the name"
        assert json.loads(files[-1].read_text(encoding="utf-8"))["name"] == name.replace("\udcf6", "?")
    written = [file.name for file in files]
    assert len({name.casefold() for name in written}) == len(names)
    refused = re.compile(r'[\\/:*?"<>|\s\0-\x1f]|\.\.')
    assert not [name for name in written if refused.search(name) or len(name.encode()) > 250]
    for part, file in zip(("Ada", "Zoë-Müller", "Zoë-Müller", "王芳", "हिन्दी"), [0, 6, 7, 8, 9], strict=True):
        assert f"_{part}_" in written[file]


# The key, the form, and what an import costs -----------------------------------------------------------------------


def test_the_key_holds_everything():
    text = " ".join(exercises.key().split())
    for q in BANK.values():
        for part in (q.text, q.solution, *(m.sentence for m in q.mistakes)):
            assert " ".join(part.split()) in text
    assert "params-1: " in exercises.key("params") and "conv-2: " not in exercises.key("params")
    with pytest.raises(ValueError, match=r"no topic 'xyzzy'\. The topics"):
        exercises.key("xyzzy")


def form(question_id: str):
    _, title, *fields, buttons, result = exercises.widget(question_id).children
    return title, {f.description: f for f in fields}, {b.description: b for b in buttons.children}, result


def test_the_form_checks_hints_and_solves(folders):
    title, fields, buttons, result = form("conv-2")
    assert "26 x 26 x 32" in title.value and list(fields) == ["width", "height", "depth"]
    buttons["Check"].click()
    assert "not answered yet. Fill in a box" in result.value
    fields["width"].value, fields["height"].value, fields["depth"].value = "24", "24", "32"
    buttons["Check"].click()
    assert "That is the depth of the input" in result.value
    assert "For a hint: the button &quot;Hint&quot;" in result.value and "exercises." not in result.value
    buttons["Hint"].click()
    assert "hint 1 of 3" in result.value and "&quot;" not in title.value
    assert "\n" not in result.value  # the browser breaks the line where the window ends
    buttons["Solution"].click()
    assert "= 24" in result.value
    fields["depth"].value = "64"
    buttons["Check"].click()
    assert "Right." in result.value and len(answers.load()[0]["conv-2"]["attempts"]) == 2


def test_the_form_offers_the_words():
    _, fields, buttons, result = form("training-10")
    assert fields["split"].options == ("", "test", "train", "validation")
    fields["split"].value = "test"
    buttons["Check"].click()
    assert "Not yet" in result.value
    assert form("conv-22")[1]["flips"].options == ("", "True", "False")


def test_every_topic_has_forms() -> None:
    for topic in TOPICS:
        q = bank.questions(topic)[0]
        assert list(form(q.id)[1]) == list(q.answer)


def test_importing_exercises_stays_light(folders):
    heavy = "[m for m in ('torch', 'numpy', 'ipywidgets', 'matplotlib', 'PIL') if m in sys.modules]"
    assert python(f"import sys; from helpers import exercises; print({heavy})", folders) == "[]\n"
