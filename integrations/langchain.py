"""A LangChain tool, for LangChain's and LangGraph's agents, that runs Python in a sealed guest."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from cloche.host_tools import ToolLike
from cloche.integrations.python_runner import PARAMETERS, PythonRunner
from cloche.runtime.limits import Limits

__all__ = ["python_tool"]


def python_tool(
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    *,
    limits: Limits | None = None,
    name: str = "run_python",
    runner: PythonRunner | None = None,
) -> Any:
    """Return a ``StructuredTool``: ``create_agent(model, [python_tool([search])])``.

    Each thread of a graph (``thread_id`` of its configuration) has a session of its own; without a thread, each call
    has a fresh one. ``runner`` replaces the one that is made of ``tools`` and ``limits``, and can be closed.
    Raises ImportError where langchain-core is not installed.
    """
    config_type = import_module("langchain_core.runnables").RunnableConfig
    own = PythonRunner(tools, limits=limits) if runner is None else runner

    def run(code: str, config: Any) -> str:
        return own.run(code, _thread(config))

    async def arun(code: str, config: Any) -> str:
        return await own.arun(code, _thread(config))

    # What LangChain looks for to pass a call's configuration, and to keep it out of the schema.
    for function in (run, arun):
        function.__annotations__["config"] = config_type
    make = import_module("langchain_core.tools").StructuredTool
    return make(name=name, description=own.description, args_schema=PARAMETERS, func=run, coroutine=arun)


def _thread(config: Mapping[str, Any]) -> Any:
    return config.get("configurable", {}).get("thread_id")
