"""A pen that paints by number, and the colours of the stand-in pictures.

Every shape puts the number of its paint on one 8-bit sheet; ``draw_standin.scene`` turns numbers into colour, fur
and relief afterwards. Shapes are given in a box from -1 to 1, x to the right and y down; the pen's affine map takes
them to pixels.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[float, float, float]
Points = Sequence[Sequence[float]] | np.ndarray
FAR, BODY, NEAR, HEAD, FRONT = 90, 140, 175, 205, 235  # relief: how far a part stands out towards us
# One list for fur, cloth, petals and lacquer, whatever the class: so that colour gives no class away.
PALETTE: tuple[Colour, ...] = (
    (40, 37, 40), (78, 72, 72), (128, 122, 118), (176, 170, 162), (222, 216, 206), (242, 236, 224),
    (224, 194, 148), (202, 154, 98), (186, 116, 62), (138, 84, 50), (92, 58, 42),
    (178, 78, 58), (208, 164, 70), (104, 128, 158), (204, 138, 132), (66, 78, 108), (112, 142, 136), (134, 102, 132),
)  # fmt: skip
DARK, PALE, PINK, STEEL = (30, 26, 28), (244, 240, 232), (214, 126, 130), (150, 150, 154)

_STEP = np.arange(6) / 6
_BASIS = 0.5 * np.stack(  # Catmull-Rom: a smooth curve through all its points
    [-_STEP + 2 * _STEP**2 - _STEP**3, 2 - 5 * _STEP**2 + 3 * _STEP**3,
     _STEP + 4 * _STEP**2 - 3 * _STEP**3, _STEP**3 - _STEP**2], axis=1)  # fmt: skip
CIRCLE = np.stack([np.cos(np.arange(20) * np.pi / 10), np.sin(np.arange(20) * np.pi / 10)], axis=1)
_CAP = np.exp(1j * np.linspace(np.pi / 2, -np.pi / 2, 7))


def curve(points: Points, *, closed: bool = False) -> np.ndarray:
    """Points on the Catmull-Rom curve through ``points`` (n, d), six a piece; any d, so that radii may ride along."""
    return _weights(len(points), closed) @ np.asarray(points, dtype=float)


@functools.cache
def _weights(count: int, closed: bool) -> np.ndarray:
    """The curve is linear in its nodes: a matrix that takes ``count`` of them to the points between."""
    nodes = np.eye(count)
    before, after = (nodes[-1:], nodes[:2]) if closed else (nodes[:1], nodes[-1:])
    padded = np.concatenate([before, nodes, after])
    pieces = [_BASIS @ padded[start : start + 4] for start in range(len(padded) - 3)]
    return np.concatenate(pieces if closed else [*pieces, nodes[-1:]])


def mixed(first: Sequence[float], second: Sequence[float], share: float) -> tuple[float, ...]:
    """The way from ``first`` to ``second``, ``share`` of it gone: for colours and for points."""
    return tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))


class Paint(NamedTuple):
    """What a number on the sheet stands for; a coat's pattern says where the second colour shows."""

    colour: Colour
    second: Colour
    level: int  # relief, 0 to 255
    rough: int  # strength of the fur or weave, 0 to 255


class Pen:
    """Puts shapes on a sheet of paint numbers (0 is nothing) through an affine map of its own."""

    def __init__(self, side: int) -> None:
        self.sheet = Image.new("P", (side, side))
        self.numbers: dict[Paint, int] = {Paint((0, 0, 0), (0, 0, 0), 0, 0): 0}
        self.matrix, self.origin = np.eye(2) * side / 2, np.full(2, side / 2)
        self._draw = ImageDraw.Draw(self.sheet)

    def moved(self, x: float, y: float, *, scale: float = 1, angle: float = 0, stretch: float = 1) -> Pen:
        """A pen on the same sheet: origin at (x, y), turned by ``angle`` rad, ``scale`` as large, x by ``stretch``."""
        pen = copy.copy(self)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        pen.origin = self.matrix @ (x, y) + self.origin
        pen.matrix = self.matrix @ turn * (scale * stretch, scale)
        return pen

    def paint(self, colour: Colour, level: int, *, second: Colour | None = None, rough: int = 50) -> int:
        """The number of a paint, new or known."""
        return self.numbers.setdefault(Paint(colour, second or colour, level, rough), len(self.numbers))

    def fill(self, points: Points, paint: int) -> None:
        """A polygon with straight edges."""
        pixels = np.asarray(points) @ self.matrix.T + self.origin
        self._draw.polygon(pixels.ravel().tolist(), fill=paint)

    def blob(self, points: Points, paint: int) -> None:
        """A smooth closed shape through ``points``."""
        self.fill(curve(points, closed=True), paint)

    def twin(self, points: Points, paint: int) -> None:
        """A smooth shape symmetric about x = 0, given by its right half from top to bottom."""
        self.blob([*points, *[(-x, y) for x, y in reversed(points) if x]], paint)

    def oval(self, x: float, y: float, rx: float, ry: float, paint: int) -> None:
        """An ellipse with half axes rx and ry."""
        self.fill(CIRCLE * (rx, ry) + (x, y), paint)

    def limb(self, nodes: Points, paint: int) -> None:
        """A smooth limb with round ends along nodes (x, y, radius)."""
        path = curve(nodes)
        spine, radius = path[:, 0] + 1j * path[:, 1], path[:, 2]  # in the complex plane, where to turn is to multiply
        ahead = np.concatenate([spine[1:], spine[-1:]]) - np.concatenate([spine[:1], spine[:-1]])
        ahead *= radius / (np.abs(ahead) + 1e-9)
        left, right = spine + 1j * ahead, spine - 1j * ahead
        outline = np.concatenate([left, spine[-1] + ahead[-1] * _CAP, right[::-1], spine[0] - ahead[0] * _CAP])
        self.fill(outline.view(float).reshape(-1, 2), paint)

    def line(self, points: Points, width: float, paint: int) -> None:
        """A smooth line, at least one pixel of the sheet wide."""
        pixels = curve(points) @ self.matrix.T + self.origin
        (a, b), (c, d) = self.matrix
        self._draw.line(pixels.ravel().tolist(), fill=paint, width=max(1, round(width * abs(a * d - b * c) ** 0.5)))


class Coat(NamedTuple):
    """The three colours of one figure."""

    main: Colour
    second: Colour
    third: Colour

    def paint(self, pen: Pen, level: int, *, dark: float = 0) -> int:
        """Fur or cloth of the first two colours, both darkened by the share ``dark``."""
        return pen.paint(mixed(self.main, DARK, dark), level, second=mixed(self.second, DARK, dark), rough=110)


def some_colours(rng: np.random.Generator, count: int) -> list[Colour]:
    """``count`` colours of the palette, each a little off."""
    near = np.asarray(PALETTE)[rng.integers(len(PALETTE), size=count)] + rng.normal(0, 9, (count, 3))
    return [tuple(colour) for colour in near.clip(8, 250).tolist()]


def some_coat(rng: np.random.Generator) -> Coat:
    """Three colours of the palette."""
    return Coat(*some_colours(rng, 3))
