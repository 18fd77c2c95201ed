"""``cloche session``: sessions that are kept between processes."""

import argparse
from collections.abc import Callable
from typing import Any

from cloche.cli.exit_codes import ExitCode
from cloche.cli.files import read_source
from cloche.cli.flags import load_tools, sandbox_from
from cloche.cli.output import write_event
from cloche.cli.session import waiting
from cloche.cli.session.listing import session_lines
from cloche.cli.session.store import alone, keep, key_from, store_from
from cloche.cli.worker import run_interruptibly
from cloche.runtime.session.session import Session
from cloche.runtime.snapshots.stores.base import checked_name

__all__ = ["add_replay", "add_session", "command"]


_SESSION = """\
Sessions that outlive their process: each is kept as a snapshot, under a name, in a folder of yours.
"""
_START = """\
Tools made with @tool(approval=True) or @tool(suspend=True) wait for somebody. There the session is kept, the calls are
shown by their numbers, and this process ends with exit code 5: answer them with approve, deny or answer, from any
process. At the program's end the session is kept too.
"""
_ANSWER = """\
The program goes on from there, without running anything twice, to its end or the next calls that wait; then the
session is kept again. Give the same --tool as when it was started. One process at a time goes on with a session, in
a folder or a SQLite file: another one is refused. Name the CALL that you mean if several people may answer.
"""
_STORE = """\
--store takes a folder, sqlite:FILE, redis://..., or any URL that fsspec knows, such as s3://bucket/folder;
the default is $CLOCHE_SESSIONS, or a folder in your home.
"""
_REPLAY = """\
Run a recording again, as cloche run --record writes it, without its tools: they answer what they answered then.
Prints the first difference, if there is one, and ends with exit code 1.
"""

_SandboxFlags = Callable[[argparse.ArgumentParser], None]


def add_session(commands: Any, add_sandbox_flags: _SandboxFlags) -> None:
    """Add ``session`` with its actions to the commands."""
    session = commands.add_parser(
        "session", help="keep sessions between processes", description=_SESSION, epilog=_STORE, formatter_class=_FORMAT
    )
    actions = session.add_subparsers(dest="action", metavar="ACTION", required=True)
    save = _action(actions, "save", "run a program in a new session and keep the session")
    save.add_argument("name", metavar="NAME", help="what to call the session")
    save.add_argument("file", metavar="FILE", help="the program; - reads standard input")
    resume = _action(actions, "resume", "run a program in a session that was kept, and keep what became of it")
    resume.add_argument("name", metavar="NAME", help="the session's name")
    resume.add_argument("file", metavar="FILE", help="the program; - reads standard input")
    resume.add_argument(
        "--as", dest="new_name", metavar="NEW", help="keep it under this name, and the old one as it is"
    )
    resume.add_argument("--no-save", action="store_true", help="keep nothing of what the program does")
    start = _action(actions, "start", "run a program in a new session until calls of it wait for somebody", _START)
    start.add_argument("name", metavar="NAME", help="what to call the session")
    start.add_argument("file", metavar="FILE", help="the program; - reads standard input")
    start.add_argument("--step", action="store_true", help="have every call wait")
    approve = _action(actions, "approve", "let calls that wait for leave be made", _ANSWER)
    approve.add_argument("name", metavar="NAME", help="the session's name")
    approve.add_argument("ids", nargs="*", type=int, metavar="CALL", help="which, by number (default: all that wait)")
    deny = _action(actions, "deny", "refuse a call: it raises PermissionError in the program", _ANSWER)
    deny.add_argument("name", metavar="NAME", help="the session's name")
    deny.add_argument("id", type=int, metavar="CALL", help="the call's number")
    deny.add_argument("reason", nargs="?", default="", metavar="REASON", help="what the program is told")
    answer = _action(actions, "answer", "give the value of a call that waits for one", _ANSWER)
    answer.add_argument("name", metavar="NAME", help="the session's name")
    answer.add_argument("id", type=int, metavar="CALL", help="the call's number")
    answer.add_argument("value", metavar="JSON", help='the value, such as 5, null or \'["a", "b"]\'')
    for parser in (save, resume, start, approve, deny, answer):
        add_sandbox_flags(parser)
    fork = _action(actions, "fork", "let several sessions go on from one")
    fork.add_argument("name", metavar="NAME", help="the session's name")
    fork.add_argument("new_names", nargs="+", metavar="NEW", help="what to call the others")
    _action(actions, "list", "show the sessions that are kept, and the calls that wait in them", sealed=False)
    delete = _action(actions, "delete", "forget sessions", sealed=False)
    delete.add_argument("names", nargs="+", metavar="NAME", help="their names")


def add_replay(commands: Any) -> None:
    """Add ``replay`` to the commands."""
    replay = commands.add_parser("replay", help="run a recording again without its tools", description=_REPLAY)
    replay.add_argument("file", metavar="FILE", help="the recording, msgpack or JSON")


def _action(
    actions: Any, name: str, text: str, description: str = "", *, sealed: bool = True
) -> argparse.ArgumentParser:
    about = f"{text[0].upper()}{text[1:]}."
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=text,
        description=f"{about}\n\n{description}" if description else about,
        epilog=_STORE,
        formatter_class=_FORMAT,
    )
    parser.add_argument("--store", metavar="PLACE", help="where sessions are kept")
    if sealed:
        parser.add_argument("--key", metavar="FILE", help="a file of at least 16 random bytes, to seal and check with")
        parser.add_argument("--tenant", metavar="NAME", help="whose session it is")
    return parser


_FORMAT = argparse.RawDescriptionHelpFormatter


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
    "start": waiting.start,
    "approve": waiting.approve,
    "deny": waiting.deny,
    "answer": waiting.answer,
    "fork": _fork,
    "list": _list,
    "delete": _delete,
}


def _run(session: Session, source: str, keep_it: Callable[[], None]) -> int:
    """Run a program, show what it prints and its value, and keep the session, whatever became of the program."""
    result = run_interruptibly(lambda: session.run(source, on_event=write_event), interrupt=session.interrupt)
    keep_it()
    return waiting.show(result)
