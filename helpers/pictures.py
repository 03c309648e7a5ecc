"""Pictures on disk: which files count, which class folders there are, and any picture file as 8-bit RGB.

``open_rgb`` is what every part of the kit decodes with: phone photos stand upright, pictures of more than 8 bits are
scaled instead of clipped, transparency becomes white, and a broken file is one sentence with the file's name in it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import threading
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# The endings that torchvision.datasets.ImageFolder counts, so that both see the same pictures.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

# What archives, file managers, disks and file servers leave behind, in small letters; names with a leading dot as well.
LITTER = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__pycache__", "lost+found", "found.000"}
    | {"$recycle.bin", "system volume information", "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot"}
)

UNLABELLED = (
    "A test set without class folders, as competitions (Kaggle) give it, has no labels: no accuracy can be computed. "
    "Keep it elsewhere, and move about a fifth of each class from train/ to a folder of the same name in test/."
)

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of the red, green and blue values of ImageNet's training images, 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)

# (offset, bytes there, what the file is); PICTURES are those that every Pillow reads.
_SIGNATURES: tuple[tuple[int, bytes | tuple[bytes, ...], str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WebP"),
    (0, (b"II*\x00", b"MM\x00*"), "TIFF"),
    (0, tuple(b"P%d%c" % (number, space) for number in range(1, 7) for space in b" \n"), "PNM"),
    (4, (b"ftyphe", b"ftypmif1"), "HEIC"),
    (4, b"ftypavi", "AVIF"),
    (4, b"jP  ", "JPEG 2000"),
    (4, b"JXL ", "JPEG XL"),
    (128, b"DICM", "DICOM"),
    (4, b"ftyp", "video"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"Rar!", "RAR archive"),
)
PICTURES = frozenset({"JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "PNM"})
_PHOTOS = PICTURES | {"HEIC", "AVIF", "JPEG 2000", "JPEG XL", "DICOM"}

_NO_PICTURE = {
    "empty": "is empty (0 bytes): copy or download it again.",
    "HEIC": "is a HEIC photo (iPhone), which Pillow does not read: save it as JPEG.",
    "web page": "is not a picture but a web page: the download went wrong, or the address was that of a page.",
    "unknown": "is damaged or is not a picture (its first bytes are none that Pillow knows).",
}

ValueRange = tuple[float, float]  # of a grey picture with more than 8 bits: what becomes black, and what white
_WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # of 8, 10, 12, 14 and 16 bits


class Header(NamedTuple):
    """What a picture file holds before any conversion."""

    format: str  # Pillow's name: "JPEG", "MPO" (a JPEG with more than one picture), "PNG", "WEBP"...
    mode: str  # Pillow's name: "RGB", "L", "P", "RGBA", "CMYK", "I;16"...
    size: tuple[int, int]  # (width, height) in px, as stored
    is_turned: bool  # EXIF says that it is to be turned or mirrored for display
    values: ValueRange | None = None  # smallest and largest one, where a grey picture has more than 8 bits


class PictureError(ValueError):
    """A file or folder that cannot be used as pictures; the message names it and the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: object) -> str:
    """``text`` with a replacement mark for every byte of a file name that is no UTF-8, which nothing could print."""
    return os.fsencode(str(text)).decode("utf-8", "replace")


def is_hidden(name: str) -> bool:
    """True for names that are never data: ``.DS_Store``, ``._cat.jpg``, ``@eaDir``, ``__MACOSX``, ``lost+found``..."""
    return name.startswith(".") or name.lower() in LITTER


def list_classes(folder: str | Path) -> list[str]:
    """Names of the class folders in ``folder``, in ``ImageFolder``'s order (class 0 first), hidden ones left out."""
    return sorted(next(_walk(folder))[1])


def class_folders(folder: str | Path) -> dict[str, list[Path]]:
    """The classes in ``folder`` by their names for people, in ``ImageFolder``'s order.

    A name that is written in two ways (an accent as a letter of its own, as macOS does) is one class of two folders.
    """
    found: dict[str, list[Path]] = {}
    for name in list_classes(folder):
        found.setdefault(unicodedata.normalize("NFC", printable(name)), []).append(Path(folder, name))
    return found


def one_level_down(classes: Mapping[str, Iterable[Path]], split: str | Path) -> str:
    """A sentence where folders in the class folders look like the classes, else "".

    ``classes`` are those in the folder ``split``, each with the paths of its pictures.
    """
    depth = len(Path(split).parts) + 1
    inner = [{path.parts[depth] if path.parts[depth + 1 :] else "" for path in paths} for paths in classes.values()]
    common = sorted(set.intersection(*inner)) if inner and not any("" in names for names in inner) else []
    if len(common) < (1 if len(classes) == 1 else 2):
        return ""
    return (
        f"One folder level too many: {listed(classes)} should hold pictures and holds folders that look like classes "
        f"({listed(common)}). Move these one level up, into {split or 'the folder'}."
    )


