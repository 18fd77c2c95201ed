"""Sessions and their runs as the gateway knows them, and where sessions are: in the ledger, in a worker while used."""

import asyncio
import json
import secrets
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.serve.forms import Problem, dumps, limits_form
from cloche.serve.ledger import SessionLedger, SessionRow, Statement, drop_state, put_state
from cloche.serve.placement import Placement, SessionWorker, WorkerLost
from cloche.serve.tenants import ServerConfig, Tenant, TenantConfig, Tenants

__all__ = ["Residence", "ServedRun", "ServedSession", "invalid", "new_id", "not_found"]

_MAX_RUNS_KEPT = 32
_MAX_KEPT = 1 << 20
"""Ended runs of one session that are in memory with their events: so many, and bytes of all but the last."""
_MAX_UNSAVED = 256
_MAX_UNSAVED_BYTES = 8 << 20
"""Runs, and bytes of their outcomes, after which a session's state is stored though it is not parked."""
_TICK = 0.25
_RECOUNT = 2.0
_FORGET = 5.0
"""Seconds without a request after which a session that is in no worker is not kept in memory."""


def new_id(kind: str) -> str:
    """Return an id that cannot be guessed."""
    return f"{kind}_{secrets.token_urlsafe(16)}"


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
        self._news: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        """Whether it has its outcome, or will have none."""
        return self.body is not None or self.problem is not None

    def size(self) -> int:
        """Return the bytes of its events, the outcome among them."""
        return sum(len(data) for _, data in self.events)

    def event(self, name: str, data: bytes) -> None:
        """Add an event."""
        self.events.append((name, data))
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
        self.events.append((status, body))
        self._tell()

    def fail(self, problem: Problem) -> None:
        """Take note that there will be no outcome."""
        self.status, self.problem = "lost" if problem.code == "run_lost" else "refused", problem
        self.events.append(("problem", dumps(problem.form())))
        self._tell()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set_result(None)
            self._news = None

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

    async def follow(self, after: int, beat: float) -> AsyncIterator[tuple[int, str, bytes] | None]:
        """Yield the events behind that number, each with its own, until the run is over; None where none came."""
        if after < self.first_event:
            if after or self.first_event:
                yield self.first_event, "gap", b"{}"
            after = self.first_event
        while True:
            while after - self.first_event < len(self.events):
                name, data = self.events[after - self.first_event]
                after += 1
                yield after, name, data
            if self.over:
                return
            count = len(self.events)
            await self.changed(beat)
            if len(self.events) == count and not self.over:
                yield None


