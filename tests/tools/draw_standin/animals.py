"""The animals of the stand-in pictures: cat, dog and horse in random poses.

Each is drawn in a box from -1 to 1 (y down), standing on y = 1 and facing right, the far parts first.
"""

from __future__ import annotations

import numpy as np

from .pen import (
    BODY,
    DARK,
    FAR,
    FRONT,
    HEAD,
    NEAR,
    PALE,
    PINK,
    STEEL,
    Coat,
    Colour,
    Pen,
    curve,
    mixed,
)

Rng = np.random.Generator
SIDES = (-1, 1)
IRIS: tuple[Colour, ...] = ((196, 200, 90), (120, 170, 110), (212, 160, 60), (130, 170, 196))


def cat(pen: Pen, rng: Rng, coat: Coat) -> None:
    """A cat: walking with its tail up, sitting, lying, or its face from near."""
    pose, tilt = rng.choice(["walk", "sit", "lie", "face"], p=[0.35, 0.25, 0.15, 0.25]), rng.uniform(-0.22, 0.22)
    fur, far, tip = coat.paint(pen, BODY), coat.paint(pen, FAR), rng.uniform(-0.25, 0.25)
    if pose == "walk":
        pen.limb([(-0.56, 0.3, 0.1), (-0.82, -0.02, 0.09), (-0.8 - tip, -0.5, 0.08), (-0.8 + tip, -0.85, 0.07)], fur)
        spine = [(-0.5, 0.36, 0.23), (-0.1, 0.37, rng.uniform(0.19, 0.26)), (0.36, 0.35, 0.24)]
        _walking(pen, rng, coat, leg=0.52, thick=0.105, spine=spine)
        pen.limb([(0.4, 0.28, 0.2), (0.55, 0.05, 0.19)], fur)
        _cat_face(pen.moved(0.6, -0.17 + tip / 3, scale=0.37, angle=tilt), rng, coat)
    elif pose == "sit":
        s = rng.choice(SIDES)
        pen.limb([(0.3 * s, 0.88, 0.1), (0.74 * s, 0.8, 0.09), (0.84 * s, 0.35, 0.08), ((0.7 + tip) * s, 0, 0.07)], far)
        _sitting(pen, rng, coat, width=0.46)
        _cat_face(pen.moved(tip / 3, -0.4, scale=0.44, angle=tilt), rng, coat)
    elif pose == "lie":
        _lying(pen, rng, coat)
        tail = [(-0.78, 0.85, 0.09), (-0.5, 0.95, 0.085), (-0.1, 0.93, 0.08), (0.1, 0.9, 0.07)]
        pen.limb(tail, coat.paint(pen, HEAD))
        _cat_face(pen.moved(0.48, 0.28, scale=0.46, angle=tilt), rng, coat)
    else:
        pen.limb([(0, 0.5, 0.62), (0, 1.4, 0.85), (0, 2.4, 0.9)], coat.paint(pen, BODY, dark=0.12))
        _cat_face(pen.moved(0, 0.08, scale=0.8, angle=tilt), rng, coat)


