"""Zips of image folders: find them, unpack them safely, see where ``train/`` and ``test/`` lie.

A zip is what somebody else made, so nothing in it is trusted. ``zipfile`` lets no entry leave the folder and makes no
links; the size is looked at here, before the first byte is written.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import lzma
import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from helpers import pictures

MAX_BYTES = 16 * 2**30  # unpacked; far above any data set of a course, far below a zip bomb
SPLITS = ("train", "test")
NAMES = ("{}.zip", "{} (1).zip", "{}(1).zip", "Copy of {}.zip")  # asked for where no folder may be listed
# As browsers, Drive, the Finder and the Explorer call a second copy, and Drive the parts of a folder that it packs.
_WORD = "(?:copy|kopie|copie|copia|c\u00f3pia|kopia)"
_COPY = rf"(?:{_WORD} \w+ )?NAME(?: ?\(\d+\)|[ -]\d+|(?: -)? \(?{_WORD}\)?(?: \(?\d+\)?)?)?(?P<part>PART)?(?:\.zip)+"
_PART = r"-\d{8}T\d{6}Z(?:-\d+)?-(\d+)"
_ENDINGS = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".crdownload", ".part", ".download")
_ENCODINGS = ("utf-8", "cp437", "cp850", "cp1252", "gbk", "cp932", "cp949", "big5", "cp1250", "cp1251", "cp866")

# What a damaged zip, or one of a kind that Python cannot read, comes out as.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, IndexError, RuntimeError, ValueError)


class ArchiveError(OSError):
    """A zip is damaged, dangerous or not the wanted one; the text says how, without the zip's own path."""


def find_zips(name: str, folder: Path, *, list_it: bool, others: Collection[str] = ()) -> list[list[Path]]:
    """Files in ``folder`` called ``name.zip``, or as a copy of it; the parts of one download from Drive together.

    With ``list_it`` False only ``NAMES`` are asked for: the folder is on a Drive, and may be endless. What has one of
    the names ``others`` is another data set.
    """
    found: dict[str, list[Path]] = {}
    files = _listed(folder) if list_it else [each.format(name) for each in NAMES]
    for file in sorted(files, key=lambda file: (len(file), file)):  # the name itself is the shortest
        match = _copy(name, file)
        if match and os.path.isfile(folder / file) and Path(file).stem not in {*others} - {name}:
            found.setdefault(file[: match.start(2)] if match["part"] else file, []).append(folder / file)
    return list(found.values())


def find_similar(name: str, folder: Path, *, others: Collection[str] = ()) -> list[Path]:
    """Files in ``folder`` that may be the wanted zip under another name, in another format, or half a download."""
    stems = {file: file.lower().split(".")[0] for file in _listed(folder) if file.lower().endswith(_ENDINGS)}
    near = difflib.get_close_matches(name.lower(), stems.values(), n=3, cutoff=0.7)
    return [
        folder / file
        for file, stem in sorted(stems.items())
        if not _copy(name, file)
        and stem not in {*others} - {name}
        and (name.lower() in stem or stem in near or stem.startswith("drive-download"))
    ]


def part_number(zip_path: Path) -> int:
    """Which part of a download from Drive this is (1, 2, ...); 0 when it is none."""
    found = re.search(rf"{_PART}\.zip", zip_path.name, re.IGNORECASE)
    return int(found[1]) if found else 0


def is_readable(zips: list[Path]) -> bool:
    """True when they open as zip files, and no part of a download from Drive is missing before the last one."""
    return part_number(zips[-1]) in (0, len(zips)) and all(map(zipfile.is_zipfile, zips))


def unpack(zip_path: str | Path, folder: str | Path, *, classes: Collection[str] = ()) -> None:
    """Unpack into ``folder`` (made if needed, best empty); on an error what came before it stays there.

    Where the zip does not say in which encoding its names are, the one that spells ``classes`` is taken.
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
    if (kind := pictures.kind_of_file(zip_path)) not in ("zip archive", "unknown"):
        raise ArchiveError(f"it is no zip file; it looks like: {kind}")
    try:
        with zipfile.ZipFile(zip_path, metadata_encoding=_encoding(zip_path, classes)) as archive:
            entries = [info for info in archive.infolist() if _is_wanted(info)]
            _check(entries, folder)
            for info in tqdm(entries, desc=f"unpacking {zip_path.name}", unit=" files", delay=2):
                archive.extract(info, folder)
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        raise ArchiveError(f"it is no whole zip file ({size / 2**20:.1f} MiB; {said}); download it again") from error


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
    top = folder
    while len(inside := sorted(top.iterdir())) == 1 and inside[0].is_dir():
        top = inside[0]
    found = [path.relative_to(folder).as_posix() + "/" * path.is_dir() for path in inside]
    held = pictures.listed(found, most=6) or "nothing"
    raise ArchiveError(f"no folder in it holds both train/ and test/; it contains {held}")


def count_images(folder: str | Path) -> dict[str, dict[str, int]]:
    """Images in each class of each split that is there: ``{"train": {"bike": 375, ...}, "test": {...}}``.

    Accents, which systems spell in two ways, come out as the shorter one (Unicode's NFC).
    """
    return {
        split: {
            unicodedata.normalize("NFC", each): len(pictures.list_pictures(here / each))
            for each in pictures.list_classes(here)
        }
        for split in SPLITS
        if (here := Path(folder) / split).is_dir()
    }


def _copy(name: str, file: str) -> re.Match[str] | None:
    pattern = _COPY.replace("PART", _PART).replace("NAME", re.escape(name))
    return re.fullmatch(pattern, unicodedata.normalize("NFC", file), re.IGNORECASE)


def _listed(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):  # not there, or not to be read
        return [file for file in os.listdir(folder) if not pictures.is_hidden(file)]
    return []


def _encoding(zip_path: Path, classes: Collection[str]) -> str | None:
    """In what the names without a flag are written: what spells the classes; else UTF-8, if it can be; else cp437."""
    possible = []
    for encoding in _ENCODINGS:
        with contextlib.suppress(UnicodeDecodeError), zipfile.ZipFile(zip_path, metadata_encoding=encoding) as archive:
            folders = {part for name in archive.namelist() for part in unicodedata.normalize("NFC", name).split("/")}
            if folders.issuperset(each for each in classes if not each.isascii()):
                return encoding
            possible.append(encoding)
    return possible[0]


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    info.filename = unicodedata.normalize("NFC", info.filename.replace("\\", "/"))  # zips made on Windows; on a Mac
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
