"""The process that runs agents: it knows each tenant's agents by name, and no keys, no HTTP.

The gateway sends orders over one socket, as to a worker of sessions, and gets what happens in a run as events: lines of
a run record, and the pieces of text between them. A run that waits for a person is a folder on the disk and nothing
else; so is a step that another run may begin at. The process can be killed at any moment: runs in progress end with it.
"""

import asyncio
import base64
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary
from zlib import crc32

from cloche.agent.base import MultiStepAgent
from cloche.agent.code_agent import CodeAgent
from cloche.agent.errors import AgentSuspended
from cloche.agent.events import AgentEvent, CodeFinished, Printed, RunResult, TextDelta
from cloche.agent.memory import AgentMemory
from cloche.agent.messages import ImagePart
from cloche.agent.monitoring.records import event_form
from cloche.agent.settings import RunBudget
from cloche.agent.steps import ActionStep
from cloche.agent.values import plain_in_short
from cloche.host_tools.errors import ToolFailed
from cloche.runtime.errors import ConfigurationError, GuestError
from cloche.runtime.result import Display
from cloche.serve.forms import Problem, dumps, from_form, to_form
from cloche.serve.worker import OrderHost, run_host

__all__ = ["AgentHost", "load_agent"]

_TOGETHER = 0.04
"""Seconds in which pieces of text become one event."""
_MAX_PIECE = 64 << 10
_MAX_PRINTED = 2 << 20
"""Characters that the programs of one run print and its followers see; the model sees its own share of them."""
_MAX_STEPS = 100
_MAX_KEPT = 64 << 20
"""Steps of a run that another one may begin at, and bytes of what is kept of them together."""
_MAX_SHOWN = 8
_MAX_IMAGE = 1 << 20
"""Images that a step shows, and bytes of one."""
_MAX_LISTED = 500
_SHOWN = ("image/png", "image/jpeg", "image/svg+xml", "text/html", "text/markdown", "text/plain")
_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_KINDS[".svg"] = "image/svg+xml"
_AMOUNTS = ("tokens", "cost", "seconds", "tool_calls")

Tell = Callable[[str, bytes], None]


def load_agent(reference: str) -> MultiStepAgent:
    """Return a new agent of a reference ``module:name``: a copy of that agent, or what that function returns.

    Raises ConfigurationError for anything else, or what importing the module raises.
    """
    module, _, name = reference.partition(":")
    found = getattr(import_module(module), name, None)
    made = found.copy() if isinstance(found, MultiStepAgent) else found() if callable(found) else found
    if not isinstance(made, MultiStepAgent):
        raise ConfigurationError("agents", f"{reference} is neither an agent nor a function that returns one")
    return made


