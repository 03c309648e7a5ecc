"""The functions to write: the solution passes, typical wrong ones are named, a student's errors become sentences."""

from __future__ import annotations

import html
import json
import linecache
import math
import re
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from helpers import exercises
from helpers.exercises import answers, bank, card
from helpers.exercises import code as programs
from helpers.exercises.code import Code, Failed

CODES: dict[str, Code] = {q.id: q for q in bank.questions("code")}  # type: ignore[misc]  # the topic holds nothing else


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "persist"))
    answers._session.clear()
    answers._told.clear()


def said(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def function(question: Code, solution: str):
    """The function of a solution, as a student's notebook holds it: its lines can be looked up."""
    name = f"<cell {hash(solution)}>"
    linecache.cache[name] = (len(solution), None, solution.splitlines(keepends=True), name)
    names = {"torch": torch, "nn": nn, "F": F}
    exec(question.setup, names)
    exec(compile(solution, name, "exec"), names)
    return names[question.name]


# The bank ---------------------------------------------------------------------------------------------------------


def test_every_solution_passes_and_three_typical_wrong_ones_are_named() -> None:
    wrong = []
    for name, question in CODES.items():
        if len(question.slips) < 3:
            wrong.append(f"{name}: only {len(question.slips)} mistakes")
        for result in programs.run(question, question.solution):
            if isinstance(result, Failed) or result is None:
                wrong.append(f"{name}: the solution gives {result}")
        text = exercises.Program(question).ran(function(question, question.solution))
        if not text.startswith(f"{name}: Right. {question.insight}"):
            wrong.append(text)
        for slip in question.slips:
            text = exercises.Program(question).ran(function(question, slip.solution))
            if not re.match(rf"{name}: Not yet \(try \d+\)\.\n  {re.escape(slip.sentence)}\n  {question.name}\(", text):
                wrong.append(f"{slip.name}: {text}")
            if answers.of_session(name)["attempts"][-1]["verdict"] != f"mistake: {slip.name}":
                wrong.append(f"{slip.name} is recorded as another one")
    assert not wrong, "\n".join(wrong)


def test_texts_are_clean() -> None:
    for question in CODES.values():
        for text in (question.text, question.insight, *question.hints, *(slip.sentence for slip in question.slips)):
            assert text == text.strip() and re.search(r"[.?`]$", text) and not re.search(r"\n|  |—|\\", text), text
            assert text.count("`") % 2 == 0, text
        assert max(map(len, question.solution.splitlines())) <= 120
        assert question.name + "(" not in " ".join(question.hints)


def grouped(x, weight, groups):
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)


def batch_norm(x, gamma, beta, eps=1e-5):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def momentum(weight, gradient, velocity, lr, momentum=0.9):
    parameter = nn.Parameter(weight.clone())
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum or 1e-9)  # with 0, torch keeps none
    optimizer.state[parameter]["momentum_buffer"] = velocity.clone()
    parameter.grad = gradient.clone()
    optimizer.step()
    return parameter.detach(), optimizer.state[parameter]["momentum_buffer"]


def step(model, optimizer, images, labels):
    loss = nn.CrossEntropyLoss()(model(images), labels)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= optimizer.param_groups[0]["lr"] * gradient
    return loss.item()


def sizes(model, x):
    seen = []
    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _layer, _in, out: seen.append(tuple(out.shape[1:])))
    model(x)
    place = next(i for i, shape in enumerate(seen) if len(shape) == 1)
    return [*seen[:place], (math.prod(seen[place - 1]),), *seen[place:]]


