"""What ``doctor.examine`` looks for: one function a question, each gives the problems that it finds."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from helpers import pictures
from helpers.doctor import lookalikes

SMALLEST, LARGEST = 32, 4000  # px, a side
LONGEST = 3.0  # long side / short side
MOST_UNEVEN = 3.0  # pictures of the largest class / of the smallest
FEWEST = 10  # pictures a class
EXAMPLES = 3

_MODES = (
    ("grey", "Grey pictures", {"1", "L", "LA"}, "They become RGB with three equal channels."),
    ("palette", "Pictures with a colour palette", {"P", "PA"}, "They become RGB."),
    ("transparent", "Pictures with transparency", {"RGBA", "RGBa", "LA", "PA"}, "They are laid on white."),
    ("cmyk", "CMYK pictures (made for print)", {"CMYK"}, "They become RGB; colours may shift a little."),
)


@dataclass(frozen=True)
class Problem:
    """One kind of finding: ``files`` are the paths concerned, relative to the folder and with ``/``."""

    kind: str
    files: tuple[str, ...]
    message: str
    severity: str  # "error": mend it before training; "warning": results may suffer; "note": good to know
    examples: tuple[str, ...] = ()  # what the report prints below the message


class Entry(NamedTuple):
    """One file: its split ("train"), its class, and its path relative to the folder."""

    split: str
    label: str
    name: str


class Seen(NamedTuple):
    """One picture that could be read."""

    entry: Entry
    header: pictures.Header
    fingerprint: bytes
    thumbnail: np.ndarray

    @property
    def size(self) -> str:
        return "{}x{} px".format(*self.header.size)


class Broken(NamedTuple):
    """One file that could not be read: what it holds (``pictures.kind_of_file``), and why."""

    entry: Entry
    holds: str
    reason: str


def read(folder: Path, entry: Entry) -> Seen | Broken:
    """Decode one picture, once, and keep what the checks need of it."""
    path = folder / entry.name
    try:
        image, header = pictures.open_with_header(path)
    except pictures.PictureError as error:
        return Broken(entry, pictures.kind_of_file(path), str(error).removeprefix(f"{path} "))
    return Seen(entry, header, lookalikes.fingerprint(image), lookalikes.thumbnail(image))


def unreadable(broken: list[Broken]) -> Iterator[Problem]:
    """Files with the ending of a picture that stop the training."""
    damaged = [one for one in broken if one.holds in pictures.PICTURES | {"unknown"}]
    empty = [one for one in broken if one.holds == "empty"]
    foreign = [one for one in broken if one.holds not in pictures.PICTURES | {"unknown", "empty"}]
    advice = "Training stops at them: copy or download them again, or take them out."
    for kind, what, found in (
        ("unreadable", "Pictures that cannot be read", damaged),
        ("empty_file", "Empty files", empty),
        ("not_a_picture", "Files that have only the name of a picture", foreign),
    ):
        yield from _listed(kind, "error", what, found, advice, lambda one: one.reason.rsplit(":", 1)[0])


def skipped(folder: Path, entries: list[Entry]) -> Iterator[Problem]:
    """Files in class folders whose ending does not count as a picture's."""
    found = [Broken(entry, pictures.kind_of_file(folder / entry.name), "") for entry in entries]
    advice = f"Rename them or save them anew; these count: {' '.join(pictures.SUFFIXES)}."
    other = "They are skipped: save HEIC photos as JPEG, and take out what is no photo."
    for kind, what, is_picture, what_to_do in (
        ("wrong_extension", "Pictures that are skipped because of their ending", True, advice),
        ("other_file", "Files in class folders that are no pictures", False, other),
    ):
        some = [one for one in found if (one.holds in pictures.PICTURES) == is_picture]
        yield from _listed(kind, "warning", what, some, what_to_do, lambda one: f"(holds: {one.holds})")