def _cat_face(pen: Pen, rng: Rng, coat: Coat) -> None:
    fur, spread, turn = coat.paint(pen, HEAD), rng.uniform(-0.1, 0.1), rng.uniform(-0.25, 0.25)
    pink, pale = pen.paint(mixed(PINK, coat.main, 0.35), FRONT), pen.paint(mixed(PALE, coat.main, 0.25), FRONT)
    dark = pen.paint(DARK, FRONT, rough=0)
    for s in SIDES:
        pen.fill([(s * 0.98, -0.15), (s * (0.86 + spread), -1.25), (s * 0.12, -0.7)], fur)
        pen.fill([(s * 0.84, -0.4), (s * (0.8 + spread), -1.02), (s * 0.36, -0.66)], pink)
    pen.twin([(0, -0.8), (0.6, -0.7), (0.95, -0.2), (1.06, 0.28), (0.66, 0.66), (0, 0.82)], fur)
    pen = pen.moved(turn, 0, stretch=1 - abs(turn) / 2)
    iris, slit = pen.paint(IRIS[rng.integers(len(IRIS))], FRONT, rough=0), rng.uniform(0.25, 0.65)
    for s in SIDES:
        pen.oval(s * 0.2, 0.42, 0.29, 0.23, pale)
        _eye(pen, s * 0.43, -0.08, 0.29, iris, slit)
    pen.twin([(0, 0.16), (0.14, 0.16), (0.05, 0.3), (0, 0.33)], pink)
    pen.line([(-0.26, 0.48), (-0.12, 0.55), (0, 0.44), (0, 0.34), (0, 0.44), (0.12, 0.55), (0.26, 0.48)], 0.05, dark)
    hair = pen.paint(DARK if sum(coat.main) > 330 else PALE, FRONT, rough=0)
    for s in SIDES:
        for lift in (-0.14, 0.04, 0.22):
            pen.line([(s * 0.35, 0.42 + lift / 3), (s * 0.85, 0.36 + lift), (s * 1.4, 0.42 + 1.4 * lift)], 0.02, hair)


def _eye(pen: Pen, x: float, y: float, size: float, iris: int, slit: float) -> None:
    """An eye of half width ``size``; the pupil fills the share ``slit`` of the iris."""
    dark = pen.paint(DARK, FRONT, rough=0)
    pen.oval(x, y, size, size * 0.88, dark)
    pen.oval(x, y, size * 0.8, size * 0.7, iris)
    pen.oval(x, y, size * 0.8 * slit, size * 0.66, dark)
    pen.oval(x - 0.28 * size, y - 0.28 * size, size * 0.24, size * 0.24, pen.paint(PALE, FRONT, rough=0))


def _sitting(pen: Pen, rng: Rng, coat: Coat, *, width: float) -> None:
    """Body and paws of a cat or dog that sits and looks at us."""
    near = coat.paint(pen, NEAR)
    pen.twin([(0, -0.45), (0.22, -0.3), (0.27, 0.05), (0.36, 0.42), (width, 0.72), (width, 0.95), (0, 1)],
             coat.paint(pen, BODY, dark=0.14))  # fmt: skip
    for s in SIDES:
        foot = s * rng.uniform(0.12, 0.17)
        pen.limb([(s * (width - 0.12), 0.6, 0.13), (s * (width - 0.1), 0.84, 0.14)], near)
        pen.oval(s * (width - 0.04), 0.94, 0.17, 0.08, near)
        pen.limb([(s * 0.16, 0.05, 0.12), (s * 0.15, 0.5, 0.1), (foot, 0.88, 0.09)], near)
        pen.oval(foot, 0.95, 0.12, 0.075, coat.paint(pen, HEAD))
    bib = pen.paint(mixed(PALE, coat.second, 0.4), NEAR, rough=110)
    pen.twin([(0, -0.3), (0.2, -0.12), (0.16, 0.12), (0, 0.3)], bib)


def _lying(pen: Pen, rng: Rng, coat: Coat) -> None:
    """Body and paws of a cat or dog that lies on its belly, its head to the right."""
    near, rise = coat.paint(pen, NEAR), rng.uniform(-0.05, 0.05)
    pen.limb([(0.5, 0.9, 0.09), (0.92, 0.93, 0.075)], coat.paint(pen, FAR, dark=0.2))
    pen.limb([(-0.5, 0.66 + rise, 0.31), (0, 0.62 - rise, 0.3), (0.42, 0.6, 0.27)], coat.paint(pen, BODY))
    pen.oval(-0.52, 0.74, 0.27, 0.24, near)
    pen.limb([(0.35, 0.86, 0.12), (0.55, 0.93, 0.085), (0.8, 0.94, 0.08)], near)


