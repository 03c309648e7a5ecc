"""Random changes of batches: per image, of the right kind, the same again with the same seed."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from helpers import loaders
from helpers.loaders import augment

CHANGES: dict[str, Callable[..., Tensor]] = {
    "shift": augment.shift,
    "pca_colour": functools.partial(augment.pca_colour, variances=torch.ones(3), directions=torch.eye(3)),
    **{f"recipe {name}": augment.recipe(name, size=16) for name in augment.RECIPES},
}


def noise(count: int = 1, *, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def test_shape_dtype_and_the_images_themselves_stay() -> None:
    wrong = []
    for name, change in CHANGES.items():
        images = noise(5, side=16 if "recipe" in name else 20)
        images = images if "recipe" in name else images[..., :14]  # not square
        before = images.clone()
        changed = change(images)
        if changed.shape != images.shape or changed.dtype != torch.uint8 or not torch.equal(images, before):
            wrong.append(name)
    assert not wrong


def test_every_image_is_changed_in_its_own_way_by_the_seed() -> None:
    """A transform of v2 given the whole batch would change all images alike."""
    images, wrong = noise().repeat(32, 1, 1, 1), {}
    for name, change in CHANGES.items():
        results = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            results.append(change(images))
        different = len({image.numpy().tobytes() for image in results[0]})
        if not torch.equal(results[0], results[1]) or torch.equal(results[0], results[2]):
            wrong[name] = "the seed does not decide"
        if different < (2 if "flip" in name else 12):
            wrong[name] = f"only {different} different images of 32"
    assert not wrong


def test_no_change_when_nothing_is_asked_for() -> None:
    images = noise(3)
    assert torch.equal(augment.pca_colour(images, torch.zeros(3), torch.eye(3)), images)


def test_flip_mirrors_about_half_of_the_images() -> None:
    torch.manual_seed(0)
    images = noise(400)
    flipped = CHANGES["recipe flip"](images)
    same = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 160 < mirrored.sum() < 240  # 200 +- 4 standard deviations


def test_shift_moves_by_whole_pixels_and_repeats_the_edge() -> None:
    torch.manual_seed(0)
    images, most = noise(30, side=20), 2
    padded = F.pad(images.float(), [most] * 4, mode="replicate").to(torch.uint8)
    windows = {(y, x): padded[:, :, y : y + 20, x : x + 20] for y in range(5) for x in range(5)}
    shifted = augment.shift(images, fraction=0.1)
    seen = set()
    for index in range(30):
        found = {place for place, window in windows.items() if torch.equal(window[index], shifted[index])}
        assert found
        seen |= found
    assert {y for y, _ in seen} == {x for _, x in seen} == set(range(5))  # as far as it may, both ways


def test_colour_axes_are_those_of_numpys_covariance() -> None:
    images = (noise(4).float() * torch.tensor([1, 0.5, 0.2]).view(3, 1, 1)).to(torch.uint8)
    variances, directions = augment.colour_axes(images)
    covariance = np.cov(images.permute(1, 0, 2, 3).reshape(3, -1).numpy() / 255, bias=True)
    assert variances.tolist() == sorted(variances.tolist(), reverse=True)
    assert np.allclose(directions.T @ torch.from_numpy(covariance) @ directions, np.diag(variances))
    assert np.allclose(directions.T @ directions, np.eye(3))


def test_the_colour_added_has_the_paper_s_covariance() -> None:
    torch.manual_seed(0)
    variances = torch.tensor([0.2, 0.05, 0.01])
    directions = torch.linalg.qr(torch.randn(3, 3)).Q
    grey = torch.full((20_000, 3, 1, 1), 128, dtype=torch.uint8)
    added = (augment.pca_colour(grey, variances, directions).double() - 128)[:, :, 0, 0] / 255
    wanted = directions @ torch.diag((0.1 * variances) ** 2) @ directions.T
    rounding = torch.eye(3) / 255**2 / 12
    assert torch.allclose(added.T.cov(), (wanted + rounding).double(), atol=2e-5)
    assert added.mean(dim=0).abs().max() < 1e-3


def test_recipe_takes_a_name_a_transform_a_function_or_nothing() -> None:
    assert augment.recipe(None, size=16) is None
    assert augment.recipe(augment.shift, size=16) is augment.shift
    mirrored = augment.recipe(v2.RandomHorizontalFlip(p=1.0), size=16)
    assert mirrored is not None and torch.equal(mirrored(noise(3)), noise(3).flip(3))
    with pytest.raises(ValueError, match=r"augment='flipp' is not known: use one of flip, light, strong, a function"):
        augment.recipe("flipp", size=16)


def test_images_that_were_normalised_already_are_refused() -> None:
    transform = v2.Compose([v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)])
    preprocess = loaders.Preprocess(augment=augment.recipe(transform, size=16))
    with pytest.raises(ValueError, match=r"augment gave back torch\.float32, .* leave out ToDtype and Normalize"):
        preprocess(noise(2))


def test_recipes_can_be_sent_to_worker_processes() -> None:
    for name in augment.RECIPES:
        copy = pickle.loads(pickle.dumps(augment.recipe(name, size=16)))
        assert copy.name == name and copy(noise(2)).shape == (2, 3, 16, 16)


def test_name_for_checkpoints() -> None:
    names = [
        augment.name_of(change)
        for change in (
            None,
            augment.recipe("flip", size=16),
            augment.shift,
            functools.partial(augment.shift, fraction=0.2),
            augment.recipe(v2.RandomHorizontalFlip(p=0.3), size=16),
        )
    ]
    assert names == ["none", "flip", "shift", "partial", "RandomHorizontalFlip(p=0.3)"]
