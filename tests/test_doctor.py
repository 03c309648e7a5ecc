"""helpers.doctor: every fault is found and told in a sentence, a sound folder gives none, and nothing is changed."""

from __future__ import annotations

import colorsys
import hashlib
import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from helpers import doctor, pictures
from helpers.doctor import lookalikes

SIDE, TRAIN, TEST = 64, 12, 10  # px, and pictures a class
REAL = Path(__file__).parents[2] / "shared" / "data" / "bcdp_real.zip"


def drawing(number, size=(SIDE, SIDE)):
    """A picture like no other: twelve ellipses of random place and colour."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(0, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, width, height = rng.integers(0, SIDE, 4).tolist()
        colour = tuple(round(255 * each) for each in colorsys.hsv_to_rgb(*rng.random(3)))
        draw.ellipse((x - width // 2, y - height // 2, x + width // 2, y + height // 2), fill=colour)
    return image.resize(size)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    content.save(path) if isinstance(content, Image.Image) else path.write_bytes(content)
    return path


@pytest.fixture(scope="session")
def sound_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "pets"
    numbers = iter(range(10_000))
    for split, count in (("train", TRAIN), ("test", TEST)):
        for label in ("cat", "dog"):
            for number in range(count):
                write(folder / split / label / f"{number:04}.jpg", drawing(next(numbers)))
    return folder


@pytest.fixture
def folder(sound_folder, tmp_path):
    return Path(shutil.copytree(sound_folder, tmp_path / "pets"))


def found(folder, kind):
    """The one problem of this kind, after checking that looking changed nothing."""
    before = digest(folder)
    report = doctor.examine(folder)
    assert digest(folder) == before
    problems = [problem for problem in report.problems if problem.kind == kind]
    assert len(problems) == 1, report
    assert " ".join(problems[0].message.split()) in " ".join(str(report).split())
    return problems[0]


def digest(folder):
    """Names, contents and dates of everything in the folder."""
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
    }


def jpeg(image, quality=85):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# ---- a sound folder ----------------------------------------------------------------------------------------------


def test_a_sound_folder_has_no_problems(folder):
    before = digest(folder)
    report = doctor.examine(str(folder))
    assert report.problems == () and report.ok
    assert report.counts == {"train": {"cat": TRAIN, "dog": TRAIN}, "test": {"cat": TEST, "dog": TEST}}
    assert str(report) == repr(report) == (
        "pets: 44 pictures in 2 classes\n\n"
        "class  train  test\n"
        "cat       12    10\n"
        "dog       12    10\n"
        "total     24    20\n\n"
        "Verdict: ready to train."
    )  # fmt: skip
    assert digest(folder) == before


def test_litter_of_archives_and_notebooks_is_no_problem(folder):
    for name in (".DS_Store", "train/.DS_Store", "train/cat/._0001.jpg", "train/cat/Thumbs.db", "__MACOSX/train/1.jpg",
                 "train/.ipynb_checkpoints/0001-checkpoint.jpg", "README.txt", "train/labels.csv"):  # fmt: skip
        write(folder / name, b"litter")
    assert doctor.examine(folder).problems == ()


# ---- files -------------------------------------------------------------------------------------------------------

FOREIGN = {
    "web page": (b"<!DOCTYPE html><html>quota</html>", "is not a picture but a web page"),
    "text": (b"a text\n", "it holds: text"),
    "video": (b"\x00\x00\x00\x18ftypisom" + bytes(64), "it holds: video"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(64), r"is a HEIC photo \(iPhone\)"),
}


def test_truncated_and_garbled_pictures(folder):
    whole = jpeg(drawing(999, (200, 200)), 95)
    write(folder / "train/cat/0001.jpg", whole[: len(whole) // 2])
    write(folder / "test/dog/0002.jpg", bytes(range(200, 256)) * 9)
    problem = found(folder, "unreadable")
    assert problem.files == ("train/cat/0001.jpg", "test/dog/0002.jpg") and problem.severity == "error"
    assert problem.message.startswith("Pictures that cannot be read: 2. Training stops at them")
    assert "train/cat/0001.jpg cannot be decoded (image file is truncated" in str(doctor.examine(folder))
    assert not doctor.examine(folder).ok


def test_empty_files(folder):
    write(folder / "train/cat/0003.jpg", b"")
    problem = found(folder, "empty_file")
    assert problem.files == ("train/cat/0003.jpg",) and problem.message.startswith("Empty files: 1.")


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_things_named_like_pictures(folder, kind):
    content, reason = FOREIGN[kind]
    write(folder / "train/cat/0004.jpg", content)
    problem = found(folder, "not_a_picture")
    assert problem.files == ("train/cat/0004.jpg",) and problem.severity == "error"
    assert re.search(reason, problem.examples[0])


def test_pictures_whose_ending_lies(folder):
    drawing(1000).save(folder / "train/cat/0001.jpg", "PNG")
    drawing(1001).save(folder / "test/dog/0001.jpg", "WEBP", lossless=True)
    problem = found(folder, "wrong_extension")
    assert set(problem.files) == {"train/cat/0001.jpg", "test/dog/0001.jpg"} and problem.severity == "warning"
    assert problem.examples == ("train/cat/0001.jpg (holds PNG)", "test/dog/0001.jpg (holds WEBP)")


def test_endings_that_do_not_count(folder):
    write(folder / "train/cat/new.jfif", jpeg(drawing(1000)))
    write(folder / "train/cat/no_ending", jpeg(drawing(1001)))
    problem = found(folder, "wrong_extension")
    assert problem.files == ("train/cat/new.jfif", "train/cat/no_ending")
    assert "skipped because of their ending: 2. Rename them" in problem.message and ".jpg .jpeg .png" in problem.message
    assert doctor.examine(folder).counts["train"]["cat"] == TRAIN


def test_other_files_in_class_folders(folder):
    write(folder / "train/cat/IMG_0001.HEIC", FOREIGN["HEIC"][0])
    write(folder / "train/dog/clip.mp4", FOREIGN["video"][0])
    problem = found(folder, "other_file")
    assert problem.examples == ("train/cat/IMG_0001.HEIC (holds: HEIC)", "train/dog/clip.mp4 (holds: video)")
    assert "save HEIC photos as JPEG" in problem.message


def test_pictures_outside_the_class_folders(folder):
    for number, name in enumerate(("a.jpg", "train/b.jpg", "more/cat/c.jpg")):
        write(folder / name, drawing(1000 + number))
    problem = found(folder, "outside")
    assert problem.files == ("a.jpg", "more/cat/c.jpg", "train/b.jpg")
    assert problem.message.endswith("They are not used: move them into a class folder.")


# ---- kinds of pictures -------------------------------------------------------------------------------------------


def test_what_the_kit_converts_is_a_note(folder):
    picture = drawing(1000)
    exif = Image.Exif()
    exif[0x0112] = 6
    write(folder / "train/cat/0000.jpg", picture.convert("L"))
    write(folder / "train/cat/0001.jpg", drawing(1001).convert("CMYK"))
    write(folder / "train/cat/0002.png", drawing(1002).quantize(16))
    write(folder / "train/cat/0003.png", drawing(1003).convert("RGBA"))
    drawing(1005).save(folder / "train/cat/0005.jpg", exif=exif)
    report = doctor.examine(folder)
    assert {problem.kind: (problem.files, problem.severity) for problem in report.problems} == {
        "grey": (("train/cat/0000.jpg",), "note"),
        "cmyk": (("train/cat/0001.jpg",), "note"),
        "palette": (("train/cat/0002.png",), "note"),
        "transparent": (("train/cat/0003.png",), "note"),
        "rotated": (("train/cat/0005.jpg",), "note"),
    }
    assert report.ok and str(report).endswith("Verdict: ready to train.")
    assert "NOTE     Grey pictures: 1. They become RGB with three equal channels." in str(report)


def test_more_than_8_bits_is_a_warning_with_the_range(folder):
    values = np.random.default_rng(4).integers(100, 4000, (SIDE, SIDE))
    for number, (each, dtype) in enumerate(
        ((values, np.uint16), (values - 1124, np.int32), (values / 4000, np.float32))
    ):
        Image.fromarray(each.astype(dtype)).save(folder / f"train/cat/{number}.tif")
    problem = found(folder, "16-bit")
    low, high = int(values.min()), int(values.max())
    assert problem.severity == "warning" and f"{low - 1124} becomes black, {high} white; " in problem.message
    assert problem.examples[0] == f"train/cat/0.tif ({low} to {high})"


def test_tiny_huge_long_and_mixed_sizes(folder):
    write(folder / "train/cat/tiny.png", drawing(1000, (31, 40)))
    write(folder / "train/cat/just.png", drawing(1003, (32, 96)))
    write(folder / "train/cat/long.png", drawing(1001, (40, 130)))
    write(folder / "test/dog/huge.jpg", drawing(1002, (4010, 1400)))
    assert found(folder, "tiny").examples == ("train/cat/tiny.png 31x40 px",)
    assert found(folder, "tiny").severity == "warning"
    assert found(folder, "long").files == ("train/cat/long.png",)
    assert found(folder, "huge").examples == ("test/dog/huge.jpg 4010x1400 px",)
    mixed = found(folder, "mixed_sizes")
    assert mixed.message.startswith("Sizes differ, from 31x40 px to 4010x1400 px") and mixed.severity == "note"


def test_too_many_pixels_is_one_unreadable_file(folder, monkeypatch):
    write(folder / "train/cat/vast.png", drawing(1000, (400, 400)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    assert "has too many pixels" in found(folder, "unreadable").examples[0]


# ---- classes and splits ------------------------------------------------------------------------------------------


def test_a_class_that_one_split_lacks(folder):
    (folder / "test/dog").rename(folder / "test/Dogs")
    report = doctor.examine(folder)
    missing = [problem.message for problem in report.problems if problem.kind == "missing_class"]
    assert missing == [
        "Classes missing in train: Dogs (there is 'dog': the same class?). "
        "Every split must hold the same class folders.",
        "Classes missing in test: dog (there is 'Dogs': the same class?). "
        "Every split must hold the same class folders.",
    ]
    assert not report.ok and "Dogs       -    10" in str(report)


def test_an_empty_class(folder):
    (folder / "train/emu").mkdir()
    (folder / "test/emu").mkdir()
    empty = [problem.message for problem in doctor.examine(folder).problems if problem.kind == "empty_class"]
    assert empty == [f"Empty class folders in {split}: emu. Add pictures; remove only what is empty."
                     for split in ("train", "test")]  # fmt: skip


def test_too_few_and_uneven_classes(folder):
    for path in sorted((folder / "train/dog").iterdir())[3:]:
        path.unlink()
    assert found(folder, "too_few").message.startswith("Classes with fewer than 10 pictures in train: dog (3).")
    assert "Uneven classes in train: cat has 12 pictures, dog only 3." in found(folder, "imbalance").message
    write(folder / "train/dog/more.jpg", drawing(1000))
    assert "imbalance" not in [problem.kind for problem in doctor.examine(folder).problems]  # 12 : 4 is not above 3


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("train", "Train", "Rename Train/ to train/"),
        ("train", "training", "Rename training/ to train/"),
        ("test", "val", "Rename val/ to test/"),
        ("test", "valid", "Rename valid/ to test/"),
        ("test", "Test-Set", "Rename Test-Set/ to test/"),
    ],
)
def test_splits_of_another_name(folder, old, new, sentence):
    (folder / old).rename(folder / "moving")  # in two steps: some disks do not tell Train from train
    (folder / "moving").rename(folder / new)
    problem = found(folder, "split_name")
    assert problem.message.startswith(sentence) and problem.severity == "error"
    assert doctor.examine(folder).counts[new]["cat"] == (TRAIN if old == "train" else TEST)
    assert [each.kind for each in doctor.examine(folder).problems] == ["split_name"]


def test_a_third_split_is_not_used(folder):
    for label, number in (("cat", 2000), ("dog", 3000)):
        for offset in range(10):
            write(folder / "val" / label / f"{offset}.jpg", drawing(number + offset))
    problem = found(folder, "split_name")
    assert problem.message.startswith("val/ is not used: the kit reads train/ and test/ only; move")
    assert problem.severity == "warning" and list(doctor.examine(folder).counts) == ["train", "test", "val"]


def test_of_two_folders_for_one_split_the_kits_own_name_counts(folder):
    for name, number in (("Training", 2000), ("dev", 3000)):
        for offset in range(20):
            write(folder / name / ("cat", "dog")[offset % 2] / f"{offset}.jpg", drawing(number + offset))
    report = doctor.examine(folder)
    assert list(report.counts) == ["train", "Training", "test", "dev"] and report.ok
    assert [problem.files for problem in report.problems if problem.kind == "split_name"] == [("Training",), ("dev",)]


def test_one_level_too_many_and_a_single_class(folder):
    for split in ("train", "test"):
        (folder / split).rename(folder / "images")
        (folder / split).mkdir()
        (folder / "images").rename(folder / split / "images")
    report = doctor.examine(folder)
    assert [problem.kind for problem in report.problems] == ["level", "level", "single_class"] and not report.ok
    sentence = (
        "images should hold pictures and holds folders that look like classes (cat, dog). Move these one level up"
    )
    assert f"{sentence}, into train." in " ".join(str(report).split())
    problem = found(folder / "train" / "images" / "cat" / "..", "no_splits")  # class folders only
    assert problem.severity == "error"
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "images" / "dog")
        (folder / split / "images" / "cat").rename(folder / split / "cat")
        (folder / split / "images").rmdir()
    assert "100 % accuracy means nothing" in found(folder, "single_class").message


def test_a_test_set_without_labels(folder):
    for path in sorted((folder / "test").rglob("*.jpg")):
        path.rename(folder / "test" / f"{path.parent.name}{path.name}")
    for name in ("cat", "dog"):
        (folder / "test" / name).rmdir()
    problem = found(folder, "missing_class")
    assert problem.message.startswith("test holds none of the classes of train: cat, dog. A test set without class")


def test_links_that_lead_back(folder):
    (folder / "train" / "cat" / "more").symlink_to("../..")
    with pytest.raises(ValueError, match=r"leads back to a folder in which it lies.*remove this link"):
        doctor.examine(folder)


def test_names_that_are_no_utf8_can_be_printed(folder):
    for split in ("train", "test"):
        os.rename(folder / split / "cat", os.fsencode(folder / split) + b"/\xcd\xe3")
    report = doctor.examine(folder)
    assert str(report).encode() and report.problems == () and report.counts["train"] == {"dog": 12, "\ufffd\ufffd": 12}


def test_a_missing_split(folder):
    shutil.rmtree(folder / "test")
    assert found(folder, "missing_split").message.startswith("There is no test/. Make it, with the same class folders")


def test_class_folders_without_splits(folder):
    report = doctor.examine(folder / "train")
    assert report.counts == {"": {"cat": TRAIN, "dog": TRAIN}} and not report.ok
    assert [problem.kind for problem in report.problems] == ["no_splits"]
    assert "move the class folders into train/, and of each class about a fifth" in report.problems[0].message
    assert "class  pictures\ncat          12" in str(report)


def test_splits_without_class_folders(tmp_path):
    for number, split in enumerate(("train", "test")):
        write(tmp_path / "flat" / split / "1.jpg", drawing(number))
    report = doctor.examine(tmp_path / "flat")
    assert report.counts == {"train": {}, "test": {}} and not report.ok
    assert [problem.kind for problem in report.problems] == ["missing_class", "outside"]
    assert "No class folders in train and test: make one for each class" in str(report)


def test_a_class_called_train_is_no_split(folder):
    vehicles = (folder / "train").rename(folder.parent / "vehicles")
    (vehicles / "dog").rename(vehicles / "train")
    assert doctor.examine(vehicles).counts == {"": {"cat": TRAIN, "train": TRAIN}}


def test_many_classes_make_a_short_table(tmp_path):
    for number in range(40):
        write(tmp_path / "many" / "train" / f"class{number:02}" / "1.png", drawing(number))
    text = str(doctor.examine(tmp_path / "many"))
    assert "(10 more)" in text and "class29" in text and "class30" not in text.split("WARNING")[0]
    assert "class07 (1) and 32 more" in text


# ---- the same picture twice --------------------------------------------------------------------------------------


def test_the_same_bytes_and_the_same_pixels_in_train_and_test(folder):
    shutil.copy(folder / "train/cat/0001.jpg", folder / "test/cat/copy.jpg")
    pictures.open_rgb(folder / "train/dog/0002.jpg").save(folder / "test/dog/copy.png")
    problem = found(folder, "leak")
    assert problem.examples == ("train/cat/0001.jpg = test/cat/copy.jpg", "train/dog/0002.jpg = test/dog/copy.png")
    assert problem.files == ("train/cat/0001.jpg", "test/cat/copy.jpg", "train/dog/0002.jpg", "test/dog/copy.png")
    assert problem.severity == "warning" and "or the test result is too good" in problem.message
    assert "near_leak" not in [each.kind for each in doctor.examine(folder).problems]


def test_the_same_picture_under_two_classes(folder):
    shutil.copy(folder / "train/cat/0001.jpg", folder / "train/dog/9.jpg")
    shutil.copy(folder / "train/cat/0002.jpg", folder / "test/dog/9.jpg")
    problem = found(folder, "label_conflict")
    assert problem.examples == ("train/cat/0001.jpg = train/dog/9.jpg", "train/cat/0002.jpg = test/dog/9.jpg")
    assert problem.severity == "error" and problem.message.startswith("The same picture under two classes: 2.")


def test_the_same_picture_twice_in_a_class_is_a_note(folder):
    shutil.copy(folder / "train/cat/0001.jpg", folder / "train/cat/9.jpg")
    assert found(folder, "duplicate").severity == "note"
    assert [each.kind for each in doctor.examine(folder).problems] == ["duplicate"]


NEAR = {
    "saved again as a poor JPEG": lambda image: Image.open(io.BytesIO(jpeg(image, 40))),
    "enlarged": lambda image: image.resize((150, 150), Image.Resampling.BICUBIC),
    "halved": lambda image: image.resize((SIDE // 2, SIDE // 2), Image.Resampling.LANCZOS),
    "a little brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("change", NEAR)
def test_nearly_the_same_picture_in_train_and_test(folder, change):
    source = pictures.open_rgb(folder / "train/cat/0005.jpg")
    write(folder / "test/cat/near.png", NEAR[change](source).convert("RGB"))
    problem = found(folder, "near_leak")
    assert problem.examples == ("train/cat/0005.jpg = test/cat/near.png",)
    assert problem.message.startswith("Nearly the same picture in train and test: 1. Look at the pairs.")


def test_plain_surfaces_are_not_called_copies(folder):
    rng = np.random.default_rng(0)
    light = np.linspace(195, 205, SIDE)[None, :, None]  # the same faint light on every wall
    for split in ("train", "test"):
        for number in range(10):
            noise = rng.normal(light, 0.6, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / split / "cat" / f"wall{number}.png")
    assert doctor.examine(folder).problems == ()


def test_fingerprints_tell_shapes_apart():
    wide, high = Image.new("RGB", (8, 2), "red"), Image.new("RGB", (2, 8), "red")
    assert wide.tobytes() == high.tobytes() and lookalikes.fingerprint(wide) != lookalikes.fingerprint(high)
    assert lookalikes.fingerprint(wide) == lookalikes.fingerprint(wide.copy())


def test_a_further_near_copy_of_a_leaked_picture_is_found(folder):
    source = pictures.open_rgb(shutil.copy(folder / "train/cat/0001.jpg", folder / "test/cat/copy.jpg"))
    source.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "test/cat/near.png")
    assert found(folder, "leak").examples == ("train/cat/0001.jpg = test/cat/copy.jpg",)
    assert found(folder, "near_leak").examples == ("train/cat/0001.jpg = test/cat/near.png",)


@pytest.mark.parametrize(("correlation", "is_copy"), [(0.90, False), (0.95, False), (0.975, False), (0.992, True)])
def test_different_photos_correlate_up_to_0956_and_copies_from_0991_on(correlation, is_copy):
    """What was measured on photos, made to order: one drawing with so much of another one laid over it."""
    flat = np.stack([np.asarray(lookalikes.thumbnail(drawing(number)), float).ravel() for number in (1, 2)])
    one, other = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    other -= (one @ other) / len(one) * one  # what of it is not like the first
    mixed = correlation * one + np.sqrt(1 - correlation**2) * other / other.std()
    first, second = (np.rint(128 + 25 * each).clip(0, 255).astype(np.uint8) for each in (one, mixed))
    first, second = first.reshape(1, 32, 32, 3), second.reshape(1, 32, 32, 3)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(correlation, abs=0.002)
    assert lookalikes.near_copies(first, second) == [(0, 0)] * is_copy


def test_near_copies_equals_the_plain_double_loop():
    rng = np.random.default_rng(1)
    first = np.stack([lookalikes.thumbnail(drawing(number)) for number in range(40)])
    noise = rng.normal(0, 3, (30, *first.shape[1:]))
    second = (first[rng.integers(0, 40, 30)] + noise).clip(0, 255).astype(np.uint8)
    second[::3] = second[::3, :, ::-1]
    expected, mirrored_pairs = set(), 0
    for mirrored in (False, True):
        for i, one in enumerate(first):
            for j, other in enumerate(second):
                other = other[:, ::-1] if mirrored else other
                if np.corrcoef(one.ravel(), other.ravel())[0, 1] >= lookalikes.SAME:
                    expected.add((i, j))
                    mirrored_pairs += mirrored
    assert len(expected) >= 30 and 0 < mirrored_pairs < len(expected)
    assert lookalikes.near_copies(first, second) == sorted(expected)


def test_near_copies_in_parts_gives_the_same(monkeypatch):
    first = np.stack([lookalikes.thumbnail(drawing(number % 15)) for number in range(60)])
    whole = list(lookalikes.near_copies(first, first[:30]))
    parts = lookalikes._candidates
    monkeypatch.setattr(lookalikes, "_candidates", lambda one, other: parts(one, other, at_once=70))
    assert len(whole) == 120 and lookalikes.near_copies(first, first[:30]) == whole
    assert lookalikes.near_copies(first[:0], first) == []


# ---- folders that are none ---------------------------------------------------------------------------------------


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*pest\. Check the path, capital letters too"):
        doctor.examine(tmp_path / "pest")


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="is empty. It should hold train/<class>/ and test/<class>/"):
        doctor.examine(tmp_path)


def test_pictures_without_class_folders(tmp_path):
    write(tmp_path / "1.jpg", drawing(1))
    with pytest.raises(ValueError, match="holds 1 picture and no class folders. It should hold train/<class>/"):
        doctor.examine(tmp_path)


def test_a_folder_of_other_files(tmp_path):
    write(tmp_path / "notes.txt", b"notes")
    with pytest.raises(ValueError, match="holds 0 pictures and no class folders"):
        doctor.examine(tmp_path)


def test_a_zip_in_place_of_a_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.writestr("train/cat/1.jpg", b"x")
    with pytest.raises(ValueError, match=r"pets\.zip is a file\. Unpack it if it is an archive"):
        doctor.examine(tmp_path / "pets.zip")
    write(tmp_path / "a.jpg", drawing(1))
    with pytest.raises(ValueError, match=r"a\.jpg is a file.*pass the folder with train/ in it"):
        doctor.examine(tmp_path / "a.jpg")


def test_one_folder_too_high(folder):
    with pytest.raises(ValueError, match=rf"a folder in it does. Pass that one: {folder}"):
        doctor.examine(folder.parent)


def test_the_verdict_counts(folder):
    shutil.copy(folder / "train/cat/0001.jpg", folder / "test/cat/copy.jpg")
    assert str(doctor.examine(folder)).endswith("Verdict: ready to train; look at 1 warning first.")
    write(folder / "train/cat/0003.jpg", b"")
    write(folder / "lost.jpg", drawing(1000))
    write(folder / "train/cat/grey.jpg", drawing(1001).convert("L"))
    text = str(doctor.examine(folder))
    assert text.endswith("Verdict: mend 1 error before training, then look at 2 warnings.")
    assert re.findall("^(ERROR|WARNING|NOTE) ", text, re.MULTILINE) == ["ERROR", "WARNING", "WARNING", "NOTE"]
    assert max(map(len, text.splitlines())) <= 110


# ---- real photos -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_file(), reason=f"real photos are not at hand ({REAL.name} beside the kit)")
def test_real_photos(tmp_path):
    with zipfile.ZipFile(REAL) as archive:
        archive.extractall(tmp_path)
    report = doctor.examine(tmp_path / "bcdp_v1")
    classes = ("bike", "cat", "dog", "person")
    assert report.counts == {"train": dict.fromkeys(classes, 375), "test": dict.fromkeys(classes, 75)}
    assert report.ok and sum(len(each.files) for each in report.problems if each.kind == "near_leak") <= 6
