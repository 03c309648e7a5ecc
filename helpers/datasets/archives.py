"""Zips of picture folders: find them, unpack them safely, see where ``train/`` and ``test/`` lie.

A zip is what somebody else made, so nothing in it is trusted: no entry may leave the folder, links are refused,
and the size is looked at before the first byte is written.
"""

from __future__ import annotations

import contextlib
import errno
import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from helpers import pictures

MAX_BYTES = 16 * 2**30  # unpacked; far above any data set of a course, far below a zip bomb
MAX_FILES = 1_000_000
SPLITS = ("train", "test")

# What a damaged zip, or one of a kind that Python cannot read, comes out as.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)
# What a file system says of names that clash or that it cannot hold.
_BAD_NAME = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


class ArchiveError(OSError):
    """A zip is damaged, dangerous or not the wanted one; the text says how, without the zip's own path."""


def find_zips(name: str, folders: Iterable[Path]) -> list[Path]:
    """Zips called ``name.zip`` in ``folders`` (not below them), also as browsers and Drive name a second copy.

    ``name (1).zip``, ``name(1).zip`` and ``Copy of name.zip`` count; the plain name comes first in each folder.
    Folders that are missing or cannot be read are passed over.
    """
    pattern = re.compile(rf"(copy of )?{re.escape(name)}( ?\(\d+\))?\.zip", re.IGNORECASE)
    found: list[Path] = []
    for folder in folders:
        with contextlib.suppress(OSError):
            names = [entry.name for entry in os.scandir(folder) if pattern.fullmatch(entry.name) and entry.is_file()]
            found += [Path(folder) / each for each in sorted(names, key=lambda each: (len(each), each))]
    return list(dict.fromkeys(found))


def check(zip_path: str | Path) -> None:
    """Raise ``ArchiveError`` unless the file is a zip with a readable table of contents (reads its end only)."""
    with _open(zip_path):
        pass


def unpack(zip_path: str | Path, folder: str | Path) -> None:
    """Unpack into ``folder`` (made if needed, best empty); on an error what came before it stays there.

    Left out: ``__MACOSX``, ``Thumbs.db`` and names with a leading dot (``.DS_Store``, ``._*``). Refused, before
    anything is written: entries that would leave the folder, links, passwords, more than 16 GiB or a million files.

    Raises ``ArchiveError`` for whatever is wrong with the zip, plain ``OSError`` for the disk.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _open(zip_path) as archive:
        entries = list(_wanted(archive))
        _check_size(entries, folder)
        for info, path in _with_progress(entries, label=Path(zip_path).name):
            _write(archive, info, folder / path)


def split_root(folder: str | Path, *, name: str = "") -> Path:
    """The folder that holds ``train/`` and ``test/``: ``folder`` itself, or one or two levels below it.

    Of several on one level the one called ``name`` is taken. ``ArchiveError`` says what is there instead.
    """
    level = [Path(folder)]
    for depth in range(3):
        if depth:
            level = [child for path in level for child in _children(path) if child.is_dir()]
        roots = [path for path in level if all((path / split).is_dir() for split in SPLITS)]
        named = [path for path in roots if path.name == name] or roots
        if len(named) == 1:
            return named[0]
        if named:
            raise ArchiveError(f"it holds several data sets: {_listed(path.name for path in named)}")
    found = _listed(child.name + "/" * child.is_dir() for child in _children(Path(folder)))
    raise ArchiveError(f"no folder in it holds both train/ and test/; it contains {found or 'nothing'}")


def count_pictures(folder: str | Path) -> dict[str, dict[str, int]]:
    """Pictures in each class of each split that is there: ``{"train": {"bike": 375, ...}, "test": {...}}``."""
    counts = {}
    for split in SPLITS:
        here = Path(folder) / split
        if here.is_dir():
            counts[split] = {each: len(pictures.list_pictures(here / each)) for each in pictures.list_classes(here)}
    return counts


@contextlib.contextmanager
def _open(zip_path: str | Path) -> Iterator[zipfile.ZipFile]:
    """The zip, opened; whatever turns out to be wrong with it while it is open becomes an ``ArchiveError``."""
    path = Path(zip_path)
    if path.stat().st_size == 0:
        raise ArchiveError("it is empty (0 bytes)")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        size = f"{path.stat().st_size / 2**20:.1f} MiB"
        raise ArchiveError(f"it is no whole zip file ({size}; {str(error) or type(error).__name__})") from error
    except OSError as error:
        if error.errno is None and not isinstance(error, ArchiveError):  # bz2's way to say "damaged"
            raise ArchiveError(f"it is no whole zip file ({error})") from error
        raise


def _wanted(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The entries to unpack with their clean paths; refuses the whole zip for one dangerous entry."""
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")  # zips made on Windows
        path = PurePosixPath(name)
        mode = info.external_attr >> 16
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise ArchiveError(f"it is refused: the entry {info.filename!r} would be written outside its folder")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"it is refused: the entry {info.filename!r} is a link or a device, not a file")
        if info.flag_bits & 1:
            raise ArchiveError("it is protected by a password; make a zip without one")
        if path.parts and not any(pictures.is_hidden(part) for part in path.parts):
            yield info, path


def _check_size(entries: list[tuple[zipfile.ZipInfo, PurePosixPath]], folder: Path) -> None:
    # The sizes told are binding: zipfile never gives out more than an entry announced.
    size = sum(info.file_size for info, _ in entries)
    if size > MAX_BYTES or len(entries) > MAX_FILES:
        raise ArchiveError(
            f"it is refused: it would unpack to {size / 2**30:.1f} GiB in {len(entries):,} files "
            f"(at most {MAX_BYTES / 2**30:.0f} GiB and {MAX_FILES:,} files)"
        )
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    try:
        if info.filename.endswith(("/", "\\")):
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        if error.errno in _BAD_NAME:
            raise ArchiveError(f"the entry {info.filename!r} cannot be written ({error.strerror})") from error
        raise


def _with_progress(entries: list, *, label: str) -> Iterable:
    from tqdm.auto import tqdm  # here: in a notebook it loads ipywidgets

    return tqdm(entries, desc=f"unpacking {label}", unit=" files", delay=2)


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not pictures.is_hidden(path.name))


def _listed(names: Iterable[str], *, most: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
