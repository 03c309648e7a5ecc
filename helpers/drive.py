"""Google Drive on Colab, with every way it fails turned into a sentence that says what to click.

Outside Colab a local folder stands in for the Drive, with the same functions, so that notebooks need no ``if``.
Nothing here deletes or overwrites anything.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from helpers import machine

MOUNTPOINT = machine.DRIVE_FOLDER.parent

_RESTART = "Runtime > Restart session"
_NEW_RUNTIME = "Runtime > Disconnect and delete runtime"
_ELSEWHERE = "or set KIT_PERSIST to another folder to save there"

# Text in what google.colab's ``mount`` raises -> what it means and what to do. The first match counts.
_MOUNT_FAILURES = (
    (
        ("credential propagation", "invalid oauth code", "authorization failed"),
        "Google Drive was not connected: permission was not given, the pop-up window was blocked, or another Google "
        "account was chosen. Run the cell again, choose the account that this notebook is opened with (the picture at "
        "the top right) and tick every box. Allow pop-ups and third-party cookies for colab.research.google.com.",
    ),
    (
        ("must not already contain files",),
        "Google Drive cannot be mounted, because the folder {mountpoint} already holds files that are not on your "
        "Drive: a cell wrote there before the Drive was mounted. Nothing was deleted. Open the Files panel (folder "
        f"icon on the left), move what you need out of {{mountpoint}}, then {_RESTART}. If nothing there matters: "
        f"{_NEW_RUNTIME}, and run the first cell first.",
    ),
    (
        ("root folder", "timed out", "timeout", "mount failed"),
        "Google Drive did not answer in time. The usual reason is that My Drive holds too many files and folders at "
        "the top level: move them into sub-folders at drive.google.com. Then run the cell again; the second try is "
        f"often faster. If it fails again: {_NEW_RUNTIME}.",
    ),
    (
        ("unsupported in this environment", "has no attribute 'kernel'", "creds_addr", "cloudsdk_config"),
        "Google Drive cannot be mounted from here, because there is no Colab page that could ask for your permission. "
        "Run drive.mount() in a notebook cell (not in a script started with !python), or press Mount Drive in the "
        f"Files panel (folder icon on the left). You can work without Drive, {_ELSEWHERE}.",
    ),
)

_ERRNO_SENTENCES = {
    errno.ENOSPC: f"{{place}} is full. {{make_room}}, {_ELSEWHERE}.",
    errno.ENOTCONN: "The connection to Google Drive is lost (transport endpoint is not connected). Files already on "
    f"the Drive are safe. Run the first cell again, it reconnects. If that fails: {_RESTART}, or run "
    f"flush_and_unmount() from google.colab.drive, or {_NEW_RUNTIME}.",
    errno.EIO: "{place} did not answer (input/output error). On Google Drive the reason is often too many files in "
    f"one folder, or a daily limit. Wait a minute and run the cell again. If it stays: {_RESTART}.",
    errno.EROFS: "{place} can only be read. If the Drive was mounted with readonly=True: run flush_and_unmount() from "
    f"google.colab.drive and drive.mount() again without it, {_ELSEWHERE}.",
    errno.EACCES: "{place} does not let you write. If it is a folder that somebody shared with you for viewing, choose "
    f"a folder of your own, {_ELSEWHERE}.",
}
_ERRNO_SENTENCES |= {errno.EDQUOT: _ERRNO_SENTENCES[errno.ENOSPC], errno.EPERM: _ERRNO_SENTENCES[errno.EACCES]}
_EMPTY_BIN = "Delete something at drive.google.com and empty the bin there (what lies in the bin counts too)"


class DriveError(OSError):
    """Google Drive (or the folder that stands in for it) cannot be used; the message says what to do."""


def mount(*, readonly: bool = False, timeout_ms: int = 120_000) -> Path:
    """Mount Google Drive if it is not mounted yet, and return the folder My Drive.

    Outside Colab: a folder in ``machine.home()``, made if needed. A connection that went stale is remounted once.
    Raises DriveError with what to do when consent is refused, Drive does not answer, or the folder is not empty.
    """
    if not machine.in_colab():
        return _made(my_drive())
    if is_mounted():
        return my_drive()
    try:
        _mount_on_colab(readonly=readonly, timeout_ms=timeout_ms)
    except Exception as error:  # google.colab raises ValueError, MessageError, KeyError, pexpect's TIMEOUT and others
        raise DriveError(explain(error)) from error
    if not is_mounted():
        raise DriveError(explain(OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))))
    return my_drive()


def is_mounted(*, or_raise: bool = False) -> bool:
    """True when My Drive can be reached; a plain folder that only has its name does not count on Colab.

    A connection that went stale is False, or with ``or_raise`` a DriveError: it *was* mounted, and may hold work.
    """
    if or_raise and machine.in_colab() and _is_stale():
        raise DriveError(_ERRNO_SENTENCES[errno.ENOTCONN])
    if not machine.in_colab():
        return my_drive().is_dir()
    # "My Drive", with a space, is how google.colab itself knows a mounted Drive: only Drive makes that folder.
    really = os.path.ismount(MOUNTPOINT) or os.path.isdir(MOUNTPOINT / "My Drive")
    return really and os.path.isdir(my_drive())  # os.path.isdir: False, not an error, on a stale connection


def my_drive() -> Path:
    """The path of My Drive, mounted or not."""
    parent = MOUNTPOINT if machine.in_colab() else machine.home() / "drive"
    return parent / machine.DRIVE_FOLDER.name


def folder(name: str = machine.KIT_NAME) -> Path:
    """The folder ``name`` in My Drive, made if needed. Raises DriveError when the Drive is not mounted."""
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name!r} is not a name in My Drive. Give one such as {machine.KIT_NAME!r}.")
    if not is_mounted():
        raise DriveError("Google Drive is not mounted. Run drive.mount() first.")
    return _made(my_drive() / name)


def persist() -> Path:
    """The folder that outlives the session (KIT_PERSIST), made if needed.

    On Colab it lies on the mounted Drive; without a mounted Drive it falls back to ``home()/persist``,
    which a disconnect deletes: ``describe()`` says so. Elsewhere it lies beside ``home()``. Raises DriveError when
    the connection to a mounted Drive was lost: to save elsewhere without a word would lose what is saved.
    """
    chosen = os.environ.get("KIT_PERSIST")
    if chosen:
        return machine.made(Path(chosen), "KIT_PERSIST")
    if machine.in_colab():
        return folder() if is_mounted(or_raise=True) else machine.made(machine.home() / "persist", "KIT_PERSIST")
    return machine.made(machine.home().with_name(machine.home().name + "-persist"), "KIT_PERSIST")


def free_bytes(path: str | Path) -> int:
    """Free bytes on the disk of ``path``, which need not exist yet. On Drive the true quota may be smaller."""
    try:
        return shutil.disk_usage(_nearest_existing(Path(path))).free
    except OSError as error:
        raise DriveError(explain(error, path=path)) from error


def check_writable(path: str | Path) -> None:
    """Raise DriveError unless a file can be written in the folder ``path`` (or in the one it will be made in).

    A few bytes are written to a temporary file of a new name, which is gone afterwards.
    """
    if machine.in_colab() and Path(path).is_relative_to(MOUNTPOINT) and not is_mounted():
        raise DriveError(f"{path} lies on Google Drive, which is not mounted. Run drive.mount() first.")
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(Path(path)), prefix=".kit-write-test-") as file:
            file.write(b"can this folder be written to?")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DriveError(explain(error, path=path)) from error


def explain(error: BaseException, *, path: str | Path | None = None) -> str:
    """The sentence for a student: what ``error`` means for the Drive (or the disk of ``path``), and what to do."""
    if isinstance(error, DriveError):
        return str(error)
    path = path or getattr(error, "filename", None)
    on_drive = path is None or Path(path).is_relative_to(MOUNTPOINT)
    place = "Your Google Drive" if on_drive else f"The disk of {path}"
    make_room = _EMPTY_BIN if on_drive else "Delete what you no longer need there"
    number = getattr(error, "errno", None)
    if number in _ERRNO_SENTENCES:
        return _ERRNO_SENTENCES[number].format(place=place, make_room=make_room)
    text = f"{type(error).__name__}: {error}"
    for signs, sentence in _MOUNT_FAILURES:
        if any(sign in text.lower() for sign in signs):
            return sentence.format(mountpoint=MOUNTPOINT)
    return f"{place} cannot be used ({text}). Run the cell again. If it stays: {_NEW_RUNTIME}."


def upload() -> Path:
    """Open Colab's file chooser, and return the path of the first file that was chosen.

    Raises DriveError outside Colab, and when no file was chosen.
    """
    if not machine.in_colab():
        raise DriveError('Nothing can be uploaded here: write the path of the file instead, such as "my_cat.jpg".')
    from google.colab import files

    chosen = files.upload()  # {name: bytes}; also saves each file in the working folder, under a free name
    if not chosen:
        raise DriveError("No file was chosen. Run the cell again and choose one.")
    name, content = next(iter(chosen.items()))
    # Colab names a second cat.jpg "cat (1).jpg" on disk, and does not say so here: the bytes are the only sure thing.
    path = Path(tempfile.mkdtemp(prefix="upload-", dir=machine.home())) / Path(name).name
    path.write_bytes(content)
    return path


def _mount_on_colab(*, readonly: bool, timeout_ms: int) -> None:
    from google.colab import drive  # exists on Colab only

    stale = _is_stale()
    try:
        drive.mount(str(MOUNTPOINT), force_remount=stale, timeout_ms=timeout_ms, readonly=readonly)
    except OSError as error:
        if stale or error.errno != errno.ENOTCONN:
            raise
        drive.mount(str(MOUNTPOINT), force_remount=True, timeout_ms=timeout_ms, readonly=readonly)


def _is_stale() -> bool:
    """True when the mountpoint is what a dead Drive process left behind."""
    try:
        os.stat(MOUNTPOINT)
        os.stat(my_drive())
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def _nearest_existing(path: Path) -> Path:
    path = path.expanduser().absolute()
    return next(each for each in (path, *path.parents) if each.is_dir())


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DriveError(explain(error, path=folder)) from error
    return folder
