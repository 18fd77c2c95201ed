"""A tool for the OpenAI Agents SDK that runs Python in a sealed guest."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from importlib import import_module
from typing import Any

from cloche.agent.replies.calls import arguments_of
from cloche.host_tools import ToolLike
from cloche.integrations.python_runner import PARAMETERS, PythonRunner
from cloche.runtime.limits import Limits

__all__ = ["python_tool"]


def python_tool(
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    *,
    limits: Limits | None = None,
    name: str = "run_python",
    conversation: Callable[[Any], Hashable] | None = None,
    runner: PythonRunner | None = None,
) -> Any:
    """Return a ``FunctionTool``: ``Agent(name=..., tools=[python_tool([search])])``.

    ``conversation``  says from the SDK's ``ToolContext`` whose session a call uses, for example
    ``lambda ctx: ctx.context.user_id``. Default: all calls of one run share a session, and no other run sees it.
    ``runner``        replaces the one that is made of ``tools`` and ``limits``, and can be closed.
    Raises ImportError where openai-agents is not installed.
    """
    sdk = import_module("agents")
    own = PythonRunner(tools, limits=limits) if runner is None else runner
    whose = conversation or _run_of

    async def invoke(context: Any, arguments: str) -> str:
        code = (arguments_of(arguments) or {}).get("code")
        if not isinstance(code, str):
            return (
                f"Error: the arguments have to be a JSON object with the program's text as code, not {arguments!r:.200}"
            )
        return await own.arun(code, whose(context))

    return sdk.FunctionTool(
        name=name, description=own.description, params_json_schema=PARAMETERS, on_invoke_tool=invoke
    )


class _OfRun:
    """A run, by the one object that all of its calls' contexts share; held, so that no later run gets the same."""

    def __init__(self, usage: Any) -> None:
        self._usage = usage

    def __hash__(self) -> int:
        return id(self._usage)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OfRun) and other._usage is self._usage


def _run_of(context: Any) -> Hashable:
    return _OfRun(context.usage)
