"""Lines for sessions that are kept, and for the calls that wait in them."""

from collections.abc import Iterable

from cloche.cli.output import brief_repr
from cloche.runtime._terminal import one_line
from cloche.runtime.bridge.pending import SuspendedCall
from cloche.runtime.errors import SnapshotError, bytes_text
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import SnapshotStore

__all__ = ["call_lines", "session_lines"]

_NAME_WIDTH = 40
_CALL_WIDTH = 160
_ARGUMENT_WIDTH = 60


def session_lines(store: SnapshotStore) -> Iterable[str]:
    """Yield a line for each session, and below it one for each call that waits in it."""
    names = store.list()
    width = min(_NAME_WIDTH, max(map(len, names), default=0))
    for name in names:
        summary, calls = _summary(store, name)
        yield f"{one_line(name, _NAME_WIDTH):{width}}  {summary}"
        yield from call_lines(calls)


def call_lines(calls: Iterable[SuspendedCall]) -> Iterable[str]:
    """Yield a line for each call: its number, what it would do, where the program stands, and what it waits for."""
    for call in calls:
        where = "" if call.line is None else f" in line {call.line}"
        what = "approval" if call.needs_approval else "an answer"
        yield f"  call {call.id}{where} waits for {what}: {_text(call)}"


def _text(call: SuspendedCall) -> str:
    given = [brief_repr(value, _ARGUMENT_WIDTH) for value in call.args]
    named = [f"{name}={brief_repr(value, _ARGUMENT_WIDTH)}" for name, value in call.kwargs.items()]
    return one_line(f"{call.name}({', '.join([*given, *named])})", _CALL_WIDTH)


def _summary(store: SnapshotStore, name: str) -> tuple[str, tuple[SuspendedCall, ...]]:
    try:
        snapshot = store.get(name)
        return ", ".join(_facts(snapshot)), snapshot.calls
    except SnapshotError as error:
        return f"({error})", ()


def _facts(snapshot: Snapshot) -> list[str]:
    runs = snapshot.spent.runs
    tools = [f"tools {one_line(' '.join(snapshot.tools), 60)}"] if snapshot.tools else []
    tenant = [] if snapshot.tenant is None else [f"of {one_line(snapshot.tenant, _NAME_WIDTH)}"]
    marks = ["suspended"] * snapshot.is_suspended + ["sealed"] * snapshot.is_sealed
    return [bytes_text(len(snapshot)), f"{runs} run{'s' * (runs != 1)}", *marks, *tenant, *tools]
