"""helpers.archives: every shape of zip that people make, and every trick that a zip can play."""

from __future__ import annotations

import errno
import shutil
import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.datasets import archives

BAD_NAME = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
SPLITS = {f"{split}/{each}/1.jpg": b"picture" for split in ("train", "test") for each in ("cat", "dog")}


def make_zip(path, entries, *, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def below(top, entries=SPLITS):
    return {f"{top}{name}": content for name, content in entries.items()}


def raw_name(path, old, new):
    """Write a name that ``zipfile`` would not write itself (same length)."""
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
                         ids=["stored", "deflated", "bzip2", "lzma"])  # fmt: skip
def test_unpacks_what_was_packed(tmp_path, compression):
    archives.unpack(make_zip(tmp_path / "a.zip", SPLITS, compression=compression), tmp_path / "out")
    assert tree(tmp_path / "out") == SPLITS


def test_unpacks_what_another_tool_packed(tmp_path):
    (tmp_path / "in" / "train" / "Käfer").mkdir(parents=True)
    (tmp_path / "in" / "train" / "Käfer" / "größe 1.jpg").write_bytes(b"x")
    (tmp_path / "in" / "train" / "empty").mkdir()
    archives.unpack(shutil.make_archive(str(tmp_path / "made"), "zip", tmp_path / "in"), tmp_path / "out")
    assert tree(tmp_path / "out") == {"train/Käfer/größe 1.jpg": b"x"}
    assert (tmp_path / "out" / "train" / "empty").is_dir()


def test_leaves_out_what_computers_add(tmp_path):
    litter = ["__MACOSX/train/cat/._1.jpg", ".DS_Store", "train/.DS_Store", "train/cat/Thumbs.db", "test/cat/._1.jpg",
              "train/.ipynb_checkpoints/1.jpg", "train/cat/desktop.ini", ".complete.json"]  # fmt: skip
    archives.unpack(make_zip(tmp_path / "a.zip", SPLITS | dict.fromkeys(litter, b"x")), tmp_path / "out")
    assert tree(tmp_path / "out") == SPLITS


def test_backslashes_are_folders(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"train/cat/1.jpg": b"x", "train/dog/": b""})
    raw_name(path, b"train/cat/", b"train\\cat\\")
    archives.unpack(raw_name(path, b"train/dog/", b"train\\dog\\"), tmp_path / "out")
    assert tree(tmp_path / "out") == {"train/cat/1.jpg": b"x"} and (tmp_path / "out" / "train" / "dog").is_dir()


@pytest.mark.parametrize(
    "name",
    ["../evil", "train/../../evil", "/etc/evil", "C:/evil", "c:evil", "..\\evil", "train\\..\\..\\evil", "\\evil",
     "__MACOSX/../../evil", "\\\\host\\share\\evil", ".."],
    ids=str,
)  # fmt: skip
def test_no_entry_leaves_the_folder(tmp_path, name):
    path = make_zip(tmp_path / "a.zip", SPLITS | {name: b"evil"})
    archives.unpack(path, tmp_path / "deep" / "out")
    assert SPLITS.items() <= tree(tmp_path / "deep" / "out").items()
    outside = [each for each in tmp_path.rglob("*evil*") if not each.is_relative_to(tmp_path / "deep" / "out")]
    assert not outside and not Path("/etc/evil").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR], ids=["link", "pipe", "device"])
def test_leaves_out_links_and_devices(tmp_path, kind):
    info = zipfile.ZipInfo("train/cat/link.jpg")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    path = make_zip(tmp_path / "a.zip", SPLITS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    archives.unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == SPLITS


def test_refuses_a_bomb_before_writing(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", {f"train/cat/{n}.jpg": bytes(1_000_000) for n in range(10)})
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(archives, "MAX_BYTES", 9_999_999)
    with pytest.raises(archives.ArchiveError, match=r"would unpack to 0\.0 GiB \(at most 0 GiB"):
        archives.unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_refuses_an_entry_that_is_larger_than_it_says(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"train/cat/1.jpg": bytes(1_000_000)})
    raw_name(path, struct.pack("<L", 1_000_000), struct.pack("<L", 10))
    with pytest.raises(archives.ArchiveError, match="it is no whole zip file"):
        archives.unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "train" / "cat" / "1.jpg").stat().st_size <= 10


