"""The agent that calls tools by their schemas."""

from collections.abc import Generator
from typing import Any

from cloche.agent.base import MultiStepAgent
from cloche.agent.errors import ReplyUnparsable, StepProblem
from cloche.agent.loop.call_tools import CallTools
from cloche.agent.loop.loop import STOP, ask
from cloche.agent.loop.run import Run
from cloche.agent.messages import ImagePart, ToolRequest
from cloche.agent.models.base import ModelRequest, Reply, takes_tools
from cloche.agent.observations import CUT_OFF, near, shown
from cloche.agent.replies.calls import find_tool_calls
from cloche.agent.replies.reasoning import without_reasoning
from cloche.agent.steps import ActionStep, StepError, ToolOutcome
from cloche.agent.toolset import FINAL_ANSWER
from cloche.agent.values import plain, shorten
from cloche.host_tools import Tool
from cloche.host_tools.handles import HostImage, HostObject
from cloche.runtime.dispatch import UnknownTool
from cloche.runtime.errors import GuestVisibleError
from cloche.runtime.result import ToolCallRecord

__all__ = ["ToolCallingAgent"]


class ToolCallingAgent(MultiStepAgent):
    """Solves tasks by calling tools; the calls of one reply run at the same time. It runs no programs.

    Takes ``tools``, ``model`` and the keywords of :class:`cloche.agent.settings.Settings`. Models that cannot call
    tools may write the calls as JSON. An argument that is the name of one of ``additional_args`` stands for its value.
    """

    kind = "tool_calling"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state: dict[str, Any] = {}

    def act(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Have the model ask for tool calls, make them, and keep their outcomes."""
        schemas = self._schemas()
        request = ModelRequest(tuple(self.memory.messages()), stop=STOP, tools=schemas, must_call=True)
        reply = yield from ask(self, run, request, "step")
        found = without_reasoning(reply.message.text)
        step.usage, step.output, step.reasoning = reply.usage, found.answer.strip(), found.reasoning.strip()
        step.cut_off = reply.cut_off
        try:
            requests = reply.message.tool_calls or find_tool_calls(
                step.output, {schema["name"]: schema["parameters"] for schema in schemas}
            )
        except StepProblem as problem:
            if not self._answers(step, reply):
                message = f"{CUT_OFF}. {problem}" if reply.cut_off else str(problem)
                step.output = step.output or ("(cut off)" if reply.cut_off else "")
                step.error = StepError(type=type(problem).__name__, message=message)
                step.observation = f"Error: {message}"
                return
            requests = (ToolRequest(id=f"answer-{step.number}", name=FINAL_ANSWER, arguments={"answer": step.output}),)
        step.requests = list(requests)
        yield from self._call(run, step, [one for one in requests if one.arguments is not None])

    def prompt_values(self) -> dict[str, Any]:
        """Return what the system prompt's template may use: no tools where the model is given their schemas."""
        values = super().prompt_values()
        return {**values, "tools": ""} if takes_tools(self.model) else values

    def prompt_depends_on(self) -> tuple[Any, ...]:
        """Return whether the model takes tools: it may be replaced."""
        return (takes_tools(self.model),)

    def set_variables(self, variables: dict[str, Any]) -> None:
        """Keep variables, whose names may be used as arguments."""
        self.state.update(variables)

    def reset(self) -> None:
        """Forget memory and variables."""
        super().reset()
        self.state = {}

    def _answers(self, step: ActionStep, reply: Reply) -> bool:
        """Return whether a reply without a call is the answer, which it is if it is complete, and behind a result.

        So is a text behind another one that was refused: asking a third time brings no call either. But it has to be
        prose, and no call that could not be read.
        """
        before = self.memory.steps[-1:]
        if not step.output or reply.cut_off or not before or not isinstance(before[0], ActionStep):
            return False
        if any(outcome.outcome == "returned" for outcome in before[0].outcomes):
            return True
        is_prose = not any(mark in step.output for mark in ("{", "<", *self.tools))
        return is_prose and before[0].error is not None and before[0].error.type == ReplyUnparsable.__name__

    def _schemas(self) -> tuple[dict[str, Any], ...]:
        return tuple(_schema(name, tool) for name, tool in self.tools.items())

    def _call(self, run: Run, step: ActionStep, requests: list[ToolRequest]) -> Generator[Any, Any, None]:
        # The answer ends the run, so it waits for the calls beside it.
        others = [request for request in requests if request.name != FINAL_ANSWER]
        answers = [request for request in requests if request.name == FINAL_ANSWER][:1]
        run.ledger.call(len(others))
        run.ledger.check()
        for group in filter(None, (others, answers)):
            calls = [(request.name, self._resolved(request)) for request in group]
            records: list[ToolCallRecord] = yield CallTools(run, self.tools, calls, frozenset(self.managed_agents))
            for request, record in zip(group, records, strict=True):
                self._note(step, request, record)
        self._note_malformed(step)

    def _resolved(self, request: ToolRequest) -> dict[str, Any]:
        arguments = request.arguments or {}
        return {
            name: self.state.get(value, value) if isinstance(value, str) else value for name, value in arguments.items()
        }

    def _note(self, step: ActionStep, request: ToolRequest, record: ToolCallRecord) -> None:
        text = self._observed(step, record)
        if record.error is not None:
            step.error = step.error or StepError(type=_kind(record.error), message=text, state="kept")
        outcome = ToolOutcome(
            id=request.id,
            name=request.name,
            arguments=plain(record.kwargs),
            outcome=record.outcome,
            observation=text,
            seconds=record.seconds,
        )
        step.outcomes.append(outcome)

    def _observed(self, step: ActionStep, record: ToolCallRecord) -> str:
        limit, error, value = self.settings.observation_limit, record.error, record.value
        if isinstance(error, UnknownTool):
            return f"Error: there is no tool called {error.name!r}; {near(error.name, self.tools)}"
        if error is not None:
            return shorten(f"Error: {_kind(error)}: {error}", limit)
        if isinstance(value, HostImage):
            found = self.image_of(value.handle)
            step.images.extend([found] if found else [])
            return f"{value}, shown below; where a tool wants it, pass {value.handle!r}"
        if isinstance(value, HostObject):
            return f"<{value.kind} {value.handle}>; where a tool wants it, pass {value.handle!r}"
        if isinstance(value, ImagePart):
            step.images.append(value)
            return "The tool returned an image, shown below."
        return shown(value, limit)

    def _note_malformed(self, step: ActionStep) -> None:
        for request in step.requests:
            if request.arguments is None:
                why = f"{CUT_OFF}. " if step.cut_off else ""
                text = f"Error: {why}The arguments are not a JSON object: {shorten(request.raw, 500)}"
                step.outcomes.append(ToolOutcome(id=request.id, name=request.name, outcome="refused", observation=text))
                step.error = step.error or StepError(type="ReplyUnparsable", message=text)


def _schema(name: str, tool: Tool) -> dict[str, Any]:
    return {"name": name, "description": tool.description, "parameters": tool.schema}


def _kind(error: BaseException) -> str:
    return error.guest_type if isinstance(error, GuestVisibleError) else type(error).__name__
