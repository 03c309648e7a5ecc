"""One file over the network: it goes on where it broke off, shows progress, and gets its name only when it is whole.

While it comes, it lies beside the goal as ``NAME.part``. ``NAME.part.json`` remembers the address and the version
(ETag or Last-Modified) of those bytes, so that pieces of two different files are never glued together.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT = 20.0  # s without a single byte
ATTEMPTS = 4  # connections in a row that won less than GAIN together
GAIN = 1 << 18  # bytes
BACKOFF = 1.0  # s before the second attempt, doubled before each further one
CHUNK = 1 << 16  # bytes

Check = Callable[[Path], None]  # raises an OSError whose text says why the file is not the wanted one

_REFUSALS = {
    401: "the server asks for a login",
    403: "the server refuses to give the file",
    404: "the server has no such file",
    410: "the server has this file no more",
    429: "the server is asked too often",
}
_PASSING = {408, 429, 500, 502, 503, 504}  # a later attempt may do better


class DownloadError(OSError):
    """The network or the server did not deliver; the text says how, without the address."""


class _Broken(Exception):
    """This connection failed; the next one may do better."""


def download(url: str, target: str | Path, *, sha256: str | None = None, check: Check | None = None) -> Path:
    """Bring the data file at ``url`` (http or https) to ``target``, going on with an earlier part of it.

    Four connections in a row that get nowhere end it; the part stays for the next call. ``sha256`` (hex) and
    ``check`` are asked before the file gets its name; a file that fails is removed. Web pages are never accepted:
    that is what Drive's quota and login pages are. Two calls for one target at the same time need a lock outside.

    Raises ``DownloadError`` for the network and the server, plain ``OSError`` for the disk, ValueError for another
    kind of address.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no web address; it should start with https:// (or http://).")
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _bring(url, part)
    _accept(part, sha256=sha256, check=check)
    os.replace(part, target)
    _note(part).unlink(missing_ok=True)
    return target


def download_from_drive(
    drive_id: str, target: str | Path, *, sha256: str | None = None, check: Check | None = None
) -> Path:
    """Bring a file shared on Google Drive ("Anyone with the link") to ``target`` with the gdown package.

    No resuming. Raises ``DownloadError`` when Google refuses (quota, permission) or gdown is not installed.
    """
    try:
        import gdown
    except ImportError as error:
        raise DownloadError("the gdown package is not installed (pip install gdown)") from error
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".drive")
    part.unlink(missing_ok=True)
    try:
        # Only these three arguments exist in gdown 5 and 6 alike.
        got = gdown.download(id=drive_id, output=str(part), quiet=False)
    except Exception as error:  # gdown reads Google's pages: what they change can come out as any exception
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise DownloadError(_drive_reason(error)) from error
    if got is None or not part.is_file():
        raise DownloadError("Google Drive gave no file (not shared with 'Anyone with the link', or over its quota)")
    _accept(part, sha256=sha256, check=check)
    os.replace(part, target)
    return target


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, 64 hex digits: what ``sha256sum FILE`` prints."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bring(url: str, part: Path) -> None:
    """Connect until ``part`` is whole; the attempts start anew whenever ``GAIN`` bytes have been won."""
    failures, farthest, reason = 0, _size(part), ""
    while failures < ATTEMPTS:
        if failures:
            time.sleep(BACKOFF * 2 ** (failures - 1))
        try:
            return _connect(url, part)
        except _Broken as broken:
            reason = str(broken)
        failures += 1
        if _size(part) >= farthest + GAIN:
            failures, farthest = 1, _size(part)
    raise DownloadError(f"{reason} (tried {ATTEMPTS} times)")


