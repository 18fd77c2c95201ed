"""Steps, their messages, and files of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cloche.agent.memory import AgentMemory
from cloche.agent.messages import ImagePart, TokenUsage, ToolRequest
from cloche.agent.steps import (
    ActionStep,
    FinalAnswerStep,
    PlanningStep,
    StepError,
    SystemPromptStep,
    TaskStep,
    ToolOutcome,
)


def full_memory() -> AgentMemory:
    request = ToolRequest(id="1", name="add", arguments={"a": 1})
    lost = ToolRequest(id="2", name="sub", arguments=None, raw="{oops")
    return AgentMemory(
        system=SystemPromptStep(prompt="You are."),
        steps=[
            TaskStep(task="Do it.", images=[ImagePart(data="AA==")]),
            PlanningStep(plan="1. do", usage=TokenUsage(input_tokens=3, output_tokens=1)),
            ActionStep(number=1, output="<code>x=1</code>", code="x=1", observation="Printed:\n1", value={1, 2}),
            ActionStep(
                number=2,
                requests=[request, lost],
                outcomes=[ToolOutcome(id="1", name="add", observation="3")],
                usage=TokenUsage(input_tokens=1, output_tokens=1, cost=0.5),
                error=StepError(type="TypeError", message="m", line=3, state="kept"),
            ),
            ActionStep(number=3, output="<code>y=2</code>", code="y=2"),
            FinalAnswerStep(answer=object()),
        ],
    )


def test_messages_tell_the_whole_story_in_order() -> None:
    messages = full_memory().messages()
    roles = [message.role for message in messages]
    assert roles == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert messages[1].text == "New task:\nDo it."
    assert messages[1].content[1] == ImagePart(data="AA==")
    assert messages[5].text == "Observation:\nPrinted:\n1"


def test_each_tool_request_has_an_answer_whatever_happened() -> None:
    answers = {message.tool_call_id: message.text for message in full_memory().messages() if message.role == "tool"}
    assert answers == {"1": "3", "2": "not run"}


def test_a_summary_leaves_out_the_system_prompt_and_plans() -> None:
    texts = [message.text for message in full_memory().messages(summary=True)]
    assert "You are." not in texts
    assert "1. do" not in texts


def test_full_code_is_the_steps_code_in_order() -> None:
    assert full_memory().return_full_code() == "x=1\n\ny=2"


def test_usage_adds_up_and_a_known_cost_is_kept() -> None:
    assert full_memory().usage == TokenUsage(input_tokens=4, output_tokens=2, cost=0.5)


def test_saved_and_loaded_it_shows_a_model_the_same(tmp_path: Path) -> None:
    memory = full_memory()
    memory.save(tmp_path / "memory.json")
    loaded = AgentMemory.load(tmp_path / "memory.json")
    assert loaded.messages() == memory.messages()
    assert [step.kind for step in loaded.steps] == [step.kind for step in memory.steps]
    assert loaded.actions[1].error == memory.actions[1].error


def test_values_that_json_cannot_hold_are_saved_as_text() -> None:
    memory = AgentMemory(steps=[FinalAnswerStep(answer=object()), FinalAnswerStep(answer=float("nan"))])
    loaded = AgentMemory.model_validate_json(memory.model_dump_json())
    first, second = loaded.steps
    assert isinstance(first, FinalAnswerStep)
    assert "object object" in first.answer
    assert isinstance(second, FinalAnswerStep)
    assert second.answer == "NaN"


def test_a_value_that_holds_itself_can_be_saved() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "[...]" in AgentMemory(steps=[FinalAnswerStep(answer=endless)]).model_dump_json()


@given(st.binary(max_size=200))
def test_anything_but_a_memory_is_refused(data: bytes) -> None:
    with pytest.raises(ValidationError):
        AgentMemory.model_validate_json(b"[" + data)


def test_a_step_that_changed_is_shown_as_it_is_now_and_the_others_as_before() -> None:
    steps = [ActionStep(number=n, output=f"o{n}", observation=f"seen {n}") for n in (1, 2)]
    calls = ActionStep(number=3, requests=[ToolRequest(id="1", name="f")], outcomes=[ToolOutcome(id="1", name="f")])
    memory = AgentMemory(steps=[*steps, calls])
    before = memory.messages()
    memory.steps[0] = steps[0]
    steps[1].observation = "seen again"
    calls.outcomes[0].observation = "done"
    after = memory.messages()
    assert [message.text for message in after[-3:]] == ["Observation:\nseen again", "", "done"]
    assert after[1] is before[1]
    memory.reset()
    assert len(memory.messages()) == 1
    assert AgentMemory.model_validate_json(memory.model_dump_json()) == memory
