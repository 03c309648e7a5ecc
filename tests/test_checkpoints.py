"""Checkpoints: whole or not at all, whatever happens while one is written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from helpers.training import checkpoints

OLD = {"epoch": 1, "weights": torch.arange(500.0), "name": "ä", "none": None, "nested": {"list": [1, 2.5]}}
NEW = {**OLD, "epoch": 2, "weights": torch.arange(500.0) + 1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "run" / "last.ckpt"


def test_what_is_saved_is_loaded(path: Path) -> None:
    maps = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    checkpoints.save({**OLD, "maps": maps}, path)
    loaded = checkpoints.load(path)
    weights = loaded.pop("weights")
    assert torch.equal(loaded.pop("maps"), maps) and torch.equal(weights, OLD["weights"])
    assert loaded == {key: value for key, value in OLD.items() if key != "weights"}
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_nothing_there(path: Path) -> None:
    assert checkpoints.load(path) is None
    path.parent.mkdir(parents=True)
    assert checkpoints.load(path) is None


def test_the_one_before_is_kept(path: Path) -> None:
    checkpoints.save(OLD, path)
    checkpoints.save(NEW, path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.ckpt", "last.ckpt.previous"]
    assert checkpoints.load(path)["epoch"] == 2
    path.unlink()  # as after a kill between the two renamings
    assert checkpoints.load(path)["epoch"] == 1


TEARS = {
    "empty": lambda content: b"",
    "within the mark": lambda content: content[:10],
    "after the checksum": lambda content: content[: len(checkpoints.MARK) + 32],
    "half": lambda content: content[: len(content) // 2],
    "a byte short": lambda content: content[:-1],
    "a byte too long": lambda content: content + b"\0",
    "a bit in the mark": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "a bit in the checksum": lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
    "a bit in the weights": lambda content: content[:1500] + bytes([content[1500] ^ 128]) + content[1501:],
    "zeros at the end": lambda content: content[:2000] + bytes(len(content) - 2000),
    "another program's": lambda content: content[len(checkpoints.MARK) + 32 :],
}


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_a_torn_file_is_never_loaded(path: Path, tear) -> None:
    checkpoints.save(OLD, path)
    path.write_bytes(tear(path.read_bytes()))
    assert checkpoints.load(path) is None


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_the_one_before_steps_in_and_survives_the_next_save(path: Path, tear, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(OLD, path)
    checkpoints.save(NEW, path)
    path.write_bytes(tear(path.read_bytes()))
    assert checkpoints.load(path)["epoch"] == 1
    replace, calls = Path.replace, []

    def killed_after_the_first(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(NEW, path)
    monkeypatch.undo()
    assert checkpoints.load(path)["epoch"] == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the Drive is full"),
        (errno.EROFS, "the folder can only be read"),
        (errno.EACCES, "you may not read or write there"),
        (errno.ENOTCONN, r"the Drive is no longer connected: run drive\.mount\(\) again"),
        (errno.EIO, "Input/output error"),
    ],
    ids=lambda value: errno.errorcode.get(value, ""),
)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_disks_that_refuse(path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, said: str) -> None:
    checkpoints.save(OLD, path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, step)), refuse)
    sentence = (
        rf"The checkpoint \(\d+ KiB\) could not be written to .*run: .*{said}.*\. The one before it is still whole"
    )
    with pytest.raises(checkpoints.CheckpointError, match=sentence):
        checkpoints.save(NEW, path)
    monkeypatch.undo()
    assert checkpoints.load(path)["epoch"] == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]  # no half file that keeps a full disk full


def test_nothing_is_promised_when_the_first_save_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(checkpoints.CheckpointError, match="the disk is full. Make room or set KIT_PERSIST to another"):
        checkpoints.save(OLD, path)


@pytest.mark.parametrize("step", ["open", "fsync", "first replace", "second replace"])
def test_stopped_by_hand_while_saving(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    checkpoints.save(OLD, path)
    replace, wanted = Path.replace, ["first replace", "second replace"]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def stop_at(self: Path, target: Path) -> Path:
        return stop() if wanted.pop(0) == step else replace(self, target)

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", stop)
    else:
        monkeypatch.setattr(Path, *(("open", stop) if step == "open" else ("replace", stop_at)))
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(NEW, path)
    monkeypatch.undo()
    assert checkpoints.load(path)["epoch"] == 1
    checkpoints.save(NEW, path)
    assert checkpoints.load(path)["epoch"] == 2


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTCONN], ids=errno.errorcode.get)
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_none(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    checkpoints.save(OLD, path)

    def refuse(_: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(checkpoints.CheckpointError, match=r"last\.ckpt cannot be read: "):
        checkpoints.load(path)


def test_the_file_lies_in_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "drive"))
    assert checkpoints.file_of("alexnet-bcdp") == tmp_path / "drive" / "checkpoints" / "alexnet-bcdp" / "last.ckpt"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "../up", "a/"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="must be a plain name such as 'alexnet-bcdp', without slashes"):
        checkpoints.file_of(name)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 KiB"), (1, "1 KiB"), (12288, "12 KiB"), (24_536_678, "23.4 MiB")], ids=str
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert checkpoints.mebibytes(size) == text