class _Feed:
    """What happens in one run, from whichever thread, as events in order; pieces that come close together are one."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._parts: list[str] = []
        self._head: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._size = self._printed = 0
        self._count = count(1)
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def __call__(self, event: AgentEvent) -> None:
        """Take an event, as an observer."""
        form = event_form(event)
        if isinstance(event, CodeFinished):
            # Whole, and as events of their own.
            form.pop("displays", None)
            for shown in event.result.displays:
                self._loop.call_soon_threadsafe(self._show, event, shown)
        record = getattr(event, "record", None)
        if record is not None:
            # Its beginning and its end belong together, and arguments do not tell calls apart.
            number = self._numbers.get(record)
            if number is None:
                number = self._numbers[record] = next(self._count)
            form["call"] = number
        is_piece = isinstance(event, TextDelta | Printed)
        self._loop.call_soon_threadsafe(self._piece if is_piece else self.put, form)

    def _show(self, event: AgentEvent, shown: Display) -> None:
        """Pass on what a program shows, in the format that says the most and that a page can show."""
        media_type = next((each for each in _SHOWN if shown.data.get(each)), "")
        content = shown.data.get(media_type)
        data = content.encode(errors="replace") if isinstance(content, str) else content
        is_text = media_type in ("text/markdown", "text/plain")
        # The last value is an event's own already, as text.
        if not isinstance(data, bytes) or len(data) > _MAX_IMAGE or (is_text and shown.kind == "value"):
            return
        head = {"event": "display", "agent": event.agent, "run": event.run_id, "name": ""}
        self.put({**head, "media_type": media_type, "data": base64.b64encode(data).decode()})

    def put(self, form: dict[str, Any]) -> None:
        """Pass an event on, behind all that came before it."""
        self.flush()
        self._tell(form["event"], dumps(form))

    def _piece(self, form: dict[str, Any]) -> None:
        text = self._bounded(form.pop("text"), form["event"])
        if not text and not form.get("restart"):
            return
        same = all(self._head.get(key) == form.get(key) for key in ("event", "run", "stream"))
        if not same or form.get("restart"):
            self.flush()
            self._head = form
        self._parts.append(text)
        self._size += len(text)
        if self._size > _MAX_PIECE:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_TOGETHER, self.flush)

    def _bounded(self, text: str, event: str) -> str:
        """Return what of a piece is shown; where programs print too much, a note ends it."""
        if event != "printed":
            return text
        before, self._printed = self._printed, self._printed + len(text)
        if self._printed <= _MAX_PRINTED:
            return text
        note = f"\n[what this run prints beyond {_MAX_PRINTED:,} characters is not shown]\n"
        return "" if before > _MAX_PRINTED else text[: _MAX_PRINTED - before] + note

    def flush(self) -> None:
        """Pass on what was held back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        head, text = self._head, "".join(self._parts)
        self._head, self._parts, self._size = {}, [], 0
        for start in range(0, len(text), _MAX_PIECE):
            self._tell(head["event"], dumps({**head, "text": text[start : start + _MAX_PIECE]}))
            if head.get("restart"):
                head["restart"] = False

    async def settled(self) -> None:
        """Return when all that was taken so far has been passed on."""
        done = asyncio.Event()
        self._loop.call_soon_threadsafe(done.set)
        await done.wait()
        self.flush()


class _Work:
    """One run here: its agent, its folder, and the images that it has shown."""

    def __init__(self, agent: MultiStepAgent, folder: Path, tell: Tell, bounds: dict[str, Any]) -> None:
        self.agent, self.folder, self.feed = agent, folder, _Feed(tell)
        self._shown: dict[str, int] = {}
        self.kept = 0
        """Bytes that the steps take which are kept."""
        settings = agent.settings
        own = {name: getattr(settings.budget, name) for name in _AMOUNTS} | {"max_steps": settings.max_steps}
        bounded = {name: _smaller(own[name], bounds.get(name)) for name in own}
        settings.max_steps = max(1, bounded["max_steps"])
        settings.budget = RunBudget(**{name: bounded[name] for name in _AMOUNTS})
        self.feed.put({"event": "budget", "agent": agent.name, **bounded})
        settings.observers = (*settings.observers, self.feed)
        settings.stream_outputs = True
        agent.callbacks.register(ActionStep, self._after_step)

    async def _after_step(self, step: ActionStep, agent: MultiStepAgent) -> None:
        """Show the images that the step has left, and keep what another run needs to begin here."""
        with suppress(GuestError, OSError):
            if isinstance(agent, CodeAgent):
                await self._show_files(agent, step)
            for image in step.images:
                if image.data:
                    self._show(step, "image", image.media_type, image.data)
            if step.number <= _MAX_STEPS and self.kept < _MAX_KEPT:
                size = await self.save(f"step-{step.number}")
                if self.kept > _MAX_KEPT:
                    # It alone may be the session's whole memory.
                    await asyncio.to_thread(shutil.rmtree, self.folder / f"step-{step.number}", True)
                    self.kept -= size

    async def _show_files(self, agent: CodeAgent, step: ActionStep) -> None:
        paths = await agent.session.alist_files()
        shown = 0
        for path in paths[:_MAX_LISTED]:
            kind = _KINDS.get(Path(path).suffix.lower())
            if kind is None or shown == _MAX_SHOWN:
                continue
            data = await agent.session.aget_file(path)
            if len(data) <= _MAX_IMAGE and self._shown.get(path) != crc32(data):
                self._shown[path] = crc32(data)
                shown += 1
                self._show(step, path, kind, base64.b64encode(data).decode())

    def _show(self, step: ActionStep, name: str, media_type: str, data: str) -> None:
        head = {"event": "display", "agent": self.agent.name, "step": step.number}
        self.feed.put({**head, "name": name, "media_type": media_type, "data": data})

    async def save(self, name: str) -> int:
        """Keep memory and state in a folder of this name, and return how many bytes it takes."""
        size = await asyncio.to_thread(self._save, self.folder / name)
        self.kept += size
        return size

    def _save(self, folder: Path) -> int:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.agent.memory.save(folder / "memory.json")
        self.agent.save_state(folder)
        (folder / "shown.json").write_text(json.dumps(self._shown))
        return sum(each.stat().st_size for each in folder.rglob("*"))

    async def load(self, folder: Path) -> None:
        """Have the agent begin where another one was. Raises Problem."""
        await asyncio.to_thread(_load, self.agent, folder)
        with suppress(OSError, ValueError):
            self._shown = json.loads((folder / "shown.json").read_text())


