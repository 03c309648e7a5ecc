"""One file over the network: pooch brings it, again where that may help; it gets its name when it is whole and checked.

Every failure of the network or the server becomes one sentence, the text of a ``DownloadError``.
"""

from __future__ import annotations

import errno
import hashlib
import re
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import machine, pictures

if TYPE_CHECKING:
    import requests

TIMEOUT = 20.0  # s without a single byte
ATTEMPTS = 4
BACKOFF = 1.0  # s before the second attempt, doubled before each further one
CHUNK = 1 << 16  # bytes

_PASSING = {408, 429, 500, 502, 503, 504}  # a later attempt may do better


class DownloadError(OSError):
    """The network or the server did not deliver; the text says how, without the address."""


def download(url: str, target: str | Path, *, sha256: str | None = None) -> Path:
    """Bring the data file at ``url`` to ``target``, in at most four attempts; from Google Drive with the gdown package.

    ``sha256`` (hex, or its beginning) is compared before the file gets its name; a file that fails is removed. Web
    pages are never accepted: that is what Drive's quota and login pages are. Two calls for one target at the same time
    need a lock outside.

    Raises ``DownloadError`` for the network, the server and what Google refuses, plain ``OSError`` for the disk,
    ValueError for another kind of address.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no web address; it should start with https:// (or http://).")
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with machine.replacing(target) as path:
        if file_id := drive_id(url):
            _from_drive(file_id, path)
        else:
            _from_web(url, path)
        if pictures.kind_of_file(path) == "web page":
            raise DownloadError("a web page came in place of the file (Google Drive's say: log in, or over its quota)")
        if sha256 and not (got := sha256_of(path)).startswith(sha256.lower()):
            raise DownloadError(f"the SHA-256 is {got}, expected {sha256.lower()}: another file, or damaged on the way")
    return target


def drive_id(url: str) -> str | None:
    """The ID in a link to a file on Google Drive (``.../d/ID/view``, ``...?id=ID``); None for any other address."""
    found = re.match(r"https://(?:drive|docs)\.google\.com/.*(?:/d/|[?&]id=)([\w-]+)", url)
    return found and found[1]


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, 64 hex digits: what ``sha256sum FILE`` prints."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_web(url: str, path: Path) -> None:
    import pooch  # both here: they take long to import, and most sessions download nothing
    import requests

    answers: list[requests.Response] = []
    transfer = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=CHUNK,
        timeout=TIMEOUT,
        headers={"User-Agent": "Mozilla/5.0 (cnn-course-kit)", "Accept-Encoding": "identity"},
        hooks={"response": lambda answer, **_: answers.append(answer)},
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return transfer(url, str(path), None)
        except requests.RequestException as error:
            sentence, passing = _explained(error)
            if not passing:
                raise DownloadError(sentence) from error
            if attempt == ATTEMPTS:
                raise DownloadError(f"{sentence} (tried {ATTEMPTS} times)") from error
        finally:
            while answers:
                answers.pop().close()  # pooch does not
        time.sleep(BACKOFF * 2 ** (attempt - 1))


def _explained(error: requests.RequestException) -> tuple[str, bool]:
    """What went wrong, and may a later attempt do better?"""
    if error.response is not None:
        status = error.response.status_code
        return f"the server answers {status} {error.response.reason}", status in _PASSING
    cause: BaseException = error
    while below := cause.__cause__ or cause.__context__:  # what the system said lies below requests and urllib3
        cause = below
        if isinstance(cause, socket.gaierror):
            return "the server's name is not found (is this machine online?)", False
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate cannot be verified ({cause.verify_message})", False
        if isinstance(cause, TimeoutError):
            return f"no answer within {TIMEOUT:g} s", True
        if isinstance(cause, ConnectionError):
            return f"no connection ({cause.strerror or cause})", True
    return "the connection broke", True


def _from_drive(file_id: str, path: Path) -> None:
    try:
        import gdown
    except ImportError as error:
        raise DownloadError("the gdown package is not installed (pip install gdown)") from error
    try:
        # Only these three arguments exist in gdown 5 and 6 alike.
        got = gdown.download(id=file_id, output=str(path), quiet=False)
    except Exception as error:  # gdown reads Google's pages: what they change can come out as any exception
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        said = " ".join(str(error).split())[:200]  # such as "You may need to change the permission ..."
        raise DownloadError(f"Google Drive gave no file ({type(error).__name__}: {said})") from error
    if got is None or not path.is_file():
        raise DownloadError("Google Drive gave no file (not shared with 'Anyone with the link', or over its quota)")
