"""Processes, seen from the outside: a worker that is asked and ended in time, and a new one timed to its first line."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from types import MappingProxyType
from typing import Any

from cloche.bench.peers import Peer
from cloche.bench.worker.serving import Block, take_block

__all__ = ["Failed", "WorkerProcess", "first_results"]

_LAUNCH = Path(__file__).parents[1] / "worker" / "launch.py"
_START = 60.0

_FOLDER = Path(__file__).parents[1] / "first"
_DEADLINE, _COLD_DEADLINE = 20.0, 300.0


class Failed(Exception):
    """A peer did not give an answer. ``kind`` is its own error's type, or how its process ended."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WorkerProcess:
    """One peer in a process of its own. After Failed because of a deadline or a crash, the process is gone.

    ``hello`` is what it said first: ``python`` and ``versions``, or ``missing``. Raises Failed if it said nothing.
    """

    def __init__(self, peer: Peer) -> None:
        # Its errors go to a file: a pipe that is not read would stop it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = self._start(peer)
        self._answers: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.hello: dict[str, Any] = self._answer(_START)

    def ask(self, request: dict[str, Any], deadline: float) -> dict[str, list[float]]:
        """Return the samples by metric. Raises Failed."""
        self._send(json.dumps(request))
        answer = self._answer(deadline)
        if "error" in answer:
            raise Failed(answer["error"]["type"], answer["error"]["message"])
        samples: dict[str, list[float]] = answer["samples"]
        return samples

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process. Safe to call twice."""
        try:
            self._stdin.close()
            self._process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _start(self, peer: Peer) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                [peer.python, "-P", str(_LAUNCH), peer.adapter, *peer.distributions],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise Failed("not installed", f"{peer.python} does not start: {error.strerror}") from None

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def _send(self, line: str) -> None:
        try:
            self._stdin.write(line + "\n")
            self._stdin.flush()
        except OSError:
            raise self._crash() from None

    def _answer(self, deadline: float) -> Any:
        try:
            line = self._answers.get(timeout=deadline)
        except Empty:
            self._process.kill()
            self._process.wait()
            raise Failed("GaveUp", f"not done after {deadline:g} s") from None
        if not line:
            raise self._crash()
        return json.loads(line)

    def _read(self) -> None:
        stream: Any = self._process.stdout
        for line in stream:
            self._answers.put(line)
        self._answers.put("")
        stream.close()

    def _crash(self) -> Failed:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read()[-2_000:].decode(errors="replace").strip()
        return Failed("Crashed", f"its process ended with code {code}: {said or 'it said nothing'}")


def first_results(peer: Peer, block: Block, metric: str) -> dict[str, list[float]]:
    """Return seconds, one for each process; for ``cold``, each with a cache of Cloche's that is empty.

    Raises Failed with the last line that the process said.
    """
    return take_block(lambda: {metric: _cold(peer) if metric == "cold" else _seconds(peer)}, block)


def _cold(peer: Peer) -> float:
    with tempfile.TemporaryDirectory() as cache:
        return _seconds(peer, {"CLOCHE_CACHE": cache}, _COLD_DEADLINE)


def _seconds(peer: Peer, variables: Mapping[str, str] = MappingProxyType({}), deadline: float = _DEADLINE) -> float:
    # An installed package has its bytecode; a source tree keeps it too, unless this variable forbids it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment.update(variables)
    start = perf_counter()
    process = subprocess.Popen(
        [peer.python, "-P", str(_FOLDER / f"{peer.first}.py")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, _ended_after(process, deadline):
        assert process.stdout is not None
        line = process.stdout.readline()
        took = perf_counter() - start
        _, said = process.communicate()
    if line.strip() != "42":
        raise Failed("WrongAnswer", f"expected 42, got {line.strip()!r}: {said.strip()[-500:]}")
    return took


@contextmanager
def _ended_after(process: subprocess.Popen[str], seconds: float) -> Generator[None, None, None]:
    """Kill the process if it is still there then: neither a line nor an end may be waited for without end."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