class ServedSession:
    """A session that was used lately: its row in the ledger, and where it is."""

    __slots__ = (
        "busy",
        "changed",
        "ended",
        "limits",
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
        self.limits: tuple[TenantConfig, Limits] | None = None
        """Its limits within the tenant's ceilings, and the configuration that says these."""
        self.worker: SessionWorker | None = None
        self.running: ServedRun | None = None
        self.busy = False
        self.runs: OrderedDict[str, ServedRun] = OrderedDict()
        self.lock = asyncio.Lock()
        self.touched = time.monotonic()
        self.changed = False
        """Whether its state in the worker is newer than the one in the ledger."""
        self.ended = False
        """Whether it was deleted: what its last run leaves is not stored."""
        self.unsaved: dict[str, Statement] = {}
        """Outcomes of runs, by id, that are stored together with the state."""
        self.lost: list[str] = []
        """Runs that were answered, and whose state was lost with a worker, as the session's durability allows."""

    @property
    def id(self) -> str:
        """Its id."""
        return self.row.id

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
        size = sum(each.size() for each in self.runs.values() if each is not run)
        while len(self.runs) > _MAX_RUNS_KEPT or (size > _MAX_KEPT and len(self.runs) > 1):
            size -= self.runs.popitem(last=False)[1].size()

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


class Residence:
    """All sessions that were used lately, by id; the others are rows of the ledger.

    ``on_paused`` is called with a session that comes back with a program that was computing when the server ended.
    """

    def __init__(
        self, config: ServerConfig, secret: bytes, ledger: SessionLedger, on_paused: Callable[[ServedSession], None]
    ) -> None:
        self.config, self.ledger = config, ledger
        self.tenants = Tenants(config, secret, ledger)
        self.placement = Placement(
            config.worker_count,
            max_live=config.max_live,
            max_memory=config.worker_memory,
            on_lost=self._on_lost,
        )
        self._on_paused = on_paused
        self._sessions: dict[str, ServedSession] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start the workers, have paused programs go on, and begin to look after the sessions."""
        await self.placement.start(self._settings())
        for id in self.ledger.paused():
            row = self.ledger.session(id)
            tenant = None if row is None else self.tenants.named(row.tenant)
            if tenant is not None:
                self._known(tenant, id)
        self.background(self._housekeeping())

    async def configure(self, config: ServerConfig) -> None:
        """Take a new configuration of tenants; a session that is open keeps its tools until it is parked."""
        self.config = config
        self.tenants.set(config)
        await self.placement.configure(self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            name: {"tools": list(each.tools), "policies": each.policies, "mcp": list(each.mcp), "weight": each.weight}
            for name, each in self.config.tenants.items()
        }

    async def close(self) -> None:
        """Store every session, and end the workers. No run is in progress any more."""
        for _ in range(100):
            if not any(session.busy for session in self._sessions.values()):
                break
            # A variable or a file, which does not take long.
            await asyncio.sleep(0.02)
        await asyncio.gather(*(self.park(session) for session in self.sessions()))
        for task in tuple(self._tasks):
            task.cancel()
        await self.placement.close()
        self.ledger.close()

    def sessions(self) -> list[ServedSession]:
        """Return the sessions that were used lately."""
        return list(self._sessions.values())

    def background(self, work: Awaitable[Any]) -> None:
        """Have something done that no request waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def create(self, tenant: Tenant, asked: dict[str, Any]) -> ServedSession:
        """Create a session, and store that there is one. Raises Problem, ConfigurationError."""
        spec = self._spec(tenant, asked)
        state = waits = None
        if asked.get("snapshot"):
            found = self.ledger.snapshot(asked["snapshot"])
            if found is None or found[0] != tenant.name:
                raise not_found("snapshot")
            spec = json.loads(found[2]) | {key: value for key, value in spec.items() if key in asked or key == "life"}
            state, waits = found[3], found[4]
        tenant.admit_create()
        row = self.new_row(tenant, spec, state, waits)
        if spec["durable"] == "idle":
            # As its state: with the disk's next turn, and no one waits for it.
            tenant.stored_sessions += 1
            self.ledger.post([_insertion(row), tenant.charged(0, 0.0, 0, 0, 0, 1)])
        elif spec["durable"] == "never":
            # It lasts as long as its worker, and there is nothing to come back to.
            tenant.stored_sessions += 1
            self.ledger.post([tenant.charged(0, 0.0, 0, 0, 0, 1)])
        else:
            await self.insert(tenant, [row])
        return self.adopt(row, tenant)

    def _spec(self, tenant: Tenant, asked: dict[str, Any]) -> dict[str, Any]:
        config = tenant.config
        durable = asked.get("durable") or config.durable
        return {
            "limits": limits_form(config.clamped(asked.get("limits") or {})),
            "budget": asked.get("budget"),
            "tools": asked.get("tools") or [],
            "durable": durable,
            "idle": min(asked.get("idle") or config.idle, config.max_idle),
            "life": min(asked.get("life") or config.life, config.max_life),
            "labels": asked.get("labels") or {},
        }

    def new_row(self, tenant: Tenant, spec: dict[str, Any], state: str | None, waits: str | None) -> SessionRow:
        """Return the row of a new session, which is stored nowhere yet."""
        now = time.time()
        return SessionRow(
            new_id("s"), tenant.name, now, now, now + spec["life"], json.dumps(spec), state, 0, waits, 0, None
        )

    async def insert(self, tenant: Tenant, rows: list[SessionRow]) -> None:
        """Store new sessions."""
        tenant.stored_sessions += len(rows)
        await self.ledger.write([*map(_insertion, rows), tenant.charged(0, 0.0, 0, 0, 0, len(rows))])

    def adopt(self, row: SessionRow, tenant: Tenant) -> ServedSession:
        """Return the session of a row, which is remembered from now on."""
        session = self._sessions[row.id] = ServedSession(row, tenant)
        return session

    # Their life.

    def find(self, tenant: Tenant, id: str, *, use: bool = True) -> ServedSession:
        """Return a tenant's session; with ``use``, its idle time begins anew.

        Raises Problem: a session of someone else does not exist.
        """
        session = self._known(tenant, id)
        if session.row.expires < time.time():
            raise not_found("session")
        if use:
            session.touched = time.monotonic()
        return session

    def _known(self, tenant: Tenant, id: str) -> ServedSession:
        session = self._sessions.get(id)
        if session is not None:
            if session.tenant is not tenant:
                raise not_found("session")
            return session
        row = self.ledger.session(id)
        if row is None or row.tenant != tenant.name:
            raise not_found("session")
        session = self.adopt(row, tenant)
        waits = session.waits
        if waits is not None and waits["kind"] == "paused":
            self._on_paused(session)
        return session

    async def delete(self, session: ServedSession) -> None:
        """End a session, whatever it does, and forget it. Safe to call twice."""
        if session.ended:
            return
        session.ended = True
        self._sessions.pop(session.id, None)
        session.tenant.stored_sessions -= 1
        session.tenant.is_counted = False
        await self._take_out(session)
        if session.durable != "never":
            await self.ledger.write(_forget(session.row))

    async def renew(self, session: ServedSession, idle: float | None, life: float | None) -> None:
        """Set the idle time, and have the life begin anew."""
        config = session.tenant.config
        if idle is not None:
            session.spec["idle"] = min(idle, config.max_idle)
        if life is not None:
            session.spec["life"] = min(life, config.max_life)
        session.row = session.row._replace(spec=json.dumps(session.spec), expires=time.time() + session.spec["life"])
        row = session.row
        await self.ledger.write(
            [("UPDATE sessions SET spec = ?, expires = ? WHERE id = ?", (row.spec, row.expires, row.id))]
        )

    # Where a session is.

    async def opened(self, session: ServedSession) -> SessionWorker:
        """Return the worker that a session is in; it is brought into one where it is in none."""
        worker = session.worker
        if worker is not None and worker.alive:
            return worker
        async with session.lock:
            worker = session.worker
            if worker is not None and worker.alive:
                return worker
            await self._make_room(session.tenant)
            worker = await self.placement.choose(session.id)
            name = session.row.state
            state = None if name is None else self.ledger.state(name)
            if name is not None and state is None:
                raise Problem(410, "state_lost", "the session's state is not in the store any more")
            spec = session.spec
            worker.sessions.add(session.id)
            try:
                await worker.call(
                    "open",
                    sid=session.id,
                    tenant=session.tenant.name,
                    key=session.tenant.seal,
                    limits=limits_form(session.tenant.config.clamped(spec["limits"])),
                    tools=spec["tools"],
                    state=state,
                    budget=spec["budget"],
                )
            except BaseException:
                worker.sessions.discard(session.id)
                raise
            session.worker, session.changed = worker, False
            session.tenant.live += 1
            if session.ended:
                # It was deleted meanwhile.
                await self._take_out(session)
                raise not_found("session")
            return worker

    async def _take_out(self, session: ServedSession) -> None:
        """Close a session in its worker, if it is in one."""
        worker, session.worker = session.worker, None
        if worker is not None:
            session.tenant.live -= 1
            worker.sessions.discard(session.id)
            with suppress(WorkerLost, Problem):
                await worker.call("close", sid=session.id)

    async def _make_room(self, tenant: Tenant) -> None:
        """Park the tenant's session that was unused for longest, where it has as many live ones as it may."""
        if tenant.live < tenant.quotas.live_sessions:
            return
        mine = [each for each in self._sessions.values() if each.tenant is tenant and each.worker is not None]
        idle = [each for each in mine if not each.busy]
        if not idle:
            raise Problem(
                429,
                "quota_exceeded",
                f"all of the tenant's {tenant.quotas.live_sessions:,} live sessions are running",
                cause="a quota of the tenant",
                remedy="wait for runs in progress",
                retry_after=1.0,
                quota="live_sessions",
                limit=tenant.quotas.live_sessions,
            )
        await self.park(min(idle, key=lambda each: each.touched))

    async def park(self, session: ServedSession) -> None:
        """Store a session and take it out of its worker, unless it is in use."""
        async with session.lock:
            if session.busy or session.ended:
                return
            worker = session.worker
            if worker is not None and session.changed and session.durable != "never":
                session.busy = True
                try:
                    state = await worker.call("snapshot", sid=session.id)
                    await self.save(session, state, session.row.waits)
                except WorkerLost:
                    # It is where the ledger has it, and it says what it lost.
                    return
                except Problem:
                    # What could not be stored stays where it is.
                    session.touched = time.monotonic()
                    return
                finally:
                    session.busy = False
            await self._take_out(session)
            if session.lost:
                return
            if self._sessions.pop(session.id, None) is not None and session.durable == "never":
                session.ended = True
                session.tenant.stored_sessions -= 1

    async def save(self, session: ServedSession, state: bytes, waits: str | None, *more: Statement) -> None:
        """Store a session's state, the outcomes that belong to it, and what more there is, all or none.

        Raises Problem where the store fails: the session is then where the ledger has it.
        """
        name, put = put_state(session.tenant.name, state)
        old, unsaved = session.row.state, session.unsaved
        row = session.row._replace(
            state=name, version=session.row.version + 1, waits=waits, deaths=0, touched=time.time()
        )
        update: Statement = (
            "UPDATE sessions SET state = ?, version = ?, waits = ?, deaths = 0, touched = ? WHERE id = ?",
            (name, row.version, waits, row.touched, row.id),
        )
        dropped = drop_state(old) if old != name else []
        try:
            await self.ledger.write([put, *unsaved.values(), *more, update, *dropped])
        except sqlite3.Error as error:
            await self._take_out(session)
            session.changed = False
            raise Problem(
                503,
                "store_failed",
                "the store failed, and the session is where it was",
                cause=type(error).__name__,
                remedy="try again later",
                retry_after=5.0,
            ) from None
        session.row, session.unsaved, session.changed = row, {}, False
        if old != name:
            session.tenant.stored_bytes += len(state)
            session.tenant.is_counted = False

    def _on_lost(self, worker: SessionWorker) -> None:
        """A worker died: its sessions are where the ledger has them."""
        for id in worker.sessions:
            session = self._sessions.get(id)
            if session is not None and session.worker is worker:
                session.worker = None
                session.tenant.live -= 1
                if session.changed:
                    session.lost = [*session.lost, *session.unsaved]
                    session.changed, session.unsaved = False, {}

    async def _housekeeping(self) -> None:
        """Park sessions that are idle, and forget those whose life is over."""
        counted = 0.0
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            if now - counted > _RECOUNT:
                counted = now
                for tenant in self.tenants:
                    tenant.recount()
                for worker in self.placement.workers:
                    if worker.full:
                        self._relieve(worker)
            for session in [each for each in self._sessions.values() if self._is_idle(each, now)]:
                self.background(self.park(session))
            await self._end_expired()

    async def _end_expired(self) -> None:
        now = time.time()
        for session in [each for each in self._sessions.values() if each.row.expires < now]:
            await self.delete(session)
        for row in self.ledger.expired(now):
            await self.ledger.write(_forget(row))
            tenant = self.tenants.named(row.tenant)
            if tenant is not None:
                tenant.stored_sessions -= 1
                tenant.is_counted = False

    def _is_idle(self, session: ServedSession, now: float) -> bool:
        if session.busy or session.lock.locked() or (session.lost and session.worker is None):
            return False
        unused = now - session.touched
        is_gone = session.worker is None and unused > _FORGET and not session.lost and session.durable != "never"
        return is_gone or unused > session.spec["idle"]

    def _relieve(self, worker: SessionWorker) -> None:
        """Park a quarter of a worker's sessions, those unused for longest."""
        here = [each for id in worker.sessions if (each := self._sessions.get(id)) is not None and not each.busy]
        here.sort(key=lambda each: each.touched)
        for session in here[: len(here) // 4 + 1]:
            self.background(self.park(session))

    def live(self, tenant: Tenant | None = None) -> int:
        """Return how many sessions are in workers."""
        return sum(each.live for each in ([tenant] if tenant is not None else self.tenants))


def _insertion(row: SessionRow) -> Statement:
    return "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(row)


def _forget(row: SessionRow) -> list[Statement]:
    return [
        ("DELETE FROM sessions WHERE id = ?", (row.id,)),
        ("DELETE FROM runs WHERE session = ?", (row.id,)),
        *drop_state(row.state),
    ]
