"""``cloche session``: sessions that are kept between processes."""

import argparse
from collections.abc import Callable

from cloche.cli import session_waiting
from cloche.cli.exit_codes import ExitCode
from cloche.cli.sandboxes import sandbox_from
from cloche.cli.session_keeping import alone, keep, key_from, store_from
from cloche.cli.session_list import session_lines
from cloche.cli.sources import read_source
from cloche.cli.terminal import write_event
from cloche.cli.tool_flags import load_tools
from cloche.cli.worker import run_interruptibly
from cloche.runtime.session import Session
from cloche.runtime.snapshots.stores.base import checked_name

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Do what the action says and return the exit code. Raises Complaint or CallerError before anything runs."""
    return _ACTIONS[arguments.action](arguments)


def _save(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.name)
    store = store_from(arguments)
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    with alone(store, name), sandbox.session() as session:
        return _run(session, source, lambda: keep(store, name, session, arguments))


def _resume(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.new_name or arguments.name)
    store, key = store_from(arguments), key_from(arguments)
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    kept = [] if arguments.no_save else [name]
    with (
        alone(store, *kept),
        sandbox.restore(store.get(arguments.name), key=key, tenant=arguments.tenant) as session,
    ):
        return _run(session, source, lambda: keep(store, name, session, arguments) if kept else None)


def _fork(arguments: argparse.Namespace) -> int:
    names = [checked_name(name) for name in arguments.new_names]
    store = store_from(arguments)
    with alone(store, *names):
        snapshot = store.get(arguments.name)
        snapshot.check(key=key_from(arguments), tenant=arguments.tenant)
        for name in names:
            store.put(name, snapshot)
    return ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    for line in session_lines(store_from(arguments)):
        print(line)
    return ExitCode.OK


def _delete(arguments: argparse.Namespace) -> int:
    store = store_from(arguments)
    with alone(store, *arguments.names):
        for name in arguments.names:
            store.delete(name)
    return ExitCode.OK


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "save": _save,
    "resume": _resume,
    "start": session_waiting.start,
    "approve": session_waiting.approve,
    "deny": session_waiting.deny,
    "answer": session_waiting.answer,
    "fork": _fork,
    "list": _list,
    "delete": _delete,
}


def _run(session: Session, source: str, keep_it: Callable[[], None]) -> int:
    """Run a program, show what it prints and its value, and keep the session, whatever became of the program."""
    result = run_interruptibly(lambda: session.run(source, on_event=write_event), interrupt=session.interrupt)
    keep_it()
    return session_waiting.show(result)
