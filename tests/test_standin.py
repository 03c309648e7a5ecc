"""The drawn stand-in sets: layout, repeatability, failures, and that they are worth learning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers.datasets import standin

NAMES = tuple(standin.CLASSES)
PICTURES = ("bike", "cat", "dog", "flower", "horse", "person")


def counts(folder: Path) -> dict[str, int]:
    return {str(each.relative_to(folder).as_posix()): len(list(each.iterdir())) for each in sorted(folder.glob("*/*"))}


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(standin, "COUNTS", dict.fromkeys(NAMES, (2, 1)))


@pytest.fixture(scope="module")
def bcdp(tmp_path_factory) -> Path:
    return standin.draw("bcdp_standin", tmp_path_factory.mktemp("home") / "bcdp_standin")


@pytest.fixture(scope="module")
def pixels(bcdp) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Train pictures (1500, 100, 100, 3) in 0 to 1 and labels (1500,), then the same of test."""
    parts: list[np.ndarray] = []
    for split in ("train", "test"):
        files = sorted((bcdp / split).glob("*/*"))
        parts += [np.stack([np.asarray(Image.open(file)) for file in files]).astype(np.float32) / 255]
        parts += [np.array([standin.CLASSES["bcdp_standin"].index(file.parent.name) for file in files])]
    return tuple(parts)


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """(N, 100, 100, 3) to (N, side, side, 3), by the mean over areas."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return nn.functional.interpolate(images, (side, side), mode="area").permute(0, 2, 3, 1).contiguous().numpy()


# What is drawn


def test_bcdp_has_the_counts_names_and_format_of_the_real_set(bcdp):
    classes = ("bike", "cat", "dog", "person")
    assert counts(bcdp) == {f"{split}/{c}": n for split, n in (("test", 75), ("train", 375)) for c in classes}
    assert [file.name for file in sorted((bcdp / "test" / "cat").iterdir())] == [f"{i:04d}.jpg" for i in range(1, 76)]
    for file in (bcdp / "train").glob("*/000*.jpg"):
        with Image.open(file) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (100, 100))


def test_no_two_pictures_are_alike(pixels):
    thumbs = np.concatenate([shrunk(pixels[0], 10), shrunk(pixels[2], 10)]).reshape(1800, -1)
    squares = (thumbs**2).sum(1)
    distance = squares[:, None] + squares - 2 * thumbs @ thumbs.T + 1e9 * np.eye(1800)
    assert distance.min() / thumbs.shape[1] > 0.02**2  # two JPEG copies of one picture differ by less than 0.005


@pytest.mark.parametrize("name", NAMES)
def test_layout_of_every_set(name, few, tmp_path):
    folder = standin.draw(name, tmp_path / "deep" / "new")
    assert folder == tmp_path / "deep" / "new"
    classes = standin.CLASSES[name]
    assert counts(folder) == {f"{split}/{c}": n for split, n in (("test", 1), ("train", 2)) for c in classes}
    assert [each.name for each in folder.parent.iterdir()] == ["new"]


def test_the_counts_of_all_sets():
    assert standin.COUNTS["bcdp_standin"] == standin.COUNTS["bcdfh_standin"] == (375, 75)
    assert standin.CLASSES["bcdfh_standin"] == ("bike", "cat", "dog", "flower", "horse")
    assert min(standin.COUNTS["digits_standin"]) >= 100


def test_the_same_seed_draws_the_same_bytes_and_another_seed_does_not(few, tmp_path):
    def content(folder: Path) -> list[bytes]:
        return [file.read_bytes() for file in sorted(folder.glob("*/*/*"))]

    before = np.random.get_state()[1].tolist()
    first, again, other = (
        content(standin.draw("bcdp_standin", tmp_path / f"{i}", seed=seed)) for i, seed in enumerate((5, 5, 6))
    )
    assert first == again
    assert not set(first) & set(other)
    assert len(set(first)) == len(first) == 12
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_rgb_with_something_in_it(name):
    picture = standin.draw_picture(name, np.random.default_rng(1))
    assert (picture.mode, picture.size) == ("RGB", (100, 100))
    assert np.asarray(picture).std() > 8


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_is_white_on_black_centred_and_28_px(digit):
    drawn = [standin.draw_digit(digit, np.random.default_rng(seed)) for seed in range(40)]
    assert {(each.mode, each.size) for each in drawn} == {("L", (28, 28))}
    pixels = np.stack([np.asarray(each) for each in drawn]).astype(float)
    border = np.concatenate([pixels[:, [0, -1]].ravel(), pixels[:, :, [0, -1]].ravel()])
    assert border.mean() < 25 < 150 < pixels.max((1, 2)).min()
    centre = (pixels.mean((0, 1)) * np.arange(28)).sum() / pixels.mean((0, 1)).sum()
    assert centre == pytest.approx(13.5, abs=2)  # its box is centred; the ink of a 3 lies more to the right


def test_every_font_has_ten_different_digits():
    for font in (*standin.LIGHT, *standin.BOLD):
        glyphs = [np.asarray(standin._glyph(font, digit), float) for digit in range(10)]
        assert all(glyph.mean() > 10 for glyph in glyphs), font
        assert min(np.abs(a - b).mean() for i, a in enumerate(glyphs) for b in glyphs[:i]) > 10, font


# What goes wrong


def test_an_unknown_set_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(ValueError, match=r"'bcdp_v1'.*bcdp_standin, bcdfh_standin, digits_standin"):
        standin.draw("bcdp_v1", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_unknown_class_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match=r"'cow'.*bike, cat, dog, flower, horse, person"):
        standin.draw_picture("cow", np.random.default_rng(0))


@pytest.mark.parametrize("digit", [-1, 10, 3.5])
def test_what_is_no_digit_is_refused(digit):
    with pytest.raises(ValueError, match=r"0, 1, \.\.\. 9"):
        standin.draw_digit(digit, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_already_stays(kind, few, tmp_path):
    mine = tmp_path / "data" if kind == "file" else tmp_path / "data" / "notes.txt"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="already and not empty.*nothing was changed"):
        standin.draw("bcdp_standin", tmp_path / "data")
    assert mine.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_an_empty_folder_is_filled(few, tmp_path):
    (tmp_path / "data").mkdir()
    assert len(list(standin.draw("digits_standin", tmp_path / "data").glob("*/*/*.png"))) == 30


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()], ids=["disk", "ctrl-c"])
def test_no_half_folder_when_drawing_stops(error, few, tmp_path, monkeypatch):
    whole = standin._draw_file

    def stops(path, class_name, seed):
        if class_name == "dog":
            raise error
        whole(path, class_name, seed)

    monkeypatch.setattr(standin, "_draw_file", stops)
    with pytest.raises(type(error)):
        standin.draw("bcdp_standin", tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_import_needs_neither_torch_nor_matplotlib():
    code = "import sys, helpers.standin; print(sorted({'torch', 'matplotlib', 'torchvision'} & set(sys.modules)))"
    root = Path(standin.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Worth learning: shape tells the classes apart, pixels and colours do not


def logistic_accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Test accuracy (%) of logistic regression, the better of two penalties.

    The penalised optimum lies in the span of the training rows, so the N x N Gram matrix replaces the features.
    """
    train, test = (torch.from_numpy(x.reshape(len(x), -1) - train.mean(0).ravel()) for x in (train, test))
    values, vectors = torch.linalg.eigh((train @ train.T).double())
    keep = values > 1e-6 * values.max()
    vectors, roots = vectors[:, keep], values[keep].sqrt()
    rows, others = vectors * roots, (test @ train.T).double() @ vectors / roots
    target, scores = torch.from_numpy(labels), []
    for penalty in (10.0, 1000.0):
        weight = torch.zeros(rows.shape[1] + 1, int(labels.max()) + 1, dtype=torch.double, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight], max_iter=60, line_search_fn="strong_wolfe")

        def loss(weight=weight, penalty=penalty, optimizer=optimizer):
            optimizer.zero_grad()
            value = nn.functional.cross_entropy(rows @ weight[:-1] + weight[-1], target, reduction="sum")
            value = value + penalty / 2 * (weight[:-1] ** 2).sum()
            value.backward()
            return value

        optimizer.step(loss)
        guess = (others @ weight[:-1] + weight[-1]).argmax(1).numpy()
        scores.append(100 * float((guess == truth).mean()))
    return max(scores)


