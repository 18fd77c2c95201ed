"""A native CPython of the guest's version, where there is one: the yardstick of compute."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cloche.bench.peers import PEERS, Peer

__all__ = ["NATIVE", "native_peer"]

NATIVE = "native"
"""The peer's name."""
_VERSION = (3, 13)
_NAME = "python3.13"
# Where version managers keep interpreters that are not on the PATH.
_HOMES = (".pyenv/versions/3.13*/bin", ".local/share/uv/python/cpython-3.13*/bin")
_ASK = "import sys; print(sys.version_info[:2], sys._is_gil_enabled())"


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
