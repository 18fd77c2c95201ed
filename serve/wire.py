"""Requests to a Cloche server: sent again where that cannot do harm, with its problems as errors, and its events."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import httpx

from cloche.runtime.errors import ClocheError, SessionBusy, SessionClosed, SessionSuspended
from cloche.serve.forms import Problem, error_of

__all__ = ["Wire", "problem_error"]

_ATTEMPTS = 4
"""Times that a request is sent which finds no server, or one that asks to be tried again."""
_MAX_PATIENCE = 5.0
"""Seconds that a request waits before it is sent again; where the server asks for more, its problem is raised."""
_BROKEN = (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class Wire:
    """Connections to one server with one key: some for blocking callers, some for the event loop that runs now."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self._options: dict[str, Any] = {
            "base_url": url,
            "headers": {"authorization": f"Bearer {key}"},
            # The server answers when the run has ended: how long that may take, its limits say.
            "timeout": httpx.Timeout(timeout, read=None),
        }
        self._blocking: httpx.Client | None = None
        self._awaiting: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    def close(self) -> None:
        """Close the connections of blocking callers."""
        if self._blocking is not None:
            self._blocking.close()
            self._blocking = None

    async def aclose(self) -> None:
        """Close all connections."""
        self.close()
        if self._awaiting is not None:
            awaiting, self._awaiting = self._awaiting[1], None
            await awaiting.aclose()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and return its answer. Raises Problem, an error of the runtime, or httpx.HTTPError."""
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._client().request(method, path, **options, headers=_trace())
            except _BROKEN:
                if attempt == _ATTEMPTS - 1 or not _may_repeat(method, path):
                    raise
                time.sleep(0.1 * 2**attempt)
                continue
            pause = _pause(answer)
            if pause is None or attempt == _ATTEMPTS - 1:
                return _checked(answer)
            time.sleep(pause)
        raise AssertionError

    async def asend(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Like :meth:`send`."""
        client = self._async_client()
        for attempt in range(_ATTEMPTS):
            try:
                answer = await client.request(method, path, **options, headers=_trace())
            except _BROKEN:
                if attempt == _ATTEMPTS - 1 or not _may_repeat(method, path):
                    raise
                await asyncio.sleep(0.1 * 2**attempt)
                continue
            pause = _pause(answer)
            if pause is None or attempt == _ATTEMPTS - 1:
                return _checked(answer)
            await asyncio.sleep(pause)
        raise AssertionError

    def stream(self, path: str, body: Any) -> Iterator[tuple[str, Any]]:
        """Begin a run and yield its events by name; a connection that breaks is taken up where it broke."""
        last = 0
        for attempt in range(_ATTEMPTS):
            try:
                with self._client().stream(**_stream_request(path, body, last)) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                        _checked(answer)
                    reader = _EventReader()
                    for line in answer.iter_lines():
                        if reader.feed(line):
                            last = reader.number
                            yield reader.event()
                    return
            except _BROKEN:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.1 * 2**attempt)

    async def astream(self, path: str, body: Any) -> AsyncGenerator[tuple[str, Any], None]:
        """Like :meth:`stream`."""
        last = 0
        for attempt in range(_ATTEMPTS):
            try:
                async with self._async_client().stream(**_stream_request(path, body, last)) as answer:
                    if answer.status_code >= 400:
                        await answer.aread()
                        _checked(answer)
                    reader = _EventReader()
                    async for line in answer.aiter_lines():
                        if reader.feed(line):
                            last = reader.number
                            yield reader.event()
                    return
            except _BROKEN:
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(0.1 * 2**attempt)

    def _client(self) -> httpx.Client:
        if self._blocking is None:
            self._blocking = httpx.Client(**self._options)
        return self._blocking

    def _async_client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._awaiting is None or self._awaiting[0] is not loop:
            self._awaiting = loop, httpx.AsyncClient(**self._options)
        return self._awaiting[1]


class _EventReader:
    """Server-sent events, line by line."""

    def __init__(self) -> None:
        self.number = 0
        self._name = self._data = ""

    def feed(self, line: str) -> bool:
        """Take a line; return whether an event is whole now."""
        field, _, value = line.partition(": ")
        if field == "id":
            self.number = int(value)
        elif field == "event":
            self._name = value
        elif field == "data":
            self._data = value
        return line == "" and bool(self._name)

    def event(self) -> tuple[str, Any]:
        """Return the event that is whole, and begin the next."""
        name, self._name = self._name, ""
        return name, json.loads(self._data)


def _stream_request(path: str, body: Any, last: int) -> dict[str, Any]:
    """Return the request that begins a run, or the one that goes on behind its last event."""
    accept = {"accept": "text/event-stream", **_trace()}
    if not last:
        return {"method": "POST", "url": path, "json": body, "headers": accept}
    return {"method": "GET", "url": f"{path}/{body['id']}/events", "headers": {**accept, "last-event-id": str(last)}}


def _trace() -> dict[str, str]:
    """Return the headers that tell the server which span this request is below, where this process makes spans."""
    headers: dict[str, str] = {}
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import propagate

        propagate.inject(headers)
    return headers


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code >= 400:
        try:
            form = answer.json()
        except ValueError:
            form = None
        if not isinstance(form, dict) or "code" not in form:
            answer.raise_for_status()
        raise problem_error(form)
    return answer


def problem_error(form: Any) -> Exception:
    """Return the runtime's own error where the problem is one of those, else the Problem."""
    if isinstance(form.get("error"), dict):
        return error_of(form["error"])
    own: dict[str, Callable[[], ClocheError]] = {
        "session_busy": SessionBusy,
        "session_suspended": lambda: SessionSuspended(", ".join(each["name"] + "()" for each in form["waits"])),
        "session_ended": lambda: SessionClosed(form["message"]),
    }
    if form["code"] in own:
        return own[form["code"]]()
    kept = {key: value for key, value in form.items() if key not in ("type", "title")}
    return Problem(**kept)


def _pause(answer: httpx.Response) -> float | None:
    """Return how long to wait before the request is sent again; None where it is not."""
    if answer.status_code not in (429, 503):
        return None
    try:
        form = answer.json()
        seconds = float(form["retry_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return seconds if form["code"] != "run_lost" and seconds <= _MAX_PATIENCE else None


def _may_repeat(method: str, path: str) -> bool:
    # Runs of a session have ids, and resuming its token. A second session or fork would be one too many.
    return method != "POST" or (path.endswith(("/runs", "/cancel", "/resume")) and path != "/v1/runs")
