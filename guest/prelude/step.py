"""One request in, one response out: everything the host asks of the guest."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from _cloche import pack, unpack
from cloche_guest import displays, state, streams, suspension, threads
from cloche_guest.entropy import reseed
from cloche_guest.program import NAMESPACE, latest_filename, leaves_work, run, wind_up
from cloche_guest.state import CAPS
from cloche_guest.substitutes import outside
from cloche_guest.tools import Toolbox
from cloche_guest.tracebacks import ErrorReport, describe, refuse, shorten
from cloche_guest.values import UnserializableError, ValueCodecError, ValueTooLarge, decode, encode

__all__ = ["forget", "serve", "step", "toolbox"]

_FINISHED = 0
_RUN = 1
_RESEED = 10
_HOME = "/work"
_FIGURES = "matplotlib._pylab_helpers"
_modules = sys.modules
_NOTHING = encode([_FINISHED, None, None])
_TABLES = ("DataFrame", "Series")
toolbox = Toolbox(NAMESPACE)


@outside
def step(request: bytes) -> bytes:
    """Answer one request. Never raises: what goes wrong is the response's error, and the state is kept."""
    operation = 0
    try:
        message = unpack(request)
        operation, *operands = decode(request) if message is NotImplemented else message
        if state.current.fresh:
            _reseed_once(operation)
        response = _finished(_OPERATIONS[operation](*operands), operation == _RUN)
    except BaseException as error:
        report = describe(error, latest_filename())
        streams.flush()  # the program's own __str__ may have printed
        response = _failed(report)
        if operation == _RUN and displays.is_due():
            response = _showing(response, None)
    if state.current.last_source is not None and not suspension.is_suspended():
        _wind_up(state.current.last_source)
    return response


def forget() -> None:
    """Be as before the first request: the next one draws new random numbers."""
    state.current.fresh = True


def serve(operation: int, answer: Callable[..., Any]) -> None:
    """Have requests of that operation answered by this function."""
    _OPERATIONS[operation] = answer


def _reseed_once(operation: int) -> None:
    """Draw new random numbers in a new isolate, unless the host is about to say which."""
    state.current.fresh = False
    if operation != _RESEED:
        reseed()


def _wind_up(source: str) -> None:
    """End the program as a process ends. What it had to say is in the response: nothing here can change that."""
    state.current.last_source = None
    if leaves_work(source):
        try:
            wind_up()
            streams.finish()
        except BaseException:
            streams.flush()


def _finished(value: Any, is_last: bool) -> bytes:
    # Part of every run: what ``is_due`` finds as a rule is seen without a call.
    if is_last and (state.current.shown or _FIGURES in _modules) and displays.is_due():
        return _showing(_answer(value, is_last), value)
    if value is None:
        return _NOTHING
    packed = pack(b"\x93\x00", value, b"\xc0", CAPS.result)
    if packed is not None:
        return packed
    return _showing(_answer(value, is_last), value) if is_last else _answer(value, is_last)


def _showing(response: bytes, value: Any) -> bytes:
    """Return the response with the run's displays."""
    shown = displays.collect(value)
    return b"\x94" + response[1:] + shown if shown else response


def _answer(value: Any, is_last: bool) -> bytes:
    try:
        return encode([_FINISHED, value, None], limit=CAPS.result)
    except ValueCodecError as error:
        if type(error) is ValueTooLarge and type(value).__name__ in _TABLES:
            # One may well end a program, which shows its beginning and its end.
            reason: Exception = UnserializableError(str(error))
        else:
            reason = _precise(value) or error
        report, is_refused = refuse(reason), isinstance(reason, TypeError)
        # Its frames hold the value, whose end belongs to this run.
        del reason
        # A program that ends with such a value has done nothing wrong: what it is can be seen.
        return _failed(report, _shown(value) if is_last and is_refused else None)


def _precise(value: Any) -> Exception | None:
    """Encode the value alone, for an error whose path begins at the value and not at the response around it."""
    try:
        encode(value, where="result", limit=CAPS.result)
    except ValueCodecError as error:
        return error
    return None


def _shown(value: Any) -> str | None:
    """Return the repr of a value, cut short; None if it has none."""
    try:
        return shorten(repr(value), CAPS.message)
    except BaseException:
        return None
    finally:
        streams.flush()  # the program's own __repr__ may have printed


def _failed(report: ErrorReport, shown: str | None = None) -> bytes:
    return encode([_FINISHED, shown, report])


@outside
def _run(source: str, filename: str, options: dict[str, Any]) -> Any:
    if suspension.is_suspended():
        raise RuntimeError("a program is suspended: resume it before another one is run")
    streams.restore()
    if state.current.shown:
        state.current.shown = []
    if options:
        _apply(options)
        state.current.last_source = source if "last" in options else None
    is_last = state.current.last_source is not None
    try:
        value = run(source, filename)
        stuck = threads.finish(is_last=is_last)
        if stuck is not None:
            _report(stuck, is_last)
        return value
    except BaseException:
        # What the program has started does what it still can, as in a process whose main thread has failed.
        threads.finish(is_last=is_last)
        raise
    finally:
        streams.finish()


def _report(stuck: str, is_last: bool) -> None:
    """Say that threads wait without an end: a program after which no other follows has failed with that."""
    if is_last:
        raise RuntimeError(f"deadlock: the program is over, and these of its threads wait without an end: {stuck}")
    print(f"these threads wait, and stay: {stuck}", file=sys.stderr)


def _apply(options: dict[str, Any]) -> None:
    """Apply the options of a request: ``limits`` as for LIMITS, ``tools`` as for DEFINE, ``stdin`` as text to read.

    Of a run, ``last`` says that no other follows, so that the program winds up as at the end of a process.
    """
    if "limits" in options:
        state.apply_caps(options["limits"])
    if "tools" in options:
        toolbox.define(options["tools"])
    if "stdin" in options:
        streams.feed(options["stdin"])


def _resume(*_: Any) -> NoReturn:
    raise RuntimeError("nothing is suspended")


def _get(name: str) -> Any:
    if name not in NAMESPACE:
        raise NameError(f"name {name!r} is not defined", name=name)
    return NAMESPACE[name]


def _write(path: str, data: bytes) -> None:
    """Write a file, replacing it, and create the folders above it; a relative path lies in /work.

    Raises OSError as usual: no space left, a folder of that name, a read-only place.
    """
    target = _absolute(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    importlib.invalidate_caches()  # the file may be a module


def _read(path: str) -> bytes:
    """Return a file's bytes; raises FileNotFoundError, IsADirectoryError."""
    with open(_absolute(path), "rb") as file:
        data: bytes = file.read()
    return data


def _list_files(path: str) -> list[str]:
    """Return the absolute paths of all files below a folder, sorted; raises FileNotFoundError, NotADirectoryError."""
    top = _absolute(path)
    os.listdir(top)  # walk() would pass over what is missing in silence
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)


def _absolute(path: str) -> str:
    if not path:
        raise ValueError("the path is empty")
    return os.path.normpath(os.path.join(_HOME, path))


_OPERATIONS: dict[int, Callable[..., Any]] = {
    _RUN: _run,
    2: _resume,
    3: toolbox.define,
    4: NAMESPACE.update,
    5: _get,
    6: _write,
    7: _read,
    8: _list_files,
    9: state.apply_caps,
    _RESEED: reseed,
}

suspension.serve_with(step, _apply)
