"""Which data sets the kit knows, and what it knows of each; ``helpers.datasets.fetch`` brings them.

``datasets.md`` says the same for people, with the rights.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from helpers.datasets import download

Counts = dict[str, dict[str, int]]  # {"train": {"bike": 375, ...}, "test": {...}}

_COURSE = "https://analytics.drake.edu/~reza/teaching/cs167_fall24/dataset"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """One entry of the catalogue; ``None`` and empty mean "not known"."""

    name: str
    classes: tuple[str, ...]
    train_per_class: int | None = None  # only the sum over all classes is compared
    test_per_class: int | None = None
    urls: tuple[str, ...] = ()  # also of files on Google Drive: https://drive.google.com/uc?id=ID
    sha256: str | None = None  # of the zip, hex
    standin: str | None = None  # the drawn data set to work with in its place, when asked for it by name
    drawn: bool = False  # comes with the kit
    least_classes: int = 0  # where the names are not certain: so many, of any names, are enough
    about: str = ""

    @property
    def train_size(self) -> int | None:
        """Training pictures in all classes."""
        return self.train_per_class and self.train_per_class * len(self.classes)

    @property
    def test_size(self) -> int | None:
        """Test pictures in all classes."""
        return self.test_per_class and self.test_per_class * len(self.classes)

    def fault(self, counts: Counts) -> str:
        """Why a folder with these pictures is not this data set; empty when it is."""
        for split in ("train", "test"):
            if split not in counts:
                return f"it has no folder {split}/"
            there = {each for each, count in counts[split].items() if count}
            if len(there) < self.least_classes:
                return f"{split}/ has pictures of {len(there)} classes, where {self.least_classes} or more are expected"
            any_names = sorted({each for split in counts.values() for each, count in split.items() if count})
            if missing := [each for each in (any_names if self.least_classes else self.classes) if each not in there]:
                names = ", ".join(counts[split]) or "none"
                return f"{split}/ has no pictures of {', '.join(missing)} (class folders there: {names})"
        return ""

    def difference(self, counts: Counts) -> str:
        """How these pictures differ from what the catalogue expects, as a sentence; empty when they do not."""
        train, test = sum(counts["train"].values()), sum(counts["test"].values())
        expected = (self.train_size or train, self.test_size or test)
        classes = sorted({*counts["train"], *counts["test"]})
        told = []
        if (train, test) != expected:
            told.append(
                "it has {} training and {} test pictures, where {} and {} are expected".format(train, test, *expected)
            )
        if classes != sorted(self.classes):
            mine, wanted = (f"the {len(names)} classes {', '.join(names)}" for names in (classes, self.classes))
            told.append(f"it has {mine}, where {wanted} are expected")
        return "; ".join(told)


_BCDP, _BCDFH = ("bike", "cat", "dog", "person"), ("bike", "cat", "dog", "flower", "horse")
_DRAWN = "Colour pictures of 100x100 px that the kit draws itself."
_KIT = (
    DataSet(
        "bcdp_v1", _BCDP, 375, 75, urls=(f"{_COURSE}/bcdp_v1.zip",), standin="bcdp_standin", least_classes=4,
        about="Colour photos of 100x100 px from the course CS 167, Drake University. No licence is stated.",
    ),
    DataSet(
        "bcdfh_v1", _BCDFH, urls=(f"{_COURSE}/bcdfh_v1.zip",), standin="bcdfh_standin", least_classes=2,
        about="The five-class sibling of bcdp_v1. Its address and classes are a guess by analogy, not verified.",
    ),
    DataSet("bcdp_standin", _BCDP, 375, 75, drawn=True, about=_DRAWN),
    DataSet("bcdfh_standin", _BCDFH, 375, 75, drawn=True, about=_DRAWN),
    DataSet(
        "digits_standin", tuple("0123456789"), 600, 100, drawn=True,
        about="Grey digits of 28x28 px, as in MNIST, that the kit draws itself.",
    ),
)  # fmt: skip
_entries = {entry.name: entry for entry in _KIT}


def names() -> list[str]:
    """The names that ``fetch`` knows, the kit's own first."""
    return list(_entries)


def known(name: str) -> bool:
    """True when there is a data set of this name."""
    return name in _entries


def look_up(name: str) -> DataSet:
    """The entry of a name; ValueError with the names there are for any other."""
    if name in _entries:
        return _entries[name]
    close = difflib.get_close_matches(str(name), _entries, n=1)
    raise ValueError(
        f"There is no data set {name!r}{f'; did you mean {close[0]!r}?' if close else '.'} "
        f"There are {', '.join(_entries)}. datasets.register(...) adds one of your own; "
        f"MNIST, FashionMNIST and CIFAR10 come from torchvision.datasets."
    )


