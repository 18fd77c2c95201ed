"""The journeys that a call takes through the product, traced in a process of their own: ``python -m tests.journeys``.

The threads that tools and guests run on are started in the tracer's block, so that their calls are counted too. Prints
JSON: by name of the journey, the number of Python functions called and the product's modules crossed.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.tracing import Journey, Tracer

from cloche import Sandbox, Session, tool
from cloche.runtime.wasm import native

__all__ = ["CEILINGS", "JOURNEYS", "Ceiling", "check", "journeys"]

ROOT = Path(__file__).parent.parent
# Before anything is counted, caches are filled and threads are there, as in a process that has been at work.
_WARM_UP = 4
# The background restores guests at moments of its own: the least of several rounds is what the action itself takes.
_ROUNDS = 8
_STATE = "import json, re\nrows = [{'n': n, 'text': str(n)} for n in range(500)]\ntext = json.dumps(rows)"
_STEP = "Thinking.\n<code>\nx = add(5)\nprint(x)\n</code>"
_LAST = "Thinking.\n<code>\nfinal_answer(add(5))\n</code>"


def plain_add(n: int) -> int:
    """Return n + 1.

    Args:
        n: A whole number.
    """
    return n + 1


add = tool(name="add")(plain_add)


def run(tracer: Tracer) -> Journey:
    """One run that calls nothing."""
    with Sandbox().session() as session:
        return _least(lambda: tracer.journey(lambda: session.run("x = 1")))


def run_with_tools(tracer: Tracer) -> Journey:
    """The same where a tool could be called."""
    with Sandbox(tools=[add]).session() as session:
        return _least(lambda: tracer.journey(lambda: session.run("x = 1")))


def tool_call(tracer: Tracer) -> Journey:
    """A second call of a tool in one run."""
    with Sandbox(tools=[add]).session() as session:
        return _least(lambda: _one_more_call(tracer, session))


def frequent_tool_call(tracer: Tracer) -> Journey:
    """The same in a session whose runs make many: they are performed on a thread that may block, tools and all."""
    with Sandbox(tools=[add]).session() as session:
        return _least(lambda: _one_more_call(tracer, session, before=6))


def quick_tool_call(tracer: Tracer) -> Journey:
    """The same of a tool that promises not to block, and is called on the run's own thread."""
    with Sandbox(tools=[tool(name="add", blocking=False)(plain_add)]).session() as session:
        return _least(lambda: _one_more_call(tracer, session))


def snapshot(tracer: Tracer) -> Journey:
    """A snapshot of a session that holds some data and two modules more than the image does."""
    with Sandbox().session() as session:
        session.run(_STATE).unwrap()
        return _least(lambda: tracer.journey(session.snapshot))


def restore(tracer: Tracer) -> Journey:
    """A session from that snapshot."""
    box = Sandbox()
    with box.session() as session:
        session.run(_STATE).unwrap()
        taken = session.snapshot()

    def once() -> Journey:
        restored: list[Session] = []
        journey = tracer.journey(lambda: restored.append(box.restore(taken)))
        restored[0].close()
        return journey

    return _least(once)


def agent_step(tracer: Tracer) -> Journey:
    """One more step of an agent: the model's reply, its code run, a tool called and the observation kept."""
    return _least(lambda: _agent_run(tracer, 3).beyond(_agent_run(tracer, 2)))


def agent_run(tracer: Tracer) -> Journey:
    """The whole run of an agent that answers in its first step."""
    return _least(lambda: _agent_run(tracer, 0))


class Ceiling(NamedTuple):
    """How much a journey may take; None where nothing is asked. It is lowered with the code, not raised with it."""

    modules: int
    functions: int | None = None


# Behind each what is wanted of it, where it is not there yet.
CEILINGS = {
    "run": Ceiling(10, 50),
    "run with tools": Ceiling(10, 50),
    "tool call": Ceiling(9, 40),  # handed over; how often a thread looks differs by a few calls
    "frequent tool call": Ceiling(9, 25),
    "quick tool call": Ceiling(9, 25),
    "snapshot": Ceiling(16, 230),
    "restore": Ceiling(18, 110),
    # Of the calls of a step 75, in three recursions, look whether there is room for the frames of a run.
    "agent step": Ceiling(45, 640),
    "agent run": Ceiling(66, 1_500),
}
if native.host is None:
    # Where there is no host in C, or CLOCHE_PURE forbids it.
    CEILINGS.update({"run": Ceiling(19, 110), "run with tools": Ceiling(19, 110), "agent run": Ceiling(66, 1_900)})
    CEILINGS.update({"tool call": Ceiling(11, 45)})
JOURNEYS: dict[str, Callable[[Tracer], Journey]] = {
    "run": run,
    "run with tools": run_with_tools,
    "tool call": tool_call,
    "frequent tool call": frequent_tool_call,
    "quick tool call": quick_tool_call,
    "snapshot": snapshot,
    "restore": restore,
    "agent step": agent_step,
    "agent run": agent_run,
}


def check(name: str, taken: tuple[int, list[str]]) -> None:
    """Compare what :func:`journeys` found with the table, modules first."""
    functions, modules = taken
    assert len(modules) <= CEILINGS[name].modules, modules
    allowed = CEILINGS[name].functions
    assert allowed is None or functions <= allowed


def journeys(*names: str) -> dict[str, tuple[int, list[str]]]:
    """Take journeys in a new process and return the functions called and the modules crossed by each."""
    command = [sys.executable, "-m", "tests.journeys", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[int, list[str]]] = json.loads(done.stdout)
    return found


def _measured(names: Iterable[str]) -> dict[str, tuple[int, list[str]]]:
    with Tracer() as tracer:
        taken = {name: JOURNEYS[name](tracer) for name in names}
    return {name: (journey.functions, journey.modules) for name, journey in taken.items()}


def _least(once: Callable[[], Journey]) -> Journey:
    for _ in range(_WARM_UP):
        once()
    return min((once() for _ in range(_ROUNDS)), key=lambda journey: (len(journey.modules), journey.functions))


def _one_more_call(tracer: Tracer, session: Session, before: int = 1) -> Journey:
    fewer = tracer.journey(lambda: session.run("add(1)\n" * before))
    return tracer.journey(lambda: session.run("add(1)\n" * (before + 1))).beyond(fewer)


def _agent_run(tracer: Tracer, steps: int) -> Journey:
    from cloche.agent import CodeAgent, ScriptedModel

    with CodeAgent([add], ScriptedModel([_STEP] * steps + [_LAST]), verbosity=0) as agent:
        return tracer.journey(lambda: agent.run("t"))


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1:] or JOURNEYS), indent=1))
