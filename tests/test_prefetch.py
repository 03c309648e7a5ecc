"""Before class: everything that the notebooks fetch is brought, checked and reported, and is then found offline."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import torch
import torchvision
from http_server import drop, serve, status, well
from PIL import Image

from helpers import commands, datasets, digits, models, runtime
from helpers.commands import prefetch
from helpers.datasets import catalogue, download

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
COMES_WITH_THE_KIT = {"alexnet_mini", *(name for name in catalogue.names() if catalogue.look_up(name).drawn)}
LISTED = {*prefetch.WEIGHTS, *prefetch.DIGITS, *catalogue.names()}


# ------------------------------------------------------------------------------- is everything in the list?


def cells(path: Path) -> Iterator[ast.Module]:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            yield ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", cell.source))


def texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def keywords(tree: ast.AST, name: str) -> Iterator[ast.expr]:
    yield from (node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == name)


def loads_pretrained(tree: ast.AST) -> bool:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "models.load"]
    return any(not any(keyword.arg == "pretrained" for keyword in call.keywords) for call in calls)


def only_tells_about(tree: ast.AST) -> bool:
    """Whether a cell looks up what torchvision says of weights, and builds no network."""
    calls = {ast.unparse(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return "get_model_weights" in calls and "get_model" not in calls


def used(path: Path) -> set[str]:
    """Networks whose weights a notebook loads, and data sets that it names, but for what the kit takes in their place.

    In a cell that loads a pretrained network every network counts that it names.
    """
    tasks = set(torchvision.models.list_models()) - set(torchvision.models.list_models(module=torchvision.models))
    names: set[str] = set()
    for tree in cells(path):
        chosen = set().union(*map(texts, keywords(tree, "online")))
        instead = set().union(*map(texts, keywords(tree, "offline")))
        networks = set() if only_tells_about(tree) else tasks
        if loads_pretrained(tree):
            networks = set(torchvision.models.list_models())
        pictures = set(digits.SIZES) | set(catalogue.names())
        names |= chosen | (texts(tree) & (networks | pictures)) - instead
    return names - COMES_WITH_THE_KIT


def test_whatever_a_notebook_names_is_in_the_list() -> None:
    assert {path.name: lacking for path in NOTEBOOKS if (lacking := used(path) - LISTED)} == {}


def test_the_search_finds_what_notebooks_use() -> None:
    found = {path.stem[:2]: used(path) for path in NOTEBOOKS}
    assert "alexnet" in found["03"] and "vgg16" in found["04"] and "vgg16" not in found["03"]
    assert {"CIFAR10", "resnet18", "resnet50"} <= found["05"] and "resnet101" not in found["05"]
    assert {"resnet18", "efficientnet_b0"} <= found["09"] and "resnet50" not in found["09"]
    assert "bcdp_v1" in found["08"] and "ssd300_vgg16" not in found["08"]
    assert set(prefetch.WEIGHTS) <= set().union(*found.values()), "nothing is brought that no notebook loads"
    assert "MNIST" in found["02"] and "bcdp_v1" in found["07"]


def test_every_item_of_the_list_has_a_name_and_weights_have_a_size() -> None:
    items = {item.name: item for item in prefetch.items()}
    real = {name for name in catalogue.names() if not catalogue.look_up(name).drawn}
    weights = {f"weights of {name}" for name in prefetch.WEIGHTS}
    assert set(items) == real | set(prefetch.DIGITS) | weights | {f"photo {name}" for name in prefetch.PHOTOS}
    assert "dog" in prefetch.PHOTOS and "coffee" not in prefetch.PHOTOS
    assert items["weights of vgg16"].mib == pytest.approx(527.8, abs=0.1)
    assert set(prefetch.DIGITS) == set(digits.SIZES) - {digits.STANDIN}


# --------------------------------------------------------------------------------------- fetching, from a server


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network, nothing in the caches, and no waiting between attempts."""
    monkeypatch.delenv("KIT_OFFLINE")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download, "BACKOFF", 0.0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The catalogue knows one data set, ``toys``; returns its zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("train/ant/1.png", "train/bee/1.png", "test/ant/1.png", "test/bee/1.png"):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), "red").save(picture, "png")
            archive.writestr(name, picture.getvalue())
    monkeypatch.setattr(catalogue, "_entries", {})
    monkeypatch.setattr(prefetch, "DIGITS", {})
    monkeypatch.setattr(prefetch, "WEIGHTS", ())
    monkeypatch.setattr(prefetch, "PHOTOS", [])
    return stream.getvalue()


