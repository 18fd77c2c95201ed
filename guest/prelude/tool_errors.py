"""Exceptions that stand for a failed tool: the builtin class of that name, or a subclass of ToolError made for it."""

import builtins

__all__ = ["CannotSuspendHere", "ToolError", "tool_error"]


class ToolError(Exception):
    """A tool failed with an exception whose class the guest does not have.

    The exception raised is a subclass named like the host's class, so both ``except ToolError`` and its name in a
    traceback work. The message is the host's, word for word.
    """

    __module__ = "__main__"


class CannotSuspendHere(RuntimeError):
    """A tool has to wait for its answer, and built-in code is on the stack, which cannot be left and entered again.

    The message says where, and how to write it instead. Nothing was called.
    """

    __module__ = "__main__"


# StopIteration cannot be set on a future, and inside a generator it would end the caller's loop in silence.
_UNSAFE = frozenset({"StopIteration", "StopAsyncIteration"})
_BUILTIN: dict[str, type[Exception]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and name not in _UNSAFE
}
_made: dict[str, type[Exception]] = {"ToolError": ToolError}


class _Verbatim(str):
    """Text whose repr is itself: KeyError shows the repr of its argument, and the host sent the text already shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _kind(name: str) -> type[Exception]:
    known = _BUILTIN.get(name) or _made.get(name)
    if known is None:
        known = _made[name] = type(name, (ToolError,), {"__module__": "tools"})
    return known


def tool_error(type_name: str, message: str) -> Exception:
    """Return the exception to raise for a tool that failed with ``type_name``; its ``str()`` is ``message``."""
    if type_name == "KeyError":
        return KeyError(_Verbatim(message))
    try:
        return _kind(type_name)(message)
    except TypeError:  # UnicodeDecodeError and ExceptionGroup cannot be made from a message alone
        kind = _made.setdefault(type_name, type(type_name, (ToolError,), {"__module__": "tools"}))
        return kind(message)
