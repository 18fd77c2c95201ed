import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest

from cloche.bench.adapters.base import Kept, Run, Runner
from cloche.bench.tasks.base import GaveUp, Sample, Task, WrongAnswer, expect
from cloche.bench.tasks.catalogue import TASKS
from cloche.bench.worker.serving import Block, Server, serve, take_block

ONE: Block = {"seconds": 0.0, "max_samples": 1, "warm": 0}


class Fake(Runner):
    """Runs nothing, and remembers what it was told."""

    closed = 0

    def fresh(self, code: str) -> Any:
        return 42

    def close(self) -> None:
        Fake.closed += 1


@contextmanager
def counting(runner: Runner) -> Generator[Sample, None, None]:
    samples = iter(range(100))
    yield lambda: {"fresh.ready": float(next(samples))}


@contextmanager
def failing(runner: Runner) -> Generator[Sample, None, None]:
    raise GaveUp("too slow")
    yield dict


def test_a_block_throws_warm_ups_away_and_ends_at_its_count() -> None:
    numbers = iter(range(100))
    found = take_block(lambda: {"a": float(next(numbers)), "b": 1.0}, {"seconds": 60.0, "max_samples": 3, "warm": 2})
    assert found == {"a": [2.0, 3.0, 4.0], "b": [1.0, 1.0, 1.0]}


def test_a_block_has_one_sample_however_short_it_is() -> None:
    assert take_block(lambda: {"a": 1.0}, {"seconds": 0.0, "max_samples": 9, "warm": 0}) == {"a": [1.0]}


def test_a_task_stays_open_from_block_to_block() -> None:
    server = Server(Fake, {"t": Task(counting)})
    request = {"task": "t", "block": ONE}
    assert [server.answer(request) for _ in range(2)] == [
        {"samples": {"fresh.ready": [0.0]}},
        {"samples": {"fresh.ready": [1.0]}},
    ]


def test_another_task_closes_the_peer_and_a_failure_too() -> None:
    Fake.closed = 0
    server = Server(Fake, {"t": Task(counting), "u": Task(counting), "bad": Task(failing)})
    server.answer({"task": "t", "block": ONE})
    server.answer({"task": "u", "block": ONE})
    assert Fake.closed == 1
    assert server.answer({"task": "bad", "block": ONE}) == {"error": {"type": "GaveUp", "message": "too slow"}}
    assert Fake.closed == 3


def test_a_peer_without_sessions_says_so_itself() -> None:
    answer = Server(Fake).answer({"task": "session.next", "block": ONE})
    assert answer["error"] == {"type": "Unsupported", "message": "it keeps no state from one run to the next"}


def test_serving_begins_with_versions_and_answers_each_line() -> None:
    answers = StringIO()
    request = json.dumps({"task": "fresh.ready", "block": ONE})
    serve(
        "cloche.bench.adapters.native:ExecAdapter", ["pydantic", "no-such-package"], StringIO(f"{request}\n"), answers
    )
    hello, answer = (json.loads(line) for line in answers.getvalue().splitlines())
    assert hello["python"].startswith("CPython")
    assert list(hello["versions"]) == ["pydantic"]
    assert answer["samples"]["fresh.ready"][0] > 0


def test_a_peer_that_is_not_installed_says_what_is_missing() -> None:
    answers = StringIO()
    serve("no_such_module:Adapter", [], StringIO(), answers)
    assert "no_such_module" in json.loads(answers.getvalue())["missing"]


class Wrong(Runner):
    """Gives a wrong answer to everything."""

    def fresh(self, code: str) -> Any:
        return "wrong"

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        yield lambda code: "wrong"

    @contextmanager
    def kept(self) -> Generator[Kept, None, None]:
        yield Kept(lambda code: "wrong", lambda: b"wrong", self.session)

    @contextmanager
    def restored(self, data: bytes) -> Generator[Run, None, None]:
        yield lambda code: "wrong"

    @contextmanager
    def paused(self, code: str) -> Generator[Callable[[], bytes], None, None]:
        yield lambda: b"wrong"

    def resumed(self, data: bytes, value: Any) -> Any:
        return "wrong"


# What their adapters check themselves, if it has an answer at all.
_UNCHECKED = ("throughput", "memory", "waiting", "rest", "await", "request", "beside", "pause")


@pytest.mark.parametrize("task", [name for name in TASKS if not name.startswith(_UNCHECKED)])
def test_no_task_measures_a_peer_that_is_wrong(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloche.bench.tasks.crowd.SESSIONS", 2)
    answer = Server(Wrong).answer({"task": task, "block": ONE})
    assert answer["error"]["type"] == "WrongAnswer"


def test_a_wrong_answer_is_shown_in_brief() -> None:
    expect([1], [1])
    with pytest.raises(WrongAnswer, match=r"expected 1, got 'x+\.\.\."):
        expect("x" * 1_000, 1)


def test_tools_of_a_task_reach_the_peer() -> None:
    seen: list[list[str]] = []

    def make(tools: Any) -> Runner:
        seen.append(sorted(tools))
        return Fake(tools)

    maker: Callable[..., Runner] = make
    Server(maker).answer({"task": "tool.ints", "block": ONE})
    assert seen == [["add"]]