def formats(seen: list[Seen]) -> Iterator[Problem]:
    """Endings that do not fit the content, colour modes that are converted, EXIF rotation."""
    usual = Image.registered_extensions()  # {".jpg": "JPEG", ...}
    lying = [
        one
        for one in seen  # MPO is a JPEG that holds more than one picture, as some phones save it
        if usual.get(Path(one.entry.name).suffix.lower()) != one.header.format.replace("MPO", "JPEG")
    ]
    yield from _listed("wrong_extension", "warning", "Pictures whose ending does not fit what they hold", lying,
                       "The kit reads them, other programs may not: rename them.",
                       lambda one: f"(holds {one.header.format})")  # fmt: skip
    for kind, what, modes, effect in _MODES:
        yield from _listed(kind, "note", what, [one for one in seen if one.header.mode in modes], effect)
    deep = [one for one in seen if one.header.values]
    if values := pictures.usual_range(one.header for one in deep):
        advice = (
            f"One range for all: {values[0]:g} becomes black, {values[1]:g} white; ImageFolder may show them black."
        )
        yield from _listed("16-bit", "warning", "Grey pictures of more than 8 bits", deep, advice,
                           lambda one: "({:g} to {:g})".format(*one.header.values))  # fmt: skip
    turned = [one for one in seen if one.header.is_turned]
    yield from _listed("rotated", "note", "Photos stored on their side or upside down", turned,
                       "The kit turns them as their EXIF data say; torchvision's ImageFolder does not.")  # fmt: skip


def sizes(seen: list[Seen]) -> Iterator[Problem]:
    """Pictures that are very small, very large or very long, and sizes that differ."""
    by_area = sorted(seen, key=lambda one: one.header.size[0] * one.header.size[1])
    tiny = [one for one in by_area if min(one.header.size) < SMALLEST]
    huge = [one for one in by_area if max(one.header.size) > LARGEST]
    long = [one for one in by_area if max(one.header.size) > LONGEST * min(one.header.size)]
    yield from _listed("tiny", "warning", f"Pictures smaller than {SMALLEST} px", tiny,
                       "Enlarged they are a blur: look for larger ones.", lambda one: one.size)  # fmt: skip
    yield from _listed("huge", "note", f"Pictures larger than {LARGEST} px", huge,
                       "They load slowly: smaller copies do as well.", lambda one: one.size)  # fmt: skip
    yield from _listed("long", "note", f"Pictures more than {LONGEST:g} times as long as wide", long,
                       "Made square, they lose most of what they show.", lambda one: one.size)  # fmt: skip
    if len({one.header.size for one in seen}) > 1:
        message = f"Sizes differ, from {by_area[0].size} to {by_area[-1].size}: the loader makes them equal."
        yield Problem("mixed_sizes", (by_area[0].entry.name, by_area[-1].entry.name), message, "note")


def depth(split: str, entries: list[Entry]) -> Iterator[Problem]:
    """Class folders in which the classes are."""
    classes: dict[str, list[Path]] = defaultdict(list)
    for entry in (entry for entry in entries if entry.split == split):
        classes[entry.label].append(Path(entry.name))
    if sentence := pictures.one_level_down(classes, split):
        yield Problem("level", (), sentence, "error" if len(classes) == 1 else "warning")


def balance(counts: dict[str, dict[str, int]]) -> Iterator[Problem]:
    """Classes that are empty, missing in one split, small, or much smaller than another."""
    every_class = sorted({label for classes in counts.values() for label in classes})
    if len(every_class) == 1:
        message = f"There is a single class ({every_class[0]}): every answer is right, 100 % accuracy means nothing."
        yield Problem("single_class", (), message, "error")
    if not every_class:
        message = f"No class folders in {' and '.join(counts)}: make one for each class, and move the pictures there."
        yield Problem("missing_class", (), message, "error")
    first = next(iter(counts), "")
    for split, classes in counts.items():
        if len(counts) > 1 and len(counts[first]) > 1 and classes.keys().isdisjoint(counts[first]):
            message = f"{split} holds none of the classes of {first}: {pictures.listed(counts[first])}."
            yield Problem("missing_class", (), f"{message} {pictures.UNLABELLED}", "error")
            continue
        missing = [label + _similar(label, classes) for label in every_class if label not in classes]
        empty = [label for label, count in classes.items() if count == 0]
        few = [f"{label} ({count})" for label, count in classes.items() if 0 < count < FEWEST]
        for kind, severity, what, names, advice in (
            ("missing_class", "error", "Classes missing in", missing, "Every split must hold the same class folders."),
            ("empty_class", "error", "Empty class folders in", empty, "Add pictures; remove only what is empty."),
            ("too_few", "warning", f"Classes with fewer than {FEWEST} pictures in", few, "Collect more of them."),
        ):
            if names:
                yield Problem(kind, (), f"{what} {split or 'the folder'}: {pictures.listed(names)}. {advice}", severity)
        yield from _uneven(split, {label: count for label, count in classes.items() if count})


