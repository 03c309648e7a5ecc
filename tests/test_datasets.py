"""helpers.datasets.fetch: the order of its sources, the sentence when none delivers, and what a kill leaves behind."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import types
import warnings
import zipfile
from pathlib import Path

import pytest
import requests

from helpers import datasets, drive, machine, runtime
from helpers.datasets import catalogue, download, locks

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves it out
import fake_colab
from http_server import QUOTA_PAGE, serve, status, well

ROOT = Path(__file__).parents[1]
SHARED = Path(__file__).parents[2] / "shared" / "data"
PICTURE = random.Random(0).randbytes(20_000)  # nobody looks inside


def files(name="ants", *, classes=("ant", "bee"), train=3, test=1, top="{name}/"):
    top = top.format(name=name)
    sizes = {"train": train, "test": test}
    return [f"{top}{split}/{each}/{n}.jpg" for split, size in sizes.items() for each in classes for n in range(size)]


def zip_bytes(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, PICTURE)
    return buffer.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


UNPACKED = sorted([*files(top=""), datasets.MARKER])
GOOD = zip_bytes(files())


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty machine: own home, own current folder, no Drive, no mirror, a catalogue that can be added to."""
    for variable in ("KIT_OFFLINE", "KIT_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "persist"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(machine, "_reached", set())
    monkeypatch.setattr(machine, "DRIVE_FOLDER", tmp_path / "drive" / "MyDrive")
    monkeypatch.setattr(catalogue, "_entries", dict(catalogue._entries))
    monkeypatch.setattr(download, "BACKOFF", 0.001)
    (tmp_path / "course" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "course" / "notebooks")
    datasets.register("ants", classes=["ant", "bee"], train_per_class=3, test_per_class=1)
    return tmp_path / "home"


@pytest.fixture
def no_network(monkeypatch):
    def asked(*args, **kwargs):
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr("requests.sessions.Session.request", asked)
    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=asked))


def error_of(name="ants"):
    with pytest.raises(datasets.DataError) as caught:
        datasets.fetch(name)
    return str(caught.value)


def lines(text):
    return [line.removeprefix("  - ") for line in text.splitlines()]


# The catalogue


def test_the_kits_own_data_sets():
    assert datasets.names()[:5] == ["bcdp_v1", "bcdfh_v1", "bcdp_standin", "bcdfh_standin", "digits_standin"]
    entry = catalogue.look_up("bcdp_v1")
    assert entry.classes == ("bike", "cat", "dog", "person") and (entry.train_size, entry.test_size) == (1500, 300)
    assert datasets.first_url("bcdp_v1").startswith("https://analytics.drake.edu/") and datasets.known("bcdp_v1")
    assert datasets.first_url("bcdp_standin") is None and not datasets.known("mnist")
    for name in ("bcdp_v1", "bcdfh_v1"):
        entry, drawn = catalogue.look_up(name), catalogue.look_up(catalogue.look_up(name).standin)
        assert drawn.drawn and drawn.classes == entry.classes and drawn.name != entry.name


def test_describe():
    assert datasets.describe("bcdp_v1").splitlines() == [
        "bcdp_v1: 4 classes (bike, cat, dog, person), 1500 training and 300 test pictures",
        "Colour photos of 100x100 px from the course CS 167, Drake University. No licence is stated.",
        "Address: https://analytics.drake.edu/~reza/teaching/cs167_fall24/dataset/bcdp_v1.zip",
        "SHA-256 of the zip: not known",
    ]
    assert "number of pictures not known" in datasets.describe("bcdfh_v1")
    assert "not verified" in datasets.describe("bcdfh_v1")
    assert "SHA-256" not in datasets.describe("bcdp_standin")


def test_datasets_md_names_every_data_set_and_address():
    text = (ROOT / "datasets.md").read_text(encoding="utf-8")
    for entry in catalogue._KIT:
        assert f"| `{entry.name}` |" in text
        if entry.train_size:
            assert re.search(rf"\| `{entry.name}` \|.*\| {entry.train_size} \+ {entry.test_size} ", text)
    assert all(url in text for url in catalogue.look_up("bcdp_v1").urls)


@pytest.mark.parametrize("ask", [datasets.fetch, datasets.is_ready, datasets.describe, datasets.first_url],
                         ids=["fetch", "is_ready", "describe", "first_url"])  # fmt: skip
def test_an_unknown_name(ask):
    with pytest.raises(ValueError, match=r"no data set 'bcdp'; did you mean 'bcdp_v1'\? There are bcdp_v1, .*MNIST"):
        ask("bcdp")


def test_the_mirror_is_the_first_address(monkeypatch):
    monkeypatch.setenv("KIT_MIRROR", "http://10.0.0.7:8000/data/")
    assert datasets.first_url("bcdp_v1") == "http://10.0.0.7:8000/data/bcdp_v1.zip"
    assert datasets.first_url("ants") == "http://10.0.0.7:8000/data/ants.zip"
    assert datasets.first_url("bcdp_standin") is None
    monkeypatch.setenv("KIT_MIRROR", "10.0.0.7/data")
    with pytest.raises(ValueError, match=r"KIT_MIRROR is '10\.0\.0\.7/data'; it should be a web address"):
        datasets.first_url("bcdp_v1")


