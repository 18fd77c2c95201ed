"""``cloche session``: sessions that outlive their process, and programs in them that wait for answers."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.files import read_source
from cloche.cli.flags import Commands, add_sandbox_flags, load_tools, sandbox_from
from cloche.cli.output import brief_repr, show_result, write_event
from cloche.cli.session.store import keep, key_from, locked, store_from
from cloche.cli.worker import run_interruptibly
from cloche.host_tools import ToolRegistry
from cloche.runtime._terminal import one_line
from cloche.runtime.bridge.pending import SuspendedCall
from cloche.runtime.errors import SnapshotError, bytes_text
from cloche.runtime.result import Result
from cloche.runtime.session.session import Outcome, Session, Suspended
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import SnapshotStore, checked_name

__all__ = ["add_parser", "command"]

_NAME_WIDTH = 40
_CALL_WIDTH = 160
_ARGUMENT_WIDTH = 60

_SESSION = """\
Sessions that outlive their process: each is kept as a snapshot, under a name, in a folder of yours.
"""
_START = """\
Calls of tools made with @tool(approval=True) or @tool(suspend=True) wait. The session is kept there, the calls are
shown by their numbers, and this process ends with exit code 5: answer them with approve, deny or answer, from any
process. At the program's end the session is kept too.
"""
_ANSWER = """\
The program resumes there, without running anything twice, up to its end or the next calls that wait; then the session
is kept again. Give the same --tool as when it was started. In a folder or a SQLite file, one process at a time
resumes a session and others are refused. Name the CALL that you mean if several people may answer.
"""
_STORE = """\
--store takes a folder, sqlite:FILE, redis://..., or any URL that fsspec knows, such as s3://bucket/folder;
the default is $CLOCHE_SESSIONS, or a folder in your home.
"""

_FORMAT = argparse.RawDescriptionHelpFormatter


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar, with that of its actions."""
    session = commands.add_parser(name, help=help, description=_SESSION, epilog=_STORE, formatter_class=_FORMAT)
    actions = session.add_subparsers(dest="action", metavar="ACTION", required=True)
    save = _action(actions, _save, "save", "run a program in a new session and keep the session")
    resume = _action(actions, _resume, "resume", "run a program in a session that was kept, and keep it as it is then")
    start = _action(actions, _start, "start", "run a program in a new session until a call of it has to wait", _START)
    approve = _action(actions, _approve, "approve", "allow calls that wait for approval", _ANSWER)
    deny = _action(actions, _deny, "deny", "deny a call: it raises PermissionError in the program", _ANSWER)
    answer = _action(actions, _answer, "answer", "give the value of a call that waits for one", _ANSWER)
    fork = _action(actions, _fork, "fork", "copy a session to new names")
    _action(actions, _list, "list", "show the sessions that are kept, and the calls that wait in them", sealed=False)
    delete = _action(actions, _delete, "delete", "delete sessions", sealed=False)

    for parser in (save, resume, start, approve, deny, answer, fork):
        parser.add_argument("name", metavar="NAME", help="the session's name")
    for parser in (save, resume, start):
        parser.add_argument("file", metavar="FILE", help="the program; - reads standard input")
    resume.add_argument("--as", dest="new_name", metavar="NEW", help="keep it under this name, the old one unchanged")
    resume.add_argument("--no-save", action="store_true", help="keep nothing of what the program does")
    start.add_argument("--step", action="store_true", help="make every call wait")
    approve.add_argument("ids", nargs="*", type=int, metavar="CALL", help="which, by number (default: all that wait)")
    for parser in (deny, answer):
        parser.add_argument("id", type=int, metavar="CALL", help="the call's number")
    deny.add_argument("reason", nargs="?", default="", metavar="REASON", help="the error's text in the program")
    answer.add_argument("value", metavar="JSON", help='the value, such as 5, null or \'["a", "b"]\'')
    for parser in (save, resume, start, approve, deny, answer):
        add_sandbox_flags(parser)
    fork.add_argument("new_names", nargs="+", metavar="NEW", help="the copies' names")
    delete.add_argument("names", nargs="+", metavar="NAME", help="their names")


def command(arguments: argparse.Namespace) -> int:
    """Do what the action says and return the exit code. Raises CommandError or CallerError before anything runs."""
    code: int = arguments.do(arguments)
    return code


