"""Why a network cannot be traced: the line of ``forward`` that stops it, and what to write instead."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

import torch

_TORCH = Path(torch.__file__).parent

_ADVICE = (  # a part of the message, and what to do about it; the first that fits
    ("cannot be iterated", "a loop goes over a tensor: take its parts by index, x[:, 0], or loop over the layers"),
    ("control flow", "an if, while or assert asks for the numbers in a picture or for its size. Decide by something "
     "that is fixed in __init__ (if self.deep: ...), or move the check out of forward"),
    ("'len' is not supported", "write x.shape[0] in the place of len(x)"),
    ("int() argument", "leave out int(): x.size(0) and x.shape[0] can be used as they are"),
    ("float() argument", "leave out float(), or keep the number as a tensor"),
    ("interpreted as an integer", "a loop or a size asks for a whole number that depends on the picture: take it from "
     "__init__"),
    ("Proxy", "a function outside PyTorch gets a tensor here: use the torch function of the same name"),
)  # fmt: skip
FALLBACK = (
    "Until then only the layers made in __init__ are listed, each with what went in and came out; calls like F.relu or "
    "x + y are not seen, and receptive fields are n/a."
)
_ELSE = "this line needs the picture's numbers; keep only layers and torch functions in forward"


def sentence(error: Exception, model_name: str) -> str:
    """File and line where ``forward`` stops the tracer, the line itself, and what to change."""
    where = _frame(error)
    advice = next((text for part, text in _ADVICE if part in str(error)), _ELSE)
    if where is None:
        return f"{model_name} cannot be traced ({type(error).__name__}: {error}). What to change: {advice}."
    source = linecache.getline(where.filename, where.lineno).strip() or "(source not available)"
    return (
        f"{model_name} cannot be traced: it stops at {_place(where)}, in {where.name}:\n    {source}\n"
        f"What to change: {advice}."
    )


def _frame(error: Exception) -> traceback.FrameSummary | None:
    """The innermost line that is neither PyTorch's nor the kit's."""
    own = Path(__file__).parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not Path(frame.filename).is_relative_to(_TORCH)
        and not (Path(frame.filename).parent == own and Path(frame.filename).name.startswith("dissect"))
    ]
    return frames[-1] if frames else None


def _place(frame: traceback.FrameSummary) -> str:
    """As "lenet.py:12"; the file of a notebook's cell has a name that changes with every run."""
    path = Path(frame.filename)
    return f"{path.name}:{frame.lineno}" if path.is_file() else f"line {frame.lineno} of a notebook's cell"
