"""Statistics by layer: against the same numbers computed step by step, and without a trace in the network."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.activations import statistics as layer_statistics


def batch(count: int = 20, features: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, features, generator=generator)
    return images, torch.randint(0, 3, (count,), generator=generator)


def test_the_numbers_are_those_of_a_pass_by_hand() -> None:
    torch.manual_seed(1)
    first, second = nn.Linear(6, 8), nn.Linear(8, 3)
    images, labels = batch()
    (layer,) = layer_statistics.watch(nn.Sequential(first, nn.ReLU(), second), images, labels)

    with torch.no_grad():
        hidden = first(images).clamp(min=0)
        wrong = (second(hidden).softmax(dim=1) - F.one_hot(labels, 3)) / len(labels)  # d loss / d scores
        gradient = wrong @ second.weight
    assert (layer.name, layer.kind) == ("1", "ReLU")
    assert layer.mean == pytest.approx(hidden.mean().item())
    assert layer.std == pytest.approx(hidden.std().item())
    assert layer.zeros == pytest.approx((hidden == 0).double().mean().item())
    assert layer.gradient == pytest.approx(gradient.pow(2).mean().sqrt().item())


def test_dead_units_and_maps_are_counted() -> None:
    layer = nn.Conv2d(1, 4, 3)
    nn.init.constant_(layer.bias[:1].data, -1e3)  # one map of four
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    images = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    (statistics,) = layer_statistics.watch(model, images, torch.zeros(10, dtype=torch.int64))
    assert statistics.dead == 0.25
    assert 0.25 < statistics.zeros < 1


@pytest.mark.parametrize("inplace", [False, True], ids=["relu", "relu in place"])
def test_a_layer_in_place_behind_changes_nothing(inplace: bool) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=inplace), nn.Linear(8, 3))
    linear, _ = layer_statistics.watch(model, *batch(), kinds=(nn.Linear,))
    torch.manual_seed(2)
    images, _ = batch()
    values = nn.Linear(6, 8)(images)
    assert linear.mean == pytest.approx(values.mean().item()) and values.mean() < values.clamp(min=0).mean()


def test_the_network_stays_as_it_was() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)).eval()
    model[2].train()
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    layer_statistics.watch(model, *batch())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [False, False, True, False, False]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())


def test_frozen_networks_have_gradients_too() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).requires_grad_(False)
    assert all(layer.gradient > 0 for layer in layer_statistics.watch(model, *batch()))


def test_a_network_without_such_layers_is_explained() -> None:
    with pytest.raises(ValueError, match=r"no layer of these kinds: ReLU, .*kinds=\(nn.Linear,\)"):
        layer_statistics.watch(nn.Linear(6, 3), *batch())
