"""What notebook 03 says about AlexNet, checked against other sources than the cells that print it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import torch
import torchvision
from torch import nn

from helpers import photos

NOTEBOOK = nbformat.read(Path(__file__).resolve().parents[1] / "notebooks/03_alexnet_dissection.ipynb", as_version=4)


def said(cell: str) -> str:
    """The text that a cell printed, or that stands for its figures."""
    (found,) = (each for each in NOTEBOOK.cells if each.id == cell)
    return "\n".join(output.get("text", "") or output.data["text/plain"] for output in found.outputs)


def test_what_is_looked_at_is_a_photo() -> None:
    sources = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
    assert "standin" not in sources and sources.count("photos.load(") >= 5


def test_the_photo_is_named_rightly_and_grad_cam_lies_in_its_box() -> None:
    label = re.search(r"(?m)^ *[\d.]+ % +(.+)$", said("nb03-024"))[1]
    assert label in photos.CATALOGUE["coffee"].answers
    assert label in said("nb03-092") and "lie in it: True" in said("nb03-092")
    assert float(re.search(r"at most ([\d.]+)", said("nb03-092"))[1]) < 1e-5  # the eight lines against the helper


def test_steps_of_the_winners_and_the_two_largest() -> None:
    values = [float(value) for value in re.findall(r"(?<=[ )])(\d+\.\d) %(?:,|$)", said("nb03-010"))][:-1]
    points = [round(now - before, 1) for before, now in pairwise(values)]
    percent = [round(100 * (now - before) / before) for before, now in pairwise(values)]
    found = re.findall(r"\(([-\d.]+) points, ([-\d]+) %\)", said("nb03-010"))
    assert [(float(a), int(b)) for a, b in found] == list(zip(points, percent, strict=True))
    years = range(2011, 2018)
    assert years[points.index(min(points))] == 2012
    assert {years[percent.index(each)] for each in sorted(percent)[:2]} == {2014, 2015}


def test_the_counts_are_those_of_torchvision_and_of_a_network_built_by_hand() -> None:
    with torch.device("meta"):
        first, second = nn.Conv2d(3, 96, 11), nn.Conv2d(96, 256, 5, groups=2)
        rest = nn.Conv2d(256, 384, 3), nn.Conv2d(384, 384, 3, groups=2), nn.Conv2d(384, 256, 3, groups=2)
        linear = nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)
        paper = nn.ModuleList([first, second, *rest, *linear])
        parts = torchvision.models.alexnet()
    counts = [int(number.replace(",", "")) for number in re.findall(r"[\d,]{9,}", said("nb03-063"))]
    assert counts[0] == counts[1] == sum(p.numel() for p in paper.parameters())
    assert counts[4] == counts[5] == sum(p.numel() for p in parts.parameters())
    linear_share = sum(p.numel() for p in parts.classifier.parameters()) / counts[5]
    assert f"'linear': '{100 * linear_share:.1f} %'" in said("nb03-052")


def test_the_field_that_is_measured_is_much_smaller_than_the_one_that_is_counted() -> None:
    field, jump = 1, 1
    for kernel, stride in ((7, 2), (3, 2), (3, 1), (3, 2), (3, 1), (3, 1), (3, 1)):  # alexnet_mini up to its last ReLU
        field, jump = field + (kernel - 1) * jump, jump * stride
    measured = re.search(r"in (\d+) x \d+ of (\d+) x \d+ pixels: (\d+) %", said("nb03-a18"))
    half, whole, percent = map(int, measured.groups())
    assert whole == field and half < field / 2 and percent == round(100 * half**2 / field**2)
    assert float(re.search(r"outside the field: ([\d.]+)", said("nb03-a17"))[1]) == 0


def test_patches_are_drawn_for_three_layers() -> None:
    drawn = said("nb03-a11") + said("nb03-a13")
    assert re.findall(r"Six maps of (features\.\d+), for each the nine patches", drawn) == [
        "features.1", "features.4", "features.11",
    ]  # fmt: skip
