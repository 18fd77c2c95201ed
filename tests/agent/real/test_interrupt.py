"""Stopping an agent: in the middle of a program, of a model call, from outside and by leaving."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cloche.agent import AgentInterrupted, CodeAgent, Delta, Message, ModelRequest, Reply, ScriptedModel
from cloche.agent.events import AgentEvent, CodeStarted, Printed, RunEnded
from cloche.agent.models.base import Piece
from cloche.host_tools import tool
from cloche.runtime.limits import Limits

FOREVER = "<code>\nx = 5\nprint('going')\nwhile True: pass\n</code>"
ANSWER = "<code>\nfinal_answer('x' in globals())\n</code>"
LIMITS = Limits(fuel=None, time=120)


def when(kind: type[AgentEvent], act: Callable[[], object]) -> Callable[[AgentEvent], None]:
    """Return an observer that acts, on another thread, when such an event is told."""

    def observe(event: AgentEvent) -> None:
        if isinstance(event, kind):
            threading.Thread(target=act).start()

    return observe


def test_a_program_is_stopped_in_the_middle_and_the_run_can_go_on() -> None:
    agent = CodeAgent([], ScriptedModel([FOREVER, ANSWER]), limits=LIMITS)
    agent.settings.observers = [when(Printed, agent.interrupt)]
    with agent:
        with pytest.raises(AgentInterrupted):
            agent.run("t")
        step = agent.memory.actions[0]
        assert step.error is not None
        assert (step.error.type, step.error.state) == ("Interrupted", "rolled_back")
        assert agent.interrupt() is False
        assert agent.resume() is False


def test_the_same_awaited() -> None:
    agent = CodeAgent([], ScriptedModel([FOREVER, ANSWER]), limits=LIMITS)
    agent.settings.observers = [when(Printed, agent.interrupt)]
    with agent:
        result = asyncio.run(agent.arun("t", return_full_result=True))
        assert result.state == "interrupted"


def test_an_interrupt_between_start_and_program_is_not_lost() -> None:
    agent = CodeAgent([], ScriptedModel([FOREVER, ANSWER]), limits=LIMITS)

    def now(event: AgentEvent) -> None:
        if isinstance(event, CodeStarted):
            agent.interrupt()

    agent.settings.observers = [now]
    with agent, pytest.raises(AgentInterrupted):
        agent.run("t")
    assert [step.code for step in agent.memory.actions] == ["x = 5\nprint('going')\nwhile True: pass"]


def test_managed_agents_are_stopped_too() -> None:
    below = CodeAgent([], ScriptedModel([FOREVER]), limits=LIMITS, name="below", description="d")
    call = "<code>\nawait below('x')\n</code>"
    boss = CodeAgent([], ScriptedModel([call]), managed_agents=[below], limits=LIMITS)
    boss.settings.observers = [when(Printed, boss.interrupt)]
    with boss, pytest.raises(AgentInterrupted):
        boss.run("t")
    # The task of the managed agent notices on a thread of its own.
    until = time.monotonic() + 30
    while not below.memory.actions and time.monotonic() < until:
        time.sleep(0.01)
    assert below.memory.actions[0].error is not None


class Slow:
    """A model that never answers, without async methods."""

    def generate(self, request: ModelRequest, /) -> Reply:
        time.sleep(600)
        return Reply(message=Message.of("assistant", "late"))

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        while True:
            time.sleep(0.01)
            yield Delta("x")


def test_waiting_for_a_model_ends_at_once() -> None:
    agent = CodeAgent([], Slow())

    async def main() -> None:
        task = asyncio.ensure_future(agent.arun("t"))
        while agent.current_run is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        agent.interrupt()
        with pytest.raises(AgentInterrupted):
            await task

    asyncio.run(main())


def test_a_streamed_model_is_stopped_between_two_pieces() -> None:
    agent = CodeAgent([], Slow())
    events = agent.run("t", stream=True)
    kinds: list[str] = []
    for event in events:
        kinds.append(type(event).__name__)
        if kinds.count("TextDelta") == 3:
            agent.interrupt()
        if isinstance(event, RunEnded):
            assert event.result.state == "interrupted"
    assert kinds[-1] == "RunEnded"


def test_a_cancelled_task_stops_the_program() -> None:
    agent = CodeAgent([], ScriptedModel([FOREVER, ANSWER]), limits=LIMITS)
    going = threading.Event()
    agent.settings.observers = [lambda event: going.set() if isinstance(event, Printed) else None]

    async def main() -> None:
        task = asyncio.ensure_future(agent.arun("t"))
        while not going.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with agent:
        asyncio.run(main())
        assert agent.current_run is None
        assert agent.resume() is False


@pytest.mark.parametrize("kind", [CodeStarted, Printed])
def test_leaving_a_stream_stops_the_program(kind: type[AgentEvent]) -> None:
    async def main(agent: CodeAgent) -> None:
        events = agent.astream("t")
        async for event in events:
            if isinstance(event, kind):
                break
        await events.aclose()

    with CodeAgent([], ScriptedModel([FOREVER, ANSWER]), limits=LIMITS) as agent:
        asyncio.run(main(agent))
        assert agent.resume() is False
    with CodeAgent([], ScriptedModel([FOREVER, ANSWER]), limits=LIMITS) as agent:
        events = agent.run("t", stream=True)
        for event in events:
            if isinstance(event, kind):
                break
        events.close()  # type: ignore[attr-defined]
        assert agent.run("t") is False


def test_a_stuck_tool_does_not_hold_an_interrupt_up() -> None:
    release = threading.Event()

    @tool
    def stuck() -> None:
        """Wait for ever."""
        release.wait(60)

    agent = CodeAgent([stuck], ScriptedModel(["<code>\nstuck()\n</code>"]), limits=LIMITS)
    agent.settings.observers = [
        lambda event: threading.Timer(0.1, agent.interrupt).start() if isinstance(event, CodeStarted) else None
    ]
    try:
        with agent, pytest.raises(AgentInterrupted):
            agent.run("t")
    finally:
        release.set()
