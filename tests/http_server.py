"""A web server on this machine that misbehaves on purpose, for the tests of downloading.

``serve(body, well())`` answers well for ever; ``serve(body, drop(1000), status(500), well())`` breaks the first
connection after 1000 bytes, answers the second with 500, and all further ones well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]

QUOTA_PAGE = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>"""
VIRUS_PAGE = b"<html><head><title>Google Drive - Virus scan warning</title></head><body>...</body></html>"
LOGIN_PAGE = b"\n<!doctype HTML><html><body><form>User <input> Password <input type=password></form></body></html>"


@dataclasses.dataclass
class Server:
    """A running server; ``requests`` lists (path, Range header or "") in the order of arrival."""

    url: str
    requests: list[tuple[str, str]]
    body: bytes
    closing: threading.Event

    @property
    def ranges(self) -> list[str]:
        return [asked for _, asked in self.requests]


@contextlib.contextmanager
def serve(body: bytes, *answers: Answer) -> Iterator[Server]:
    """Run a server on a free port of 127.0.0.1; the last of ``answers`` is given for ever."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers.get("Range", "")))
            self.closing = server.closing
            self.close_connection = True
            with contextlib.suppress(ConnectionError):
                answers[min(len(server.requests), len(answers)) - 1](self, server.body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_address[1]}", [], body, threading.Event())
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            http.shutdown()
            thread.join()


def well(*, ranges: bool = True, etag: str = '"v1"', modified: str = "", length: bool = True) -> Answer:
    """The file, or the asked rest of it where ``ranges`` is on and If-Range names this version."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.wfile.write(_head(handler, body, ranges, etag, modified, length=length))

    return answer


def drop(after: int, *, ranges: bool = True, etag: str = '"v1"', modified: str = "") -> Answer:
    """As ``well``, but the connection breaks after so many bytes."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.wfile.write(_head(handler, body, ranges, etag, modified)[:after])

    return answer


def lie(by: int, *, ranges: bool = True) -> Answer:
    """As ``well``, but Content-Length is wrong by so many bytes."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.wfile.write(_head(handler, body, ranges, '"v1"', "", lie_by=by))

    return answer


def status(code: int, page: bytes = b"<html>sorry</html>") -> Answer:
    """Nothing but a status and a page."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(page)))
        handler.end_headers()
        handler.wfile.write(page)

    return answer


def hang(after: int | None = None) -> Answer:
    """Say nothing at all, or nothing more after so many bytes, until the server is closed."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if after is not None:
            handler.wfile.write(_head(handler, body, True, '"v1"', "")[:after])
        handler.closing.wait(10)

    return answer


def elsewhere(url: str) -> Answer:
    """Send the client to another address."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def _head(
    handler: BaseHTTPRequestHandler,
    body: bytes,
    ranges: bool,
    etag: str,
    modified: str,
    *,
    lie_by: int = 0,
    length: bool = True,
) -> bytes:
    """Send the headers and return the bytes to send after them (RFC 9110, sections 13.1.5 and 14)."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    same = handler.headers.get("If-Range", etag or modified) in (etag, modified)
    start = int(asked[1]) if ranges and asked and same else 0
    if start and start >= len(body):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(body)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return b""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    for name, value in (("ETag", etag), ("Last-Modified", modified)):
        if value:
            handler.send_header(name, value)
    if length:
        handler.send_header("Content-Length", str(len(body) - start + lie_by))
    handler.end_headers()
    return body[start:]
