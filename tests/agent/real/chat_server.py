"""A server with OpenAI's chat API on this machine, which answers, or misbehaves, as the test says."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.serving import served

__all__ = ["ChatServer", "Misdeed", "chat_server"]


@dataclass(frozen=True)
class Misdeed:
    """What a request gets instead of an answer.

    ``status`` with ``body`` and ``headers``; or ``drop``: the connection is closed before anything, or in the middle of
    a stream; or ``hang``: nothing for that many seconds.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    drop: bool = False
    hang: float = 0.0


Answer = str | list[dict[str, Any]] | Misdeed
"""Text, tool calls as ``{"name", "arguments"}`` with the arguments as text, or a Misdeed."""


class ChatServer:
    """The server's script, and what it was asked."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = ""
        self.released = threading.Event()
        self._lock = threading.Lock()

    def next(self, request: dict[str, Any], key: str) -> Answer:
        with self._lock:
            self.requests.append(request)
            self.keys.append(key)
            return self.answers.pop(0) if self.answers else Misdeed(400, b'{"error": {"message": "no answer left"}}')


@contextmanager
def chat_server(*answers: Answer) -> Generator[ChatServer, None, None]:
    """Serve these answers, one per request."""
    script = ChatServer(list(answers))
    with served(_handler(script)) as port:
        script.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield script
        finally:
            script.released.set()


def _handler(script: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = script.next(request, self.headers.get("authorization", ""))
            if isinstance(answer, Misdeed):
                self._misbehave(answer, bool(request.get("stream")))
            elif request.get("stream"):
                self._stream(_chunks(answer))
            else:
                self._send(200, json.dumps(_completion(answer)).encode(), {})

        def _misbehave(self, deed: Misdeed, streamed: bool) -> None:
            if deed.hang:
                script.released.wait(deed.hang)
            if deed.drop and streamed:
                self._stream(_chunks("<code>\nhalf of it")[:2], end=False)
            if deed.drop or deed.hang:
                self.close_connection = True
            else:
                self._send(deed.status, deed.body, deed.headers)

        def _stream(self, chunks: list[dict[str, Any]], end: bool = True) -> None:
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            if not end:
                # More is promised than comes.
                self.send_header("content-length", "100000")
            self.end_headers()
            self.wfile.write("".join([*lines, "data: [DONE]\n\n" if end else ""]).encode())
            self.close_connection = True

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
_HEAD = {"id": "1", "created": 1, "model": "local"}


def _calls(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "index": index, "type": "function", "function": function}
        for index, function in enumerate(answer)
    ]


def _completion(answer: str | list[dict[str, Any]]) -> dict[str, Any]:
    said = {"content": answer} if isinstance(answer, str) else {"content": None, "tool_calls": _calls(answer)}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **said}}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _chunks(answer: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if isinstance(answer, str):
        deltas += [{"content": piece} for piece in _pieces(answer)]
    else:
        deltas += [{"tool_calls": [part]} for call in _calls(answer) for part in _parts(call)]
    chunk: Callable[[dict[str, Any], str | None], dict[str, Any]] = lambda delta, reason: {  # noqa: E731
        **_HEAD,
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
    last: dict[str, Any] = {**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}
    return [*(chunk(delta, None) for delta in deltas), chunk({}, "stop"), last]


def _pieces(text: str) -> list[str]:
    return [text[start : start + 7] for start in range(0, len(text), 7)]


def _parts(call: dict[str, Any]) -> list[dict[str, Any]]:
    """A call arrives in pieces: its name first, then its arguments bit by bit."""
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    first = {**call, "function": {"name": name, "arguments": ""}}
    rest = [{"index": call["index"], "function": {"arguments": piece}} for piece in _pieces(arguments)]
    return [first, *rest]
