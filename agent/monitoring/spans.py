"""Runs as OpenTelemetry spans, with the names of the GenAI conventions and of OpenInference."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cloche.agent.events import (
    AgentEvent,
    CodeFinished,
    CodeStarted,
    ModelFinished,
    ModelStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    ToolCallEnded,
    ToolCallStarted,
)
from cloche.agent.messages import Message
from cloche.agent.models.base import ModelRequest
from cloche.agent.monitoring.records import is_call_of
from cloche.agent.values import Mask, masker, plain, shorten
from cloche.runtime._imports import installed_version, need
from cloche.runtime.result import ToolCallRecord

__all__ = ["Tracing"]


_MAX_TEXT = 8_000


class Tracing:
    """An observer that makes spans: agent, step, model call, guest run, tool call; managed agents below their call.

    ``provider`` is an OpenTelemetry TracerProvider; default: the global one. ``content`` decides whether prompts, tool
    schemas, tasks, code, arguments and results are attached (default True), each text cut to 8,000 characters; names,
    counts, fuel and errors always are. ``mask`` hides secrets in all of it, as :class:`RunRecorder`'s does.
    Raises ConfigurationError if opentelemetry is not installed.
    """

    def __init__(self, provider: Any = None, *, content: bool = True, mask: Mask = None) -> None:
        self._api: Any = need("opentelemetry.trace", "otel", what="Tracing", field="observers")
        self._tracer = self._api.get_tracer("cloche.agent", installed_version(), tracer_provider=provider)
        self._content = content
        self._masked: Callable[[Any], Any] = masker(mask)
        self._spans: dict[tuple[str, Any], Any] = {}
        self._models: dict[str, str] = {}
        # The tool calls under way of each run: one of them may be the call of an agent whose run begins.
        self._calls: dict[str, list[ToolCallRecord]] = {}
        self._lock = threading.Lock()

    def __call__(self, event: AgentEvent) -> None:
        """Begin or end the event's span."""
        with self._lock:
            self._take(event)

    def _take(self, event: AgentEvent) -> None:
        run = event.run_id
        match event:
            case RunStarted():
                self._begin_run(event)
            case StepStarted():
                self._begin((run, "step"), (run, "run"), f"step {event.number}", "CHAIN", {"cloche.step": event.number})
            case ModelStarted():
                self._begin_model(event)
            case ModelFinished():
                self._end((run, "model"), _model(event), event.error, **self._content_of(output=event.text))
            case CodeStarted():
                content = self._content_of(input=event.code)
                self._begin((run, "code"), self._inner(run), "run python", "TOOL", content)
            case CodeFinished():
                error = "" if event.result.error is None else str(event.result.error)
                self._end((run, "code"), _code(event), error, **self._content_of(output=event.result.stdout))
            case ToolCallStarted():
                self._begin_tool(event)
            case ToolCallEnded():
                error = "" if event.record.error is None else f"{type(event.record.error).__name__}"
                content = self._content_of(output=event.record.value)
                self._end((run, id(event.record)), {"cloche.outcome": event.record.outcome}, error, **content)
                self._calls[run] = [one for one in self._calls.get(run, ()) if one is not event.record]
            case StepEnded():
                self._end((run, "step"), {}, "" if event.step.error is None else event.step.error.message)
            case RunEnded():
                self._end_run(event)
            case _:
                pass

    def _begin_run(self, event: RunStarted) -> None:
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": event.agent,
            "gen_ai.request.model": event.model,
            **self._content_of(input=event.task),
        }
        self._models[event.run_id] = event.model
        above = self._call_of(event) or self._inner(event.parent)
        self._begin((event.run_id, "run"), above, f"invoke_agent {event.agent}", "AGENT", attributes)

    def _call_of(self, event: RunStarted) -> tuple[str, Any] | None:
        """Return the key of the span of the call that a managed agent answers. Each call is found once."""
        calls = self._calls.get(event.parent, [])
        for record in calls:
            if is_call_of(event.agent, event.request, record.name, record.args, record.kwargs):
                calls.remove(record)
                return event.parent, id(record)
        return None

    def _begin_model(self, event: ModelStarted) -> None:
        model = self._models.get(event.run_id, "")
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.agent.name": event.agent,
            "gen_ai.request.model": model,
            "cloche.purpose": event.purpose,
        }
        if self._content and event.request is not None:
            attributes |= dict(_asked(event.request, self._masked))
        self._begin((event.run_id, "model"), self._inner(event.run_id), f"chat {model}", "LLM", attributes)

    def _begin_tool(self, event: ToolCallStarted) -> None:
        record = event.record
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.agent.name": event.agent,
            "gen_ai.tool.name": record.name,
        }
        self._calls.setdefault(event.run_id, []).append(record)
        content = self._content_of(input={"args": record.args, "kwargs": record.kwargs})
        key = (event.run_id, id(record))
        self._begin(key, self._inner(event.run_id), f"execute_tool {record.name}", "TOOL", attributes | content)

    def _end_run(self, event: RunEnded) -> None:
        result = event.result
        self._models.pop(event.run_id, None)
        self._calls.pop(event.run_id, None)
        # A step that was broken off has no end of its own.
        for key in [key for key in self._spans if key[0] == event.run_id and key[1] != "run"]:
            self._end(key, {}, "broken off")
        attributes = {
            "gen_ai.usage.input_tokens": result.usage.input_tokens,
            "gen_ai.usage.output_tokens": result.usage.output_tokens,
            "cloche.state": result.state,
            **({} if result.usage.cost is None else {"cloche.cost_usd": result.usage.cost}),
        }
        error = "" if result.error is None else str(result.error)
        self._end((event.run_id, "run"), attributes, error, **self._content_of(output=result.output))

    def _inner(self, run: str) -> tuple[str, Any]:
        """Return the key of the innermost span of a run that is open."""
        return next(((run, part) for part in ("code", "step", "run") if (run, part) in self._spans), (run, "run"))

    def _begin(self, key: tuple[str, Any], parent: tuple[str, Any], name: str, kind: str, attributes: Any) -> None:
        above = self._spans.get(parent)
        context = None if above is None else self._api.set_span_in_context(above)
        span = self._tracer.start_span(name.strip(), context=context)
        span.set_attributes({"openinference.span.kind": kind, **attributes})
        self._spans[key] = span

    def _end(self, key: tuple[str, Any], attributes: dict[str, Any], error: str = "", **content: Any) -> None:
        span = self._spans.pop(key, None)
        if span is None:
            return
        span.set_attributes({**attributes, **content})
        if error:
            span.set_status(self._api.Status(self._api.StatusCode.ERROR, self._masked(error)[:_MAX_TEXT]))
        span.end()

    def _content_of(self, **values: Any) -> dict[str, str]:
        if not self._content:
            return {}
        return {f"{name}.value": _text(self._masked(plain(value))) for name, value in values.items()}


