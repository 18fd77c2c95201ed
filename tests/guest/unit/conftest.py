"""A host in memory: answers the guest's frames, so that its Python can be tested natively."""

import asyncio
import builtins
import importlib
import linecache
import random
import runpy
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CALL, START, WAIT, CANCEL, SLEEP, WITHDRAW = range(6)
RUN, RESUME, DEFINE, SET, GET, PUT_FILE, GET_FILE, LIST_FILES, LIMITS, RESEED = range(1, 11)


class FakeHost:
    """The bridge's other end. ``tools`` run when a background call is waited for, in the order of their start."""

    def __init__(self) -> None:
        self.tools: dict[str, Callable[..., Any]] = {}
        self.frames: list[Any] = []
        self.written: list[tuple[int, bytes]] = []
        self.file_caps: list[tuple[int, int]] = []
        self.running: dict[int, tuple[str, list[Any], dict[str, Any]]] = {}
        self.slow: set[str] = set()
        self.one_at_a_time = False
        self.registered: Callable[[bytes], bytes] | None = None
        self.waits: set[str] = set()
        self.waiting: list[int] = []
        self.responses: list[Any] = []
        self.requests: list[list[Any]] = []

    def call(self, frame: bytes) -> bytes:
        values = importlib.import_module("cloche_guest.values")
        request: list[Any] = values.decode(frame)
        self.frames.append(request)
        answer: bytes = values.encode(self._answer(request))
        return answer

    def _answer(self, request: list[Any]) -> list[Any]:
        operation, *rest = request
        if operation in (CALL, START) and rest[-3] in self.waits:
            self.waiting.append(len(self.frames))
            return [2, len(self.frames)]
        if operation == WAIT and not self.running and self.waiting:
            return [2, None]
        if operation == WITHDRAW:
            self.waiting.remove(rest[0])
            return [0, None]
        if operation == CALL:
            return self._outcome(*rest)
        if operation == START:
            self.running[rest[0]] = (rest[1], rest[2], rest[3])
        if operation == WAIT:
            return [0, self._finished(rest[0])]
        if operation == CANCEL:
            del self.running[rest[0]]
        return [0, None]

    def _finished(self, timeout: float | None) -> list[Any]:
        ready = [i for i, call in self.running.items() if call[0] not in self.slow or timeout is None]
        taken = ready[:1] if self.one_at_a_time else ready
        return [[i, *self._outcome(*self.running.pop(i))] for i in taken]

    def _outcome(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        if name not in self.tools:
            return [1, "NameError", f"no tool is called {name!r}"]
        try:
            return [0, self.tools[name](*args, **kwargs)]
        except Exception as error:
            return [1, type(error).__name__, str(error)]

    def write(self, stream: int, data: bytes) -> None:
        self.written.append((stream, data))

    def set_step(self, step: Callable[[bytes], bytes]) -> None:
        self.registered = step

    def fs_limits(self, files: int, size: int) -> None:
        self.file_caps.append((files, size))

    def suspend(self, response: bytes) -> bytes | None:
        """Note the response and return the next of ``requests``; refuse where none is left."""
        values = importlib.import_module("cloche_guest.values")
        if not self.requests:
            return None
        self.responses.append(values.decode(response))
        request: bytes = values.encode(self.requests.pop(0))
        return request

    def text(self, stream: int = 1) -> str:
        """Everything written to one stream so far."""
        return b"".join(data for to, data in self.written if to == stream).decode()

    def operations(self) -> list[int]:
        """The operation of every frame sent so far."""
        return [frame[0] for frame in self.frames]


_current = FakeHost()


def _relay(name: str) -> Callable[..., Any]:
    """The prelude keeps its own references to the bridge's functions, so they find the test's host on every call."""

    def call(*args: Any) -> Any:
        return getattr(_current, name)(*args)

    return call


_bridge = types.ModuleType("_cloche")
_stand_ins = runpy.run_path(str(Path(__file__).with_name("stand_ins.py")), run_name="cloche_guest.stand_ins")
vars(_bridge).update(_stand_ins["STAND_INS"])
vars(_bridge).update({name: _relay(name) for name in ("call", "write", "set_step", "fs_limits", "suspend")})
sys.modules["_cloche"] = _bridge


@pytest.fixture
def host() -> FakeHost:
    """A fresh host, connected."""
    global _current
    _current = FakeHost()
    return _current


@pytest.fixture
def keep() -> Iterator[Callable[[Any], None]]:
    """Call with a module or class: its attributes are put back after the test."""
    kept: list[tuple[Any, dict[str, Any]]] = []

    def remember(owner: Any) -> None:
        kept.append((owner, attributes(owner)))

    yield remember
    for owner, before in reversed(kept):
        put_back(owner, before)


def attributes(owner: Any) -> dict[str, Any]:
    """A copy of what a module or class holds."""
    held: dict[str, Any] = owner.__dict__
    return dict(held)


def put_back(owner: Any, before: dict[str, Any]) -> None:
    """Give a module or class the attributes it had, and no others."""
    now = attributes(owner)
    for name in now.keys() - before.keys():
        delattr(owner, name)
    for name, value in before.items():
        if now.get(name) is not value:
            setattr(owner, name, value)


class Guest:
    """A guest's step function, driven with plain values."""

    def __init__(self) -> None:
        self._step = importlib.import_module("cloche_guest.step").step
        self._values = importlib.import_module("cloche_guest.values")

    def ask(self, *request: Any) -> tuple[Any, Any]:
        """Send one request; return the response's value and error."""
        kind, value, error = self._values.decode(self._step(self._values.encode(list(request))))
        assert kind == 0
        return value, error

    def run(self, code: str, filename: str = "") -> Any:
        """Run a snippet that must succeed and return its value."""
        value, error = self.ask(RUN, code, filename, {})
        assert error is None, error["traceback"] or error
        return value

    def fail(self, code: str, filename: str = "") -> Any:
        """Run a snippet that must fail and return its error."""
        value, error = self.ask(RUN, code, filename, {})
        assert value is None
        assert error is not None
        return error

    def define(self, *specs: dict[str, Any]) -> None:
        """Define tools."""
        assert self.ask(DEFINE, list(specs)) == (None, None)


@pytest.fixture
def guest(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    """A guest with an empty namespace and fresh caps; what it changes in the interpreter is put back."""
    for name in ("stdout", "stderr", "stdin"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    namespace = importlib.import_module("cloche_guest.program")
    caps = importlib.import_module("cloche_guest.state")
    sources = importlib.import_module("cloche_guest.sources")
    monkeypatch.setattr(linecache, "getlines", sources.getlines)
    snippet_lines, state = dict(linecache.cache), random.getstate()
    before, builtin_names = dict(namespace.NAMESPACE), dict(vars(builtins))
    monkeypatch.setitem(sys.modules, "__main__", namespace.MAIN)
    caps.CAPS.__init__()
    yield Guest()
    namespace.NAMESPACE.clear()
    namespace.NAMESPACE.update(before)
    put_back(builtins, builtin_names)
    linecache.cache.clear()
    linecache.cache.update(snippet_lines)
    random.setstate(state)


@pytest.fixture
def bridge_asyncio(keep: Callable[[Any], None]) -> Iterator[None]:
    """asyncio with the bridge's loop installed, put back afterwards."""
    policy = asyncio.get_event_loop_policy()  # pyright: ignore[reportDeprecated]
    keep(asyncio)
    keep(asyncio.threads)
    importlib.import_module("cloche_guest.policy").install()
    yield
    asyncio.set_event_loop_policy(policy)  # pyright: ignore[reportDeprecated]


def tool(name: str, *params: Any, is_async: bool = False, returns: str = "", doc: str = "") -> dict[str, Any]:
    """A tool's description; a parameter is its name, or ``[name, kind, has_default, default, annotation]``."""
    full: list[Any] = [p if isinstance(p, list) else [p, 1, False, None, ""] for p in params]
    return {"name": name, "params": full, "returns": returns, "doc": doc, "async": is_async}


@pytest.fixture(name="tool")
def tool_maker() -> Callable[..., dict[str, Any]]:
    """The maker of tool descriptions."""
    return tool
