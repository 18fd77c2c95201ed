"""A new process, from its start to its first line of output."""

import os
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from cloche.bench.measuring.process import Failed
from cloche.bench.peers import Peer
from cloche.bench.worker.blocks import Block, take_block

__all__ = ["first_results"]

_FOLDER = Path(__file__).parents[1] / "first"
_DEADLINE = 20.0


def first_results(peer: Peer, block: Block) -> dict[str, list[float]]:
    """Return seconds, one for each process. Raises Failed with the last line that the process said."""
    return take_block(lambda: {"process": _seconds(peer)}, block)


def _seconds(peer: Peer) -> float:
    # An installed package has its bytecode; a source tree keeps it too, unless this variable forbids it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = perf_counter()
    process = subprocess.Popen(
        [peer.python, "-P", str(_FOLDER / f"{peer.first}.py")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, _ended_after(process, _DEADLINE):
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
