"""``cloche session start``, ``approve``, ``deny`` and ``answer``: programs that wait for somebody, from the shell."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from cloche.cli.exit_codes import CommandError, ExitCode, exit_code
from cloche.cli.files import read_source
from cloche.cli.flags import load_tools, sandbox_from
from cloche.cli.harmless import one_line
from cloche.cli.output import error_text, full_repr, write_event
from cloche.cli.session.listing import call_lines
from cloche.cli.session.store import alone, keep, key_from, store_from
from cloche.cli.worker import run_interruptibly
from cloche.host_tools import ToolRegistry
from cloche.runtime.result import Result
from cloche.runtime.session.session import Session
from cloche.runtime.session.suspended import Outcome, Suspended
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import checked_name

__all__ = ["answer", "approve", "deny", "show", "start"]


def start(arguments: argparse.Namespace) -> int:
    """Run a program in a new session until it ends or waits; keep the session and return the exit code."""
    source, name = read_source(arguments.file), checked_name(arguments.name)
    store = store_from(arguments)
    key_from(arguments)  # complains now, and not when there is something to lose
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    with alone(store, name), sandbox.session() as session:
        outcome = run_interruptibly(
            lambda: session.start(source, on_event=write_event, step=arguments.step), interrupt=session.interrupt
        )
        keep(store, name, session, arguments)
    return show(outcome)


def approve(arguments: argparse.Namespace) -> int:
    """Make calls that wait, and go on."""
    return _go_on(arguments, lambda paused: paused.resume(approve=_ids(paused, arguments.ids), on_event=write_event))


def deny(arguments: argparse.Namespace) -> int:
    """Refuse a call, and go on."""
    refusal = {arguments.id: arguments.reason}
    return _go_on(arguments, lambda paused: paused.resume(deny=refusal, on_event=write_event))


def answer(arguments: argparse.Namespace) -> int:
    """Give a call its value, and go on."""
    values = {arguments.id: _value(arguments.value)}
    return _go_on(arguments, lambda paused: paused.resume(values, on_event=write_event))


def show(outcome: Outcome) -> int:
    """Show the value, the error or what is waited for, and return the exit code."""
    if isinstance(outcome, Result):
        return _show_result(outcome)
    sys.stdout.flush()
    print("\n".join(call_lines(outcome.calls)), file=sys.stderr)
    return ExitCode.WAITING


def _show_result(result: Result[Any]) -> int:
    if result.error is not None:
        print(error_text(result.error), file=sys.stderr)
    elif result.value is not None:
        print(full_repr(result.value))
    return exit_code(result.error)


def _go_on(arguments: argparse.Namespace, proceed: Callable[[Suspended], Outcome]) -> int:
    store, tools = store_from(arguments), load_tools(arguments.tool)
    sandbox, key = sandbox_from(arguments, tools), key_from(arguments)
    with alone(store, arguments.name):
        snapshot = store.get(arguments.name)
        with sandbox.restore(snapshot, key=key, tenant=arguments.tenant) as session:
            paused = _suspended(session, arguments.name)
            _check_tools(snapshot, tools)
            outcome = run_interruptibly(lambda: proceed(paused), interrupt=session.interrupt)
            keep(store, arguments.name, session, arguments)
    return show(outcome)


def _suspended(session: Session, name: str) -> Suspended:
    if session.suspended is None:
        raise CommandError(f"nothing waits in {one_line(name, 80)!r}: cloche session list shows what does")
    return session.suspended


def _check_tools(snapshot: Snapshot, tools: ToolRegistry) -> None:
    missing = [name for name in snapshot.tools if name not in tools]
    if missing:
        # Without this, an approved call would come to nothing but a NameError in the program.
        names = one_line(", ".join(missing), 200)
        raise CommandError(f"the session was started with other tools too: give --tool for {names}")


def _ids(paused: Suspended, asked: list[int]) -> list[int]:
    return asked or [call.id for call in paused.calls]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{one_line(text, 60)!r} is not JSON: {error}; text needs quotes of its own") from None