def listed(names: Iterable[str], most: int = 8) -> str:
    """``names`` in one line; of many only the first."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def left_out(paths: Iterable[Path], *, only_photos: bool = False) -> str:
    """What files hold that do not count as pictures by their ending, and what to do; "" where there are none."""
    kinds = Counter((path.suffix.lower() or "without ending", kind_of_file(path)) for path in paths)
    names = [f"{count} {end} ({kind})" for (end, kind), count in kinds.items() if not only_photos or kind in _PHOTOS]
    advice = "To a JPEG or PNG give the ending .jpg or .png; save other photos (HEIC of an iPhone...) as JPEG."
    return f"{listed(names)}. {advice}" if names else ""


def list_pictures(folder: str | Path) -> list[Path]:
    """Every picture file in ``folder`` and below it, in ``ImageFolder``'s order, hidden ones left out.

    A file counts by its ending (``SUFFIXES``, capital letters too). Raises OSError when a folder cannot be read.
    """
    return [path for path in list_files(folder) if is_picture_name(path.name)]


def list_files(folder: str | Path) -> list[Path]:
    """Every file in ``folder`` and below it, in ``ImageFolder``'s order, hidden ones left out."""
    return [Path(root, name) for root, _, names in sorted(_walk(folder)) for name in sorted(names)]


def is_picture_name(name: str) -> bool:
    """True when a file of this name counts as a picture (by its ending)."""
    return name.lower().endswith(SUFFIXES)


def kind_of_file(path: str | Path) -> str:
    """What a file holds, judged by its first bytes and not by its name.

    "JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF" or "PNM" (see ``PICTURES``); "HEIC", "AVIF", "video", "PDF",
    "zip archive", "RAR archive", "web page", "text"; "empty" or "unknown" (also a file that cannot be opened).
    """
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return "unknown"
    if not head:
        return "empty"
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "web page"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # may end within a character
    except UnicodeDecodeError:
        return "unknown"
    return "text" if all(letter >= " " or letter in "\t\r\n\f" for letter in text) else "unknown"


def open_rgb(path: str | Path, *, at_least: int | None = None, values: ValueRange | None = None) -> Image.Image:
    """The picture in file ``path`` as a fully decoded PIL image of mode "RGB", standing upright.

    The EXIF orientation is applied; grey, palette and CMYK are converted; transparency is laid on white; 16-bit, 32-bit
    and float values are scaled to 0..255. Of an animation the first frame is taken. May be called from many threads.
    ``at_least``: a JPEG may come at a half, a quarter or an eighth of its size, with both sides at least so many px.
    ``values``: the ``value_range`` of the data set that the file belongs to; without it, that of the file.

    Raises PictureError for everything that cannot be read: no such file, empty, truncated, not a picture, or more
    pixels than ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    return open_with_header(path, at_least=at_least, values=values)[0]


def value_range(paths: Iterable[Path]) -> ValueRange | None:
    """``usual_range`` of all grey pictures of more than 8 bits in ``paths``: None where there are none."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return usual_range(filter(None, pool.map(_deep_header, paths)))


def usual_range(headers: Iterable[Header]) -> ValueRange | None:
    """What becomes black and what white in all these pictures: one rule, so that their brightness can be compared.

    Black is 0 and white the smallest of 255, 1023, 4095, 16383, 65535 (of float values also 1) that no value exceeds.
    From the smallest to the largest value it goes where some are negative or white would be too far away: beyond
    65535, or float values that use less than a quarter.
    """
    deep = [(header.values, header.mode) for header in headers if header.values]
    if not deep:
        return None
    low, high = min(values[0] for values, _ in deep), max(values[1] for values, _ in deep)
    if low < 0:
        return low, high
    floats = any(mode == "F" for _, mode in deep)
    white = next((end for end in (1.0, *_WHITES)[not floats :] if high <= end), high)
    return 0.0, high if floats and 0 < 4 * high < white else white


def open_with_header(
    path: str | Path, *, at_least: int | None = None, values: ValueRange | None = None
) -> tuple[Image.Image, Header]:
    """``open_rgb(path)``, and what the file itself holds. Raises PictureError like ``open_rgb``."""
    try:
        with _quietly():
            image = Image.open(path)
        with image:
            if at_least:
                image.draft(None, (at_least, at_least))  # the JPEG decoder leaves out what is not needed
            return _upright_rgb(image, values)
    except PictureError as error:
        raise PictureError(f"{path} {error}") from error
    except Exception as error:  # on damaged bytes Pillow raises OSError, SyntaxError, struct.error, IndexError and more
        raise PictureError(f"{path} {_reason(path, error)}") from error


