"""Where a run is performed changes nothing of how it ends; and whatever happens in between costs no session."""

from typing import Any

import pytest

from cloche.runtime.errors import ImageError, SessionClosed
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.session import Session

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


class Blocking(Numbers):
    """The same tools, which may block."""

    def blocking(self, name: str | None = None) -> bool:
        return True


def here(source: FakeSource) -> Sandbox:
    return Sandbox(tools=Numbers(), source=source, seed=1, clock=0)


def on_a_thread(source: FakeSource) -> Sandbox:
    source.fits = False
    return Sandbox(tools=Numbers(), source=source, seed=1, clock=0)


def with_tools_on_a_thread(source: FakeSource) -> Sandbox:
    return Sandbox(tools=Blocking(), source=source, seed=1, clock=0)


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


@pytest.mark.parametrize("listened_to", [False, True])
@pytest.mark.parametrize("other", [on_a_thread, with_tools_on_a_thread])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("program", PROGRAMS)
def test_all_ways_end_alike(program: str, keeps: bool, other: Any, listened_to: bool) -> None:
    listener = (lambda _: None) if listened_to else None
    with here(FakeSource()).session(rollback=keeps) as one, other(FakeSource()).session(rollback=keeps) as two:
        for each in ("set a=5", program):
            results = one.run(each), two.run(each, on_event=listener, limits=Limits())
            assert shown(results[0]) == shown(results[1])
        assert one.spent._replace(time=0) == two.spent._replace(time=0)
        assert repr(one) == repr(two)
        if keeps:
            assert shown(one.run("get a")) == shown(two.run("get a", on_event=listener))


def test_an_interrupt_that_comes_too_late_ends_nothing(source: FakeSource) -> None:
    session = Sandbox(source=source).session()
    machine: Any = machine_of(session)
    step = machine.step

    def slow(request: bytes, *, stack_checked: bool = False) -> bytes:
        response: bytes = step(request, stack_checked=stack_checked)
        assert session.interrupt()
        return response

    machine.step = slow
    assert session.run("set a=1").error is None
    machine.step = step
    assert not session.interrupt()
    assert session.run("get a").unwrap() == "1"
    assert machine_of(session) is machine


@pytest.mark.parametrize(
    ("step", "kept"), [("take", "1"), ("ready", "1"), ("commit", "1"), ("spend", "2"), ("release", "2")]
)
def test_ctrl_c_between_two_lines_of_ours(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch, step: str, kept: str
) -> None:
    session = Sandbox(source=source).session()
    session.run("set a=1").unwrap()
    original, pressed = getattr(SessionGuest, step), list[str]()

    def interrupted(*arguments: Any) -> Any:
        if not pressed:
            pressed.append(step)
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SessionGuest, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run("set a=2")
    assert session.run("get a").unwrap() == kept
    assert "idle" in repr(session)


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