@pytest.mark.parametrize(
    "given", ["1AbC_d-2", "https://drive.google.com/file/d/1AbC_d-2/view?usp=sharing",
              "https://drive.google.com/open?id=1AbC_d-2", "https://drive.google.com/uc?export=download&id=1AbC_d-2"],
    ids=["ID", "share link", "open link", "download link"],
)  # fmt: skip
def test_a_drive_link_is_understood(given):
    datasets.register("mine", classes=["a"], drive_id=given)
    assert datasets.first_url("mine") == "https://drive.google.com/uc?id=1AbC_d-2"
    if "/" in given:  # wherever a class writes its link
        datasets.register("mine", classes=["a"], urls=[given])
        assert datasets.first_url("mine") == "https://drive.google.com/uc?id=1AbC_d-2"
    datasets.register("bcdp_v1", drive_id=given)
    assert datasets.first_url("bcdp_v1") == "https://drive.google.com/uc?id=1AbC_d-2"
    assert catalogue.look_up("bcdp_v1").train_size == 1500


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "../evil"}, "The name '../evil' becomes a folder's name; use letters, digits"),
        ({"name": ".hidden"}, "becomes a folder's name"),
        ({"name": "bcdp_v1"}, "'bcdp_v1' is one of the kit's own data sets; choose another name, or set KIT_MIRROR"),
        ({"name": "bcdp_v1", "classes": ()}, "is one of the kit's own"),
        ({"name": "bcdp_standin", "classes": (), "drive_id": "ID"}, "is one of the kit's own"),
        ({"urls": ["http://[::1/a.zip"]}, "a list of web addresses"),
        ({"urls": ["http://x.org:port/a.zip"]}, "a list of web addresses"),
        ({"urls": ["https://drive.google.com/drive/folders/1AbC"]}, "a file's share link on Google Drive .not a fold"),
        ({"classes": "ant"}, r"classes is 'ant'; it should be a list of different names, like \['ant', 'bee'\]"),
        ({"classes": ["ant", "ant"]}, "a list of different names"),
        ({"classes": []}, "a list of different names"),
        ({"urls": "https://x.org/a.zip"}, "urls is 'https://x.org/a.zip'; it should be a list of web addresses"),
        ({"urls": ["x.org/a.zip"]}, "a list of web addresses that start with https://"),
        ({"urls": ["https://"]}, "a list of web addresses"),
        ({"sha256": "abc"}, "sha256 is 'abc'; it should be the 64 hex digits that sha256sum prints"),
        ({"drive_id": "https://drive.google.com/drive"}, "drive_id is .*; it should be a file's share link"),
    ],
)
def test_what_cannot_be_registered(arguments, sentence):
    arguments = {"name": "mine", "classes": ["ant", "bee"]} | arguments
    with pytest.raises(ValueError, match=sentence):
        datasets.register(arguments.pop("name"), **arguments)
    assert not datasets.known("mine")


# Sources on this machine


@pytest.mark.parametrize(
    "place",
    ["home/datasets/ants.zip", "home/ants.zip", "home/downloads/ants.zip", "home/ants (1).zip",
     "course/notebooks/ants.zip", "course/ants.zip", "drive/MyDrive/ants.zip", "drive/MyDrive/Copy of ants.zip",
     "drive/MyDrive/datasets/ants.zip", "persist/ants.zip", "persist/datasets/ants.zip"],
    ids=str,
)  # fmt: skip
def test_a_zip_is_found_and_stays(place, tmp_path, home, no_network):
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    assert not datasets.is_ready("ants")
    path = put(tmp_path / place, GOOD)
    before = path.stat()
    assert datasets.is_ready("ants")
    folder = datasets.fetch("ants")
    assert folder == home / "datasets" / "ants" and tree(folder) == UNPACKED
    assert path.read_bytes() == GOOD and path.stat().st_mtime_ns == before.st_mtime_ns
    path.unlink()
    assert datasets.is_ready("ants") and datasets.fetch("ants") == folder
    assert tree(home / "datasets" / ".incoming") == ["ants/lock"]


def test_a_zip_on_the_drive_is_read_once_from_end_to_end(tmp_path, monkeypatch):
    put(tmp_path / "drive" / "MyDrive" / "ants.zip", GOOD)
    opened = []
    unpack = datasets.archives.unpack
    monkeypatch.setattr(datasets.archives, "unpack", lambda path, *a, **b: opened.append(path) or unpack(path, *a, **b))
    datasets.fetch("ants")
    assert len(opened) == 1 and not opened[0].is_relative_to(tmp_path / "drive")


