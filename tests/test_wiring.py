"""The drawing of which channel reads which: its lines are those that a gradient takes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import torch
from torch import nn

from helpers.svg.blocks import COLOURS, links, wiring_picture

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("reads", "makes", "groups"), [(4, 6, 1), (4, 4, 4), (3, 6, 3), (6, 9, 3)])
def test_there_is_a_line_where_a_gradient_arrives(reads: int, makes: int, groups: int) -> None:
    conv = nn.Conv2d(reads, makes, 3, groups=groups)
    nn.init.ones_(conv.weight)
    x = torch.zeros(1, reads, 3, 3, requires_grad=True)
    found = set()
    for channel in range(makes):
        (gradient,) = torch.autograd.grad(conv(x)[0, channel].sum(), x)
        found |= {(int(a), channel) for a in gradient[0].any(dim=(1, 2)).nonzero().flatten()}
    assert set(links(conv)) == found and len(links(conv)) == len(found)
    drawn = ET.fromstring(wiring_picture({"one": [conv]})).findall(f"{SVG}line")
    assert len(drawn) == len(found)


def test_behind_a_shuffle_every_group_reads_one_channel_of_each() -> None:
    order = torch.nn.functional.channel_shuffle(torch.arange(9.0).view(1, 9, 1, 1), 3).flatten().int().tolist()
    conv = nn.Conv2d(9, 9, 1, groups=3, bias=False)
    picture = wiring_picture({"shuffled": [conv, order, conv]})
    lines = ET.fromstring(picture).findall(f"{SVG}line")
    last = lines[-27:]  # those of the second convolution
    ends = {}
    for line in last:
        ends.setdefault(line.get("y2"), []).append(line.get("stroke"))
    assert [sorted(colours) for colours in ends.values()] == [sorted(COLOURS[:3])] * 9
    assert picture.alt.count("27 weights") == 2 and "shuffle" in picture.alt
    numbers = [text.text for text in ET.fromstring(picture).iter(f"{SVG}text") if re.fullmatch(r"\d", text.text)]
    assert list(map(int, numbers[18:27])) == order  # the third column


def test_too_many_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="'wide' has 16 channels: lines can be told apart up to 12"):
        wiring_picture({"wide": [nn.Conv2d(16, 4, 1)]})
