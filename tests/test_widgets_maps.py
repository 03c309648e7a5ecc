"""The feature-map browser without a browser: choose a layer and a cell, look at the state and at the picture."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers import models
from helpers.widgets.maps import PER_PAGE, MapBrowser, maps_picture

IMAGE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return models.load("alexnet_mini")


@pytest.fixture
def browser(network) -> MapBrowser:
    return MapBrowser(network, IMAGE)


def images(svg: str) -> list[np.ndarray]:
    """The pixels of every picture inside the drawing: the photo, then the maps."""
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', svg)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def numbers(svg: str) -> list[int]:
    """The numbers written below the maps."""
    return [int(n) for n in re.findall(r'text-anchor="middle">(\d+)</text>', svg)]


def test_the_menu_lists_what_puts_out_maps(browser):
    names = [value for _, value in browser.controls["node"].options]
    assert names == [f"features.{i}" for i in range(13)] + ["avgpool"]
    assert browser.controls["node"].options[3][0] == "features.3  Conv2d, 128 × 15 × 15"


def test_a_layer_shows_the_maps_that_the_network_computes(browser, network):
    with torch.no_grad():
        expected = network.features[:8](IMAGE)[0]  # up to the ReLU behind the third convolution
    browser.controls["node"].value = "features.7"
    order = expected.mean(dim=(1, 2)).argsort(descending=True)[:PER_PAGE]
    assert numbers(browser.svg()) == order.tolist()
    pixels = images(browser.svg())
    assert len(pixels) == 1 + PER_PAGE and pixels[0].shape == (64, 64, 3)
    for map_, number in zip(pixels[1:], order, strict=True):  # bright where the map is high
        brightest = np.unravel_index(map_.astype(int).sum(axis=2).argmax(), map_.shape[:2])
        assert expected[number][brightest] >= 0.98 * expected[number].max()


def test_pages_show_every_map_once(browser):
    browser.state = {"node": "features.3", "order": "number"}
    seen = []
    for page in range(browser.controls["page"].max + 1):
        browser.controls["page"].value = page
        seen += numbers(browser.svg())
    assert seen == list(range(128))


def test_the_frame_is_the_part_of_the_picture_that_changes_the_cell(browser, network):
    browser.state = {"node": "features.3", "row": 4, "column": 11}
    words = re.search(r"sees rows (\d+) to (\d+) and columns (\d+) to (\d+)", browser.svg().alt)
    image = IMAGE.clone().requires_grad_()
    network.features[:4](image)[0, :, 4, 11].sum().backward()
    rows, columns = (image.grad[0].abs().sum(dim=(0, axis)).nonzero().flatten() for axis in (2, 1))
    assert [int(n) for n in words.groups()] == [rows.min(), rows.max(), columns.min(), columns.max()]


def test_one_scale_for_all_darkens_the_weaker_maps(browser):
    browser.state = {"node": "features.1"}
    own = [pixels.max() for pixels in images(browser.svg())[1:]]
    browser.controls["scale"].value = "shared"
    shared = [pixels.max() for pixels in images(browser.svg())[1:]]
    assert min(own) == max(own) and min(shared) < max(shared) <= max(own)


def test_in_another_layer_the_cell_stays_at_its_place(browser):
    browser.state = {"node": "features.1", "row": 31, "column": 0, "page": 2}
    browser.controls["node"].value = "features.7"  # 32 x 32 cells become 7 x 7
    assert (browser.state["row"], browser.state["column"], browser.state["page"]) == (6, 0, 0)
    assert browser.controls["row"].max == 6
    browser.controls["node"].value = "features.1"
    assert (browser.state["row"], browser.controls["row"].max) == (29, 31)


def test_one_change_is_one_redraw_and_the_state_comes_back(browser, network):
    drawn = []
    browser.picture.observe(lambda change: drawn.append(change["new"]), names="value")
    browser.controls["node"].value = "features.9"
    assert len(drawn) == 1 and drawn == [browser.svg()]
    assert MapBrowser(network, IMAGE, browser.state).svg() == browser.svg()
    assert repr(browser) == f"MapBrowser: {browser.svg().alt}"


def test_no_output_widget(browser):
    todo, names = [browser], set()
    while todo:
        widget = todo.pop()
        names.add(widget._model_name)
        todo += getattr(widget, "children", ())
    assert "HTMLModel" in names and "OutputModel" not in names


def test_the_network_is_only_read(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    MapBrowser(network, IMAGE, {"node": "features.7"})
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()


def test_a_network_that_cannot_be_traced_is_shown_without_a_frame():
    class Choosy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x):
            return self.conv(x) if x.sum() > -1e9 else x

    browser = MapBrowser(Choosy(), IMAGE)
    assert "what it sees is not known" in browser.svg().alt
    assert len(images(browser.svg())) == 3


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"layer": "conv1"}, "there is no setting 'layer'"),
        ({"node": "classifier.1"}, "there is no node 'classifier.1'; there are: features.0"),
    ],
    ids=["setting", "layer"],
)
def test_unknown_states_are_refused(network, state, message):
    with pytest.raises(ValueError, match=message):
        MapBrowser(network, IMAGE, state)


def test_a_cell_that_is_not_there_ends_at_the_edge(network):
    browser = MapBrowser(network, IMAGE, {"node": "features.12", "row": 99})
    assert browser.state["row"] == 2


@pytest.mark.parametrize(
    ("values", "said", "colour"),
    [([[0.0, 2.0], [0.0, 0.0]], "1 dead", [252, 255, 164]), ([[-2.0, 2.0], [0.0, 0.0]], "2 × 2; each", [103, 0, 31])],
    ids=["behind a ReLU", "signed"],
)
def test_colours_and_words_of_the_pure_picture(values, said, colour):
    maps = np.array([[[0.0, 0.0], [0.0, 0.0]], values])
    svg = maps_picture(np.zeros((8, 8, 3)), maps, title="t", cell=(0, 1))
    strongest = images(svg)[1 + numbers(svg).index(1)]
    assert said in svg.alt and strongest[0, 1].tolist() == colour
    assert "what it sees is not known" in svg.alt
