"""Agents on the terminal: what they do as it happens, what they did, and how they are made up."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from cloche.agent.events import (
    AgentEvent,
    CodeFinished,
    CodeStarted,
    ModelFinished,
    ModelLoading,
    PlanMade,
    Printed,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    ToolCallEnded,
)
from cloche.agent.memory import AgentMemory, messages_of
from cloche.agent.steps import ActionStep, FinalAnswerStep, MemoryStep, PlanningStep, TaskStep
from cloche.agent.values import safe_repr, safe_str, shorten
from cloche.runtime._imports import need
from cloche.runtime._terminal import harmless

__all__ = ["TerminalLog", "outline", "replayed"]

_MAX_TEXT = 2_000
_WIDTH = 70


class TerminalLog:
    """An observer that writes to the terminal with rich: level 1 code, observations and answers; level 2 all that is
    said, printed and called, as it happens.

    Nothing that a model, a tool or a guest wrote is taken for markup or reaches the terminal as a control character.
    Raises ConfigurationError if rich is not installed. ``console`` is rich's; default: one on stderr.
    """

    def __init__(self, level: int = 1, console: Any = None) -> None:
        self._level = level
        self._console = console or _console()
        self._lock = threading.Lock()

    def __call__(self, event: AgentEvent) -> None:
        """Write an event."""
        show = _SHOW.get(type(event))
        if show is None or type(event) in (_DETAILS if self._level < 2 else _SHOWN_ALREADY):
            return
        style, text = show(event)
        if text:
            with self._lock:
                self._write(event, style, text)

    def _write(self, event: AgentEvent, style: str, text: str) -> None:
        name = f"{event.agent}: " if event.agent else ""
        self._console.print(harmless(f"{name}{text}"), style=style, markup=False, highlight=False)


def _console() -> Any:
    console = need("rich.console", "agent", what="the terminal log", field="verbosity")
    return console.Console(stderr=True, markup=False, emoji=False, highlight=False)


def _code_finished(event: CodeFinished) -> tuple[str, str]:
    result = event.result
    if result.error is not None:
        text = getattr(result.error, "traceback", "") or f"{type(result.error).__name__}: {result.error}"
        return "red", f"-> {text.rstrip()}"
    return "dim", f"-> {result.usage}"


def _tool_ended(event: ToolCallEnded) -> tuple[str, str]:
    record = event.record
    seconds = 0.0 if record.seconds is None else record.seconds
    return "dim", f"tool {record.name} {record.outcome} ({seconds:.3f} s)"


def _run_ended(event: RunEnded) -> tuple[str, str]:
    result = event.result
    spent = f"{result.usage.total:,} tokens, {result.seconds:.2f} s, {result.tool_calls} tool calls"
    cost = "" if result.usage.cost is None else f", ${result.usage.cost:.4f}"
    if result.error is not None and result.output is None:
        return "bold red", f"ended ({result.state}): {result.error} [{spent}{cost}]"
    return "bold green", f"answer: {safe_str(result.output, _MAX_TEXT)} [{spent}{cost}]"


def _step_ended(event: StepEnded) -> tuple[str, str]:
    return "", shorten(event.step.observation, _MAX_TEXT)


def _model(event: ModelFinished) -> tuple[str, str]:
    return ("red", f"model failed: {event.error}") if event.error else ("", event.text)


_SHOW: dict[type[Any], Callable[[Any], tuple[str, str]]] = {
    RunStarted: lambda event: ("bold", f"task: {event.task}"),
    StepStarted: lambda event: ("bold blue", f"step {event.number}"),
    ModelLoading: lambda event: ("dim", f"loading {event.what}, which takes some seconds, once"),
    ModelFinished: _model,
    PlanMade: lambda event: ("magenta", f"plan:\n{event.step.plan}"),
    CodeStarted: lambda event: ("cyan", event.code),
    Printed: lambda event: ("", event.text.rstrip("\n")),
    ToolCallEnded: _tool_ended,
    CodeFinished: _code_finished,
    StepEnded: _step_ended,
    RunEnded: _run_ended,
}
_DETAILS = frozenset({ModelFinished, Printed, ToolCallEnded})
# The model's text holds its code, and what was printed has been shown.
_SHOWN_ALREADY = frozenset({CodeStarted, StepEnded})


def replayed(memory: AgentMemory, *, detailed: bool = False) -> str:
    """Return what happened, step by step; ``detailed`` precedes each step with the messages that led to it."""
    parts: list[str] = [_titled("system prompt", memory.system.prompt)] if detailed else []
    for index, step in enumerate(memory.steps):
        if detailed and isinstance(step, ActionStep):
            parts.append(_titled(f"shown to the model before step {step.number}", _shown(memory.steps[:index])))
        parts.append(_described(step))
    return "\n\n".join(parts)


def outline(agent: Any, indent: str = "") -> str:
    """Return the agent, its tools and its agents as a tree of lines."""
    return "\n".join(_lines(agent, indent))


def _lines(agent: Any, indent: str) -> Iterator[str]:
    model = getattr(agent.model, "name", "") or type(agent.model).__name__
    yield f"{indent}{agent.name or type(agent).__name__} ({type(agent).__name__}, {model})"
    if agent.description:
        yield f"{indent}|  {_first_line(agent.description)}"
    for name, tool in agent.tools.items():
        if name not in agent.managed_agents:
            yield f"{indent}+- {name}: {_first_line(tool.description)}"
    for managed in agent.managed_agents.values():
        yield f"{indent}+- agent"
        yield from _lines(managed, f"{indent}   ")


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _shown(steps: list[MemoryStep]) -> str:
    return "\n".join(f"[{message.role}] {message.text}" for message in messages_of(steps, {}))


def _described(step: MemoryStep) -> str:
    match step:
        case TaskStep():
            return _titled("task", step.task)
        case PlanningStep():
            return _titled("plan", step.plan)
        case FinalAnswerStep():
            return _titled("final answer", safe_str(step.answer))
        case ActionStep():
            requests = "\n".join(f"{request.name}({safe_repr(request.arguments)})" for request in step.requests)
            observed = step.observation or "\n".join(outcome.observation for outcome in step.outcomes)
            text = "\n".join(filter(None, [step.output, requests, "-> " + observed if observed else ""]))
            return _titled(f"step {step.number} ({step.seconds:.2f} s)", text)


def _titled(title: str, text: str) -> str:
    return f"--- {title} {'-' * max(0, _WIDTH - len(title))}\n{text}"