def test_a_drive_is_asked_for_few_names_and_never_listed(tmp_path, no_network, monkeypatch):
    """To list a Drive, or to look into each of its folders, takes minutes; describe() runs in every notebook."""
    colab = fake_colab.install(monkeypatch, tmp_path)
    colab.connect()
    top = colab.my_drive
    monkeypatch.setattr(machine, "DRIVE_FOLDER", top)
    monkeypatch.delenv("KIT_PERSIST")
    for number in range(300):
        (top / f"folder {number}").mkdir(parents=True)
    put(top / "folder 7" / "ants.zip", GOOD)
    runtime.describe()  # makes its own folder
    asked = []

    def told(name):
        function = getattr(os, name)

        def telling(path, *args, **kwargs):
            if str(top.parent) in str(path):
                asked.append((name, str(path)))
            return function(path, *args, **kwargs)

        monkeypatch.setattr(os, name, telling)

    for name in ("stat", "lstat", "scandir", "listdir"):
        told(name)
    runtime.describe()
    most = len(asked)
    assert not datasets.is_ready("ants")
    assert {name for name, _ in asked} <= {"stat", "lstat"} and not any("/folder " in path for _, path in asked)
    assert most <= 40 * 3 and len(asked) - most <= 40, (most, len(asked))  # a data set: two of the kit's, and ants


def test_the_parts_of_a_download_from_drive_are_put_together(home, no_network):
    stamp = "ants-20261103T101010Z"
    second = put(home / "datasets" / f"{stamp}-002.zip", zip_bytes(files()[6:]))
    assert not datasets.is_ready("ants")
    with pytest.warns(UserWarning, match=r"-002\.zip was not used: it is one part of a folder that Drive packed"):
        assert f"{second}: it is one part of a folder that Drive packed; the parts before it are missing" in error_of()
    first = put(home / "datasets" / f"{stamp}-001.zip", zip_bytes(files()[:6]))
    assert datasets.is_ready("ants")
    folder = datasets.fetch("ants")
    assert tree(folder) == UNPACKED
    assert json.loads((folder / datasets.MARKER).read_text())["source"] == f"{first}, {second}"
    datasets.register("bees", classes=["ant", "bee"])  # nobody knows how many images: are these all parts?
    for number, path in enumerate((first, second), start=1):
        path.rename(path.with_name(f"bees-20261103T101010Z-3-00{number}.zip"))
    with pytest.warns(UserWarning, match="Drive packs a large folder into parts; 2 are here. If it made"):
        assert tree(datasets.fetch("bees")) == UNPACKED


def test_a_first_part_alone_is_not_taken_for_all(home, no_network, monkeypatch):
    monkeypatch.setenv("KIT_OFFLINE", "1")
    put(home / "ants-20261103T101010Z-001.zip", zip_bytes(files()[:6]))
    with pytest.warns(UserWarning, match="was not used: no folder in it holds both train/ and test/"):
        assert "ants-20261103T101010Z-001.zip" in error_of()
    put(home / "ants-20261103T101010Z-001.zip", zip_bytes(files(train=1)))
    with pytest.warns(UserWarning, match="it has 2 training and 2 test pictures, where 6 and 2 are expected"):
        datasets.fetch("ants")


def test_a_renamed_copy_on_the_drive_is_found_when_nothing_else_delivers(tmp_path, home, no_network):
    copy = put(tmp_path / "drive" / "MyDrive" / "ants - Kopie.zip", GOOD)
    assert not datasets.is_ready("ants")  # asked at the start of every notebook: a Drive is not listed for that
    assert tree(datasets.fetch("ants")) == UNPACKED
    assert json.loads((home / "datasets" / "ants" / datasets.MARKER).read_text())["source"] == str(copy)


def test_a_drive_that_can_only_be_read_gives_what_it_has(tmp_path, no_network, monkeypatch):
    put(tmp_path / "drive" / "MyDrive" / "ants.zip", GOOD)

    def refuse():
        raise drive.DriveError("Your Google Drive can only be read.")

    monkeypatch.setattr(drive, "persist", refuse)
    assert datasets.is_ready("ants") and tree(datasets.fetch("ants")) == UNPACKED


def test_a_drive_that_is_lost_on_the_way_is_told(tmp_path, no_network, monkeypatch):
    path = put(tmp_path / "drive" / "MyDrive" / "ants.zip", GOOD)

    def lost(*args):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(datasets.shutil, "copyfile", lost)
    with pytest.warns(UserWarning, match="was not used: the Drive is no longer connected"):
        assert f"{path}: the Drive is no longer connected: run drive.mount() again" in lines(error_of())


@pytest.mark.parametrize("place", ["drive/MyDrive/cs167/datasets", "usb stick/\u00fcbung"], ids=["Drive", "disk"])
def test_one_line_names_the_folder_of_the_zips(place, tmp_path, no_network, monkeypatch):
    put(tmp_path / place / "ants.zip", GOOD)
    assert not datasets.is_ready("ants")
    monkeypatch.setenv("KIT_MIRROR", f" {tmp_path / place}/ ")
    assert datasets.is_ready("ants") and datasets.first_url("ants") is None
    assert tree(datasets.fetch("ants")) == UNPACKED


