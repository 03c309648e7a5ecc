"""Stand-in data sets that the kit draws itself, for a lecture room without a network.

A stand-in has the layout, classes and counts of the real set and a name of its own, so that nobody takes it for the
real one. Colour, light and background are drawn alike for every class: only shape tells the classes apart.
"""

from __future__ import annotations

import functools
import os
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from helpers.datasets.standin_scene import draw_picture

__all__ = ["CLASSES", "COUNTS", "draw", "draw_digit", "draw_picture"]

CLASSES: dict[str, tuple[str, ...]] = {
    "bcdp_standin": ("bike", "cat", "dog", "person"),
    "bcdfh_standin": ("bike", "cat", "dog", "flower", "horse"),
    "digits_standin": tuple("0123456789"),
}
COUNTS: dict[str, tuple[int, int]] = {  # pictures of every class in (train, test)
    "bcdp_standin": (375, 75),
    "bcdfh_standin": (375, 75),
    "digits_standin": (600, 100),
}
LIGHT = (
    "DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral",
    "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10",
)  # fmt: skip; fonts that every matplotlib brings, Colab's 3.10 too
BOLD = ("DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "STIXGeneralBol", "STIXGeneralBolIta", "cmb10")
GLYPH = 56  # px, side of the sheet on which a digit is drawn before it is bent and shrunk


def draw(name: str, folder: str | os.PathLike[str], *, seed: int = 0) -> Path:
    """Draw a stand-in data set; the folder appears in one step, complete, and is returned.

    It holds ``train/<class>/0001.jpg ...`` and ``test/<class>/0001.jpg ...``: RGB, 100 x 100 px; of digits PNG, grey,
    28 x 28 px. Equal names and seeds give equal pictures. ValueError for a name that is not in ``CLASSES``;
    FileExistsError when there is something in ``folder`` already.
    """
    if name not in CLASSES:
        raise ValueError(f"No stand-in is called {name!r}; the kit can draw {', '.join(CLASSES)}.")
    goal = Path(folder).expanduser().resolve()
    if goal.exists() and not (goal.is_dir() and not any(goal.iterdir())):
        raise FileExistsError(f"{goal} is there already and not empty. Choose a new folder; nothing was changed.")
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{goal.name}-", dir=goal.parent) as temporary:
        drawn = Path(temporary) / name
        jobs = _jobs(name, drawn, seed)
        for class_folder in {job[0].parent for job in jobs}:
            class_folder.mkdir(parents=True)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda job: _draw_file(*job), jobs))
        if goal.exists():
            goal.rmdir()  # empty, as seen above; Windows renames nothing onto a folder
        drawn.rename(goal)
    return goal


def _jobs(name: str, folder: Path, seed: int) -> list[tuple[Path, str, list[int]]]:
    """For every picture: its file, its class, and the seed that no other picture has."""
    ending = "png" if name == "digits_standin" else "jpg"
    return [
        (folder / split / class_name / f"{index:04d}.{ending}", class_name,
         [seed, place, zlib.crc32(class_name.encode()), index])
        for place, split in enumerate(("train", "test"))
        for class_name in CLASSES[name]
        for index in range(1, COUNTS[name][place] + 1)
    ]  # fmt: skip


def _draw_file(path: Path, class_name: str, seed: list[int]) -> None:
    rng = np.random.default_rng(seed)
    if class_name.isdigit():
        draw_digit(int(class_name), rng).save(path)
    else:
        draw_picture(class_name, rng).save(path, quality=90)


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
