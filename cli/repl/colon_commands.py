"""The REPL's own commands, which begin with a colon."""

from collections.abc import Callable, Sequence
from dataclasses import fields

from cloche.cli.exit_codes import CommandError
from cloche.cli.files import file_to_put
from cloche.cli.flags import limit_value
from cloche.cli.harmless import harmless
from cloche.cli.repl.session import ReplSession
from cloche.runtime.errors import bytes_text, count_text
from cloche.runtime.limits import LimitChanges

__all__ = ["Quit", "run_command"]


_SIZES = {"memory", "output", "result", "argument", "file_bytes"}


class Quit(Exception):
    """The person wants to leave."""


def run_command(line: str, session: ReplSession) -> str:
    """Obey a command and return what to tell. Raises Quit, and Complaint or CallerError for what cannot be done."""
    name, *words = line[1:].split() or ["help"]
    matches = [known for known in _COMMANDS if known.startswith(name)]
    if len(matches) != 1:
        raise CommandError(f"there is no command :{name}; :help lists them")
    return _COMMANDS[matches[0]][0](session, words)


def _help(session: ReplSession, words: Sequence[str]) -> str:
    lines = [f"  :{name:8} {text}" for name, (_, text) in _COMMANDS.items()]
    return "\n".join([*lines, "  Ctrl-C ends the running piece and keeps the session, Ctrl-D leaves"])


def _reset(session: ReplSession, words: Sequence[str]) -> str:
    session.reset()
    return "a fresh session"


def _undo(session: ReplSession, words: Sequence[str]) -> str:
    return "as before the last piece" if session.undo() else "there is nothing to undo"


def _limits(session: ReplSession, words: Sequence[str]) -> str:
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise CommandError(f"write :limits NAME=VALUE, as in :limits time=2 memory=64MiB, not {word!r}")
        session.change(**_change(name, text))
    names = [field.name for field in fields(session.limits)]
    return "\n".join(f"  {name:10} {_limit_text(name, getattr(session.limits, name))}" for name in names)


def _usage(session: ReplSession, words: Sequence[str]) -> str:
    return f"  {session.last.usage}" if session.last else "nothing was run yet"


def _tools(session: ReplSession, words: Sequence[str]) -> str:
    specs = session.tools.specs()
    lines = [f"  {spec['name']}  {spec['doc'].partition(chr(10))[0]}".rstrip() for spec in specs]
    return harmless("\n".join(lines)) or "no tools; start with: cloche repl --tool module:function"


def _files(session: ReplSession, words: Sequence[str]) -> str:
    found = session.session.list_files(words[0] if words else "/work")
    return harmless("\n".join(f"  {path}" for path in found)) or "no files"


def _put(session: ReplSession, words: Sequence[str]) -> str:
    if len(words) not in (1, 2):
        raise CommandError("write :put FILE, or :put FILE PATH for another place in the sandbox")
    path, data = file_to_put("=".join(words))
    session.session.put_file(path, data)
    return f"{bytes_text(len(data))} are now in {path}"


def _quit(session: ReplSession, words: Sequence[str]) -> str:
    raise Quit


_Command = Callable[[ReplSession, Sequence[str]], str]
_COMMANDS: dict[str, tuple[_Command, str]] = {
    "help": (_help, "this list"),
    "limits": (_limits, "show the limits of each piece; :limits time=2 fuel=1e9 memory=64MiB changes them"),
    "usage": (_usage, "what the last piece used"),
    "tools": (_tools, "the host tools that the session can call"),
    "files": (_files, "the session's files below /work, or below a folder: :files /tmp"),
    "put": (_put, "copy a file into the sandbox: :put data.csv, or :put data.csv PATH"),
    "undo": (_undo, "go back to before the last piece, files included; again for the one before it"),
    "reset": (_reset, "forget everything and begin a fresh session"),
    "quit": (_quit, "leave"),
}


def _change(name: str, text: str) -> LimitChanges:
    try:
        return limit_value(name, text)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _limit_text(name: str, value: float | None) -> str:
    if value is None:
        return "unlimited"
    if name == "time":
        return f"{value:g} s"
    return bytes_text(value) if name in _SIZES else count_text(value)
