"""Tools of the real LangChain and smolagents packages."""

from typing import Any

import pytest

from cloche.host_tools import Tool, ToolDefinitionError, ToolRegistry, ToolRejected
from cloche.host_tools.external import from_langchain, from_smolagents


@pytest.fixture
def multiply() -> Any:
    langchain: Any = pytest.importorskip("langchain_core.tools")

    def multiply(a: int, b: int = 2) -> int:
        """Multiply two numbers."""
        return a * b

    return langchain.tool(multiply)


def test_a_langchain_tool(multiply: Any) -> None:
    tool = from_langchain(multiply)
    assert (tool.name, tool.description) == ("multiply", "Multiply two numbers.")
    assert tool.invoke([3], {"b": 4}) == 12
    assert tool.invoke([3], {}) == 6
    with pytest.raises(ToolRejected, match="'a'"):
        tool.invoke(["x"], {})


def test_a_langchain_tool_is_registered_as_it_is(multiply: Any) -> None:
    assert ToolRegistry([multiply]).call("multiply", [3], {}) == 6


@pytest.fixture
def shout() -> Any:
    smolagents: Any = pytest.importorskip("smolagents")

    class Shout(smolagents.Tool):  # type: ignore[misc]
        name = "shout"
        description = "Say it loudly."
        inputs = {  # noqa: RUF012
            "text": {"type": "string", "description": "what to say"},
            "times": {"type": "integer", "description": "how often", "nullable": True},
        }
        output_type = "string"

        def forward(self, text: str, times: int | None = None) -> str:
            return text.upper() * (times or 1)

    return Shout()


def test_a_smolagents_tool(shout: Any) -> None:
    tool = from_smolagents(shout)
    assert isinstance(tool, Tool)
    assert tool.invoke(["hey"], {}) == "HEY"
    assert tool.invoke([], {"text": "hey", "times": 2}) == "HEYHEY"
    assert "what to say" in tool.spec()["doc"]
    with pytest.raises(ToolRejected, match="'times'"):
        tool.invoke(["hey", "often"], {})


def test_a_smolagents_tool_is_registered_as_it_is(shout: Any) -> None:
    registry = ToolRegistry()
    registry["louder"] = shout
    assert registry.call("louder", ["hey"], {}) == "HEY"


@pytest.mark.parametrize("convert", [from_langchain, from_smolagents])
def test_what_is_no_such_tool(convert: Any) -> None:
    with pytest.raises(ToolDefinitionError):
        convert(len)
