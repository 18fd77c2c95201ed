"""Agents of tenants: what each run of one is, what happened in it, and the requests about it.

Agents run in a process of their own (:mod:`cloche.serve.agent_host`), which is started when the first one is asked for.
A run is here for as long as it is kept: its log of events, which any number of clients follow from any event on, and a
folder in the store with what it was after each step. It waits for a person as data, and so survives the server.
"""

import asyncio
import base64
import binascii
import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from cloche.runtime._files import write_atomically
from cloche.serve.app import Api, Routes, checked_id, event_stream, json_answer, page_size
from cloche.serve.forms import Id, Problem, Seconds, dumps
from cloche.serve.placement import SessionWorker, WorkerLost
from cloche.serve.runs import ServedRun, new_id, not_found
from cloche.serve.tenants import Tenant, digest_of

__all__ = ["ROUTES", "AgentApi", "AgentRun", "AgentRuns"]

_MAX_EVENTS, _MAX_BYTES = 20_000, 16 << 20
"""Events of one run, and their bytes, after which only those that say how it goes on are kept."""
_LASTING = frozenset({"budget", "waiting", "answered", "run_ended", "over", "cut"})
_MAX_KEPT = 500
"""Runs of one tenant that are kept; of more, the oldest that are over are forgotten."""
_MAX_LOGS = 64
"""Logs of runs that are over in memory at once, of all tenants."""
_MAX_TEXT = 200_000
_TITLE = 200
_LINK = 30 * 86_400.0
"""Seconds that a link to a run is valid."""
_AGAIN = 0.1
"""Seconds after which a run that could not be stopped is stopped again."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OriginForm(_Body):
    """Where a run begins: at the end of another one, or behind a step of it."""

    run: Id
    step: Annotated[int, Field(ge=1, le=10_000)] | None = None


class AgentBudgetForm(_Body):
    """What a run may use; never more than the agent's own budget."""

    tokens: Annotated[int, Field(ge=0)] | None = None
    cost: Annotated[float, Field(ge=0)] | None = None
    seconds: Seconds | None = None
    tool_calls: Annotated[int, Field(ge=0)] | None = None
    max_steps: Annotated[int, Field(ge=1, le=10_000)] | None = None


class AgentRunForm(_Body):
    """A task for an agent. ``id`` is the client's: sent again, the run is not begun again, but returned."""

    agent: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    task: Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)] | None = None
    """None only behind a step of another run, whose task is then continued."""
    id: Id | None = None
    origin: OriginForm | None = None
    images: Annotated[list[str], Field(max_length=16)] = []
    """Images in base64."""
    files: Annotated[dict[Annotated[str, Field(pattern=r"^[^/\x00]{1,128}$")], str], Field(max_length=32)] = {}
    """Files for the working folder by name, in base64."""
    budget: AgentBudgetForm = AgentBudgetForm()


class CallAnswerForm(_Body):
    """The answer to a call that waits: ``approve``, with other ``arguments`` if they are to be corrected; or ``deny``
    with a reason; or, where no approval is needed, a ``value`` or an ``error``.
    """

    approve: bool | None = None
    arguments: dict[str, Any] | None = None
    deny: Annotated[str, Field(max_length=10_000)] | None = None
    value: Any = None
    error: dict[str, str] | None = None


class AgentLog(ServedRun):
    """The events of a run of an agent, for those who follow it."""

    def __init__(self, id: str) -> None:
        super().__init__(id, "")
        self._bytes = 0
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether no event will follow."""
        return self._closed

    def event(self, name: str, data: bytes) -> None:
        """Add an event, or a note that no more are kept."""
        is_full = len(self.events) >= _MAX_EVENTS or self._bytes > _MAX_BYTES
        if is_full and name not in _LASTING:
            if self.events[-1][0] == "cut":
                return
            name, data = "cut", dumps({"event": "cut", "reason": "the run has more events than are kept"})
        self._bytes += len(data)
        self.events.append((name, data))
        self._tell()

    def put(self, name: str, **form: Any) -> None:
        """Add an event of the server's own."""
        self.event(name, dumps({"event": name, "time": round(time.time(), 3), **form}))

    def close(self) -> None:
        """Let those who follow come to the end."""
        self._closed = True
        self._tell()

    def lines(self) -> bytes:
        """Return the events as they are kept."""
        return b"".join(data + b"\n" for _, data in self.events)

    def load(self, lines: bytes) -> None:
        """Take events that were kept. Each says its name first."""
        for line in lines.splitlines():
            if line.startswith(b'{"event":"'):
                self.events.append((line[10 : line.index(b'"', 10)].decode(), line))
                self._bytes += len(line)