def _deep_header(path: Path) -> Header | None:
    """The header of a grey picture with more than 8 bits; None for any other file, broken ones too."""
    with contextlib.suppress(Exception), open(path, "rb") as file:
        head = file.read(25)
        if head.startswith((b"\xff\xd8\xff", b"\x89PNG")) and head[24:] != b"\x10":  # byte 24 of a PNG: its bits
            return None
        with _quietly():
            image = Image.open(path)
        with image:
            return _upright_rgb(image, None)[1] if _is_deep(image) else None
    return None


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _upright_rgb(image: Image.Image, values: ValueRange | None) -> tuple[Image.Image, Header]:
    is_cut = ";16" in str(getattr(image, "tile", "")) and not _is_deep(image)  # Pillow keeps the upper 8 of 16 bits
    # JPEG and PNG decode without a warning, so they decode outside the lock that ``_quietly`` holds.
    with contextlib.nullcontext() if image.format in ("JPEG", "PNG") else _quietly():
        image.load()
    if is_cut and np.asarray(image)[..., : -1 if image.mode.endswith("A") else None].max() < 64:
        raise PictureError(
            "has colours of 16 bits, but uses less than a quarter of them: the upper 8 bits, which Pillow reads, are "
            "nearly black. Save it with 8 bits a colour, brightened to the full range."
        )
    is_turned = _is_turned(image)
    header = Header(image.format or "", image.mode, image.size, is_turned, _extremes(image))
    upright = ImageOps.exif_transpose(image) if is_turned else image
    return _to_rgb(upright, values or usual_range([header])), header


def _is_turned(image: Image.Image) -> bool:
    metadata = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
    if image.format != "TIFF" and any(key in image.info for key in metadata):  # Pillow itself turns TIFF files
        with _quietly(), contextlib.suppress(Exception):  # damaged EXIF data: the pixels are good all the same
            return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    return False


def _to_rgb(image: Image.Image, values: ValueRange | None) -> Image.Image:
    has_transparency = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa")
    if image.mode == "RGB" and not has_transparency:
        # Pillow before 11 leaves the orientation in the TIFF object, and the next reader would turn it once more.
        return image.copy() if image.format == "TIFF" else image
    if values and _is_deep(image):
        return _eight_bits(image, *values).convert("RGB")
    if not has_transparency:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _extremes(image: Image.Image) -> ValueRange | None:
    if not _is_deep(image):
        return None
    numbers = np.asarray(image)
    finite = numbers[np.isfinite(numbers)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _eight_bits(image: Image.Image, black: float, white: float) -> Image.Image:
    """A grey picture of 16-bit, 32-bit or float values as mode "L"; what is no number becomes black."""
    numbers = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=black, posinf=white, neginf=black)
    levels = np.rint((numbers - black) * (255.0 / ((white - black) or 1.0)))
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


_warnings_lock = threading.Lock()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """No warning from Pillow, except that a decompression bomb is an error.

    The list of warning filters belongs to the whole process: threads take turns, or the last one out would leave
    another one's filters behind.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _reason(path: str | Path, error: Exception) -> str:
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        return f"has too many pixels (the limit is {limit:.0f} million): save a smaller copy of it."
    if isinstance(error, FileNotFoundError):
        return "cannot be read: there is no such file. Check the path, capital letters too."
    if isinstance(error, IsADirectoryError):
        return "cannot be read: it is a folder, not a picture."
    if isinstance(error, UnidentifiedImageError):
        kind = kind_of_file(path)
        other = f"is not a picture that Pillow reads (it holds: {kind}): save it as JPEG or PNG, or take it out."
        return _NO_PICTURE.get("unknown" if kind in PICTURES else kind, other)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})."
    detail = str(error).rstrip(".") or type(error).__name__
    return f"cannot be decoded ({detail}): it is probably damaged, copy or download it again."


def _walk(folder: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk`` as ImageFolder does it: follows links; without hidden names, and with every error raised."""

    def refuse(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield root, folders, [name for name in names if not is_hidden(name)]
        for inner in (Path(root, name) for name in folders):
            if inner.is_symlink() and inner.resolve() in map(Path.resolve, inner.parents):
                raise PictureError(f"{inner} leads back to a folder in which it lies: remove this link.")