def small_cnn_accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Test accuracy (%) of three convolutions (16, 32, 64) after 12 epochs on 32 x 32 px, from scratch."""
    images, others = (torch.from_numpy(x).permute(0, 3, 1, 2).sub(0.5).div(0.25).contiguous() for x in (train, test))
    layers: list[nn.Module] = []
    for width, depth in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(width, depth, 3, padding=1), nn.BatchNorm2d(depth), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 4 * 4, 4))
    batches, target = -(-len(images) // 32), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=12 * batches)
    for _ in range(12):
        for rows in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), target[rows]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return 100 * float((model(others).argmax(1).numpy() == truth).mean())


def test_mean_colour_and_contrast_give_nothing_away(pixels):
    train, labels, test, truth = pixels
    train, test = (np.concatenate([x.mean((1, 2)), x.std((1, 2))], axis=1) for x in (train, test))
    assert logistic_accuracy(train, labels, test, truth) < 42  # chance is 25


@pytest.mark.parametrize("side", [32, 100], ids=["32 px", "100 px"])
def test_a_linear_classifier_on_pixels_stays_under_60_percent(pixels, side):
    train, labels, test, truth = pixels
    assert 25 < logistic_accuracy(shrunk(train, side), labels, shrunk(test, side), truth) < 55


def test_a_small_cnn_from_scratch_is_clearly_better_but_not_perfect(pixels):
    train, labels, test, truth = pixels
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert 70 < small_cnn_accuracy(shrunk(train, 32), labels, shrunk(test, 32), truth) < 97
