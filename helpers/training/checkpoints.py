"""Checkpoints of a training run: files that a killed session cannot spoil, and what must agree before one is used.

A file holds a mark, the SHA-256 of the rest, and what ``torch.save`` wrote. It is written under another name, forced to
the disk, and renamed in one step; the one before is kept as ``*.previous``. A torn file fails its checksum and is
never loaded.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers import drive, machine
from helpers.training.config import TrainConfig
from helpers.training.identity import trained_state

MARK = b"cnn-course-kit checkpoint 1\n"
State = dict[str, Any]  # tensors and plain values only, so that it loads with ``weights_only=True``


class CheckpointError(OSError):
    """A checkpoint cannot be written, or fits neither the data nor the settings of this training."""


def file_of(name: str) -> Path:
    """Where the checkpoint called ``name`` lies: in the folder that outlives the session."""
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"checkpoint={name!r} must be a plain name such as 'alexnet-bcdp', without slashes.")
    return drive.persist() / "checkpoints" / name / "last.ckpt"


def save(state: State, path: Path) -> None:
    """Write ``state`` to ``path`` in one step.

    Raises:
        CheckpointError: the disk or the Drive is full or cannot be written. There is a whole checkpoint as before.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with machine.replacing(path) as partial:
            with partial.open("wb") as file:
                file.write(MARK + hashlib.sha256(payload).digest())
                file.write(payload)
            if path.exists():
                path.replace(_previous(path))
    except OSError as error:
        kept = "The one before it is still whole. " if path.exists() or _previous(path).exists() else ""
        raise CheckpointError(
            f"The checkpoint ({mebibytes(len(payload))}) could not be written to {path.parent}: "
            f"{machine.reason(error)}. {kept}Make room or set KIT_PERSIST to another folder, then run the cell again "
            "with resume=True."
        ) from error


def load(path: Path) -> State | None:
    """The newest whole checkpoint at ``path``, tensors on the CPU; None when there is none.

    Raises:
        CheckpointError: there is a file, but it cannot be read. Starting anew would overwrite it.
    """
    for candidate in (path, _previous(path)):
        try:
            content = candidate.read_bytes() if candidate.exists() else b""
        except OSError as error:
            raise CheckpointError(f"The checkpoint {candidate} cannot be read: {machine.reason(error)}.") from error
        start = len(MARK) + hashlib.sha256().digest_size
        payload = memoryview(content)[start:]
        if content[:start] == MARK + hashlib.sha256(payload).digest():
            if candidate != path:
                candidate.replace(path)  # in place of a torn one, which the next save would keep as the previous
            return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return None


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def mebibytes(size: int) -> str:
    """A size in bytes for people: '23.4 MiB', '12 KiB'."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{-(-size // 2**10)} KiB"


def begin(
    model: nn.Module, config: TrainConfig, now: State, path: Path, *, resume: bool, overwrite: bool
) -> State | None:
    """What was saved under the name of this training; None where it starts with its first epoch.

    Says which of the two it is, or how large the checkpoints will be. It looks at ``path``, and where checkpoints lie
    while the Drive is not mounted yet. Raises CheckpointError where epochs lie there and neither ``resume`` nor
    ``overwrite`` is asked for; with everything that differs, where the checkpoint belongs to another training than
    ``now``; and where the disk has no room.
    """
    unmounted = machine.home() / "persist" / path.relative_to(path.parents[2])
    places = sorted({path, unmounted}, key=lambda place: place.stat().st_mtime if place.exists() else 0.0)
    state, place = None, path
    while places and state is None and not overwrite:
        place = places.pop()  # the newest
        state = load(place)
    if state is None:
        _announce(model, config, path)
        if resume:
            print(f"There is no whole checkpoint {config.checkpoint!r} yet: starting with the first epoch.")
        return None
    then, done = state["identity"], len(state["history"])
    if not resume:
        raise CheckpointError(
            f"There is a training {config.checkpoint!r} already, of {done} epochs. Go on with it by resume=True, or "
            "begin anew in its place by overwrite=True (on the command line --resume, --overwrite), or give this "
            "training another checkpoint name."
        )
    # More epochs may be asked for, unless the shape of the schedule depends on their number.
    free = {"epochs"} if config.schedule in ("constant", "plateau") else set()
    different = [key for key in now if key not in free and key in then and then[key] != now[key]]
    if different:
        differences = [
            f"{key} are others" if key.startswith("the ") else f"{key} was {then[key]!r} and is now {now[key]!r}"
            for key in different
        ]
        raise CheckpointError(
            f"The checkpoint {config.checkpoint!r} belongs to another training: {'; '.join(differences)}. "
            "Give this training another checkpoint name, or begin anew in its place by overwrite=True."
        )
    if done < config.epochs:
        print(f"Continuing {config.checkpoint!r} after epoch {done} of {config.epochs}.")
    else:
        print(f"{config.checkpoint!r} has been trained for {done} epochs; epochs={config.epochs} asks for no more.")
    if place != path:
        print(f"It lies in {place.parent}, from before the Drive was mounted; from here on it goes to {path.parent}.")
    if unknown := [key for key in now if key not in then]:
        print(f"It is from an older kit, which did not note these: {', '.join(unknown)}. See that they are the same.")
    return state


def _announce(model: nn.Module, config: TrainConfig, path: Path) -> None:
    """Say how large the checkpoints will be, and raise CheckpointError when the disk has no room for them."""
    copies = 2 + (1 if config.optimizer == "sgd" else 2)  # last and best weights, the optimiser's averages
    size = copies * sum(tensor.nbytes for tensor in trained_state(model).values())
    existing = next(parent for parent in path.parents if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < 2 * size:  # the one before is kept until the new one is whole
        raise CheckpointError(
            f"Checkpoints need {mebibytes(2 * size)} and {existing} has {mebibytes(free)} free. Make room, point "
            "KIT_PERSIST to another folder, or train without checkpoint=..."
        )
    print(f"Checkpoints of about {mebibytes(size)} go to {path.parent}.")
