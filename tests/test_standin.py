"""The drawn stand-in sets as they are shipped, and the tool that drew them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter

import draw_standin
import numpy as np
import pytest
from PIL import Image

from helpers.datasets import archives, catalogue, standin

DRAWN = [catalogue.look_up(name) for name in catalogue.names() if catalogue.look_up(name).drawn]


@pytest.fixture(scope="module")
def shipped() -> dict[str, bytes]:
    """Every file in the zip of images."""
    with zipfile.ZipFile(standin.IMAGES) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def image(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)), float)


def test_both_files_together_are_small():
    assert standin.IMAGES.stat().st_size + standin.DIGITS.stat().st_size <= 9 * 2**20


def test_what_is_in_the_zip(shipped):
    classes = ("bike", "cat", "dog", "flower", "horse", "person")
    counts = Counter(name.rpartition("/")[0] for name in shipped)
    for split, count in (("train", 375), ("test", 75), ("examples", 2)):
        assert {key: value for key, value in counts.items() if key.startswith(split)} == {
            f"{split}/{each}": count for each in classes
        }
    assert len({hashlib.sha256(content).digest() for content in shipped.values()}) == len(shipped)
    opened = [Image.open(io.BytesIO(content)) for content in shipped.values()]
    assert {(each.mode, each.size) for each in opened} == {("RGB", (100, 100))}


def test_no_test_image_is_a_training_image(shipped):
    """Two JPEG copies of one drawing differ by less than 0.005 of the range at 10 x 10 px."""
    names = [name for name in shipped if not name.startswith("examples")]
    small = [Image.open(io.BytesIO(shipped[name])).resize((10, 10), Image.Resampling.BOX) for name in names]
    thumbs = np.stack([np.asarray(each, np.float32) for each in small]).reshape(len(names), -1) / 255
    squares = (thumbs**2).sum(1)
    distance = squares[:, None] + squares - 2 * thumbs @ thumbs.T
    np.fill_diagonal(distance, np.inf)
    assert distance.min() / thumbs.shape[1] > 0.02**2


def test_the_digits():
    digits = standin.digits()
    assert {split: (drawn.shape, drawn.dtype) for split, drawn in digits.items()} == {
        "train": ((10, 600, 28, 28), np.uint8),
        "test": ((10, 100, 28, 28), np.uint8),
    }
    everything = np.concatenate([drawn.reshape(-1, 28, 28) for drawn in digits.values()])
    assert len({each.tobytes() for each in everything}) == 7000
    border = np.concatenate([everything[:, [0, -1]].ravel(), everything[:, :, [0, -1]].ravel()])
    assert border.mean() < 25 < 100 < everything.max((1, 2)).min()


@pytest.mark.parametrize("entry", DRAWN, ids=lambda entry: entry.name)
def test_each_set_unpacks_to_what_the_catalogue_says(entry, tmp_path, monkeypatch):
    train, test = entry.train_per_class, entry.test_per_class
    if entry.name == "digits_standin":  # 7,000 files would tell no more
        train, test = 2, 1
        few = {"train": standin.digits()["train"][:, :train], "test": standin.digits()["test"][:, :test]}
        monkeypatch.setattr(standin, "digits", lambda: few)
    counts = archives.count_images(standin.unpack(entry, tmp_path))
    assert counts == {"train": dict.fromkeys(entry.classes, train), "test": dict.fromkeys(entry.classes, test)}
    with Image.open(next((tmp_path / "train" / entry.classes[-1]).glob("0002.*"))) as first:
        if entry.name == "digits_standin":
            assert (first.format, first.mode) == ("PNG", "L") and (np.asarray(first) == few["train"][9, 1]).all()
        else:
            assert (first.format, first.mode, first.size) == ("JPEG", "RGB", (100, 100))


def test_what_older_notebooks_draw_is_what_they_drew():
    for kind in ("bike", "cat", "dog", "person"):
        for seed in (0, 1):
            ours = standin.draw_picture(kind, np.random.default_rng(seed))
            theirs = draw_standin.draw_picture(kind, np.random.default_rng(seed))
            assert isinstance(ours, Image.Image) and ours.mode == "RGB"
            assert np.abs(np.asarray(ours, float) - np.asarray(theirs, float)).mean() < 1, (kind, seed)
    with pytest.raises(ValueError, match=r"no drawing of 'cow'; it has bike, cat, dog, flower, horse, person"):
        standin.draw_picture("cow", np.random.default_rng(0))


def test_the_tool_still_draws_what_is_shipped(shipped):
    for split, name, index in (("train", "cat", 1), ("train", "flower", 375), ("test", "horse", 3)):
        drawn = np.asarray(draw_standin.standin_image(split, name, index), float)
        assert np.abs(drawn - image(shipped[f"{split}/{name}/{index:04d}.jpg"])).mean() < 9, (split, name, index)
        other = image(shipped[f"{split}/{name}/{index - 1 or 2:04d}.jpg"])
        assert np.abs(drawn - other).mean() > 15, "the bound above tells nothing"
    drawn = draw_standin.standin_digits("test", 2).astype(float)
    assert np.abs(drawn - standin.digits()["test"][:, :2]).mean() < 2


def test_the_tool_writes_the_same_bytes_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(draw_standin, "COUNTS", {"train": 2, "test": 1})
    monkeypatch.setattr(draw_standin, "DIGIT_COUNTS", {"train": 2, "test": 1})
    first, again = ([path.read_bytes() for path in draw_standin.write(tmp_path / folder)] for folder in ("one", "two"))
    assert first == again
    with zipfile.ZipFile(tmp_path / "one" / "standin.zip") as archive:
        assert len(archive.namelist()) == 6 * (2 + 1 + 2)


def test_every_font_has_ten_different_digits():
    for font in (*draw_standin.LIGHT, *draw_standin.BOLD):
        glyphs = [np.asarray(draw_standin._glyph(font, digit), float) for digit in range(10)]
        assert all(glyph.mean() > 10 for glyph in glyphs), font
        assert min(np.abs(a - b).mean() for i, a in enumerate(glyphs) for b in glyphs[:i]) > 10, font


def test_colour_and_contrast_give_no_class_away(shipped):
    """Nearest mean of colour means and spreads: chance is 25 %."""
    classes, parts = ("bike", "cat", "dog", "person"), {}
    for split, count in (("train", 60), ("test", 75)):
        names = [[f"{split}/{each}/{n:04d}.jpg" for n in range(1, count + 1)] for each in classes]
        images = [[image(shipped[name]) for name in row] for row in names]
        parts[split] = np.array([[[*each.mean((0, 1)), *each.std((0, 1))] for each in row] for row in images])
    scale = parts["train"].std((0, 1))
    means = parts["train"].mean(1) / scale
    guess = np.linalg.norm(parts["test"][:, :, None] / scale - means, axis=-1).argmin(-1)
    assert (guess == np.arange(4)[:, None]).mean() < 0.42
