"""Notebook 05 says only what its stored experiment shows, and the experiment's networks differ in shortcuts alone."""

from __future__ import annotations

import importlib.util
import json
import statistics
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

KIT = Path(__file__).resolve().parents[1]
STORED = json.loads((KIT / "notebooks/results/05_depth.json").read_text(encoding="utf-8"))
NETS = ("plain-8", "plain-32", "ResNet-8", "ResNet-32")


@pytest.fixture(scope="module")
def depth() -> ModuleType:
    spec = importlib.util.spec_from_file_location("depth", KIT / STORED["script"])
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_run_says_where_it_comes_from_and_has_converged() -> None:
    assert {run["net"] for run in STORED["runs"]} == set(NETS)
    for run in STORED["runs"]:
        assert run["stopped_improving"] and len(run["falls"]) == STORED["recipe"]["falls"], run["net"]
        assert all(run[key] for key in ("when", "where", "commit", "seconds", "steps"))
        assert len(run["lesions"]) == (int(run["net"].split("-")[1]) - 2) / 2
        assert len(run["training_error"]) == len(run["test_error"])


def test_the_claims_of_the_text() -> None:
    """For every seed; a claim that a new seed denies must be reworded, not the seed left out."""
    for seed in {run["seed"] for run in STORED["runs"]}:
        of = {run["net"]: run for run in STORED["runs"] if run["seed"] == seed}
        training = {net: run["final_training_error"] for net, run in of.items()}
        assert training["plain-32"] > 5, "the deep plain network does not even fit its training images"
        assert max(training[net] for net in NETS if net != "plain-32") < 0.2, "all others do"
        test = {net: run["final_test_error"] for net, run in of.items()}
        assert test["plain-32"] > max(test[net] for net in NETS if net != "plain-32") + 2
        cut = {net: statistics.median(run["lesions"]) for net, run in of.items()}
        assert cut["plain-32"] > 75 and cut["ResNet-32"] < of["ResNet-32"]["test_error"][-1] + 2
        ratio = {net: [sizes[0] / sizes[-1] for sizes in run["gradients"].values()] for net, run in of.items()}
        assert ratio["plain-32"][0] > 10 * ratio["ResNet-32"][0], "before the first step"
        growth = {net: run["first_weights"]["100"] / run["first_weights"]["0"] for net, run in of.items()}
        assert 1.3 < growth["plain-32"] < 3 and growth["ResNet-32"] < 1.1, "tamed by the warm-up"


def test_the_cell_that_reads_the_file_is_the_one_it_names() -> None:
    cells = json.loads((KIT / "notebooks/05_resnet_dissection.ipynb").read_text(encoding="utf-8"))["cells"]
    reading = [cell["id"] for cell in cells if "05_depth.json" in "".join(cell["source"])]
    assert reading == ["nb05-stored"] and STORED["shown_by"].endswith("nb05-stored")


@pytest.mark.parametrize("layers", [8, 32])
def test_the_networks_have_the_depth_of_their_names_and_equal_weights(depth: ModuleType, layers: int) -> None:
    plain, residual = depth.network(layers, False), depth.network(layers, True)
    assert sum(isinstance(layer, nn.Linear) for layer in plain.modules()) == layers
    residual.load_state_dict(plain.state_dict())  # fails if a name or a shape differs
    block = depth.blocks(residual)[0].eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(4, depth.UNITS)
    assert torch.equal(block(x), x)  # F = 0: the shortcut alone
    assert not torch.allclose(depth.blocks(plain)[0].eval()(x), x)


def test_a_lesion_is_one_block_that_hands_on_its_input(depth: ModuleType) -> None:
    torch.manual_seed(0)
    model, images = depth.network(8, True), torch.randn(40, 1, depth.SIDE, depth.SIDE)
    with torch.no_grad():
        nn.init.zeros_(depth.blocks(model)[1].bn2.weight)
        labels = model.eval()(images).argmax(dim=1)  # so that the whole network makes no error
    before = {name: value.clone() for name, value in model.state_dict().items()}
    errors = depth.lesions(model, images, labels)
    assert len(errors) == 3 and errors[1] == 0  # the second block was an identity already
    assert errors[0] > 0 and errors[2] > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