def test_files_that_may_be_the_data_set_are_named(tmp_path, home, no_network):
    near = [put(home / "datasets" / "my_ants.zip", GOOD), put(home / "ants.rar", b"Rar!"),
            put(home / "downloads" / "ants.zip.crdownload", GOOD[:99]),
            put(tmp_path / "drive" / "MyDrive" / "Ants_2026.zip", GOOD)]  # fmt: skip
    put(home / "bcdp_v1.zip", GOOD)
    named = next(line for line in lines(error_of()) if line.startswith("If one of these is the data set"))
    assert named == f"If one of these is the data set, rename it to ants.zip: {', '.join(map(str, near))}."


def zip_with_raw_names(label, raw):
    return zip_bytes(files(classes=["Q" * len(raw), "bee"])).replace(b"Q" * len(raw), raw)


def test_names_in_an_encoding_that_the_zip_does_not_tell(home, no_network):
    datasets.register("ants", classes=["K\u00e4fer", "bee"])
    bad = put(home / "ants.zip", zip_with_raw_names("Wespe", "Wesp\u00e9".encode("cp1252")))
    with pytest.warns(UserWarning, match="If these names look garbled: zip it anew with names in the encoding UTF-8"):
        assert "train/ has no pictures of K\u00e4fer (class folders there: " in error_of()
    bad.write_bytes(zip_with_raw_names("K\u00e4fer", "K\u00e4fer".encode("cp1252")))
    assert set(os.listdir(datasets.fetch("ants") / "train")) == {"K\u00e4fer", "bee"}


@pytest.mark.parametrize(
    ("name", "classes", "told"),
    [
        ("bcdp_v1", ["bicycle", "cats", "dogs", "people"], "the 4 classes bicycle, cats, dogs, people, where"),
        ("bcdp_v1", ["bike", "cat", "dog", "horse", "person"], "the 5 classes .*, where the 4 classes bike, cat"),
        ("bcdfh_v1", ["b", "c", "d"], "^bcdfh_v1 from [^;]*: it has the 3 classes b, c, d, where the 5 clas"),
    ],
)
def test_class_names_that_the_kit_is_not_sure_of_are_told_and_taken(name, classes, told, home, no_network):
    put(home / f"{name}.zip", zip_bytes(files(name, classes=classes)))
    with pytest.warns(UserWarning, match=told) as warned:
        folder = datasets.fetch(name)
    assert sorted(os.listdir(folder / "train")) == sorted(classes) and len(warned) == 1


@pytest.mark.filterwarnings("ignore:.*was not used")
def test_what_cannot_be_the_data_set_is_refused_all_the_same(home, no_network, monkeypatch):
    monkeypatch.setenv("KIT_OFFLINE", "1")
    missed = []
    there = "(class folders there: a"
    for name, names, sentence in (
        ("bcdp_v1", files(classes=["ant", "bee"]), "train/ has pictures of 2 classes, where 4 or more are"),
        ("bcdfh_v1", files(classes=["ant"]), "train/ has pictures of 1 classes, where 2 or more are expected"),
        ("bcdfh_v1", [*files(classes="abc"), "ants/train/d/1.jpg"], f"test/ has no pictures of d {there}"),
        ("bcdfh_v1", [*files(classes="abc"), "ants/test/d/1.jpg"], f"train/ has no pictures of d {there}"),
    ):
        put(home / f"{name}.zip", zip_bytes(names))
        if sentence not in error_of(name):
            missed.append((name, sentence, error_of(name)))
    assert missed == []


def test_a_drive_that_has_died_is_passed_over(tmp_path, home, monkeypatch):
    put(home / "ants.zip", GOOD)

    stat = os.stat

    def dead(path, *args, **kwargs):
        if str(tmp_path / "drive") in str(path):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", dead)
    assert datasets.is_ready("ants") and tree(datasets.fetch("ants")) == UNPACKED


@pytest.mark.parametrize(
    "names",
    [files(top=""), files(), files(top="any name/"), files(top="a/b/"),
     [*files(), "__MACOSX/ants/train/ant/._1.jpg", "ants/.DS_Store", "ants/test/bee/Thumbs.db"]],
    ids=["no top folder", "own name", "any name", "two folders", "with litter"],
)  # fmt: skip
def test_shapes_of_zips(names, home):
    put(home / "ants.zip", zip_bytes(names))
    assert tree(datasets.fetch("ants")) == UNPACKED


@pytest.mark.parametrize("place", ["home/ants", "home/datasets/ants"], ids=str)
def test_a_folder_that_the_user_unpacked_is_taken_as_it_is(place, tmp_path, no_network):
    for name in files(top=""):
        put(tmp_path / place / name, PICTURE)
    assert datasets.is_ready("ants")
    assert datasets.fetch("ants") == tmp_path / place and tree(tmp_path / place) == sorted(files(top=""))


def test_home_can_be_given(tmp_path, home):
    put(home / "ants.zip", GOOD)
    put(tmp_path / "other" / "ants.zip", GOOD)
    assert datasets.fetch("ants", home=str(tmp_path / "other")) == tmp_path / "other" / "datasets" / "ants"
    assert datasets.is_ready("ants", home=tmp_path / "other") and tree(home) == ["ants.zip"]


