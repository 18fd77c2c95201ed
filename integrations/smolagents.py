"""smolagents' CodeAgent with its code in a sealed guest: ``CodeAgent(tools, model, executor=ClocheExecutor())``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from cloche.agent.executor import RECLAIM, Reclaimed, prepare_session
from cloche.agent.observations import error_of, observation_of
from cloche.host_tools import FunctionTool, Tool, ToolRegistry
from cloche.host_tools.schema_tool import SchemaTool
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

__all__ = ["ClocheExecutor"]

_SECONDS = 600.0
_SHOWN = 20_000
_OTHER_TYPES = ("any", "image", "audio")
"""smolagents' types that JSON does not have."""


class ClocheExecutor:
    """Runs smolagents' code actions in one session of a sandbox; tools and managed agents stay in this process.

    ``imports``  modules that code may import; default: everything that is in the guest.
    ``limits``   of one action; default 600 s, as a managed agent's work counts as well.
    ``client``   a ``cloche.Client``: the session is on its server then, and the tools still here. What an action may
                 use is up to the server, and arguments cross as JSON schemas say that the tools' ``inputs`` are.

    Errors say what became of the variables. Raises ImportError where smolagents is not installed. ``cleanup()``, which
    the agent calls, frees the session; a later action begins in a new one.
    """

    def __init__(
        self, imports: Sequence[str] | None = None, *, limits: Limits | None = None, client: Any = None
    ) -> None:
        self._parts = import_module("smolagents.local_python_executor")
        self._imports = None if imports is None or "*" in imports else list(imports)
        self._limits = Limits(time=_SECONDS) if limits is None else limits
        self._client, self._given_limits = client, limits
        self._tools = ToolRegistry()
        self._variables: dict[str, Any] = {}
        self._answers: list[Any] = []
        self._session: Session | None = None
        self.state: dict[str, Any] = {"_print_outputs": "", "__name__": "__main__"}

    def send_tools(self, tools: Mapping[str, Any]) -> None:
        """Take the agent's tools, and the agents it manages, in the place of those before."""
        make = _tool if self._client is None else _wired
        given = {name: self._final(tool) if name == "final_answer" else make(tool) for name, tool in tools.items()}
        for name in set(self._tools) - set(given):
            del self._tools[name]
        for name, tool in given.items():
            self._tools[name] = tool

    def send_variables(self, variables: Mapping[str, Any]) -> None:
        """Have these variables set before the next action. Values that cannot cross are left out."""
        self._variables.update(variables)

    def __call__(self, code_action: str) -> Any:
        """Run an action and return smolagents' CodeOutput. Raises its InterpreterError for code that failed."""
        session = self._ready()
        self._answers.clear()
        result = session.run(code_action)
        reclaimed = "" if self._answers else Reclaimed.of(session.run(RECLAIM), self._tools).note
        self.state["_print_outputs"] = result.stdout
        if not self._answers and error_of(result) is not None:
            # What was printed smolagents shows by itself.
            silent = replace(result, stdout="", stderr="")
            raise self._parts.InterpreterError(observation_of(silent, self._tools, _SHOWN) + reclaimed)
        output = self._answers[0] if self._answers else result.value
        return self._parts.CodeOutput(
            output=output, logs=result.stdout + reclaimed, is_final_answer=bool(self._answers)
        )

    def cleanup(self) -> None:
        """Free the session. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _ready(self) -> Session:
        if self._session is None:
            self._session = self._new_session()
        for name, value in self._variables.items():
            _set(self._session, name, value)
        self._variables = {}
        return self._session

    def _new_session(self) -> Session:
        if "final_answer" not in self._tools:
            self._tools["final_answer"] = self._final(_as_it_is)
        if self._client is not None:
            remote = self._client.session(tools=list(self._tools.values()), limits=self._given_limits)
            return prepare_session(remote, self._imports)
        return prepare_session(Sandbox(self._tools, limits=self._limits).session(), self._imports)

    def _final(self, own: Callable[..., Any]) -> Tool:
        # A final answer tool of the user's may take other arguments than one answer, which it checks by itself.
        def final_answer(*args: Any, **kwargs: Any) -> None:
            self._answers.append(own(*args, **kwargs))

        if self._client is not None:
            schema = _schema(getattr(own, "inputs", None) or {"answer": {"type": "any"}})
            about = "End the task with this answer."
            return SchemaTool("final_answer", about, schema, lambda given: final_answer(**given))
        final_answer.__doc__ = _described(own) if hasattr(own, "inputs") else "End the task with this answer."
        return FunctionTool(final_answer, typed=False)


def _as_it_is(answer: Any) -> Any:
    return answer


def _tool(tool: Any) -> Tool:
    """Return one of smolagents' tools, or an agent of its, as a tool of ours."""
    if isinstance(tool, Tool):
        # One of ours stays as it is: wrapped, a tool that waits for an approval would be called without one.
        return tool

    def call(*args: Any, **kwargs: Any) -> Any:
        return tool(*args, **kwargs)

    call.__doc__ = _described(tool)
    return FunctionTool(call, name=str(tool.name), typed=False)


def _wired(tool: Any) -> Tool:
    """Return one of smolagents' tools as one whose arguments a server can know: by its inputs."""
    if isinstance(tool, Tool):
        return tool
    # A managed agent has no inputs, and takes a task.
    inputs = getattr(tool, "inputs", None) or {"task": {"type": "string"}}
    return SchemaTool(str(tool.name), str(tool.description), _schema(inputs), lambda given: tool(**given))


def _schema(inputs: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        name: {key: about[key] for key in ("type", "description") if about.get(key) and about[key] not in _OTHER_TYPES}
        for name, about in inputs.items()
    }
    required = [name for name, about in inputs.items() if not about.get("nullable")]
    return {"type": "object", "properties": properties, "required": required}


def _described(tool: Any) -> str:
    inputs: Mapping[str, Any] = getattr(tool, "inputs", None) or {}
    arguments = [f"    {name}: {about.get('description', '')}" for name, about in inputs.items()]
    return "\n".join([str(tool.description), *(["", "Args:", *arguments] if arguments else [])])


def _set(session: Session, name: str, value: Any) -> None:
    try:
        session.set(name, value)
    except TypeError:
        # What the agent keeps for itself, such as a model or a handle; naming it in code gives a NameError.
        return
