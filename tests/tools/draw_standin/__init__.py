"""Draws the stand-in data sets that the kit ships; ``python tests/tools/draw_standin FOLDER`` writes the two files.

Colour, light and background are drawn alike for every class: only shape tells the classes apart. Every image has a
seed of its own, so that the same image comes out on every machine (a JPEG's bytes depend on the libjpeg beneath).
"""

from __future__ import annotations

import functools
import io
import os
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .scene import draw_picture

CLASSES = ("bike", "cat", "dog", "flower", "horse", "person")
COUNTS = {"train": 375, "test": 75}  # images of every class
DIGIT_COUNTS = {"train": 600, "test": 100}
QUALITY = 68  # of the JPEG files: what keeps both files together under 9 MiB
EXAMPLES = (1, 0)  # seeds of the lossless examples; so ordered, default_rng(0) picks seed 0's, default_rng(1) seed 1's
LIGHT = (
    "DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral",
    "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10",
)  # fmt: skip; fonts that every matplotlib brings, Colab's 3.10 too
BOLD = ("DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "STIXGeneralBol", "STIXGeneralBolIta", "cmb10")
GLYPH = 56  # px, side of the sheet on which a digit is drawn before it is bent and shrunk


def write(folder: Path) -> list[Path]:
    """Draw everything into ``folder`` (a minute or two); returns the two files, ready for ``helpers/datasets``."""
    folder.mkdir(parents=True, exist_ok=True)
    images, digits = folder / "standin.zip", folder / "digits_standin.npz"
    jobs = [(split, name, i) for split, count in COUNTS.items() for name in CLASSES for i in range(1, count + 1)]
    with ThreadPoolExecutor(os.cpu_count()) as pool, zipfile.ZipFile(images, "w") as archive:
        jpegs = pool.map(lambda job: _jpeg(standin_image(*job)), jobs)
        for (split, name, index), jpeg in zip(jobs, jpegs, strict=True):
            _add(archive, f"{split}/{name}/{index:04d}.jpg", jpeg)
        for name in CLASSES:
            for index, seed in enumerate(EXAMPLES):
                _add(archive, f"examples/{name}/{index}.png", _png(draw_picture(name, np.random.default_rng(seed))))
    np.savez_compressed(digits, **{split: standin_digits(split) for split in DIGIT_COUNTS})
    return [images, digits]


def standin_image(split: str, name: str, index: int) -> Image.Image:
    """The image that lies in the data set as ``split/name/index.jpg``: RGB, 100 x 100 px."""
    return draw_picture(name, _rng(split, name, index))


def standin_digits(split: str, count: int | None = None) -> np.ndarray:
    """The first ``count`` drawings (all by default) of each digit, uint8 ``(10, count, 28, 28)``."""
    indices = range(1, (count or DIGIT_COUNTS[split]) + 1)
    return np.stack([[np.asarray(draw_digit(d, _rng(split, str(d), i))) for i in indices] for d in range(10)])


def _rng(split: str, name: str, index: int) -> np.random.Generator:
    return np.random.default_rng([0, list(COUNTS).index(split), zlib.crc32(name.encode()), index])


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content)  # a ZipInfo has a date that never changes; stored as it is


def _jpeg(image: Image.Image) -> bytes:
    image.save(buffer := io.BytesIO(), "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    image.save(buffer := io.BytesIO(), "PNG", optimize=True)
    return buffer.getvalue()


def draw_digit(digit: int, rng: np.random.Generator) -> Image.Image:
    """One digit, white on black as in MNIST: 28 x 28 px, mode "L". ValueError for anything but 0 to 9.

    Fonts are those of matplotlib; slant, size, thickness and place vary, and the shape is bent as a hand would.
    """
    if digit not in range(10):
        raise ValueError(f"A digit is 0, 1, ... 9, not {digit!r}.")
    font = (*LIGHT, *BOLD)[rng.integers(len(LIGHT) + len(BOLD))]
    glyph = _bent(_glyph(font, int(digit)), rng)
    if font in LIGHT and rng.random() < 0.5:
        glyph = glyph.filter(ImageFilter.MaxFilter(3))
    zoom, angle, shear = rng.normal(1, 0.1), rng.normal(0, 0.18), rng.normal(0, 0.2)
    to_glyph = GLYPH / 28 / zoom * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_glyph = [[1, shear], [0, 1]] @ to_glyph * (rng.uniform(0.8, 1.25), 1)
    offset = GLYPH / 2 - to_glyph @ (rng.normal(14, 1.2, 2))
    (a, b), (c, d) = to_glyph
    small = glyph.filter(ImageFilter.BoxBlur(0.5)).transform(
        (28, 28), Image.Transform.AFFINE, (a, b, offset[0], c, d, offset[1]), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(small, np.float32) * rng.uniform(0.8, 1.1) + rng.uniform(0, 12) * rng.standard_normal((28, 28))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _bent(glyph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The glyph on a rubber sheet: a grid of 4 x 4 cells whose knots are shifted a little."""
    knots = np.stack(np.meshgrid(*[np.linspace(0, GLYPH, 5)] * 2), axis=-1)
    moved = knots + rng.normal(0, GLYPH / 30, knots.shape)
    mesh = [
        ((*map(int, knots[i, j]), *map(int, knots[i + 1, j + 1])),
         [float(v) for knot in ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)) for v in moved[knot]])
        for i in range(4) for j in range(4)
    ]  # fmt: skip
    return glyph.transform(glyph.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


@functools.cache
def _glyph(font_name: str, digit: int) -> Image.Image:
    """A digit of a font, white on black, its box centred on a sheet of GLYPH x GLYPH px, two thirds as tall."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font_name}.ttf"
    sheet = Image.new("L", (2 * GLYPH, 2 * GLYPH))
    font = ImageFont.truetype(str(path), GLYPH)
    ImageDraw.Draw(sheet).text((GLYPH // 2, GLYPH // 2), str(digit), fill=255, font=font)
    ink = sheet.crop(sheet.getbbox())
    height = GLYPH * 20 // 28  # MNIST: the ink is 20 of 28 px tall
    ink = ink.resize((max(1, min(height, round(ink.width * height / ink.height))), height), Image.Resampling.LANCZOS)
    glyph = Image.new("L", (GLYPH, GLYPH))
    glyph.paste(ink, ((GLYPH - ink.width) // 2, (GLYPH - ink.height) // 2))
    return glyph
