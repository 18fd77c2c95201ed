"""The short part of ``make kills``: a few processes killed, and losses of power, over both stores."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.kills import STORES, lose_power
from tests.hostile.powerloss import Operation, acknowledged, leave

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library, and forks")


def test_processes_that_are_killed_lose_and_double_nothing() -> None:
    # In a process of its own: it forks, and no engine may exist then.
    command = [sys.executable, "-m", "tests.hostile.kills", "--kills", "32", "--cuts", "0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in STORES:
        assert f"{kind}, sessions in guests: 2 processes" in done.stdout
        assert f"{kind}, snapshots alone: 14 processes" in done.stdout


@pytest.mark.parametrize("kind", STORES)
def test_a_loss_of_power_loses_nothing_that_was_acknowledged(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    assert lose_power(kind, tmp_path, 60, random.Random()) > 20


WRITTEN = [
    Operation("C", "new", 0, b""),
    Operation("W", "new", 0, b"content"),
    Operation("R", "new", 0, b"old"),
    Operation("W", ".acknowledged", 0, b"7"),
]


def left(done: list[Operation], folder: Path, number: int) -> bytes | None:
    place = folder / str(number)
    place.mkdir()
    leave(done, place, random.Random(number))
    return (place / "old").read_bytes() if (place / "old").exists() else None


def test_what_was_not_synced_may_be_gone_whole_or_in_part(tmp_path: Path) -> None:
    found = {left(WRITTEN, tmp_path, number) for number in range(200)}
    assert {None, b"", b"content"} < found
    assert acknowledged(WRITTEN) == 7


def test_what_was_synced_is_there(tmp_path: Path) -> None:
    synced = [*WRITTEN[:2], Operation("S", "new", 0, b""), WRITTEN[2], Operation("S", ".", 0, b"")]
    assert {left(synced, tmp_path, number) for number in range(50)} == {b"content"}