def _load(agent: MultiStepAgent, folder: Path) -> None:
    try:
        agent.memory = AgentMemory.load(folder / "memory.json")
    except OSError:
        raise Problem(409, "not_kept", "nothing is kept of this step to begin at", remedy="begin at another") from None
    agent.load_state(folder)


class AgentHost(OrderHost):
    """Hosts agents."""

    # An error of the runtime's is an agent's own fault here, or its author's.
    expected = (Problem,)

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[str, dict[str, str]] = {}
        self._described: dict[str, list[dict[str, Any]]] = {}
        self._running: dict[str, MultiStepAgent] = {}

    # Orders.

    async def do_tenants(self, number: int, settings: dict[str, dict[str, str]]) -> None:
        """Take the tenants' agents: references by name."""
        self._settings = settings
        self._described.clear()

    async def do_describe(self, number: int, tenant: str) -> list[dict[str, Any]]:
        """Report what a tenant's agents are."""
        known = self._described.get(tenant)
        if known is None:
            known = list[dict[str, Any]]()
            for name in self._settings.get(tenant, {}):
                async with self._made(tenant, name) as agent:
                    known.append({"name": name, **_description(agent)})
            self._described[tenant] = known
        return known

    async def do_start(
        self,
        number: int,
        tenant: str,
        run: str,
        agent: str,
        folder: str,
        task: str | None,
        images: list[bytes],
        files: dict[str, bytes],
        origin: str | None,
        bounds: dict[str, Any],
    ) -> dict[str, Any]:
        """Work on a task until it is over or waits for a person, from the start or where another run was.

        Without a task, the other run's own is continued.
        """
        async with self._made(tenant, agent) as made:
            work = _Work(made, Path(folder), self._tell(number), bounds)
            if origin is not None:
                await work.load(Path(origin))
            if files:
                if not isinstance(made, CodeAgent):
                    raise Problem(422, "invalid", "files: this agent has no session to put them in", field="files")
                for name, data in files.items():
                    await made.session.aput_file(name, data)
                task = f"{task or 'Continue.'}\n\nFiles in the working folder: {', '.join(files)}"
            shown = [ImagePart.load(image) for image in images]
            if task is None:
                return await self._perform(run, work, made.aresume(return_full_result=True))
            begun = made.arun(task, reset=False, images=shown, return_full_result=True)
            return await self._perform(run, work, begun)

    async def do_answer(
        self,
        number: int,
        tenant: str,
        run: str,
        agent: str,
        folder: str,
        answers: dict[str, dict[str, Any]],
        bounds: dict[str, Any],
    ) -> dict[str, Any]:
        """Continue a run that waits, with answers by call; reported like a start."""
        async with self._made(tenant, agent) as made:
            work = _Work(made, Path(folder), self._tell(number), bounds)
            await work.load(Path(folder) / "waiting")
            return await self._perform(run, work, made.aresume(return_full_result=True, **_replies(answers)))

    async def do_stop(self, number: int, run: str) -> bool:
        """End a run in progress, its program in mid-computation; reports whether there was one."""
        agent = self._running.get(run)
        return agent is not None and agent.interrupt()

    async def do_file(self, number: int, tenant: str, agent: str, folder: str, path: str) -> bytes:
        """Report the content of a file that a run has left."""
        async with self._made(tenant, agent) as made:
            await asyncio.to_thread(_load, made, Path(folder))
            if not isinstance(made, CodeAgent):
                raise Problem(404, "not_found", "this agent has no files")
            return await made.session.aget_file(path)

    # What they share.

    def _tell(self, number: int) -> Tell:
        return lambda name, data: self.channel.send([number, "event", name, data])

    @asynccontextmanager
    async def _made(self, tenant: str, name: str) -> AsyncGenerator[MultiStepAgent, None]:
        """Make a tenant's agent, which is closed afterwards. Raises Problem."""
        reference = self._settings.get(tenant, {}).get(name)
        if reference is None:
            raise Problem(404, "not_found", f"there is no agent {name!r}")
        made = await asyncio.to_thread(load_agent, reference)
        try:
            yield made
        finally:
            await asyncio.to_thread(made.close)

    async def _perform(self, run: str, work: _Work, begun: Awaitable[Any]) -> dict[str, Any]:
        agent = work.agent
        self._running[run] = agent
        try:
            result: RunResult = await begun
            await work.feed.settled()
            waits = isinstance(result.error, AgentSuspended)
            with suppress(GuestError, OSError):
                await work.save("waiting" if waits else "end")
            files: list[str] = []
            if not waits and isinstance(agent, CodeAgent):
                with suppress(GuestError):
                    files = (await agent.session.alist_files())[:_MAX_LISTED]
        finally:
            del self._running[run]
        waits_for = _calls_form(agent, result.error)
        return {"state": result.state, "waits": waits_for, "files": files, "kept": work.kept}


