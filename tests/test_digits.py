"""MNIST and its like as tensors: the drawn digits, torchvision's sets from files made here, and the choice between."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from helpers import digits, machine
from helpers.datasets import DataError, standin

REAL = Path(__file__).parents[2] / "shared" / "data"


def write_idx(path: Path, values: np.ndarray) -> tuple[str, str]:
    """A packed file as MNIST's (LeCun's IDX format); its name and MD5."""
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))
    return path.name, hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def small_mnist(monkeypatch) -> dict[str, np.ndarray]:
    """An MNIST of 12 + 4 pictures, packed, where the kit looks for it; what is in it."""
    raw, rng = machine.home() / "torchvision" / "MNIST" / "raw", np.random.default_rng(0)
    values, resources = {}, []
    for part, count in (("train", 12), ("t10k", 4)):
        values[part] = rng.integers(0, 256, (count, 28, 28))
        values[f"{part} labels"] = np.arange(count) % 10
        resources.append(write_idx(raw / f"{part}-images-idx3-ubyte.gz", values[part]))
        resources.append(write_idx(raw / f"{part}-labels-idx1-ubyte.gz", values[f"{part} labels"]))
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    return values


# ---- drawn ---------------------------------------------------------------------------------------------------------


def test_the_drawn_digits():
    data = digits.load("digits_standin")
    assert data.train_images.shape == (6000, 1, 28, 28) and data.test_images.shape == (1000, 1, 28, 28)
    assert data.train_images.dtype == torch.uint8 and data.train_labels.dtype == torch.int64
    assert torch.bincount(data.train_labels).tolist() == [600] * 10
    assert torch.bincount(data.test_labels).tolist() == [100] * 10
    assert len(set(data.train_labels[:100].tolist())) == 10, "not mixed"
    assert data.classes == tuple("0123456789")
    assert str(data) == (
        "digits_standin: 6,000 pictures for training, 1,000 for the test, each 1 x 28 x 28; "
        "10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    )


def test_images_and_labels_belong_together():
    """The drawings of one digit are alike: each mean digit is nearest to the drawn ones of its label."""
    data = digits.load("digits_standin")
    means = torch.stack([data.train_images[data.train_labels == digit].float().mean(0) for digit in range(10)])
    drawn = torch.from_numpy(standin.digits()["train"].copy()).float().mean(1, keepdim=True)
    assert torch.allclose(means, drawn, atol=1e-3)
    assert {image.numpy().tobytes() for image in data.test_images} == {
        image.tobytes() for image in standin.digits()["test"].reshape(-1, 28, 28)
    }


def test_the_first_ones_only():
    whole, part = digits.load("digits_standin"), digits.load("digits_standin", train=7, test=2)
    assert len(part.train_labels) == len(part.train_images) == 7 and len(part.test_labels) == 2
    assert torch.equal(part.train_images, whole.train_images[:7])


# ---- torchvision's -------------------------------------------------------------------------------------------------


def test_packed_files_are_unpacked_without_a_network(small_mnist, capsys):
    assert digits.is_ready("MNIST")
    assert digits.choose(online="MNIST") == "MNIST"
    assert capsys.readouterr().out == "Using MNIST: it is on this machine.\n"
    data = digits.load("MNIST")
    assert (data.train_images[:, 0].numpy() == small_mnist["train"]).all()
    assert data.test_labels.tolist() == small_mnist["t10k labels"].tolist()
    assert data.train_images.shape == (12, 1, 28, 28) and data.train_images.dtype == torch.uint8
    assert data.classes == tuple("0123456789")


def test_unpacked_files_suffice(small_mnist):
    digits.load("MNIST")
    for packed in (machine.home() / "torchvision").rglob("*.gz"):
        packed.unlink()
    assert digits.is_ready("MNIST") and len(digits.load("MNIST", test=2).test_labels) == 2


def test_a_damaged_file_is_not_there(small_mnist):
    next((machine.home() / "torchvision").rglob("train-images*.gz")).write_bytes(b"half a file")
    assert not digits.is_ready("MNIST")


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")  # torchvision's unpacking
def test_cifar10_has_its_channels_in_front(monkeypatch):
    kind, root = torchvision.datasets.CIFAR10, machine.home() / "torchvision"
    base, rng = root / kind.base_folder, np.random.default_rng(0)
    base.mkdir(parents=True)
    lists, pictures = [], rng.integers(0, 256, (5, 3072)).astype(np.uint8)
    for file in ("data_batch_1", "test_batch", "batches.meta"):
        content = {"label_names": ["airplane", "cat"]} if file == "batches.meta" else {
            "data": pictures, "labels": [0, 1, 0, 1, 1]}  # fmt: skip
        (base / file).write_bytes(pickle.dumps(content))
        lists.append([file, hashlib.md5((base / file).read_bytes()).hexdigest()])
    monkeypatch.setattr(kind, "train_list", lists[:1])
    monkeypatch.setattr(kind, "test_list", lists[1:2])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": lists[2][1]})
    with tarfile.open(root / kind.filename, "w:gz") as packed:
        packed.add(base, kind.base_folder)
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5((root / kind.filename).read_bytes()).hexdigest())
    shutil.rmtree(base)
    assert digits.is_ready("CIFAR10")
    data = digits.load("CIFAR10")
    assert data.train_images.shape == (5, 3, 32, 32) and data.classes == ("airplane", "cat")
    assert (data.train_images.reshape(5, 3072).numpy() == pictures).all()  # CIFAR's rows are red, green, blue planes


# ---- nothing there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "CIFAR10"])
def test_offline_the_drawn_digits_are_chosen_and_said(name, capsys):
    assert not digits.can_have(name)
    assert digits.choose(online=name) == "digits_standin"
    assert capsys.readouterr().out == (
        f"Using digits_standin in place of {name}: {name} is not on this machine and KIT_OFFLINE=1 is set.\n"
    )
    with pytest.raises(DataError, match=f"{name} is not on this machine and KIT_OFFLINE=1 is set. Put its files into"):
        digits.load(name)


@pytest.mark.parametrize(("answers", "chosen", "words"), [
    (True, "MNIST", "Using MNIST: it will be downloaded."),
    (False, "digits_standin", "MNIST is not on this machine and its server cannot be reached."),
], ids=["answers", "is silent"])  # fmt: skip
def test_online_the_server_is_asked(monkeypatch, capsys, answers, chosen, words):
    asked = []
    monkeypatch.delenv("KIT_OFFLINE")
    monkeypatch.setattr(machine, "can_reach", lambda url: asked.append(url) or answers)
    assert digits.choose(online="MNIST") == chosen
    assert words in capsys.readouterr().out
    assert len(asked) == 1 and asked[0].startswith("http") and asked[0].endswith("/train-images-idx3-ubyte.gz")


def test_a_download_that_fails_is_a_sentence(monkeypatch):
    monkeypatch.delenv("KIT_OFFLINE")

    def fails(*args, **kwargs):
        raise RuntimeError("Error downloading")

    monkeypatch.setattr(digits, "_open", fails)
    with pytest.raises(DataError, match="MNIST cannot be had: Error downloading. Try again, put its files into"):
        digits.load("MNIST")


def test_wrong_arguments():
    with pytest.raises(ValueError, match="There is no data set 'EMNIST' here; choose one of MNIST, FashionMNIST"):
        digits.choose(online="EMNIST")
    with pytest.raises(ValueError, match="train=60001 must be from 1 to 60,000, what MNIST has"):
        digits.load("MNIST", train=60_001)
    with pytest.raises(ValueError, match="test=0 must be from 1 to 1,000"):
        digits.load("digits_standin", test=0)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_the_real_files(name):
    if not (REAL / name).is_dir():
        pytest.skip(f"the real {name} is not on this machine")
    shutil.copytree(REAL / name, machine.home() / "torchvision" / name)
    data = digits.load(name)
    assert (len(data.train_labels), len(data.test_labels)) == digits.SIZES[name]
    assert set(torch.bincount(data.test_labels).tolist()) == {1000} or name == "MNIST"
    assert len(data.classes) == 10 == int(data.train_labels.max()) + 1