def test_a_damaged_zip_is_told_and_the_next_source_taken(home):
    damaged = put(home / "datasets" / "ants.zip", GOOD[:-50])
    put(home / "ants.zip", GOOD)
    with pytest.warns(UserWarning, match=r"was not used: it is no whole zip file \(.*\); download it again\.$") as told:
        folder = datasets.fetch("ants")
    assert tree(folder) == UNPACKED and damaged.read_bytes() == GOOD[:-50] and len(told) == 1


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.txt", "b/c.jpg"], "no folder in it holds both train/ and test/; it contains a.txt, b/"),
        (files(classes=["ant", "wasp"]), r"train/ has no pictures of bee \(class folders there: ant, wasp\)"),
        ([*files(test=0), "ants/test/ant/1.jpg", "ants/test/bee/note.txt"],
         r"test/ has no pictures of bee \(class folders there: ant, bee\)"),
        (["ants/train/1.jpg", "ants/test/1.jpg"], r"train/ has no pictures of ant, bee \(class folders there: none\)"),
    ],
    ids=["no splits", "class missing", "class without pictures", "no classes"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*was not used")
def test_a_wrong_zip_stops(names, sentence, home, monkeypatch):
    monkeypatch.setenv("KIT_OFFLINE", "1")
    path = put(home / "datasets" / "ants.zip", zip_bytes(names))
    assert re.search(f"{re.escape(str(path))}: {sentence}$", error_of(), re.MULTILINE)
    assert tree(home / "datasets") == [".incoming/ants/lock", "ants.zip"] and not list(home.rglob("*evil*"))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (files(train=2), r"it has 4 training and 2 test pictures, where 6 and 2 are expected\.$"),
        (files(classes=["ant", "bee", "wasp"]), r"it has 9 .*; it has the 3 classes ant, bee, wasp, where the 2"),
    ],
    ids=["fewer pictures", "one class more"],
)
def test_other_counts_are_told_once_and_do_not_stop(names, sentence, home):
    put(home / "ants.zip", zip_bytes(names))
    with pytest.warns(UserWarning, match=rf"^ants from .*ants\.zip: {sentence}"):
        folder = datasets.fetch("ants")
    assert datasets.fetch("ants") == folder  # no second warning: it would be an error here
    (folder / datasets.MARKER).unlink()  # as if made by hand
    with pytest.warns(UserWarning, match=f"^{folder}: {sentence}"):
        datasets.fetch("ants")


def test_the_marker_says_what_was_unpacked(home):
    path = put(home / "ants.zip", GOOD)
    marker = json.loads((datasets.fetch("ants") / datasets.MARKER).read_text())
    counts = {"train": {"ant": 3, "bee": 3}, "test": {"ant": 1, "bee": 1}}
    assert marker == {"name": "ants", "source": str(path), "pictures": counts}


def test_a_student_may_remove_pictures(home, no_network):
    put(home / "ants.zip", GOOD)
    folder = datasets.fetch("ants")
    (folder / "train" / "ant" / "0.jpg").unlink()
    assert datasets.fetch("ants") == folder


def test_a_folder_that_is_not_complete_is_kept_under_another_name(home):
    put(home / "ants.zip", GOOD)
    for mine in ("precious", "precious too"):
        put(home / "datasets" / "ants" / "train" / "ant" / f"{mine}.jpg", PICTURE)
        assert not (home / "datasets" / "ants" / "test").exists()
        with pytest.warns(UserWarning, match=r"datasets/ants: it was not complete and is now .*ants\.old-\d\.$"):
            assert tree(datasets.fetch("ants")) == UNPACKED
        (home / "datasets" / "ants").rename(home / f"away {mine}")
    assert tree(home / "datasets" / "ants.old-1") == ["train/ant/precious.jpg"]
    assert tree(home / "datasets" / "ants.old-2") == ["train/ant/precious too.jpg"]


# Sources on the network


def test_the_order_of_sources(home, monkeypatch):
    """Each time the source that answered is taken away, the next one answers."""
    gdown = types.SimpleNamespace(download=lambda *, id, output, quiet: Path(output).write_bytes(GOOD) and output)
    monkeypatch.setitem(sys.modules, "gdown", gdown)
    with serve(GOOD, well()) as server:
        monkeypatch.setenv("KIT_MIRROR", f"{server.url}/mirror")
        urls = [f"{server.url}/one.zip", f"{server.url}/two.zip"]
        entry = datasets.register("ants", classes=["ant", "bee"], urls=urls, drive_id="ID")
        zip_path, folder = put(home / "ants.zip", GOOD), datasets.fetch("ants")
        sources = []
        for take_away in (
            zip_path.unlink,
            lambda: monkeypatch.delenv("KIT_MIRROR"),
            lambda: datasets.register("ants", classes=["ant", "bee"], urls=entry.urls[1:], drive_id="ID"),
            lambda: datasets.register("ants", classes=["ant", "bee"], drive_id="ID"),
        ):
            folder.rename(home / f"used {len(sources)}")
            take_away()
            datasets.fetch("ants")
            sources.append(server.requests[-1])
    assert sources == ["/mirror/ants.zip", "/one.zip", "/two.zip", "/two.zip"] and len(server.requests) == 3
    assert tree(folder) == UNPACKED and tree(home / "datasets" / ".incoming") == ["ants/lock"]


