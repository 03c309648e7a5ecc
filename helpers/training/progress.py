"""One line of progress for a training run: in a notebook it is updated in place, and its last state stays."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import torch
from tqdm import tqdm

SECONDS = 0.5  # between two updates of the line: reading the loss makes a GPU wait
FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed} + {remaining} left{postfix}"


def steps(work: Sequence, title: str) -> Iterator:
    """Go through ``work`` with a bar called ``title``."""
    yield from tqdm(work, desc=title, file=_live_file(), bar_format=FORMAT)


class Progress:
    """A tqdm bar over all steps of all epochs, with the live loss, accuracies and the time left."""

    def __init__(self, steps: int, epochs: int, *, done: int = 0) -> None:
        self.epochs, self.done, self.val = epochs, done, ""
        self.bar = tqdm(
            total=steps * epochs, initial=steps * done, desc=self._title(), file=_live_file(), bar_format=FORMAT,
            mininterval=SECONDS, miniters=1,
        )  # fmt: skip

    def step(self, loss_sum: torch.Tensor, right: torch.Tensor, seen: int) -> bool:
        """One step further. False where it read the loss and that is no number."""
        if not self.bar.update():  # True where it has drawn the line
            return True
        loss = loss_sum.item() / seen
        self.bar.set_postfix_str(f"loss {loss:.3f}  train {100 * right.item() / seen:.1f} %{self.val}")
        return math.isfinite(loss)

    def epoch(self, loss: float, train_accuracy: float, val_accuracy: float) -> None:
        self.done += 1
        self.val = f"  val {val_accuracy:.1f} %"
        self.bar.set_description_str(self._title(), refresh=False)
        self.bar.set_postfix_str(f"loss {loss:.3f}  train {train_accuracy:.1f} %{self.val}")

    def close(self) -> None:
        self.bar.close()

    def _title(self) -> str:
        return f"epoch {min(self.done + 1, self.epochs)}/{self.epochs}"


class _LiveLine:
    """A file for tqdm whose last line is shown in one output of the notebook."""

    def __init__(self) -> None:
        from IPython.display import display

        self.handle = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        line = text.replace("\r", "").strip()
        if line:
            self.handle.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        pass


def _live_file() -> TextIO | _LiveLine:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None  # a kernel has imported it
    return _LiveLine() if shell is not None and "IPKernelApp" in shell.config else sys.stderr
