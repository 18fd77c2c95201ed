"""A small Gradio app on this machine, speaking what gradio_client expects, which can be told to misbehave."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.serving import served

__all__ = ["FILE", "TEXT", "SpaceServer", "space_server"]

TEXT = {"type": "string"}
FILE = {"type": "object", "properties": {"path": {}, "url": {}, "meta": {"default": {"_type": "gradio.FileData"}}}}


class SpaceServer:
    """An app with one endpoint, ``/predict``; ``answer`` makes the parts of an answer from those of a call."""

    def __init__(self) -> None:
        self.url = ""
        self.config: dict[str, Any] = {"version": "6.0.0", "protocol": "sse_v3", "api_prefix": "/gradio_api"}
        self.parameters: list[dict[str, Any]] = [self.parameter("text", TEXT)]
        self.returns: list[Any] = [TEXT]
        self.answer: Callable[..., list[Any]] = lambda *values: list(values)
        self.files: dict[str, bytes] = {}
        self.uploads: list[bytes] = []
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.calls: list[list[Any]] = []
        self.waiting: list[tuple[str, str, list[Any]]] = []
        self.closing = threading.Event()
        self.delay = 0.0
        self.beats = False
        """Whether the line is kept open without ever an answer."""
        self.redirect = ""

    @staticmethod
    def parameter(name: str, kind: Any, **more: Any) -> dict[str, Any]:
        """Return the description of a parameter; ``default`` gives it one."""
        described = {"parameter_name": name, "label": name.title(), "type": kind, "component": "C"}
        default = {"parameter_has_default": "default" in more, "parameter_default": more.get("default")}
        return {**described, **default, "python_type": {"type": "Any", "description": ""}}

    def info(self) -> dict[str, Any]:
        """Return what the app says of its endpoints."""
        plain = {"label": "r", "component": "C", "python_type": {"type": "Any", "description": ""}}
        returns = [{**plain, "type": kind} for kind in self.returns]
        named = {"/predict": {"parameters": self.parameters, "returns": returns, "api_visibility": "public"}}
        return {"named_endpoints": named, "unnamed_endpoints": {}}

    def settings(self) -> dict[str, Any]:
        """Return the app's settings: one dependency, with a component for each parameter and result."""
        count, results = len(self.parameters), len(self.returns)
        components = [{"id": number, "type": "textbox"} for number in range(count + results)]
        endpoint = {"id": 0, "api_name": "predict", "api_visibility": "public", "cancels": []}
        wired = {**endpoint, "inputs": list(range(count)), "outputs": list(range(count, count + results))}
        return {"components": components, "dependencies": [wired], "connect_heartbeat": False, **self.config}


def _done(app: SpaceServer, event_id: str, values: list[Any]) -> dict[str, Any]:
    output: dict[str, Any]
    try:
        output, success = {"data": app.answer(*values)}, True
    except ValueError as error:
        output, success = {"error": str(error)}, False
    return {"msg": "process_completed", "event_id": event_id, "output": output, "success": success}


def _handler(app: SpaceServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self._noted()
            if path == "/config":
                self._json(app.settings())
            elif path == "/gradio_api/info":
                self._json(app.info())
            elif path == "/gradio_api/queue/data":
                self._stream()
            elif "file=" in path:
                self._file(path.partition("file=")[2])
            else:
                self._json({}, 404)

        def do_POST(self) -> None:
            path = self._noted()
            body = self.rfile.read(int(self.headers["content-length"]))
            if path == "/gradio_api/upload":
                content = body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0]
                app.uploads.append(content)
                self._json([f"/tmp/gradio/{len(app.uploads)}"])
            elif path == "/gradio_api/queue/join":
                asked = json.loads(body)
                app.calls.append(asked["data"])
                app.waiting.append((asked["session_hash"], str(len(app.calls)), asked["data"]))
                self._json({"event_id": str(len(app.calls))})
            else:
                self._json({})

        def _noted(self) -> str:
            path = unquote(urlsplit(self.path).path)
            app.asked.append(path)
            app.headers.append(dict(self.headers))
            return path

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            session = parse_qs(urlsplit(self.path).query)["session_hash"][0]
            while app.beats and not app.closing.wait(0.05):
                self._tell({"msg": "heartbeat"})
            while not app.closing.wait(0.01):
                for one in [one for one in app.waiting if one[0] == session]:
                    app.waiting.remove(one)
                    app.closing.wait(app.delay)
                    self._tell(_done(app, *one[1:]))
            self._tell({"msg": "close_stream", "event_id": None})

        def _tell(self, message: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(message)}\n\n".encode())

        def _file(self, name: str) -> None:
            self.send_response(302 if app.redirect else 200 if name in app.files else 404)
            if app.redirect:
                self.send_header("Location", app.redirect)
            self.end_headers()
            self.wfile.write(app.files.get(name, b""))

        def _json(self, data: Any, status: int = 200) -> None:
            content = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    return Handler


@contextmanager
def space_server() -> Generator[SpaceServer, None, None]:
    """Serve an app until the block ends."""
    app = SpaceServer()
    with served(_handler(app)) as port:
        app.url = f"http://127.0.0.1:{port}"
        try:
            yield app
        finally:
            app.closing.set()