def _walking(pen: Pen, rng: Rng, coat: Coat, *, leg: float, thick: float, spine: list[tuple[float, float, float]],
             bend: float = 0.15) -> None:  # fmt: skip
    """Legs and torso of an animal on all fours, in a random phase of its walk."""
    stride, phase = rng.uniform(0.1, 0.45), rng.uniform(0, 2 * np.pi)
    for level, dark, shift in ((FAR, 0.28, np.pi), (NEAR, 0, 0)):
        fur, toe = coat.paint(pen, level, dark=dark), coat.paint(pen, level + 10, dark=dark + 0.14)
        for (x, y, radius), lag, knee, heel in ((spine[0], 0, bend, -bend), (spine[-1], 2, -0.05, 0.03)):
            hang = pen.moved(x, 1 - leg, angle=stride * np.sin(phase + shift + lag))
            ankle = [(heel * leg, 0.74 * leg, thick * 0.72), (0.02, leg - thick * 0.8, thick * 0.72)]
            hang.limb([(0, y - 1 + leg, radius * 0.8), (knee * leg, 0.4 * leg, thick * 1.15), *ankle], fur)
            hang.oval(0.06, leg - thick * 0.6, thick * 1.15, thick * 0.62, toe)
        if level == FAR:
            pen.limb(spine, coat.paint(pen, BODY))


def dog(pen: Pen, rng: Rng, coat: Coat) -> None:
    """A dog: walking with its tail up, sitting, lying, or its face from near; ears hang or stand."""
    pose, tilt = rng.choice(["walk", "sit", "lie", "face"], p=[0.4, 0.22, 0.13, 0.25]), rng.uniform(-0.25, 0.25)
    fur, far, tip, hanging = coat.paint(pen, BODY), coat.paint(pen, FAR), rng.uniform(-0.25, 0.25), rng.random() < 0.65
    if pose == "walk":
        leg = rng.uniform(0.42, 0.64)
        y = 0.83 - leg
        pen.limb([(-0.56, y - 0.08, 0.1), (-0.8, y - 0.32, 0.08), (-0.9 - tip / 2, y - 0.62, 0.05)], fur)
        _walking(pen, rng, coat, leg=leg, thick=0.1, spine=[(-0.48, y, 0.21), (-0.1, y, 0.2), (0.34, y, 0.27)])
        pen.limb([(0.34, y - 0.08, 0.24), (0.52, y - 0.42, 0.18)], fur)
        _dog_profile(pen.moved(0.56, y - 0.56, scale=0.4, angle=tilt), rng, coat, hanging)
    elif pose == "sit":
        s = rng.choice(SIDES)
        pen.limb([(0.3 * s, 0.9, 0.09), (0.7 * s, 0.78, 0.08), ((0.88 + tip / 3) * s, 0.42, 0.05)], far)
        _sitting(pen, rng, coat, width=0.42)
        _dog_face(pen.moved(tip / 3, -0.42, scale=0.45, angle=tilt), rng, coat, hanging)
    elif pose == "lie":
        pen.limb([(-0.7, 0.7, 0.09), (-0.95, 0.6, 0.07), (-1.05, 0.35 + tip, 0.05)], far)
        _lying(pen, rng, coat)
        _dog_face(pen.moved(0.5, 0.3, scale=0.46, angle=tilt), rng, coat, hanging)
    else:
        pen.limb([(0, 0.4, 0.5), (0, 1.4, 0.78), (0, 2.4, 0.8)], coat.paint(pen, BODY, dark=0.12))
        _dog_face(pen.moved(0, -0.05, scale=0.8, angle=tilt), rng, coat, hanging)


