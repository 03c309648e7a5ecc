"""The gallery's changes: per picture, of the right kind, the same again with the same seed."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from helpers.loaders import augment_gallery as gallery

CHANGES = {
    "rotate": gallery.rotate,
    "stretch": gallery.stretch,
    "shear": gallery.shear,
    "lens": gallery.lens,
    "cutout": gallery.cutout,
    "pca_colour": functools.partial(gallery.pca_colour, variances=torch.ones(3), directions=torch.eye(3)),
}
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
STILL = {
    "rotate": functools.partial(gallery.rotate, degrees=0),
    "stretch": functools.partial(gallery.stretch, factor=1),
    "shear": functools.partial(gallery.shear, amount=0),
    "lens": functools.partial(gallery.lens, strength=0),
    "cutout": functools.partial(gallery.cutout, fraction=0),
    "pca_colour": functools.partial(gallery.pca_colour, variances=torch.zeros(3), directions=torch.eye(3)),
    "crop_and_scale": functools.partial(gallery.crop_and_scale, size=16, short=(16, 16)),
}


def noise(count: int = 1, *, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def ramp(height: int, width: int, count: int = 1) -> torch.Tensor:
    """Red grows to the right, green downwards, by 2 a pixel: a colour tells where a pixel came from."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack((2 * columns, 2 * rows, torch.full_like(rows, 100)))
    return picture.to(torch.uint8).repeat(count, 1, 1, 1)


def origin(image: torch.Tensor, row: int, column: int) -> tuple[float, float]:
    """Where the pixel came from, (x, y)."""
    return image[0, row, column].item() / 2, image[1, row, column].item() / 2


@each_change
def test_shape_dtype_and_the_pictures_themselves_stay(change) -> None:
    images = noise(5, side=20)[..., :14]  # not square
    before = images.clone()
    changed = change(images)
    assert changed.shape == images.shape and changed.dtype == torch.uint8
    assert torch.equal(images, before)


@each_change
def test_every_picture_is_changed_in_its_own_way_by_the_seed(change) -> None:
    images = noise(1).repeat(8, 1, 1, 1)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(change(images))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert len({picture.numpy().tobytes() for picture in results[0]}) >= 6


@pytest.mark.parametrize("change", STILL.values(), ids=STILL)
def test_no_change_when_nothing_is_asked_for(change) -> None:
    images = noise(3)
    assert torch.equal(change(images), images)


def drawn(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Let ``_between`` give these numbers, one a call, in place of random ones."""
    numbers = iter(values)
    monkeypatch.setattr(gallery, "_between", lambda images, low, high: torch.full((len(images),), next(numbers)))


def test_a_quarter_turn_is_that_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(1)
    drawn(monkeypatch, math.pi / 2)
    turned = np.rot90(images[0].numpy(), k=1, axes=(1, 2))
    assert np.array_equal(gallery.rotate(images)[0].numpy(), turned)


def test_a_turn_keeps_angles_in_a_wide_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, math.pi / 2)
    turned = gallery.rotate(ramp(41, 101))[0]
    middle_x, middle_y = 50, 20
    assert origin(turned, middle_y, middle_x + 10) == pytest.approx((middle_x, middle_y + 10), abs=1)


def test_stretching_takes_pixels_from_nearer_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, math.log(2), 0)
    assert origin(gallery.stretch(ramp(101, 101))[0], 80, 90) == pytest.approx((70, 80), abs=1)


def test_shearing_moves_rows_sideways_in_proportion_to_their_height(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, 0.5)
    sheared = gallery.shear(ramp(61, 101))[0]
    assert origin(sheared, 50, 50) == pytest.approx((60, 50), abs=1)
    assert origin(sheared, 30, 50) == pytest.approx((50, 30), abs=1)


def test_a_lens_keeps_the_middle_and_the_edges_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, 0.3)
    bent = gallery.lens(ramp(101, 101))[0]
    assert origin(bent, 50, 50) == pytest.approx((50, 50), abs=1)
    assert origin(bent, 50, 99) == pytest.approx((99, 50), abs=1)
    half = 25 * (1 + 0.3 * 0.25) / 1.3  # r = 1/2
    assert origin(bent, 50, 75) == pytest.approx((50 + half, 50), abs=1)


def test_cutout_sets_a_square_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, 8.0, 16.0)  # row 8 of the middle, column 16: the right edge
    images = torch.full((1, 3, 16, 16), 200, dtype=torch.uint8)
    cut = gallery.cutout(images, fraction=0.5)
    expected = images.clone()
    expected[:, :, 4:12, 12:16] = 0  # the other half of the square lies outside
    assert torch.equal(cut, expected)


def test_colour_axes_are_those_of_numpys_covariance() -> None:
    images = (noise(4).float() * torch.tensor([1, 0.5, 0.2]).view(3, 1, 1)).to(torch.uint8)
    variances, directions = gallery.colour_axes(images)
    covariance = np.cov(images.permute(1, 0, 2, 3).reshape(3, -1).numpy() / 255, bias=True)
    assert variances.tolist() == sorted(variances.tolist(), reverse=True)
    assert np.allclose(directions.T @ torch.from_numpy(covariance) @ directions, np.diag(variances))
    assert np.allclose(directions.T @ directions, np.eye(3))


def test_the_colour_added_has_the_paper_s_covariance() -> None:
    torch.manual_seed(0)
    variances = torch.tensor([0.2, 0.05, 0.01])
    directions = torch.linalg.qr(torch.randn(3, 3)).Q
    grey = torch.full((20_000, 3, 1, 1), 128, dtype=torch.uint8)
    added = (gallery.pca_colour(grey, variances, directions).double() - 128)[:, :, 0, 0] / 255
    wanted = directions @ torch.diag((0.1 * variances) ** 2) @ directions.T
    rounding = torch.eye(3) / 255**2 / 12
    assert torch.allclose(added.T.cov(), (wanted + rounding).double(), atol=2e-5)
    assert added.mean(dim=0).abs().max() < 1e-3


def test_crop_and_scale_draws_every_scale() -> None:
    torch.manual_seed(0)
    crops = gallery.crop_and_scale(ramp(60, 100, count=400), size=56, short=(60, 120))
    assert crops.shape == (400, 3, 56, 56)
    seen = (crops[:, 0, 28, 50].float() - crops[:, 0, 28, 6].float()) / 2 / 44  # pixels of the original a pixel
    assert seen.min() == pytest.approx(60 / 120, abs=0.03) and seen.max() == pytest.approx(1, abs=0.03)
    down = (crops[:, 1, 50, 28].float() - crops[:, 1, 6, 28].float()) / 2 / 44
    assert torch.allclose(seen, down, atol=0.04)  # not distorted


def test_a_crop_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size=224 must be at most the shortest side drawn, short=\(100, 480\)"):
        gallery.crop_and_scale(noise(), size=224, short=(100, 480))
