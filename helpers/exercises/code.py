"""Exercises in which a student writes a function: how it is run beside the reference, and what a difference is.

The reference is the solution that a student may look at, and a typical wrong solution is the same with a part of it
replaced: so both are run, and nothing of an exercise stands twice. The exercises lie in ``bank/code.toml``.
"""

from __future__ import annotations

import contextlib
import inspect
import linecache
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.exercises.questions import Question, is_open

Function = Callable[..., object]


@dataclass(frozen=True)
class Slip:
    """A typical wrong solution, and what to tell the student."""

    name: str
    solution: str
    sentence: str


@dataclass(frozen=True)
class Code(Question):
    """A function to write. ``tolerance`` is the absolute difference that numbers may have."""

    calls: tuple[str, ...] = ()  # "(5, stride=2)": arguments, made anew for every run
    slips: tuple[Slip, ...] = ()
    setup: str = ""  # what the solution and the arguments need beside torch, nn and F
    view: str = ""  # what is compared, an expression with ``result`` and ``args``; the result itself where it is empty

    @property
    def name(self) -> str:
        """The name of the function that the solution defines last."""
        return self.solution.rpartition("\ndef ")[2].removeprefix("def ").partition("(")[0]


@dataclass(frozen=True)
class Failed:
    """An error in place of a result: "line 3, `y = x[9]`: IndexError: ..."."""

    words: str
    kind: str
    open: bool  # a blank is left in the function


@dataclass(frozen=True)
class Difference:
    """The first call on which the student's function differs: in words, and the slip that would do the same."""

    words: str
    slip: Slip | None
    unanswered: bool


def difference(code: Code, function: Function) -> Difference | None:
    """Runs ``function`` on every call of ``code``; None where all results are those of the solution."""
    right, given = run(code, code.solution), run(code, function)
    for number, (call, wanted, value) in enumerate(zip(code.calls, right, given, strict=True)):
        if same(value, wanted, code.tolerance):
            continue
        blank = "..." in (source(function) or "...")  # without one, None is a forgotten return
        unanswered = value.open if isinstance(value, Failed) else is_open(value) and blank
        words = f"{code.name}{call}"
        if isinstance(value, Failed):
            words += f" stopped with an error: {value.words}"
        elif value is None:
            words += " returned nothing: is `return` missing?"
        else:
            words += f" gave {_shown(value, wanted)}; expected is {_shown(wanted, value)}."
        return Difference(words, None if unanswered else _slip(code, given, number), unanswered)
    return None


def _slip(code: Code, given: list[object], number: int) -> Slip | None:
    """The slip with the results ``given``; else, of two slips at once, the one that shows in result ``number``."""
    theirs = [(slip, run(code, slip.solution)) for slip in code.slips]
    alike = [slip for slip, results in theirs if same(given, results, code.tolerance)]
    if not isinstance(given[number], (Failed, int, float)):  # the same tensor is no chance, the same number may be
        alike += [slip for slip, results in theirs if same(given[number], results[number], code.tolerance)]
    return next(iter(alike), None)


def run(code: Code, function: Function | str) -> list[object]:
    """What ``function`` (or the last one that a text defines) returns for each call: the view of it, or ``Failed``."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "arguments": lambda *args, **kwargs: (args, kwargs)}
    results: list[object] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exec(code.setup, names)
        called: Any = function
        if isinstance(function, str):
            exec(function, names)
            called = names[code.name]
        for call in code.calls:
            torch.manual_seed(0)
            args, kwargs = eval(f"arguments{call}", names)
            try:
                result = called(*args, **kwargs)
            except Exception as error:
                results.append(_failed(error, called))
                continue
            if code.view and not is_open(result):
                with contextlib.suppress(Exception):  # of another kind than expected: compared and shown as it is
                    result = eval(code.view, names | {"result": result, "args": args})
            results.append(result)
    return results


def same(value: object, wanted: object, tolerance: float) -> bool:
    """True where ``value`` is ``wanted``: tensors by shape and values, numbers by value, lists and tuples by parts."""
    import torch

    if isinstance(wanted, Failed) or isinstance(value, Failed):
        return isinstance(wanted, Failed) and isinstance(value, Failed) and value.kind == wanted.kind
    if isinstance(wanted, torch.Tensor):
        try:
            value = torch.as_tensor(value).detach()  # or it raises, and is no tensor
        except (RuntimeError, TypeError, ValueError):
            return False
        wanted = wanted.detach()
        return value.shape == wanted.shape and torch.allclose(
            value.double(), wanted.double(), rtol=1e-4, atol=tolerance, equal_nan=True
        )
    if isinstance(wanted, dict):
        return isinstance(value, dict) and same(list(value.items()), list(wanted.items()), tolerance)
    if isinstance(wanted, (list, tuple)):
        parts = value.tolist() if hasattr(value, "tolist") else value
        alike = isinstance(parts, Sequence) and not isinstance(parts, str) and len(parts) == len(wanted)
        return alike and all(same(v, w, tolerance) for v, w in zip(parts, wanted, strict=True))  # type: ignore[arg-type]
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        try:
            number = float(value)  # type: ignore[arg-type]  # or it raises, and is no number
        except (RuntimeError, TypeError, ValueError):
            return False
        return abs(number - wanted) <= max(tolerance, 1e-4 * abs(wanted)) * isinstance(wanted, float)
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    return type(value) is type(wanted) and value == wanted


def source(function: Function) -> str:
    """The text of a student's function, for the record; empty where it cannot be had."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def _failed(error: Exception, function: Function) -> Failed:
    """The error, with the last line of the student's own text that it went through."""
    home = getattr(function, "__code__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if home and f.filename == home.co_filename]
    where = ""
    if frames:
        line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
        where = f"line {frames[-1].lineno}, `{line}`: " if line else ""
    what = str(error).partition("\n")[0]
    return Failed(f"{where}{type(error).__name__}: {what}", type(error).__name__, "ellipsis" in what.lower())


def _shown(value: object, other: object) -> str:
    """A value in a few letters; of tensors the shape, where it tells ``value`` from a large ``other``."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_meta:
            return f"a tensor of shape {tuple(value.shape)} without values"
        beside = other if isinstance(other, torch.Tensor) and other.shape != value.shape else value
        if max(value.numel(), beside.numel()) > 16:
            return f"a tensor of shape {tuple(value.shape)} with mean {value.double().mean().item():.4g}"
        value = value.tolist()
    if isinstance(value, torch.nn.Module):
        return f"a module of the class {type(value).__name__}"
    text = repr(_rounded(value))
    return text if len(text) <= 160 else text[:157] + "..."


def _rounded(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") and not getattr(value, "is_meta", False) else value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return type(value)(map(_rounded, value)) if type(value) in (list, tuple) else value
