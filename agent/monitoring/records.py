"""Runs as files of JSON lines."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cloche.agent.events import (
    AgentEvent,
    CodeFinished,
    ModelFinished,
    ModelStarted,
    PlanMade,
    Printed,
    RunEnded,
    RunStarted,
    StepEnded,
    TextDelta,
    ToolCallEnded,
    ToolCallStarted,
)
from cloche.agent.messages import ImagePart, Message, TokenUsage
from cloche.agent.observations import outcomes_of
from cloche.agent.values import Mask, error_text, masker, plain, plain_in_short, safe_repr, shorten
from cloche.runtime._imports import installed_version
from cloche.runtime.result import Display

__all__ = ["RunRecorder", "event_form", "is_call_of"]

_MAX_TEXT = 20_000
_MAX_PROMPT = 200_000
_MAX_IMAGE = 512 << 10


class RunRecorder:
    """An observer that appends each event of a run to a file: one JSON object per line, as ``cloche trace`` reads it.

    Each has ``event``, ``time`` (seconds since the epoch), ``agent``, ``run`` and what the event holds; texts are cut
    to 20,000 characters. Runs of managed agents are written too; their ``parent`` is the run they worked for. Safe to
    use by several agents and threads at once.

    What the model was asked is written too: ``model_started`` names messages and tool schemas by their hashes, and a
    ``content`` line before it has each that the recorder has not written yet, messages cut to 200,000 characters and
    without the data of images. ``run_started`` has Cloche's version.

    ``prompts``  whether they are written. Default True.
    ``mask``     hides secrets in every text: a function from text to text, or a list of secrets and compiled patterns,
                 each of which becomes ``***``. It is applied before anything is hashed or written. Default: nothing.
    """

    def __init__(self, path: str | Path, *, prompts: bool = True, mask: Mask = None) -> None:
        self._path = Path(path)
        self._prompts = prompts
        self._masked = masker(mask)
        self._written: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: AgentEvent) -> None:
        """Write an event; pieces of text and output are left out, as the whole comes later."""
        if type(event) in _PIECES:
            return
        head = _head(event)
        contents = list(self._contents(event)) if isinstance(event, ModelStarted) and self._prompts else []
        if isinstance(event, ModelStarted):
            told = {"purpose": event.purpose, "messages": event.messages}
            shaped = told | ({"content": [hash for hash, _ in contents]} if contents else {})
        else:
            shaped = self._masked(_shaped(event))
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            for hash, content in contents:
                if hash not in self._written:
                    self._written.add(hash)
                    file.write(_line({"event": "content", "hash": hash, **content}))
            file.write(_line(head | shaped))

    def _contents(self, event: ModelStarted) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each message and the tool schemas of a request with its hash."""
        if event.request is None:
            return
        parts = [*map(_message, event.request.messages)]
        if event.request.tools:
            parts.append({"tools": list(event.request.tools)})
        for part in parts:
            content = self._masked(plain(part))
            yield hashlib.sha256(_line(content).encode()).hexdigest()[:32], content


def event_form(event: AgentEvent) -> dict[str, Any]:
    """Return an event as a line of a run record, without what a model is asked; also one that no record has."""
    if isinstance(event, ModelStarted):
        return {**_head(event), "purpose": event.purpose, "messages": event.messages}
    return {**_head(event), **_shaped(event)}


def _shaped(event: AgentEvent) -> dict[str, Any]:
    shape: Callable[[Any], dict[str, Any]] = _SHAPES.get(type(event)) or _fields
    return shape(event)


def is_call_of(agent: str, request: str, tool: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a tool call is the one by which a manager had ``agent`` work on ``request``."""
    return tool == agent and bool(agent) and kwargs.get("task", next(iter(args), None)) == request


def _line(value: dict[str, Any]) -> str:
    return f"{json.dumps(value, ensure_ascii=False, default=safe_repr)}\n"


def _message(message: Message) -> dict[str, Any]:
    """Return a message as it is written: without the data of images, which would be most of the file."""
    images = [_image(part) for part in message.content if isinstance(part, ImagePart)]
    calls = [{"name": call.name, "arguments": call.arguments or call.raw} for call in message.tool_calls]
    return {
        "role": message.role,
        "text": shorten(message.text, _MAX_PROMPT),
        **({"images": images} if images else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _image(image: ImagePart) -> str:
    return image.url or f"{image.media_type}, {3 * len(image.data) // 4:,} bytes"


def _display(display: Display) -> dict[str, Any]:
    """Return what is kept of a display: its text, and its image, unless that would be most of the file."""
    png = display.png
    kept = png if png is not None and len(png) <= _MAX_IMAGE else None
    text = {"kind": display.kind, "text": shorten(display.text, _MAX_TEXT)}
    return text if kept is None else text | {"png": base64.b64encode(kept).decode()}


def _name(event: AgentEvent) -> str:
    letters = type(event).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in letters).lstrip("_")


def _head(event: AgentEvent) -> dict[str, Any]:
    return {"event": _name(event), "time": time.time(), "agent": event.agent, "run": event.run_id}


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
        **({"displays": [_display(each) for each in result.displays]} if result.displays else {}),
        "rolled_back": result.rolled_back,
        "fuel": result.usage.fuel,
        "memory": result.usage.memory_peak,
        "seconds": result.usage.wall,
        "calls": result.usage.calls,
    }


def _short(value: Any) -> Any:
    """Return the value as JSON, or its shortened text where it is long."""
    made = plain_in_short(value, 4 * _MAX_TEXT)
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


def _call(event: ToolCallStarted) -> dict[str, Any]:
    outcome = outcomes_of([event.record], _MAX_TEXT)[0]
    return {"tool": outcome.name, "arguments": _short(outcome.arguments)}


def _printed(event: Printed) -> dict[str, Any]:
    return {"stream": event.stream, "text": event.text}


def _started(event: RunStarted) -> dict[str, Any]:
    return {**_fields(event), "cloche": installed_version()}


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
    RunStarted: _started,
    PlanMade: lambda event: {"plan": shorten(event.step.plan, _MAX_TEXT)},
    CodeFinished: _code,
    ToolCallStarted: _call,
    ToolCallEnded: _tool,
    Printed: _printed,
    StepEnded: _step,
    RunEnded: _ended,
}
