"""The scene of a stand-in picture: background, clutter, light, shadow, and the camera's blur and grain."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from .pen import CIRCLE, Colour, Pen, some_coat, some_colours
from .shapes import FIGURES

SIDE, FINE = 100, 2  # px; figures are drawn FINE times as large, so that edges come out smooth
Plane = np.ndarray  # (100, 100), or of colours (3, 100, 100); float32


def draw_picture(class_name: str, rng: np.random.Generator) -> Image.Image:
    """One picture of a class, 100 x 100 px, RGB. ValueError for a class that the kit cannot draw."""
    if class_name not in FIGURES:
        raise ValueError(f"The kit cannot draw {class_name!r}; it can draw {', '.join(FIGURES)}.")
    coat, light = some_coat(rng), rng.uniform(-1, 1)
    scale, (x, y) = rng.uniform(0.55, 0.98), rng.uniform(-1, 1, 2)
    x, y = x * max(1.05 - scale, 0.12), y * max(1.05 - scale, 0.12)
    foot = (1 + y + scale) / 2  # where the figure stands, 0 = top, 1 = bottom
    canvas = _background(rng, coat.main, foot)
    behind, pen = Pen(SIDE * FINE), Pen(SIDE * FINE)
    for _ in range(rng.integers(0, 6)):
        _clutter(behind, rng, reach=1.1, size=rng.uniform(0.1, 0.5))
    canvas = _blurred(_lay(canvas, behind, rng, light), rng.uniform(0.3, 1.6))
    mirror = 1 if rng.random() < 0.5 else -1
    figure = pen.moved(x, y, scale=scale, angle=rng.normal(0, 0.1), stretch=mirror * rng.uniform(0.88, 1.12))
    FIGURES[class_name](figure, rng, coat)
    for _ in range(rng.integers(0, 3)):
        _clutter(pen, rng, reach=0.9, size=rng.uniform(0.08, 0.25))
    return _photograph(_lay(canvas, pen, rng, light, foot=foot), rng)


@functools.cache
def _grid() -> tuple[Plane, Plane]:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / (SIDE - 1)  # 0 to 1
    return y, x


@functools.cache
def _field(rows: int, columns: int) -> np.ndarray:
    """Smooth noise (400, 400), ``rows`` x ``columns`` random values to every (100, 100): made once, cut from often."""
    coarse = np.random.default_rng([rows, columns]).standard_normal((4 * rows, 4 * columns), np.float32)
    return np.asarray(Image.fromarray(coarse).resize((4 * SIDE, 4 * SIDE), Image.Resampling.BICUBIC))


def _clouds(rng: np.random.Generator, *octaves: tuple[int, int]) -> Plane:
    """Smooth noise around 0: (rows, columns) of random values for every octave, each half as strong as the last."""
    total = 0
    for index, cells in enumerate(octaves):
        y, x = rng.integers(3 * SIDE, size=2)
        total = total + _field(*cells)[y : y + SIDE, x : x + SIDE] / 2**index
    return total


def _image(plane: Plane) -> Image.Image:
    pixels = plane.clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)) if plane.ndim == 3 else pixels)


def _array(image: Image.Image) -> Plane:
    pixels = np.asarray(image)
    return (pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels).astype(np.float32, order="C")


def _blurred(plane: Plane, radius: float) -> Plane:
    return _array(_image(plane).filter(ImageFilter.BoxBlur(radius)))


def _background(rng: np.random.Generator, avoid: Colour, foot: float) -> Plane:
    """A canvas (3, 100, 100), 0 to 255, of colours unlike ``avoid``; the ground reaches up beyond ``foot``."""
    for _ in range(8):
        first, second = np.asarray(some_colours(rng, 2), np.float32)
        if min(math.dist(first, avoid), math.dist(second, avoid)) > 80:
            break
    share = BACKGROUNDS[rng.integers(len(BACKGROUNDS))](rng, min(foot, 0.95)).clip(0, 1).astype(np.float32)
    grain = 1 + rng.uniform(0, 0.08) * _clouds(rng, (SIDE, SIDE), (30, 30))
    return (first[:, None, None] + share * (second - first)[:, None, None]) * grain


def _plain(rng: np.random.Generator, foot: float) -> Plane:
    return 0.15 * _clouds(rng, (3, 3))


def _gradient(rng: np.random.Generator, foot: float) -> Plane:
    (y, x), angle = _grid(), rng.uniform(0, 2 * math.pi)
    return 0.5 + math.cos(angle) * (x - 0.5) + math.sin(angle) * (y - 0.5)


def _landscape(rng: np.random.Generator, foot: float) -> Plane:
    y, level = _grid()[0], foot - rng.uniform(0.08, 0.5)
    hills = level + 0.06 * _clouds(rng, (1, 6))
    ground = 0.75 + 0.2 * _clouds(rng, (60, 30), (90, 12))
    return np.where(y > hills, ground, 0.25 * y + 0.05 * _clouds(rng, (6, 3)))


def _foliage(rng: np.random.Generator, foot: float) -> Plane:
    leaf = int(rng.integers(4, 12))
    return 0.5 + 0.35 * _clouds(rng, (leaf, leaf), (25, 25), (50, 50))


def _room(rng: np.random.Generator, foot: float) -> Plane:
    (y, x), level, planks = _grid(), foot - rng.uniform(0.05, 0.3), rng.uniform(3, 9)
    floor = 0.8 + 0.15 * ((x - 0.5) / (y + 0.2) * planks % 1 < 0.1) + 0.1 * _clouds(rng, (50, 6))
    paper = 0.12 * (np.sin(x * rng.uniform(20, 70)) > 0.3) * (rng.random() < 0.5)
    return np.where(y > level, floor, paper + 0.5 * (y > level - 0.03))


def _bricks(rng: np.random.Generator, foot: float) -> Plane:
    (y, x), rows = _grid(), rng.uniform(6, 14)
    row = np.floor(y * rows)
    across = (x * rows / 2 + 0.5 * (row % 2)) % 1
    return 0.8 * ((y * rows % 1 < 0.14) | (across < 0.08)) + 0.12 * _clouds(rng, (14, 14), (50, 50))


BACKGROUNDS: tuple[Callable[[np.random.Generator, float], Plane], ...] = (
    _plain, _gradient, _landscape, _landscape, _foliage, _room, _bricks,
)  # fmt: skip


def _clutter(pen: Pen, rng: np.random.Generator, *, reach: float, size: float) -> None:
    """A thing that belongs to no class: ball, ring, box, shard, stick or stone."""
    pen = pen.moved(*rng.uniform(-reach, reach, 2), scale=size, angle=rng.uniform(0, 6.3), stretch=rng.uniform(0.4, 1))
    paint, kind = some_coat(rng).paint(pen, int(rng.integers(90, 230))), rng.integers(6)
    circle = CIRCLE[::3]
    if kind == 0:
        pen.oval(0, 0, 1, 1, paint)
    elif kind == 1:
        pen.line(np.concatenate([circle, circle[:1]]), rng.uniform(0.1, 0.3), paint)
    elif kind == 2:
        pen.fill([(-1, -0.6), (1, -0.6), (1, 0.6), (-1, 0.6)], paint)
    elif kind == 3:
        pen.fill(rng.uniform(-1, 1, (3, 2)), paint)
    elif kind == 4:
        pen.limb([(-2, 0, 0.12), (0, rng.uniform(-0.7, 0.7), 0.2), (2, 0, 0.1)], paint)
    else:
        pen.blob(circle * rng.uniform(0.5, 1.1, (7, 1)), paint)


def _pattern(rng: np.random.Generator) -> Plane:
    """Where a coat shows its second colour, 0 to 1: nearly nowhere, in patches or stripes, or below."""
    (y, x), kind = _grid(), rng.integers(4)
    if kind == 0:
        return (0.08 * _clouds(rng, (6, 6))).clip(0, 1)
    if kind == 1:
        patch = int(rng.integers(4, 9))
        return (3 * _clouds(rng, (patch, patch)) - rng.uniform(0, 2)).clip(0, 1)
    if kind == 2:
        waves = np.sin((x + rng.uniform(-0.6, 0.6) * y) * rng.uniform(40, 75) + 1.2 * _clouds(rng, (6, 6)))
        return (1.5 * waves - rng.uniform(0, 0.6)).clip(0, 1) * rng.uniform(0.4, 0.9)
    return (4 * (y - rng.uniform(0.4, 0.7)) + 0.3 * _clouds(rng, (9, 9))).clip(0, 1)


def _lay(canvas: Plane, pen: Pen, rng: np.random.Generator, light: float, *, foot: float | None = None) -> Plane:
    """The canvas with the pen's shapes on it, lit from above, left (1) or right (-1); a shadow where a foot stands."""
    if len(pen.numbers) == 1:
        return canvas
    meanings = [
        (paint.colour, paint.second, (paint.level, paint.rough, 255 * (number > 0)))
        for paint, number in pen.numbers.items()
    ]
    first, second, info = (_plane(pen, rows) for rows in zip(*meanings, strict=True))
    _level, rough, mask = info / 255
    height = 0.6 * _blurred(info[0], 1.2) + 1.4 * _rounded(info[2])
    slope = (height - np.roll(height, (2, round(2 * light)), (0, 1))) / 255
    inside = 0.25 * sum(np.roll(mask, shift, axis) for axis in (0, 1) for shift in (-1, 1))  # less at the outline
    shade = (1 + 0.45 * slope + 0.16 * rough * _clouds(rng, (100, 40), (50, 100))) * (0.65 + 0.35 * inside)
    behind = 1 - mask
    if foot is not None:
        behind *= 1 - 0.5 * _shadow(info[2], foot * SIDE, light)
    return canvas * behind + (first + _pattern(rng) * (second - first)) * shade


