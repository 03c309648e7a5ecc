"""helpers.download against a server that misbehaves: what arrives is byte for byte the file, or a sentence says why."""

from __future__ import annotations

import errno
import hashlib
import inspect
import random
import socket
import ssl
import sys
import types
from pathlib import Path

import pytest

from helpers.datasets import download

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves it out
from http_server import LOGIN_PAGE, QUOTA_PAGE, drop, elsewhere, hang, lie, serve, status, well

BODY = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "BACKOFF", 0.001)
    monkeypatch.setattr(download, "TIMEOUT", 5.0)
    monkeypatch.setenv("no_proxy", "*")  # a proxy of the machine would not find this machine


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "file.zip"


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([well()], 1),
        ([well(length=False)], 1),
        ([drop(100_000), well()], 2),
        ([status(500), status(503), well()], 3),
        ([drop(100_000), status(429), drop(50_000), well()], 4),
        ([hang(), well()], 2),
        ([hang(after=200_000), well()], 2),
        ([elsewhere("/other"), well()], 2),
    ],
    ids=[
        "serves well", "tells no length", "drops", "recovers from 500 and 503", "three kinds of trouble",
        "says nothing at first", "falls silent midway", "redirects",
    ],
)  # fmt: skip
def test_the_file_arrives_whole(answers, requests, target, monkeypatch):
    if any("hang" in answer.__qualname__ for answer in answers):
        monkeypatch.setattr(download, "TIMEOUT", 1.0)
    with serve(BODY, *answers) as server:
        assert download.download(f"{server.url}/file.zip", target) == target
    assert target.read_bytes() == BODY
    assert names(target) == ["file.zip"]
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("answer", "requests", "sentence"),
    [
        (status(404), 1, r"the server answers 404 Not Found$"),
        (status(403), 1, r"the server answers 403 Forbidden$"),
        (status(401), 1, r"the server answers 401 Unauthorized$"),
        (status(400), 1, r"the server answers 400 Bad Request$"),
        (status(429), 4, r"the server answers 429 Too Many Requests \(tried 4 times\)$"),
        (status(500), 4, r"the server answers 500 Internal Server Error \(tried 4 times\)$"),
        (status(200, QUOTA_PAGE), 1, r"^a web page came in place of the file \(.*over its quota"),
        (status(200, LOGIN_PAGE), 1, "^a web page came in place of the file"),
        (status(200, b"<html>hello"), 1, "^a web page came in place of the file"),
        (lie(+1000), 4, r"the connection broke \(tried 4 times\)$"),
        (drop(1000), 4, r"the connection broke \(tried 4 times\)$"),
        (hang(), 4, r"no answer within 0.5 s \(tried 4 times\)$"),
        (hang(after=1000), 4, r"no answer within 0.5 s \(tried 4 times\)$"),
        (elsewhere("http://127.0.0.1:9/x"), 4, r"no connection \(Connection refused\) \(tried 4 times\)$"),
    ],
    ids=[
        "404", "403", "401", "400", "429", "500", "quota page", "login page", "web page",
        "length too long", "always drops", "hangs", "falls silent", "redirects to nowhere",
    ],
)  # fmt: skip
def test_a_sentence_says_why_nothing_arrived(answer, requests, sentence, target, monkeypatch):
    if "hang" in answer.__qualname__:
        monkeypatch.setattr(download, "TIMEOUT", 0.5)
    with serve(BODY, answer) as server, pytest.raises(download.DownloadError, match=sentence):
        download.download(server.url, target)
    assert names(target) == []
    assert len(server.requests) == requests


def test_a_name_that_no_server_has_is_not_asked_four_times(target, monkeypatch):
    calls = []

    def nobody(*args, **kwargs):
        calls.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(download.DownloadError, match=r"the server's name is not found \(is this machine online\?\)"):
        download.download("http://no-such-host.invalid/file.zip", target)
    assert len(calls) == 1


def test_a_certificate_that_cannot_be_verified_is_not_asked_four_times(target, monkeypatch):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    calls = []

    def refuses(self, *args, **kwargs):
        calls.append(args)
        raise error

    monkeypatch.setattr("urllib3.connection.HTTPSConnection.connect", refuses)
    with pytest.raises(download.DownloadError, match=r"certificate cannot be verified \(self-signed certificate\)$"):
        download.download("https://127.0.0.1:9/file.zip", target)
    assert len(calls) == 1