@pytest.mark.parametrize(
    ("body", "answer", "sentence"),
    [
        (GOOD, status(200, QUOTA_PAGE), "a web page came in place of the file"),
        (GOOD, status(404), r"the server answers 404 Not Found$"),
        (b"no zip", well(), "it is no zip file; it looks like: text$"),
        (GOOD[:-50], well(), "it is no whole zip file"),
        (GOOD.replace(PICTURE, PICTURE[::-1], 1), well(), "it is no whole zip file .*Bad CRC-32"),
        (zip_bytes(files(classes=["ant", "wasp"])), well(), "train/ has no pictures of bee"),
    ],
    ids=["quota page", "404", "no zip", "cut off", "damaged inside", "class missing"],
)
def test_a_useless_answer_is_named_and_the_next_address_asked(body, answer, sentence, home):
    with serve(body, answer) as bad, serve(GOOD, well()) as good:
        datasets.register("ants", classes=["ant", "bee"], urls=[f"{bad.url}/bad.zip"])
        assert re.search(f"{bad.url}/bad.zip: {sentence}", error_of(), re.MULTILINE)
        assert tree(home) == ["datasets/.incoming/ants/lock"]
        datasets.register("ants", classes=["ant", "bee"], urls=[f"{bad.url}/bad.zip", f"{good.url}/good.zip"])
        assert tree(datasets.fetch("ants")) == UNPACKED


