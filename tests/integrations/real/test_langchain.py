"""The tool in LangChain's and LangGraph's hands."""

import asyncio
from typing import Any

import pytest

from cloche import tool
from cloche.integrations.langchain import python_tool
from cloche.integrations.python_runner import PythonRunner

core: Any = pytest.importorskip("langchain_core.messages")

pytestmark = pytest.mark.filterwarnings("ignore")


@tool(blocking=False)
def double(x: int) -> int:
    """Twice x."""
    return 2 * x


def test_it_is_called_and_tells_what_came_of_it() -> None:
    made = python_tool([double])
    assert made.name == "run_python"
    assert set(made.args) == {"code"}
    assert "def double(x: int) -> int" in made.description
    assert made.invoke({"code": "print('hi')\ndouble(21)"}) == "Printed:\nhi\n\nValue: 42"
    assert asyncio.run(made.ainvoke({"code": "double(2)"})) == "Value: 4"
    assert "ZeroDivisionError" in made.invoke({"code": "1 / 0"})


def test_each_thread_has_variables_of_its_own() -> None:
    with_close = PythonRunner()
    made = python_tool(runner=with_close)
    ann, bob = ({"configurable": {"thread_id": name}} for name in ("ann", "bob"))
    made.invoke({"code": "x = 1"}, ann)
    assert made.invoke({"code": "x"}, ann) == "Value: 1"
    assert "NameError" in made.invoke({"code": "x"}, bob)
    assert "NameError" in made.invoke({"code": "x"})
    with_close.close()


def test_a_graph_calls_it() -> None:
    graph: Any = pytest.importorskip("langgraph.graph")
    prebuilt: Any = pytest.importorskip("langgraph.prebuilt")
    node = prebuilt.ToolNode([python_tool([double])])
    builder = graph.StateGraph(graph.MessagesState)
    builder.add_node("tools", node)
    builder.add_edge(graph.START, "tools")
    compiled = builder.compile()

    def ask(code: str, thread: str) -> str:
        call = {"name": "run_python", "args": {"code": code}, "id": "1", "type": "tool_call"}
        state = {"messages": [core.AIMessage("", tool_calls=[call])]}
        return str(compiled.invoke(state, {"configurable": {"thread_id": thread}})["messages"][-1].content)

    assert ask("x = double(4)\nx", "a") == "Value: 8"
    assert ask("x", "a") == "Value: 8"
    assert "NameError" in ask("x", "b")