class AgentRun:
    """One run: a task for an agent, or the continuation of another run's. ``row`` is what of it is kept beside events.

    ``status`` is ``running``, ``waiting`` (for answers to ``calls``) or ``done``; ``state`` how it ended.
    """

    def __init__(self, folder: Path, row: dict[str, Any]) -> None:
        self.folder, self.row = folder, row
        self.log: AgentLog | None = None
        self.began = time.monotonic()

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.row["id"])

    @property
    def status(self) -> str:
        """Whether it runs, waits or is done."""
        return str(self.row["status"])

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {key: value for key, value in self.row.items() if key not in ("digest", "name")}

    def take(self, name: str, data: bytes) -> dict[str, Any] | None:
        """Take an event, and count what it says was used. Returns what a program used, if one has ended."""
        assert self.log is not None
        self.log.event(name, data)
        used = self.row["used"]
        if name == "tool_call_started":
            used["tool_calls"] += 1
        elif name == "step_ended":
            # Those of the agents that it manages are their calls' affair.
            used["steps"] += json.loads(data)["agent"] == self.row.get("name")
        elif name == "budget":
            budget = json.loads(data)
            self.row["name"] = budget["agent"]
            if "budget" not in self.row:
                self.row["budget"] = {key: budget[key] for key in AgentBudgetForm.model_fields}
        elif name == "model_finished":
            usage: dict[str, Any] = json.loads(data).get("usage") or {}
            used["tokens"] += usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
            if usage.get("cost") is not None:
                used["cost"] = (used["cost"] or 0.0) + usage["cost"]
        elif name == "code_finished":
            form: dict[str, Any] = json.loads(data)
            used["fuel"] += form["fuel"] or 0
            used["memory"] = max(used["memory"], form["memory"])
            return form
        return None

    def bounds(self) -> dict[str, Any]:
        """Return what is left of its budget."""
        left: dict[str, Any] = {}
        spent = {**self.row["used"], "max_steps": self.row["used"]["steps"]}
        for name, amount in self.row.get("budget", {}).items():
            if amount is not None:
                left[name] = max(0, amount - (spent.get(name) or 0))
        return left

    def begin(self) -> None:
        """Make its folder, and write down that it is there."""
        self.folder.mkdir(mode=0o700, parents=True)
        self.save(events=False)

    def kept_events(self) -> bytes:
        """Read the events that are kept."""
        path = self.folder / "events.jsonl"
        return path.read_bytes() if path.exists() else b""

    def save(self, *, events: bool) -> None:
        """Write down what it is; with its ``events``, which are many."""
        if events and self.log is not None:
            write_atomically(self.folder / "events.jsonl", self.log.lines())
        write_atomically(self.folder / "run.json", dumps(self.row))