def _dog_face(pen: Pen, rng: Rng, coat: Coat, hanging: bool) -> None:
    ear, flap = pen.paint(mixed(coat.second, DARK, 0.25), FRONT, rough=110), rng.uniform(-0.1, 0.15)
    for s in SIDES if not hanging else ():
        pen.limb([(s * 0.5, -0.55, 0.3), (s * 0.7, -1, 0.16), (s * 0.74, -1.26, 0.02)], ear)
    pen.twin([(0, -0.92), (0.55, -0.8), (0.84, -0.25), (0.66, 0.35), (0.5, 0.8), (0, 1)], coat.paint(pen, HEAD))
    for s in SIDES if hanging else ():
        pen.limb([(s * 0.62, -0.68, 0.16), (s * 0.98, -0.35, 0.26), (s * (1.05 + flap), 0.25, 0.26),
                  (s * (0.95 + flap), 0.62, 0.12)], ear)  # fmt: skip
    pen = pen.moved(rng.uniform(-0.15, 0.15), 0)
    dark, pale = pen.paint(DARK, FRONT, rough=0), pen.paint(mixed(PALE, coat.main, rng.uniform(0, 0.5)), FRONT)
    if rng.random() < 0.6:
        pen.limb([(0.06, 0.75, 0.15), (0.08, 1.05, 0.16), (0.06, 1.2, 0.13)], pen.paint(PINK, HEAD, rough=10))
    pen.twin([(0, -0.3), (0.22, 0), (0.5, 0.45), (0.42, 0.8), (0, 0.9)], pale)
    pen.line([(-0.4, 0.66), (-0.2, 0.76), (0, 0.62), (0, 0.4), (0, 0.62), (0.2, 0.76), (0.4, 0.66)], 0.05, dark)
    pen.twin([(0, 0.12), (0.24, 0.14), (0.2, 0.34), (0, 0.46)], dark)
    pen.oval(-0.08, 0.2, 0.07, 0.04, pen.paint(STEEL, FRONT, rough=0))
    for s in SIDES:
        _eye(pen, s * 0.38, -0.22, 0.17, pen.paint((110, 68, 40), FRONT, rough=0), 0.75)
        pen.oval(s * 0.4, -0.5, 0.12, 0.05, pale)


def _dog_profile(pen: Pen, rng: Rng, coat: Coat, hanging: bool) -> None:
    ear = pen.paint(mixed(coat.second, DARK, 0.25), FRONT, rough=110)
    far = pen.paint(mixed(coat.second, DARK, 0.5), FAR, rough=110)
    dark, long = pen.paint(DARK, FRONT, rough=0), rng.uniform(0.85, 1.2)
    if not hanging:
        pen.limb([(0.02, -0.4, 0.2), (0.06, -0.75, 0.13), (0.1, -1, 0.02)], far)
    if rng.random() < 0.4:
        pen.limb([(0.75 * long, 0.45, 0.1), (0.8 * long, 0.8, 0.12)], pen.paint(PINK, BODY, rough=10))
    pen.limb([(-0.05, 0, 0.56), (0.5 * long, 0.15, 0.34), (1.1 * long, 0.25, 0.22)], coat.paint(pen, HEAD))
    pen.oval(1.24 * long, 0.12, 0.16, 0.14, dark)
    pen.line([(1.2 * long, 0.42), (0.8 * long, 0.44), (0.45 * long, 0.36)], 0.06, dark)
    _eye(pen, 0.3, -0.16, 0.15, pen.paint((110, 68, 40), FRONT, rough=0), 0.75)
    if hanging:
        pen.limb([(-0.15, -0.42, 0.12), (-0.4, 0, 0.25), (-0.36, 0.5, 0.17)], ear)
    else:
        pen.limb([(-0.25, -0.35, 0.22), (-0.26, -0.75, 0.14), (-0.2, -1.05, 0.02)], ear)


