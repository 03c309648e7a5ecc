"""The figures of the stand-in pictures: bike, flower and person here, the animals in ``draw_standin.animals``.

Each is drawn in a box from -1 to 1 (y down), standing on y = 1 and facing right, the far parts first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .animals import SIDES, Rng, cat, dog, horse
from .pen import (
    BODY,
    DARK,
    FAR,
    FRONT,
    HEAD,
    NEAR,
    PALE,
    STEEL,
    Coat,
    Colour,
    Pen,
    mixed,
    some_colours,
)

SKIN: tuple[Colour, ...] = ((240, 204, 176), (222, 176, 140), (188, 134, 96), (140, 92, 62), (104, 70, 50))


def bike(pen: Pen, rng: Rng, coat: Coat) -> None:
    """A bicycle from the side, turned a little: racing or town handlebar, low or high frame, basket, mudguards."""
    pen = pen.moved(0, -0.15, scale=1.13, stretch=rng.uniform(0.7, 0.95))
    steel, lacquer = pen.paint(STEEL, NEAR), pen.paint(coat.main, HEAD, rough=10)
    radius, low, width = rng.uniform(0.4, 0.47), rng.random() < 0.3, rng.uniform(0.055, 0.095)
    back, front, crank, seat = (-0.55, 0.54), (0.57, 0.54), (-0.08, 0.57), (-0.26, -0.1)
    head, fork = (0.33, -0.18 - 0.08 * low), (0.38, 0)
    tyre = pen.paint(mixed(DARK, coat.third, rng.uniform(0, 0.25)), BODY)
    for x, y in (back, front):
        _wheel(pen, rng, x, y, radius, tyre)
    pen.line([back, crank], 0.05, steel)
    top_tube = [mixed(seat, crank, 0.6), head] if low else [seat, head]
    for tube in ([back, seat], [back, crank], [seat, crank], [fork, crank], [head, fork, front], top_tube):
        pen.line(tube, width, lacquer)
    if rng.random() < 0.4:
        arc = np.linspace(-2.9, -0.4, 5)
        guard = 1.13 * radius * np.stack([np.cos(arc), np.sin(arc)], 1)
        for wheel in (back, front):
            pen.line(guard + wheel, 0.045, lacquer)
    _saddle_and_handlebar(pen, rng, coat, seat, head)
    pen.oval(*crank, 0.1, 0.1, steel)
    _pedals(pen, rng, *crank)


def _wheel(pen: Pen, rng: Rng, x: float, y: float, radius: float, tyre: int) -> None:
    rim = pen.paint((186, 186, 188), BODY)
    pen.oval(x, y, radius, radius, tyre)
    pen.oval(x, y, radius * 0.86, radius * 0.86, rim)
    pen.oval(x, y, radius * 0.79, radius * 0.79, 0)
    for angle in rng.uniform(0, 1) + np.arange(6) * np.pi / 6:
        dx, dy = radius * 0.82 * np.cos(angle), radius * 0.82 * np.sin(angle)
        pen.line([(x - dx, y - dy), (x + dx, y + dy)], 0.014, rim)
    pen.oval(x, y, 0.06, 0.06, tyre)


def _saddle_and_handlebar(pen: Pen, rng: Rng, coat: Coat, seat: tuple[float, float], head: tuple[float, float]) -> None:
    steel, black = pen.paint(STEEL, NEAR), pen.paint(DARK, HEAD)
    x, y = seat[0] - 0.03, seat[1] - rng.uniform(0.14, 0.24)
    pen.line([seat, (x, y)], 0.05, steel)
    pen.limb([(x - 0.13, y - 0.02, 0.065), (x + 0.15, y, 0.03)], black)
    x, y = head[0] - 0.02, head[1] - rng.uniform(0.1, 0.2)
    pen.line([head, (x, y)], 0.06, steel)
    grips = (
        [(0, 0), (0.13, -0.02), (0.24, 0.06), (0.22, 0.19), (0.1, 0.22)],  # racing
        [(0.08, 0.03), (0, -0.02), (-0.15, -0.03), (-0.26, 0.03)],  # town
        [(0.12, -0.08), (0, 0), (-0.14, -0.1)],
    )
    pen.line(np.add(grips[rng.integers(3)], (x, y)), 0.065, black)
    if rng.random() < 0.25:
        wicker = pen.paint(coat.second, FRONT, rough=220)
        pen.fill([(0.47, -0.36), (0.86, -0.38), (0.8, -0.06), (0.52, -0.06)], wicker)


def _pedals(pen: Pen, rng: Rng, x: float, y: float) -> None:
    black, angle = pen.paint(DARK, HEAD), rng.uniform(0, np.pi)
    dx, dy = 0.17 * np.cos(angle), 0.17 * np.sin(angle)
    pen.line([(x - dx, y - dy), (x + dx, y + dy)], 0.04, black)
    for s in SIDES:
        pen.line([(x + s * dx - 0.07, y + s * dy), (x + s * dx + 0.07, y + s * dy)], 0.05, black)


def flower(pen: Pen, rng: Rng, coat: Coat) -> None:
    """One to three flowers with stem and leaves, daisies or tulips, or one blossom from near."""
    green = pen.paint(mixed((70, 118, 58), coat.third, 0.25), BODY)
    if rng.random() < 0.3:
        pen.limb([(0, 0, 0.08), (0.1, 1.4, 0.1), (0, 2.6, 0.1)], green)
        _blossom(pen.moved(0, 0, scale=0.9), rng, coat)
        return
    count = rng.choice([1, 1, 2, 3])
    places = rng.permutation([-0.5, 0, 0.5])[:count] if count > 1 else [0]
    for x in places:
        top = rng.uniform(-0.5, -0.2)
        pen.limb([(x / 4, 1, 0.05), (x * 0.7 + 0.08, 0.4, 0.04), (x, top, 0.035)], green)
        for s in SIDES:
            leaf = pen.moved(x / 2, rng.uniform(0.35, 0.75))
            leaf.limb([(0, 0.12, 0.02), (0.25 * s, -0.05, 0.1), (0.5 * s, -0.2, 0.015)], green)
        _blossom(pen.moved(x, top, scale=0.6 if count == 1 else 0.44), rng, coat)


def _blossom(pen: Pen, rng: Rng, coat: Coat) -> None:
    petal, inner = coat.paint(pen, NEAR), coat.paint(pen, HEAD, dark=0.12)
    if rng.random() < 0.25:  # a tulip
        for s in SIDES:
            pen.limb([(s * 0.2, 0.35, 0.25), (s * 0.5, -0.2, 0.3), (s * 0.5, -0.8, 0.03)], petal)
        pen.limb([(0, 0.4, 0.25), (0, -0.2, 0.38), (0, -0.85, 0.03)], inner)
        return
    count, wide = (rng.integers(5, 8), 0.36) if rng.random() < 0.5 else (rng.integers(9, 15), 0.17)
    pen = pen.moved(0, 0, stretch=rng.uniform(0.75, 1), angle=rng.uniform(0, 3))
    for index in range(count):
        leaf = pen.moved(0, 0, angle=2 * np.pi * index / count)
        leaf.limb([(0.1, 0, 0.1), (0.62, 0, wide), (0.9, 0, wide * 0.6)], petal if index % 2 else inner)
    pen.oval(0, 0, 0.3, 0.3, pen.paint(mixed((206, 160, 60), coat.third, 0.5), FRONT, rough=255))
    pen.oval(0, 0, 0.16, 0.16, pen.paint(mixed((120, 70, 30), coat.third, 0.3), FRONT, rough=255))


def person(pen: Pen, rng: Rng, coat: Coat) -> None:
    """A person, standing, walking or waving, or head and shoulders from near; at times from behind."""
    pen = pen.moved(0, 0.08, scale=0.92)
    if rng.random() < 0.35:
        pen = pen.moved(0, rng.uniform(1.2, 1.6), scale=rng.uniform(1.7, 2.2))
    tone = SKIN[rng.integers(len(SKIN))]
    skin, shirt = pen.paint(tone, HEAD, rough=15), coat.paint(pen, BODY)
    _human_legs(pen, rng, skin, pen.paint(coat.third, FAR + 20))
    hem = [(0.34, 0.42)] if rng.random() < 0.25 else [(0.2, 0.14)]  # a dress, or a shirt
    pen.twin([(0, -0.56), (0.12, -0.54), (0.26, -0.46), (0.2, -0.12), *hem, (0, hem[0][1] + 0.03)], shirt)
    sleeve = rng.uniform(0.3, 0.95)
    for s in SIDES:
        upper, lower = rng.uniform(-0.1, 1.1), rng.uniform(-0.6, 1.2)  # rad from hanging down
        if rng.random() < 0.3:
            upper, lower = rng.uniform(1.4, 2.6), rng.uniform(2.2, 3.2)
        elbow = (s * (0.24 + 0.28 * np.sin(upper)), -0.42 + 0.28 * np.cos(upper))
        hand = (elbow[0] + s * 0.27 * np.sin(lower), elbow[1] + 0.27 * np.cos(lower))
        pen.limb([(s * 0.23, -0.43, 0.07), (*elbow, 0.055), (*hand, 0.045)], skin)
        pen.oval(*hand, 0.062, 0.062, skin)
        cuff = mixed(elbow, hand, sleeve)
        pen.limb([(s * 0.22, -0.43, 0.09), (*elbow, 0.075), (*cuff, 0.065)], coat.paint(pen, NEAR))
    pen.limb([(0, -0.5, 0.08), (0, -0.66, 0.07)], skin)
    _human_head(pen.moved(0, -0.79, scale=0.185, angle=rng.uniform(-0.15, 0.15)), rng, skin, coat)


def _human_legs(pen: Pen, rng: Rng, skin: int, trousers: int) -> None:
    stride, shorts = rng.uniform(0, 0.45), rng.random() < 0.3
    for s in SIDES:
        hip, knee = (s * 0.11, 0.08), (s * (0.12 + 0.35 * stride * rng.random()), 0.5)
        foot = (s * (0.12 + 0.5 * stride), 0.93 - 0.15 * (rng.random() < 0.15))
        pen.limb([(*hip, 0.12), (*knee, 0.085), (*foot, 0.06)], skin if shorts else trousers)
        if shorts:
            pen.limb([(*hip, 0.12), (*mixed(hip, knee, 0.8), 0.11)], trousers)
        pen.limb([(foot[0], foot[1] + 0.03, 0.055), (foot[0] + s * 0.1, foot[1] + 0.05, 0.045)], pen.paint(DARK, NEAR))


def _human_head(pen: Pen, rng: Rng, skin: int, coat: Coat) -> None:
    hair = pen.paint(mixed(some_colours(rng, 1)[0], DARK, 0.5), HEAD, rough=160)
    style = rng.choice(["short", "long", "bun", "cap"])
    if style == "long":
        pen.twin([(0, -1.2), (0.85, -0.9), (1.12, 0.2), (1.05, 1.3), (0, 1.1)], hair)
    if style == "bun":
        pen.oval(0, -1.3, 0.45, 0.4, hair)
    for s in SIDES if style != "long" else ():
        pen.oval(s * 0.84, 0.05, 0.16, 0.22, skin)
    pen.twin([(0, -1.1), (0.7, -0.8), (0.85, 0), (0.6, 0.75), (0, 1.05)], skin)
    if rng.random() < 0.15:  # from behind
        pen.twin([(0, -1.2), (0.8, -0.85), (0.95, 0), (0.66, 0.75), (0, 1.08)], hair)
        return
    part = rng.uniform(-0.3, 0.3)
    pen.blob([(part, -0.55), (0.6, -0.45), (0.8, -0.1), (0.96, -0.1), (0.76, -0.92), (0, -1.24), (-0.76, -0.92),
              (-0.96, -0.1), (-0.8, -0.1), (-0.6, -0.45)], hair)  # fmt: skip
    if style == "cap":
        cap = pen.paint(coat.third, FRONT)
        pen.twin([(0, -1.25), (0.8, -0.95), (0.95, -0.4), (0, -0.45)], cap)
        pen.limb([(-0.6, -0.42, 0.1), (0, -0.34, 0.14), (0.6, -0.42, 0.1)], cap)
    _human_features(pen.moved(rng.uniform(-0.2, 0.2), 0), rng, hair)


def _human_features(pen: Pen, rng: Rng, hair: int) -> None:
    brown = pen.paint((92, 62, 44), FRONT, rough=0)
    for s in SIDES:
        x = s * 0.34
        pen.oval(x, -0.03, 0.19, 0.12, pen.paint(PALE, FRONT, rough=0))
        pen.oval(x, -0.03, 0.1, 0.12, brown)
        pen.oval(x, -0.03, 0.06, 0.08, pen.paint(DARK, FRONT, rough=0))
        pen.line([(x - 0.2, -0.27), (x, -0.33), (x + 0.2, -0.27)], 0.08, hair)
    pen.line([(0, 0.02), (0.08, 0.28), (-0.04, 0.33)], 0.06, pen.paint((150, 92, 74), HEAD, rough=0))
    smile = rng.uniform(0, 0.16)
    pen.line([(-0.28, 0.6 - smile / 2), (0, 0.6 + smile / 2), (0.28, 0.6 - smile / 2)], 0.11,
             pen.paint((170, 74, 74), FRONT, rough=0))  # fmt: skip


FIGURES: dict[str, Callable[[Pen, Rng, Coat], None]] = {
    "bike": bike, "cat": cat, "dog": dog, "flower": flower, "horse": horse, "person": person,
}  # fmt: skip
