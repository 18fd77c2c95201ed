"""``cloche session``, ``cloche run --record`` and ``cloche replay``: each command a process of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

COUNTER = "def count():\n    n = 0\n    while True:\n        n += 1\n        yield n\ncounter = count()\nnext(counter)"


@pytest.fixture(params=["sessions", "sqlite:sessions.db"])
def kept(request: pytest.FixtureRequest, cloche: Run) -> Run:
    """Runs ``cloche session`` with a store of its own."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return cloche("session", *arguments, stdin=stdin, CLOCHE_SESSIONS=request.param)

    return run


def test_a_session_goes_on_in_the_next_process(kept: Run) -> None:
    done = kept("save", "mine", "-", "--tool", "shop:price", stdin=COUNTER)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    for expected in ("2\n", "3\n"):
        assert kept("resume", "mine", "-", stdin="next(counter)").stdout == expected
    assert kept("resume", "mine", "-", "--no-save", stdin="next(counter)").stdout == "4\n"
    assert kept("resume", "mine", "-", "--as", "other", stdin="next(counter)").stdout == "4\n"
    assert kept("fork", "mine", "twin", "twin/2").returncode == 0
    assert kept("resume", "twin/2", "-", stdin="next(counter)").stdout == "4\n"
    listed = kept("list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["mine", "other", "twin", "twin/2"]
    assert "3 runs" in listed[0]
    assert kept("delete", "mine", "twin").returncode == 0
    assert [line.split()[0] for line in kept("list").stdout.splitlines()] == ["other", "twin/2"]


def test_what_a_failed_program_did_is_kept(kept: Run) -> None:
    done = kept("save", "mine", "-", stdin="x = 5\n1 / 0")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    done = kept("resume", "mine", "-", "--fuel", "50e6", stdin="x = 6\nwhile True: pass")
    assert done.returncode == 3
    assert kept("resume", "mine", "-", stdin="x").stdout == "5\n"


def test_a_sealed_session_wants_its_key_and_its_tenant(kept: Run, folder: Path) -> None:
    (folder / "key").write_bytes(b"k" * 32)
    (folder / "wrong").write_bytes(b"w" * 32)
    sealed = ("--key", "key", "--tenant", "acme")
    assert kept("save", "mine", "-", *sealed, stdin="x = 5").returncode == 0
    assert kept("resume", "mine", "-", *sealed, stdin="x").stdout == "5\n"
    assert "sealed, of acme" in kept("list").stdout
    for wrong in (("--key", "wrong", "--tenant", "acme"), ("--key", "key"), ("--tenant", "acme"), ()):
        for action in (["resume", "mine", "-"], ["fork", "mine", "twin"]):
            done = kept(*action, *wrong, stdin="x")
            assert (done.returncode, done.stdout) == (2, "")
            assert "does not fit, by its" in done.stderr
    assert "cannot read the key" in kept("list", "--store", "x").stderr + kept("save", "x", "-", "--key", "no").stderr


def test_what_is_missing_or_damaged_is_said(kept: Run, cloche: Run, folder: Path) -> None:
    done = kept("resume", "absent", "-", stdin="1")
    assert (done.returncode, done.stderr) == (2, "cloche session: there is no snapshot named 'absent'\n")
    assert kept("save", "", "-", stdin="1").returncode == 2
    assert kept().returncode == 2
    assert cloche("session", "list", "--store", "shop.py").returncode == 2
    (folder / "sessions").mkdir(exist_ok=True)
    (folder / "sessions" / "bad.cloche").write_bytes(b"not a session")
    listed = cloche("session", "list", "--store", "sessions")
    assert listed.stdout.startswith("bad  (this snapshot cannot be used: it is not a snapshot")


@pytest.mark.parametrize("name", ["run.json", "run.recording"])
def test_a_recorded_run_is_replayed_without_its_tools(cloche: Run, folder: Path, name: str) -> None:
    program = "import random\nprint(price('tea', count=3), random.random())"
    done = cloche("run", "-", "--tool", "shop:price", "--record", name, stdin=program)
    assert done.returncode == 0
    (folder / "shop.py").unlink()
    again = cloche("replay", name)
    assert (again.returncode, again.stdout) == (0, "1 run with 1 tool call went the same way\n")


def test_a_replay_tells_the_first_difference(cloche: Run, folder: Path) -> None:
    cloche("run", "-", "--tool", "shop:price", "--record", "run.json", stdin="price('tea')\nprice('cup', 2)")
    document = json.loads((folder / "run.json").read_text())
    (call,) = [event for event in document["runs"][0]["events"] if "cup" in json.dumps(event)]
    call[1]["$message"][2] = ["mug", 2]
    (folder / "run.json").write_text(json.dumps(document))
    done = cloche("replay", "run.json")
    assert done.returncode == 1
    assert "its call was price('mug', 2) and is price('cup', 2)" in done.stdout


def test_a_recording_keeps_secrets_out(cloche: Run, folder: Path) -> None:
    program = "price('te' + 'a', count=3) and None"
    cloche("run", "-", "--tool", "shop:price", "--record", "r.json", "--redact", "shop.item", stdin=program)
    cloche("run", "-", "--tool", "shop:price", "--record", "s.json", "--redact", "price.item", stdin=program)
    assert '"tea"' in (folder / "r.json").read_text()
    assert '"tea"' not in (folder / "s.json").read_text()
    assert cloche("replay", "s.json").returncode == 0


def test_what_cannot_be_replayed_is_said(cloche: Run, folder: Path) -> None:
    (folder / "bad").write_text("hello")
    for name, problem in [("bad", "not a recording"), ("missing", "cannot read missing")]:
        done = cloche("replay", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert problem in done.stderr