class ToLocalServer(requests.adapters.HTTPAdapter):
    """Brings every request of gdown, which goes to Google, to a server on this machine."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def send(self, request, **kwargs):
        kwargs["proxies"] = {}
        answer = super().send(self._moved(request), **kwargs)
        answer.url = request.url
        return answer

    def _moved(self, request):
        moved = request.copy()
        moved.url = f"{self.url}/{request.url.split('/', 3)[3]}"
        return moved


SCAN_PAGE = (  # for what is too large to be scanned for viruses: one line, which gdown reads as a whole
    b'<!DOCTYPE html><form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    b'<input type="hidden" name="id" value="1AbC_d-2"><input type="hidden" name="confirm" value="t"></form>'
)


def google(kind, page=b""):
    def answer(handler, body):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(page or body)))
        if not page:
            handler.send_header("Content-Disposition", 'attachment; filename="photos.zip"')
        handler.end_headers()
        handler.wfile.write(page or body)

    return answer


@pytest.mark.parametrize("name", ["ants", "bcdp_v1"])
def test_a_link_to_google_drive_is_one_line_and_gdown_brings_it(name, home, monkeypatch):
    gdown = pytest.importorskip("gdown")
    for inner in ("_save_cookies", "_load_cookies"):  # they would lie in the home folder
        monkeypatch.setitem(gdown.download.__globals__, inner, lambda **_: [])
    link = "https://drive.google.com/file/d/1AbC_d-2/view?usp=sharing"
    if name == "ants":
        datasets.register("ants", classes=["ant", "bee"], urls=[link])
    else:
        datasets.register("bcdp_v1", drive_id=link)
    body = zip_bytes(files(name, classes=catalogue.look_up(name).classes, train=3, test=1, top=""))
    pages = [google("text/html", QUOTA_PAGE), google("text/html", SCAN_PAGE), google("application/zip")]
    with serve(body, *pages) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bcdp_v1 has more images
        adapter = ToLocalServer(server.url)
        monkeypatch.setattr(requests.Session, "get_adapter", lambda self, url: adapter)
        assert "uc?id=1AbC_d-2: Google Drive gave no file (" in error_of(name)
        source = json.loads((datasets.fetch(name) / datasets.MARKER).read_text())["source"]
    assert source == "https://drive.google.com/uc?id=1AbC_d-2"
    assert server.requests == ["/uc?id=1AbC_d-2"] * 2 + ["/download?id=1AbC_d-2&confirm=t"]


def test_addresses_in_any_alphabet_and_malformed_ones(home, monkeypatch):
    with serve(GOOD, well()) as server:
        for number, path in enumerate(("\u00fcbung", "\u6570\u636e", "my data", "%C3%BCbung")):
            monkeypatch.setenv("KIT_MIRROR", f"{server.url}/{path}")
            assert machine.can_reach(datasets.first_url("ants"))
            datasets.fetch("ants").rename(home / f"used {number}")
    quoted = [f"/{each}/ants.zip" for each in ("%C3%BCbung", "%E6%95%B0%E6%8D%AE", "my%20data", "%C3%BCbung")]
    assert server.requests == [each for each in quoted for _ in range(2)]
    for wrong in ("http://[::1/x", "http://host:port/x", "https://:80", "ftp://x.org/y", "/no/folder", '"http://x.org"'):
        monkeypatch.setenv("KIT_MIRROR", wrong)
        for ask in (datasets.fetch, datasets.first_url):
            with pytest.raises(ValueError, match=re.escape(f"KIT_MIRROR is {wrong!r}; it should be a web address")):
                ask("ants")


def test_sha256(home):
    with serve(GOOD, well()) as server:
        mine = {"classes": ["ant", "bee"], "urls": [f"{server.url}/a.zip"]}
        datasets.register("ants", **mine, sha256="00" * 32)
        assert f"the SHA-256 is {hashlib.sha256(GOOD).hexdigest()}, expected 0000" in error_of()
        assert tree(home) == ["datasets/.incoming/ants/lock"]
        datasets.register("ants", **mine, sha256=hashlib.sha256(GOOD).hexdigest())
        assert tree(datasets.fetch("ants")) == UNPACKED


def test_everything_that_was_tried_is_told(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=lambda *, id, output, quiet: None))
    put(home / "ants" / "train" / "ant" / "1.jpg", PICTURE)
    put(home / "ants.zip", b"")
    here = Path.cwd()
    with serve(b"", status(403), status(404)) as server, pytest.warns(UserWarning, match="it is empty"):
        monkeypatch.setenv("KIT_MIRROR", f"{server.url}/")
        datasets.register("ants", classes=["ant", "bee"], urls=[f"{server.url}/a.zip"], drive_id="ID")
        told = lines(error_of())
    assert told == [
        "The data set ants cannot be had. Tried, in this order:",
        f"{home / 'ants'}: train/ has no pictures of bee (class folders there: ant)",
        f"{home / 'ants.zip'}: it is empty (0 bytes)",
        f"another ants.zip on this machine: none in {home}/datasets, {home}, {home}/downloads, {here}, {here.parent}",
        f"{server.url}/ants.zip: the server answers 403 Forbidden",
        f"{server.url}/a.zip: the server answers 404 Not Found",
        "https://drive.google.com/uc?id=ID: Google Drive gave no file "
        "(not shared with 'Anyone with the link', or over its quota)",
        "What you can do, one of these:",
        f"Put ants.zip into {home / 'datasets'} and run this again.",
        "Ask your instructor for a mirror, and set the environment variable KIT_MIRROR to its address.",
    ]


def test_offline_touches_no_network_and_says_so(home, no_network, monkeypatch):
    monkeypatch.setenv("KIT_OFFLINE", "1")
    told = lines(error_of("bcdp_v1"))
    assert "the network: not asked, because KIT_OFFLINE=1 is set" in told
    assert "Remove the environment variable KIT_OFFLINE, so that the kit may download." in told
    assert "Work with the drawn stand-in, by its own name: bcdp_standin." in told
    assert tree(home) == ["datasets/.incoming/bcdp_v1/lock"]  # nothing was put in its place


def test_a_data_set_without_any_address(no_network):
    assert "the network: the catalogue knows no address" in lines(error_of())


def test_on_colab_the_drive_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "in_colab", lambda: True)
    advice = (
        "Put ants.zip into the top folder of your Drive and run this again; or name its folder: "
        f"%env KIT_MIRROR={tmp_path}/drive/MyDrive/FOLDER"
    )
    assert f"Mount your Drive with drive.mount(). {advice}" in lines(error_of())
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    assert advice in lines(error_of())


# Drawn stand-ins


def test_a_stand_in_is_unpacked_once_by_its_own_name(home, no_network, monkeypatch):
    assert datasets.is_ready("bcdp_standin")
    folder = datasets.fetch("bcdp_standin")
    assert folder == home / "datasets" / "bcdp_standin"
    assert json.loads((folder / datasets.MARKER).read_text())["source"] == "the kit's own drawings"
    monkeypatch.setattr(datasets.standin, "unpack", None)
    assert datasets.fetch("bcdp_standin") == folder


def test_an_unpacking_that_broke_off_leaves_nothing(home, monkeypatch):
    def unpack(entry, folder):
        put(folder / "train" / "cat" / "1.jpg", b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(datasets.standin, "unpack", unpack)
    told = error_of("bcdp_standin")
    assert told.startswith(f"bcdp_standin could not be made in {home}: the disk is full. Set KIT_HOME to a folder")
    assert tree(home) == ["datasets/.incoming/bcdp_standin/lock"]


# Disks


def test_a_full_disk(home, monkeypatch):
    put(home / "ants.zip", GOOD)
    monkeypatch.setattr(datasets.archives.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=100))
    assert error_of() == (
        f"ants could not be made in {home}: the disk is full. "
        "Set KIT_HOME to a folder that you may write to, on a disk with enough space."
    )


def test_a_disk_that_fills_up_while_downloading(home, monkeypatch):
    def fills_up(url, target, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "download", fills_up)
    monkeypatch.setenv("KIT_MIRROR", "http://mirror.invalid")
    assert error_of().startswith(f"ants could not be made in {home}: the disk is full.")


def test_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    home = put(tmp_path / "file", b"") / "home"
    monkeypatch.setenv("KIT_HOME", str(home))
    sentence = r"The folder .*/home cannot be made \(.*\)\. Set KIT_HOME to a folder that you may write to\."
    assert re.fullmatch(sentence, error_of())
    assert datasets.is_ready("ants") is False
    assert datasets.is_ready("ants", home=home) is False
    with pytest.raises(datasets.DataError, match=r"ants could not be made in .*/home: .*\. Set KIT_HOME to a folder"):
        datasets.fetch("ants", home=home)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_serves_what_it_has(home, monkeypatch):
    put(home / "ants.zip", GOOD)
    folder = datasets.fetch("ants")
    for path in (home / "datasets", home):
        path.chmod(0o555)
    try:
        assert datasets.fetch("ants") == folder
        assert "could not be made in" in error_of("bcdp_standin")
    finally:
        for path in (home, home / "datasets"):
            path.chmod(0o755)


# Kills, and two at once

CHILD = """
import os, signal, sys
from helpers import datasets
from helpers.datasets import archives, download, register
def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)
def die_at(count, function):
    calls = []
    def counted(*args, **kwargs):
        calls.append(1)
        return die() if len(calls) == count else function(*args, **kwargs)
    return counted
