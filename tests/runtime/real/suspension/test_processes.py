"""A suspended program is resumed in another process, with the same result."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloche import Result, SnapshotMismatch

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


def another_process(folder: Path) -> "subprocess.CompletedProcess[bytes]":
    """Run ``worker.py`` to its end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, str(HERE / "worker.py"), str(folder)]
    return subprocess.run(command, stdout=subprocess.PIPE, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def straight() -> Result[Any]:
    return BOX.run(CODE)


def test_process_after_process_gives_the_same_result(tmp_path: Path, straight: Result[Any]) -> None:
    with BOX.session() as session:
        expected = finish(session.start(CODE, step=True))
    assert (expected.value, expected.stdout) == (straight.value, straight.stdout)
    (tmp_path / "code.py").write_text(CODE)
    rounds = 0
    while (done := another_process(tmp_path)).returncode == 0 and not (tmp_path / "result").exists():
        rounds += 1
    assert (done.returncode, rounds) == (0, 4)
    assert (tmp_path / "result").read_text() == repr((expected.value, expected.stdout, expected.usage.calls))


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
