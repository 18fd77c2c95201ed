"""Agents that call tools: no guest and no real model."""
# The parameters of short lambdas say by their names what they are.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from cloche.agent import (
    AgentBusy,
    ImagePart,
    ModelRefused,
    ModelUnavailable,
    ReplyUnparsable,
    RunBudget,
    ScriptedModel,
    StepsExceeded,
    TokensExceeded,
    ToolCallingAgent,
    ToolCallsExceeded,
    ToolRequest,
)
from cloche.agent.steps import ActionStep, FinalAnswerStep, PlanningStep, TaskStep
from cloche.host_tools import tool
from cloche.runtime.errors import ConfigurationError


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: One.
        b: Other.
    """
    return a + b


def call(name: str, id: str = "", **arguments: Any) -> ToolRequest:
    return ToolRequest(id=id or f"{name}-id", name=name, arguments=arguments)


def answer(value: Any) -> ToolRequest:
    return call("final_answer", answer=value)


def agent(lines: list[Any], tools: Any = (add,), **options: Any) -> ToolCallingAgent:
    return ToolCallingAgent(tools, ScriptedModel(lines), **options)


def test_a_tool_is_called_and_its_result_shown() -> None:
    one = agent([call("add", a=2, b=3), answer(5)])
    assert one.run("2 + 3") == 5
    model = one.model
    assert isinstance(model, ScriptedModel)
    assert [message.text for message in model.requests[1].messages if message.role == "tool"] == ["5"]
    assert [schema["name"] for schema in model.requests[0].tools] == ["add", "final_answer"]


def test_calls_of_one_reply_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=20)

    @tool
    def meet(who: str) -> str:
        """Wait for the others."""
        barrier.wait()
        return who

    @tool
    async def ameet(who: str) -> str:
        """Wait for the others."""
        await asyncio.to_thread(barrier.wait)
        return who

    calls = [call("meet", "1", who="a"), call("meet", "2", who="b"), call("ameet", "3", who="c")]
    for run in (_run, _arun):
        one = agent([calls, answer("met")], [meet, ameet])
        assert run(one, "meet") == "met"
        assert [outcome.observation for outcome in one.memory.actions[0].outcomes] == ["a", "b", "c"]


def _run(one: ToolCallingAgent, task: str) -> Any:
    return one.run(task)


def _arun(one: ToolCallingAgent, task: str) -> Any:
    return asyncio.run(one.arun(task))


def test_a_blocking_run_works_inside_a_running_loop() -> None:
    @tool
    async def later(x: int) -> int:
        """Wait."""
        await asyncio.sleep(0)
        return x

    async def notebook() -> Any:
        one = agent([call("later", x=5), answer("ok")], [later], step_callbacks=[_awaited_callback])
        return one.run("t"), one.memory.actions[0].outcomes[0].observation

    assert asyncio.run(notebook()) == ("ok", "5")


async def _awaited_callback(step: ActionStep) -> None:
    await asyncio.sleep(0)


def test_the_answer_waits_for_the_calls_beside_it() -> None:
    one = agent([[answer(1), call("add", a=1, b=1)]])
    assert one.run("t") == 1
    assert [outcome.name for outcome in one.memory.actions[0].outcomes] == ["add", "final_answer"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (call("ad", a=1, b=2), "no tool called 'ad'; did you mean add?"),
        (call("zzz"), "there are: add, final_answer"),
        (call("add", a="x", b=2), "add(): argument 'a'"),
        (call("add", a=1), "missing"),
        (ToolRequest(id="1", name="add", arguments=None, raw='{"a": 1'), "not a JSON object"),
    ],
)
def test_wrong_calls_become_observations_that_help(request_: ToolRequest, told: str) -> None:
    one = agent([request_, answer("ok")])
    assert one.run("t") == "ok"
    step = one.memory.actions[0]
    assert told in step.outcomes[0].observation
    assert step.error is not None


def test_what_a_tool_raises_is_told() -> None:
    @tool
    def fail() -> None:
        """Fail."""
        raise LookupError("nothing there")

    one = agent([call("fail"), answer("ok")], [fail])
    assert one.run("t") == "ok"
    assert one.memory.actions[0].outcomes[0].observation == "Error: LookupError: nothing there"


def test_a_call_that_waits_for_approval_is_not_made() -> None:
    made: list[int] = []

    @tool(approval=True)
    def pay(amount: int) -> None:
        """Pay."""
        made.append(amount)

    for run in (_run, _arun):
        one = agent([call("pay", amount=3), answer("ok")], [pay])
        assert run(one, "t") == "ok"
        assert "PermissionError: pay has to wait" in one.memory.actions[0].outcomes[0].observation
    assert made == []


def test_a_reply_without_a_call_is_told_how_to_call() -> None:
    one = agent(["I think it is 5.", '{"name": "final_answer", "arguments": {"answer": 5}}'])
    assert one.run("t") == 5
    error = one.memory.actions[0].error
    assert error is not None
    assert error.type == ReplyUnparsable.__name__


def test_variables_can_be_named_as_arguments() -> None:
    one = agent([call("add", a="first", b=1), answer("ok")])
    one.run("t", additional_args={"first": 41})
    assert one.memory.actions[0].outcomes[0].observation == "42"
    assert "- first (int)" in one.memory.messages()[1].text


def test_images_are_shown() -> None:
    @tool
    def look() -> ImagePart:
        """Look."""
        return ImagePart(url="https://example.org/a.png")

    one = agent([call("look"), answer("ok")], [look])
    one.run("t", images=[b"\x89PNG"])
    images = [part for message in one.memory.messages() for part in message.content if isinstance(part, ImagePart)]
    assert [image.media_type for image in images] == ["image/png", "image/png"]
    assert images[1].url == "https://example.org/a.png"


def test_a_tool_added_in_between_works_in_the_next_step() -> None:
    def grow(step: ActionStep, one: ToolCallingAgent) -> None:
        one.tools["double"] = lambda x: x * 2

    one = agent([call("add", a=1, b=1), call("double", x=4), answer("ok")], step_callbacks=[grow])
    assert one.run("t") == "ok"
    assert one.memory.actions[1].outcomes[0].observation == "8"
    assert "def double(x)" in one.memory.system.prompt


def test_after_the_last_step_the_model_is_asked_once_for_an_answer() -> None:
    one = agent([call("add", a=1, b=1), "Two, I think."], max_steps=1)
    result = one.run("t", return_full_result=True)
    assert (result.output, result.state) == ("Two, I think.", "max_steps")
    assert isinstance(result.error, StepsExceeded)
    assert agent([call("add", a=1, b=1), "Two."], max_steps=1).run("t") == "Two."


def test_if_that_fails_too_the_steps_error_is_raised() -> None:
    with pytest.raises(StepsExceeded, match="after 1 steps"):
        agent([call("add", a=1, b=1)], max_steps=1).run("t")


def test_budgets_end_a_run_with_typed_errors_and_keep_the_memory() -> None:
    one = agent([call("add", a=1, b=1), answer("never")], budget=RunBudget(tokens=10))
    with pytest.raises(TokensExceeded):
        one.run("t")
    assert [step.kind for step in one.memory.steps] == ["task", "action"]
    calls = [call("add", str(number), a=1, b=1) for number in range(3)]
    with pytest.raises(ToolCallsExceeded):
        agent([calls, answer("never")], budget=RunBudget(tool_calls=2)).run("t")


def test_a_failing_model_loses_nothing_and_the_run_can_go_on() -> None:
    one = agent([call("add", a=1, b=1), ModelUnavailable("down"), answer("done")])
    result = one.run("t", return_full_result=True)
    assert (result.state, result.output) == ("model_error", None)
    assert len(one.memory.actions) == 1
    assert one.resume() == "done"
    assert [step.number for step in one.memory.actions] == [1, 2]
    assert sum(isinstance(step, TaskStep) for step in one.memory.steps) == 1


def test_reset_false_goes_on_with_the_conversation() -> None:
    one = agent([answer("first"), answer("second"), answer("third")])
    one.run("one")
    one.run("two", reset=False)
    assert [step.task for step in one.memory.steps if isinstance(step, TaskStep)] == ["one", "two"]
    one.run("three")
    assert [step.task for step in one.memory.steps if isinstance(step, TaskStep)] == ["three"]


def test_plans_are_made_every_n_steps() -> None:
    lines = ["plan A", call("add", a=1, b=1), call("add", a=1, b=1), "plan B", answer("ok")]
    one = agent(lines, planning_interval=2)
    assert one.run("t") == "ok"
    kinds = [step.kind for step in one.memory.steps]
    assert kinds == ["task", "planning", "action", "action", "planning", "action", "final_answer"]
    model = one.model
    assert isinstance(model, ScriptedModel)
    assert "what is missing" not in model.requests[0].messages[-1].text
    assert "18 of them" in model.requests[3].messages[-1].text


def test_callbacks_are_called_by_type_of_step() -> None:
    seen: list[str] = []

    async def awaited(step: PlanningStep) -> None:
        await asyncio.sleep(0)
        seen.append(step.plan)

    callbacks: dict[type[Any], Any] = {
        ActionStep: [lambda step: seen.append(f"step {step.number}")],
        PlanningStep: awaited,
        FinalAnswerStep: lambda step, agent: seen.append(f"{step.answer} of {agent.name}"),
    }
    for run in (_run, _arun):
        seen.clear()
        one = agent(["plan", answer("ok")], planning_interval=5, step_callbacks=callbacks, name="bob")
        assert run(one, "t") == "ok"
        assert seen == ["plan", "step 1", "ok of bob"]


def test_a_callback_can_rewrite_what_the_model_sees() -> None:
    def redact(step: ActionStep) -> None:
        for outcome in step.outcomes:
            outcome.observation = "hidden"

    one = agent([call("add", a=1, b=1), answer("ok")], step_callbacks=[redact])
    one.run("t")
    model = one.model
    assert isinstance(model, ScriptedModel)
    assert model.requests[1].messages[-1].text == "hidden"


def test_answers_are_checked_and_the_model_is_told_why() -> None:
    def is_even(value: int) -> bool:
        return value % 2 == 0

    def is_small(value: int, memory: Any, one: Any) -> bool:
        assert memory is one.memory
        if value > 10:
            raise ValueError("too large")
        return True

    one = agent([answer(3), answer(12), answer(4)], final_answer_checks=[is_even, is_small])
    assert one.run("t") == 4
    told = [step.outcomes[0].observation for step in one.memory.actions[:2]]
    assert "refused by is_even" in told[0]
    assert "refused by is_small: too large" in told[1]


class City(BaseModel):
    """A city."""

    name: str
    people: int


def test_a_typed_answer_is_checked_and_converted() -> None:
    one = agent([answer({"name": "Oslo"}), answer({"name": "Oslo", "people": 700_000})], output_type=City)
    assert one.run("t") == City(name="Oslo", people=700_000)
    assert "people" in one.memory.actions[0].outcomes[0].observation
    assert "def final_answer(answer: City)" in one.memory.system.prompt


def test_an_own_final_answer_decides_what_the_answer_is() -> None:
    @tool
    def final_answer(answer: Any) -> str:
        """Say it loud."""
        return str(answer).upper()

    assert agent([answer("hi")], [final_answer]).run("t") == "HI"


def test_one_agent_runs_once_at_a_time() -> None:
    one = agent([answer("a"), answer("b")])
    events = one.run("t", stream=True)
    next(events)
    with pytest.raises(AgentBusy):
        one.run("u")
    events.close()  # type: ignore[attr-defined]
    assert one.run("v") == "a"


def test_steps_can_be_taken_by_hand() -> None:
    one = agent([call("add", a=1, b=1), answer("ok")])
    one.start("t")
    first, second = one.step(), one.step()
    assert isinstance(first, ActionStep)
    assert first.outcomes[0].observation == "2"
    assert second == FinalAnswerStep(answer="ok")
    with pytest.raises(ConfigurationError, match="start"):
        one.step()


def test_a_script_that_ends_is_the_callers_error() -> None:
    with pytest.raises(ModelRefused):
        agent([]).run("t")


def test_agents_need_a_model_and_sound_settings() -> None:
    with pytest.raises(ConfigurationError, match="model"):
        ToolCallingAgent([add])
    with pytest.raises(ConfigurationError, match="max_steps"):
        agent([], max_steps=0)
    with pytest.raises(ConfigurationError, match=r"use cloche\.agent\.RunBudget"):
        agent([], budget=5)
    with pytest.raises(ConfigurationError, match="name and a description"):
        agent([], managed_agents=[agent([])])


def test_replay_and_visualize_show_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    one = agent([call("add", a=1, b=1), answer("ok")], name="bob", description="Adds.")
    one.run("t")
    replayed, drawn = one.replay(detailed=True), one.visualize()
    assert capsys.readouterr().out == f"{replayed}\n{drawn}\n"
    assert "add({'a': 1, 'b': 1})" in replayed
    assert "shown to the model before step 2" in replayed
    assert drawn.startswith("bob (ToolCallingAgent, ScriptedModel)\n|  Adds.\n+- add: Add two numbers.")
