"""The tool in the OpenAI Agents SDK's hands."""

import json
from typing import Any

import pytest

from cloche import tool
from cloche.integrations.openai_agents import python_tool

sdk: Any = pytest.importorskip("agents.testing")
agents: Any = pytest.importorskip("agents")

pytestmark = pytest.mark.filterwarnings("ignore")


@tool(blocking=False)
def double(x: int) -> int:
    """Twice x."""
    return 2 * x


def outputs(made: Any, *arguments: str, **options: Any) -> list[str]:
    """Run an agent whose model calls the tool with these arguments, and return what it was answered."""
    agents.set_tracing_disabled(True)
    calls = [[sdk.function_call("run_python", given, call_id=str(n))] for n, given in enumerate(arguments)]
    agent = agents.Agent(name="a", model=sdk.ScriptedModel([*calls, [sdk.assistant_message("done")]]), tools=[made])
    result = agents.Runner.run_sync(agent, "t", **options)
    assert result.final_output == "done"
    return [str(item.output) for item in result.new_items if item.type == "tool_call_output_item"]


def code(program: str) -> str:
    return json.dumps({"code": program})


def test_a_run_has_a_session_of_its_own() -> None:
    made = python_tool([double])
    assert outputs(made, code("x = double(21)"), code("x")) == ["The program ran and printed nothing.", "Value: 42"]
    assert "NameError" in outputs(made, code("x"))[0]


def test_the_context_may_say_whose_session_it_is() -> None:
    made = python_tool(conversation=lambda context: context.context)
    outputs(made, code("x = 1"), context="ann")
    assert outputs(made, code("x"), context="ann") == ["Value: 1"]
    assert "NameError" in outputs(made, code("x"), context="bob")[0]


def test_broken_arguments_are_told() -> None:
    assert "JSON object" in outputs(python_tool(), "no json")[0]
