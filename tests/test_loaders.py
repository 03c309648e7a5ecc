"""From files to batches: the split, pixels against torchvision's, odd and broken pictures, the memory."""

from __future__ import annotations

import os
import shutil
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kill_me import tiny_folder
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from helpers import loaders, pictures
from helpers.loaders import augment, decoding

pytestmark = pytest.mark.filterwarnings("ignore:.* has a single class, things")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, 10 + 4 square pictures each."""
    return tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny", side=20)


def picture(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Smooth colours, so that JPEG keeps them and a wrong crop shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def one_of_each(folder: Path, images: dict[str, Image.Image], **saving: object) -> Path:
    """A folder whose only class holds ``images`` (file name -> picture) in both splits."""
    for split in ("train", "test"):
        (folder / split / "things").mkdir(parents=True)
        for name, image in images.items():
            image.save(folder / split / "things" / name, **saving)
    return folder


def pixels(data: loaders.Loaders) -> torch.Tensor:
    """All test pictures as they were decoded, (N, 3, H, W) uint8."""
    return torch.stack([data.test.dataset.data[index][0] for index in range(len(data.test.dataset))])


# --- the split --------------------------------------------------------------------------------------------------------


def test_1500_pictures_are_1350_and_150() -> None:
    labels = torch.arange(4).repeat_interleave(375)
    train, val = loaders.stratified_split(labels, 0.1)
    assert (len(train), len(val)) == (1350, 150)
    assert sorted(torch.cat([train, val]).tolist()) == list(range(1500))
    assert torch.bincount(labels[val]).tolist() == [38, 38, 37, 37]
    assert train.tolist() == sorted(train.tolist()) and train.dtype == torch.int64


def test_the_seed_decides_the_split() -> None:
    labels = torch.arange(3).repeat(40)
    first, again, other = (loaders.stratified_split(labels, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.floats(0, 0.99), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_split_keeps_every_picture_once_and_every_class_in_training(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    train, val = loaders.stratified_split(labels, fraction, seed=seed)
    assert sorted(train.tolist() + val.tolist()) == list(range(len(labels)))
    taken = torch.bincount(labels[val], minlength=len(counts)).tolist()
    assert all(number <= count - 1 for number, count in zip(taken, counts, strict=True))
    assert all(abs(number - fraction * count) < 1.5 for number, count in zip(taken, counts, strict=True))
    if fraction and max(counts) > 1:
        assert len(val) >= 1
    if min(counts) > 1 / (1 - fraction):  # no class so small that it must keep its last picture
        assert len(val) == max(round(fraction * len(labels)), 1 if fraction else 0)


def test_impossible_fraction() -> None:
    for fraction in (-0.1, 1, 1.5):
        with pytest.raises(ValueError, match=f"val_fraction={fraction} must be at least 0 and below 1, for example 0"):
            loaders.stratified_split(torch.zeros(4, dtype=torch.int64), fraction)


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_batches_of_a_plain_dataloader(folder: Path) -> None:
    data = loaders.image_folder(folder, size=16, batch_size=8, val_fraction=0.2)
    assert isinstance(data.train, DataLoader) and data.classes == ["class0", "class1", "class2"]
    assert (len(data.train.dataset), len(data.val.dataset), len(data.test.dataset)) == (24, 6, 12)
    images, labels = next(iter(data.train))
    assert images.shape == (8, 3, 16, 16) and images.dtype == torch.float32 and images.is_contiguous()
    assert labels.shape == (8,) and labels.dtype == torch.int64
    assert [len(labels) for _, labels in data.test] == [8, 4]
    assert str(data) == (
        "tiny: 30 = 24 for training + 6 for validation, 12 for the test; "
        "3 classes (class0, class1, class2); pictures 16x16"
    )


def test_single_pictures_equal_the_batch(folder: Path) -> None:
    part = loaders.image_folder(folder, size=16).train.dataset
    images, labels = part.__getitems__([3, 0, 5])
    for row, index in enumerate([3, 0, 5]):
        image, label = part[index]
        assert torch.equal(image, images[row]) and label == labels[row] == part.labels[index]
        assert part.paths[index].parent.name == f"class{label}"


def test_pixels_and_numbers_are_those_of_torchvision(tmp_path: Path) -> None:
    """Square pictures: the lecture's Resize((s, s)), ToTensor, Normalize gives the same, uint8 pixels exactly."""
    images = {f"{side}.jpg": picture(side, side, seed=side) for side in (20, 33, 50, 100)}
    data = loaders.image_folder(one_of_each(tmp_path / "set", images, quality=95), size=33, val_fraction=0)
    resize = transforms.Resize((33, 33))
    theirs = datasets.ImageFolder(tmp_path / "set" / "test", resize)
    assert [str(path) for path in data.test.dataset.paths] == [path for path, _ in theirs.samples]
    assert torch.equal(pixels(data), torch.stack([transforms.functional.pil_to_tensor(image) for image, _ in theirs]))
    normal = transforms.Compose(
        [resize, transforms.ToTensor(), transforms.Normalize(loaders.IMAGENET_MEAN, loaders.IMAGENET_STD)]
    )
    expected = torch.stack([normal(image) for image, _ in datasets.ImageFolder(tmp_path / "set" / "test")])
    torch.testing.assert_close(next(iter(data.test))[0], expected, rtol=0, atol=2e-6)


