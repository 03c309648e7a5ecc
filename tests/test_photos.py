"""The catalogue of photos: what is there without a network, the way of an own file, and what is said when one lacks."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import requests
import skimage.data
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image

from helpers import activations, models, photos, pictures


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIT_OFFLINE", "1")
    return tmp_path / "home"


def test_photos_of_the_packages_are_there_without_a_network() -> None:
    here = photos.names(here=True)
    assert {"cat", "coffee", "rocket", "astronaut", "grace_hopper", "photographer", "galaxies"} <= set(here)
    for name in here:
        image = photos.load(name)
        assert (image.mode, image.size) == ("RGB", photos.CATALOGUE[name].size), name


@pytest.mark.parametrize(
    "name, theirs",
    [("cat", "chelsea"), ("coffee", "coffee"), ("rocket", "rocket"), ("astronaut", "astronaut"),
     ("photographer", "camera"), ("galaxies", "hubble_deep_field")],
)  # fmt: skip
def test_the_pixels_are_those_of_scikit_image(name: str, theirs: str) -> None:
    expected = getattr(skimage.data, theirs)()
    expected = expected if expected.ndim == 3 else np.stack([expected] * 3, axis=2)
    assert np.array_equal(np.asarray(photos.load(name)), expected)


def test_every_entry_has_its_rights_a_box_inside_and_answers_that_exist() -> None:
    categories = set(torchvision.models.AlexNet_Weights.DEFAULT.meta["categories"])
    for name, photo in photos.CATALOGUE.items():
        left, top, right, bottom = photo.box
        assert 0 <= left < right <= photo.size[0] and 0 <= top < bottom <= photo.size[1], name
        assert any(right in photo.credit for right in ("CC0", "public domain", "CC BY")), name
        assert photo.answers <= categories, name
        assert photo.file or (photo.url and len(photo.sha256) == 64), name
        assert photo.credit in photos.credit(name)


def test_the_offline_photos_of_the_first_lesson_have_an_answer_among_the_classes_of_the_kits_networks() -> None:
    for name in ("cat", "coffee", "rocket", "grace_hopper"):
        assert photos.CATALOGUE[name].answers & set(models.about("resnet_mini")[1]), name


def seen(image: Image.Image) -> torch.Tensor:
    """What the kit's network is given of a photo: its middle, 64 px (prepared here by hand, as an oracle)."""
    scale = 64 / min(image.size)
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (small.width - 64) // 2, (small.height - 64) // 2
    values = np.asarray(small.crop((left, top, left + 64, top + 64)), dtype=np.float32) / 255
    normal = (values - np.float32(pictures.IMAGENET_MEAN)) / np.float32(pictures.IMAGENET_STD)
    return torch.from_numpy(normal).permute(2, 0, 1)[None]


def test_a_network_names_the_coffee_and_looks_at_the_cup() -> None:
    """What notebook 00 begins with: the answer, the place of it, and what covering that place does."""
    network, (_, classes) = models.load("resnet_mini"), models.about("resnet_mini")
    photo, entry = photos.load("coffee"), photos.CATALOGUE["coffee"]
    ((answer, probability),) = activations.top_k(network, seen(photo), classes, k=1).rows
    assert answer in entry.answers and probability > 0.9
    where = activations.grad_cam(network, seen(photo), classes.index(answer))
    rows, columns = where.shape
    inside = torch.zeros(400, 400)  # the square in the middle of the photo
    left, top, right, bottom = entry.box
    inside[top:bottom, left - 100 : right - 100] = 1
    share = F.interpolate(inside[None, None], size=(rows, columns), mode="area")[0, 0]
    assert share.mean() < 0.46 and (where * share).sum() / where.sum() > 0.7
    assert share.flatten()[where.argmax()] > 0.9  # the brightest place lies in the box

    def covered(rows: slice, columns: slice) -> float:
        pixels = np.array(photo)
        pixels[rows, columns] = 128
        scores = network(seen(Image.fromarray(pixels)))[0].softmax(dim=0)
        return float(scores[classes.index(answer)].detach())

    assert covered(slice(75, 205), slice(195, 380)) < 0.3
    assert covered(slice(250, 380), slice(300, 485)) > 0.7


def test_an_own_file_stands_upright_and_is_rgb(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15] = 255, 0, 0  # red on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise to see it upright: left becomes top
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    upright = photos.load(tmp_path / "turned.png")
    assert upright.size == (20, 30) and upright.getpixel((10, 2)) == (255, 0, 0) != upright.getpixel((10, 28))
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "printed.jpg")
    for name in ("grey.png", "printed.jpg"):
        assert photos.load(str(tmp_path / name)).mode == "RGB"


def test_an_own_file_may_have_a_name_without_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 6)).save(tmp_path / "upload", format="png")
    assert photos.load("upload").size == (8, 6)


def test_errors_are_sentences_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"no photo 'cofee'; did you mean 'coffee'\? There are cat, .*dog"):
        photos.load("cofee")
    with pytest.raises(pictures.PictureError, match="my_cat.jpg cannot be read: there is no such file"):
        photos.load("my_cat.jpg")
    with pytest.raises(OSError, match="'dog' is not on this machine, and KIT_OFFLINE=1 is set.*there are: cat, coffee"):
        photos.load("dog")


def test_a_photo_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OSError, match="'cat' is not on this machine, and the package that ships it, skimage, is not"):
        photos.load("cat")


def test_a_photo_from_the_network_is_checked_and_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_OFFLINE")
    content = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(content, "jpeg")
    asked: list[str] = []

    def bring(url: str, known_hash: str, fname: str, path: Path) -> str:
        asked.append(f"{url} {known_hash}")
        path.mkdir(parents=True)
        (path / fname).write_bytes(content.getvalue())
        return str(path / fname)

    photo = photos.CATALOGUE["dog"]
    with mock.patch("pooch.retrieve", bring):
        assert photos.load("dog").size == (40, 30)
    assert asked == [f"{photo.url} sha256:{photo.sha256}"]
    monkeypatch.setenv("KIT_OFFLINE", "1")
    assert photos.load("dog").size == (40, 30) and "dog" in photos.names(here=True)


def test_another_file_at_the_address_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_OFFLINE")
    with mock.patch("pooch.retrieve", side_effect=ValueError("SHA256 hash of downloaded file does not match")):
        with pytest.raises(OSError, match="'dog' is not on this machine, and its address gave another file"):
            photos.load("dog")
    with mock.patch("pooch.retrieve", side_effect=requests.ConnectionError()):
        with pytest.raises(OSError, match="it did not come .ConnectionError.*Without a network there are: cat"):
            photos.load("dog")


def test_show_displays_one_picture_with_its_description() -> None:
    with mock.patch("IPython.display.display") as display:
        photos.show("cat", "coffee")
    (data,), options = display.call_args
    alt = options["metadata"]["image/png"]["alt"]
    assert alt == data["text/plain"] == "Photos. cat: a tabby cat's face; coffee: a cup of espresso on a table."
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    assert image.width > 900 and len(image.getcolors() or ()) > 100


def test_the_page_on_data_lists_every_photo_with_its_rights() -> None:
    page = (Path(__file__).resolve().parents[1] / "datasets.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page.partition("## Photos")[2], re.M))
    for name, photo in photos.CATALOGUE.items():
        width, height = photo.size
        assert rows[name].startswith(f"{photo.shows} | {width} x {height} | {photo.credit} | "), name