def test_what_is_brought_is_used_offline(toys: bytes, monkeypatch, capsys) -> None:
    with serve(toys, well()) as server:
        datasets.register("toys", classes=["ant", "bee"], urls=[f"{server.url}/toys.zip"])
        assert commands.main(["prefetch", "--list"]) == 0
        assert capsys.readouterr().out == (
            "to fetch    toys                               size not known\n"
            "To fetch: 1 of 1,     0 MiB and 1 of unknown size\n"
        )
        assert not server.requests
        assert commands.main(["prefetch"]) == 0
        shown = capsys.readouterr().out
        assert "fetched     toys" in shown and "Here: 1 of 1" in shown and "KIT_OFFLINE=1" in shown
        assert commands.main(["prefetch"]) == 0
        assert "was here    toys" in capsys.readouterr().out
        assert len(server.requests) == 1
    monkeypatch.setenv("KIT_OFFLINE", "1")
    assert runtime.choose(online="toys", offline="alexnet_mini") == "toys"
    assert commands.main(["prefetch"]) == 0


def test_what_cannot_be_had_is_reported_and_the_rest_is_brought(toys: bytes, capsys) -> None:
    with serve(toys, status(404), well()) as server:
        for name in ("lost", "toys"):
            datasets.register(name, classes=["ant", "bee"], urls=[f"{server.url}/{name}.zip"])
        assert commands.main(["prefetch"]) == 1
    shown = capsys.readouterr().out
    assert "MISSING     lost\n" in shown and "the server answers 404 Not Found" in shown
    assert "fetched     toys" in shown and "Here: 1 of 2" in shown and "Missing: 1" in shown


@pytest.fixture(scope="module")
def weights() -> bytes:
    stream = io.BytesIO()
    torch.save(models.load("squeezenet1_1", pretrained=False).state_dict(), stream)
    return stream.getvalue()


def place(body: bytes) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return folder / f"squeezenet1_1-{hashlib.sha256(body).hexdigest()[:8]}.pth"


def test_weights_go_where_torchvision_looks_and_a_broken_download_is_repeated(weights: bytes) -> None:
    file = place(weights)
    with serve(weights, drop(300_000), well()) as server:
        prefetch.fetch_weights(f"{server.url}/{file.name}", file)
        prefetch.fetch_weights(f"{server.url}/{file.name}", file)
        assert len(server.requests) == 2
    assert file.read_bytes() == weights
    assert file.parent == models.weights_file(torchvision.models.SqueezeNet1_1_Weights.DEFAULT).parent


def test_other_weights_than_the_name_says_are_not_taken(weights: bytes) -> None:
    file = place(weights)
    with (
        serve(weights + b"!", well()) as server,
        pytest.raises(OSError, match=r"another file, or damaged on the way\. Try again, bring"),
    ):
        prefetch.fetch_weights(server.url, file)
    assert list(file.parent.iterdir()) == []


def test_damaged_weights_are_named_and_left(weights: bytes) -> None:
    file = place(weights)
    file.parent.mkdir(parents=True)
    file.write_bytes(weights[:-1000])
    with pytest.raises(OSError, match="is damaged. Delete it"):
        prefetch.fetch_weights("http://127.0.0.1:9/never-asked", file)
    assert file.read_bytes() == weights[:-1000]


def test_weights_are_not_fetched_offline(monkeypatch) -> None:
    monkeypatch.setenv("KIT_OFFLINE", "1")
    with pytest.raises(OSError, match="KIT_OFFLINE=1 forbids"):
        prefetch.fetch_weights("http://127.0.0.1:9/never-asked", place(b""))


def test_a_folder_that_cannot_be_written_to(weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "torch").write_text("in the way")
    with serve(weights, well()) as server, pytest.raises(OSError, match="set TORCH_HOME to a folder"):
        prefetch.fetch_weights(server.url, place(weights))
