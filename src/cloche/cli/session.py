"""``cloche session``: sessions that are kept between processes."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cloche.cli.complaint import Complaint
from cloche.cli.exit_codes import ExitCode, exit_code
from cloche.cli.harmless import one_line
from cloche.cli.sandboxes import sandbox_from
from cloche.cli.session_store import store_at
from cloche.cli.shown import full_repr
from cloche.cli.sources import read_source
from cloche.cli.terminal import error_text, write_event
from cloche.cli.tool_flags import load_tools
from cloche.cli.worker import run_interruptibly
from cloche.runtime.amounts import bytes_text
from cloche.runtime.errors import SnapshotError
from cloche.runtime.result import Result
from cloche.runtime.session import Session
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import SnapshotStore, checked_name

__all__ = ["command"]

_NAME_WIDTH = 40


def command(arguments: argparse.Namespace) -> int:
    """Do what the action says and return the exit code. Raises Complaint or CallerError before anything runs."""
    return _ACTIONS[arguments.action](arguments)


def _save(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.name)
    store = _store(arguments)
    with sandbox_from(arguments, load_tools(arguments.tool)).session() as session:
        return _run(session, source, lambda: _keep(store, name, session, arguments))


def _resume(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.new_name or arguments.name)
    store = _store(arguments)
    key = _key(arguments)
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    with sandbox.restore(store.get(arguments.name), key=key, tenant=arguments.tenant) as session:
        keep = _nothing if arguments.no_save else lambda: _keep(store, name, session, arguments)
        return _run(session, source, keep)


def _fork(arguments: argparse.Namespace) -> int:
    names = [checked_name(name) for name in arguments.new_names]
    store = _store(arguments)
    snapshot = store.get(arguments.name)
    snapshot.check(key=_key(arguments), tenant=arguments.tenant)
    for name in names:
        store.put(name, snapshot)
    return ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    names = store.list()
    width = min(_NAME_WIDTH, max(map(len, names), default=0))
    for name in names:
        print(f"{one_line(name, _NAME_WIDTH):{width}}  {_summary(store, name)}")
    return ExitCode.OK


def _delete(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    for name in arguments.names:
        store.delete(name)
    return ExitCode.OK


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "save": _save,
    "resume": _resume,
    "fork": _fork,
    "list": _list,
    "delete": _delete,
}


def _run(session: Session, source: str, keep: Callable[[], None]) -> int:
    """Run a program, show what it prints and its value, and keep the session, whatever became of the program."""
    result: Result[object] = run_interruptibly(
        lambda: session.run(source, on_event=write_event), interrupt=session.interrupt
    )
    keep()
    if result.error is not None:
        print(error_text(result.error), file=sys.stderr)
    elif result.value is not None:
        print(full_repr(result.value))
    return exit_code(result.error)


def _keep(store: SnapshotStore, name: str, session: Session, arguments: argparse.Namespace) -> None:
    store.put(name, session.snapshot(key=_key(arguments), tenant=arguments.tenant))


def _nothing() -> None:
    pass


def _summary(store: SnapshotStore, name: str) -> str:
    try:
        snapshot = store.get(name)
    except SnapshotError as error:
        return f"({error})"
    return ", ".join(_facts(snapshot))


def _facts(snapshot: Snapshot) -> list[str]:
    runs = snapshot.spent.runs
    tools = [f"tools {one_line(' '.join(snapshot.tools), 60)}"] if snapshot.tools else []
    tenant = [] if snapshot.tenant is None else [f"of {one_line(snapshot.tenant, _NAME_WIDTH)}"]
    marks = ["suspended"] * snapshot.is_suspended + ["sealed"] * snapshot.is_sealed
    return [bytes_text(len(snapshot)), f"{runs} run{'s' * (runs != 1)}", *marks, *tenant, *tools]


def _store(arguments: argparse.Namespace) -> SnapshotStore:
    try:
        return store_at(arguments.store)
    except OSError as error:
        raise Complaint(f"cannot keep sessions there: {error}") from None


def _key(arguments: argparse.Namespace) -> bytes | None:
    if arguments.key is None:
        return None
    try:
        return Path(arguments.key).read_bytes()
    except OSError as error:
        raise Complaint(f"cannot read the key {arguments.key}: {(error.strerror or str(error)).lower()}") from None
