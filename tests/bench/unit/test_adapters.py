import importlib
from collections.abc import Iterator

import pytest

from cloche.bench.adapters.base import Runner, Unsupported
from cloche.bench.peers import PEERS
from cloche.bench.tasks import tools as host
from cloche.bench.tasks.catalogue import TASKS
from cloche.bench.tasks.compute import PROGRAMS
from cloche.bench.worker.serving import Server

IN_HOUSE = ("exec", "subprocess", "restricted", "smolagents", "monty", "eryx")
_MANY = ("throughput", "live", "memory", "waiting", "rest", "await", "beside", "busy")
_NOT_OF_THE_BASELINE = (*_MANY, "durable", "pause", "request")
ONE = {"seconds": 0.0, "max_samples": 1, "warm": 0}


@pytest.fixture(params=IN_HOUSE)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Each peer that is installed, with one tool."""
    module, _, name = PEERS[request.param].adapter.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)({"add": host.add})
    except ImportError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def test_a_fresh_isolate_gives_its_value(runner: Runner) -> None:
    assert runner.fresh("result = 6 * 7" + runner.value) == 42
    assert runner.fresh("x = 1") is None or runner.fresh("x = 1") == 1


def test_a_fresh_isolate_knows_nothing_of_the_last(runner: Runner) -> None:
    runner.fresh("secret = 1")
    with pytest.raises(Exception, match="secret"):
        runner.fresh("result = secret" + runner.value)


def test_a_session_keeps_state_and_calls_tools(runner: Runner) -> None:
    if type(runner).session is Runner.session:
        with pytest.raises(Unsupported, match="state"):
            runner.session()
        return
    with runner.session() as run:
        run(runner.opening + f"x = {runner.awaits}add(a=20, b=20)")
        assert run("result = x + 2" + runner.value) == 42


def test_twelve_programs() -> None:
    assert len(PROGRAMS) >= 12


@pytest.mark.parametrize("task", [name for name in TASKS if not name.startswith(_NOT_OF_THE_BASELINE)])
def test_the_baseline_can_do_every_task(task: str) -> None:
    module, _, name = PEERS["exec"].adapter.partition(":")
    answer = Server(getattr(importlib.import_module(module), name)).answer({"task": task, "block": ONE})
    (samples,) = answer["samples"].values()
    assert samples[0] > 0


@pytest.mark.parametrize("task", [name for name in TASKS if name.startswith("durable")])
def test_who_cannot_write_sessions_down_says_so(task: str) -> None:
    module, _, name = PEERS["exec"].adapter.partition(":")
    answer = Server(getattr(importlib.import_module(module), name)).answer({"task": task, "block": ONE})
    assert answer["error"]["type"] == "Unsupported"
    assert "write" in answer["error"]["message"]
