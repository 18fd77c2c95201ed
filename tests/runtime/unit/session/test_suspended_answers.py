"""Dispatchers that are told how calls were answered, over a machine that is none."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.runtime.unit.session.fake import FakeSource
from tests.runtime.unit.session.test_pauses import Tools, WholePages, ended, start, suspension

from cloche.runtime.dispatch import AnsweredCall, AnsweringDispatcher
from cloche.runtime.errors import ConfigurationError, SnapshotCorrupt
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.pauses import run_from_plain
from cloche.runtime.session.session import Session, Suspended


class Told(Tools):
    """Tools that have a say in how their calls are answered."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []
        self.answer: Callable[[Any], Any] = lambda value: f"<{value}>"

    def approved(self, call: AnsweredCall) -> Any:
        self.told.append((*call[:3], "approved"))
        return f"leave: {self.call(call.name, call.args, call.kwargs)}"

    def answered(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        assert call.since <= time.time()
        self.told.append((*call[:3], value if error is None else type(error).__name__))
        if error is not None:
            raise error
        return self.answer(value)


@pytest.fixture
def source() -> FakeSource:
    return WholePages()


@pytest.fixture
def tools() -> Told:
    return Told()


@pytest.fixture
def session(source: FakeSource, tools: Told) -> Session:
    return Sandbox(tools=tools, source=source).session()


def test_the_seam_is_optional(tools: Told) -> None:
    assert isinstance(tools, AnsweringDispatcher)
    assert not isinstance(Tools(), AnsweringDispatcher)


def test_each_answer_passes_through(session: Session, tools: Told) -> None:
    paused = start(session, "start ask,1;pay,2;pay,3;ask,4")
    rest = paused.resume({1: "a"}, approve=[2], deny={3: "no"}, errors={4: LookupError("gone")})
    assert ended(rest).value == [
        [0, "<a>"],
        [1, "LookupError", "gone"],
        [0, "leave: pay ['2']"],
        [1, "PermissionError", "pay() is not allowed: no"],
    ]
    assert tools.paid == [["2"]]
    assert tools.told == [
        ("ask", ["1"], {}, "a"),
        ("ask", ["4"], {}, "LookupError"),
        ("pay", ["2"], {}, "approved"),
        ("pay", ["3"], {}, "CallDenied"),
    ]


def test_what_it_raises_the_call_raises(session: Session, tools: Told) -> None:
    def refuse(value: Any) -> Any:
        raise RuntimeError("not this")

    tools.answer = refuse
    assert start(session, "call ask,1").resume({1: "a"}).value == [[1, "RuntimeError", "not this"]]


@pytest.mark.parametrize(
    ("value", "message"), [(object(), "cannot send"), ("x" * 20_000_000, "at most")], ids=["no value", "too large"]
)
def test_what_takes_a_values_place_is_checked_too(session: Session, tools: Told, value: Any, message: str) -> None:
    tools.answer = lambda _: value
    ((outcome, _, text),) = start(session, "call ask,1").resume({1: "a"}).value
    assert outcome == 1
    assert message in text


def test_it_is_told_of_what_the_program_sent(session: Session, tools: Told) -> None:
    paused = start(session, "call ask,1")
    paused.calls[0].args[0] = "forged"
    paused.resume({1: "a"})
    assert tools.told == [("ask", ["1"], {}, "a")]


def test_it_is_told_of_calls_that_are_given_up(session: Session, tools: Told) -> None:
    start(session, "start ask,1;pay,2").cancel()
    assert [row[-1] for row in tools.told] == ["CancelledError", "CancelledError"]
    assert tools.paid == []


def test_an_answer_that_is_refused_is_not_told_of(session: Session, tools: Told) -> None:
    paused = start(session, "call pay,1")
    with pytest.raises(ConfigurationError):
        paused.resume({1: "paid, honestly"})
    assert tools.told == []


def test_since_when_travels(source: FakeSource, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[float] = []

    class Clocked(Told):
        def answered(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
            moments.append(call.since)
            return value

    monkeypatch.setattr(time, "time", lambda: 1000.0)
    snapshot = start(session, "call ask,1").snapshot()
    for now in (5000.0, 10.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        paused = Sandbox(tools=Clocked(), source=source).restore(snapshot).suspended
        assert isinstance(paused, Suspended)
        paused.resume({1: "a"})
    assert moments == [1000.0, 10.0], "a machine whose clock is behind has no calls from the future"


@pytest.mark.parametrize("since", [math.nan, -1.0, 5, "x"])
def test_moments_that_never_were(session: Session, tools: Told, since: Any) -> None:
    good = suspension(session)
    edited = good | {"held": [[*good["held"][0][:-1], since]]}
    with pytest.raises(SnapshotCorrupt, match="suspended program"):
        run_from_plain(edited, tools, 1 << 28, None)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"values": ["yes"]}, r"^values: a list does not say which call gets what: write \{1: \.\.\.\}"),
        ({"errors": LookupError("x")}, "^errors: a LookupError does not say"),
        ({"deny": [1]}, "^deny: a list does not say"),
        ({"deny": {1: 5}}, "^deny: a reason is text, and not a int"),
        ({"approve": 1}, r"^approve: 1 is not a list of ids: write \[1\]"),
    ],
)
def test_answers_of_another_shape(session: Session, answers: Any, message: str) -> None:
    paused = start(session, "call pay,1")
    with pytest.raises(ConfigurationError, match=message):
        paused.resume(**answers)
    assert paused.approve(1).ok
