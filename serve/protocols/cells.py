"""Cells of a notebook in the server's sessions: what they print, show and raise, whichever protocol asked for them.

A session is prepared once, by a module of its guest's prelude, ``cells``. From then on a run may be marked as a
cell: it has a context, environment variables, and displays. What comes of one is a series of events, dicts that
have the shape of E2B's lines: ``stdout``, ``stderr``, ``result``, ``error``, ``number_of_executions``.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, cast
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cloche.runtime.bridge.protocol import is_list
from cloche.serve.forms import Problem, from_form
from cloche.serve.gateway import Gateway
from cloche.serve.sessions import ServedRun, ServedSession

__all__ = ["Cells"]

_Json = dict[str, Any]

# An expression, so that nothing of it is among a program's names.
_INSTALL: Final = "__import__('cloche_guest.cells', fromlist=('_',)).install()"
_MARK: Final = "\n#cloche-cell "
_PATIENCE: Final = 30.0
"""Seconds that a request waits for a session that another API's request is using."""
_MAX_WAITING: Final = 16


class _Turn(asyncio.Lock):
    """A lock that only so many wait for, as each that does keeps its request's body."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = 0

    async def acquire(self) -> Literal[True]:
        """Wait for the turn. Raises Problem where too many do."""
        if self._waiting >= _MAX_WAITING:
            text = f"{_MAX_WAITING} requests wait for what runs in this session"
            raise Problem(429, "session_busy", text, remedy="wait for their answers", retry_after=1.0)
        self._waiting += 1
        try:
            return await super().acquire()
        finally:
            self._waiting -= 1


class Cells:
    """Runs cells in sessions of the gateway, one after the other in each."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def prepare(self, session: ServedSession) -> None:
        """Have the guest of a new session know cells. Raises Problem."""
        await self._value(session, _INSTALL)

    def turn(self, session: ServedSession) -> asyncio.Lock:
        """Return the lock of a session: as in a notebook, what comes while a cell runs waits for its end."""
        return self._turns.setdefault(session.id, _Turn())

    async def ask(self, session: ServedSession, do: str, **given: Any) -> Any:
        """Ask the guest for something that is no cell (see its program), in the caller's turn. Raises Problem."""
        return await self._value(session, _marked("", do=do, **given))

    async def begin(
        self,
        session: ServedSession,
        code: str,
        *,
        context: str = "",
        envs: dict[str, str] | None = None,
        limits: dict[str, Any] | None = None,
    ) -> ServedRun:
        """Begin a cell when it is its turn; the next one's is when this is over. Raises Problem."""
        turn = self.turn(session)
        await turn.acquire()
        try:
            source = _marked(code, do="cell", context=context, envs=envs or {})
            run = await self._run(session, source, wait=False, limits=limits)
        except BaseException:
            turn.release()
            raise
        self._gateway.home.background(_release(run, turn))
        return run

    async def events(self, session: ServedSession, run: ServedRun) -> AsyncGenerator[_Json, None]:
        """Yield what comes of a cell. Whoever stops asking before it is over interrupts it."""
        try:
            async for item in run.follow(0):
                if item is None:
                    yield {"type": "keepalive"}
                    continue
                for event in _events(item[1], json.loads(item[2])):
                    yield event
                if item[1] == "suspended":
                    await self._gateway.cancel_suspended(session)
        finally:
            if not run.over:
                self._gateway.home.background(self._gateway.interrupt(session, run))

    async def _run(
        self,
        session: ServedSession,
        source: str,
        *,
        wait: bool,
        limits: dict[str, Any] | None = None,
        stdin: str | None = None,
    ) -> ServedRun:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return await self._gateway.run(
                    session, {"code": source, "limits": limits, "stdin": stdin, "events": not wait}, wait=wait
                )
            except Problem as problem:
                if problem.code != "session_busy" or time.monotonic() > until:
                    raise
            await asyncio.sleep(0.05)

    async def _value(self, session: ServedSession, source: str, stdin: str | None = None) -> Any:
        run = await self._run(session, source, wait=True, stdin=stdin)
        if run.problem is not None:
            raise run.problem
        form = json.loads(run.body or b"{}")
        if run.status != "done" or form["error"] is not None:
            reason = "" if run.status != "done" else str(form["error"]["message"])[:500]
            raise Problem(400, "refused", f"the session refused: {reason}")
        return from_form(form["value"])


async def _release(run: ServedRun, turn: asyncio.Lock) -> None:
    """Let the next one in when a run is over, whether or not a client has waited for it."""
    try:
        await run.ended()
    finally:
        turn.release()


def _marked(code: str, **asked: Any) -> str:
    return f"{code}{_MARK}{json.dumps(asked)}"


# Events.


