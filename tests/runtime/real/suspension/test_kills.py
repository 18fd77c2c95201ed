"""Two hundred times suspended, saved and resumed, by processes that are killed: nothing acknowledged is lost."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from cloche import FolderStore, SnapshotNotFound

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="it is about processes that fork and are killed")

CYCLES = 200
CODE = f"log = []\nfor i in range({CYCLES}):\n    log.append(ask(i))\n    print(i)\nlog"


class Mortals:
    """Starts processes that resume the program in a folder, one after the other, and kills them."""

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).parent
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
        self._process = subprocess.Popen(
            [sys.executable, str(here / "mortal.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.saved: set[int] = set()

    def live(self, seconds: float) -> int:
        """Let one live that long; return how many new stops it has reported."""
        self._pipe(self._process.stdin).write(f"{seconds}\n")
        self._pipe(self._process.stdin).flush()
        before = len(self.saved)
        while (line := self._line()) != "gone":
            self.saved.add(int(line.removeprefix("saved ")))
        return len(self.saved) - before

    def close(self) -> None:
        self._pipe(self._process.stdin).close()
        self._pipe(self._process.stdout).close()
        self._process.wait(30)

    def _line(self) -> str:
        line = self._pipe(self._process.stdout).readline()
        assert line, "the process that forks has ended"
        return line.strip()

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream


@pytest.fixture
def mortals(tmp_path: Path) -> Iterator[Mortals]:
    (tmp_path / "code.py").write_text(CODE)
    made = Mortals(tmp_path)
    yield made
    made.close()


def kept_stop(folder: Path) -> int:
    """The number of the stop that the program in the store stands at; -1 if there is none yet."""
    try:
        (call,) = FolderStore(folder / "store").get("program").calls
    except SnapshotNotFound:
        return -1
    stop = call.args[0]
    assert isinstance(stop, int)
    return stop


def test_two_hundred_cycles_and_no_acknowledged_state_is_lost(mortals: Mortals, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    kills, longest, result = 0, 0.05, tmp_path / "result"
    while not result.exists():
        # However busy or fast the machine is: some die before they have saved anything, none lives for many cycles.
        told = mortals.live(chance.uniform(0, longest))
        kills, longest = kills + 1, longest * (min(0.95, 8 / told) if told else 1.25)
        if not result.exists():
            stop, acknowledged = kept_stop(tmp_path), max(mortals.saved, default=-1)
            # Saved may be one more than what was told: it died before it could tell.
            assert acknowledged <= stop <= acknowledged + 1, f"seed {seed}: stop {stop}, told {acknowledged}"
    assert mortals.saved == set(range(CYCLES)), f"seed {seed}"
    assert kills >= 10, f"seed {seed}: too few to mean anything"
    expected = ([10 * i for i in range(CYCLES)], "".join(f"{i}\n" for i in range(CYCLES)), CYCLES)
    assert result.read_text() == repr(expected), f"seed {seed}: {kills} kills"
