"""A recorded session happens again without its tools, or the first difference is told."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloche import (
    ConfigurationError,
    Limits,
    Recorder,
    Recording,
    RecordingError,
    Sandbox,
    Session,
    replay,
    tool,
)
from cloche.runtime.bridge.transcript import RecordedCall

called: list[str] = []


@tool
def look(name: str, depth: int = 0) -> dict[str, Any]:
    """Look something up."""
    called.append(name)
    if name == "nothing":
        raise LookupError(name)
    return {"name": name, "depth": depth, "score": 0.5}


@tool
async def fetch(name: str, password: str = "") -> str:
    """Fetch something."""
    await asyncio.sleep(0.01 if name == "slow" else 0)
    return f"{name} fetched"


PROGRAMS = [
    "import random, time\nseen = [look('a'), look('b', depth=2)]\nprint(seen, time.time(), random.random())\nlen(seen)",
    "import asyncio\n"
    "await asyncio.gather(fetch('slow'), fetch('quick', password='hush'), asyncio.to_thread(look, 'c'))",
    "try:\n    look('nothing')\nexcept LookupError as error:\n    print(error)\nlook(5)",
    "import secrets, uuid, sys\nprint('err', file=sys.stderr)\nsecrets.token_hex(4), str(uuid.uuid4())",
    "import time\nstart = time.monotonic(); time.sleep(0.01); time.monotonic() - start > 0.005",
    "1 / 0",
]


def recorded(*programs: str, box: Sandbox | None = None, redact: tuple[str, ...] = (), **settings: Any) -> Recording:
    recorder = Recorder(redact)
    box = Sandbox(tools=[look, fetch]) if box is None else box
    with box.session(recorder=recorder, **settings) as session:
        for program in programs:
            session.run(program)
    return recorder.recording()


@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_a_session_happens_again_without_its_tools(form: str, tmp_path: Path) -> None:
    recording = recorded(*PROGRAMS)
    path = tmp_path / ("session.json" if form == "json" else "session")
    recording.save(path)
    again = Recording.load(path)
    assert again == recording
    called.clear()
    report = replay(again)
    assert (report.difference, report.runs, report.complete) == (None, len(PROGRAMS), True)
    assert report.calls == 7
    assert called == []


def test_one_run_and_an_async_one_can_be_recorded() -> None:
    box, recorders = Sandbox(tools=[look]), [Recorder(), Recorder()]
    box.run("look('a')['depth']", recorder=recorders[0]).unwrap()
    asyncio.run(box.arun("look('a')['depth']", recorder=recorders[1])).unwrap()
    for recorder in recorders:
        assert replay(recorder.recording()).difference is None


def test_variables_and_files_are_part_of_it() -> None:
    recorder = Recorder()
    with Sandbox().session(recorder=recorder) as session:
        session.set("x", [1, (2, 3), {4}])
        session.put_file("a.txt", "hello")
        session.run("open('a.txt').read(), x").unwrap()
        assert session.get("x")[0] == 1
    assert replay(recorder.recording()).runs == 4


def test_a_restored_session_begins_with_its_snapshot() -> None:
    recorder = Recorder()
    with Sandbox().session() as session:
        session.run("x = 41").unwrap()
        with Sandbox().restore(session.snapshot(), recorder=recorder) as restored:
            restored.run("import random; x + random.random()").unwrap()
    assert replay(Recording.from_bytes(recorder.recording().to_bytes())).difference is None


@pytest.mark.parametrize(
    ("program", "limits"),
    [
        ("while True: pass", Limits(fuel=30_000_000)),
        ("while True: pass", Limits(time=0.2)),
        ("import time\nwhile True: time.time()", Limits(time=0.2, fuel=None)),
        ("import time\ntime.sleep(60)", Limits(time=0.2)),
        ("for n in range(100): look('a')", Limits(calls=5)),
        ("while True: print('x' * 1000)", Limits(output=10_000)),
        ("while True: print('x' * 1000, flush=True)", Limits(output=10_000)),
        ("x = []\nwhile True: x.append(bytes(1 << 20))", Limits(memory="64 MiB")),
        ("def f(): f()\nf()", Limits()),
        ("'x' * 5_000_000", Limits()),
    ],
)
@pytest.mark.parametrize("rollback", [True, False])
def test_runs_that_were_ended_end_again(program: str, limits: Limits, rollback: bool) -> None:
    recorder = Recorder()
    with Sandbox(tools=[look], limits=limits).session(recorder=recorder, rollback=rollback) as session:
        session.run("kept = 1").unwrap()
        assert session.run(program).error is not None
        if rollback:
            assert session.run("kept").unwrap() == 1
    assert replay(recorder.recording()).difference is None


def test_a_stuck_tool_is_no_obstacle() -> None:
    @tool
    def stuck() -> None:
        """Take long."""
        time.sleep(1)

    recorder = Recorder()
    with Sandbox(tools=[stuck], limits=Limits(time=0.2)).session(recorder=recorder) as session:
        assert session.run("stuck()").error is not None
        assert session.run("5").unwrap() == 5
    assert replay(recorder.recording()).difference is None


def changed(recording: Recording, **changes: Any) -> Recording:
    return replace(recording, runs=(replace(recording.runs[0], **changes), *recording.runs[1:]))


def test_the_first_difference_is_told() -> None:
    recording = recorded("x = look('a')\nprint(look('b')['name'])\nx['depth']")
    events = list(recording.runs[0].events)
    calls = [index for index, event in enumerate(events) if isinstance(event, RecordedCall)]

    first, second = (events[index] for index in calls)
    assert isinstance(first, RecordedCall)
    assert isinstance(second, RecordedCall)
    swapped = [*events]
    swapped[calls[1]] = second._replace(frame=first.frame)
    difference = replay(changed(recording, events=swapped)).difference
    assert difference is not None
    assert (difference.run, difference.event, difference.what) == (1, calls[1] + 1, "call")
    assert str(difference) == f"run 1, event {calls[1] + 1}: its call was look('a') and is look('b')"

    answered = [*events]
    answered[calls[0]] = first._replace(reply=second.reply)
    assert replay(changed(recording, events=answered)).difference is None  # the name that differs was not used
    missing = replay(changed(recording, events=events[: calls[1]])).difference
    assert missing is not None
    assert (missing.recorded, missing.replayed) == ("not asked for", "look('b')")
    more = replay(changed(recording, events=[*events, first])).difference
    assert more is not None
    assert (more.what, more.recorded, more.replayed) == ("call", "look('a')", "not asked for")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"output": b"hello\nWorld\n"}, "stdout"),
        ({"output": b"hello"}, "stdout"),
        ({"errors": b"oops"}, "stderr"),
        ({"used": 5}, "fuel"),
        ({"responses": [b"\x93\x00\x07\xc0"]}, "answer"),
        ({"responses": [], "error": ["GuestCrashed", "it"], "lost": True}, "end"),
    ],
)
def test_any_other_difference_is_told(changes: dict[str, Any], what: str) -> None:
    recording = recorded("print('hello\\nworld')\n5", "6")
    assert replay(recording).difference is None
    report = replay(changed(recording, **changes))
    assert report.difference is not None
    assert (report.difference.what, report.difference.run, report.runs) == (what, 1, 0)


def test_another_program_differs() -> None:
    recording = recorded("look('a')['depth']")
    other = recorded("look('x')['depth']")
    difference = replay(changed(recording, requests=other.runs[0].requests)).difference
    assert difference is not None
    assert (difference.recorded, difference.replayed) == ("look('a')", "look('x')")


@pytest.mark.parametrize("redact", [("fetch", "look"), ("fetch.password", "look.name")])
def test_secrets_of_tools_stay_out(redact: tuple[str, ...]) -> None:
    program = (
        "import asyncio\n"
        "a = await asyncio.gather(fetch('n', 'hush1'), fetch('n', password='hush2'), return_exceptions=True)\n"
        "b = look('hush3'), look(name='hush4', depth=1)\n"
        "try:\n    look('nothing')\nexcept Exception: pass\n"
        "len(b)"
    )
    # The program's own text is what it is; so the secrets come from outside it.
    program = "secrets = ['hush1', 'hush2', 'hush3', 'hush4']\n" + program
    for number in range(1, 5):
        program = program.replace(f"('n', 'hush{number}')", f"('n', secrets[{number - 1}])")
        program = program.replace(f"='hush{number}'", f"=secrets[{number - 1}]")
    program = program.replace("look('hush3')", "look(secrets[2])")
    program = program.replace("['hush1', 'hush2', 'hush3', 'hush4']", "['hu' + 'sh' + str(n) for n in range(1, 5)]")
    recording = recorded(program, redact=redact)
    assert recording.runs[0].error is None
    hidden = [event for event in recording.runs[0].events if isinstance(event, RecordedCall) and event.hidden]
    assert len(hidden) >= 4
    for event in hidden:
        assert b"hush" not in event.frame
        if "." not in redact[0]:
            assert b"hush" not in (event.reply or b"")
            assert b"fetched" not in (event.reply or b"")
    assert replay(Recording.from_bytes(recording.to_json().encode())).difference is None


def test_a_difference_after_something_hidden_says_so() -> None:
    difference = replay(recorded("look('a')['name']", redact=("look",))).difference
    assert difference is not None
    assert difference.redacted
    assert "was redacted" in str(difference)


def test_a_redacted_call_of_another_tool_differs() -> None:
    recording, other = recorded("look('a'); 1", redact=("look",)), recorded("await fetch('a'); 1")
    difference = replay(changed(recording, requests=other.runs[0].requests)).difference
    assert difference is not None
    assert difference.what in ("call", "entropy", "clock")


def test_recording_stops_when_it_is_too_large() -> None:
    recorder = Recorder(max_bytes=20_000)
    with Sandbox().session(recorder=recorder) as session:
        session.run("1").unwrap()
        session.run("import time\nfor _ in range(1000): time.time()").unwrap()
        session.run("2").unwrap()
    recording = recorder.recording()
    assert [run.cut for run in recording.runs] == [False, True]
    report = replay(recording)
    assert (report.runs, report.difference, report.complete) == (1, None, False)


def test_a_recorder_has_one_session() -> None:
    recorder = Recorder()
    with pytest.raises(ConfigurationError, match="recorded nothing"):
        recorder.recording()
    with Sandbox().session(recorder=recorder), pytest.raises(ConfigurationError, match="another session"):
        Sandbox().session(recorder=recorder)


def test_another_image_bridge_or_memory_is_refused() -> None:
    recording = recorded("1")
    for wrong in ({"image": "0" * 64}, {"abi": 99}, {"memory": 5}, {"memory": 1 << 20}):
        with pytest.raises(RecordingError):
            replay(replace(recording, **wrong))


def test_a_fork_is_not_recorded() -> None:
    recorder = Recorder()
    session: Session
    with Sandbox().session(recorder=recorder) as session:
        session.run("x = 1").unwrap()
        with session.fork() as fork:
            fork.run("x = 2").unwrap()
        session.run("x").unwrap()
    assert len(recorder.recording().runs) == 2
    assert replay(recorder.recording()).difference is None
