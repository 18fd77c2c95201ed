"""Runs and sessions as the gateway knows them: runs with their events and outcomes, sessions that were used lately."""

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.serve.forms import Problem, dumps, limits_form
from cloche.serve.ledger.base import Change, SessionRow
from cloche.serve.placement import SessionWorker
from cloche.serve.tenants import Tenant, TenantConfig

__all__ = ["ServedRun", "ServedSession", "facts_of", "invalid", "new_id", "not_found"]

_MAX_RUNS_KEPT = 32
_MAX_KEPT = 1 << 20
"""Ended runs of one session that are in memory with their events: so many, and bytes of all but the last."""
_MAX_IDS = 1_000
"""Ids of a session's runs that are kept in memory, to know without the ledger that there is no run of an id."""
_BEAT = 10.0
"""Seconds without an event after which those who follow are told so, that nothing in between closes their line."""
_GAP, _MAX_GAP = 0.005, 0.25
"""Seconds for each of several followers in which events become one piece, so that a crowd costs little more than two:
twenty are told ten times a second."""
_MAX_PIECE = 256 << 10
"""Bytes, about, that one who follows is sent at once."""
_MAX_UNSAVED = 256
_MAX_UNSAVED_BYTES = 8 << 20
"""Runs, and bytes of their outcomes, after which a session's state is stored though it is not parked."""


def new_id(kind: str) -> str:
    """Return an id that cannot be guessed."""
    return f"{kind}_{secrets.token_urlsafe(16)}"


def facts_of(spec: str) -> dict[str, Any]:
    """Return what a list shows of what a session or a snapshot was made of: its labels, and where it began."""
    made = json.loads(spec)
    return {"labels": made["labels"], "parent": made.get("parent")}


class ServedRun:
    """One run, from its request to its outcome, with its events for those who follow it."""

    def __init__(self, id: str, digest: str, first_event: int = 0) -> None:
        self.id, self.digest = id, digest
        self.status = "running"
        self.began = time.monotonic()
        self.first_event = first_event
        self.events: list[tuple[str, bytes]] = []
        self.calls: dict[str, bytes] = {}
        """Calls that wait for the client, by id."""
        self.asked = False
        """Whether a tool was called, as far as is known: then it is not run again by itself."""
        self.body: bytes | None = None
        self.problem: Problem | None = None
        self.fuel = 0
        self.size = 0
        """Bytes of its events, the outcome among them."""
        self._news: asyncio.Future[None] | None = None
        self._followers: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._told = self._due = 0.0
        """When the followers were last woken for news, and when they will be next."""
        self._piece = (0, 0, b"")
        """Server-sent events as they were made last: those behind one number, up to another."""

    @property
    def over(self) -> bool:
        """Whether it has its outcome, or will have none."""
        return self.body is not None or self.problem is not None

    def event(self, name: str, data: bytes) -> None:
        """Add an event."""
        self._add(name, data)
        if name == "call":
            self.asked = True
            self.calls[json.loads(data)["id"]] = data
        elif name == "tool_started":
            self.asked = True
        self._tell()

    def answered(self, call: str) -> None:
        """Take note that a call has its answer."""
        self.calls.pop(call, None)

    def end(self, status: str, body: bytes) -> None:
        """Take the outcome."""
        self.status, self.body = status, body
        self._add(status, body)
        self._tell()

    def fail(self, problem: Problem) -> None:
        """Take note that there will be no outcome."""
        self.status, self.problem = "lost" if problem.code == "run_lost" else "refused", problem
        self._add("problem", dumps(problem.form()))
        self._tell()

    def _add(self, name: str, data: bytes) -> None:
        self.events.append((name, data))
        self.size += len(data)

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set_result(None)
            self._news = None
        if not self._followers:
            return
        if len(self._followers) == 1 or self.calls or self.over:
            self._tell_followers()
        else:
            self._tell_followers_at(self._told + min(_GAP * len(self._followers), _MAX_GAP))

    def _tell_followers(self) -> None:
        self._told = asyncio.get_running_loop().time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        followers, self._followers = self._followers, []
        for each in followers:
            if not each.done():
                each.set_result(None)

    def _tell_followers_at(self, time: float) -> None:
        """Have them told then, if they will not be before."""
        if self._timer is not None:
            if self._due <= time:
                return
            self._timer.cancel()
        self._due, self._timer = time, asyncio.get_running_loop().call_at(time, self._tell_followers)

    async def changed(self, timeout: float | None = None) -> None:
        """Wait for news, or until the time is up."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        # Several wait for one future, and none of them may cancel it.
        await asyncio.wait({self._news}, timeout=timeout)

    async def ended(self, timeout: float | None = None, *, or_asks: bool = False) -> None:
        """Wait until it is over (or, with ``or_asks``, wants an answer of the client), or until the time is up."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.over and not (or_asks and self.calls):
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            await self.changed(left)

    async def follow(self, after: int) -> AsyncGenerator[tuple[int, str, bytes] | None]:
        """Yield the events behind that number, each with its own, until the run is over; None where none came."""
        if after < self.first_event:
            yield self.first_event, "gap", b"{}"
        async for start, end in self._spans(after):
            if start == end:
                yield None
            for number in range(start, end):
                yield number + 1, *self.events[number - self.first_event]

    async def stream(self, after: int) -> AsyncGenerator[bytes]:
        """Yield the same as server-sent events: those that are there together are one piece, the same for all."""
        if after < self.first_event:
            yield _sent(self.first_event, "gap", b"{}")
        async for start, end in self._spans(after):
            if start == end:
                yield b": waiting\n\n"
                continue
            if self._piece[:2] != (start, end):
                here = self.events[start - self.first_event : end - self.first_event]
                events = [_sent(number, *event) for number, event in enumerate(here, start + 1)]
                self._piece = start, end, b"".join(events)
            yield self._piece[2]

    async def _spans(self, after: int) -> AsyncGenerator[tuple[int, int]]:
        """Yield which events are there: behind which number, up to which; the same one twice where none came."""
        after = max(after, self.first_event)
        while True:
            end, size = after, 0
            while end < self.first_event + len(self.events) and size < _MAX_PIECE:
                size += len(self.events[end - self.first_event][1])
                end += 1
            if end > after:
                yield after, end
                after = end
            elif self.over:
                return
            else:
                loop = asyncio.get_running_loop()
                news = loop.create_future()
                self._followers.append(news)
                self._tell_followers_at(loop.time() + _BEAT)
                await news
                if self.first_event + len(self.events) <= after and not self.over:
                    yield after, after