register("ants", classes=["ant", "bee"], train_per_class=3, test_per_class=1)
{patch}
print(datasets.fetch("ants"))
"""


def child(patch=""):
    return subprocess.Popen([sys.executable, "-W", "error", "-c", CHILD.format(patch=patch)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])})  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    "patch",
    [
        "import pooch; pooch.HTTPDownloader.__call__ = lambda self, url, path, pooch: (open(path, 'w').close(), die())",
        "download.pictures.kind_of_file = die",
        "archives.unpack = die",
        "archives.split_root = die",
        "datasets.json.dumps = die",
        "datasets.os.replace = die_at(1, os.replace)",
    ],
    ids=["downloading", "downloaded", "unpacking", "unpacked", "before the marker", "before the last rename"],
)
def test_killed_in_the_middle_then_fetched_again(patch, home, monkeypatch):
    with serve(GOOD, well()) as server:
        monkeypatch.setenv("KIT_MIRROR", server.url)
        with child(patch) as process:
            _, err = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, err
        assert not (home / "datasets" / "ants").exists()
        keep = put(home / "datasets" / "unpack-mine" / "precious.txt", b"")
        assert tree(datasets.fetch("ants")) == UNPACKED
    assert keep.exists() and tree(home / "datasets" / ".incoming") == ["ants/lock"]
    assert not list((home / "datasets" / ".incoming" / "ants").glob("unpack-*"))


def slow(handler, body):
    handler.closing.wait(0.5)
    well()(handler, body)


def test_two_at_once_download_once(home, monkeypatch):
    with serve(GOOD, slow) as server:
        monkeypatch.setenv("KIT_MIRROR", server.url)
        children = [child(), child()]
        results = [process.communicate(timeout=60) for process in children]
        assert [process.returncode for process in children] == [0, 0], results
    assert [out.strip() for out, _ in results] == [str(home / "datasets" / "ants")] * 2
    assert len(server.requests) == 1 and tree(home / "datasets" / "ants") == UNPACKED
    assert sum("waiting for it" in err for _, err in results) <= 1


def test_two_at_once_where_nothing_can_be_locked(home, monkeypatch):
    put(home / "ants.zip", GOOD)
    both = threading.Barrier(2, timeout=10)

    def no_locks(lock, timeout):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.FileLock, "acquire", no_locks)
    split_root = datasets.archives.split_root

    def wait_for_the_other(folder, *, name):
        both.wait()
        return split_root(folder, name=name)

    monkeypatch.setattr(datasets.archives, "split_root", wait_for_the_other)
    results = []
    threads = [threading.Thread(target=lambda: results.append(datasets.fetch("ants"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [home / "datasets" / "ants"] * 2 and tree(results[0]) == UNPACKED


HOLD = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"


def test_a_notebook_that_never_ends_is_named(home, monkeypatch, capsys):
    put(home / "ants.zip", GOOD)
    incoming = home / "datasets" / ".incoming" / "ants"
    incoming.mkdir(parents=True)
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    monkeypatch.setattr(locks, "SILENT", 0.05)
    held = subprocess.Popen([sys.executable, "-c", HOLD, incoming / "lock"], text=True, stdin=-1, stdout=-1)
    assert held.stdout.readline() == "held\n"
    with held:
        sentence = f"Another notebook has held {incoming / 'lock'} for 0.2 s. Stop it and run this again."
        assert error_of() == sentence
        held.stdin.close()
    assert "waiting for it" in capsys.readouterr().err
    assert tree(datasets.fetch("ants")) == UNPACKED


# Real photos


@pytest.mark.skipif(not (SHARED / "bcdp_real.zip").exists(), reason="the real photos are not on this machine")
def test_real_photos_in_the_place_of_bcdp_v1(home, no_network):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "bcdp_v1.zip").symlink_to(SHARED / "bcdp_real.zip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = datasets.fetch("bcdp_v1")
    counts = json.loads((folder / datasets.MARKER).read_text())["pictures"]
    assert [sum(counts[split].values()) for split in ("train", "test")] == [1500, 300]
