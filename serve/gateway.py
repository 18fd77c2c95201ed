"""The gateway: runs of sessions, from a request to an outcome that is stored, and whatever else is asked of a session.

A run is acknowledged when its outcome and, as the session's durability wants it, its state are in the ledger. One whose
worker died is performed again, unless it may have called a tool; a session whose runs end workers is quarantined.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.serve.forms import Problem, dumps, limits_form
from cloche.serve.ledger.base import Change, LeaseLost, ServerLedger, check_lease, drop_state
from cloche.serve.placement import SessionWorker, WorkerLost
from cloche.serve.runs import ServedRun, ServedSession, facts_of, invalid, new_id, not_found
from cloche.serve.sessions import Residence
from cloche.serve.tenants import ServerConfig, Tenant, digest_of

__all__ = ["Gateway", "Metrics"]

_Order = Callable[[SessionWorker], Awaitable[Any]]
"""Has a worker perform a run, and returns its report."""
_DIED, _KILLED, _MAX_DEATHS = 5, 1, 10
"""What a worker's death counts for the sessions whose runs it had, and the sum at which a session is quarantined: two
deaths of its own, or ten by SIGKILL, which comes from outside, at worst for want of memory. A run that ends clears
it."""
_ALONE = 1.0
"""Seconds that a run which may have killed its worker has for itself, before the next suspect may run too."""


class Gateway:
    """Performs runs in the sessions of ``home``, stores what comes of them, and answers for it."""

    def __init__(self, config: ServerConfig, secret: bytes, ledger: ServerLedger) -> None:
        self.home = Residence(config, secret, ledger, self._continue)
        self.ledger = ledger
        self.draining = False
        self.closers: list[Callable[[], Awaitable[None]]] = []
        """What else is ended with the server, before its store is closed."""
        self.quarantined = 0
        self._alone = asyncio.Lock()

    # The server's own life.

    async def drain(self, grace: float) -> None:
        """Let runs finish or pause them, store every session, and end the workers. No new request is taken."""
        self.draining = True
        until = time.monotonic() + grace
        await asyncio.gather(*(self._settle(session, until) for session in self.home.sessions()))
        await asyncio.gather(*(close() for close in self.closers))
        await self.home.close()

    async def _settle(self, session: ServedSession, until: float) -> None:
        """Have a session's run end: paused where it can be, else interrupted when the time is up."""
        run = session.running
        if run is None or session.worker is None:
            return
        while not run.over and (left := until - time.monotonic()) > 0:
            with suppress(Problem, WorkerLost):
                await session.worker.call("pause", sid=session.id, timeout=min(0.5, left))
            await run.ended(min(0.2, max(left, 0.0)))
        if not run.over:
            with suppress(Problem, WorkerLost):
                await session.worker.call("interrupt", sid=session.id)
            await run.ended(2.0)

    # Runs.

    async def run(self, session: ServedSession, asked: dict[str, Any], *, wait: bool) -> ServedRun:
        """Run a program, or return the run of that id if there is one. With ``wait`` it is over, or asks its client.

        Raises Problem, ConfigurationError.
        """
        id, code, stdin = asked.get("id") or "", asked["code"], asked.get("stdin")
        digest = digest_of(code, stdin, asked.get("limits"))
        while True:
            known = await self.known_run(session, id, digest) if id else None
            if known is not None:
                if wait:
                    await known.ended(or_asks=True)
                return known
            if self.home.holds(session):
                break
            # It is being parked, or on its way into a worker.
            async with session.lock:
                pass
            session = await self.home.find(session.tenant, session.id)
        self._check_usable(session)
        usual = self._limits(session, {})
        wanted = self._limits(session, asked.get("limits") or {})
        run = ServedRun(id or new_id("r"), digest)
        # Calls of the client's tools are seen here. Whether one of the server's was made before a worker died, is not.
        run.asked = bool(session.tenant.config.tools or session.tenant.config.mcp)
        limits = await self._begun(session, run, wanted)
        has_events = bool(asked.get("events")) or bool(session.spec["tools"])

        def order(worker: SessionWorker) -> Awaitable[Any]:
            return worker.call(
                "run",
                run.event,
                sid=session.id,
                rid=run.id,
                code=code,
                stdin=stdin,
                limits=None if limits is usual else limits_form(limits),
                events=has_events,
                save=session.is_due,
            )

        driving = self._drive(session, run, order)
        if wait and not session.spec["tools"]:
            await driving
        else:
            self.home.background(driving)
            if wait:
                await run.ended(or_asks=True)
        return run

    async def _begun(self, session: ServedSession, run: ServedRun, limits: Limits) -> Limits:
        """Have the session be a run's, if its tenant may have one more; return the limits. Raises Problem."""
        session.running, session.busy = run, True
        session.remember(run)
        try:
            return await self.home.admit(session.tenant, limits)
        except BaseException as refusal:
            session.running, session.busy = None, False
            session.runs.pop(run.id, None)
            # For others who have sent the same meanwhile.
            run.fail(refusal if isinstance(refusal, Problem) else Problem(503, "not_begun", "the run was not begun"))
            raise

    async def known_run(self, session: ServedSession, id: str, digest: str | None = None) -> ServedRun | None:
        """Return a run by its id. Raises Problem where there was another one of that id, or where it was lost."""
        run = session.runs.get(id)
        if run is not None and run.status == "refused":
            # It was never begun, so its id is still free.
            del session.runs[id]
            run = None
        if run is None:
            # Not in memory any more: it waits to be stored with its session's state, or is stored.
            unsaved = session.unsaved.get(id)
            stored: tuple[Any, ...] | None
            if unsaved is not None:
                stored = unsaved[1][2:5]
            elif session.ids is not None and id not in session.ids:
                return None
            else:
                stored = await self.ledger.read(self.ledger.run, session.id, id)
            # Meanwhile it may have been begun, by another request of the same id.
            run = session.runs.get(id)
            if run is None:
                if stored is None:
                    return None
                run = ServedRun(id, stored[0])
                run.end(stored[1], stored[2] or b"{}")
                session.remember(run)
        if digest is not None and run.digest != digest:
            raise Problem(
                409,
                "run_id_reused",
                "there is a run of this id with another program",
                cause="the id of a run is the key by which it is run once",
                remedy="use a new id for a new program",
            )
        if id in session.lost:
            raise Problem(410, "run_lost", "this run's state was lost with its worker", remedy="run it under a new id")
        return run

    def _limits(self, session: ServedSession, asked: dict[str, Any]) -> Limits:
        if not asked:
            return session.limits
        clamped = session.tenant.config.clamped({**session.spec["limits"], **asked})
        if clamped.memory != session.spec["limits"]["memory"]:
            raise ConfigurationError("memory", "it is the session's: set it when the session is created")
        return clamped

    def _check_usable(self, session: ServedSession) -> None:
        row = session.row
        if row.quarantined is not None:
            left = row.quarantined + self.home.config.quarantine - time.time()
            if left > 0:
                raise Problem(
                    423,
                    "session_quarantined",
                    "workers died in this session's runs, one after the other",
                    cause="its program may be what ends them",
                    remedy="wait, or go back to a snapshot; its state in the store is whole",
                    retry_after=left,
                )
        if session.busy:
            raise Problem(409, "session_busy", "a run is in progress", remedy="wait for it, or use another session")
        waits = session.waits
        if waits is not None:
            raise Problem(
                409,
                "session_suspended",
                "a program in this session waits for answers",
                remedy="resume or cancel it",
                run=waits["run"],
                waits=waits["calls"],
            )
        session.tenant.check_stored()

    async def _drive(self, session: ServedSession, run: ServedRun, order: _Order) -> None:
        """Have a run performed, and once more where its worker died before it did anything; store what came of it."""
        tenant = session.tenant
        try:
            report = await self._performed(session, run, order)
            await self._settled(session, run, report)
            run.fuel = report["fuel"]
            run.end(report["status"], report["body"])
            tenant.latencies.append(time.monotonic() - run.began)
        except (Problem, ConfigurationError) as problem:
            run.fail(problem if isinstance(problem, Problem) else invalid(problem))
        except Exception as error:
            run.fail(Problem(500, "internal", f"the server failed: {type(error).__name__}", remedy="report this"))
            raise
        finally:
            session.running, session.busy = None, False
            session.touched = time.monotonic()
            tenant.ended_run()

    async def _performed(self, session: ServedSession, run: ServedRun, order: _Order) -> dict[str, Any]:
        report: dict[str, Any]
        try:
            report = await order(await self.home.opened(session))
            return report
        except WorkerLost as lost:
            await self._note_death(session, run, lost)
        # Until it ends, or was there too often when a worker died.
        while True:
            async with self._by_itself():
                try:
                    report = await order(await self.home.opened(session))
                    return report
                except WorkerLost as lost:
                    await self._note_death(session, run, lost)

    async def _note_death(self, session: ServedSession, run: ServedRun, lost: WorkerLost) -> None:
        """Count a worker's death in this session's run; raise Problem where the run is not to be repeated."""
        deaths = session.row.deaths + (_KILLED if lost.was_killed else _DIED)
        quarantined = time.time() if deaths >= _MAX_DEATHS else None
        self.quarantined += quarantined is not None
        session.row = session.row._replace(deaths=deaths, quarantined=quarantined)
        if session.is_listed:
            change: Change = "count_deaths", (deaths, quarantined, session.id)
            try:
                await self.ledger.write([check_lease(session.row), change])
            except LeaseLost:
                raise await self.home.fence(session) from None
        if session.lost or session.durable == "never":
            raise Problem(410, "state_lost", "the worker died, and the session's state with it", runs=session.lost)
        if run.asked:
            raise Problem(
                503,
                "run_lost",
                "the worker died in this run, after it had called tools; the session is where it was before",
                cause="whether the last call was made is not known",
                remedy="look whether it was, then run the program under a new id",
            )
        if quarantined is not None:
            self._check_usable_after_death(session)

    def _check_usable_after_death(self, session: ServedSession) -> None:
        busy, session.busy = session.busy, False
        try:
            self._check_usable(session)
        finally:
            session.busy = busy

    @asynccontextmanager
    async def _by_itself(self) -> AsyncGenerator[None]:
        """Let suspects run one at a time, for a moment each, so that the one which ends workers is known."""
        await self._alone.acquire()
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._alone.release()

        timer = asyncio.get_running_loop().call_later(_ALONE, release)
        try:
            yield
        finally:
            timer.cancel()
            release()

    async def _settled(self, session: ServedSession, run: ServedRun, report: dict[str, Any]) -> None:
        """Put a run into the books, and store it as the session's durability wants it."""
        tenant, status, state = session.tenant, report["status"], report["state"]
        is_whole = status != "paused"
        if session.ended:
            self.ledger.post([tenant.charged(report["fuel"], report["wall"], 1, report["calls"], report["output"])])
            return
        charge = tenant.charged(report["fuel"], report["wall"], is_whole, report["calls"], report["output"])
        record: Change = "keep_run", (session.id, run.id, run.digest, status, report["body"], time.time())
        waits = None
        if status != "done":
            waiting = {
                "kind": status,
                "run": run.id,
                "calls": report["waits"],
                "digest": run.digest,
                "events": run.first_event + len(run.events),
            }
            waits = json.dumps(waiting)
        if state is not None:
            kept = [record] if is_whole else []
            await self.home.save(session, state, waits, *kept, charge)
        else:
            session.changed = True
            session.row = session.row._replace(deaths=0, waits=waits)
            if session.durable != "never":
                session.unsaved[run.id] = record
            self.ledger.post([charge])
            await self.home.check_current(session)
        if status == "suspended":
            token = tenant.token({"s": session.id, "r": run.id, "v": session.row.version}, self._token_life(session))
            report["body"] = report["body"][:-1] + b',"token":' + dumps(token) + b"}"

    def _token_life(self, session: ServedSession) -> float:
        return max(0.0, min(self.home.config.token_life, session.row.expires - time.time()))

    def token(self, session: ServedSession) -> str | None:
        """Return a token for the session's suspended program, None if there is none."""
        waits = session.waits
        if waits is None or waits["kind"] != "suspended":
            return None
        content = {"s": session.id, "r": waits["run"], "v": session.row.version}
        return session.tenant.token(content, self._token_life(session))

    async def resume(
        self, tenant: Tenant, token: str, asked: dict[str, Any], *, wait: bool
    ) -> tuple[ServedSession, ServedRun]:
        """Resume a suspended program with answers. One token resumes once: the same answers again give the same run.

        Raises Problem.
        """
        content = tenant.read_token(token)
        session = await self.home.find(tenant, content["s"])
        id, digest = f"{content['r']}.{content['v']}", digest_of(asked.get("answers"))
        known = await self.known_run(session, id, digest)
        if known is None:
            waits = session.waits
            if waits is None or session.row.version != content["v"]:
                raise Problem(409, "token_used", "this token's program was resumed already, or cancelled")
            if session.busy:
                raise Problem(409, "session_busy", "the program is being resumed")
            known = ServedRun(id, digest)
            known.asked = True
            await self._begun(session, known, self._limits(session, {}))
            self.home.background(
                self._drive(session, known, self._resuming(session, known, asked.get("answers") or {}))
            )
        if wait:
            await known.ended(or_asks=True)
        return session, known

    def _continue(self, session: ServedSession) -> None:
        """Resume a program that was computing when the server ended."""
        waits = session.waits
        if waits is None or self.draining:
            return
        run = ServedRun(waits["run"], waits["digest"], waits["events"])
        session.running, session.busy = run, True
        session.remember(run)
        session.tenant.running += 1
        self.home.background(self._drive(session, run, self._resuming(session, run, None)))

    def _resuming(self, session: ServedSession, run: ServedRun, answers: dict[str, Any] | None) -> _Order:
        def order(worker: SessionWorker) -> Awaitable[Any]:
            return worker.call(
                "resume",
                run.event,
                sid=session.id,
                rid=run.id,
                answers=answers,
                events=True,
                save=session.durable == "run",
            )

        return order

    async def cancel_suspended(self, session: ServedSession) -> None:
        """Give the suspended program up: the session is where it was before. Raises Problem."""
        waits = session.waits
        if waits is None:
            raise Problem(409, "not_suspended", "no program is suspended in this session")
        async with self._using(session, even_suspended=True):
            state = await self._calling(session, "cancel_suspended", save=True)
            await self.home.save(session, state, None)

    async def answer(self, session: ServedSession, run: ServedRun, call: str, answer: dict[str, Any]) -> None:
        """Give a call its answer. Raises Problem where none of that id waits."""
        if session.running is not run or call not in run.calls or session.worker is None:
            raise not_found("call")
        run.answered(call)
        if not await session.worker.call("answer", sid=session.id, call=call, answer=answer):
            raise not_found("call")

    async def interrupt(self, session: ServedSession, run: ServedRun) -> bool:
        """End a run in progress; its error is Interrupted. Returns whether it was in progress."""
        if session.running is not run or session.worker is None:
            return False
        interrupted: bool = await session.worker.call("interrupt", sid=session.id)
        return interrupted

    # Variables and files, snapshots and forks.

    async def ask(self, session: ServedSession, method: str, *arguments: Any) -> Any:
        """Get or set a variable, or read, write or list files. Raises Problem."""
        async with self._using(session):
            report = await self._calling(
                session, "ask", method=method, arguments=list(arguments), save=session.durable == "run"
            )
            charge = session.tenant.charged(report["fuel"], 0.0, 0, 0, 0)
            if report["state"] is not None:
                await self.home.save(session, report["state"], None, charge)
            else:
                session.changed = session.changed or method in ("set", "put_file")
                self.ledger.post([charge])
                await self.home.check_current(session)
        return report["value"]

    async def snapshot(self, session: ServedSession) -> str:
        """Keep the session's state under an id of its own, which never changes, and return it. Raises Problem."""
        session.tenant.check_stored()
        async with self._using(session, even_suspended=True):
            id = new_id("snap")
            if session.changed or session.row.state is None:
                await self.home.save(session, await self._calling(session, "snapshot"), session.row.waits)
            row = session.row
            spec = json.dumps(session.spec | {"parent": session.id})
            values = (id, row.tenant, time.time(), spec, row.state, row.waits)
            await self.ledger.write([("add_snapshot", values)])
        return id

    async def snapshot_facts(self, id: str) -> dict[str, Any]:
        """Return the labels and the session of a snapshot."""
        found = await self.ledger.read(self.ledger.snapshot, id)
        return {} if found is None else facts_of(found[2])

    async def delete_snapshot(self, tenant: Tenant, id: str) -> None:
        """Forget a snapshot. Raises Problem."""
        found = await self.ledger.read(self.ledger.snapshot, id)
        if found is None or found[0] != tenant.name:
            raise not_found("snapshot")
        await self.ledger.write([("remove_snapshot", (id,)), *drop_state(found[3])])
        tenant.is_counted = False

    async def fork(self, session: ServedSession, count: int) -> list[ServedSession]:
        """Create sessions in the state of this one; the state itself is stored once. Raises Problem."""
        tenant = session.tenant
        tenant.admit_create(count)
        async with self._using(session, even_suspended=True):
            if session.changed or session.row.state is None:
                state = await self._calling(session, "snapshot")
                await self.home.save(session, state, session.row.waits)
            row = session.row
            spec = session.spec | {"parent": session.id}
            rows = [self.home.new_row(tenant, spec, row.state, row.waits)._replace(holder=None) for _ in range(count)]
            await self.home.insert(tenant, rows)
        return [ServedSession(each, tenant) for each in rows]

    @asynccontextmanager
    async def _using(self, session: ServedSession, *, even_suspended: bool = False) -> AsyncGenerator[None]:
        """Have a session for oneself. Raises Problem where it is in use."""
        if session.busy or not even_suspended:
            self._check_usable(session)
        session.busy = True
        try:
            yield
        finally:
            session.busy, session.touched = False, time.monotonic()

    async def _calling(self, session: ServedSession, order: str, **arguments: Any) -> Any:
        """Give an order to the session's worker; once more where that died, as nothing of it was stored."""
        for _ in range(2):
            with suppress(WorkerLost):
                return await (await self.home.opened(session)).call(order, sid=session.id, **arguments)
            if session.lost:
                raise Problem(410, "state_lost", "the worker died, and the session's state with it", runs=session.lost)
        raise Problem(503, "worker_lost", "the worker died, twice", remedy="try again", retry_after=1.0)


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
