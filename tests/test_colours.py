"""Colours that everybody can tell apart: on paper, on a projector, and with colour-blind eyes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np

from helpers import plotting, svg

# Linear RGB as it appears to dichromats: Machado, Oliveira, Fernandes (2009), table 1, severity 1.0.
SEEN_BY = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "normal sight": np.eye(3),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # from linear sRGB, D65
EASY = 15  # CIE 1976 colour difference; 2.3 can just be noticed side by side


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a linear RGB colour."""
    x, y, z = np.cbrt(np.maximum(XYZ @ rgb / (XYZ @ np.ones(3)), (6 / 29) ** 3))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(first: str, second: str, eyes: str) -> float:
    seen = [lab(np.clip(np.array(SEEN_BY[eyes]) @ linear(colour), 0, 1)) for colour in (first, second)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def test_the_colours_of_figures_and_drawings_differ_for_all_eyes() -> None:
    assert set(plotting.COLOURS) == {svg.BLUE, svg.ORANGE, svg.GREEN, svg.VERMILION, svg.PURPLE, svg.SKY}
    pairs = itertools.combinations(plotting.COLOURS, 2)
    assert not [(pair, eyes) for pair in pairs for eyes in SEEN_BY if difference(*pair, eyes) < EASY]


def test_the_palette_stands_in_one_place() -> None:
    palette = {str(value) for name, value in vars(svg).items() if name.isupper() and str(value).startswith("#")}
    helpers = Path(svg.__file__).parents[1]
    again = [
        f"{path.relative_to(helpers)}: {colour}"
        for path in helpers.rglob("*.py")
        if path != Path(svg.__file__)
        for colour in re.findall(r'"(#[0-9A-Fa-f]{6})"', path.read_text(encoding="utf-8"))
        if colour.upper() in palette or difference(colour, svg.PURPLE, "normal sight") < EASY
    ]
    assert not again


def test_the_measure_sees_red_and_green_fall_together() -> None:
    red, green = "#D62728", "#2CA02C"  # matplotlib's own
    assert difference(red, green, "normal sight") > 100
    assert difference(red, green, "deuteranopia") < EASY


def test_lines_are_known_without_their_colours() -> None:
    looks = [
        (plotting.STYLES[i % len(plotting.STYLES)], plotting.MARKERS[i % len(plotting.MARKERS)])
        for i in range(len(plotting.COLOURS))
    ]
    assert len(set(looks)) == len(plotting.COLOURS)
