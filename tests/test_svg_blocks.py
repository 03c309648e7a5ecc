"""Drawn blocks: widths follow the maps, the waist is one, shortcuts lead to a sum, words stay on the paper."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from helpers import svg
from helpers.svg.blocks import Block, block_picture

SVG = "{http://www.w3.org/2000/svg}"
PLAIN = Block("plain", ("3×3 conv\nBN, ReLU", "3×3 conv\nBN"), (64, 64, 64))
NECK = Block("bottleneck", ("1×1 conv", "3×3 conv", "1×1 conv"), (256, 64, 64, 256), shortcut="x")


def test_widths_are_in_proportion_to_the_maps() -> None:
    tree = ET.fromstring(block_picture([PLAIN, NECK]))
    bars = [float(rect.get("width")) for rect in tree.iter(f"{SVG}rect") if rect.get("fill") == svg.INK]
    assert len(bars) == 4 + 5  # the maps in front, between and behind, and those after the end
    assert [bar / bars[0] for bar in bars] == pytest.approx([1, 1, 1, 1, 4, 1, 1, 4, 4], abs=0.02)


def test_a_layer_narrows_and_widens_between_its_maps() -> None:
    tree = ET.fromstring(block_picture([NECK]))
    layers = [shape.get("points").split() for shape in tree.iter(f"{SVG}polygon") if shape.get("fill") == svg.BLUE_TINT]
    ends = [[abs(float(a.split(",")[0]) - float(b.split(",")[0])) for a, b in (p[:2], p[2:])] for p in layers]
    assert [above / below for above, below in ends] == pytest.approx([4, 1, 0.25], abs=0.02)


def test_only_a_shortcut_is_drawn_and_told_as_a_sum() -> None:
    plain, neck = block_picture([PLAIN]), block_picture([NECK])
    assert "F(x) + x" not in plain and svg.VERMILION not in plain and "no shortcut" in plain.alt
    assert neck.count("F(x) + x") == 1 and "<circle" in neck
    assert neck.alt == "bottleneck: 256 maps; 1×1 conv: 64 maps; 3×3 conv: 64 maps; 1×1 conv: 256 maps, the input " \
        "added (x), ReLU."  # fmt: skip


@pytest.mark.parametrize("font_px", [14, 16, 24])
def test_words_stay_on_the_paper(font_px: int) -> None:
    picture = block_picture([PLAIN, PLAIN, NECK], font_px=font_px)
    height = float(ET.fromstring(picture).get("height"))
    for text in ET.fromstring(picture).iter(f"{SVG}text"):
        x, y, size = (float(text.get(key)) for key in ("x", "y", "font-size"))
        width = 0.54 * size * len(text.text)
        left = x - width * {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor"), 0.0)
        assert left >= 0 and left + width <= svg.WIDTH and size < y < height, text.text


def test_maps_and_layers_must_fit() -> None:
    with pytest.raises(ValueError, match=r"2 layers have 3 counts of maps: \(64, 64\)"):
        Block("short", ("3×3", "3×3"), (64, 64))
