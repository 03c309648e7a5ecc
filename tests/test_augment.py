"""Random changes of batches: per picture, of the right kind, the same again with the same seed."""

from __future__ import annotations

import functools
import pickle

import pytest
import torch
import torch.nn.functional as F

from helpers.loaders import augment

CHANGES = [augment.flip, augment.shift, augment.zoom, augment.light, *map(augment.recipe, augment.RECIPES)]
each_change = pytest.mark.parametrize("change", CHANGES, ids=augment.name_of)


def noise(count: int = 1, *, side: int = 16, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


@each_change
def test_shape_dtype_and_the_pictures_themselves_stay(change: augment.Augment) -> None:
    images = noise(5, side=20)[..., :14]  # not square
    before = images.clone()
    changed = change(images)
    assert changed.shape == images.shape and changed.dtype == torch.uint8
    assert torch.equal(images, before)


@each_change
def test_the_seed_decides(change: augment.Augment) -> None:
    images = noise(32)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(change(images))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@each_change
def test_every_picture_of_a_batch_is_changed_by_itself(change: augment.Augment) -> None:
    torch.manual_seed(0)
    changed = change(noise().expand(64, -1, -1, -1))
    different = {picture.numpy().tobytes() for picture in changed}
    assert len(different) > 1 if change is augment.flip or augment.name_of(change) == "flip" else len(different) > 20


def test_flip_mirrors_about_half_of_the_pictures() -> None:
    torch.manual_seed(0)
    images = noise(400)
    flipped = augment.flip(images)
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


def test_zoom_by_nothing_changes_nothing() -> None:
    images = noise(3)
    assert torch.equal(augment.zoom(images, low=1.0, high=1.0), images)


def test_zoom_enlarges_a_window_of_the_picture() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(100, dtype=torch.uint8).expand(20, 3, 100, 100)  # brightness = column
    zoomed = augment.zoom(ramp, low=0.5, high=0.5).float()
    first, last = zoomed[:, 0, 50, 5], zoomed[:, 0, 50, 94]
    assert torch.allclose(last - first, torch.full((20,), 44.5), atol=1.5)  # half of the 89 columns between them
    assert first.min() >= 0 and last.max() <= 99
    assert first.std() > 5  # the windows lie at different places


def test_light_changes_brightness_and_contrast_within_the_strength() -> None:
    torch.manual_seed(0)
    plain = torch.full((200, 3, 4, 4), 100, dtype=torch.uint8)
    brightness = augment.light(plain, strength=0.2).float() / 100
    assert (brightness.flatten(1).std(1) == 0).all()  # contrast is about the picture's own mean
    assert 0.8 <= brightness.min() < 0.82 and 1.18 < brightness.max() <= 1.2
    halves = plain.clone()
    halves[..., :2], halves[..., 2:] = 80, 120
    changed = augment.light(halves, strength=0.2).float()
    contrast = (changed[:, 0, 0, 3] - changed[:, 0, 0, 0]) / 40
    assert 0.78 <= contrast.min() < 0.85 and 1.15 < contrast.max() <= 1.22


def test_light_does_not_wrap_around_at_white() -> None:
    torch.manual_seed(0)
    assert augment.light(torch.full((50, 3, 4, 4), 255, dtype=torch.uint8)).min() >= 203  # 255 * 0.8, rounded


def test_light_of_strength_zero_changes_nothing() -> None:
    images = noise(3)
    assert torch.equal(augment.light(images, strength=0.0), images)


def test_recipe_takes_a_name_a_function_or_nothing() -> None:
    assert augment.recipe(None) is None
    assert augment.recipe(augment.flip) is augment.flip
    assert augment.recipe("strong").steps == (augment.flip, augment.zoom, augment.light)
    with pytest.raises(ValueError, match=r"augment='flipp' is not known: use one of flip, light, strong, a function"):
        augment.recipe("flipp")


def test_recipes_can_be_sent_to_worker_processes() -> None:
    recipe = augment.recipe("light")
    assert pickle.loads(pickle.dumps(recipe)) == recipe


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (None, "none"),
        (augment.recipe("flip"), "flip"),
        (augment.flip, "flip"),
        (functools.partial(augment.shift, fraction=0.2), "partial"),
    ],
    ids=["nothing", "recipe", "function", "object"],
)
def test_name_for_checkpoints(change: augment.Augment | None, name: str) -> None:
    assert augment.name_of(change) == name
