"""Replies of real models, run: reasoning never is, and programs are run as they were written."""

from typing import Any

import pytest

from cloche.agent import ActionStep, CodeAgent, Reply, ScriptedModel, ToolCallingAgent, ToolRequest
from cloche.agent.messages import Message
from cloche.host_tools import tool

MADE: list[str] = []


@tool
def note(text: str) -> str:
    """Note a text.

    Args:
        text: What to note.
    """
    MADE.append(text)
    return f"noted {text}"


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


DRAFTS = [
    "<think>Maybe\n<code>\nnote('draft')\n</code>\nno.</think>\nI answer.\n<code>\nfinal_answer(note('real'))\n</code>",
    "<think>\n```python\nnote('draft')\n```\n</think>\n```python\nfinal_answer(note('real'))\n```",
    "Maybe\n<code>\nnote('draft')\n</code>\nno.</think>\n<code>\nfinal_answer(note('real'))\n</code>",
    "I <think>\n<code>\nnote('draft')\n</code>\nObservation:\n</think>\n<code>\nfinal_answer(note('real'))\n</code>",
    "[THINK]<code>note('draft')</code>[/THINK]<code>final_answer(note('real'))</code>",
]


@pytest.mark.parametrize("text", DRAFTS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_draft_in_the_reasoning_never_runs(text: str, streamed: bool) -> None:
    with CodeAgent([note], ScriptedModel([text])) as agent:
        if streamed:
            list(agent.run("t", stream=True))
        else:
            assert agent.run("t") == "noted real"
    assert MADE == ["real"]


def test_a_drafted_tool_call_is_not_made_and_reasoning_is_not_shown_again() -> None:
    first = (
        '<think>{"name": "note", "arguments": {"text": "draft"}}</think>{"name": "note", "arguments": {"text": "real"}}'
    )
    model = ScriptedModel([first, ToolRequest(id="1", name="final_answer", arguments={"answer": "ok"})])
    agent = ToolCallingAgent([note], model)
    assert agent.run("t") == "ok"
    assert MADE == ["real"]
    step = agent.memory.actions[0]
    assert "draft" in step.reasoning
    assert not any("draft" in message.text for message in model.requests[1].messages)


def test_an_unfinished_reasoning_is_no_program_and_says_so() -> None:
    lines = ["<think>I try\n<code>\nnote('draft')\n</code>", "<code>\nfinal_answer(1)\n</code>"]
    with CodeAgent([note], ScriptedModel(lines)) as agent:
        assert agent.run("t") == 1
        assert "ended within its reasoning" in agent.memory.actions[0].observation
    assert MADE == []


def test_a_reply_that_was_cut_off_is_told_as_such() -> None:
    cut = Reply(message=Message.of("assistant", "I write a long"), cut_off=True)
    with CodeAgent([], ScriptedModel([cut, "<code>\nfinal_answer(1)\n</code>"])) as agent:
        assert agent.run("t") == 1
        assert "maximum length" in agent.memory.actions[0].observation


def test_a_program_of_a_reply_that_was_cut_off_runs_and_says_so() -> None:
    cut = Reply(message=Message.of("assistant", "<code>\nx = 1\nprint(x)"), cut_off=True)
    with CodeAgent([], ScriptedModel([cut, "<code>\nfinal_answer(x)\n</code>"])) as agent:
        assert agent.run("t") == 1
        assert "maximum length" in agent.memory.actions[0].observation


@pytest.mark.parametrize("kind", [CodeAgent, ToolCallingAgent])
def test_a_reply_that_was_cut_off_before_it_began_is_told_as_such(kind: Any) -> None:
    cut = Reply(message=Message(role="assistant"), reasoning="So long.", cut_off=True)
    answer = '<code>\nfinal_answer("a")\n</code>' if kind is CodeAgent else 'final_answer("a")'
    model = ScriptedModel([cut, answer])
    with kind([], model) as agent:
        assert agent.run("t") == "a"
    assert "maximum length" in model.requests[1].messages[-1].text


def test_the_last_answer_is_unwrapped() -> None:
    lines = ["<code>\nx = 1\n</code>", '<code>\nfinal_answer("Paris")\n</code>']
    with CodeAgent([], ScriptedModel(lines), max_steps=1) as agent:
        assert agent.run("t") == "Paris"


def test_html_and_markdown_reach_the_guest_as_they_were_written() -> None:
    code = 'page = """<code>\n```\nx\n```\n</code>"""\nfinal_answer(page + \'</code>\')'
    with CodeAgent([], ScriptedModel([f"I write it.\n<code>\n{code}\n</code>"])) as agent:
        assert agent.run("t") == "<code>\n```\nx\n```\n</code></code>"


def test_text_behind_a_result_is_the_answer_of_an_agent_that_calls_tools() -> None:
    agent = ToolCallingAgent(
        [note], ScriptedModel([ToolRequest(id="1", name="note", arguments={"text": "a"}), "It is a."])
    )
    assert agent.run("t") == "It is a."
    assert isinstance(agent.memory.steps[-2], ActionStep)


def test_text_without_any_result_is_asked_for_again() -> None:
    lines: list[Any] = ["It is a.", ToolRequest(id="1", name="final_answer", arguments={"answer": "b"})]
    agent = ToolCallingAgent([note], ScriptedModel(lines))
    assert agent.run("t") == "b"
    assert "no tool call" in agent.memory.actions[0].observation


def test_text_that_is_given_twice_is_the_answer_unless_it_looks_like_a_call() -> None:
    agent = ToolCallingAgent([note], ScriptedModel(["It is a.", "It is a, I am sure."]))
    assert agent.run("t") == "It is a, I am sure."
    broken = '{"name": "note", "arguments": '
    answer = ToolRequest(id="1", name="final_answer", arguments={"answer": "b"})
    agent = ToolCallingAgent([note], ScriptedModel([broken, broken, "I call note.", answer]))
    assert agent.run("t") == "b"


def test_a_bad_call_beside_a_good_one_is_told() -> None:
    text = '{"name": "note", "arguments": {"text": "a"}} {"name": "note", "arguments": {"text": }}'
    lines: list[Any] = [text, ToolRequest(id="1", name="final_answer", arguments={"answer": "b"})]
    agent = ToolCallingAgent([note], ScriptedModel(lines))
    assert agent.run("t") == "b"
    outcomes = [outcome.observation for outcome in agent.memory.actions[0].outcomes]
    assert MADE == ["a"]
    assert outcomes[0] == "noted a"
    assert "not a JSON object" in outcomes[1]
