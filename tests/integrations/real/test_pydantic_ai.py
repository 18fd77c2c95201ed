"""The toolset in pydantic-ai's hands."""

from typing import Any

import pytest

from cloche import tool
from cloche.integrations.pydantic_ai import python_toolset

ai: Any = pytest.importorskip("pydantic_ai")
messages: Any = pytest.importorskip("pydantic_ai.messages")
function: Any = pytest.importorskip("pydantic_ai.models.function")

pytestmark = pytest.mark.filterwarnings("ignore")


@tool
async def double(x: int) -> int:
    """Twice x."""
    return 2 * x


def model(*arguments: Any) -> Any:
    """A model that calls the tool with these arguments, one after the other, and then repeats the last answer."""
    left = list(arguments)

    def answer(history: Any, info: Any) -> Any:
        if left:
            return messages.ModelResponse(parts=[messages.ToolCallPart("run_python", left.pop(0))])
        return messages.ModelResponse(parts=[messages.TextPart(str(history[-1].parts[-1].content))])

    return function.FunctionModel(answer)


def test_variables_stay_within_a_conversation() -> None:
    toolset = python_toolset([double])
    agent = ai.Agent(toolsets=[toolset])
    first = agent.run_sync("t", model=model({"code": "x = await double(21)"}, {"code": "x"}))
    assert first.output == "Value: 42"
    again = agent.run_sync("t", model=model({"code": "x + 1"}), message_history=first.all_messages())
    assert again.output == "Value: 43"
    assert "NameError" in agent.run_sync("t", model=model({"code": "x"})).output


def test_the_model_is_told_of_wrong_arguments() -> None:
    agent = ai.Agent(toolsets=[python_toolset()])
    seen: list[str] = []

    def answer(history: Any, info: Any) -> Any:
        if not seen:
            seen.append(str(info.function_tools[0].parameters_json_schema["required"]))
            return messages.ModelResponse(parts=[messages.ToolCallPart("run_python", {"program": "1"})])
        seen.append(str(history[-1].parts[-1].content))
        return messages.ModelResponse(parts=[messages.TextPart("done")])

    assert agent.run_sync("t", model=function.FunctionModel(answer)).output == "done"
    assert seen[0] == "['code']"
    assert "code" in seen[1]
