"""A ``google.colab`` that behaves like Colab's own, for tests: same signature, same checks, same exceptions.

``install(monkeypatch, tmp_path)`` puts it into ``sys.modules`` and returns the ``FakeColab`` that says what goes wrong.
"""

from __future__ import annotations

import errno
import importlib.machinery
import os
import sys
import types
from pathlib import Path


class Error(Exception):
    """``google.colab.errors.Error``."""


class MessageError(Error):
    """``google.colab._message.MessageError``: the browser answered with an error."""


class FakeColab:
    """The state of one Colab session. ``fails`` holds exceptions that the next calls of ``mount`` raise, in order."""

    def __init__(self, mountpoint: Path) -> None:
        self.mountpoint = mountpoint
        self.fails: list[BaseException] = []
        self.calls: list[dict[str, object]] = []
        self.is_stale = False
        self.can_reconnect = True
        self.uploads: dict[str, bytes] = {}  # what the next ``files.upload()`` returns

    @property
    def my_drive(self) -> Path:
        return self.mountpoint / "MyDrive"

    def mount(self, mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        """``google.colab.drive.mount``, in the order in which the real one checks."""
        self.calls.append({"force_remount": force_remount, "timeout_ms": timeout_ms, "readonly": readonly})
        if " " in mountpoint:
            raise ValueError("Mountpoint must not contain a space.")
        if os.path.isdir(os.path.join(mountpoint, "My Drive")) and not force_remount:
            print(
                f"Drive already mounted at {mountpoint}; to attempt to forcibly remount, "
                f'call drive.mount("{mountpoint}", force_remount=True).'
            )
            return
        if self.fails:
            raise self.fails.pop(0)
        if force_remount and self.can_reconnect:
            self.is_stale = False  # the real one unmounts what is left of the dead Drive process
        if os.path.isdir(mountpoint) and os.listdir(mountpoint):
            raise ValueError("Mountpoint must not already contain files")
        self.connect()
        print(f"Mounted at {mountpoint}")

    def connect(self) -> None:
        """What a mounted Drive looks like; "My Drive" with a space is an alias that only Drive makes."""
        for name in ("MyDrive", "My Drive", "Shareddrives", ".shortcut-targets-by-id"):
            (self.mountpoint / name).mkdir(parents=True, exist_ok=True)

    def go_stale(self) -> None:
        """The Drive process died: the mountpoint exists, and every access to it fails with errno 107."""
        self.is_stale = True

    def raise_if_stale(self, path: object) -> None:
        inside = isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(self.mountpoint)
        if self.is_stale and inside:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))


def install(monkeypatch, tmp_path: Path) -> FakeColab:
    """Make this process look like a Colab runtime whose Drive mounts at ``tmp_path / "content" / "drive"``."""
    from helpers import drive

    fake = FakeColab(tmp_path / "content" / "drive")
    fake.mountpoint.parent.mkdir(exist_ok=True)
    modules = {
        name: types.ModuleType(name) for name in ("google", "google.colab", "google.colab.drive", "google.colab.files")
    }
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    modules["google"].__path__ = modules["google.colab"].__path__ = []
    modules["google"].colab = modules["google.colab"]
    modules["google.colab"].drive = modules["google.colab.drive"]
    modules["google.colab.drive"].mount = fake.mount
    modules["google.colab"].files = modules["google.colab.files"]
    modules["google.colab.files"].upload = lambda: dict(fake.uploads)
    monkeypatch.setattr(drive, "MOUNTPOINT", fake.mountpoint)
    for name in ("stat", "lstat", "listdir", "scandir", "mkdir", "open", "statvfs"):
        _fail_when_stale(monkeypatch, fake, name)
    return fake


def _fail_when_stale(monkeypatch, fake: FakeColab, name: str) -> None:
    real = getattr(os, name)

    def checked(path=".", *args, **kwargs):
        fake.raise_if_stale(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, name, checked)
