"""The short way of a usual run: it ends like the long one, and whatever happens in between costs no session."""

from typing import Any

import pytest

from cloche.runtime.errors import ImageError, Interrupted, SessionClosed
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.session import Session, UsualRun

from .fake import FakeMachine, FakeSource
from .test_session import ENDS, Numbers

PROGRAMS = [
    "pass",
    "set a=1",
    "get a",
    "call add,1,2",
    "call nothing",
    "print text",
    "world 3",
    "grow 100000",
    *(program for program, _, _ in ENDS.values()),
]


def shown(result: Result[Any]) -> tuple[object, ...]:
    """What two runs of the same program have in common."""
    calls = [(call.name, call.args, call.outcome, call.value) for call in result.calls]
    used = result.usage._replace(wall=0.0)
    return result.value, type(result.error), result.stdout, result.stderr, used, calls, result.rolled_back


def machine_of(session: Session) -> FakeMachine:
    guest: Any = session._guest  # pyright: ignore[reportPrivateUsage]
    machine: FakeMachine = guest.ready().machine
    return machine


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("program", PROGRAMS)
def test_both_ways_end_alike(source: FakeSource, program: str, keeps: bool) -> None:
    box = Sandbox(tools=Numbers(), source=source, seed=1, clock=0)
    with box.session(rollback=keeps) as short, box.session(rollback=keeps) as long:
        pairs = [(short.run(each), long.run(each, on_event=lambda _: None)) for each in ("set a=5", program)]
        assert [shown(one) for one, _ in pairs] == [shown(other) for _, other in pairs]
        assert short.spent._replace(time=0) == long.spent._replace(time=0)
        assert repr(short) == repr(long)
        if keeps:
            assert shown(short.run("get a")) == shown(long.run("get a", on_event=lambda _: None))


def test_an_interrupt_that_comes_too_late_ends_nothing(source: FakeSource) -> None:
    session = Sandbox(source=source).session()
    machine: Any = machine_of(session)
    step = machine.step

    def slow(request: bytes, *, roomy: bool = False) -> bytes:
        response: bytes = step(request, roomy=roomy)
        assert session.interrupt()
        return response

    machine.step = slow
    assert session.run("set a=1").error is None
    machine.step = step
    assert not session.interrupt()
    assert session.run("get a").unwrap() == "1"
    assert machine_of(session) is machine


def test_a_run_that_is_over_cannot_be_interrupted(source: FakeSource) -> None:
    session = Sandbox(source=source).session()
    run = UsualRun(Any, machine_of(session))  # type: ignore[arg-type]
    run.end()
    assert not run.interrupt(Interrupted())
    assert machine_of(session).interrupted is None


def test_ctrl_c_between_two_lines_of_ours(source: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Sandbox(source=source).session()
    session.run("set a=1").unwrap()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SessionGuest, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run("set a=2")
    assert session.run("get a").unwrap() == "1"


def test_ctrl_c_without_rollback_ends_the_session(source: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Sandbox(source=source).session(rollback=False)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SessionGuest, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.run("pass")
    with pytest.raises(SessionClosed, match="KeyboardInterrupt"):
        session.run("pass")


def test_a_guest_that_cannot_be_had(source: FakeSource) -> None:
    session = Sandbox(source=source).session()
    source.fail = ImageError("no image")
    with pytest.raises(ImageError):
        session.run("pass")
    source.fail = None
    assert session.run("pass").ok
