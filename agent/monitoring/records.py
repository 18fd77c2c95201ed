"""Runs as files of JSON lines."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from cloche.agent.events import (
    AgentEvent,
    CodeFinished,
    ModelFinished,
    PlanMade,
    Printed,
    RunEnded,
    StepEnded,
    TextDelta,
    ToolCallEnded,
    ToolCallStarted,
)
from cloche.agent.messages import TokenUsage
from cloche.agent.observations import outcomes_of
from cloche.agent.values import error_text, plain, safe_repr, shorten

__all__ = ["RunRecorder"]

_MAX_TEXT = 20_000


class RunRecorder:
    """An observer that appends each event of a run to a file: one JSON object per line, as ``cloche trace`` reads it.

    Each has ``event``, ``time`` (seconds since the epoch), ``agent``, ``run`` and what the event holds; texts are cut
    to 20,000 characters. Prompts are not written. Safe to use by several agents and threads at once. Runs of managed
    agents are written too; their ``parent`` is the run they worked for.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()

    def __call__(self, event: AgentEvent) -> None:
        """Write an event; pieces of text and output are left out, as the whole comes later."""
        if type(event) in _PIECES:
            return
        head = {"event": _name(event), "time": time.time(), "agent": event.agent, "run": event.run_id}
        shape: Callable[[Any], dict[str, Any]] = _SHAPES.get(type(event), _fields)
        line = json.dumps(head | shape(event), ensure_ascii=False, default=safe_repr)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _name(event: AgentEvent) -> str:
    letters = type(event).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in letters).lstrip("_")


def _usage(usage: TokenUsage | None) -> dict[str, Any] | None:
    return None if usage is None else usage.model_dump()


def _model(event: ModelFinished) -> dict[str, Any]:
    said = {"text": shorten(event.text, _MAX_TEXT), "usage": _usage(event.usage), "seconds": event.seconds}
    return said | {"model": event.model, "error": event.error}


def _code(event: CodeFinished) -> dict[str, Any]:
    result = event.result
    return {
        "value": _short(result.value),
        "stdout": shorten(result.stdout, _MAX_TEXT),
        "stderr": shorten(result.stderr, _MAX_TEXT),
        "error": None if result.error is None else error_text(result.error)[:_MAX_TEXT],
        "rolled_back": result.rolled_back,
        "fuel": result.usage.fuel,
        "memory": result.usage.memory_peak,
        "seconds": result.usage.wall,
        "calls": result.usage.calls,
    }


def _short(value: Any) -> Any:
    """Return the value as JSON, or its shortened text where it is long."""
    made = plain(value)
    text = made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
    return made if len(text) <= _MAX_TEXT else shorten(text, _MAX_TEXT)


def _step(event: StepEnded) -> dict[str, Any]:
    step = event.step
    return {
        "number": step.number,
        "observation": shorten(step.observation, _MAX_TEXT),
        "error": None if step.error is None else step.error.model_dump(),
        "seconds": step.seconds,
        "final": step.is_final,
    }


def _tool(event: ToolCallEnded) -> dict[str, Any]:
    outcome = outcomes_of([event.record], _MAX_TEXT)[0]
    return {
        "tool": outcome.name,
        "arguments": _short(outcome.arguments),
        "outcome": outcome.outcome,
        "value": outcome.observation,
        "seconds": outcome.seconds,
    }


def _ended(event: RunEnded) -> dict[str, Any]:
    result = event.result
    return {
        "state": result.state,
        "output": _short(result.output),
        "error": None if result.error is None else error_text(result.error),
        "usage": _usage(result.usage),
        "seconds": result.seconds,
        "tool_calls": result.tool_calls,
    }


def _fields(event: AgentEvent) -> dict[str, Any]:
    """Return an event's own fields, for those without a shape of their own."""
    own = (field.name for field in fields(event) if field.name not in ("agent", "run_id"))
    return {name: _short(getattr(event, name)) for name in own}


# Parts of what a later event has as a whole.
_PIECES = frozenset({TextDelta, Printed, ToolCallStarted})
_SHAPES: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    ModelFinished: _model,
    PlanMade: lambda event: {"plan": shorten(event.step.plan, _MAX_TEXT)},
    CodeFinished: _code,
    ToolCallEnded: _tool,
    StepEnded: _step,
    RunEnded: _ended,
}