def field(plan):
    side = 3 * 2 ** plan.count("M") * len(plan)
    x = torch.zeros(1, 1, side, dtype=torch.float64, requires_grad=True)
    y = x
    for item in plan:
        y = F.avg_pool1d(y, 2) if item == "M" else F.conv1d(y, torch.ones(1, 1, 3, dtype=torch.float64), padding=1)
    y[0, 0, y.shape[-1] // 2].backward()
    return int((x.grad != 0).sum())


def against(maps, gradient):
    places = torch.zeros(maps.shape[1:])
    for one, slopes in zip(maps, gradient, strict=True):
        places += one * slopes.mean()
    return torch.relu(-places)


def dirac(block):
    for conv in (block.conv1, block.conv2):
        weight = torch.zeros_like(conv.weight)
        for channel in range(weight.shape[0]):
            weight[channel, channel, 1, 1] = 1
        conv.weight.data = weight
    return block


def residual(x, conv1, bn1, conv2, bn2):
    return nn.Sequential(conv1, bn1, nn.ReLU(), conv2, bn2)(x).add(x).clamp(min=0)


def shortcut(x, channels):
    out = torch.zeros(x.shape[0], channels, -(-x.shape[2] // 2), -(-x.shape[3] // 2))
    for channel in range(x.shape[1]):
        out[:, channel] = F.max_pool2d(x[:, channel], 1, stride=2)
    return out


def replaced(model, num_classes, *, frozen, layer):
    for parameter in model.parameters() if frozen else ():
        parameter.requires_grad_(False)
    owner, _, name = layer.rpartition(".")
    inputs = model.get_submodule(layer).in_features
    model.get_submodule(owner).register_module(name, nn.Linear(inputs, num_classes))
    return model


def confusion(labels, predicted, classes):
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def rates(layers, lr, decay):
    found = [lr]
    while len(found) < layers:
        found.insert(0, found[0] * decay)
    return found


ORACLES = {  # each in another way than the solution
    "code-00-mean": lambda image: [sum(channel.flatten().tolist()) / channel.numel() for channel in image],
    "code-00-mirror": torchvision.transforms.functional.hflip,
    "code-01-kernel": lambda task: {"double": torch.eye(3)[1] * torch.eye(3)[1][:, None] * 2,
                                    "shift left": torch.eye(3)[1][:, None] * torch.eye(3)[2],
                                    "diagonal": torch.eye(3) - 1 / 3}[task],
    "code-01-size": lambda n, k, s, p: F.max_pool1d(F.pad(torch.zeros(1, 1, n), (p, p)), k, s).shape[-1],
    "code-01-conv": lambda image, kernel, stride, padding: F.conv2d(image[None, None], kernel[None, None],
                                                                    stride=stride, padding=padding)[0, 0],
    "code-01-pool": lambda image, k, stride: F.max_pool2d(image[None], k, stride)[0],
    "code-02-loss": F.cross_entropy,
    "code-02-step": step,
    "code-03-sizes": sizes,
    "code-03-head": lambda model, n: replaced(model, n, frozen=False, layer="classifier.6"),
    "code-03-cam": against,
    "code-04-field": field,
    "code-04-head": lambda model, n: replaced(model, n, frozen=True, layer="classifier.6"),
    "code-05-residual": residual,
    "code-05-identity": dirac,
    "code-05-shortcut": shortcut,
    "code-06-batchnorm": batch_norm,
    "code-06-dropout": lambda x, noise, p, training=True: torch.where(noise < p, 0, x / (1 - p)) if training else x,
    "code-06-momentum": momentum,
    "code-07-normalise": lambda pixels, mean, std: torchvision.transforms.functional.normalize(pixels / 255, mean, std),
    "code-07-confusion": confusion,
    "code-07-head": lambda model, n: replaced(model, n, frozen=True, layer="fc"),
    "code-08-nearest": lambda features, queries: torch.tensor(
        [int(F.cosine_similarity(features, query[None]).argmax()) for query in queries]),
    "code-08-rates": rates,
    "code-09-groups": grouped,
    "code-09-shuffle": F.channel_shuffle,
}  # fmt: skip


def test_the_solutions_agree_with_an_independent_key() -> None:
    assert set(ORACLES) == set(CODES)
    found = {name: programs.difference(CODES[name], oracle) for name, oracle in ORACLES.items()}
    assert {name: difference for name, difference in found.items() if difference} == {}


# What a student sees ----------------------------------------------------------------------------------------------


def test_unanswered_blanks_say_so_and_are_no_attempt(tmp_path, capsys) -> None:
    def blank(n, k, s, p): ...

    def half(n, k, s, p):
        way = ...
        return way // s + 1

    for thing in (blank, half, None, ..., lambda n, k, s, p: ...):
        exercises.check_code("code-01-size", thing)
        assert said(capsys).startswith("code-01-size: not answered yet. Write the function's body in place of the dots")
    assert not (tmp_path / "persist").exists()


def test_a_difference_names_the_call_what_came_and_what_was_expected(capsys) -> None:
    exercises.check_code("code-01-size", lambda n, k, s, p: 5)
    assert capsys.readouterr().out == (
        "code-01-size: Not yet (try 1).\n"
        "  size(7, 3, 2, 0) gave 5; expected is 3.\n"
        "  The question: Write the output size of a convolution: input size n, kernel size k, stride s,\n"
        "  padding p; a whole number.\n"
        '  For a hint: exercises.hint("code-01-size")\n'
    )


def test_a_forgotten_return_two_slips_at_once_and_a_wrong_shape_are_told(capsys) -> None:
    solution = CODES["code-01-size"].solution
    exercises.check_code("code-01-size", function(CODES["code-01-size"], solution.replace("return ", "")))
    assert "Not yet (try 1). size(7, 3, 1, 0) returned nothing: is `return` missing?" in said(capsys)
    tasks = {"double": [[0, 0, 0], [0, 2, 0], [0, 0, 0]], "shift left": [[0, 0, 0], [1, 0, 0], [0, 0, 0]]}
    exercises.check_code("code-01-kernel", lambda task: tasks.get(task, torch.eye(3)))
    assert "That moves the image to the right" in said(capsys)
    tasks["shift left"] = [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    exercises.check_code("code-01-kernel", lambda task: tasks.get(task, torch.eye(3)))
    text = said(capsys)
    assert "the weights must add up to 0" in text and "gave ['it answers to an even area']; expected is []" in text
    exercises.check_code("code-01-conv", lambda *_args: torch.zeros(3, 4))
    assert "gave a tensor of shape (3, 4) with mean 0; expected is a tensor of shape (4, 5)" in said(capsys)
    exercises.check_code("code-01-size", lambda n, k, s, p: round((n + 2 * p - k) / s + 1))
    assert "`round` goes up as well as down" in said(capsys)


def test_an_error_of_the_function_is_a_sentence_with_its_line(capsys) -> None:
    solution = "def size(n, k, s, p):\n    way = n + 2 * p - k\n    return way / zero\n"
    exercises.check_code("code-01-size", function(CODES["code-01-size"], solution))
    assert (
        "size(7, 3, 1, 0) stopped with an error: line 3, `return way / zero`: NameError: name 'zero' is not defined"
    ) in said(capsys)
    exercises.check_code("code-01-size", lambda n: n)
    assert "TypeError: " in (text := said(capsys)) and "takes 1 positional argument but 4 were given" in text
    exercises.check_code("code-01-size", 3)
    assert 'pass the function itself, without brackets: exercises.check_code("code-01-size", size)' in said(capsys)


@pytest.mark.parametrize("value", ["many", [1, 2], {"a": 1}, torch.zeros(3), nn.Linear(2, 2), True, object(), 1e400])
def test_odd_results_are_wrong_and_shown(value, capsys) -> None:
    for name in ("code-01-size", "code-01-pool", "code-03-sizes", "code-03-head", "code-08-rates", "code-02-step"):
        exercises.check_code(name, lambda *_args, **_kwargs: value)
        assert "Not yet" in (text := said(capsys)) and " gave " in text and len(text) < 1200


def test_right_in_many_ways(capsys) -> None:
    exercises.check_code("code-01-size", lambda n, k, s, p: torch.tensor((n + 2 * p - k) // s + 1))
    assert "Right." in said(capsys)
    exercises.check_code("code-01-pool", lambda *args: F.max_pool2d(args[0][None], *args[1:])[0].tolist())
    assert "Right." in said(capsys)


def test_a_function_that_changes_its_arguments_or_the_generator_leaves_no_trace(capsys) -> None:
    def spoils(image, k, stride):
        torch.rand(9)
        result = F.max_pool2d(image[None], k, stride)[0].clone()
        image.zero_()
        return result

    state = torch.get_rng_state()
    exercises.check_code("code-01-pool", spoils)
    assert "Right." in said(capsys) and torch.equal(state, torch.get_rng_state())


def test_tries_hints_solution_key_progress_and_export_know_code(tmp_path, capsys) -> None:
    question = CODES["code-01-size"]
    exercises.check_code("code-01-size", lambda n, k, s, p: (n + 2 * p - k) // s)
    exercises.hint("code-01-size")
    exercises.solution("code-01-size")
    assert capsys.readouterr().out.endswith("code-01-size, solution:\n" + question.solution)
    exercises.check_code("code-01-size", function(question, question.solution))
    exercises.progress()
    assert f"code 1 1 {len(CODES)}" in said(capsys)
    (row,) = json.loads(exercises.export(tmp_path / "a.json").read_text())["questions"]
    assert (row["id"], row["right"], row["tries"], row["hints"]) == ("code-01-size", True, 2, 1)
    assert "(n + 2 * p - k) // s" in row["attempts"][0]["answer"]["code"]
    assert question.solution.strip() in exercises.key("code") and "is missing: + 1" in exercises.key("code")
    exercises.ask("code-01-size")
    assert 'Your turn: exercises.check_code("code-01-size", size)' in said(capsys)


def test_code_and_numbers_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match=r'conv-2 asks for no function; answer it by exercises.check\("conv-2", '):
        exercises.check_code("conv-2", len)
    with pytest.raises(ValueError, match="no question 'code-01-siz'. Near to it: \"code-01-size\""):
        exercises.check_code("code-01-siz", len)
    with pytest.raises(ValueError, match="code-01-size asks for a function"):
        exercises.widget("code-01-size")
    with pytest.raises(ValueError, match="no topic 'code'"):
        exercises.practice("code")


FLAWS = [
    ('id = "code-01-size"', 'id = "code-1"', "its id should be code-NOTEBOOK-WORD"),
    ('changes = [[" + 1", ""]]', 'changes = [[" + 3", ""]]', "changes ' \\+ 3', which the solution does not have once"),
    ('changes = [[" + 1", ""]]', "", "solution should be a text, not 'left out'"),
    ("calls = ", "call = ", "calls should be a list"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), FLAWS)
def test_a_flaw_in_the_file_is_named(old: str, new: str, sentence: str, tmp_path) -> None:
    text = Path(bank.__file__).with_name("code.toml").read_text(encoding="utf-8")
    start = text.index('[[question]]\nid = "code-01-size"')
    text = text[start : text.index("[[question]]\n", start + 5)]
    (tmp_path / "code.toml").write_text(text, encoding="utf-8")
    assert bank.load(tmp_path / "code.toml")[0].id == "code-01-size"
    (tmp_path / "code.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        bank.load(tmp_path / "code.toml")


# The card ---------------------------------------------------------------------------------------------------------


def test_a_card_shows_the_same_words_twice_with_a_sign_beside_the_colour() -> None:
    text = "conv-2: Not yet (try 1).\n  depth: is it < 64 & more? Use `nn.Conv2d(3, 64)`."
    shown = card.Card(text)
    assert repr(shown) == text
    page = shown._repr_html_()
    assert "&#10007;" in page and "&lt; 64 &amp; more" in page and "<code>nn.Conv2d(3, 64)</code>" in page
    plain = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert " ".join(plain.split()) == "\u2717 " + " ".join(text.replace("`", "").split())
    assert "&#10003;" in card.Card("conv-2: Right. So it is.")._repr_html_()
    assert repr(card.Card("x, solution:", "def f():\n    1\n")) == "x, solution:\ndef f():\n    1"
    assert "<pre>" in card.Card("x", "y")._repr_html_()


def test_in_a_notebook_both_forms_are_stored(monkeypatch, capsys) -> None:
    import IPython.display

    seen = []
    monkeypatch.setattr(IPython.display, "display", seen.append)
    exercises.check("conv-2", width=24, height=24, depth=64)
    assert repr(seen[0]).startswith("conv-2: Right.") and "conv-2:</b> Right." in seen[0]._repr_html_()
    monkeypatch.delitem(sys.modules, "IPython")
    exercises.check("conv-2", width=24, height=24, depth=64)
    assert said(capsys).startswith("conv-2: Right.") and len(seen) == 1