class AgentRuns:
    """The runs of all tenants, and the process that performs them."""

    def __init__(self, api: Api) -> None:
        self._gateway, self._home = api.gateway, api.gateway.home
        self._folder = api.home.config.store / "agents"
        self._runs: dict[str, dict[str, AgentRun]] = {}
        self._worker: SessionWorker | None = None
        self._starting = asyncio.Lock()
        self._settings: dict[str, dict[str, str]] | None = None
        self._closed: dict[str, AgentRun] = {}
        self._gateway.closers.append(self.close)

    # The process.

    async def host(self) -> SessionWorker:
        """Return the process that runs agents, started if need be, with the tenants' settings of now."""
        settings = {name: dict(each.agents) for name, each in self._home.config.tenants.items()}
        async with self._starting:
            worker = self._worker
            if worker is None or not worker.alive:
                worker = self._worker = SessionWorker("agents", 0, self._lost, "cloche.serve.agent_host")
                self._settings = None
                await worker.start()
                await worker.ready
            if settings != self._settings:
                await worker.call("tenants", settings=settings)
                self._settings = settings
        return worker

    def _lost(self, worker: SessionWorker) -> None:
        self._home.background(asyncio.to_thread(worker.reap))

    async def close(self) -> None:
        """End what runs, write it all down, and end the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
        for run in [run for runs in self._runs.values() for run in runs.values()]:
            if run.status == "running":
                await self._end(run, "lost", "the server ended")
                await asyncio.to_thread(run.save, events=True)

    async def describe(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Return what a tenant's agents are."""
        described: list[dict[str, Any]] = await (await self.host()).call("describe", tenant=tenant.name)
        return described

    # The runs.

    async def of(self, tenant: Tenant) -> dict[str, AgentRun]:
        """Return a tenant's runs by id, the oldest first; read from the store when they are first asked for."""
        runs = self._runs.get(tenant.name)
        if runs is None:
            read = await asyncio.to_thread(_read, self._folder / tenant.name)
            # Another request may have been first, and its runs are the ones from now on.
            runs = self._runs.setdefault(tenant.name, {run.id: run for run in read})
        return runs

    async def find(self, tenant: Tenant, id: str) -> AgentRun:
        """Return a tenant's run. Raises Problem: one of someone else does not exist."""
        run = (await self.of(tenant)).get(id)
        if run is None:
            raise not_found("run")
        return run

    async def log(self, run: AgentRun) -> AgentLog:
        """Return a run's log, read from the store where it is not in memory."""
        kept = b"" if run.log is not None else await asyncio.to_thread(run.kept_events)
        if run.log is None:
            run.log = AgentLog(run.id)
            run.log.load(kept)
            last = run.log.events[-1][0] if run.log.events else ""
            if run.status == "waiting" and last != "waiting":
                run.log.put("waiting", calls=run.row["calls"])
            if run.status == "done":
                if last != "over":
                    self._put_over(run, run.log, "the server died")
                run.log.close()
        if run.status == "done":
            self._closed.pop(run.id, None)
            self._closed[run.id] = run
            while len(self._closed) > _MAX_LOGS:
                self._closed.pop(next(iter(self._closed))).log = None
        return run.log

    async def create(self, tenant: Tenant, form: AgentRunForm) -> AgentRun:
        """Begin a run, or return the one of that id. Raises Problem."""
        runs, digest = await self.of(tenant), digest_of(form.model_dump(exclude={"id"}))
        if form.id is not None and form.id in runs:
            run = runs[form.id]
            if run.row["digest"] != digest:
                raise Problem(409, "run_id_reused", "there is a run of this id with another task")
            return run
        if form.agent not in tenant.config.agents:
            raise not_found("agent")
        before = None if form.origin is None else await self.find(tenant, form.origin.run)
        origin = None if form.origin is None or before is None else await _origin(before, form.origin)
        images, files = [_data(each) for each in form.images], {name: _data(each) for name, each in form.files.items()}
        if form.id is not None and form.id in runs:
            return await self.create(tenant, form)
        run = self._new(tenant, form, digest, before)
        self._prune(runs)
        self._check_stored(tenant, runs)
        await self._home.admit(tenant, tenant.config.default_limits)
        try:
            runs[run.id] = run
            await asyncio.to_thread(run.begin)
        except OSError as error:
            runs.pop(run.id, None)
            tenant.ended_run()
            raise Problem(503, "store_failed", "the store failed", cause=type(error).__name__) from None
        run.log = AgentLog(run.id)
        run.log.put("created", run=run.id, agent=form.agent, task=run.row["task"], origin=run.row["origin"])
        asked: dict[str, Any] = {
            "task": form.task,
            "images": images,
            "files": files,
            "origin": None if origin is None else str(origin),
            "bounds": form.budget.model_dump(),
        }
        self._home.background(self._drive(tenant, run, "start", asked))
        return run

    def _new(self, tenant: Tenant, form: AgentRunForm, digest: str, before: AgentRun | None) -> AgentRun:
        id = form.id or new_id("ar")
        task = form.task
        if task is None:
            if before is None:
                raise Problem(422, "invalid", "task: a run that begins anew needs one", field="task")
            task = str(before.row["task"])
        row: dict[str, Any] = {
            "id": id,
            "agent": form.agent,
            "task": task,
            "status": "running",
            "state": None,
            "created": round(time.time(), 3),
            "ended": None,
            "origin": None if form.origin is None else form.origin.model_dump(),
            "calls": [],
            "files": [],
            "used": {"steps": 0, "tokens": 0, "cost": None, "fuel": 0, "memory": 0, "tool_calls": 0, "seconds": 0.0},
            "digest": digest,
        }
        # Behind a prefix: an id may be two dots.
        return AgentRun(self._folder / tenant.name / f"run-{id}", row)

    def _prune(self, runs: dict[str, AgentRun]) -> None:
        over = [run for run in runs.values() if run.status == "done"]
        for run in over[: max(0, len(runs) + 1 - _MAX_KEPT)]:
            self._forget(runs, run)

    def _check_stored(self, tenant: Tenant, runs: dict[str, AgentRun]) -> None:
        """Raise Problem where more runs wait than are kept, or what is kept takes more than the tenant may store."""
        tenant.check_stored()
        limit = tenant.quotas.stored_bytes
        kept = sum(int(run.row.get("kept", 0)) for run in runs.values())
        for quota, value, most in (("agent_runs", len(runs), _MAX_KEPT - 1), ("stored_bytes", kept, limit)):
            if value > most:
                text = f"the tenant's runs of agents are at their quota {quota} of {most:,}"
                more: dict[str, Any] = {"quota": quota, "limit": most}
                raise Problem(429, "quota_exceeded", text, remedy="delete runs", retry_after=60.0, **more)

    def _forget(self, runs: dict[str, AgentRun], run: AgentRun) -> None:
        runs.pop(run.id, None)
        self._closed.pop(run.id, None)
        self._home.background(asyncio.to_thread(shutil.rmtree, run.folder, True))

    async def delete(self, tenant: Tenant, run: AgentRun) -> None:
        """Forget a run; one in progress is ended first."""
        await self.stop(tenant, run)
        self._forget(await self.of(tenant), run)

    async def _drive(self, tenant: Tenant, run: AgentRun, order: str, asked: dict[str, Any]) -> None:
        """Have a run performed until it is over or waits, with its events in its log."""

        def take(name: str, data: bytes) -> None:
            used = run.take(name, data)
            if used is not None:
                self._charge(tenant, run, used)

        known = {"tenant": tenant.name, "run": run.id, "agent": run.row["agent"], "folder": str(run.folder)}
        began = time.monotonic()
        try:
            report = await (await self.host()).call(order, take, **known, **asked)
        except WorkerLost:
            await self._end(run, "lost", "the process that ran it died")
        except Problem as problem:
            await self._end(run, "failed", str(problem))
        else:
            run.row["kept"] = int(run.row.get("kept", 0)) + report["kept"]
            run.row["used"]["seconds"] = round(run.row["used"]["seconds"] + time.monotonic() - began, 3)
            if report["waits"] and run.status == "running":
                run.row["status"], run.row["calls"] = "waiting", report["waits"]
                # Before it is said: whoever is asked may answer after the death of the server.
                await asyncio.to_thread(run.save, events=False)
                (await self.log(run)).put("waiting", calls=report["waits"])
            else:
                run.row["files"] = report["files"]
                await self._end(run, report["state"])
        finally:
            tenant.ended_run()
            with suppress(OSError):
                await asyncio.to_thread(run.save, events=True)

    def _charge(self, tenant: Tenant, run: AgentRun, used: dict[str, Any]) -> None:
        """Put what a program used into the tenant's books; where nothing is left for today, the run ends."""
        output = len(used["stdout"]) + len(used["stderr"])
        self._gateway.ledger.post([tenant.charged(used["fuel"] or 0, used["seconds"], 1, used["calls"], output)])
        if tenant.is_spent():
            self._home.background(self.stop(tenant, run))

    async def _end(self, run: AgentRun, state: str, error: str = "") -> None:
        log = await self.log(run)
        if run.status == "done":
            return
        run.row |= {"status": "done", "state": state, "ended": round(time.time(), 3), "calls": []}
        self._put_over(run, log, error)
        log.close()

    def _put_over(self, run: AgentRun, log: AgentLog, error: str) -> None:
        log.put("over", state=run.row["state"], error=error, files=run.row["files"], used=run.row["used"])

    async def stop(self, tenant: Tenant, run: AgentRun) -> bool:
        """End a run, in mid-computation if need be. Returns whether it was in progress."""
        if run.status == "waiting":
            await self._end(run, "interrupted")
            await asyncio.to_thread(run.save, events=True)
            return True
        while run.status == "running":
            if await (await self.host()).call("stop", run=run.id):
                return True
            # Its agent is still being made, or it is just ending.
            await asyncio.sleep(_AGAIN)
        return False

    async def answer(self, tenant: Tenant, run: AgentRun, call: str, form: CallAnswerForm) -> None:
        """Answer a call that waits, and continue the run. Raises Problem."""
        waiting = next((each for each in run.row["calls"] if each["id"] == call), None)
        if run.status != "waiting" or waiting is None:
            raise Problem(409, "call_answered", "no such call waits: it was answered, or its run is over", call=call)
        answer = form.model_dump(exclude_unset=True)
        if waiting["needs_approval"] and not (form.approve or form.deny is not None):
            raise Problem(422, "invalid", "approve: this call is approved or denied", field="approve")
        await self._home.admit(tenant, tenant.config.default_limits)
        if run.status != "waiting" or waiting not in run.row["calls"]:
            tenant.ended_run()
            raise Problem(409, "call_answered", "the call was answered meanwhile", call=call)
        run.row["status"], run.row["calls"] = "running", []
        log = await self.log(run)
        log.put("answered", call=call, tool=waiting["name"], **answer)
        asked = {"answers": {call: answer}, "bounds": run.bounds()}
        self._home.background(self._drive(tenant, run, "answer", asked))

    async def file(self, tenant: Tenant, run: AgentRun, path: str) -> bytes:
        """Return a file that a run has left, as it was at its end. Raises Problem."""
        if run.status == "running":
            raise Problem(409, "run_in_progress", "the run is in progress", remedy="wait until it is over")
        asked = {"tenant": tenant.name, "agent": run.row["agent"], "folder": str(run.folder / "end"), "path": path}
        data: bytes = await (await self.host()).call("file", None, **asked)
        return data


