"""Answers to one session from several processes at once: one of them counts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TOOLS = '''
import os, time
from pathlib import Path
from cloche import tool

def note(text):
    with Path("ledger").open("a") as ledger:
        ledger.write(text + "\\n")

@tool(approval=True)
def pay(amount: int) -> str:
    """Pay, which takes until there is a file named "go"."""
    note(f"paying {amount}")
    while not Path("go").exists():
        time.sleep(0.01)
    return f"paid {amount}"

@tool(suspend=True)
def ask(question: str) -> str:
    """Ask a person."""
    raise NotImplementedError
'''
PROGRAM = "receipt = pay(3)\n[receipt, ask('which?')]"
# No time limit: however slow the machine, the tool waits for the test, not the other way round.
GIVEN = ("--tool", "till:pay", "--tool", "till:ask", "--time", "none")


@pytest.fixture(params=["sessions", "sqlite:sessions.db"])
def place(request: pytest.FixtureRequest, folder: Path) -> str:
    (folder / "till.py").write_text(TOOLS)
    (folder / "order.py").write_text(PROGRAM)
    place: str = request.param
    return place


@pytest.fixture
def kept(cloche: Run, place: str) -> Run:
    """Runs ``cloche session`` to its end."""
    return lambda *arguments: cloche("session", *arguments, CLOCHE_SESSIONS=place)


class Processes:
    """Starts ``cloche session`` in processes that are not waited for."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "cloche", "session", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            env=self._environment,
        )
        self.started.append(process)
        return process

    def paying(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start one and wait until its tool is being called."""
        before, process = len(self.ledger()), self.start(*arguments)
        while len(self.ledger()) == before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        return process

    def ledger(self) -> list[str]:
        path = self._folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def go(self) -> None:
        (self._folder / "go").touch()


@pytest.fixture
def processes(folder: Path, place: str, environment: Callable[..., dict[str, str]]) -> Iterator[Processes]:
    made = Processes(folder, environment(CLOCHE_SESSIONS=place))
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_while_one_process_answers_no_other_changes_the_session(kept: Run, processes: Processes) -> None:
    kept("start", "order", "order.py", *GIVEN)
    first = processes.paying("approve", "order", *GIVEN)
    for arguments in [
        ["approve", "order", *GIVEN],
        ["deny", "order", "1", *GIVEN],
        ["start", "order", "order.py", *GIVEN],
        ["save", "order", "order.py", *GIVEN],
        ["resume", "order", "order.py", *GIVEN],
        ["delete", "order"],
    ]:
        done = kept(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert f"cloche session: process {first.pid} is working with 'order': wait until that is done" in done.stderr
    assert "call 1 in line 1 waits for approval" in kept("list").stdout, "looking is allowed"
    processes.go()
    assert "call 2 in line 2 waits for an answer" in first.communicate(timeout=120)[1]
    assert processes.ledger() == ["paying 3"]
    assert kept("answer", "order", "2", '"red"', *GIVEN).stdout == "['paid 3', 'red']\n"


def test_of_two_answers_given_at_once_one_counts(kept: Run, processes: Processes) -> None:
    kept("start", "order", "order.py", *GIVEN)
    processes.go()
    both = [processes.start("approve", "order", "1", *GIVEN) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [2, 5]
    refused = errors[[process.returncode for process in both].index(2)]
    # The other one came while the first went on, or after it.
    assert "is working with 'order'" in refused or "no call has the id 1: 2 (ask) waits" in refused
    assert processes.ledger() == ["paying 3"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_process_that_was_killed_holds_no_lock(kept: Run, processes: Processes) -> None:
    kept("start", "order", "order.py", *GIVEN)
    dead = processes.paying("approve", "order", *GIVEN)
    os.kill(dead.pid, signal.SIGKILL)
    dead.communicate(timeout=60)
    processes.go()
    done = kept("approve", "order", *GIVEN)
    assert done.returncode == 5, done.stderr
    assert "call 2 in line 2 waits for an answer" in done.stderr
    assert processes.ledger() == ["paying 3", "paying 3"], "its answer was not kept: the call waited again"


def test_other_sessions_go_on_meanwhile(kept: Run, processes: Processes) -> None:
    kept("start", "order", "order.py", *GIVEN)
    kept("fork", "order", "twin")
    processes.paying("approve", "order", *GIVEN)
    assert kept("deny", "twin", "1", *GIVEN).returncode == 1, "the program does not catch it"
    assert kept("delete", "twin").returncode == 0
