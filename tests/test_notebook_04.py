"""What notebook 04 says about VGG, checked against other sources than the cells that print it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import torch
import torchvision
from torch import nn

from helpers import models, photos

NOTEBOOK = nbformat.read(Path(__file__).resolve().parents[1] / "notebooks/04_vgg_dissection.ipynb", as_version=4)


def said(cell: str) -> str:
    """The text that a cell printed, or that stands for its figure."""
    (found,) = (each for each in NOTEBOOK.cells if each.id == cell)
    return "\n".join(output.get("text", "") or output.data["text/plain"] for output in found.outputs)


def defined(*cells: str) -> dict:
    """The names that these cells of the notebook define."""
    names = {"nn": nn, "torch": torch, "name": "resnet_mini", "net": models.load("resnet_mini")}
    for each in NOTEBOOK.cells:
        if each.id in cells:
            exec(each.source, names)
    return names


def test_the_sums_of_the_table_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        vgg16 = torchvision.models.vgg16()
    weights = sum(p.numel() for name, p in vgg16.named_parameters() if name.endswith("weight"))
    assert f"params {weights:,}" in re.sub(" +", " ", said("nb04-032")).splitlines()[-1]
    maps = 3 * 224**2 + 4096 * 2 + 1000
    for channels, side, convolutions in ((64, 224, 2), (128, 112, 2), (256, 56, 3), (512, 28, 3), (512, 14, 3)):
        maps += channels * (convolutions * side**2 + (side // 2) ** 2)
    assert f"{maps:,} values = 61 MB" in said("nb04-034")


def test_without_relus_a_stack_is_one_filter_and_with_them_it_is_not() -> None:
    without, with_relus = map(float, re.findall(r"\d+\.\d+", said("nb04-014")))
    assert without < 0.001 and with_relus > 1


def test_each_class_is_surest_in_the_photo_that_shows_it() -> None:
    found = dict(re.findall(r"^(.+?) +surest in the photo (\w+), \d+ %", said("nb04-halves"), re.M))
    assert len(found) == 5 and found["espresso"] == "coffee" and found["projectile"] == "rocket"
    assert photos.CATALOGUE["coffee"].answers >= {"espresso"} and photos.CATALOGUE["rocket"].answers >= {"projectile"}
    assert not set(found) - set(models.about("resnet_mini")[1])


def test_the_dense_network_says_at_each_position_what_the_network_says_about_the_window_there() -> None:
    names = defined("nb04-058")
    images = torch.rand(1, 3, 64, 112, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = names["dense"](images)
        assert scores.shape == (1, 200, 1, 7)  # (112 - 64) / 8 + 1 positions
        # A window inside has its neighbours at the edge where a crop has padding, so only a whole image is the same.
        assert torch.allclose(names["dense"](images[..., :64]).flatten(1), names["net"](images[..., :64]), atol=1e-4)
    head = nn.Sequential(nn.Linear(3 * 7 * 7, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 4)).eval()  # as VGG: 7x7
    maps = torch.rand(1, 3, 7, 9)
    with torch.no_grad():
        slid = names["everywhere"](nn.Identity(), head, side=7)(maps)
        assert slid.shape == (1, 4, 1, 3)
        for place in range(3):
            one = head(maps[..., place : place + 7].flatten(1))
            assert slid[0, :, 0, place].tolist() == pytest.approx(one[0].tolist(), abs=1e-5)
