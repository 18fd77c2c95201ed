"""What a session can ask of its guest, as requests, and what it expects back."""

from collections.abc import Callable
from typing import Any

from cloche.runtime.bridge.pending import Answer
from cloche.runtime.bridge.protocol import Op, is_list, request, set_request
from cloche.runtime.errors import ConfigurationError, ProtocolError
from cloche.runtime.limits import Limits
from cloche.runtime.session.execution import Job, Resumption
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.wasm.imports import MAX_FRAME

__all__ = [
    "MakeJob",
    "as_bytes",
    "as_paths",
    "get_file",
    "get_variable",
    "list_files",
    "put_file",
    "resume",
    "run",
    "set_variable",
]


# What fits one frame from the guest, with the few bytes around it.
_HEADER = 64
_LARGEST_FILE = MAX_FRAME - (1 << 20)

MakeJob = Callable[[SessionGuest, Limits], Job]
"""Makes the job when the session is known to be free: what the guest must be told first depends on its state."""


def run(code: object) -> MakeJob:
    """Return the job that runs a program. Raises ConfigurationError if it is not text."""
    if not isinstance(code, str):
        raise ConfigurationError("code", f"a {type(code).__name__} is not a program: pass its source as a str")
    return lambda guest, limits: Job([*guest.awakening(), guest.run_request(code, limits)], code=code)


def resume(answers: dict[int, Answer]) -> MakeJob:
    """Return the job that lets a suspended program go on with these answers."""
    return lambda guest, limits: Job(guest.awakening(), resumption=Resumption(answers, guest.run_options(limits)))


def set_variable(name: str, value: Any) -> MakeJob:
    """Return the job that sets a variable. Raises the codec's errors, or ConfigurationError for the name."""
    return _after_introduction(set_request(_identifier(name), value))


def get_variable(name: str) -> MakeJob:
    """Return the job that reads a variable. Raises ConfigurationError for the name."""
    return _after_introduction(request(Op.GET, _identifier(name)))


def put_file(path: str, data: bytes | str) -> MakeJob:
    """Return the job that writes a file."""
    content = data.encode() if isinstance(data, str) else bytes(data)
    return _after_introduction(request(Op.PUT_FILE, _path(path), content))


def get_file(path: str) -> MakeJob:
    """Return the job that reads a file of any size that a guest may hold, up to 63 MiB."""
    frame = request(Op.GET_FILE, _path(path))

    def make(guest: SessionGuest, limits: Limits) -> Job:
        # A file may be larger than a value: the interpreter is told so for this one request.
        most = max(limits.result, min(limits.file_bytes, _LARGEST_FILE))
        return Job([*guest.introduction(limits.replace(result=most + _HEADER)), frame], most=most)

    return make


def list_files(path: str) -> MakeJob:
    """Return the job that lists the files below a folder."""
    return _after_introduction(request(Op.LIST_FILES, _path(path)))


def as_bytes(value: Any) -> bytes:
    """Return a file's content as the guest sent it. Raises ProtocolError."""
    if type(value) is not bytes:
        raise ProtocolError("a file's content is not bytes")
    return value


def as_paths(value: Any) -> list[str]:
    """Return a list of paths as the guest sent it. Raises ProtocolError."""
    if not is_list(value) or any(type(path) is not str for path in value):
        raise ProtocolError("a list of files is not a list of text")
    return value


def _after_introduction(frame: bytes) -> MakeJob:
    return lambda guest, limits: Job([*guest.introduction(limits), frame])


def _identifier(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError("name", f"{name!r:.60} is not a Python name")
    return name


def _path(path: object) -> str:
    if not isinstance(path, str) or not path or "\0" in path:
        raise ConfigurationError("path", f"{path!r:.60} is not a path in the guest")
    return path