def _action(
    actions: Commands,
    do: Callable[[argparse.Namespace], int],
    name: str,
    text: str,
    description: str = "",
    *,
    sealed: bool = True,
) -> argparse.ArgumentParser:
    about = f"{text[0].upper()}{text[1:]}."
    parser = actions.add_parser(
        name,
        help=text,
        description=f"{about}\n\n{description}" if description else about,
        epilog=_STORE,
        formatter_class=_FORMAT,
    )
    parser.set_defaults(do=do)
    parser.add_argument("--store", metavar="PLACE", help="where sessions are kept")
    if sealed:
        parser.add_argument("--key", metavar="FILE", help="a file of at least 16 random bytes, to seal and check with")
        parser.add_argument("--tenant", metavar="NAME", help="whose session it is")
    return parser


def _save(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.name)
    store = store_from(arguments)
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    with locked(store, name), sandbox.session() as session:
        return _run(session, source, lambda: keep(store, name, session, arguments))


def _resume(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.new_name or arguments.name)
    store, key = store_from(arguments), key_from(arguments)
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    kept = [] if arguments.no_save else [name]
    with (
        locked(store, *kept),
        sandbox.restore(store.get(arguments.name), key=key, tenant=arguments.tenant) as session,
    ):
        return _run(session, source, lambda: keep(store, name, session, arguments) if kept else None)


def _run(session: Session, source: str, keep_it: Callable[[], None]) -> int:
    """Run a program and keep the session, whatever the program's outcome is; then show it."""
    result = run_interruptibly(lambda: session.run(source, on_event=write_event), interrupt=session.interrupt)
    keep_it()
    return show_result(result)


def _fork(arguments: argparse.Namespace) -> int:
    names = [checked_name(name) for name in arguments.new_names]
    store = store_from(arguments)
    with locked(store, *names):
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
    with locked(store, *arguments.names):
        for name in arguments.names:
            store.delete(name)
    return ExitCode.OK


def _start(arguments: argparse.Namespace) -> int:
    source, name = read_source(arguments.file), checked_name(arguments.name)
    store = store_from(arguments)
    key_from(arguments)  # an unreadable key is refused now, and not when there is something to lose
    sandbox = sandbox_from(arguments, load_tools(arguments.tool))
    with locked(store, name), sandbox.session() as session:
        outcome = run_interruptibly(
            lambda: session.start(source, on_event=write_event, step=arguments.step), interrupt=session.interrupt
        )
        keep(store, name, session, arguments)
    return _show(outcome)


def _approve(arguments: argparse.Namespace) -> int:
    def approve(suspended: Suspended) -> Outcome:
        ids = arguments.ids or [call.id for call in suspended.calls]
        return suspended.resume(approve=ids, on_event=write_event)

    return _proceed(arguments, approve)


def _deny(arguments: argparse.Namespace) -> int:
    denied = {arguments.id: arguments.reason}
    return _proceed(arguments, lambda suspended: suspended.resume(deny=denied, on_event=write_event))


def _answer(arguments: argparse.Namespace) -> int:
    values = {arguments.id: _value(arguments.value)}
    return _proceed(arguments, lambda suspended: suspended.resume(values, on_event=write_event))


def _proceed(arguments: argparse.Namespace, resume: Callable[[Suspended], Outcome]) -> int:
    """Restore the session, resume its program, and keep the session as it is then."""
    store, tools = store_from(arguments), load_tools(arguments.tool)
    sandbox, key = sandbox_from(arguments, tools), key_from(arguments)
    with locked(store, arguments.name):
        snapshot = store.get(arguments.name)
        with sandbox.restore(snapshot, key=key, tenant=arguments.tenant) as session:
            suspended = _suspended(session, arguments.name)
            _check_tools(snapshot, tools)
            outcome = run_interruptibly(lambda: resume(suspended), interrupt=session.interrupt)
            keep(store, arguments.name, session, arguments)
    return _show(outcome)


def _show(outcome: Outcome) -> int:
    """Show the value, the error or the calls that wait, and return the exit code."""
    if isinstance(outcome, Result):
        return show_result(outcome)
    sys.stdout.flush()
    print("\n".join(call_lines(outcome.calls)), file=sys.stderr)
    return ExitCode.WAITING


def _suspended(session: Session, name: str) -> Suspended:
    if session.suspended is None:
        raise CommandError(f"no call waits in {one_line(name, 80)!r}: cloche session list shows where one does")
    return session.suspended


def _check_tools(snapshot: Snapshot, tools: ToolRegistry) -> None:
    missing = [name for name in snapshot.tools if name not in tools]
    if missing:
        # Without this, an approved call would end in a NameError in the program.
        names = one_line(", ".join(missing), 200)
        raise CommandError(f"the session was started with more tools: give --tool for {names}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{one_line(text, 60)!r} is not JSON: {error}; put text in quotes, as '\"text\"'") from None


# Lines for sessions that are kept, and for the calls that wait in them.


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
