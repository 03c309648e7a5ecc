"""What the benchmarks share: a fresh data home, a smaller data set, times taken in turn, and their ratios."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs from a checkout, installed or not


def arguments(description: str, **options: tuple[int, str]) -> argparse.Namespace:
    """DATA_FOLDER and whole numbers: ``name=(default, help)``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="holds train/<class>/ and test/<class>/")
    for name, (default, text) in options.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=default, help=f"{text} (default {default})"
        )
    return parser.parse_args()


@contextlib.contextmanager
def fresh_home() -> Iterator[None]:
    """An empty KIT_HOME and KIT_PERSIST: nothing is decoded yet, no checkpoint is there."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"KIT_HOME": f"{folder}/home", "KIT_PERSIST": f"{folder}/persist"}
        yield


@contextlib.contextmanager
def part_of(folder: Path, per_class: int) -> Iterator[Path]:
    """A data set with at most ``per_class`` training and test pictures of every class; 0: all of them."""
    if not per_class:
        yield folder
        return
    with tempfile.TemporaryDirectory() as parent:
        small = Path(parent) / folder.name
        for kind in (*(folder / "train").iterdir(), *(folder / "test").iterdir()):
            where = small / kind.parent.name / kind.name
            where.mkdir(parents=True)
            for picture in sorted(kind.iterdir())[:per_class]:
                (where / picture.name).symlink_to(picture.resolve())
        yield small


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without progress bars and announcements."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes, the queue of a GPU included."""
    import torch

    began = time.perf_counter()
    with quietly():
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compare(title: str, plain: Callable[[], object], ours: Callable[[], object], *, rounds: int, target: float) -> None:
    """Time both in turn, so that a busy machine slows both, and print every pair and the median of the ratios."""
    print(f"{title} (wanted: at least {target:g}x)", flush=True)
    ratios = []
    for number in range(1, rounds + 1):
        slow, fast = seconds(plain), seconds(ours)
        ratios.append(slow / fast)
        print(f"  round {number}: plain {slow:8.3f} s   kit {fast:8.3f} s   {slow / fast:6.2f}x", flush=True)
    print(f"  median {statistics.median(ratios):.2f}x", flush=True)
