"""What notebook 01 says about kernels and pooling, computed again; its stored outputs say the same."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import photos

NOTEBOOK = nbformat.read(Path(__file__).resolve().parents[1] / "notebooks/01_conv_arithmetic.ipynb", as_version=4)
CELLS = {cell.id: cell for cell in NOTEBOOK.cells}
SOBEL = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def printed(cell: str) -> str:
    return "".join(output.get("text", "") for output in CELLS[cell].outputs)


@pytest.fixture(scope="module")
def grey() -> torch.Tensor:
    photo = photos.load("cat").crop((55, 0, 355, 300)).resize((150, 150))
    return torch.tensor(np.array(photo)).float().mean(dim=2) / 255


@pytest.mark.parametrize("flipped", [False, True], ids=["as PyTorch does it", "as mathematics does it"])
def test_the_kernel_that_is_learned_is_the_one_that_made_the_answers(grey: torch.Tensor, flipped: bool) -> None:
    names = {"torch": torch, "F": F}
    exec(CELLS["nb01-p11"].source, names)
    x, true = (grey - grey.mean()) / grey.std(), SOBEL.flip(0, 1) if flipped else SOBEL
    windows = x.unfold(0, 3, 1).unfold(1, 3, 1)  # the answers without a function called convolution
    learned = names["learn"](x, (windows * true).sum(dim=(2, 3)))
    scale = {step: (kernel * true).sum() / (kernel * kernel).sum() for step, kernel in learned.items()}
    away = {step: float((scale[step] * kernel - true).norm() / true.norm()) for step, kernel in learned.items()}
    assert away["step 300"] < 0.1 < away["step 50"] < away["step 10"] < away["step 0"]


def test_the_stored_outputs_say_so_too() -> None:
    away = [int(number) for number in re.findall(r"kernel by +(\d+) %", printed("nb01-p12"))]
    assert len(away) == 4 and away == sorted(away, reverse=True) and away[-1] < 10
    one_layer = re.findall(r"by +([\d.]+)$", printed("nb01-p23"), re.M)
    assert float(one_layer[0]) == 0 < float(one_layer[1])


def test_pooling_roughly_halves_what_a_shift_changes_and_skipping_does_not(grey: torch.Tensor) -> None:
    found = re.findall(r"^(.*?) +a shift .* image by ([\d.]+), the edges by ([\d.]+)", printed("nb01-084"), re.M)
    table = {name: (float(image), float(edges)) for name, image, edges in found}
    as_it_is = table["as it is"]
    for place in (0, 1):
        assert table["every 4th number"][place] > 0.9 * as_it_is[place]
        assert all(table[pool][place] < 0.65 * as_it_is[place] for pool in ("max pool 4", "average pool 4"))
    assert table["max pool 4"][1] < table["average pool 4"][1]
    before, after = grey[:144, 1:145], grey[:144, :144]  # the image again, the mean of 4x4 by reshaping
    means = [part.reshape(36, 4, 36, 4).mean(dim=(1, 3)) for part in (before, after)]
    change = float((means[1] - means[0]).abs().mean() / means[0].std())
    assert table["average pool 4"][0] == pytest.approx(change, abs=0.006)


def test_every_stored_widget_shows_its_picture() -> None:
    widgets = [cell for cell in NOTEBOOK.cells if re.search(r"^(\w+Explorer|VolumeView)\(", cell.source, re.M)]
    drawn = [sum("image/svg+xml" in output.get("data", {}) for output in cell.outputs) for cell in widgets]
    assert drawn == [1] * 7