def test_more_than_the_disk_holds_is_the_disks_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 97, 3))
    with pytest.raises(OSError, match="No space left") as caught:
        archives.unpack(make_zip(tmp_path / "a.zip", SPLITS), tmp_path / "out")
    assert caught.value.errno == errno.ENOSPC and not isinstance(caught.value, archives.ArchiveError)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"it is empty \(0 bytes\)"),
        (b"<html>quota</html>", "it is no zip file; it looks like: web page$"),
        (b"Rar!\x1a\x07\x00 and more", "it is no zip file; it looks like: RAR archive$"),
        ("cut", r"it is no whole zip file \(0.0 MiB; File is not a zip file\); download it again$"),
        ("flipped", r"it is no whole zip file \(0.0 MiB; Bad CRC-32 for file 'train/cat/1.jpg'\)"),
    ],
    ids=["empty", "web page", "another archive", "cut off", "one bit flipped"],
)
def test_damage_is_said(tmp_path, content, sentence):
    path = make_zip(tmp_path / "a.zip", SPLITS, compression=zipfile.ZIP_STORED)
    if content == "cut":
        content = path.read_bytes()[:-40]
    elif content == "flipped":
        content = path.read_bytes().replace(b"picture", b"pictuse", 1)
    path.write_bytes(content)
    with pytest.raises(archives.ArchiveError, match=sentence):
        archives.unpack(path, tmp_path / "out")


def test_password(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"train/cat/1.jpg": b"x"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag "encrypted"
    path.write_bytes(data)
    with pytest.raises(archives.ArchiveError, match="it is protected by a password; make a zip without one"):
        archives.unpack(path, tmp_path / "out")


def test_a_compression_that_python_cannot_undo(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"train/cat/1.jpg": b"x"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + offset] = 9  # deflate64, as Windows packs large files
    path.write_bytes(data)
    with pytest.raises(archives.ArchiveError, match="it is no whole zip file .*compression"):
        archives.unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    "entries",
    [
        [("train/cat", b"file"), ("train/cat/1.jpg", b"x")],
        [("a" * 300, b"x")],
    ],
    ids=["file and folder", "long name"],
)
def test_names_that_no_folder_can_hold(tmp_path, entries):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    with pytest.raises(OSError):
        archives.unpack(path, tmp_path / "out")


@pytest.fixture(scope="module")
def good_zip(tmp_path_factory):
    return make_zip(tmp_path_factory.mktemp("zip") / "a.zip", SPLITS).read_bytes()


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_is_damaged_ends_well_or_in_an_archive_error(good_zip, tmp_path, changes):
    data = bytearray(good_zip)
    for place, value in changes:
        data[place % len(data)] = value
    work = Path(tempfile.mkdtemp(dir=tmp_path))
    (work / "deep").mkdir()
    (work / "a.zip").write_bytes(data)
    try:
        archives.unpack(work / "a.zip", work / "deep" / "out")
    except OSError as error:  # an ArchiveError, or what the disk says of an odd name
        assert isinstance(error, archives.ArchiveError) or error.errno in {*BAD_NAME, None}, repr(error)
    assert sorted(path.name for path in work.iterdir()) == ["a.zip", "deep"]
    assert {path.name for path in (work / "deep").iterdir()} <= {"out"}


@pytest.mark.parametrize(
    "top", ["", "bcdp_v1/", "some thing/", "outer/inner/"], ids=["flat", "own name", "any name", "two"]
)
def test_split_root_finds_train_and_test(tmp_path, top):
    archives.unpack(make_zip(tmp_path / "a.zip", below(top)), tmp_path / "out")
    assert archives.split_root(tmp_path / "out") == tmp_path / "out" / top


def test_split_root_of_several_takes_the_named_one(tmp_path):
    archives.unpack(make_zip(tmp_path / "a.zip", below("one/") | below("two/")), tmp_path / "out")
    assert archives.split_root(tmp_path / "out", name="two") == tmp_path / "out" / "two"
    with pytest.raises(archives.ArchiveError, match="it holds several data sets: one, two$"):
        archives.split_root(tmp_path / "out", name="three")


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (below("a/b/c/"), "no folder in it holds both train/ and test/; it contains a/b/c/test/, a/b/c/train/$"),
        ({"train/cat/1.jpg": b"", "val/cat/1.jpg": b"", "words.txt": b""}, "it contains train/, val/, words.txt$"),
        ({f"{n}.jpg": b"" for n in range(9)}, "it contains 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg and 3 more$"),
        ({"__MACOSX/a": b""}, "it contains nothing$"),
    ],
    ids=["too deep", "no test", "loose pictures", "nothing"],
)
def test_split_root_says_what_it_found_instead(tmp_path, entries, sentence):
    archives.unpack(make_zip(tmp_path / "a.zip", entries), tmp_path / "out")
    with pytest.raises(archives.ArchiveError, match=sentence):
        archives.split_root(tmp_path / "out")


def test_count_images(tmp_path):
    files = ["train/cat/1.jpg", "train/cat/2.PNG", "train/cat/._3.jpg", "train/cat/note.txt", "train/cat/more/4.jpeg",
             "train/.ipynb_checkpoints/1.jpg", "train/loose.jpg", "test/dog/1.webp", "val/cat/1.jpg"]  # fmt: skip
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "test" / "empty").mkdir()
    assert archives.count_images(tmp_path) == {"train": {"cat": 3}, "test": {"dog": 1, "empty": 0}}
    assert archives.count_images(tmp_path / "val") == {}


