"""A pydantic-ai toolset that runs Python in a sealed guest."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from cloche.host_tools import ToolLike
from cloche.integrations.python_runner import PARAMETERS, PythonRunner
from cloche.runtime.limits import Limits

__all__ = ["python_toolset"]


def python_toolset(
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    *,
    limits: Limits | None = None,
    name: str = "run_python",
    runner: PythonRunner | None = None,
) -> Any:
    """Return a ``FunctionToolset`` of one tool: ``Agent(model, toolsets=[python_toolset([search])])``.

    Each conversation has a session of its own: runs that continue another run's messages find its variables.
    ``runner`` replaces the one that is made of ``tools`` and ``limits``, and can be closed.
    Raises ImportError where pydantic-ai is not installed.
    """
    ai = import_module("pydantic_ai")
    own = PythonRunner(tools, limits=limits) if runner is None else runner

    async def run(ctx: Any, /, **arguments: Any) -> str:
        # pydantic-ai checks nothing of a tool that comes with a schema.
        code = arguments.get("code")
        if not isinstance(code, str) or len(arguments) > 1:
            raise ai.ModelRetry(f"there is one argument, code, with the program's text; got {sorted(arguments)}")
        return await own.arun(code, getattr(ctx, "conversation_id", None) or ctx.run_id)

    tool = ai.Tool.from_schema(run, name, own.description, PARAMETERS, takes_ctx=True)
    return ai.FunctionToolset([tool])
