"""Checkpoints of a training run: files that a killed session cannot spoil, and what must agree before one is used.

A file holds a mark, the SHA-256 of the rest, and what ``torch.save`` wrote. It is written under another name, forced to
the disk, and renamed in one step; the one before is kept as ``*.previous``. A torn file fails its checksum and is
never loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers import drive, machine, models
from helpers.loaders import Loaders, augment
from helpers.training.config import TrainConfig

MARK = b"cnn-course-kit checkpoint 1\n"
State = dict[str, Any]  # tensors and plain values only, so that it loads with ``weights_only=True``


class CheckpointError(OSError):
    """A checkpoint cannot be written, or fits neither the data nor the settings of this training."""


# --- files ------------------------------------------------------------------------------------------------------------


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


# --- one training run -------------------------------------------------------------------------------------------------


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy, on the CPU, of what training changes: trainable parameters and all buffers (batch norm's averages)."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}


def identity(model: nn.Module, loaders: Loaders, config: TrainConfig) -> State:
    """All that decides how a training run goes, in plain values."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    dataset = loaders.train.dataset
    transform, files = getattr(dataset, "transform", None), [path.parts[-2:] for path in getattr(dataset, "paths", ())]
    return {
        "data": loaders.name,
        "classes": list(loaders.classes),
        "training pictures": len(dataset),  # type: ignore[arg-type]  # it has a length
        "the files trained on": hashlib.sha256(repr(files).encode()).hexdigest(),  # class and name: also the split
        "size": loaders.size,
        "batch_size": loaders.train.batch_size,
        "steps an epoch": len(loaders.train),
        "augment": augment.name_of(getattr(transform, "augment", None)),
        "mean and std": [list(getattr(transform, name, ())) for name in ("mean", "std")],
        "model": models.name_of(model),
        "the trained layers": {name: list(tensor.shape) for name, tensor in trained_state(model).items()},
        "the frozen weights": _digest(frozen),
        **dataclasses.asdict(config),
    }


def begin(model: nn.Module, config: TrainConfig, now: State, path: Path, *, resume: bool) -> State | None:
    """What was saved at ``path``; None where the training starts with its first epoch.

    Says which of the two it is, or how large the checkpoints will be. Raises CheckpointError, with everything that
    differs, where the checkpoint belongs to another training than ``now``, and where the disk has no room.
    """
    state = load(path) if resume else None
    if state is None:
        _announce(model, config, path)
        if resume:
            print(f"There is no whole checkpoint {config.checkpoint!r} yet: starting with the first epoch.")
        return None
    then, done = state["identity"], len(state["history"])
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
            "Give this training another checkpoint name, or start it anew with resume=False."
        )
    if done < config.epochs:
        print(f"Continuing {config.checkpoint!r} after epoch {done} of {config.epochs}.")
    else:
        print(f"{config.checkpoint!r} has been trained for {done} epochs; epochs={config.epochs} asks for no more.")
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


def _digest(tensors: Iterable[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()
