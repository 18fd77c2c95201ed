"""A recording of programs that were suspended: one run each, replayed without answers from anybody."""

from typing import Any

import pytest

from cloche import Recorder, Recording, Sandbox, Suspended, replay, tool


@tool(suspend=True)
def ask(question: str) -> str:
    """Ask a person."""
    return question


@tool(approval=True)
def unlock(secret: str) -> str:
    """Unlock something."""
    return f"opened with {secret}"


BOX = Sandbox(tools=[ask, unlock])


def stopped(now: Any) -> Suspended:
    assert isinstance(now, Suspended)
    return now


def test_a_suspended_run_is_replayed() -> None:
    recorder = Recorder()
    with BOX.session(recorder=recorder) as session:
        session.run("base = [1]")
        paused = stopped(session.start("print('a')\nbase.append(ask('q'))\nprint('b')\nbase.append(unlock('k'))\nbase"))
        result: Any = stopped(paused.resume({1: "yes"})).approve(2)
        assert result.value == [1, "yes", "opened with k"]
        session.run("base.append(2)")
    recording = recorder.recording()
    assert len(recording.runs) == 3
    again = replay(Recording.from_bytes(recording.to_bytes()))
    assert again.difference is None
    assert again.runs == 3


def test_a_suspended_run_that_crashed_is_replayed() -> None:
    recorder = Recorder()
    with BOX.session(recorder=recorder) as session:
        session.run("kept = 1")
        lost: Any = stopped(session.start("kept = 2\nask('q')\nwhile True: pass")).resume({1: "x"})
        assert lost.rolled_back
        assert session.run("kept").value == 1
    again = replay(recorder.recording())
    assert again.difference is None
    assert again.runs == 3


@pytest.mark.parametrize("way", ["approve", "deny"])
def test_answers_of_redacted_tools_are_not_recorded(way: str) -> None:
    recorder = Recorder(redact=["unlock", "ask"])
    with BOX.session(recorder=recorder) as session:
        paused = stopped(session.start("code = ask('which')\ntry:\n    unlock(code)\nexcept OSError:\n    pass"))
        then = stopped(paused.resume({1: "hunter2"}))
        if way == "approve":
            then.approve(2)
        else:
            then.deny(2, "not hunter2")
    assert b"hunter2" not in recorder.recording().to_bytes()
