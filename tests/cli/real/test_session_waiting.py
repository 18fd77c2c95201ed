"""``cloche session start`` and the answers to it: each command a process of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TOOLS = '''
from pathlib import Path
from cloche import tool

def note(text: str) -> None:
    with Path("ledger").open("a") as ledger:
        ledger.write(text + "\\n")

@tool
def price(item: str) -> int:
    """Return an item's price."""
    note(f"price {item}")
    return len(item)

@tool(approval=True)
def pay(amount: int, to: str) -> str:
    """Pay a person."""
    note(f"paid {amount} to {to}")
    return f"paid {amount} to {to}"

@tool(suspend=True)
def ask(question: str) -> str:
    """Ask a person."""
    raise NotImplementedError
'''
PROGRAM = """\
print("starting")
total = price("tea")
try:
    receipt = pay(total, to="Ann\\x1b[2J")
except PermissionError as error:
    receipt = str(error)
print("going on")
colour = ask("which?")
[receipt, colour]
"""
GIVEN = ("--tool", "till:price", "--tool", "till:pay", "--tool", "till:ask")


@pytest.fixture
def kept(cloche: Run, folder: Path) -> Run:
    """Runs ``cloche session`` with a store of its own, beside a module with tools that wait."""
    (folder / "till.py").write_text(TOOLS)
    (folder / "order.py").write_text(PROGRAM)

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return cloche("session", *arguments, stdin=stdin, CLOCHE_SESSIONS="sessions")

    return run


def ledger(folder: Path) -> list[str]:
    return (folder / "ledger").read_text().splitlines()


def test_a_program_is_started_listed_and_answered_in_processes_of_their_own(kept: Run, folder: Path) -> None:
    done = kept("start", "order", "order.py", *GIVEN)
    assert (done.returncode, done.stdout) == (5, "starting\n")
    waiting = "  call 1 in line 4 waits for approval: pay(3, to='Ann\\x1b[2J')\n"
    assert done.stderr == waiting
    listed = kept("list").stdout
    assert listed.startswith("order  ")
    assert "suspended, tools ask pay price\n" + waiting in listed
    assert ledger(folder) == ["price tea"]

    done = kept("approve", "order", *GIVEN)
    assert (done.returncode, done.stdout) == (5, "going on\n")
    assert done.stderr == "  call 2 in line 8 waits for an answer: ask('which?')\n"
    done = kept("answer", "order", "2", '"red"', *GIVEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['paid 3 to Ann\\x1b[2J', 'red']\n"
    assert ledger(folder) == ["price tea", "paid 3 to Ann\x1b[2J"]

    assert "suspended" not in kept("list").stdout
    assert kept("resume", "order", "-", stdin="colour, total").stdout == "('red', 3)\n"


def test_a_call_that_is_denied_is_not_made(kept: Run, folder: Path) -> None:
    kept("start", "order", "order.py", *GIVEN)
    kept("fork", "order", "twin")
    assert kept("deny", "order", "1", "too dear", *GIVEN).returncode == 5
    done = kept("answer", "order", "2", "null", *GIVEN)
    assert (done.returncode, done.stdout) == (0, "['pay() is not allowed: too dear', None]\n")
    assert ledger(folder) == ["price tea"]
    assert "call 1 in line 4 waits for approval" in kept("list").stdout, "the other one still waits"


def test_what_cannot_be_answered_is_said_and_changes_nothing(kept: Run, folder: Path) -> None:
    kept("start", "order", "order.py", *GIVEN)
    kept("save", "plain", "-", stdin="x = 1")
    listed = kept("list").stdout
    for arguments, problem in [
        (["approve", "order"], "give --tool for ask, pay, price"),
        (["approve", "order", *GIVEN[2:]], "give --tool for price"),
        (["approve", "order", "7", *GIVEN], "no call has the id 7: 1 (pay) waits"),
        (["answer", "order", "1", '"paid"', *GIVEN], "waits for approval, and not for a value"),
        (["answer", "order", "1", "red", *GIVEN], "'red' is not JSON"),
        (["deny", "order", "one", *GIVEN], "invalid int value"),
        (["approve", "plain"], "no call waits in 'plain'"),
        (["approve", "absent"], "there is no snapshot named 'absent'"),
        (["resume", "order", "-", *GIVEN], "is suspended and waits for pay() (call 1)"),
        (["start", "new", "-", "--key", "missing"], "cannot read the key"),
    ]:
        done = kept(*arguments, stdin="1")
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert problem in done.stderr
    assert kept("list").stdout == listed
    assert ledger(folder) == ["price tea"]


def test_every_call_of_a_program_can_wait(kept: Run, folder: Path) -> None:
    done = kept("start", "order", "-", "--step", *GIVEN, stdin="price('a') + price('bc')")
    assert done.stderr == "  call 1 in line 1 waits for an answer: price('a')\n"
    assert kept("approve", "order", "1", *GIVEN).stderr == "  call 2 in line 1 waits for an answer: price('bc')\n"
    assert kept("answer", "order", "2", "40", *GIVEN).stdout == "41\n"
    assert ledger(folder) == ["price a"]
