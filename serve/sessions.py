"""Where sessions are: in the ledger, in a worker while they are used, and on one node of those that share a ledger."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from cloche.runtime.limits import Limits
from cloche.serve.forms import Problem, limits_form
from cloche.serve.ledger.base import (
    Change,
    LeaseLost,
    Node,
    ServerLedger,
    SessionRow,
    StoreFailed,
    check_lease,
    drop_state,
)
from cloche.serve.nodes import Membership
from cloche.serve.placement import Placement, SessionWorker, WorkerLost
from cloche.serve.runs import ServedRun, ServedSession, invalid, new_id, not_found
from cloche.serve.tenants import ServerConfig, Tenant, Tenants

__all__ = ["Residence", "ServedRun", "ServedSession", "invalid", "new_id", "not_found"]

T = TypeVar("T")

_TICK = 0.25
_RECOUNT = 2.0
_AGAIN = 0.2
"""Seconds for which a tenant's runs are refused without asking the other nodes for room."""
_SPARE = 8
"""The part of a tenant's runs that a node has more than it needs, so that it need not ask for each."""
_FORGET = 5.0
"""Seconds without a request after which a session that is in no worker is not kept in memory."""


class Residence:
    """All sessions that were used lately, by id; the others are rows of the ledger.

    ``on_paused`` is called with a session that comes back with a program that was computing when the server ended.
    """

    def __init__(
        self, config: ServerConfig, secret: bytes, ledger: ServerLedger, on_paused: Callable[[ServedSession], None]
    ) -> None:
        self.config, self.ledger = config, ledger
        self.tenants = Tenants(config, secret, ledger)
        self.placement = Placement(
            config.worker_count,
            max_live=config.max_live,
            max_memory=config.worker_memory,
            on_lost=self._on_lost,
        )
        self.membership = Membership(ledger, config.node_life, self._room, self._verify)
        self._on_paused = on_paused
        self._sessions: dict[str, ServedSession] = {}
        self._refused: dict[str, float] = {}
        """When a tenant had as many runs as it may, by its name."""
        self._reading: dict[str, asyncio.Future[SessionRow | None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, url: str = "") -> None:
        """Start the workers, resume paused programs, and begin to look after the sessions.

        ``url`` is where other nodes reach this one, where they share the ledger. Raises StoreFailed.
        """
        await self.placement.start(self._settings())
        await self.membership.start(url)
        await self._take_in_paused()
        self.background(self._housekeeping())
        self.background(self.ledger.sweep())

    async def _take_in_paused(self) -> None:
        """Resume programs that were computing when their server ended, as far as their sessions belong here."""
        for id in await self.ledger.read(self.ledger.paused):
            row = None if id in self._sessions else await self.ledger.read(self.ledger.session, id)
            tenant = None if row is None else self.tenants.named(row.tenant)
            if tenant is not None and await self.claim(tenant, id) is None and id in self._sessions:
                await self._known(tenant, id)

    # Which node has a session.

    async def claim(self, tenant: Tenant, id: str, passed_on: bool = False) -> Node | None:
        """Return the node that has a tenant's session; None if it is this one, from now on at the latest, or none.

        With ``passed_on`` another node has chosen this one for it. Raises StoreFailed.
        """
        for _ in range(3):
            if id in self._sessions:
                return None
            row = await self._row(id)
            if row is None or row.tenant != tenant.name or id in self._sessions:
                return None
            is_ours = row.holder is not None and row.holder == self.membership.name
            if not is_ours and (elsewhere := self.membership.living(row.holder)) is not None:
                return elsewhere
            if not passed_on and not is_ours and (elsewhere := self.membership.home_of(id)) is not None:
                return elsewhere
            if not self.ledger.is_shared:
                self._adopt_known(row, tenant)
                return None
            with suppress(LeaseLost):
                await self.ledger.write([("take_lease", (self.membership.name, id, row.epoch))])
                self._adopt_known(row._replace(holder=self.membership.name, epoch=row.epoch + 1), tenant)
                return None
        return None

    async def fence(self, session: ServedSession) -> Problem:
        """Drop a session that may be another node's by now, and return what to say to whoever asked for it."""
        session.ended = True
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
        await self._take_out(session)
        return Problem(
            503,
            "lease_lost",
            "another node has the session, or may have it",
            cause="this node could not say in time that it lives",
            remedy="send the request again, a run under the same id",
            retry_after=0.5,
        )

    async def check_current(self, session: ServedSession) -> None:
        """Raise Problem where what was done may not be acknowledged, as the others take this node for dead."""
        if not self.membership.is_current:
            raise await self.fence(session)

    async def _verify(self) -> None:
        """After a time in which others may have taken sessions over: drop those that they have."""
        for session in self.sessions():
            row = await self.ledger.read(self.ledger.session, session.id)
            if row is None or row.epoch != session.row.epoch:
                await self.fence(session)

    # What a tenant may have at once, over all nodes.

    async def admit(self, tenant: Tenant, limits: Limits) -> Limits:
        """Return the limits for a run that a tenant may begin, on whatever node. Raises Problem, StoreFailed."""
        if not self.ledger.is_shared or tenant.running < tenant.share:
            return tenant.admit_run(limits, is_shared=self.ledger.is_shared)
        async with tenant.sharing:
            if tenant.running >= tenant.share and time.monotonic() - self._refused.get(tenant.name, -_AGAIN) >= _AGAIN:
                await self._share(tenant, tenant.running + 1)
                if tenant.running >= tenant.share:
                    self._refused[tenant.name] = time.monotonic()
            # Before another one who waits here has its turn.
            return tenant.admit_run(limits, is_shared=True)

    async def _share(self, tenant: Tenant, wanted: int) -> None:
        """Have runs of a tenant be this node's, some more than are needed now if it may have many."""
        limit = tenant.quotas.concurrent_runs
        wanted = min(limit, wanted + limit // _SPARE)
        tenant.share = await self.ledger.share(self.membership.name or "", tenant.name, wanted, limit)

    async def _give_back(self) -> None:
        """Leave to the other nodes what is not needed here."""
        for tenant in self.tenants:
            if tenant.share > tenant.running + tenant.quotas.concurrent_runs // _SPARE:
                async with tenant.sharing:
                    await self._share(tenant, tenant.running)

    def _room(self) -> int:
        able = [worker for worker in self.placement.workers if worker.alive and not worker.full]
        return sum(self.config.max_live - len(worker.sessions) for worker in able)

    async def configure(self, config: ServerConfig) -> None:
        """Take a new configuration of tenants; a session that is open keeps its tools until it is parked."""
        self.config = config
        # Which reads what new ones have in the ledger.
        await self.ledger.read(self.tenants.set, config)
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
        await self.membership.close()
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
            found = await self.ledger.read(self.ledger.snapshot, asked["snapshot"])
            if found is None or found[0] != tenant.name:
                raise not_found("snapshot")
            spec = json.loads(found[2]) | {key: value for key, value in spec.items() if key in asked or key == "life"}
            spec["parent"] = asked["snapshot"]
            state, waits = found[3], found[4]
        tenant.admit_create()
        row = self.new_row(tenant, spec, state, waits)
        if spec["durable"] == "idle" and not self.ledger.is_shared:
            # As its state: with the disk's next turn, and no one waits for it.
            tenant.stored_sessions += 1
            self.ledger.post([_insertion(row), tenant.charged(0, 0.0, 0, 0, 0, 1)])
        elif spec["durable"] == "never" and (not self.ledger.is_shared or asked.get("is_alone")):
            # It lasts as long as its worker, and there is nothing to come back to.
            tenant.stored_sessions += 1
            self.ledger.post([tenant.charged(0, 0.0, 0, 0, 0, 1)])
            session = self._adopt_new(row, tenant)
            session.is_listed = False
            return session
        else:
            await self.insert(tenant, [row])
        return self._adopt_new(row, tenant)

    def _adopt_new(self, row: SessionRow, tenant: Tenant) -> ServedSession:
        session = self.adopt(row, tenant)
        session.ids = set()
        return session

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
            new_id("s"),
            tenant.name,
            now,
            now,
            now + spec["life"],
            json.dumps(spec),
            state,
            0,
            waits,
            0,
            None,
            self.membership.name,
            int(self.ledger.is_shared),
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

    async def find(self, tenant: Tenant, id: str, *, use: bool = True) -> ServedSession:
        """Return a tenant's session; with ``use``, its idle time begins anew.

        Raises Problem: a session of someone else does not exist.
        """
        session = await self._known(tenant, id)
        if session.row.expires < time.time():
            raise not_found("session")
        if use:
            session.touched = time.monotonic()
        return session

    async def _known(self, tenant: Tenant, id: str) -> ServedSession:
        session = self._sessions.get(id)
        if session is None:
            row = await self._row(id)
            # Another request may have brought it in meanwhile.
            session = self._sessions.get(id)
            if session is None:
                if row is None or row.tenant != tenant.name:
                    raise not_found("session")
                if self.ledger.is_shared:
                    # It was given up since this request was sent here.
                    raise Problem(503, "not_here", "the session is on its way to another node", retry_after=0.1)
                return self._adopt_known(row, tenant)
        if session.tenant is not tenant:
            raise not_found("session")
        return session

    async def _row(self, id: str) -> SessionRow | None:
        """Read a session's row. Requests that come at once share one reading, so that none of them has an old row."""
        reading = self._reading.get(id)
        if reading is None:
            reading = self._reading[id] = asyncio.ensure_future(self.ledger.read(self.ledger.session, id))
            reading.add_done_callback(lambda _: self._reading.pop(id))
        return await asyncio.shield(reading)

    def holds(self, session: ServedSession) -> bool:
        """Whether this is the session of its id still, and nothing is just being done to where it is."""
        return self._sessions.get(session.id) is session and not session.lock.locked()

    def _adopt_known(self, row: SessionRow, tenant: Tenant) -> ServedSession:
        """Return the session of a row that was in the ledger, and resume its program if that was paused."""
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
        if session.is_listed:
            with suppress(LeaseLost):
                await self.ledger.write([check_lease(session.row), *_forget(session.row)])

    async def renew(self, session: ServedSession, idle: float | None, life: float | None) -> None:
        """Set the idle time, and have the life begin anew."""
        config = session.tenant.config
        if idle is not None:
            session.spec["idle"] = min(idle, config.max_idle)
        if life is not None:
            session.spec["life"] = min(life, config.max_life)
        session.row = session.row._replace(spec=json.dumps(session.spec), expires=time.time() + session.spec["life"])
        row = session.row
        if session.is_listed:
            await self.ledger.write([check_lease(row), ("renew_session", (row.spec, row.expires, row.id))])

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
            state = None if name is None else await self.ledger.read(self.ledger.state_bytes, name)
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
                    limits=limits_form(session.limits),
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
                    await self.save(session, state, session.row.waits, gives_up=True)
                except WorkerLost:
                    # It is where the ledger has it, and it says what it lost.
                    return
                except Problem:
                    # What could not be stored stays where it is.
                    session.touched = time.monotonic()
                    return
                finally:
                    session.busy = False
            if session.durable == "never":
                # There is nothing that it could come back from.
                session.ended = True
            await self._take_out(session)
            if session.lost or (session.busy and not session.ended):
                # In the latter case a request has come meanwhile, and brings it back.
                return
            was_here = self._sessions.pop(session.id, None) is not None
            if was_here and session.durable == "never":
                session.tenant.stored_sessions -= 1
                if session.is_listed:
                    self.ledger.post([check_lease(session.row), *_forget(session.row)])
            elif self.ledger.is_shared and session.row.holder is not None:
                self.ledger.post([("leave_lease", (session.id, session.row.epoch))])

    async def save(
        self, session: ServedSession, state: bytes, waits: str | None, *more: Change, gives_up: bool = False
    ) -> None:
        """Store a session's state, the outcomes that belong to it, and what more there is, all or none.

        With ``gives_up`` no node has the session after that. Raises Problem where the store fails, or another node has
        the session: it is then where the ledger has it.
        """
        name, put = self.ledger.put_state(session.tenant.name, state)
        old, unsaved = session.row.state, session.unsaved
        row = session.row._replace(
            state=name,
            version=session.row.version + 1,
            waits=waits,
            deaths=0,
            touched=time.time(),
            holder=None if gives_up else session.row.holder,
        )
        update: Change = "save_session", (name, row.version, waits, row.touched, row.holder, row.id)
        dropped = drop_state(old) if old != name else []
        begin = check_lease(row) if session.is_listed else _insertion(session.row)
        try:
            await self.ledger.write([begin, put, *unsaved.values(), *more, update, *dropped])
        except LeaseLost:
            raise await self.fence(session) from None
        except StoreFailed as error:
            await self._take_out(session)
            session.changed = False
            if error.gone:
                # What of this is in the store, its next request finds out.
                self._sessions.pop(session.id, None)
            raise Problem(
                503,
                "store_failed",
                "the store failed, and the session is where it was",
                cause=error.kind,
                remedy="try again later",
                retry_after=5.0,
            ) from None
        session.row, session.unsaved, session.changed, session.is_listed = row, {}, False, True
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
            # A store that is gone comes back, and until then there is nothing to be done about it here.
            with suppress(StoreFailed):
                counted = await self._look_after(counted)

    async def _look_after(self, counted: float) -> float:
        now = time.monotonic()
        if now - counted > _RECOUNT:
            counted = now
            await self._recount()
            for worker in self.placement.workers:
                if worker.full:
                    self._relieve(worker)
        for session in [each for each in self._sessions.values() if self._is_idle(each, now)]:
            self.background(self.park(session))
        await self._end_expired()
        return counted

    async def _recount(self) -> None:
        """Count what tenants have in the store, which other nodes change as well; take in what these left behind."""
        for tenant in self.tenants:
            await self.ledger.read(tenant.recount, self.ledger.is_shared)
        if self.ledger.is_shared:
            await self._give_back()
            await self._take_in_paused()

    async def _end_expired(self) -> None:
        now = time.time()
        for session in [each for each in self._sessions.values() if each.row.expires < now]:
            await self.delete(session)
        for row in await self.ledger.read(self.ledger.expired, now):
            if row.holder != self.membership.name and self.membership.living(row.holder) is not None:
                continue
            with suppress(LeaseLost):
                await self.ledger.write([check_lease(row), *_forget(row)])
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


def _insertion(row: SessionRow) -> Change:
    return "add_session", tuple(row)


def _forget(row: SessionRow) -> list[Change]:
    return [
        ("remove_session", (row.id,)),
        ("remove_runs", (row.id,)),
        *drop_state(row.state),
    ]
