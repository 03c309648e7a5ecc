"""Pictures on disk: which files count, which class folders there are, and any picture file as 8-bit RGB.

``open_rgb`` is what every part of the kit decodes with: phone photos stand upright, 16-bit pictures are scaled
instead of clipped, transparency becomes white, and a broken file is one sentence with the file's name in it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

# The endings that torchvision.datasets.ImageFolder counts, so that both see the same pictures.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

# What an archive, a file manager or Drive leaves behind; names with a leading dot are skipped as well.
LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "Icon\r"})

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of the red, green and blue values of ImageNet's training images, 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)

_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")

# (offset, first bytes, what the file is); PICTURES are those that every Pillow reads.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "video"),
    (4, b"moov", "video"),
    (8, b"AVI ", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"Rar!", "RAR archive"),
)
_PNM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
PICTURES = frozenset({"JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "PNM"})


class Header(NamedTuple):
    """What a picture file holds before any conversion."""

    format: str  # Pillow's name: "JPEG", "MPO" (a JPEG with more than one picture), "PNG", "WEBP"...
    mode: str  # Pillow's name: "RGB", "L", "P", "RGBA", "CMYK", "I;16"...
    size: tuple[int, int]  # (width, height) in px, as stored
    is_turned: bool  # EXIF says that it is to be turned or mirrored for display


class PictureError(ValueError):
    """A file that should be a picture cannot be read as one; the message names the file and the reason."""


def is_hidden(name: str) -> bool:
    """True for names that are never data: ``.DS_Store``, ``._cat.jpg``, ``.ipynb_checkpoints``, ``__MACOSX``..."""
    return name.startswith(".") or name in LITTER


def list_classes(folder: str | Path) -> list[str]:
    """Names of the class folders in ``folder``, in ``ImageFolder``'s order (class 0 first), hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))


def list_pictures(folder: str | Path) -> list[Path]:
    """Every picture file in ``folder`` and below it, in ``ImageFolder``'s order, hidden ones left out.

    A file counts by its ending (``SUFFIXES``, capital letters too). Raises OSError when a folder cannot be read.
    """
    return [path for path in list_files(folder) if is_picture_name(path.name)]


def list_files(folder: str | Path) -> list[Path]:
    """Every file in ``folder`` and below it, in ``ImageFolder``'s order, hidden ones left out."""
    return [Path(root, name) for root, names in sorted(_walk(folder)) for name in sorted(names)]


def is_picture_name(name: str) -> bool:
    """True when a file of this name counts as a picture (by its ending)."""
    return name.lower().endswith(SUFFIXES)


def kind_of_file(path: str | Path) -> str:
    """What a file holds, judged by its first bytes and not by its name.

    "JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF" or "PNM" (see ``PICTURES``); "HEIC", "AVIF", "SVG", "video", "PDF",
    "web page", "text", "... archive"; "empty" or "unknown".
    """
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "empty"
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if head[:2] in _PNM and head[2:3].isspace():
        return "PNM"
    return _kind_of_text(head)


def open_rgb(path: str | Path, *, at_least: int | None = None) -> Image.Image:
    """The picture in file ``path`` as a fully decoded PIL image of mode "RGB", standing upright.

    The EXIF orientation is applied; grey, palette and CMYK are converted; transparency is laid on white; 16-bit, 32-bit
    and float values are scaled to 0..255. Of an animation the first frame is taken. May be called from many threads.
    ``at_least``: a JPEG may come at a half, a quarter or an eighth of its size, with both sides at least so many px.

    Raises PictureError for everything that cannot be read: no such file, empty, truncated, not a picture, or more
    pixels than ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    return open_with_header(path, at_least=at_least)[0]


def open_with_header(path: str | Path, *, at_least: int | None = None) -> tuple[Image.Image, Header]:
    """``open_rgb(path)``, and what the file itself holds. Raises PictureError like ``open_rgb``."""
    try:
        with _quietly():
            image = Image.open(path)
        with image:
            if at_least:
                image.draft(None, (at_least, at_least))  # the JPEG decoder leaves out what is not needed
            return _upright_rgb(image)
    except Exception as error:  # on damaged bytes Pillow raises OSError, SyntaxError, struct.error, IndexError and more
        raise PictureError(f"{path} {_reason(path, error)}") from error


def _upright_rgb(image: Image.Image) -> tuple[Image.Image, Header]:
    # JPEG and PNG decode without a warning, so they decode outside the lock that ``_quietly`` holds.
    with contextlib.nullcontext() if image.format in ("JPEG", "PNG") else _quietly():
        image.load()
    turn = _UPRIGHT.get(_orientation(image))
    header = Header(image.format or "", image.mode, image.size, turn is not None)
    rgb = _to_rgb(image)
    if turn is None:
        return rgb, header
    turned = rgb.transpose(turn)
    for key in _METADATA:  # or the next reader would turn it once more
        turned.info.pop(key, None)
    return turned, header


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF" or not any(key in image.info for key in _METADATA):
        return 1  # Pillow itself turns TIFF files while it decodes them
    with _quietly():
        try:
            return image.getexif().get(_ORIENTATION, 1)
        except Exception:  # damaged EXIF data: any error at all, and the pixels are good all the same
            return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    has_transparency = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa")
    if image.mode == "RGB" and not has_transparency:
        # Pillow before 11 leaves the orientation in the TIFF object, and the next reader would turn it once more.
        return image.copy() if image.format == "TIFF" else image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    if not has_transparency:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16-bit, 32-bit or float values as mode "L"; its range is the smallest usual one that fits."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if image.mode.startswith("I;16"):
        white = 65535.0
    else:
        largest = float(values.max(initial=0.0))
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((end for end in ranges if largest <= end), largest)
    return Image.fromarray(np.clip(np.rint(values * (255.0 / white)), 0, 255).astype(np.uint8))


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
        return _not_a_picture(kind_of_file(path))
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})."
    detail = str(error).rstrip(".") or type(error).__name__
    return f"cannot be decoded ({detail}): it is probably damaged, copy or download it again."


def _not_a_picture(kind: str) -> str:
    if kind == "empty":
        return "is empty (0 bytes): copy or download it again."
    if kind == "HEIC":
        return "is a HEIC photo (iPhone), which Pillow does not read: save it as JPEG."
    if kind == "web page":
        return "is not a picture but a web page: the download went wrong, or the address was that of a page."
    if kind == "unknown" or kind in PICTURES:
        return "is damaged or is not a picture (its first bytes are none that Pillow knows)."
    return f"is not a picture that Pillow reads (it holds: {kind}): save it as JPEG or PNG, or take it out."


def _kind_of_text(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "web page"
    if b"<svg" in start:
        return "SVG"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # may end within a character
    except UnicodeDecodeError:
        return "unknown"
    return "text" if all(letter >= " " or letter in "\t\r\n\f" for letter in text) else "unknown"


def _walk(folder: str | Path) -> Iterator[tuple[str, list[str]]]:
    """(folder, file names) like ``os.walk``: follows links as ImageFolder does, skips hidden names, lets errors out."""

    def stop(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield root, [name for name in names if not is_hidden(name)]