def _events(name: str, form: _Json) -> list[_Json]:
    """Return an event of a run as a cell's."""
    if name == "output":
        return [{"type": form["stream"], "text": form["text"], "timestamp": time.time_ns()}]
    if name == "suspended":
        text = "a tool of the server needs an approval, which this API cannot give: the run was given up"
        return [_error("ApprovalNeeded", text)]
    if name == "problem":
        return [_error(str(form["code"]), str(form["message"]))]
    if name != "done":
        return []
    shown = [_result(_object(from_form(each["data"])), False) for each in form.get("displays", ())]
    if form["error"] is not None:
        return [*shown, _run_error(form)]
    if "shown" in form:
        return [*shown, {"type": "result", "text": form["shown"], "is_main_result": True}]
    # The guest's word, as everything in it: of the shape that it should have, or left out.
    ended = _object(from_form(form["value"]))
    value = [_result(_object(ended["value"]), True)] if ended.get("value") is not None else []
    count = ended.get("count")
    number = {"type": "number_of_executions", "execution_count": count if type(count) is int else 0}
    return [*shown, *value, number]


_FORMATS: Final = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/latex": "latex",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
}


def _result(bundle: _Json, is_main: bool) -> _Json:
    """Return a result of what a guest shows: text by format, images in base64, JSON where it is some."""
    event: _Json = {"type": "result"}
    for mime, name in _FORMATS.items():
        content = bundle.get(mime)
        if isinstance(content, bytes):
            event[name] = base64.b64encode(content).decode()
        elif isinstance(content, str):
            event[name] = content
    with suppress(ValueError, RecursionError):
        given: Any = json.loads(bundle["application/json"]) if isinstance(bundle.get("application/json"), str) else None
        event |= {} if given is None else _data(given)
    chart = bundle.get(_CHART)
    if isinstance(chart, str) and len(chart) <= _MAX_CHART:
        with suppress(ValidationError):
            event["chart"] = _CHARTS.validate_json(chart).model_dump()
    return {**event, "is_main_result": is_main}


# Charts, as E2B's SDK takes them apart: it fails at any other shape, so that none is passed on.

_CHART: Final = "application/vnd.e2b.chart+json"
_MAX_CHART: Final = 1 << 20
_Text = Annotated[str, Field(max_length=1_000)]
_Place = _Text | float | None


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Drawn(_Strict):
    title: _Text | None


class _Plane(_Drawn):
    x_label: _Text | None
    x_unit: _Text | None
    y_label: _Text | None
    y_unit: _Text | None


class _Series(_Strict):
    label: _Text
    points: list[tuple[_Place, _Place]]


class _PointChart(_Plane):
    type: Literal["line", "scatter"]
    x_ticks: list[_Place]
    x_tick_labels: list[_Text]
    x_scale: _Text
    y_ticks: list[_Place]
    y_tick_labels: list[_Text]
    y_scale: _Text
    elements: list[_Series]


class _Bar(_Strict):
    label: _Text
    group: _Text
    value: float | None


class _BarChart(_Plane):
    type: Literal["bar"]
    elements: list[_Bar]


class _Slice(_Strict):
    label: _Text
    angle: float
    radius: float


class _PieChart(_Drawn):
    type: Literal["pie"]
    elements: list[_Slice]


class _Box(_Strict):
    label: _Text
    min: float
    first_quartile: float
    median: float
    third_quartile: float
    max: float
    outliers: list[float]


class _BoxChart(_Plane):
    type: Literal["box_and_whisker"]
    elements: list[_Box]


class _OtherChart(_Drawn):
    type: Literal["unknown"]
    elements: Annotated[list[None], Field(max_length=0)]


_OneChart = Annotated[_PointChart | _BarChart | _PieChart | _BoxChart | _OtherChart, Field(discriminator="type")]


class _SuperChart(_Drawn):
    type: Literal["superchart"]
    elements: Annotated[list[_OneChart], Field(max_length=64)]


_CHARTS: TypeAdapter[BaseModel] = TypeAdapter(Annotated[_OneChart | _SuperChart, Field(discriminator="type")])


def _data(given: Any) -> _Json:
    """Return JSON as a result has it: a table by columns, where it is one."""
    table = _object(given)
    columns, rows = table.get("columns"), table.get("data")
    if not is_list(columns) or not is_list(rows) or not all(is_list(row) and len(row) == len(columns) for row in rows):
        return {"json": given}
    return {"data": {str(name): [row[place] for row in rows] for place, name in enumerate(columns)}}


def _run_error(form: _Json) -> _Json:
    error, back = form["error"], "\nThe session is as it was before this run." if form["rolled_back"] else ""
    if error["type"] == "GuestException":
        name, value, traceback = (str(from_form(each)) for each in error["args"][:3])
        return _error(name, value, traceback + back)
    return _error(error["type"], error["message"], f"{error['type']}: {error['message']}{back}")


def _error(name: str, value: str, traceback: str = "") -> _Json:
    return {"type": "error", "name": name, "value": value, "traceback": traceback or f"{name}: {value}"}


def _object(value: object) -> _Json:
    return cast("_Json", value) if isinstance(value, dict) else {}
