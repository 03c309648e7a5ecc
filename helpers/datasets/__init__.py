"""``fetch("bcdp_v1")`` brings a data set of the catalogue to a local folder, from wherever it can be had.

It asks, in this order: a folder that is already unpacked; a zip on this machine or on the mounted Drive; the
addresses in the catalogue, before them ``KIT_MIRROR/bcdp_v1.zip`` where that variable is set; Google Drive through
gdown. When nothing delivers it stops and says what it tried. It never puts another data set in the place of the
wanted one: the drawn stand-ins have names of their own.

Everything half-done lies in ``<home>/datasets/.incoming/NAME``; the folder ``<home>/datasets/NAME`` appears in one
step, complete. Nothing that a user put anywhere is overwritten or deleted.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from helpers import drive, machine
from helpers.datasets import archives, catalogue, download, locks
from helpers.datasets.catalogue import DataSet, describe, first_url, known, names, register

__all__ = ["DataError", "DataSet", "describe", "fetch", "first_url", "is_ready", "known", "names", "register"]

MARKER = ".complete.json"  # in every folder that fetch made: the counts it had then, and where it came from
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


class DataError(OSError):
    """A data set cannot be had; the text says what was tried and what to do."""


def is_ready(name: str, *, home: str | Path | None = None) -> bool:
    """True when ``fetch`` needs no network: unpacked already, a readable zip on this machine, or a drawn stand-in."""
    entry = catalogue.look_up(name)
    if entry.drawn:
        return True
    with contextlib.suppress(OSError):
        base = _base(home)
        return _unpacked(entry, base)[0] is not None or any(map(_is_zip, _local_zips(entry, base)))
    return False


def fetch(name: str, *, home: str | Path | None = None) -> Path:
    """Return the local folder of a data set, with ``train/<class>/`` and ``test/<class>/`` in it; bring it if needed.

    ``home`` takes the place of ``machine.home()``. Raises ``DataError`` (what was tried, what to do) when it cannot
    be had, ValueError for an unknown name; warns when the number of pictures is not the catalogue's.
    """
    entry = catalogue.look_up(name)
    base = _base(home)
    try:
        folder = _unpacked(entry, base)[0] or _bring(entry, base)
        if not (folder / MARKER).exists():  # made by hand
            _warn(str(folder), entry.difference(archives.count_pictures(folder)))
        return folder
    except DataError:
        raise
    except TimeoutError as error:  # of the lock
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(_disk_sentence(name, base, error)) from error


def _bring(entry: DataSet, base: Path) -> Path:
    incoming = _incoming(entry, base)
    incoming.mkdir(parents=True, exist_ok=True)
    with locks.only_one(incoming / "lock") as alone:
        folder, tried = _unpacked(entry, base)  # another notebook may have brought it while this one waited
        if folder:
            return folder
        for stale in incoming.glob("unpack-*") if alone else ():  # left by a run that was killed
            shutil.rmtree(stale, ignore_errors=True)
        if entry.drawn:
            return _draw(entry, base)
        folder = _from_this_machine(entry, base, tried) or _from_network(entry, base, tried)
    if folder is None:
        raise DataError(_nothing_delivered(entry, base, tried))
    return folder


def _unpacked(entry: DataSet, base: Path) -> tuple[Path | None, list[str]]:
    """The unpacked folder, made by ``fetch`` or put there by the user; else what is wrong with the ones there are."""
    faults = []
    for folder in (base / "datasets" / entry.name, base / entry.name):
        if folder.is_dir():
            counts = archives.count_pictures(folder)
            fault = entry.fault(counts)
            if not fault:
                return folder, []
            faults.append(f"{folder}: {fault}")
    return None, faults


def _from_this_machine(entry: DataSet, base: Path, tried: list[str]) -> Path | None:
    zips = _local_zips(entry, base)
    for zip_path in zips:
        try:
            return _install(entry, zip_path, base)
        except OSError as error:
            if error.errno in _DISK_FULL:
                raise
            tried.append(f"{zip_path}: {error.strerror or error}")
            _warn(f"{zip_path} was not used", error.strerror or str(error))
        finally:
            _drop_if_ours(zip_path, entry, base)
    where = ", ".join(map(str, _places(base))) + (" and on the Drive" if _drive_places() else "")
    tried.append(f"{'another' if zips else 'a file'} {entry.name}.zip on this machine: none in {where}")
    return None


def _from_network(entry: DataSet, base: Path, tried: list[str]) -> Path | None:
    if machine.offline():
        tried.append("the network: not asked, because KIT_OFFLINE=1 is set")
        return None
    sources: list[tuple[str, Callable[[Path], Path]]] = [
        (url, partial(download.download, url, sha256=entry.sha256, check=archives.check))
        for url in catalogue.addresses(entry)
    ]
    if entry.drive_id:
        from_drive = partial(download.download_from_drive, entry.drive_id, sha256=entry.sha256, check=archives.check)
        sources.append((f"Google Drive, file {entry.drive_id}", from_drive))
    if not sources:
        tried.append("the network: the catalogue knows no address")
    zip_path = _incoming(entry, base) / f"{entry.name}.zip"
    for label, bring_to in sources:
        try:
            return _install(entry, bring_to(zip_path), base)
        except (download.DownloadError, archives.ArchiveError) as error:
            tried.append(f"{label}: {error}")
        finally:
            _drop_if_ours(zip_path, entry, base)
    return None


def _install(entry: DataSet, zip_path: Path, base: Path) -> Path:
    with _scratch(entry, base) as scratch:
        if zip_path.is_relative_to(machine.DRIVE_FOLDER.parent):  # one long read; a zip is read here and there
            zip_path = Path(shutil.copyfile(zip_path, scratch / zip_path.name))
        archives.unpack(zip_path, scratch / "tree")
        return _finish(entry, archives.split_root(scratch / "tree", name=entry.name), base, source=str(zip_path))


def _draw(entry: DataSet, base: Path) -> Path:
    from helpers.datasets import standin

    with _scratch(entry, base) as scratch:
        return _finish(entry, standin.draw(entry.name, scratch / entry.name), base, source="drawn by helpers.standin")


def _finish(entry: DataSet, made: Path, base: Path, *, source: str) -> Path:
    """Verify the folder ``made``, mark it, and give it its place and name in one step."""
    counts = archives.count_pictures(made)
    if fault := entry.fault(counts):
        raise archives.ArchiveError(fault)
    _warn(f"{entry.name} from {source}", entry.difference(counts))
    marker = {"name": entry.name, "source": source, "pictures": counts}
    (made / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
    goal = base / "datasets" / entry.name
    if _unpacked(entry, base)[0] == goal:
        return goal  # where nothing can be locked, another process may have been faster
    if os.path.lexists(goal):  # not usable, or nothing would have been brought; whatever it is, it is kept
        aside = _free_name(goal)
        os.replace(goal, aside)
        _warn(str(goal), f"it was not complete and is now {aside}")
    os.replace(made, goal)
    return goal


def _local_zips(entry: DataSet, base: Path) -> list[Path]:
    # The last place holds a whole zip only where a run was killed after its download.
    zips = archives.find_zips(entry.name, [*_places(base), *_drive_places(), _incoming(entry, base)])
    with contextlib.suppress(OSError):
        if _drive_places():  # exact names in few folders: to list a Drive takes minutes
            for pattern in (f"*/{entry.name}.zip", f"*/datasets/{entry.name}.zip"):
                zips += sorted(machine.DRIVE_FOLDER.glob(pattern))
    return list(dict.fromkeys(zips))


def _places(base: Path) -> list[Path]:
    """Where a user is told to put a zip, and where one puts it without being told."""
    places = [base / "datasets", base, base / "downloads"]
    with contextlib.suppress(OSError):  # the current folder may be gone
        places += [Path.cwd(), Path.cwd().parent]
    return list(dict.fromkeys(places))


def _drive_places() -> list[Path]:
    try:
        return [machine.DRIVE_FOLDER, drive.persist()] if machine.DRIVE_FOLDER.is_dir() else []
    except OSError:  # a mount that has died
        return []


def _incoming(entry: DataSet, base: Path) -> Path:
    return base / "datasets" / ".incoming" / entry.name


def _drop_if_ours(zip_path: Path, entry: DataSet, base: Path) -> None:
    if zip_path.parent == _incoming(entry, base):
        zip_path.unlink(missing_ok=True)


@contextlib.contextmanager
def _scratch(entry: DataSet, base: Path) -> Iterator[Path]:
    incoming = _incoming(entry, base)
    with tempfile.TemporaryDirectory(prefix="unpack-", dir=incoming, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _free_name(path: Path) -> Path:
    others = (path.with_name(f"{path.name}.old-{number}") for number in itertools.count(1))
    return next(other for other in others if not os.path.lexists(other))


def _base(home: str | Path | None) -> Path:
    try:
        return Path(home).expanduser().resolve() if home else machine.home()
    except OSError as error:
        raise DataError(str(error)) from error


def _is_zip(path: Path) -> bool:
    try:
        archives.check(path)
    except OSError:
        return False
    return True


def _warn(subject: str, sentence: str) -> None:
    if sentence:
        warnings.warn(f"{subject}: {sentence}.", stacklevel=2)


def _nothing_delivered(entry: DataSet, base: Path, tried: list[str]) -> str:
    name = entry.name
    help_ = [f"Put {name}.zip into {base / 'datasets'} and run this again."]
    if machine.in_colab():
        mount = "" if _drive_places() else "Mount your Drive with drive.mount(). "
        help_.append(f"{mount}Put {name}.zip into the top folder of your Drive and run this again.")
    if machine.offline():
        help_.append("Remove the environment variable KIT_OFFLINE, so that the kit may download.")
    help_.append("Ask your instructor for a mirror, and set the environment variable KIT_MIRROR to its address.")
    if entry.standin:
        help_.append(f"Work with the drawn stand-in, by its own name: {entry.standin}.")
    lines = [f"The data set {name} cannot be had. Tried, in this order:", *(f"  - {each}" for each in tried)]
    return "\n".join([*lines, "What you can do, one of these:", *(f"  - {each}" for each in help_)])


def _disk_sentence(name: str, base: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in _DISK_FULL:
        reason, help_ = "the disk is full", "Free some space there, or set KIT_HOME to a folder on another disk"
    else:
        help_ = "Set KIT_HOME to a folder that you may write to"
    return f"{name} could not be made in {base}: {reason}. {help_}."
