"""Drawings and figures of networks: sizes follow the rows, words stay on the paper and do not touch, counts agree."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET
from functools import cache

import pytest
import torch
import torchvision
from torch import Tensor, nn

from helpers import dissect, svg
from helpers.dissect import Dissection
from helpers.plotting import networks
from helpers.svg import network

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("alexnet", "vgg16", "resnet18", "resnet152", "squeezenet1_1", "densenet121", "mobilenet_v2")


@cache
def dissected(name: str, size: int = 224) -> Dissection:
    with torch.device("meta"):
        return dissect.layers(torchvision.models.get_model(name), size)


def every_box(picture: str) -> list[tuple[str, ET.Element]]:
    """What has a tooltip, with it."""
    rects = ET.fromstring(picture).iter(f"{SVG}rect")
    return [(rect.find(f"{SVG}title").text, rect) for rect in rects if rect.find(f"{SVG}title") is not None]


def boxes(picture: str) -> dict[str, ET.Element]:
    """The drawn layers and blocks by their tooltips, the bars of their weights left out."""
    return {tip: rect for tip, rect in every_box(picture) if not re.fullmatch(r"[\d,]+ parameters", tip)}


def words(picture: str) -> list[ET.Element]:
    return list(ET.fromstring(picture).iter(f"{SVG}text"))


def test_words_neither_touch_nor_leave_the_paper() -> None:
    wrong = []
    for name, font_px in itertools.product(NAMES, (14, 16, 24)):
        picture = network.network_picture(dissected(name), font_px=font_px)
        height = float(ET.fromstring(picture).get("height"))
        lines: dict[float, list[tuple[float, float, str]]] = {}
        for text in words(picture):
            x, y, size = (float(text.get(key)) for key in ("x", "y", "font-size"))
            width = size * 0.54 * len(text.text)
            left = x - width / 2 if text.get("text-anchor") == "middle" else x
            lines.setdefault(y, []).append((left, left + width, text.text))
            on_paper = size < y < height - 0.2 * size and left >= 0 and left + width <= svg.WIDTH
            if not on_paper or size < 0.7 * font_px:
                wrong.append(f"{name}, {font_px} px: {text.text}")
        for spans in lines.values():
            pairs = itertools.pairwise(sorted(spans))
            wrong += [f"{name}, {font_px} px: {a[2]} touches {b[2]}" for a, b in pairs if a[1] > b[0]]
    assert not wrong


def test_heights_follow_the_maps_and_widths_the_logarithm_of_the_channels() -> None:
    sizes = {}
    for tip, rect in boxes(network.network_picture(dissected("vgg16"))).items():
        shape = re.search(r"(\d+)×(\d+)×\d+", tip)  # linear layers have none
        if shape:
            channels, side = map(int, shape.groups())
            sizes[channels, side] = (float(rect.get("width")), float(rect.get("height")))
    narrow = network.NARROWEST
    for (channels, side), (width, height) in sizes.items():
        assert height == pytest.approx(network.TALLEST * side / 224, abs=0.1)
        assert (width - narrow) / (sizes[512, 7][0] - narrow) == pytest.approx(math.log2(channels) / 9, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_bars_are_the_shares_of_the_weights(name: str) -> None:
    model = dissected(name)
    counts, heights = [], []
    for tip, rect in every_box(network.network_picture(model)):
        if found := re.fullmatch(r"([\d,]+) parameters", tip):
            counts.append(int(found[1].replace(",", "")))
            heights.append(float(rect.get("height")))
    assert sum(counts) == model.params
    for count, height in zip(counts, heights, strict=True):
        assert height == pytest.approx(max(1, network.WEIGHTS * count / model.params), abs=0.06)


@pytest.mark.parametrize(
    ("name", "count", "repeats", "arcs"),
    [
        ("alexnet", 13, [], 0), ("vgg16", 15, ["×2", "×2", "×3", "×3", "×3"], 0),
        ("resnet18", 9, ["×2", "×2", "×2", "×2"], 4), ("resnet152", 9, ["×3", "×8", "×36", "×3"], 4),
        ("squeezenet1_1", 11, ["×2", "×2", "×2", "×2"], 0), ("densenet121", 16, ["×6", "×12", "×24", "×16"], 4),
    ],
    ids=("alexnet", "vgg16", "resnet18", "resnet152", "squeezenet1_1", "densenet121"),
)  # fmt: skip
def test_boxes_repeats_and_shortcuts(name: str, count: int, repeats: list[str], arcs: int) -> None:
    picture = network.network_picture(dissected(name))
    assert sorted(text.text for text in words(picture) if re.fullmatch(r"×\d+", text.text)) == sorted(repeats)
    assert picture.count("<path") == arcs
    titles = [text for text in words(picture) if text.get("font-weight") == "bold" and text.text[0] not in "×"]
    assert len(titles) - 1 == count  # one a box, and the headline


def test_tooltips_say_shape_and_receptive_field() -> None:
    tips = list(boxes(network.network_picture(dissected("resnet18"))))
    assert tips[0] == "input 3×224×224"
    assert tips[-3] == (
        "layer4 (BasicBlock ×2)\noutput 512×7×7\nreceptive field 435 px\n8,393,728 parameters\n411.0 M MACs"
    )
    assert "receptive field whole image" in tips[-1]


def test_a_shortcut_between_layers_outside_blocks_is_an_arc() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.one(x)
            return self.three(self.two(x)) + x

    assert network.network_picture(dissect.layers(Skip(), 8)).count("<path") == 1


def test_never_more_than_thirty_boxes() -> None:
    model = nn.Sequential(*(nn.Conv2d(channels, channels + 1, 3, padding=1) for channels in range(3, 60)))
    picture = network.network_picture(dissect.layers(model, 8))
    assert len(boxes(picture)) == network.MOST_BOXES
    assert any(text.text.endswith(" more") for text in words(picture))
    assert "59×8×8" in [text.text for text in words(picture)]


def test_networks_of_vectors_and_untraced_ones_are_drawn() -> None:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(27, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.flatten(1)) if x.sum() > 0 else self.fc(-x.flatten(1))

    for model in (nn.Sequential(nn.Flatten(), nn.Linear(27, 5), nn.ReLU(), nn.Linear(5, 2)), Looking()):
        picture = network.network_picture(dissect.layers(model, (3, 3, 3)))
        assert "linear" in picture.alt


def test_no_ids_no_styles_and_the_same_every_time() -> None:
    picture = network.network_picture(dissected("resnet18"))
    assert picture == network.network_picture(dissected("resnet18"))
    assert " id=" not in picture and "style" not in picture


# ---- figures -----------------------------------------------------------------------------------------------------


def test_shares_of_weights_and_work() -> None:
    alexnet = dissected("alexnet")
    params, macs = (networks.shares(alexnet, name) for name in ("params", "macs"))
    assert (round(params["linear"]), round(macs["conv"])) == (96, 92)
    assert sum(params.values()) == pytest.approx(100)
    figure = networks.weights_against_work([alexnet, dissected("resnet18")])
    assert "AlexNet: weights: 4 % convolutions, 96 % linear layers" in figure.alt


@pytest.mark.parametrize("name", ["alexnet", "resnet152"])
def test_the_staircase_ends_at_a_hundred(name: str) -> None:
    figure = networks.cumulative(dissected(name), figures=("params", "macs", "activation_bytes"))
    for axis in figure.axes:
        assert max(bar.get_y() + bar.get_height() for bar in axis.patches) == pytest.approx(100)
    assert len(figure.axes[-1].get_xticklabels()) <= networks.MOST_BARS
    assert "most of the weights at" in figure.alt


def test_a_plain_chain_has_the_names_of_the_papers_and_the_legend_only_what_is_there() -> None:
    figure = networks.cumulative(dissected("vgg16"), figures=("activation_bytes", "params"))
    ticks = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert ticks[:4] == ["conv1_1", "conv1_2", "pool1", "conv2_1"] and ticks[-3:] == ["fc6", "fc7", "fc8"]
    assert "most of the weights at fc6: 74 %" in figure.alt
    alexnet = networks.cumulative(dissected("alexnet"), figures=("params",))
    assert [label.get_text() for label in alexnet.axes[0].get_xticklabels()][:2] == ["conv1", "conv2"]
    shown = [text.get_text() for text in alexnet.legends[0].get_texts()]
    assert shown == ["convolutions", "linear layers", "all before"]
    branched = networks.cumulative(dissected("resnet18"), figures=("params",))
    assert "conv1" in branched.axes[0].get_xticklabels()[0].get_text()  # PyTorch's own name
    assert any("layer1" in label.get_text() for label in branched.axes[0].get_xticklabels())