def test_other_pictures_are_cropped_as_torchvision_does(tmp_path: Path) -> None:
    shapes = [(40, 30), (30, 40), (101, 33), (64, 65), (33, 200), (31, 90)]
    images = {f"{width}x{height}.png": picture(width, height) for width, height in shapes}
    data = loaders.image_folder(one_of_each(tmp_path / "set", images), size=32, val_fraction=0)
    theirs = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(32), transforms.PILToTensor()])
    assert torch.equal(pixels(data), torch.stack([theirs(Image.open(path)) for path in data.test.dataset.paths]))


def test_large_jpegs_are_decoded_small_and_look_the_same(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    picture(1500, 1000).save(path, quality=95)
    ours = loaders.decoding.read_pixels(path, size=100)
    theirs = transforms.Compose([transforms.Resize(100), transforms.CenterCrop(100), transforms.PILToTensor()])
    difference = (torch.from_numpy(ours).float() - theirs(Image.open(path)).float()).abs()
    assert difference.mean() < 0.5 and difference.max() <= 4
    assert pictures.open_rgb(path, at_least=200).size == (375, 250)
    assert pictures.open_rgb(path, at_least=300).size == (750, 500)


def test_stretch_distorts_as_the_lecture_does(tmp_path: Path) -> None:
    data = loaders.image_folder(
        one_of_each(tmp_path / "set", {"a.png": picture(60, 30)}), size=32, stretch=True, val_fraction=0
    )
    theirs = transforms.functional.pil_to_tensor(transforms.Resize((32, 32))(picture(60, 30)))
    assert torch.equal(pixels(data)[0], theirs)


def sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def turned(image: Image.Image) -> Image.Image:
    """As a phone stores a photo taken upright: lying on its side, with a note to turn it."""
    lying = image.transpose(Image.Transpose.ROTATE_90)
    lying.getexif()[0x0112] = 6
    return lying


ODD: dict[str, tuple[str, Callable[[Image.Image], Image.Image], bool]] = {
    "grey": ("a.png", lambda image: image.convert("L"), True),
    "16-bit": ("a.png", sixteen_bits, True),
    "RGBA": ("a.png", lambda image: image.convert("RGBA"), False),
    "palette": ("a.png", lambda image: image.quantize(256), False),
    "CMYK": ("a.jpg", lambda image: image.convert("CMYK"), False),
    "EXIF-rotated": ("a.jpg", turned, False),
}


@pytest.mark.parametrize(("name", "make", "is_grey"), ODD.values(), ids=ODD)
def test_odd_pictures_look_like_the_ordinary_one(
    tmp_path: Path, name: str, make: Callable[[Image.Image], Image.Image], is_grey: bool
) -> None:
    ordinary = picture(48, 64)
    odd = make(ordinary)
    options = {"quality": 95} if name.endswith("jpg") else {}
    if 0x0112 in odd.getexif():
        options["exif"] = odd.getexif()
    data = loaders.image_folder(one_of_each(tmp_path / "odd", {name: odd}, **options), size=32, val_fraction=0)
    expected = ordinary.convert("L").convert("RGB") if is_grey else ordinary
    plain = loaders.image_folder(one_of_each(tmp_path / "plain", {"a.png": expected}), size=32, val_fraction=0)
    difference = (pixels(data).float() - pixels(plain).float()).abs()
    assert difference.mean() < 6 and difference.max() < 48  # JPEG and palettes are not exact


def test_one_picture_and_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    picture(40, 40).save(path)
    batch = loaders.one_picture(path, size=24)
    assert batch.shape == (1, 3, 24, 24) and batch.dtype == torch.float32
    expected = np.asarray(picture(40, 40).resize((24, 24), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(loaders.as_image(batch).numpy(), expected, atol=1e-5)


def test_undo_gives_back_what_was_normalised() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    preprocess = loaders.Preprocess(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    torch.testing.assert_close(preprocess.undo(preprocess(images)), images / 255)
    values = images.float()
    assert torch.equal(preprocess(values), preprocess(images)) and torch.equal(values, images.float())


# --- order and chance -------------------------------------------------------------------------------------------------


def test_the_seed_decides_the_order_and_epochs_differ(folder: Path) -> None:
    def orders(seed: int) -> list[list[float]]:
        train = loaders.image_folder(folder, size=12, seed=seed, val_fraction=0).train
        return [[float(image.sum()) for images, _ in train for image in images] for _ in range(2)]

    first, second = orders(seed=3)
    assert [first, second] == orders(seed=3)
    assert first != second and sorted(first) == sorted(second)
    assert orders(seed=4)[0] != first


def test_a_pass_over_the_pictures_leaves_torchs_generator_alone(folder: Path) -> None:
    data = loaders.image_folder(folder, size=12)
    before = torch.get_rng_state()
    for loader in (data.train, data.val, data.test):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_training_pictures_are_changed_and_each_by_itself(folder: Path) -> None:
    plain = loaders.image_folder(folder, size=12)
    changed = loaders.image_folder(folder, size=12, augment="strong")
    for ours, theirs in ((plain.val, changed.val), (plain.test, changed.test)):
        assert torch.equal(torch.cat([images for images, _ in ours]), torch.cat([images for images, _ in theirs]))
    same = changed.train.dataset.__getitems__([0] * 16)[0]
    assert len({image.numpy().tobytes() for image in same}) > 12
    assert augment.name_of(changed.train.dataset.transform.augment) == "strong"


def test_own_augmentation_is_given_uint8_batches(folder: Path) -> None:
    seen = []

    def darken(images: torch.Tensor) -> torch.Tensor:
        seen.append((images.dtype, tuple(images.shape)))
        return images // 2

    data = loaders.image_folder(folder, size=12, batch_size=8, augment=darken, mean=(0, 0, 0), std=(1, 1, 1))
    images = data.train.dataset.__getitems__([0, 1])[0]
    assert seen == [(torch.uint8, (2, 3, 12, 12))]
    torch.testing.assert_close(images, (data.train.dataset.data.pixels[data.train.dataset.indices[:2]] // 2) / 255)


def test_no_batch_of_a_single_picture_in_training(folder: Path) -> None:
    for batch_size, sizes in ((8, [8, 8, 8]), (23, [23]), (5, [5] * 4 + [4]), (30, [24])):
        data = loaders.image_folder(folder, size=12, batch_size=batch_size, val_fraction=0.2)
        assert [len(labels) for _, labels in data.train] == sizes
        assert sum(len(labels) for _, labels in data.test) == 12


# --- folders that are not as they should be ---------------------------------------------------------------------------


def test_missing_split(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"has no folder 'test'. It must hold train/<class>/ and test/<class>/"):
        loaders.image_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no folder 'train'"):
        loaders.image_folder(folder / "train")


def test_no_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        picture(10, 10).save(tmp_path / split / "lonely.png")
    with pytest.raises(FileNotFoundError, match="train holds no class folders: put the pictures of each class in one"):
        loaders.image_folder(tmp_path)


def test_classes_that_differ(tmp_path: Path) -> None:
    for name in ("train/cat", "train/dog", "test/cat", "test/Dog"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Only in train: \['dog'\], only in test: \['Dog'\]"):
        loaders.image_folder(tmp_path)


def test_class_without_pictures(tmp_path: Path) -> None:
    one_of_each(tmp_path, {"a.png": picture(10, 10)})
    for split in ("train", "test"):
        (tmp_path / split / "zebra").mkdir()
        (tmp_path / split / "zebra" / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"zebra holds no pictures that count: 1 \.txt \(text\)\. To a"):
        loaders.image_folder(tmp_path)
    (tmp_path / "train" / "zebra" / "notes.txt").unlink()
    with pytest.raises(ValueError, match=r"zebra holds no pictures that count: it is empty\. Add some, or remove"):
        loaders.image_folder(tmp_path)


def test_corrupt_pictures_are_named(tmp_path: Path) -> None:
    one_of_each(tmp_path / "set", {f"{index}.jpg": picture(30, 30, seed=index) for index in range(4)})
    broken = tmp_path / "set" / "train" / "things" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    (broken.parent / "3.jpg").write_bytes(b"")
    sentence = r"2 of 4 pictures cannot be read, for example: .*2\.jpg .*3\.jpg is empty .*doctor\.examine"
    with pytest.raises(ValueError, match=sentence):
        loaders.image_folder(tmp_path / "set", size=16)
    assert sorted(path.name for path in broken.parent.iterdir()) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def drawn(folder: Path, *classes: str, count: int = 2) -> Path:
    """``count`` pictures in each of these folders, below ``folder``."""
    for seed, name in enumerate(classes):
        for number in range(count):
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture(12, 12, seed=100 * seed + number).save(folder / name / f"{number}.png")
    return folder


WITHOUT_MEANING = {  # folders -> what is refused
    "a level in both": (("train/all/cat", "train/all/dog", "test/all/cat", "test/all/dog"),
                        r"all should hold pictures and holds folders that look like classes \(cat, dog\)\. .*train"),
    "a level in train": (("train/train/cat", "train/train/dog", "test/cat", "test/dog"), r"\(cat, dog\)\. .*train"),
    "a level in test": (("train/cat", "train/dog", "test/images/cat", "test/images/dog"), r"\(cat, dog\)\. .*test"),
    "a level above": (("pets/train/cat", "pets/test/cat"), r"has no folder 'train'.*Pass .*pets, which has one"),
    "loose test set": (("train/cat", "train/dog", "test"), r"only in test: none\. A test set without class.*Kaggle"),
    "unknown test set": (("train/cat", "train/dog", "test/unknown"), r"in test: \['unknown'\]\. A test set without"),
    "one class lacks": (("train/cat", "train/dog", "test/cat"), r"Only in train: \['dog'\], only in test: none\.$"),
}  # fmt: skip


def test_folders_whose_accuracy_would_mean_nothing_are_refused(tmp_path: Path) -> None:
    for name, (folders, sentence) in WITHOUT_MEANING.items():
        with pytest.raises((ValueError, FileNotFoundError), match=sentence):
            loaders.image_folder(drawn(tmp_path / name, *folders), size=8)


def test_folders_that_are_doubtful_give_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="one has a single class, cat: every answer is right"):
        loaders.image_folder(drawn(tmp_path / "one", "train/cat", "test/cat"), size=8)
    batches = [f"{split}/{batch}/{label}" for split in ("train", "test") for batch in "ab" for label in ("cat", "dog")]
    with pytest.warns(UserWarning, match=r"a, b should hold pictures and holds folders .* \(cat, dog\)"):
        loaders.image_folder(drawn(tmp_path / "batches", *batches), size=8)
    nested = drawn(tmp_path / "nested", "train/cat/images", "train/dog/images", "test/cat/images", "test/dog")
    assert loaders.image_folder(nested, size=8).classes == ["cat", "dog"]


def test_photos_that_are_left_out_for_their_ending_are_told(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "set", "train/cat", "train/dog", "test/cat", "test/dog")
    (folder / "train" / "cat" / "notes.txt").write_text("no photo")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaders.image_folder(folder, size=8)
    for name, start in (("a.heif", b"\0\0\0\x18ftypheix"), ("b.AVIF", b"\0\0\0\x1cftypavis"), ("c", b"\xff\xd8\xff"),
                        ("d.jxl", b"\0\0\0\x0cJXL "), ("e.dcm", bytes(128) + b"DICM")):  # fmt: skip
        (folder / "train" / "cat" / name).write_bytes(start + bytes(40))
    with pytest.warns(UserWarning) as told:
        loaders.image_folder(folder, size=8)
    kinds = ("1 .heif (HEIC)", "1 .avif (AVIF)", "1 without ending (JPEG)", "1 .jxl (JPEG XL)", "1 .dcm (DICOM)")
    assert len(told) == 1 and all(kind in str(told[0].message) for kind in kinds) and ".txt" not in str(told[0].message)


def test_class_names_in_two_spellings_and_alphabets(tmp_path: Path) -> None:
    name, other = "\u00c9l\u00e9phant", unicodedata.normalize("NFD", "\u00c9l\u00e9phant")
    folder = drawn(tmp_path / "set", f"train/{name}", "train/кот", f"test/{other}", "test/кот")
    data = loaders.image_folder(folder, size=8)
    assert data.classes == [name, "кот"] and data.test.dataset.labels.tolist() == [0, 0, 1, 1]
    drawn(folder / "train", other, count=3)  # both spellings side by side: no picture is lost
    data = loaders.image_folder(folder, size=8, val_fraction=0)
    assert sorted(data.classes) == sorted([name, "кот"]) and len(data.train.dataset) == 7
    for split in ("train", "test"):
        os.rename(folder / split / "кот", os.fsencode(folder / split) + "/кот".encode("cp1251"))
    data = loaders.image_folder(folder, size=8)
    assert str(data).encode() and "\ufffd\ufffd\ufffd" in data.classes


def test_deep_pictures_of_a_data_set_keep_their_brightness(tmp_path: Path) -> None:
    """One range for both splits and all classes, in memory and read one by one; an own photo has a range of its own."""
    folder = drawn(tmp_path / "set", "train/dark", "train/light", "test/dark", "test/light")
    for path in folder.rglob("*.png"):
        level = {"dark": 400, "light": 3000 + 1000 * (path.parent.parent.name == "test")}[path.parent.name]
        Image.fromarray(np.full((12, 12), level, np.uint16)).save(path)
    for in_memory in (True, False):
        data = loaders.image_folder(folder, size=8, in_memory=in_memory).test.dataset.data
        assert {int(data[index][0].max()) for index in range(4)} == {round(level * 255 / 4095) for level in (400, 4000)}
    own = loaders.as_image(loaders.one_picture(folder / "train" / "dark" / "0.png", size=8))
    assert own.max() == pytest.approx(400 / 1023, abs=0.003)


def test_thin_pictures_are_cut_before_they_are_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *a, **k: sizes.append(size) or resize(self, size, *a, **k)
    )
    for width, height in ((60_000, 1), (1, 9_000), (30_000, 7)):
        ramp = np.linspace(0, 255, max(width, height)).astype(np.uint8).reshape(height if height > width else 1, -1)
        Image.fromarray(np.resize(ramp, (height, width))).save(tmp_path / "thin.png")
        pixels = decoding.read_pixels(tmp_path / "thin.png", size=64)
        assert pixels.shape == (3, 64, 64) and abs(int(pixels.mean()) - 127) <= 1 and set(sizes) == {(64, 64)}


def test_corrupt_pictures_are_named_when_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders.os, "cpu_count", lambda: 1)
    one_of_each(tmp_path / "set", {"0.jpg": picture(30, 30)})
    (tmp_path / "set" / "test" / "things" / "0.jpg").write_bytes(b"broken")
    data = loaders.image_folder(tmp_path / "set", size=16, in_memory=False)
    with pytest.raises(ValueError, match=r"^/\S*0\.jpg is not a picture that Pillow reads .*take it out\.$"):
        list(data.test)


def test_classes_of_few_pictures(tmp_path: Path) -> None:
    one_of_each(tmp_path / "set", {"a.png": picture(10, 10)})
    (tmp_path / "set" / "train" / "things").rename(tmp_path / "set" / "train" / "b")
    (tmp_path / "set" / "test" / "things").rename(tmp_path / "set" / "test" / "b")
    for split in ("train", "test"):
        (tmp_path / "set" / split / "a").mkdir()
        for index in range(3):
            picture(10, 10, seed=index).save(tmp_path / "set" / split / "a" / f"{index}.png")
    data = loaders.image_folder(tmp_path / "set", size=8, val_fraction=0.1)
    assert data.train.dataset.labels.tolist() == [0, 0, 1]  # the class of one picture keeps it
    assert data.val.dataset.labels.tolist() == [0]


def test_a_single_picture(tmp_path: Path) -> None:
    data = loaders.image_folder(one_of_each(tmp_path / "one", {"a.png": picture(10, 10)}), size=8)
    assert [tuple(images.shape) for images, _ in data.train] == [(1, 3, 8, 8)]
    assert list(data.val) == []


def test_without_validation(folder: Path) -> None:
    data = loaders.image_folder(folder, size=12, val_fraction=0)
    assert (len(data.train.dataset), len(data.val.dataset), len(data.val)) == (30, 0, 0)


def test_sizes_below_one(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"size=\(64, 64\) must be one number, .*: size=64\."):
        loaders.image_folder(folder, size=(64, 64))
    for options in ({"size": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=r"size=\d+ and batch_size=\d+ must be at least 1"):
            loaders.image_folder(folder, **options)


def test_the_data_set_has_a_name_however_the_folder_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert loaders.image_folder(".", size=12).name == "tiny"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert loaders.image_folder("~/tiny", size=12).name == "tiny"


# --- sets larger than the memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cores", [1, 2], ids=["one worker", "two workers"])
def test_read_one_by_one_gives_the_same_batches(folder: Path, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(loaders.os, "cpu_count", lambda: cores)
    kept, read = (loaders.image_folder(folder, size=16, batch_size=8, in_memory=choice) for choice in (True, False))
    assert type(read.train.dataset.data) is decoding.LazyImages and read.train.num_workers == cores
    for (ours, labels), (theirs, their_labels) in zip(kept.train, read.train, strict=True):
        assert torch.equal(ours, theirs) and torch.equal(labels, their_labels)


def test_workers_hand_over_bytes_and_none_work_where_they_cannot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers have a /dev/shm of 64 MiB. What does not fit in stops a worker, and training waits for ever."""
    monkeypatch.setattr(loaders.os, "cpu_count", lambda: 2)
    free = {4 * 8 * 3 * 16 * 16: 1, 9 * 8 * 3 * 16 * 16: 2, 1 << 40: 2}
    for left, workers in free.items():
        monkeypatch.setattr(
            loaders.shutil, "disk_usage", lambda path, left=left: shutil._ntuple_diskusage(left, 0, left)
        )
        data = loaders.image_folder(folder, size=16, batch_size=8, in_memory=False, augment="flip")
        assert data.train.num_workers == workers
    handed_over = next(DataLoader.__iter__(data.train))[0]
    assert handed_over.dtype == torch.uint8 and next(iter(data.train))[0].dtype == torch.float32
    monkeypatch.setattr(loaders.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 0, 9))
    with pytest.warns(UserWarning, match=r"/dev/shm has 0 MiB left.*a smaller batch_size, or give the container more"):
        data = loaders.image_folder(folder, size=16, batch_size=8, in_memory=False)
    assert data.train.num_workers == 0 and next(iter(data.train))[0].dtype == torch.float32


def test_read_one_by_one_draws_the_same_numbers_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers must not carry randomness from epoch to epoch, or a resumed training would differ."""
    monkeypatch.setattr(loaders.os, "cpu_count", lambda: 1)
    train = loaders.image_folder(folder, size=16, augment="strong", in_memory=False).train
    epochs = []
    for seed in (1, 2, 1):
        train.generator.manual_seed(seed)
        epochs.append(torch.cat([images for images, _ in train]))
    assert torch.equal(epochs[0], epochs[2]) and not torch.equal(epochs[0], epochs[1])


def test_the_memory_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(loaders, "fits_memory", lambda needed: asked.append(needed))
    assert type(loaders.image_folder(folder, size=16).train.dataset.data) is decoding.LazyImages
    assert asked == [42 * 3 * 16 * 16]


def test_most_of_the_memory_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoding.fits_memory(1 << 20) and not decoding.fits_memory(1 << 50)
    monkeypatch.setattr(decoding.machine, "free_memory", lambda: 1000)
    assert decoding.fits_memory(390) and not decoding.fits_memory(410)


def test_an_epoch_reads_no_file(tmp_path: Path) -> None:
    data = loaders.image_folder(tiny_folder(tmp_path / "set"), size=16)
    shutil.rmtree(tmp_path / "set")
    assert sum(len(labels) for _, labels in data.train) == 27
