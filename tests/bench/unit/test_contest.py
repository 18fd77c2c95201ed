import sys
from pathlib import Path

import pytest

from cloche.bench.measuring.contest import Contest
from cloche.bench.measuring.plan import Plan, Step
from cloche.bench.measuring.process import Failed, WorkerProcess
from cloche.bench.peers import Peer
from cloche.bench.worker.serving import Block

BLOCK: Block = {"seconds": 0.0, "max_samples": 1, "warm": 0}
FAKES = """
import os, time
from cloche.bench.adapters.base import Runner

class Good(Runner):
    value = ""
    def fresh(self, code):
        print("noise on stdout")
        names = {}
        exec(code, names)
        return names.get("result")

class Crashing(Runner):
    def fresh(self, code):
        os.write(2, b"last words")
        os._exit(7)

class Stuck(Good):
    def fresh(self, code):
        if "import" in code:
            time.sleep(600)
        return super().fresh(code)
"""


@pytest.fixture(autouse=True)
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench_fakes.py").write_text(FAKES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")


def fake(name: str, adapter: str = "") -> Peer:
    return Peer(name, name, "none", adapter or f"bench_fakes:{name.title()}", "plain")


def plan(*, rounds: int = 2, deadline: float = 20.0, end_after: float = 100.0) -> Plan:
    return Plan({"": Step(rounds, BLOCK, deadline=deadline)}, short_after=100.0, end_after=end_after)


def contest(peers: list[Peer], tasks: list[str], how: Plan) -> tuple[Contest, list[tuple[str, str, int]]]:
    heard: list[tuple[str, str, int]] = []
    with Contest(peers, how, lambda *block: heard.append(block)) as found:
        found.gather()
        for task in tasks:
            found.play(task)
    return found, heard


def test_peers_take_turns_and_another_one_begins_each_round() -> None:
    _, heard = contest([fake("one", "bench_fakes:Good"), fake("two", "bench_fakes:Good")], ["fresh.ready"], plan())
    assert [(peer, number) for task, peer, number in heard if task == "fresh.ready"] == [
        ("one", 0),
        ("two", 0),
        ("two", 1),
        ("one", 1),
    ]


def test_samples_are_kept_by_round() -> None:
    found, _ = contest([fake("good")], ["fresh.ready", "process"], plan(rounds=3))
    assert [len(block) for block in found.found.rounds["fresh.ready", "good"]] == [1, 1, 1]
    assert len(found.found.rounds["process", "good"]) == 3


def test_a_peer_that_is_not_there_is_absent_and_the_others_play() -> None:
    found, _ = contest([fake("missing", "no_such_module:X"), fake("good")], ["fresh.ready"], plan())
    assert "no_such_module" in found.absent["missing"]
    assert list(found.found.rounds) == [("fresh.ready", "good")]


def test_a_crash_is_the_peers_own_and_its_last_words_are_kept() -> None:
    found, _ = contest([fake("crashing"), fake("good")], ["fresh.ready"], plan())
    kind, message = found.found.failures["fresh.ready", "crashing"]
    assert kind == "Crashed"
    assert "7" in message
    assert "last words" in message
    assert ("fresh.ready", "good") in found.found.rounds


def test_a_peer_that_never_ends_is_given_up_and_may_go_on_with_the_next_task() -> None:
    found, heard = contest([fake("stuck")], ["fresh.imports", "fresh.ready"], plan(deadline=2.0))
    assert found.found.failures["fresh.imports", "stuck"][0] == "GaveUp"
    assert ("fresh.ready", "stuck") in found.found.rounds
    assert [task for task, _, _ in heard].count("fresh.imports") == 1, "it is not asked twice"


def test_when_the_time_is_over_what_is_missing_is_said() -> None:
    found, _ = contest([fake("good")], ["fresh.ready"], plan(end_after=-1.0))
    assert found.found.failures["fresh.ready", "good"] == ("NotMeasured", "the benchmark's time was over")


def test_a_worker_can_be_closed_twice() -> None:
    worker = WorkerProcess(fake("good"))
    worker.close()
    worker.close()
    assert not worker.alive


def test_an_interpreter_that_cannot_start_is_a_failure() -> None:
    silent = Peer("silent", "silent", "none", "x:y", "", python=sys.executable, distributions=())
    with pytest.raises(Failed):
        WorkerProcess(Peer("gone", "gone", "none", "x:y", "", python="/no/such/python"))
    worker = WorkerProcess(silent)
    assert "missing" in worker.hello
    worker.close()
