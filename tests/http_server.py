"""A web server on this machine that misbehaves on purpose, for the tests of downloading.

``serve(body, well())`` answers well for ever; ``serve(body, drop(1000), status(500), well())`` breaks the first
connection after 1000 bytes, answers the second with 500, and all further ones well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]

QUOTA_PAGE = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>"""
LOGIN_PAGE = b"\n<!doctype HTML><html><body><form>User <input> Password <input type=password></form></body></html>"


@dataclasses.dataclass
class Server:
    """A running server; ``requests`` lists the paths in the order of arrival."""

    url: str
    requests: list[str]
    body: bytes
    closing: threading.Event


@contextlib.contextmanager
def serve(body: bytes, *answers: Answer) -> Iterator[Server]:
    """Run a server on a free port of 127.0.0.1; the last of ``answers`` is given for ever."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append(self.path)
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


def well(*, length: bool = True) -> Answer:
    """The file."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        _head(handler, len(body) if length else None)
        handler.wfile.write(body)

    return answer


def drop(after: int) -> Answer:
    """As ``well``, but the connection breaks after so many bytes."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        _head(handler, len(body))
        handler.wfile.write(body[:after])

    return answer


def lie(by: int) -> Answer:
    """As ``well``, but Content-Length is wrong by so many bytes."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        _head(handler, len(body) + by)
        handler.wfile.write(body)

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
            _head(handler, len(body))
            handler.wfile.write(body[:after])
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


def _head(handler: BaseHTTPRequestHandler, length: int | None) -> None:
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