def copies(seen: list[Seen]) -> Iterator[Problem]:
    """The same picture under two classes, in two splits, or just twice; and near copies across splits."""
    by_pixels: dict[bytes, list[Seen]] = defaultdict(list)
    for one in seen:
        by_pixels[one.fingerprint].append(one)
    groups = list(by_pixels.values())
    conflicts = [group for group in groups if _differ(group, "label")]
    agreeing = [group for group in groups if len(group) > 1 and not _differ(group, "label")]
    leaks = [group for group in agreeing if _differ(group, "split")]
    twins = [group for group in agreeing if not _differ(group, "split")]
    near = _near_copies([group[0] for group in groups])
    too_good = "Delete the one in train, or the test result is too good."
    for kind, severity, what, found, advice in (
        ("label_conflict", "error", "The same picture under two classes", conflicts, "Delete it where it is wrong."),
        ("leak", "warning", "The same picture in train and test", leaks, too_good),
        ("near_leak", "warning", "Nearly the same picture in train and test", near, f"Look at the pairs. {too_good}"),
        ("duplicate", "note", "The same picture twice in a class", twins, "It weighs double: keep one."),
    ):
        if found:
            files = tuple(one.entry.name for group in found for one in group)
            examples = tuple(" = ".join(one.entry.name for one in group[:4]) for group in found[:EXAMPLES])
            yield Problem(kind, files, f"{what}: {len(found)}. {advice}", severity, examples)


def _listed(
    kind: str, severity: str, what: str, found: list, advice: str, remark: Callable[..., str] = lambda one: ""
) -> Iterator[Problem]:
    """One problem for all of ``found`` (with an ``entry`` each), or none; ``remark`` follows the name in an example."""
    if found:
        files = tuple(one.entry.name for one in found)
        examples = tuple(f"{one.entry.name} {remark(one)}".strip() for one in found[:EXAMPLES])
        yield Problem(kind, files, f"{what}: {len(found)}. {advice}", severity, examples)


def _uneven(split: str, classes: dict[str, int]) -> Iterator[Problem]:
    smallest, largest = (choose(classes, key=classes.__getitem__, default="") for choose in (min, max))
    if classes and classes[largest] > MOST_UNEVEN * classes[smallest]:
        message = (
            f"Uneven classes in {split or 'the folder'}: {largest} has {classes[largest]} pictures, {smallest} only "
            f"{classes[smallest]}. The network will prefer the large class: add pictures to the small one, and look "
            "at the confusion matrix, not at the accuracy alone."
        )
        yield Problem("imbalance", (), message, "warning")


def _near_copies(seen: list[Seen]) -> list[list[Seen]]:
    """Pairs across the first split and the others, for one of each group of exact copies."""
    first = [one for one in seen if one.entry.split == seen[0].entry.split]
    others = [one for one in seen if one.entry.split != seen[0].entry.split]
    if not others:
        return []
    pairs = lookalikes.near_copies(*(np.stack([one.thumbnail for one in part]) for part in (first, others)))
    return [[first[i], others[j]] for i, j in pairs]


def _differ(group: list[Seen], what: str) -> bool:
    return len({getattr(one.entry, what) for one in group}) > 1


def _similar(label: str, classes: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in classes}
    similar = difflib.get_close_matches(label.lower(), by_lower, n=1, cutoff=0.7)
    return f" (there is {by_lower[similar[0]]!r}: the same class?)" if similar else ""