DRIVE_PARTS = [f"bcdp_v1-20261103T101010Z-1-00{number}.zip" for number in (1, 2, 3)]
COPIES = [
    ["bcdp_v1.zip", "BCDP_V1.ZIP", "bcdp_v1.zip.zip"],
    ["bcdp_v1 (1).zip", "bcdp_v1(12).zip", "bcdp_v1-1.zip", "bcdp_v1 2.zip"],
    ["bcdp_v1 copy.zip", "bcdp_v1 copy 2.zip", "bcdp_v1 (copy).zip", "bcdp_v1 - Copy.zip", "bcdp_v1 - Copy (2).zip"],
    ["Copy of bcdp_v1.zip", "Kopie von bcdp_v1.zip", "Copie de bcdp_v1.zip", "Co\u0301pia de bcdp_v1.zip"],
    ["bcdp_v1 Kopie.zip", "bcdp_v1 - Kopie (3).zip", "bcdp_v1-20251103T101010Z-001.zip"],
]
OTHERS = ["xbcdp_v1.zip", "bcdp_v1.zip.part", "bcdp_v10.zip", "old bcdp_v1.zip", "bcdp_v1_new.zip", "bcdp_v1.rar",
          "bcdp_v1-3.zip", "bcdfh_v1.zip", "notes.zip", "drive-download-20261103T101010Z-001.zip"]  # fmt: skip


def test_a_zip_is_found_under_every_name_that_a_copy_gets(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "bcdp_v1 5.zip").mkdir()  # what some file managers make of a zip
    single = [name for names in COPIES for name in names]
    for name in [*single, *OTHERS, *DRIVE_PARTS]:
        (here / name).touch()
    others = ("bcdp_v1", "bcdp_v1-3", "bcdfh_v1")  # data sets of these names are known
    found = archives.find_zips("bcdp_v1", here, list_it=True, others=others)
    assert found[0] == [here / min("bcdp_v1.zip", "BCDP_V1.ZIP")]
    assert sorted(found) == sorted([[here / name] for name in single] + [[here / part for part in DRIVE_PARTS]])
    similar = {path.name for path in archives.find_similar("bcdp_v1", here, others=others)}
    assert similar == {*OTHERS} - {"bcdp_v1-3.zip", "bcdfh_v1.zip", "notes.zip"}
    assert archives.find_zips("bcdp_v1", tmp_path / "nowhere", list_it=True) == []


def test_a_folder_that_must_not_be_listed_is_asked_for_four_names(tmp_path, monkeypatch):
    for name in ("Copy of bcdp_v1.zip", "bcdp_v1 2.zip"):
        (tmp_path / name).touch()
    monkeypatch.setattr(archives.os, "listdir", None)
    assert archives.find_zips("bcdp_v1", tmp_path, list_it=False) == [[tmp_path / "Copy of bcdp_v1.zip"]]


@pytest.mark.parametrize(
    ("label", "encoding"),
    [("K\u00e4fer", "utf-8"), ("K\u00e4fer", "cp850"), ("\u00c9t\u00e9", "cp1252"), ("\u0161koda", "cp1250"),
     ("\u043a\u043e\u0442", "cp1251"), ("\u043a\u043e\u0442", "cp866"), ("\u732b", "gbk"), ("\u8c93", "big5"),
     ("\u732b", "cp932"), ("\uace0\uc591\uc774", "cp949")],
)  # fmt: skip
def test_names_without_a_flag_are_read_as_the_classes_are_spelled(tmp_path, label, encoding):
    raw = label.encode(encoding)
    placeholder = b"Q" * len(raw)
    path = make_zip(tmp_path / "a.zip", {f"train/{placeholder.decode()}/1.jpg": b"x", "train/dog/1.jpg": b"x"})
    archives.unpack(raw_name(path, placeholder, raw), tmp_path / "out", classes=("dog", label))
    assert tree(tmp_path / "out") == {f"train/{label}/1.jpg": b"x", "train/dog/1.jpg": b"x"}


def test_accents_come_out_in_one_spelling(tmp_path):
    archives.unpack(make_zip(tmp_path / "a.zip", {"train/Ka\u0308fer/1.jpg": b"x"}), tmp_path / "out")
    assert tree(tmp_path / "out") == {"train/K\u00e4fer/1.jpg": b"x"}
    (tmp_path / "hand" / "train" / "Ka\u0308fer").mkdir(parents=True)
    assert archives.count_images(tmp_path / "hand") == {"train": {"K\u00e4fer": 0}}


def test_progress_is_quiet_for_a_small_zip(tmp_path, capsys):
    archives.unpack(make_zip(tmp_path / "a.zip", SPLITS), tmp_path / "out")
    assert capsys.readouterr() == ("", "")
