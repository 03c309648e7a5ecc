"""helpers.drive against a Colab that fails in the ways in which Colab really fails."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from helpers import drive, machine

_spec = importlib.util.spec_from_file_location("fake_colab", Path(__file__).with_name("fake_colab.py"))
fake_colab = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_colab)


@pytest.fixture
def colab(monkeypatch, tmp_path):
    return fake_colab.install(monkeypatch, tmp_path)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


# ---- outside Colab -----------------------------------------------------------------------------------------------


def test_outside_colab_a_local_folder_stands_in():
    assert not machine.in_colab() and not drive.is_mounted()
    assert drive.mount() == machine.home() / "drive" / "MyDrive" == drive.my_drive()
    assert drive.is_mounted() and drive.my_drive().is_dir()
    assert drive.folder() == drive.my_drive() / machine.KIT_NAME and drive.folder().is_dir()
    (drive.folder("lab") / "answers.json").write_text("{}")
    assert drive.mount() == drive.my_drive() and (drive.folder("lab") / "answers.json").read_text() == "{}"


def test_stand_in_that_cannot_be_made_is_a_sentence():
    (machine.home() / "drive").write_text("in the way")
    with pytest.raises(drive.DriveError, match="The disk of .*MyDrive cannot be used"):
        drive.mount()


# ---- mounting ----------------------------------------------------------------------------------------------------


def test_mount_passes_its_arguments_on_and_returns_my_drive(colab, capsys):
    assert machine.in_colab()
    assert drive.mount(readonly=True, timeout_ms=5000) == colab.my_drive
    assert colab.calls == [{"force_remount": False, "timeout_ms": 5000, "readonly": True}]
    assert drive.is_mounted() and capsys.readouterr().out == f"Mounted at {colab.mountpoint}\n"


def test_the_defaults_are_colabs_own(colab):
    drive.mount()
    assert colab.calls == [{"force_remount": False, "timeout_ms": 120000, "readonly": False}]


def test_a_mounted_drive_is_not_mounted_again(colab):
    colab.connect()
    assert drive.mount() == colab.my_drive and colab.calls == []


def test_a_drive_counts_as_mounted_only_when_my_drive_can_be_reached(colab, monkeypatch):
    """Each half alone is no Drive: a folder of its name, or a mountpoint that shows nothing."""
    colab.my_drive.mkdir(parents=True)
    assert not drive.is_mounted()
    (colab.mountpoint / "My Drive").mkdir()
    assert drive.is_mounted()
    colab.my_drive.rmdir()
    assert not drive.is_mounted()
    (colab.mountpoint / "My Drive").rmdir()
    colab.my_drive.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == colab.mountpoint)
    assert drive.is_mounted()
    colab.go_stale()
    assert not drive.is_mounted()


def test_the_mountpoint_follows_from_the_one_path_in_runtime():
    assert drive.MOUNTPOINT / machine.DRIVE_FOLDER.name == machine.DRIVE_FOLDER


class TIMEOUT(Exception):
    """pexpect raises this when the Drive process says nothing."""


MOUNT_FAILURES = {
    "consent refused": (
        fake_colab.MessageError("Error: credential propagation was unsuccessful"),
        "permission was not given, the pop-up window was blocked, or another Google account.*tick every box",
    ),
    "invalid code": (ValueError("mount failed: invalid oauth code"), "permission was not given"),
    "time-out": (ValueError("mount failed"), "did not answer in time.*too many files.*second try is often faster"),
    "root folder too full": (
        ValueError(
            "mount failed: timeout during initial read of root folder; for more info: "
            "https://research.google.com/colaboratory/faq.html#drive-timeout"
        ),
        "too many files and folders at the top level: move them into sub-folders at drive.google.com",
    ),
    "pexpect time-out": (TIMEOUT("Timeout exceeded."), "did not answer in time"),
    "school account": (
        ValueError("The domain policy has disabled Drive File Stream: https://support.google.com/a/answer/7496409"),
        r"cannot be used \(ValueError: The domain policy has disabled Drive",
    ),
    "no Drive here": (
        NotImplementedError("google.colab.drive is unsupported in this environment."),
        "no Colab page that could ask.*press Mount Drive in the Files panel.*KIT_PERSIST",
    ),
    "started with !python": (
        AttributeError("'NoneType' object has no attribute 'kernel'"),
        r"Run drive\.mount\(\) in a notebook cell \(not in a script started with !python\)",
    ),
    "container that is not Colab's": (KeyError("TBE_EPHEM_CREDS_ADDR"), "no Colab page"),
    "anything else": (ValueError("something new"), r"cannot be used \(ValueError: something new\).*delete runtime"),
}


@pytest.mark.parametrize("name", MOUNT_FAILURES)
def test_every_failure_of_mount_is_a_sentence(colab, name):
    error, sentence = MOUNT_FAILURES[name]
    colab.fails = [error]
    with pytest.raises(drive.DriveError, match=sentence) as caught:
        drive.mount()
    assert caught.value.__cause__ is error and "\n" not in str(caught.value) and len(colab.calls) == 1
    colab.fails = []
    assert drive.mount() == colab.my_drive  # the cell can be run again


def test_interrupting_is_not_swallowed(colab):
    colab.fails = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        drive.mount()


def test_files_at_the_mountpoint_are_named_and_kept(colab):
    kept = colab.my_drive / "results" / "model.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"weights")
    before = contents(colab.mountpoint)
    assert not drive.is_mounted()  # a folder of that name is not a Drive
    sentence = "already holds files that are not on your Drive.*Nothing was deleted.*Files panel.*Restart session"
    with pytest.raises(drive.DriveError, match=sentence) as caught:
        drive.mount()
    assert str(colab.mountpoint) in str(caught.value)
    assert contents(colab.mountpoint) == before


def test_a_mount_that_ends_well_but_shows_no_drive_is_an_error(colab, monkeypatch):
    monkeypatch.setattr(colab, "connect", lambda: None)
    with pytest.raises(drive.DriveError, match="connection to Google Drive is lost"):
        drive.mount()


# ---- where what must last is kept --------------------------------------------------------------------------------


@pytest.fixture
def kept_on_drive(colab, monkeypatch):
    monkeypatch.delenv("KIT_PERSIST", raising=False)
    return colab


def test_what_must_last_lies_on_the_mounted_drive(kept_on_drive):
    assert drive.persist() == machine.home() / "persist"
    drive.mount()
    assert drive.persist() == kept_on_drive.my_drive / machine.KIT_NAME and drive.persist().is_dir()


def test_a_plain_folder_in_the_place_of_the_drive_keeps_nothing(kept_on_drive):
    kept_on_drive.my_drive.mkdir(parents=True)
    assert drive.persist() == machine.home() / "persist" and contents(kept_on_drive.my_drive) == {}


def test_a_lost_connection_is_said_and_nothing_is_saved_elsewhere(kept_on_drive):
    drive.mount()
    kept_on_drive.go_stale()
    with pytest.raises(drive.DriveError, match="connection to Google Drive is lost.*Run the first cell again"):
        drive.persist()
    assert not (machine.home() / "persist").exists()


def test_two_uploads_of_one_name_are_two_files(colab):
    paths = []
    for content in (b"first", b"second"):
        colab.uploads = {"my cat.jpg": content}
        paths.append(drive.upload())
    assert [path.read_bytes() for path in paths] == [b"first", b"second"]
    assert {path.name for path in paths} == {"my cat.jpg"} and all(machine.home() in path.parents for path in paths)


def test_upload_without_a_file_or_outside_colab_says_what_to_do(colab, monkeypatch):
    with pytest.raises(drive.DriveError, match="No file was chosen. Run the cell again"):
        drive.upload()
    monkeypatch.setattr(machine, "in_colab", lambda: False)
    with pytest.raises(drive.DriveError, match="write the path of the file instead"):
        drive.upload()


# ---- a stale connection ------------------------------------------------------------------------------------------


def test_a_stale_connection_is_remounted_once(colab, capsys):
    colab.mountpoint.mkdir()
    colab.go_stale()
    assert not drive.is_mounted()
    assert drive.mount() == colab.my_drive
    assert [call["force_remount"] for call in colab.calls] == [True]


def test_a_stale_connection_that_shows_only_while_mounting_is_remounted_once(colab):
    colab.fails = [OSError(errno.ENOTCONN, "Transport endpoint is not connected")]
    assert drive.mount() == colab.my_drive
    assert [call["force_remount"] for call in colab.calls] == [False, True]


def test_a_connection_that_stays_stale_ends_in_a_sentence(colab):
    colab.mountpoint.mkdir()
    colab.go_stale()
    colab.can_reconnect = False
    sentence = "connection to Google Drive is lost.*Files already on the Drive are safe.*Restart session.*flush_and_unm"
    with pytest.raises(drive.DriveError, match=sentence):
        drive.mount()
    assert len(colab.calls) == 1
    with pytest.raises(drive.DriveError, match=r"not mounted. Run drive\.mount\(\) first"):
        drive.folder()


@pytest.mark.parametrize("use", [drive.free_bytes, drive.check_writable], ids=["free_bytes", "check_writable"])
def test_a_connection_lost_later_is_a_sentence(colab, use):
    drive.mount()
    folder = drive.folder()
    colab.go_stale()
    with pytest.raises(drive.DriveError, match="connection to Google Drive is lost|not mounted"):
        use(folder)


# ---- folders -----------------------------------------------------------------------------------------------------


def test_folder_on_colab(colab):
    drive.mount()
    assert drive.folder() == colab.my_drive / machine.KIT_NAME and drive.folder().is_dir()
    assert drive.folder("a/b") == colab.my_drive / "a" / "b"


@pytest.mark.parametrize("name", ["", "/etc", "../x", "a/../../x"], ids=["empty", "absolute", "up", "up inside"])
def test_folder_refuses_what_lies_elsewhere(name):
    drive.mount()
    with pytest.raises(ValueError, match="is not a name in My Drive. Give one such as 'cnn-course-kit'"):
        drive.folder(name)


def test_folder_without_a_drive(colab):
    with pytest.raises(drive.DriveError, match=r"Google Drive is not mounted. Run drive\.mount\(\) first"):
        drive.folder()
    assert not colab.mountpoint.exists()  # nothing is made that a later mount would stumble over


def test_a_file_where_the_folder_should_be(colab):
    drive.mount()
    (colab.my_drive / "lab").write_text("mine")
    with pytest.raises(drive.DriveError, match="Your Google Drive cannot be used .*File exists"):
        drive.folder("lab")
    assert (colab.my_drive / "lab").read_text() == "mine"


# ---- full, read-only, gone ---------------------------------------------------------------------------------------

ERRNOS = {
    errno.ENOSPC: "Google Drive is full. Delete something at drive.google.com and empty the bin there.*KIT_PERSIST",
    errno.EDQUOT: "Google Drive is full.*what lies in the bin counts too",
    errno.ENOTCONN: "connection to Google Drive is lost",
    errno.EIO: r"Google Drive did not answer \(input/output error\).*Wait a minute",
    errno.EROFS: r"Google Drive can only be read.*readonly=True.*mount\(\) again without it",
    errno.EACCES: "Google Drive does not let you write.*shared with you for viewing, choose a folder of your own",
}


@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
def test_writing_fails_with_a_sentence(colab, monkeypatch, number):
    drive.mount()
    before = contents(colab.mountpoint)

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)  # Drive tells only when the bytes are to leave
    with pytest.raises(drive.DriveError, match=ERRNOS[number]) as caught:
        drive.check_writable(colab.my_drive)
    assert drive.explain(caught.value) == str(caught.value)
    assert contents(colab.mountpoint) == before


def test_a_full_local_disk_is_not_called_drive(monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(drive.DriveError, match=f"The disk of {tmp_path} is full. Delete what you no longer need"):
        drive.check_writable(tmp_path)


def test_a_writable_folder_passes_and_stays_as_it_was(colab):
    drive.mount()
    (colab.my_drive / "mine.txt").write_text("mine")
    before = contents(colab.mountpoint)
    drive.check_writable(colab.my_drive)
    drive.check_writable(colab.my_drive / "not" / "made" / "yet")
    assert contents(colab.mountpoint) == before


def test_a_read_only_folder(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write anywhere (root)")
    with pytest.raises(drive.DriveError, match="does not let you write"):
        drive.check_writable(locked)


def test_writing_below_an_unmounted_drive_is_refused(colab):
    with pytest.raises(drive.DriveError, match="lies on Google Drive, which is not mounted"):
        drive.check_writable(colab.my_drive / "results")


def test_free_bytes_of_a_folder_not_made_yet(colab, monkeypatch):
    usage = namedtuple("usage", "total used free")
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage(10 << 30, 0, 20 << 20))
    drive.mount()
    assert drive.free_bytes(colab.my_drive / "not" / "yet") == 20 << 20 and asked == [colab.my_drive]


def test_explain_takes_the_path_from_the_error(colab, tmp_path):
    on_drive = OSError(errno.ENOSPC, "No space left on device", str(colab.my_drive / "a.pt"))
    elsewhere = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a.pt"))
    assert drive.explain(on_drive).startswith("Your Google Drive is full.")
    assert drive.explain(elsewhere).startswith(f"The disk of {tmp_path / 'a.pt'} is full.")
