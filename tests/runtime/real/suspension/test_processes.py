"""A suspended program goes on in another process, with the same result; processes that are killed lose nothing."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cloche import Result, Snapshot, SnapshotMismatch

from .stopping import BOX, finish

HERE = Path(__file__).parent
CODE = """
import random, asyncio
class Total:
    def __init__(self):
        self.parts = []
    def add(self, x):
        self.parts.append((x, ask(x)))
total = Total()
print("begin")
def numbers():
    for i in range(3):
        yield i
for i in numbers():
    try:
        total.add(i)
    finally:
        print("added", i)
more = await asyncio.gather(aask(7), aask(8))
total.parts, more
"""


def another_process(*arguments: str, kill_after: float | None = None) -> "subprocess.CompletedProcess[bytes] | None":
    """Run ``worker.py`` to its end, or kill it after so many seconds; None if it was killed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, str(HERE / "worker.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        out, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return subprocess.CompletedProcess(process.args, process.returncode, out)


@pytest.fixture(scope="module")
def straight() -> Result[Any]:
    return BOX.run(CODE)


def test_process_after_process_gives_the_same_result(tmp_path: Path, straight: Result[Any]) -> None:
    with BOX.session() as session:
        expected = finish(session.start(CODE, step=True))
    assert (expected.value, expected.stdout) == (straight.value, straight.stdout)
    (tmp_path / "code.py").write_text(CODE)
    rounds = 0
    while (done := another_process(str(tmp_path))) is not None and not (tmp_path / "result").exists():
        assert done.returncode == 0
        rounds += 1
    assert rounds == 4
    assert (tmp_path / "result").read_text() == repr((expected.value, expected.stdout, expected.usage.calls))


def test_killed_at_any_moment(tmp_path: Path, straight: Result[Any]) -> None:
    """The worker answers one stop after another and saves each; it is killed again and again, and begun again."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    code = "log = []\nfor i in range(60):\n    log.append(ask(i))\n    print(i)\nlog"
    (tmp_path / "code.py").write_text(code)
    kills, steps, until = 0, 0, time.monotonic() + 120
    while not (tmp_path / "result").exists():
        assert time.monotonic() < until, f"seed {seed}: {kills} kills, {steps} steps"
        # Some live long enough to do several steps, some not even to begin.
        done = another_process(str(tmp_path), "all", kill_after=chance.uniform(0.2, 1.5))
        kills += done is None
        if (tmp_path / "acknowledged").exists() and not (tmp_path / "result").exists():
            acknowledged = int((tmp_path / "acknowledged").read_text() or steps)
            kept = Snapshot.load(tmp_path / "paused")
            paused = BOX.restore(kept).suspended
            assert paused is not None
            now = len(paused.stdout.splitlines())
            assert now >= acknowledged >= steps, f"seed {seed}: an acknowledged step was lost"
            steps = acknowledged
    expected = repr(([i * 10 for i in range(60)], "".join(f"{i}\n" for i in range(60)), 60))
    assert (tmp_path / "result").read_text() == expected


def test_a_suspended_program_is_sealed_and_bound_like_any_session() -> None:
    key = b"k" * 32
    with BOX.session() as session:
        paused = session.start("ask(1)", step=True)
        assert not isinstance(paused, Result)
        snapshot = paused.snapshot(key=key, tenant="acme")
    assert snapshot.is_suspended
    for wrong in ({}, {"key": key}, {"key": b"x" * 32, "tenant": "acme"}, {"key": key, "tenant": "other"}):
        with pytest.raises(SnapshotMismatch):
            BOX.restore(snapshot, **wrong)  # pyright: ignore[reportArgumentType]
    again = BOX.restore(snapshot, key=key, tenant="acme").suspended
    assert again is not None
    assert finish(again).value == 10


def test_a_restored_program_draws_other_numbers() -> None:
    code = "import random\nask(1)\nrandom.random()"
    with BOX.session() as session:
        paused = session.start(code, step=True)
        assert not isinstance(paused, Result)
        snapshot = paused.snapshot()
    values = set[float]()
    for _ in range(3):
        again = BOX.restore(snapshot).suspended
        assert again is not None
        values.add(finish(again).value)
    assert len(values) == 3
