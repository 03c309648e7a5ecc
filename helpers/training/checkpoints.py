"""Checkpoints that a killed session cannot spoil.

A file holds a mark, the SHA-256 of the rest, and what ``torch.save`` wrote. It is written under another name, forced to
the disk, and renamed in one step; the one before is kept as ``*.previous``. A torn file fails its checksum and is
never loaded.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from helpers import drive

MARK = b"cnn-course-kit checkpoint 1\n"


class CheckpointError(OSError):
    """A checkpoint cannot be written, or fits neither the data nor the settings of this training."""


def folder(name: str) -> Path:
    """Where the checkpoints called ``name`` lie, in the folder that outlives the session."""
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"checkpoint={name!r} must be a plain name such as 'alexnet-bcdp', without slashes.")
    return drive.persist() / "checkpoints" / name


def save(state: dict[str, Any], path: Path) -> int:
    """Write ``state`` to ``path`` in one step; returns the size in bytes.

    Raises:
        CheckpointError: the disk or the Drive is full or cannot be written. The checkpoint before is untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(MARK + hashlib.sha256(payload).digest())
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                path.replace(_previous(path))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)  # or a full disk would stay full
    except OSError as error:
        raise CheckpointError(_not_written(path, len(payload), error)) from error
    return len(payload)


def load(path: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint at ``path``, tensors on the CPU; None when there is none.

    Raises:
        CheckpointError: there is a file, but it cannot be read. Starting anew would overwrite it.
    """
    for candidate in (path, _previous(path)):
        try:
            payload = _payload(candidate)
        except OSError as error:
            raise CheckpointError(f"The checkpoint {candidate} cannot be read: {_reason(error)}.") from error
        if payload is not None:
            if candidate != path:
                candidate.replace(path)  # in place of a torn one, which the next save would keep as the previous
            return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return None


def _payload(file: Path) -> memoryview | None:
    """What ``torch.save`` wrote into ``file``; None when there is no such file, or it is torn."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    start = len(MARK) + hashlib.sha256().digest_size
    payload = memoryview(content)[start:]
    return payload if content[:start] == MARK + hashlib.sha256(payload).digest() else None


def check_space(path: Path, needed: int) -> None:
    """Raise CheckpointError when the disk that would hold ``path`` has less than ``needed`` bytes free."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise CheckpointError(
            f"Checkpoints need {mebibytes(needed)} and {existing} has {mebibytes(free)} free. Make room, point "
            "KIT_PERSIST to another folder, or train without checkpoint=..."
        )


def mebibytes(size: int) -> str:
    """A size in bytes for people: '23.4 MiB', '12 KiB'."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{-(-size // 2**10)} KiB"


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def _not_written(path: Path, size: int, error: OSError) -> str:
    kept = "The one before it is still whole. " if any(map(os.path.exists, (path, _previous(path)))) else ""
    return (
        f"The checkpoint ({mebibytes(size)}) could not be written to {path.parent}: {_reason(error)}. {kept}"
        "Make room or set KIT_PERSIST to another folder, then run the cell again with resume=True."
    )


def _reason(error: OSError) -> str:
    return {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the Drive is full",
        errno.EROFS: "the folder can only be read",
        errno.EACCES: "you may not read or write there",
        errno.ENOTCONN: "the Drive is no longer connected: run drive.mount() again",
    }.get(error.errno, str(error))