def _description(agent: MultiStepAgent) -> dict[str, Any]:
    names = {*agent.managed_agents, "final_answer"}
    tools = [
        {"name": name, "description": tool.description[:2_000], "approval": tool.approval}
        for name, tool in agent.tools.items()
        if name not in names
    ]
    budget = {name: getattr(agent.settings.budget, name) for name in _AMOUNTS}
    return {
        "description": agent.description,
        "kind": agent.kind,
        "model": str(getattr(agent.model, "name", "") or type(agent.model).__name__),
        "tools": tools,
        "agents": [{"name": each.name, "description": each.description} for each in agent.managed_agents.values()],
        "budget": {**budget, "max_steps": agent.settings.max_steps},
    }


def _smaller(own: Any, asked: Any) -> Any:
    return min((amount for amount in (own, asked) if amount is not None), default=None)


def _calls_form(agent: MultiStepAgent, error: Exception | None) -> list[dict[str, Any]]:
    """Return the calls that wait, its own and those of agents below it: arguments by name, and the schema they fit."""
    if not isinstance(error, AgentSuspended) or not isinstance(agent, CodeAgent):
        return []
    calls: list[dict[str, Any]] = []
    for call in error.calls:
        maker, _ = agent.agent_of(call.id)
        tool = maker.tools.get(call.name)
        schema: dict[str, Any] = {} if tool is None else tool.schema
        named = dict(zip(schema.get("properties", {}), call.args, strict=False)) | call.kwargs
        calls.append(
            {
                "id": str(call.id),
                "name": call.name,
                "agent": maker.name,
                "arguments": {name: to_form(value) for name, value in named.items()},
                "line": call.line,
                "needs_approval": call.needs_approval,
                "description": "" if tool is None else tool.description[:2_000],
                "schema": plain_in_short(schema, 8_000),
            }
        )
    return calls


def _replies(answers: dict[str, dict[str, Any]]) -> Any:
    """Return answers as an agent takes them. Raises Problem, or ValueError for a value that cannot be."""
    given: dict[str, dict[int, Any]] = {"approve": {}, "deny": {}, "values": {}, "errors": {}}
    for text, answer in answers.items():
        id = int(text)
        if answer.get("approve"):
            edited = answer.get("arguments")
            named = None if edited is None else {name: from_form(each) for name, each in edited.items()}
            given["approve"][id] = named
        elif "value" in answer:
            given["values"][id] = from_form(answer["value"])
        elif answer.get("error") is not None:
            error = answer["error"]
            given["errors"][id] = ToolFailed(str(error.get("type") or "RuntimeError"), str(error.get("message") or ""))
        else:
            given["deny"][id] = str(answer.get("deny") or "")
    return {name: each for name, each in given.items() if each}


async def _serve(descriptor: int) -> None:
    await AgentHost().serve(descriptor)
    # At once: threads of models and tools that nothing waits for any more would keep the process.
    os._exit(0)


def main(descriptor: int) -> None:
    """Serve the gateway at the other end of a socket until it is gone."""
    run_host(_serve(descriptor))


if __name__ == "__main__":
    main(int(sys.argv[1]))