def test_sha256_is_asked_before_the_file_gets_its_name(target):
    with serve(BODY, well()) as server:
        with pytest.raises(download.DownloadError, match=f"the SHA-256 is {SHA256}, expected 0000"):
            download.download(server.url, target, sha256="00" * 32)
        assert names(target) == []
        download.download(server.url, target, sha256=SHA256.upper())
        download.download(server.url, target, sha256=SHA256[:8])
    assert download.sha256_of(target) == SHA256


def test_a_length_told_too_short_gives_a_short_file_that_the_check_sees(target):
    with serve(BODY, lie(-1000)) as server, pytest.raises(download.DownloadError, match="SHA-256"):
        download.download(server.url, target, sha256=SHA256)


def test_an_older_file_of_that_name_stays_until_the_new_one_is_whole(target):
    target.parent.mkdir()
    target.write_bytes(b"older")
    with serve(BODY, drop(1000)) as server, pytest.raises(download.DownloadError, match="the connection broke"):
        download.download(server.url, target)
    assert target.read_bytes() == b"older"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_not_blamed_on_the_network(target):
    target.parent.mkdir()
    target.with_name("file.zip.partial").symlink_to("/dev/full")
    with serve(BODY, well()) as server, pytest.raises(OSError, match="No space left") as caught:
        download.download(server.url, target)
    assert not isinstance(caught.value, download.DownloadError) and len(server.requests) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y.zip", "bcdp_v1.zip", ""], ids=str)
def test_only_web_addresses(url, target):
    with pytest.raises(ValueError, match="is no web address; it should start with https://"):
        download.download(url, target)


def test_progress_is_shown_for_what_comes_only(target, capsys):
    with serve(BODY, status(404), well()) as server:
        with pytest.raises(download.DownloadError):
            download.download(server.url, target)
        assert capsys.readouterr().err == ""
        download.download(server.url, target)
    assert "100%" in capsys.readouterr().err


class FileURLRetrievalError(Exception):
    """gdown's class is no OSError either."""


def gives_none(output):
    return None


def gives_quota_page(output):
    Path(output).write_bytes(QUOTA_PAGE)
    return output


def says_quota(output):
    raise FileURLRetrievalError("Failed to retrieve file url:\n\n\tToo many users have\n\tviewed or downloaded it")


def says_permission(output):
    raise FileURLRetrievalError("You may need to change the permission to\n'Anyone with the link'")


def trips(output):
    raise KeyError("Content-Disposition")


def cannot_connect(output):
    raise ConnectionError("HTTPSConnectionPool(host='drive.google.com', port=443): Max retries exceeded")


def fills_the_disk(output):
    Path(output).write_bytes(BODY)
    raise OSError(errno.ENOSPC, "No space left on device")


def fake_gdown(monkeypatch, behaviour):
    def get(*, id, output, quiet):
        assert id == "ID"
        return behaviour(output)

    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=get))


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (gives_none, "Google Drive gave no file"),
        (gives_quota_page, "a web page came in place of the file"),
        (says_quota, r"Google Drive gave no file \(.*Too many users have viewed or downloaded it"),
        (says_permission, r"Google Drive gave no file \(.*change the permission to 'Anyone with the link'"),
        (trips, r"Google Drive gave no file \(KeyError: 'Content-Disposition'\)"),
        (cannot_connect, r"Google Drive gave no file \(ConnectionError: HTTPSConnectionPool"),
    ],
    ids=["None", "quota page", "quota", "permission", "tripped over a changed page", "no connection"],
)
def test_what_drive_refuses_is_a_sentence(behaviour, sentence, target, monkeypatch):
    fake_gdown(monkeypatch, behaviour)
    with pytest.raises(download.DownloadError, match=sentence):
        download.download("https://drive.google.com/uc?id=ID", target)
    assert names(target) == []


def test_a_file_from_drive(target, monkeypatch):
    fake_gdown(monkeypatch, lambda output: Path(output).write_bytes(BODY) and output)
    assert download.download("https://drive.google.com/uc?id=ID", target, sha256=SHA256) == target
    assert target.read_bytes() == BODY and names(target) == ["file.zip"]


def test_a_full_disk_is_not_blamed_on_drive(target, monkeypatch):
    fake_gdown(monkeypatch, fills_the_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        download.download("https://drive.google.com/uc?id=ID", target)
    assert not isinstance(caught.value, download.DownloadError) and not target.exists()


def test_without_gdown(target, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(download.DownloadError, match=r"gdown package is not installed \(pip install gdown\)"):
        download.download("https://drive.google.com/uc?id=ID", target)


def test_the_installed_gdown_takes_these_arguments():
    gdown = pytest.importorskip("gdown")
    inspect.signature(gdown.download).bind(id="ID", output="file.zip", quiet=False)