def _read(folder: Path) -> list[AgentRun]:
    """Return the runs that are kept in a folder, the oldest first. One that was running has ended with its server."""
    runs: list[AgentRun] = []
    for each in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError, ValueError, KeyError):
            run = AgentRun(each, json.loads((each / "run.json").read_bytes()))
            if run.status == "running":
                run.row |= {"status": "done", "state": "lost", "ended": run.row["created"]}
            runs.append(run)
    return sorted(runs, key=lambda run: float(run.row["created"]))


async def _origin(run: AgentRun, form: OriginForm) -> Path:
    """Return the folder of where a run begins. Raises Problem."""
    if form.step is None and run.status != "done":
        raise Problem(409, "run_in_progress", "that run is not over", remedy="wait for its end, or name a step")
    folder = run.folder / ("end" if form.step is None else f"step-{form.step}")
    if not await asyncio.to_thread((folder / "memory.json").exists):
        raise Problem(409, "not_kept", "nothing is kept of this step to begin at", remedy="begin at another one")
    return folder


def _data(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Problem(422, "invalid", "images and files are sent in base64") from None


class AgentApi:
    """The requests about agents. Each handler gets the tenant whose key the request has, and raises Problem."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.runs = AgentRuns(api)

    async def _run(self, tenant: Tenant, request: Request) -> AgentRun:
        return await self.runs.find(tenant, checked_id(request, "run", "run"))

    async def list_agents(self, tenant: Tenant, request: Request) -> Response:
        """List the tenant's agents: what they are for, their tools, and what they may use."""
        return json_answer({"agents": await self.runs.describe(tenant) if tenant.config.agents else []})

    async def create_agent_run(self, tenant: Tenant, request: Request) -> Response:
        """Give an agent a task, anew or where another run was; its events where the client accepts them."""
        run = await self.runs.create(tenant, await self._api.form(request, AgentRunForm))
        request.state.audit = {"run": run.id}
        if "text/event-stream" in request.headers.get("accept", ""):
            return event_stream(await self.runs.log(run), 0)
        return json_answer(run.shown(), 201, location=f"/v1/agent-runs/{run.id}")

    async def list_agent_runs(self, tenant: Tenant, request: Request) -> Response:
        """List runs, the newest first: with ``status``, ``agent`` and a text that is ``in`` the task, if given."""
        query, limit = request.query_params, page_size(request)
        wanted = query.get("in", "").lower()[:_TITLE]
        found: list[dict[str, Any]] = []
        after = query.get("after", "")
        for run in reversed((await self.runs.of(tenant)).values()):
            row = run.row
            if after:
                after = "" if run.id == after else after
                continue
            fits = query.get("status") in (None, "", row["status"], row["state"])
            if fits and query.get("agent") in (None, "", row["agent"]) and wanted in row["task"].lower():
                found.append({**run.shown(), "task": row["task"][:_TITLE], "files": [], "calls": len(row["calls"])})
                if len(found) == limit:
                    break
        return json_answer({"runs": found, "next": found[-1]["id"] if len(found) == limit else None})

    async def get_agent_run(self, tenant: Tenant, request: Request) -> Response:
        """Show a run: its state, what it has used of what, and the calls that wait."""
        return json_answer((await self._run(tenant, request)).shown())

    async def follow_agent_run(self, tenant: Tenant, request: Request) -> Response:
        """Follow a run's events, from the one behind ``Last-Event-ID``."""
        last = request.headers.get("last-event-id", "0")
        log = await self.runs.log(await self._run(tenant, request))
        return event_stream(log, int(last) if last.isdecimal() and len(last) < 10 else 0)

    async def stop_agent_run(self, tenant: Tenant, request: Request) -> Response:
        """End a run, in the middle of a program too."""
        return json_answer({"stopped": await self.runs.stop(tenant, await self._run(tenant, request))})

    async def answer_agent_call(self, tenant: Tenant, request: Request) -> Response:
        """Approve, correct or deny a call that waits."""
        run, form = await self._run(tenant, request), await self._api.form(request, CallAnswerForm)
        await self.runs.answer(tenant, run, checked_id(request, "call", "call"), form)
        return Response(status_code=204)

    async def link_agent_run(self, tenant: Tenant, request: Request) -> Response:
        """Make a link under which whoever has it may read the run, for 30 days."""
        run = await self._run(tenant, request)
        return json_answer({"link": f"/ui/#/shared/{tenant.name}.{tenant.token({'a': run.id}, _LINK)}"}, 201)

    async def delete_agent_run(self, tenant: Tenant, request: Request) -> Response:
        """Forget a run; one in progress is ended first."""
        await self.runs.delete(tenant, await self._run(tenant, request))
        return Response(status_code=204)

    async def get_agent_file(self, tenant: Tenant, request: Request) -> Response:
        """Return a file that a run has left."""
        data = await self.runs.file(
            tenant, await self._run(tenant, request), "/" + request.path_params["path"].lstrip("/")
        )
        headers = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
        return Response(data, 200, headers, "application/octet-stream")


ROUTES: Routes = (
    ("GET", "/v1/agents", "list_agents", None),
    ("POST", "/v1/agent-runs", "create_agent_run", AgentRunForm),
    ("GET", "/v1/agent-runs", "list_agent_runs", None),
    ("GET", "/v1/agent-runs/{run}", "get_agent_run", None),
    ("DELETE", "/v1/agent-runs/{run}", "delete_agent_run", None),
    ("GET", "/v1/agent-runs/{run}/events", "follow_agent_run", None),
    ("POST", "/v1/agent-runs/{run}/stop", "stop_agent_run", None),
    ("POST", "/v1/agent-runs/{run}/link", "link_agent_run", None),
    ("POST", "/v1/agent-runs/{run}/calls/{call}", "answer_agent_call", CallAnswerForm),
    ("GET", "/v1/agent-runs/{run}/files/{path:path}", "get_agent_file", None),
)
