"""Zips of image folders: find them, unpack them safely, see where ``train/`` and ``test/`` lie.

A zip is what somebody else made, so nothing in it is trusted. ``zipfile`` lets no entry leave the folder and makes no
links; the size is looked at here, before the first byte is written.
"""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from helpers import pictures

MAX_BYTES = 16 * 2**30  # unpacked; far above any data set of a course, far below a zip bomb
SPLITS = ("train", "test")
NAMES = ("{}.zip", "{} (1).zip", "{}(1).zip", "Copy of {}.zip")  # as browsers and Drive call a second copy

# What a damaged zip, or one of a kind that Python cannot read, comes out as.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)


class ArchiveError(OSError):
    """A zip is damaged, dangerous or not the wanted one; the text says how, without the zip's own path."""


def find_zips(name: str, folders: Iterable[Path]) -> list[Path]:
    """Files called ``name.zip`` or as a second copy of it in ``folders``. Lists no folder: a Drive's may be endless."""
    places = (folder / each.format(name) for folder in folders for each in NAMES)
    return list(dict.fromkeys(path for path in places if os.path.isfile(path)))


def unpack(zip_path: str | Path, folder: str | Path) -> None:
    """Unpack into ``folder`` (made if needed, best empty); on an error what came before it stays there.

    Left out: links and devices, ``__MACOSX``, ``Thumbs.db`` and names with a leading dot (``.DS_Store``, ``._*``).
    Refused before anything is written: passwords, more than 16 GiB.

    Raises ``ArchiveError`` for whatever is wrong with the zip, plain ``OSError`` for the disk and for names that it
    cannot hold.
    """
    from tqdm.auto import tqdm  # here: in a notebook it loads ipywidgets

    zip_path, folder = Path(zip_path), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = zip_path.stat().st_size
    if size == 0:
        raise ArchiveError("it is empty (0 bytes)")
    try:
        with zipfile.ZipFile(zip_path) as archive:
            entries = [info for info in archive.infolist() if _is_wanted(info)]
            _check(entries, folder)
            for info in tqdm(entries, desc=f"unpacking {zip_path.name}", unit=" files", delay=2):
                archive.extract(info, folder)
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        raise ArchiveError(f"it is no whole zip file ({size / 2**20:.1f} MiB; {said})") from error


def split_root(folder: str | Path, *, name: str = "") -> Path:
    """The folder that holds ``train/`` and ``test/``: ``folder`` itself, or one or two levels below it.

    Of several on one level the one called ``name`` is taken. ``ArchiveError`` says what is there instead.
    """
    folder = Path(folder)
    for pattern in ("train", "*/train", "*/*/train"):
        roots = [path.parent for path in sorted(folder.glob(pattern)) if (path.parent / "test").is_dir()]
        named = [path for path in roots if path.name == name] or roots
        if len(named) == 1:
            return named[0]
        if named:
            raise ArchiveError(f"it holds several data sets: {', '.join(path.name for path in named)}")
    found = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    raise ArchiveError(
        f"no folder in it holds both train/ and test/; it contains {', '.join(found[:6]) or 'nothing'}{more}"
    )


def count_images(folder: str | Path) -> dict[str, dict[str, int]]:
    """Images in each class of each split that is there: ``{"train": {"bike": 375, ...}, "test": {...}}``."""
    return {
        split: {each: len(pictures.list_pictures(here / each)) for each in pictures.list_classes(here)}
        for split in SPLITS
        if (here := Path(folder) / split).is_dir()
    }


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    info.filename = info.filename.replace("\\", "/")  # zips made on Windows
    is_plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    return is_plain and not any(pictures.is_hidden(part) for part in info.filename.split("/") if part)


def _check(entries: list[zipfile.ZipInfo], folder: Path) -> None:
    if any(info.flag_bits & 1 for info in entries):
        raise ArchiveError("it is protected by a password; make a zip without one")
    # The sizes told are binding: zipfile never gives out more than an entry announced.
    size = sum(info.file_size for info in entries)
    if size > MAX_BYTES:
        most = MAX_BYTES / 2**30
        raise ArchiveError(f"it is refused: it would unpack to {size / 2**30:.1f} GiB (at most {most:.0f} GiB)")
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