def _plane(pen: Pen, rows: tuple[tuple[float, float, float], ...]) -> Plane:
    """The pen's sheet, every paint number replaced by its row: (3, 100, 100)."""
    pen.sheet.putpalette(np.asarray(rows).astype(np.uint8).tobytes())
    return _array(pen.sheet.convert("RGB").reduce(FINE))


def _rounded(mask: Plane) -> Plane:
    """The mask, wide and softly blurred, at the price of a small one."""
    return _array(_image(mask).reduce(5).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _shadow(mask: Plane, foot: float, light: float) -> Plane:
    """The figure's shadow on the ground, 0 to 1."""
    flat = (1, light, -light * foot, 0, 3.5, -2.5 * foot)  # from shadow to figure
    image = _image(mask).transform((SIDE, SIDE), Image.Transform.AFFINE, flat)
    return _array(image.filter(ImageFilter.BoxBlur(2.5))) / 255


def _photograph(canvas: Plane, rng: np.random.Generator) -> Image.Image:
    """Light across the scene, exposure, tint, contrast, blur and grain."""
    (y, x), angle, fall = _grid(), rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.5)
    across = 1 + fall * math.cos(angle) * (x - 0.5) + fall * math.sin(angle) * (y - 0.5)
    contrast = rng.uniform(0.75, 1.1)
    tint = contrast * rng.uniform(0.75, 1.2) * rng.normal(1, 0.05, (3, 1, 1)).astype(np.float32)
    canvas = canvas * (across * tint) + 128 * (1 - contrast)
    if rng.random() < 0.5:
        canvas = _blurred(canvas, rng.uniform(0.1, 0.6))
    return _image(canvas + rng.uniform(1, 8) * _clouds(rng, (SIDE, SIDE)))
