"""Random changes of batches: per image, of the right kind, the same again with the same seed."""

from __future__ import annotations

import functools
import math
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
    "flip": augment.flip,
    "shift": augment.shift,
    "rotate": augment.rotate,
    "stretch": augment.stretch,
    "shear": augment.shear,
    "light": augment.light,
    "cutout": augment.cutout,
    "lens": augment.lens,
    "pca_colour": functools.partial(augment.pca_colour, variances=torch.ones(3), directions=torch.eye(3)),
    **{f"recipe {name}": augment.recipe(name, size=16) for name in augment.RECIPES},
}


def noise(count: int = 1, *, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def ramp(height: int, width: int, count: int = 1) -> Tensor:
    """Red grows to the right, green downwards, by 2 a pixel: a colour tells where a pixel came from."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack((2 * columns, 2 * rows, torch.full_like(rows, 100)))
    return image.to(torch.uint8).repeat(count, 1, 1, 1)


def origin(image: Tensor, row: int, column: int) -> tuple[float, float]:
    """Where the pixel came from, (x, y)."""
    return image[0, row, column].item() / 2, image[1, row, column].item() / 2


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
    still = {
        "rotate": augment.rotate(images, degrees=0),
        "stretch": augment.stretch(images, factor=1),
        "shear": augment.shear(images, amount=0),
        "light": augment.light(images, strength=0),
        "lens": augment.lens(images, strength=0),
        "cutout": augment.cutout(images, fraction=0),
        "pca_colour": augment.pca_colour(images, torch.zeros(3), torch.eye(3)),
        "crop_and_scale": augment.crop_and_scale(images, size=16, short=(16, 16)),
    }
    assert not [name for name, same in still.items() if not torch.equal(same, images)]


def test_flip_mirrors_about_half_of_the_images() -> None:
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


def test_light_changes_brightness_within_the_strength_and_stops_at_white() -> None:
    torch.manual_seed(0)
    plain = torch.full((200, 3, 4, 4), 100, dtype=torch.uint8)
    brightness = augment.light(plain, strength=0.2).float() / 100
    assert (brightness.flatten(1).std(1) == 0).all()  # contrast is about the image's own mean
    assert 0.78 <= brightness.min() < 0.82 and 1.16 < brightness.max() <= 1.2
    assert augment.light(torch.full((50, 3, 4, 4), 255, dtype=torch.uint8)).min() >= 202  # 255 * 0.8: no wrap-around


def test_rotation_and_shear_stay_within_their_bounds_and_stretching_takes_from_nearer_the_middle() -> None:
    torch.manual_seed(0)
    turned = augment.rotate(ramp(41, 101, count=60), degrees=30)
    angles = [math.degrees(math.atan2(y - 20, x - 50)) for x, y in (origin(image, 20, 60) for image in turned)]
    assert -31 < min(angles) < -20 and 20 < max(angles) < 31
    sheared = augment.shear(ramp(61, 101, count=60), amount=0.5)
    moved = [origin(image, 50, 50)[0] - 50 for image in sheared]  # 20 rows below the middle
    assert -10.5 <= min(moved) < -7 and 7 < max(moved) <= 10.5
    assert max(abs(origin(image, 30, 50)[0] - 50) for image in sheared) <= 1
    wide = augment.stretch(ramp(101, 101, count=60), factor=1.5)
    across = torch.tensor([origin(image, 50, 90)[0] - origin(image, 50, 10)[0] for image in wide]) / 80
    down = torch.tensor([origin(image, 90, 50)[1] - origin(image, 10, 50)[1] for image in wide]) / 80
    torch.testing.assert_close(across * down, torch.full((60,), 1 / 1.5), rtol=0, atol=0.05)  # the window's area
    assert across.min() < 0.75 and down.min() < 0.75 and max(across.max(), down.max()) <= 1.01


def test_a_lens_keeps_the_middle_and_the_edges_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "uniform_", lambda self, low, high: self.fill_(high))
    bent = augment.lens(ramp(101, 101), strength=0.3)[0]
    assert origin(bent, 50, 50) == pytest.approx((50, 50), abs=1)
    assert origin(bent, 50, 99) == pytest.approx((99, 50), abs=1)
    half = 25 * (1 + 0.3 * 0.25) / 1.3  # r = 1/2
    assert origin(bent, 50, 75) == pytest.approx((50 + half, 50), abs=1)


def test_cutout_sets_a_square_to_zero() -> None:
    """Of side 8, except where it reaches over the edge."""
    torch.manual_seed(0)
    cut = augment.cutout(torch.full((40, 3, 16, 16), 200, dtype=torch.uint8), fraction=0.5) == 0
    assert torch.equal(cut[:, 0], cut[:, 1]) and torch.equal(cut[:, 0], cut[:, 2])
    rows, columns = cut[:, 0].any(dim=2), cut[:, 0].any(dim=1)
    assert torch.equal(cut[:, 0], rows.unsqueeze(2) & columns.unsqueeze(1))
    for side in (rows, columns):
        at_the_edge = side[:, 0] | side[:, -1]
        assert (side.sum(dim=1)[~at_the_edge] == 8).all() and (side.sum(dim=1) >= 4).all()
        assert 10 < at_the_edge.sum() < 35


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


def test_crop_and_scale_draws_every_scale() -> None:
    torch.manual_seed(0)
    crops = augment.crop_and_scale(ramp(60, 100, count=400), size=56, short=(60, 120))
    assert crops.shape == (400, 3, 56, 56)
    seen = (crops[:, 0, 28, 50].float() - crops[:, 0, 28, 6].float()) / 2 / 44  # pixels of the original a pixel
    assert seen.min() == pytest.approx(60 / 120, abs=0.03) and seen.max() == pytest.approx(1, abs=0.03)
    down = (crops[:, 1, 50, 28].float() - crops[:, 1, 6, 28].float()) / 2 / 44
    assert torch.allclose(seen, down, atol=0.04)  # not distorted


def test_crop_and_scale_takes_any_size_up_to_the_shortest_side() -> None:
    for side in (48, 60, 100):
        for size in range(30, 60):
            assert augment.crop_and_scale(noise(side=side), size=size, short=(size, size)).shape == (1, 3, size, size)
    with pytest.raises(ValueError, match=r"size=224 must be at most the shortest side drawn, short=\(100, 480\)"):
        augment.crop_and_scale(noise(), size=224, short=(100, 480))


def test_recipe_takes_a_name_a_transform_a_function_or_nothing() -> None:
    assert augment.recipe(None, size=16) is None
    assert augment.recipe(augment.flip, size=16) is augment.flip
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
            augment.flip,
            functools.partial(augment.shift, fraction=0.2),
            augment.recipe(v2.RandomHorizontalFlip(p=0.3), size=16),
        )
    ]
    assert names == ["none", "flip", "flip", "partial", "RandomHorizontalFlip(p=0.3)"]
