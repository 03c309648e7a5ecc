"""``fetch("bcdp_v1")`` brings a data set of the catalogue to a local folder, from wherever it can be had.

It asks, in this order: a folder that is already unpacked; a zip on this machine or on the mounted Drive, first in the
folder that KIT_MIRROR names; the addresses in the catalogue, before them ``KIT_MIRROR/bcdp_v1.zip`` where that is an
address (links to Google Drive through gdown). When nothing delivers it stops and says what it tried. It never puts
another data set in the place of the wanted one: the drawn stand-ins, which come with the kit, have names of their own.

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
from helpers.datasets import archives, catalogue, download, locks, standin
from helpers.datasets.catalogue import DataSet, describe, first_url, known, names, register

__all__ = ["DataError", "DataSet", "describe", "fetch", "first_url", "is_ready", "known", "names", "register"]

MARKER = ".complete.json"  # in every folder that fetch made: the counts it had then, and where it came from
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}

Source = tuple[str, Callable[[Path], Path]]  # what to call it, and what unpacks it into an empty folder; may raise


class DataError(OSError):
    """A data set cannot be had; the text says what was tried and what to do."""


def is_ready(name: str, *, home: str | Path | None = None) -> bool:
    """True when ``fetch`` needs no network: unpacked already, a readable zip on this machine, or a drawn stand-in."""
    entry = catalogue.look_up(name)
    if entry.drawn:
        return True
    with contextlib.suppress(OSError):
        base = _base(home)
        return _unpacked(entry, base)[0] is not None or any(map(archives.is_readable, _zips(entry, base)))
    return False


def fetch(name: str, *, home: str | Path | None = None) -> Path:
    """Return the local folder of a data set, with ``train/<class>/`` and ``test/<class>/`` in it; bring it if needed.

    ``home`` takes the place of ``machine.home()``. Raises ``DataError`` (what was tried, what to do) when it cannot
    be had, ValueError for an unknown name; warns when the number of images is not the catalogue's.
    """
    entry = catalogue.look_up(name)
    try:
        base = _base(home)
        folder = _unpacked(entry, base)[0] or _bring(entry, base)
    except OSError as error:
        if error.errno is None:  # a sentence already
            raise DataError(str(error)) from error
        advice = "Set KIT_HOME to a folder that you may write to, on a disk with enough space."
        raise DataError(f"{name} could not be made in {base}: {machine.reason(error)}. {advice}") from error
    if not (folder / MARKER).exists():  # made by hand
        _warn(str(folder), entry.difference(archives.count_images(folder)))
    return folder


def _sources(entry: DataSet, base: Path) -> Iterator[Source]:
    """Who is asked for the data set, in this order; the first that delivers is taken."""
    if entry.drawn:
        yield "the kit's own drawings", partial(standin.unpack, entry)
        return
    here = _zips(entry, base)
    nowhere = ", ".join(map(str, _folders(base))) + (" and on the Drive" if _drive_folders() else "")
    yield from ((", ".join(map(str, zips)), partial(_from_here, entry, zips)) for zips in here)
    yield f"{'another' if here else 'a file'} {entry.name}.zip on this machine", partial(_refuse, f"none in {nowhere}")
    if machine.offline():
        yield "the network", partial(_refuse, f"not asked, because {machine.no_network()}")
    else:
        yield from ((url, partial(_from_network, entry, url)) for url in catalogue.addresses(entry))
        if first_url(entry.name) is None:
            yield "the network", partial(_refuse, "the catalogue knows no address")
    for zips in _zips(entry, base, list_drive=True):  # copies by other names; it may take long, so it comes last
        if zips not in here:
            yield ", ".join(map(str, zips)), partial(_from_here, entry, zips)


def _bring(entry: DataSet, base: Path) -> Path:
    """Ask one source after the other; a second notebook that wants the same waits."""
    incoming = base / "datasets" / ".incoming" / entry.name
    incoming.mkdir(parents=True, exist_ok=True)
    with locks.only_one(incoming / "lock") as alone:
        folder, tried = _unpacked(entry, base)  # another notebook may have brought it while this one waited
        if folder:
            return folder
        for stale in incoming.glob("unpack-*") if alone else ():  # left by a run that was killed
            shutil.rmtree(stale, ignore_errors=True)
        for label, bring in _sources(entry, base):
            with tempfile.TemporaryDirectory(prefix="unpack-", dir=incoming, ignore_cleanup_errors=True) as scratch:
                try:
                    return _finish(entry, bring(Path(scratch)), base, source=label)
                except OSError as error:
                    if entry.drawn or error.errno in _DISK_FULL:
                        raise
                    tried.append(f"{label}: {machine.reason(error)}")
    raise DataError(_nothing_delivered(entry, base, tried))


def _from_here(entry: DataSet, zips: list[Path], scratch: Path) -> Path:
    label = ", ".join(map(str, zips))
    try:
        if archives.part_number(zips[-1]) not in (0, len(zips)):
            raise archives.ArchiveError("it is one part of a folder that Drive packed; the parts before it are missing")
        folder = _unpack(entry, zips, scratch)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            _warn(f"{label} was not used", machine.reason(error))
        raise
    if archives.part_number(zips[-1]) and not entry.train_size:
        _warn(label, f"Drive packs a large folder into parts; {len(zips)} are here. If it made more, put them here too")
    return folder


def _from_network(entry: DataSet, url: str, scratch: Path) -> Path:
    return _unpack(entry, [download.download(url, scratch / f"{entry.name}.zip", sha256=entry.sha256)], scratch)


def _refuse(reason: str, scratch: Path) -> Path:
    raise archives.ArchiveError(reason)


def _unpack(entry: DataSet, zips: list[Path], scratch: Path) -> Path:
    for path in zips:
        if _on_drive(path):  # one long read; a zip is read here and there
            path = Path(shutil.copyfile(path, scratch / "copy.zip"))
        archives.unpack(path, scratch / "tree", classes=entry.classes)
    folder = archives.split_root(scratch / "tree", name=entry.name)
    counts = archives.count_images(folder)
    if fault := entry.fault(counts):
        if not all(each.isascii() for split in counts.values() for each in split):
            fault += ". If these names look garbled: zip it anew with names in the encoding UTF-8 (7-Zip does so)"
        raise archives.ArchiveError(fault)
    return folder


def _finish(entry: DataSet, made: Path, base: Path, *, source: str) -> Path:
    """Mark the folder ``made``, and give it its place and name in one step."""
    counts = archives.count_images(made)
    _warn(f"{entry.name} from {source}", entry.difference(counts))
    marker = {"name": entry.name, "source": source, "pictures": counts}
    (made / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
    goal = base / "datasets" / entry.name
    if _unpacked(entry, base)[0] == goal:
        return goal  # where nothing can be locked, another process may have been faster
    if os.path.lexists(goal):  # not usable, or nothing would have been brought; whatever it is, it is kept
        others = (goal.with_name(f"{goal.name}.old-{number}") for number in itertools.count(1))
        aside = next(other for other in others if not os.path.lexists(other))
        os.replace(goal, aside)
        _warn(str(goal), f"it was not complete and is now {aside}")
    os.replace(made, goal)
    return goal


def _unpacked(entry: DataSet, base: Path) -> tuple[Path | None, list[str]]:
    """The unpacked folder, made by ``fetch`` or put there by the user; else what is wrong with the ones there are."""
    faults = []
    for folder in (base / "datasets" / entry.name, base / entry.name):
        if folder.is_dir():
            fault = entry.fault(archives.count_images(folder))
            if not fault:
                return folder, []
            faults.append(f"{folder}: {fault}")
    return None, faults


def _zips(entry: DataSet, base: Path, *, list_drive: bool = False) -> list[list[Path]]:
    return [
        zips
        for folder in _places(base)
        for zips in archives.find_zips(
            entry.name, folder, list_it=list_drive or not _on_drive(folder), others=catalogue.names()
        )
    ]


def _places(base: Path) -> list[Path]:
    mirror = catalogue.mirror_folder()
    return list(dict.fromkeys([*([mirror] if mirror else []), *_folders(base), *_drive_folders()]))


def _folders(base: Path) -> list[Path]:
    """Where a user is told to put a zip, and where one puts it without being told."""
    folders = [base / "datasets", base, base / "downloads"]
    with contextlib.suppress(OSError):  # the current folder may be gone
        folders += [Path.cwd(), Path.cwd().parent]
    return list(dict.fromkeys(folders))


def _drive_folders() -> list[Path]:
    if not os.path.isdir(machine.DRIVE_FOLDER):  # False on a mount that has died, too
        return []
    tops = [machine.DRIVE_FOLDER]
    with contextlib.suppress(OSError):  # a Drive that can only be read has no folder of the kit
        tops.append(drive.persist())
    return [folder for top in tops for folder in (top, top / "datasets")]


def _on_drive(path: Path) -> bool:
    return path.is_relative_to(machine.DRIVE_FOLDER.parent)


def _base(home: str | Path | None) -> Path:
    return Path(home).expanduser().resolve() if home else machine.home()


def _warn(subject: str, sentence: str) -> None:
    if sentence:
        warnings.warn(f"{subject}: {sentence}.", stacklevel=2)


def _nothing_delivered(entry: DataSet, base: Path, tried: list[str]) -> str:
    name = entry.name
    advice = [f"Put {name}.zip into {base / 'datasets'} and run this again."]
    if close := [path for folder in _places(base) for path in archives.find_similar(name, folder, others=names())]:
        advice.insert(0, f"If one of these is the data set, rename it to {name}.zip: {', '.join(map(str, close[:5]))}.")
    if machine.in_colab():
        mount = "" if _drive_folders() else "Mount your Drive with drive.mount(). "
        advice.append(
            f"{mount}Put {name}.zip into the top folder of your Drive and run this again; or name its folder: "
            f"%env KIT_MIRROR={machine.DRIVE_FOLDER}/FOLDER"
        )
    if machine.offline():
        advice.append("Remove the environment variable KIT_OFFLINE, so that the kit may download.")
    advice.append("Ask your instructor for a mirror, and set the environment variable KIT_MIRROR to its address.")
    if entry.standin:
        advice.append(f"Work with the drawn stand-in, by its own name: {entry.standin}.")
    lines = [f"The data set {name} cannot be had. Tried, in this order:", *(f"  - {each}" for each in tried)]
    return "\n".join([*lines, "What you can do, one of these:", *(f"  - {each}" for each in advice)])