def _asked(request: ModelRequest, masked: Callable[[Any], Any]) -> Iterator[tuple[str, str]]:
    """Yield what a model is asked as attributes, by OpenInference's names and by those of the GenAI conventions."""
    messages = [{"role": message.role, "text": masked(_said(message))} for message in request.messages]
    for index, message in enumerate(messages):
        for name, value in (("role", message["role"]), ("content", message["text"])):
            yield f"llm.input_messages.{index}.message.{name}", value
    parts = [{"role": one["role"], "parts": [{"type": "text", "content": one["text"]}]} for one in messages]
    yield "gen_ai.input.messages", json.dumps(parts, ensure_ascii=False)
    if request.tools:
        tools = masked(plain(list(request.tools)))
        yield "gen_ai.tool.definitions", json.dumps(tools, ensure_ascii=False)
        for index, tool in enumerate(tools):
            yield f"llm.tools.{index}.tool.json_schema", json.dumps(tool, ensure_ascii=False)


def _said(message: Message) -> str:
    calls = [f"{call.name}({json.dumps(plain(call.arguments), ensure_ascii=False)})" for call in message.tool_calls]
    return shorten("\n".join(filter(None, [message.text, *calls])), _MAX_TEXT)


def _model(event: ModelFinished) -> dict[str, Any]:
    usage = event.usage
    counts = (
        {}
        if usage is None
        else {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "llm.token_count.prompt": usage.input_tokens,
            "llm.token_count.completion": usage.output_tokens,
        }
    )
    return {"gen_ai.response.model": event.model, "llm.model_name": event.model, **counts}


def _code(event: CodeFinished) -> dict[str, Any]:
    usage = event.result.usage
    fuel = {} if usage.fuel is None else {"cloche.fuel": usage.fuel}
    return {**fuel, "cloche.memory_bytes": usage.memory_peak, "cloche.rolled_back": event.result.rolled_back}


def _text(value: Any) -> str:
    return shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _MAX_TEXT)