def describe(name: str) -> str:
    """What the catalogue knows of a data set, for reading."""
    entry = look_up(name)
    sizes = [f"{size} {what}" for size, what in ((entry.train_size, "training"), (entry.test_size, "test")) if size]
    lines = [
        f"{name}: {len(entry.classes)} classes ({', '.join(entry.classes)}), "
        + (f"{' and '.join(sizes)} pictures" if sizes else "number of pictures not known"),
        entry.about,
        *(f"Address: {url}" for url in addresses(entry)),
        "" if entry.drawn else f"SHA-256 of the zip: {entry.sha256 or 'not known'}",
    ]
    return "\n".join(line for line in lines if line)


def addresses(entry: DataSet) -> list[str]:
    """Where ``fetch`` asks for the zip, in this order: KIT_MIRROR first, when it is set to an address."""
    mirror = os.environ.get("KIT_MIRROR", "").strip().rstrip("/")
    if entry.drawn or not mirror or mirror_folder():
        return list(entry.urls)
    if not _is_web_address(mirror):
        raise ValueError(
            f"KIT_MIRROR is {mirror!r}; it should be a web address that starts with https://, or the path of a folder "
            "that is there. (On a Drive that is not mounted there is none.)"
        )
    return [f"{mirror}/{entry.name}.zip", *entry.urls]


def mirror_folder() -> Path | None:
    """The folder on this machine, or on its Drive, that KIT_MIRROR names; None when it names none."""
    folder = os.path.expanduser(os.environ.get("KIT_MIRROR", "").strip())
    return Path(folder).absolute() if folder and os.path.isdir(folder) else None


def first_url(name: str) -> str | None:
    """The address that ``fetch`` asks first, or None when it asks none."""
    return next(iter(addresses(look_up(name))), None)


def register(
    name: str,
    *,
    classes: Sequence[str] = (),
    train_per_class: int | None = None,
    test_per_class: int | None = None,
    urls: Sequence[str] = (),
    drive_id: str | None = None,
    sha256: str | None = None,
    about: str = "",
) -> DataSet:
    """Add a data set of one's own for this session, or give one of the kit's another address; again replaces it.

    ``drive_id`` and any of ``urls`` may be the share link of a file on Google Drive. Without them the zip has to lie on
    the machine, on the Drive or on KIT_MIRROR. Of the kit's own data sets only these and ``sha256`` can be set; they
    take the place of what the catalogue has. Raises ValueError for what cannot work.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(f"The name {name!r} becomes a folder's name; use letters, digits, '_', '-' and '.' only.")
    own = next((entry for entry in _KIT if entry.name == name), None)
    if own and (own.drawn or classes or not (urls or drive_id)):
        raise ValueError(
            f"{name!r} is one of the kit's own data sets; choose another name, or set KIT_MIRROR, "
            "or its urls or drive_id alone."
        )
    if not own and (isinstance(classes, str) or not classes or len(set(classes)) < len(classes)):
        raise ValueError(f"classes is {classes!r}; it should be a list of different names, like ['ant', 'bee'].")
    if isinstance(urls, str) or not all(_is_web_address(url) for url in urls):
        raise ValueError(f"urls is {urls!r}; it should be a list of web addresses that start with https://.")
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ValueError(f"sha256 is {sha256!r}; it should be the 64 hex digits that sha256sum prints.")
    links = [*urls, *([_drive_link(drive_id)] if drive_id else [])]
    places = tuple(_drive_link(url) if "://drive.google.com/" in url else url for url in links)
    names = tuple(unicodedata.normalize("NFC", each) for each in classes)
    entry = DataSet(name, names, train_per_class, test_per_class, places, sha256, about=about)
    _entries[name] = dataclasses.replace(own, urls=places, sha256=sha256) if own else entry
    return _entries[name]


def _drive_link(given: str) -> str:
    found = given if re.fullmatch(r"[\w-]+", given) else download.drive_id(given)
    if not found:
        raise ValueError(
            f"drive_id is {given!r}; it should be a file's share link on Google Drive (not a folder's), or its ID."
        )
    return f"https://drive.google.com/uc?id={found}"


def _is_web_address(url: str) -> bool:
    return bool(re.match(r"https?://[^/\s:\[\]]+(:\d+)?(/|$)", url))