def _connect(url: str, part: Path) -> None:
    """One connection: the rest of the file, or all of it. Raises ``_Broken`` when it ends too early."""
    have, version = _resumable(url, part)
    headers = {"User-Agent": "Mozilla/5.0 (cnn-course-kit)", "Accept-Encoding": "identity"}
    if have:  # If-Range: a server whose file has changed sends all of the new one
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and _whole_already(error, part):
                return
            raise _refusal(error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise _no_connection(error) from error
    with response:
        start = _start(response, part, have, version)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        with _progress_bar(part.stem, total, start) as bar:
            _receive(response, part, start, url, bar)
    if total is not None and _size(part) < total:
        raise _Broken(f"the connection broke after {_mib(_size(part))} of {_mib(total)} MiB")


def _receive(response: http.client.HTTPResponse, part: Path, start: int, url: str, bar: Any) -> None:
    with part.open("ab" if start else "wb") as file:
        if not start:  # after the old bytes are gone, before the first new one: the note never describes others
            note = {"url": url, "version": _version(response)}
            _note(part).write_text(json.dumps(note), encoding="utf-8")
        while chunk := _read(response):
            file.write(chunk)
            bar.update(len(chunk))


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)
    except TimeoutError as error:
        raise _Broken(f"the server sent nothing for {TIMEOUT:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke ({_text(error)})") from error


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """How many bytes of ``part`` can be kept, and their version; 0 unless both address and version are known."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        version = note["version"] if note["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    return (_size(part), version) if version else (0, "")


def _start(response: http.client.HTTPResponse, part: Path, have: int, version: str) -> int:
    """The place in the file where this answer begins: 0 for a whole file, ``have`` for the asked rest."""
    if response.status != 206:
        return 0
    told = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not have or not told or int(told[1]) != have or _version(response) not in ("", version):
        part.unlink(missing_ok=True)
        raise _Broken("the server continued another file than the one begun")
    return have


def _whole_already(error: urllib.error.HTTPError, part: Path) -> bool:
    """True when the server says that the file ends exactly where the part ends; another part is dropped."""
    if error.headers.get("Content-Range", "") == f"bytes */{_size(part)}":
        return True
    part.unlink(missing_ok=True)
    raise _Broken("the file on the server is shorter than the part that was here") from error


def _version(response: http.client.HTTPResponse) -> str:
    """What If-Range may carry: a strong ETag, else Last-Modified, else nothing."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _refusal(status: int) -> Exception:
    reason = f"{_REFUSALS.get(status, 'the server has a fault' if status >= 500 else 'the server refuses')} ({status})"
    return _Broken(reason) if status in _PASSING else DownloadError(reason)


def _no_connection(error: Exception) -> Exception:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return DownloadError("the server's name is not found (is this machine online?)")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DownloadError(f"the server's certificate cannot be verified ({cause.verify_message})")
    if isinstance(cause, TimeoutError):
        return _Broken(f"no answer within {TIMEOUT:g} s")
    return _Broken(f"no connection ({_text(cause)})")


def _accept(part: Path, *, sha256: str | None, check: Check | None) -> None:
    """Remove ``part`` and raise when it is not the wanted file."""
    try:
        if page := _web_page(part):
            raise DownloadError(page)
        if sha256 and (got := sha256_of(part)) != sha256.lower():
            raise DownloadError(f"the SHA-256 is {got}, expected {sha256.lower()}: another file, or damaged on the way")
        if check:
            check(part)
    except OSError:
        part.unlink(missing_ok=True)
        _note(part).unlink(missing_ok=True)
        raise


def _web_page(path: Path) -> str:
    """Says which web page came in place of a data file; empty when it is none."""
    with path.open("rb") as file:
        text = file.read(CHUNK).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not text.startswith((b"<!doctype html", b"<html", b"<head")):
        return ""
    if b"quota" in text or b"too many users" in text:
        return "Google Drive's quota page came in place of the file: too many people fetched it in the last 24 hours"
    if b"virus" in text:
        return "Google Drive's virus-scan page came in place of the file"
    if b"password" in text or b"sign in" in text or b"log in" in text:
        return "a login page came in place of the file"
    return "a web page came in place of the file"


def _drive_reason(error: Exception) -> str:
    text = " ".join(_text(error).split())
    if "too many" in text.lower() or "quota" in text.lower():
        return "Google Drive refuses: too many people fetched this file in the last 24 hours (quota)"
    if "permission" in text.lower():
        return "Google Drive refuses: not shared with 'Anyone with the link', or over its quota"
    if isinstance(error, OSError):
        return f"Google Drive cannot be reached ({type(error).__name__})"
    return f"gdown failed ({type(error).__name__}: {text[:100]})"


def _progress_bar(label: str, total: int | None, start: int) -> Any:
    from tqdm.auto import tqdm  # here: in a notebook it loads ipywidgets

    return tqdm(desc=label, total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"


def _text(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
