"""The zoo's picture and its widget: marks stand where the numbers say, names do not touch, the state comes back."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.svg import WIDTH
from helpers.svg.zoo import Entry, families, frontier, zoo_picture
from helpers.widgets import NetworkExplorer, ZooExplorer, networks
from helpers.widgets.networks import START

SVG = "{http://www.w3.org/2000/svg}"
ENTRIES = [
    Entry("resnet18", "V1", 69.8, 1.8, 11.7),
    Entry("resnet50", "V1", 76.1, 4.1, 25.6),
    Entry("resnet50", "V2", 80.9, 4.1, 25.6),
    Entry("wide_resnet50_2", "V1", 78.5, 11.4, 68.9),
    Entry("mobilenet_v2", "V1", 71.9, 0.3, 3.5),
    Entry("efficientnet_v2_s", "V1", 84.2, 8.4, 21.5),
    Entry("efficientnet_b0", "V1", 77.7, 0.4, 5.3),
]  # fmt: skip
STATE = {"axis": "macs", "family": "resnet", "frontier": False}


def drawn(picture: str, tag: str) -> list[ET.Element]:
    return [e for e in ET.fromstring(picture).iter(f"{SVG}{tag}")]


def centres(picture: str) -> dict[str, tuple[float, float]]:
    """Where each network's mark stands, by its tooltip's first word."""
    places = {e.find(f"{SVG}title").text: (float(e.get("cx")), float(e.get("cy"))) for e in drawn(picture, "circle")}
    for polygon in drawn(picture, "polygon"):
        points = [tuple(map(float, point.split(","))) for point in polygon.get("points").split()]
        places[polygon.find(f"{SVG}title").text] = tuple(sum(values) / 4 for values in zip(*points, strict=True))
    return {" ".join(said.split()[:2]).strip(":"): place for said, place in places.items()}


def test_families_are_told_apart() -> None:
    assert families(ENTRIES) == ["efficientnet", "efficientnet_v2", "mobilenet", "resnet", "wide_resnet"]


@pytest.mark.parametrize("axis", ["macs", "params"])
def test_marks_stand_where_the_numbers_say(axis: str) -> None:
    places = centres(zoo_picture(ENTRIES, STATE | {"axis": axis}))
    assert len(places) == len(ENTRIES)
    a, b, c = (places[f"{name}"] for name in ("resnet18 (V1)", "mobilenet_v2 (V1)", "efficientnet_v2_s (V1)"))
    costs = [math.log(getattr(ENTRIES[i], axis)) for i in (0, 4, 5)]
    ratio = (costs[2] - costs[1]) / (costs[0] - costs[1])
    assert (c[0] - b[0]) / (a[0] - b[0]) == pytest.approx(ratio, rel=0.01)
    assert (b[1] - c[1]) / (a[1] - c[1]) == pytest.approx((84.2 - 71.9) / (84.2 - 69.8), rel=0.01)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_frontier_holds_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    entries = [Entry(f"net{i}", "V1", accuracy, macs, 1) for i, (accuracy, macs) in enumerate(pairs)]
    kept = frontier(entries, "macs")
    for e in entries:
        beaten = any(o.macs <= e.macs and o.accuracy >= e.accuracy and o[2:4] != e[2:4] for o in entries)
        assert ((e.accuracy, e.macs) in {(k.accuracy, k.macs) for k in kept}) == (not beaten)
    assert [k.macs for k in kept] == sorted({k.macs for k in kept})


@pytest.mark.parametrize("font_px", [14, 16, 24])
@pytest.mark.parametrize("family", ["", "resnet", "mobilenet"])
def test_words_neither_touch_nor_leave_the_paper(family: str, font_px: int) -> None:
    crowd = ENTRIES + [Entry(f"resnet{n}", "V1", 76 + n / 200, 4 + n / 300, 26) for n in range(100, 300, 9)]
    picture = zoo_picture(crowd, STATE | {"family": family, "frontier": True}, font_px=font_px)
    height, boxes = float(ET.fromstring(picture).get("height")), []
    for text in drawn(picture, "text"):
        x, y, size = (float(text.get(key)) for key in ("x", "y", "font-size"))
        width = 0.51 * size * len(text.text)
        left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
        assert left >= 0 and left + width <= WIDTH and size <= y < height
        boxes.append((left, y - 0.75 * size, left + width, y + 0.2 * size))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def test_picture_says_what_it_shows_and_marks_by_shape() -> None:
    picture = zoo_picture(ENTRIES, STATE | {"frontier": True})
    assert len(drawn(picture, "polygon")) == 3 and len(drawn(picture, "circle")) == 4
    assert "Marked: resnet18 69.8 %" in picture.alt
    assert "Beaten by none: mobilenet_v2, efficientnet_b0, resnet50, efficientnet_v2_s." in picture.alt


@pytest.mark.parametrize(("entries", "axis"), [([], "macs"), (ENTRIES, "seconds")], ids=["no entries", "unknown axis"])
def test_what_cannot_be_drawn_is_said(entries: list[Entry], axis: str) -> None:
    with pytest.raises(ValueError, match=r"it can be macs or params"):
        zoo_picture(entries, STATE | {"axis": axis})


@pytest.mark.parametrize(
    ("setting", "value"),
    [("axis", "params"), ("weights", "all"), ("family", "mobilenet"), ("frontier", False)],
    ids=str,
)
def test_a_control_changes_state_and_picture_and_the_state_comes_back(setting: str, value: object) -> None:
    explorer = ZooExplorer(ENTRIES)
    before = explorer.picture.value
    explorer.controls[setting].value = value
    assert explorer.state == START | {setting: value}
    assert explorer.picture.value == explorer.svg() != before
    assert ZooExplorer(ENTRIES, explorer.state).svg() == explorer.svg()
    assert repr(explorer) == f"ZooExplorer: {explorer.svg().alt}"


def test_first_weights_or_all() -> None:
    assert ZooExplorer(ENTRIES).svg().alt.startswith("Accuracy of 6 networks")
    assert ZooExplorer(ENTRIES, {"weights": "all"}).svg().alt.startswith("Accuracy of 7 networks")


@pytest.mark.parametrize(
    ("state", "said"),
    [({"axis": "seconds"}, "there is no axis 'seconds'; there are: macs, params"),
     ({"colour": 1}, "there is no setting 'colour'; there are: axis, weights, family, frontier")],
    ids=["value", "setting"],
)  # fmt: skip
def test_an_unknown_state_is_refused_and_changes_nothing(state: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ZooExplorer(ENTRIES, state)
    explorer = ZooExplorer(ENTRIES)
    with pytest.raises(ValueError, match=said):
        explorer.state = {"family": "mobilenet", **state}
    assert explorer.state == START


# ---- networks one by one -----------------------------------------------------------------------------------------


def test_network_explorer_shows_drawing_and_table_of_what_was_chosen() -> None:
    explorer = NetworkExplorer(("alexnet", "resnet18"))
    assert explorer.svg().alt.startswith("alexnet: 61.1 M parameters")
    assert "61,100,840" in explorer.table.value and explorer.second.value == ""
    explorer.controls["network"].value = "resnet18"
    assert explorer.picture.value == explorer.svg() and "layer4.1.conv2" in explorer.table.value
    explorer.controls["size"].value = 96
    assert "512x3x3" in explorer.table.value


def test_network_explorer_compares_and_stops_comparing() -> None:
    explorer = NetworkExplorer(("alexnet", "resnet18"), {"other": "resnet18"})
    assert "resnet18" in explorer.second.value and "* marks a difference" in explorer.table.value
    assert NetworkExplorer(("alexnet", "resnet18"), explorer.state).table.value == explorer.table.value
    explorer.controls["other"].value = ""
    assert explorer.second.value == "" and "* marks" not in explorer.table.value


@pytest.mark.parametrize(
    ("state", "said"),
    [({"size": 17}, "there is no size 17; there are: 96, 128"), ({"net": "vgg16"}, "no setting 'net'; there are")],
    ids=["value", "setting"],
)
def test_network_explorer_refuses_an_unknown_state(state: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        NetworkExplorer(("alexnet",), state)


@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_of_the_list_works_at_the_smallest_size(name: str) -> None:
    size = min(networks.SIZES)
    assert networks.dissected(name, size).input_shape == (3, size, size)