def _sent(number: int, name: str, data: bytes) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode(), data)


class ServedSession:
    """A session that was used lately: its row in the ledger, and where it is."""

    __slots__ = (
        "_limits",
        "busy",
        "changed",
        "ended",
        "ids",
        "is_listed",
        "lock",
        "lost",
        "row",
        "running",
        "runs",
        "spec",
        "tenant",
        "touched",
        "unsaved",
        "worker",
    )

    def __init__(self, row: SessionRow, tenant: Tenant) -> None:
        self.row, self.tenant = row, tenant
        self.spec: dict[str, Any] = json.loads(row.spec)
        self._limits: tuple[TenantConfig, Limits] | None = None
        self.worker: SessionWorker | None = None
        self.running: ServedRun | None = None
        self.busy = False
        self.runs: OrderedDict[str, ServedRun] = OrderedDict()
        self.ids: set[str] | None = None
        """The ids of all its runs there ever were; None where only the ledger knows."""
        self.lock = asyncio.Lock()
        self.touched = time.monotonic()
        self.changed = False
        """Whether its state in the worker is newer than the one in the ledger."""
        self.ended = False
        """Whether it was deleted: what its last run leaves is not stored."""
        self.is_listed = True
        """Whether the ledger has its row."""
        self.unsaved: dict[str, Change] = {}
        """Outcomes of runs, by id, that are stored together with the state."""
        self.lost: list[str] = []
        """Runs that were answered, and whose state was lost with a worker, as the session's durability allows."""

    @property
    def id(self) -> str:
        """Its id."""
        return self.row.id

    @property
    def limits(self) -> Limits:
        """Its limits, within the ceilings that its tenant has now."""
        config = self.tenant.config
        # Kept for as long as the configuration is the same: to find them takes longer than all else about a run here.
        if self._limits is None or self._limits[0] is not config:
            asked: dict[str, Any] = self.spec["limits"]
            is_usual = asked == limits_form(config.default_limits)
            self._limits = config, config.usual_limits if is_usual else config.clamped(asked)
        return self._limits[1]

    @property
    def durable(self) -> str:
        """When its state is stored."""
        durable: str = self.spec["durable"]
        return durable

    @property
    def waits(self) -> dict[str, Any] | None:
        """Its suspended program: the run's id, the calls, and ``kind``."""
        return None if self.row.waits is None else json.loads(self.row.waits)

    def remember(self, run: ServedRun) -> None:
        """Keep a run for those who come back to it."""
        self.runs[run.id] = run
        if self.ids is not None:
            self.ids.add(run.id)
            if len(self.ids) > _MAX_IDS:
                self.ids = None
        size = sum([each.size for each in self.runs.values()]) - run.size
        while len(self.runs) > _MAX_RUNS_KEPT or (size > _MAX_KEPT and len(self.runs) > 1):
            size -= self.runs.popitem(last=False)[1].size

    @property
    def is_due(self) -> bool:
        """Whether so much of it is unsaved that its state is to be stored with the next run."""
        if self.durable == "run":
            return True
        if self.durable == "never":
            return False
        size = sum(len(values[4]) for _, values in self.unsaved.values())
        return len(self.unsaved) >= _MAX_UNSAVED or size > _MAX_UNSAVED_BYTES


def not_found(what: str) -> Problem:
    """Return the problem of something that there is not, or that is someone else's."""
    return Problem(404, "not_found", f"there is no such {what}")


def invalid(error: ConfigurationError) -> Problem:
    """Return the problem of a field that cannot be so."""
    return Problem(422, "invalid", str(error), remedy="correct the field that the message names", field=error.field)
