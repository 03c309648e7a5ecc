"""Results that take too long for a notebook: one JSON file in ``notebooks/results``, written run by run.

A script that was interrupted goes on where it was: what is in the file is not computed again. Names of files behind
the data (``quadrants.py PHOTOS 08_basins``) choose what is computed.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision

KIT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(KIT))  # runs from a checkout, installed or not

from helpers import experiments, machine  # noqa: E402

PHOTOS = "1500 photos of bikes, cats, dogs and persons, 300 others for the test"

Job = dict[str, Any]  # what decides a run: its way, its seed, ... ; in the file its numbers stand beside


@contextlib.contextmanager
def unpacked(source: str) -> Iterator[Path]:
    """The folder ``source``; of a zip the one folder in it, unpacked for the time being."""
    if not source.endswith(".zip"):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as scratch:
        zipfile.ZipFile(source).extractall(scratch)
        [folder] = Path(scratch).iterdir()
        yield folder


def compute(
    file: Path, jobs: Sequence[Job], run: Callable[..., dict[str, Any]], *, shown: str, data: str, about: str,
    only: Sequence[str] = (),
) -> None:  # fmt: skip
    """Call ``run(**job)`` for every job that ``file`` does not hold, under its seed, and add job and numbers to it.

    Args:
        run: returns the numbers of one run.
        shown: the notebook and section that show the figure; with ``data`` and ``about`` it stands in the file.
        only: names of files; where there are some, others are left as they are.
    """
    if only and file.stem not in only:
        return
    content: dict[str, Any] = {"runs": []}
    if file.exists():
        content = json.loads(file.read_text(encoding="utf-8"))
    facts = {"script": Path(sys.argv[0]).name, "shown": shown, "data": data, "about": about}
    for number, job in enumerate(jobs, start=1):
        if any(job.items() <= done.items() for done in content["runs"]):
            continue
        began = time.perf_counter()
        with experiments.seeded(job["seed"]):
            numbers = run(**job)
        seconds = round(time.perf_counter() - began, 1)
        content["runs"].append({**job, **numbers, "seconds": seconds, "commit": commit()})
        versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, {machine.device()}"
        content = {**facts, "versions": versions, "when": datetime.date.today().isoformat(), "runs": content["runs"]}
        lines = ",\n".join(f"  {json.dumps(each)}" for each in content["runs"])
        head = json.dumps({**content, "runs": []}, indent=1).removesuffix("[]\n}")
        with machine.replacing(file) as partial:
            partial.write_text(f"{head}[\n{lines}\n ]\n}}\n", encoding="utf-8")
        print(f"{number} of {len(jobs)}: {job} {numbers} {seconds} s", flush=True)


def commit() -> str:
    """The commit of the kit that computes; "unknown" in a copy that is no clone."""
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=KIT, capture_output=True, text=True)
    except FileNotFoundError:  # no git here
        return "unknown"
    return done.stdout.strip() or "unknown"