def horse(pen: Pen, rng: Rng, coat: Coat) -> None:
    """A horse: walking or grazing, or its head and neck from near."""
    fur, mane = coat.paint(pen, BODY), pen.paint(mixed(coat.third, DARK, 0.2), FRONT, rough=200)
    pose = rng.choice(["walk", "graze", "near"], p=[0.55, 0.15, 0.3])
    if pose == "near":
        pen.limb([(-1.4, 2.4, 0.9), (-0.75, 1.3, 0.62), (-0.35, 0.3, 0.42), (-0.12, -0.45, 0.28)], fur)
        _mane(pen, rng, [(-0.3, -0.72), (-0.62, -0.2), (-0.86, 0.4), (-1.15, 1)], 0.3, mane)
        _horse_head(pen.moved(-0.18, -0.62, scale=1.05, angle=rng.uniform(-0.25, 0.15)), rng, coat, mane)
        return
    hang = rng.uniform(0, 0.2)
    pen.limb([(-0.6, 0, 0.06), (-0.78, 0.1, 0.1), (-0.82, 0.4, 0.1), (-0.78 - hang, 0.78, 0.03)], mane)
    _walking(pen, rng, coat, leg=0.78, thick=0.07, spine=[(-0.46, 0.05, 0.23), (-0.1, 0.1, 0.21), (0.3, 0.05, 0.24)],
             bend=0.09)  # fmt: skip
    if pose == "graze":
        x, y, tilt = 0.7, 0.38, rng.uniform(0, 0.3)
        pen.limb([(0.3, 0.02, 0.22), (0.58, 0.16, 0.15), (0.68, 0.42, 0.11)], fur)
        crest = [(0.36, -0.14), (0.62, 0.02), (0.78, 0.3)]
    else:
        x, y, tilt = 0.58 + rng.uniform(-0.05, 0.08), -0.62 + rng.uniform(-0.1, 0.15), rng.uniform(-0.35, 0.2)
        pen.limb([(0.28, 0.02, 0.22), (0.46, -0.2, 0.18), (x, y + 0.06, 0.13)], fur)
        crest = [(x - 0.08, y - 0.08), (0.38, -0.34), (0.22, -0.14)]
    _mane(pen, rng, crest, 0.16, mane)
    _horse_head(pen.moved(x, y, scale=0.55, angle=tilt), rng, coat, mane)


def _mane(pen: Pen, rng: Rng, crest: list[tuple[float, float]], length: float, paint: int) -> None:
    for x, y in curve(crest)[::2]:
        dx, dy = rng.uniform(-0.3, 0.5) * length, rng.uniform(0.7, 1.3) * length
        pen.limb([(x, y, length / 3), (x + dx, y + dy, length / 9)], paint)


def _horse_head(pen: Pen, rng: Rng, coat: Coat, mane: int) -> None:
    """Profile; the origin lies between the ears."""
    fur, dark = coat.paint(pen, HEAD), pen.paint(DARK, FRONT, rough=0)
    for x in (0.12, -0.06):
        pen.limb([(x, -0.02, 0.09), (x + 0.02, -0.2, 0.07), (x + 0.04, -0.34, 0.01)], fur)
    pen.limb([(0.02, 0.08, 0.17), (0.14, 0.27, 0.24), (0.46, 0.64, 0.15), (0.7, 0.92, 0.14)], fur)
    if rng.random() < 0.5:
        pen.limb([(0.3, 0.22, 0.03), (0.5, 0.5, 0.045), (0.74, 0.8, 0.03)], pen.paint(PALE, HEAD))
    pen.limb([(0.66, 0.94, 0.13), (0.72, 1, 0.12)], pen.paint(mixed(coat.main, DARK, 0.4), FRONT))
    pen.oval(0.78, 0.92, 0.035, 0.045, dark)
    pen.line([(0.78, 1.06), (0.64, 1.0), (0.54, 0.9)], 0.03, dark)
    _eye(pen, 0.19, 0.25, 0.085, pen.paint((96, 60, 40), FRONT, rough=0), 0.8)
    pen.limb([(-0.05, -0.05, 0.07), (0.07, -0.02, 0.06), (0.17, 0.05, 0.015)], mane)
