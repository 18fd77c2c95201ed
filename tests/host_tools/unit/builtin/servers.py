"""A small real web server on this machine."""

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from tests.serving import served

__all__ = ["Site", "dripping", "site"]

Answer = tuple[int, dict[str, str], bytes]


class Site:
    """A running server: its address, and the requests it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, Callable[[], Answer]] = {}

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, body: bytes | str, kind: str = "text/html", status: int = 200, **headers: str) -> str:
        data = body.encode() if isinstance(body, str) else body
        given = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = lambda: (status, given, data)
        return self.url(path)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        return self.serve(path, b"", status=status, Location=to)

    def bomb(self, path: str, size: int) -> str:
        return self.serve(path, gzip.compress(b" " * size), "text/plain", Content_Encoding="gzip")


class _Handler(BaseHTTPRequestHandler):
    site: ClassVar[Site]
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.site.requests.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/slow":
            self._trickle()
            return
        found = self.site.answers.get(self.path, lambda: (404, {}, b"nothing here"))
        status, headers, data = found()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _handle

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def site() -> Generator[Site, None, None]:
    """Run a server until the block ends."""

    class Handler(_Handler):
        pass

    with served(Handler) as port:
        Handler.site = running = Site(port)
        yield running


@contextmanager
def dripping(start: bytes, drop: bytes) -> Generator[int, None, None]:
    """Run a server that answers with a beginning and then a byte every 50 ms, for as long as it is listened to."""
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(start)
            while not ended.wait(0.05):
                connection.sendall(drop)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join()
