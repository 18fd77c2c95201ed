"""HTTP as this server speaks it: bounds on what arrives, problems and events as responses, and what is counted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cloche.serve.forms import Problem, dumps
from cloche.serve.sessions import Residence, ServedRun

__all__ = ["BoundedProtocol", "Metrics", "answer_problem", "event_stream", "read_body"]

_MAX_HEADERS = 64
_BEAT = 15.0
"""Seconds after which a comment is sent on a stream of events that has none, so that nothing in between closes it."""


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, with bounds on the size of a request's head, on how long it takes, and on connections.

    httptools collects headers of any size for any time. A head beyond the bounds is answered with 431 or 408, and the
    connection is closed.
    """

    max_header: ClassVar[int] = 16_384
    max_seconds: ClassVar[float] = 30.0
    max_connections: ClassVar[int] = 4_096
    _timer: asyncio.TimerHandle | None = None
    _head = 0
    _fields = 0
    _seen = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timer go."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, of which the head must be whole within the bounds."""
        seen, was_in_head = self._seen, self._in_head
        if was_in_head:
            self._arm()
        super().data_received(data)
        if self._seen != seen or not was_in_head:
            # What may be left of it is the beginning of another head, which its next piece has counted.
            self._disarm()
        elif self._in_head:
            self._head += len(data)
            if self._head > 2 * self.max_header:
                self._refuse(431, "headers_too_large", f"the head has more than {self.max_header:,} bytes")

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head = self._fields = 0
        self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count and keep a piece of the request's line."""
        self._head += len(url)
        if self._head <= self.max_header:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and keep a header; those of a trailer are dropped."""
        if not self._in_head:
            return
        self._head += len(name) + len(value)
        self._fields += 1
        if self._head <= self.max_header and self._fields <= _MAX_HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Go on with the request, unless its head was too large."""
        if self._head > self.max_header or self._fields > _MAX_HEADERS:
            self._refuse(431, "headers_too_large", f"the head has more than {self.max_header:,} bytes")
            return
        self._in_head = False
        self._seen += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, unless the request was refused."""
        if not self._in_head:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless it was refused."""
        if not self._in_head:
            super().on_message_complete()
            self._in_head = True
            self._head = 0

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as a problem."""
        self._refuse(400, "bad_request", "this is not an HTTP request")

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.max_seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(408, "too_slow", "the request's head did not arrive in time")

    def _refuse(self, status: int, code: str, message: str) -> None:
        transport: Any = self.transport
        if transport is None or transport.is_closing():
            return
        body = dumps(Problem(status, code, message).form())
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
        transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        transport.close()


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """Return the body. Raises Problem for one that is larger, by what it says or what arrives, or too slow."""
    declared = request.headers.get("content-length")
    if declared is not None and (not declared.isdecimal() or len(declared) > 15 or int(declared) > limit):
        raise _too_large(limit)
    message = await request.receive() if not declared else await _next(request, seconds)
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise _too_large(limit)
        request.state.whole = True
        return body
    pieces, size = [body], len(body)
    try:
        async with asyncio.timeout(seconds):
            while message.get("more_body"):
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "bad_request", "the client left before its request was whole")
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body did not arrive within {seconds:.3g} s") from None
    request.state.whole = True
    return b"".join(pieces)


async def _next(request: Request, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await request.receive()
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body did not arrive within {seconds:.3g} s") from None


def _too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"the body is larger than {limit:,} bytes", remedy="send less at once")


def answer_problem(problem: Problem) -> Response:
    """Return a problem as a response, with the headers that go with it."""
    headers = {"cache-control": "no-store"}
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, round(problem.retry_after + 0.499)))
    if problem.code == "quota_exceeded":
        headers["x-ratelimit-limit"] = str(problem.more.get("limit"))
        headers["x-ratelimit-remaining"] = "0"
        headers["x-ratelimit-reset"] = headers.get("retry-after", "1")
        headers["x-ratelimit-resource"] = str(problem.more.get("quota"))
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(dumps(problem.form()), problem.status, headers, "application/problem+json")


def event_stream(run: ServedRun, after: int) -> Response:
    """Return a run's events as server-sent events, from the one behind that number to its last."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-run-id": run.id}
    return StreamingResponse(_events(run, after), headers=headers, media_type="text/event-stream")


async def _events(run: ServedRun, after: int) -> AsyncIterator[bytes]:
    async for item in run.follow(after, _BEAT):
        if item is None:
            yield b": waiting\n\n"
        else:
            number, name, data = item
            yield b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode(), data)


class Metrics:
    """The numbers for Prometheus. Labels are of few values: classes of tenants, never their names."""

    def __init__(self, home: Residence, quarantined: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("cloche_requests", "Requests", ["route", "status", "class"], registry=self.registry)
        buckets = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
        self.seconds = Histogram(
            "cloche_request_seconds", "Seconds per request", ["route", "class"], buckets=buckets, registry=self.registry
        )
        self.fuel = Counter("cloche_fuel", "Units of fuel used", ["class"], registry=self.registry)
        self.runs = Counter("cloche_runs", "Runs by status", ["status", "class"], registry=self.registry)
        placement = home.placement
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "cloche_live_sessions": ("Sessions in workers", home.live),
            "cloche_workers": ("Workers that are ready", lambda: len(placement.workers)),
            "cloche_worker_memory_bytes": (
                "Private memory of all workers",
                lambda: sum(each.measure() for each in placement.workers),
            ),
            "cloche_worker_deaths": ("Workers that died", lambda: placement.deaths),
            "cloche_quarantined": ("Sessions that were quarantined", quarantined),
            "cloche_running": ("Runs in progress", lambda: sum(each.running for each in home.tenants)),
            "cloche_stored_bytes": (
                "Bytes of states in the store",
                lambda: sum(each.stored_bytes for each in home.tenants),
            ),
        }
        for name, (about, value) in gauges.items():
            Gauge(name, about, registry=self.registry).set_function(value)
