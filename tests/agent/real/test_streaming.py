"""A run as a stream of typed events."""

import asyncio
from collections.abc import Callable

import pytest

from cloche.agent import CodeAgent, ScriptedModel, ToolCallingAgent, ToolRequest
from cloche.agent.events import AgentEvent, Printed, RunEnded, TextDelta, ToolCallEnded
from cloche.agent.models.scripted import Line
from cloche.host_tools import tool

LINES = ["One.\n<code>\nprint('a')\nx = double(4)\nprint(x)\n</code>", "<code>\nfinal_answer(x)\n</code>"]
KINDS = [
    "RunStarted",
    "StepStarted",
    "ModelStarted",
    "TextDelta",
    "ModelFinished",
    "CodeStarted",
    "Printed",
    "ToolCallStarted",
    "ToolCallEnded",
    "Printed",
    "CodeFinished",
    "StepEnded",
    "StepStarted",
    "ModelStarted",
    "TextDelta",
    "ModelFinished",
    "CodeStarted",
    "CodeFinished",
    "StepEnded",
    "RunEnded",
]


@tool
def double(x: int) -> int:
    """Double a number."""
    return 2 * x


def blocking(agent: CodeAgent) -> list[AgentEvent]:
    return list(agent.run("t", stream=True))


def awaiting(agent: CodeAgent) -> list[AgentEvent]:
    async def main() -> list[AgentEvent]:
        return [event async for event in agent.astream("t")]

    return asyncio.run(main())


@pytest.mark.parametrize("stream", [blocking, awaiting])
def test_events_come_in_the_order_of_what_happens(stream: Callable[[CodeAgent], list[AgentEvent]]) -> None:
    observed: list[AgentEvent] = []
    with CodeAgent([double], ScriptedModel(LINES), observers=[observed.append], name="bob") as agent:
        events = stream(agent)
    kinds = [type(event).__name__ for event in events]
    merged = [kind for index, kind in enumerate(kinds) if kind != "TextDelta" or kinds[index - 1] != "TextDelta"]
    assert merged == KINDS
    assert {event.agent for event in events} == {"bob"}
    assert len({event.run_id for event in events}) == 1
    # Observers are told the very same, in the same order.
    assert observed == events
    last = events[-1]
    assert isinstance(last, RunEnded)
    assert last.result.output == 8
    assert "".join(event.text for event in events if isinstance(event, Printed)) == "a\n8\n"


def test_without_a_stream_observers_are_told_all_but_pieces() -> None:
    observed: list[AgentEvent] = []
    with CodeAgent([double], ScriptedModel(LINES), observers=[observed.append]) as agent:
        assert agent.run("t") == 8
    assert [type(event).__name__ for event in observed] == [kind for kind in KINDS if kind != "TextDelta"]


def test_tool_calls_are_streamed_too() -> None:
    lines: list[Line] = [
        [ToolRequest(id=str(n), name="double", arguments={"x": n}) for n in range(3)],
        ToolRequest(id="9", name="final_answer", arguments={"answer": 1}),
    ]
    events = list(ToolCallingAgent([double], ScriptedModel(lines)).run("t", stream=True))
    ended = [event.record.value for event in events if isinstance(event, ToolCallEnded)]
    assert sorted(value for value in ended if value is not None) == [0, 2, 4]
    assert not any(isinstance(event, TextDelta) for event in events)


def test_an_error_is_the_last_events_and_nothing_is_raised() -> None:
    events = list(CodeAgent([], ScriptedModel([])).run("t", stream=True))
    last = events[-1]
    assert isinstance(last, RunEnded)
    assert last.result.state == "model_error"


def test_an_observer_that_raises_ends_the_run() -> None:
    def refuse(event: AgentEvent) -> None:
        if isinstance(event, Printed):
            raise RuntimeError("enough")

    with (
        CodeAgent([double], ScriptedModel(LINES), observers=[refuse]) as agent,
        pytest.raises(RuntimeError, match="enough"),
    ):
        agent.run("t")
