"""Subsets, probes, lines between networks and shuffled pictures, against what scikit-style oracles and hands give."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from helpers import models, plotting, transfer


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.tensor([0, 1, 2] * 8)[torch.randperm(24, generator=torch.Generator().manual_seed(3))]


@pytest.fixture
def blobs() -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes around three corners, far from the origin and badly scaled."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(20)
    corners = torch.tensor([[0.0, 0, 0, 0], [40, 0, 0, 0], [0, 40, 0, 0]])
    return corners[labels] + 500 + torch.randn(60, 4, generator=generator), labels


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


# --- subsets ----------------------------------------------------------------------------------------------------------


def test_per_class_takes_as_many_of_each(labels):
    for count in (1, 3, 8):
        chosen = transfer.per_class(labels, count, seed=5)
        assert labels[chosen].bincount().tolist() == [count] * 3
        assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_a_small_subset_lies_within_a_larger_one_and_seeds_differ(labels):
    small, large = (set(transfer.per_class(labels, count, seed=1).tolist()) for count in (2, 5))
    assert small < large
    assert transfer.per_class(labels, 2, seed=1).tolist() != transfer.per_class(labels, 2, seed=2).tolist()


def test_per_class_leaves_random_numbers_alone(labels):
    before = torch.get_rng_state()
    transfer.per_class(labels, 2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("count", [0, 9], ids=["none", "too-many"])
def test_per_class_refuses_what_is_not_there(labels, count):
    with pytest.raises(ValueError, match=f"count={count} must be from 1 to 8, the examples of class 0"):
        transfer.per_class(labels, count)


def test_only_classes_numbers_them_in_the_order_given(labels):
    images, new = transfer.only_classes(labels.float().view(-1, 1), labels, (2, 0))
    assert new.tolist() == [0] * 8 + [1] * 8
    assert images.flatten().tolist() == [2.0] * 8 + [0.0] * 8


# --- shuffled blocks --------------------------------------------------------------------------------------------------


def test_shuffled_blocks_are_the_same_blocks_in_another_order():
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    mixed = transfer.shuffle_blocks(images, 2, seed=1)

    def blocks(picture: torch.Tensor) -> list[list[float]]:
        return [picture[:, r : r + 2, c : c + 2].flatten().tolist() for r in (0, 2) for c in (0, 2, 4)]

    for before, after in zip(images, mixed, strict=True):
        assert sorted(blocks(before)) == sorted(blocks(after))
        assert blocks(before) != blocks(after)
    assert not torch.equal(mixed[0] % 72, mixed[1] % 72), "every picture has an order of its own"


def test_one_block_is_the_picture_itself():
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(transfer.shuffle_blocks(images, 8), images)


def test_blocks_must_fit():
    with pytest.raises(ValueError, match="block=3 must divide the height 8 and the width 8"):
        transfer.shuffle_blocks(torch.rand(1, 3, 8, 8), 3)


# --- predictions ------------------------------------------------------------------------------------------------------


def test_scores_come_from_eval_mode_whatever_the_batches():
    model, images = network(0).train(), torch.rand(7, 3, 8, 8)
    expected = copy.deepcopy(model).eval()(images)
    assert torch.allclose(transfer.scores(model, images, batch_size=3), expected, atol=1e-6)
    assert model.training and all(module.training for module in model)


def test_accuracy():
    first = torch.eye(3)[[0, 1, 2, 0]]
    assert transfer.accuracy(first, torch.tensor([0, 1, 2, 1])) == 75
    assert transfer.accuracy(torch.tensor([0, 1]), torch.tensor([0, 0])) == 50


# --- probes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("examples", [60, 3], ids=["more-examples-than-features", "fewer"])
def test_probe_is_ridge_regression(blobs, examples):
    features, labels = (tensor[:: 60 // examples] for tensor in blobs)
    layer = transfer.linear_probe(features, labels, ridge=0.1)
    x = features.double().numpy()
    targets = np.where(np.eye(3)[labels.numpy()] > 0, 1.0, -1.0)
    centred = x - x.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=1).mean())
    centred /= scale
    # the oracle: least squares with the penalty written as extra equations
    rows = np.vstack([centred, np.sqrt(0.1) * np.eye(4)])
    weight = np.linalg.lstsq(rows, np.vstack([targets - targets.mean(axis=0), np.zeros((4, 3))]), rcond=None)[0]
    expected = centred @ weight + targets.mean(axis=0)
    assert np.allclose(layer(features).detach().numpy(), expected, atol=2e-3)


def test_probe_separates_what_can_be_separated(blobs):
    features, labels = blobs
    assert transfer.accuracy(transfer.linear_probe(features, labels)(features), labels) == 100


def test_probe_knows_classes_that_are_not_in_the_examples(blobs):
    layer = transfer.linear_probe(*blobs, num_classes=5)
    assert layer.weight.shape == (5, 4)
    assert layer(blobs[0]).argmax(dim=1).max() < 3


def test_nearest_goes_by_the_angle():
    features = torch.tensor([[1.0, 0], [0, 1], [10, 10]])
    assert transfer.nearest(features, torch.tensor([[0.1, 0.02], [3, 3.3]]), count=2).tolist() == [[0, 2], [2, 1]]


# --- lines ------------------------------------------------------------------------------------------------------------


def test_the_ends_and_the_middle_of_the_line():
    first, second = network(0).state_dict(), network(1).state_dict()
    second["1.num_batches_tracked"] += 4
    for share, expected in ((0.0, first), (1.0, second)):
        state = transfer.interpolate(first, second, share)
        assert all(torch.allclose(state[n], expected[n]) for n in first if "num_batches" not in n)
    middle = transfer.interpolate(first, second, 0.5)
    assert torch.allclose(middle["4.weight"], (first["4.weight"] + second["4.weight"]) / 2, atol=1e-6)
    assert middle["1.num_batches_tracked"] == first["1.num_batches_tracked"]
    assert middle["1.num_batches_tracked"] is not first["1.num_batches_tracked"]


def test_two_different_networks_have_no_line():
    other = nn.Sequential(*network(0)[:4], nn.Linear(4 * 36, 5))
    with pytest.raises(ValueError, match=r"same layers; these differ: 4\.bias, 4\.weight"):
        transfer.interpolate(network(0).state_dict(), other.state_dict(), 0.5)


def test_a_linear_network_changes_in_a_straight_line_and_stays_as_it_was():
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    before = copy.deepcopy(first.state_dict())
    x = torch.ones(1, 2)
    values = transfer.along_line(first, second, lambda model: model(x).item(), (0, 0.25, 1))
    start, end = first(x).item(), second(x).item()
    assert values == pytest.approx([start, 0.75 * start + 0.25 * end, end], abs=1e-5)
    assert all(torch.equal(first.state_dict()[name], before[name]) for name in before)


# --- figures ----------------------------------------------------------------------------------------------------------


def test_curves_say_their_means_and_draw_every_line():
    panels = {"near": {"frozen": [[10, 50], [30, 70]]}, "far": {"frozen": [[5, 5]], "all": [[1, 2]]}}
    figure = plotting.bands(panels, (5, 80), x_label="pictures a class", y_label="%", guessing=25)
    assert "near, frozen: 20, 60; far, frozen: 5, 5; far, all: 1, 2." in figure.alt
    lines = [[line.get_ydata().tolist() for line in axis.lines if line.get_marker() != "None"] for axis in figure.axes]
    assert lines == [[[20, 60]], [[5, 5], [1, 2]]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["frozen", "all"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim(), "panels can be compared"
    assert figure.axes[1].get_ylim()[0] < 1 and figure.axes[1].get_ylim()[1] > 60


def test_a_batch_of_the_pictures_asked_for(tmp_path):
    from PIL import Image

    from helpers import loaders

    for split in ("train", "test"):
        for number, name in enumerate(("a", "b")):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (8, 8), (80 * number, 20 * index, 0)).save(tmp_path / split / name / f"{index}.png")
    data = loaders.image_folder(tmp_path, size=8, val_fraction=0.0)
    images = transfer.batch_of(data.train.dataset, torch.tensor([5, 1]))
    shown = loaders.Preprocess().undo(images)[:, :, 0, 0].mul(255).round()
    assert images.shape == (2, 3, 8, 8)
    assert shown.tolist() == [[80, 40, 0], [0, 20, 0]]


def test_a_part_of_a_network_of_the_kit_can_be_probed():
    model = models.load("alexnet_mini")
    assert transfer.scores(model.features[:3], torch.zeros(2, 3, 64, 64)).shape[:2] == (2, 48)
