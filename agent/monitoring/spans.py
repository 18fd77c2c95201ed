"""Runs as OpenTelemetry spans, with the names of the GenAI conventions and of OpenInference."""

import json
import threading
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
from cloche.agent.values import plain, shorten
from cloche.runtime._imports import need

__all__ = ["Tracing"]


_MAX_TEXT = 8_000


class Tracing:
    """An observer that makes spans: agent, step, model call, guest run, tool call; managed agents below their manager.

    ``provider`` is an OpenTelemetry TracerProvider; default: the global one. ``content`` decides whether tasks, code,
    arguments and results are attached (default True); names, counts, fuel and errors always are.
    Raises ConfigurationError if opentelemetry is not installed.
    """

    def __init__(self, provider: Any = None, *, content: bool = True) -> None:
        self._api: Any = need("opentelemetry.trace", "otel", what="Tracing", field="observers")
        self._tracer = self._api.get_tracer("cloche.agent", tracer_provider=provider)
        self._content = content
        self._spans: dict[tuple[str, Any], Any] = {}
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
                attributes = {"gen_ai.operation.name": "chat", "cloche.purpose": event.purpose}
                self._begin((run, "model"), self._inner(run), "chat", "LLM", attributes)
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
        self._begin(
            (event.run_id, "run"), self._inner(event.parent), f"invoke_agent {event.agent}", "AGENT", attributes
        )

    def _begin_tool(self, event: ToolCallStarted) -> None:
        record = event.record
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": record.name}
        content = self._content_of(input={"args": record.args, "kwargs": record.kwargs})
        key = (event.run_id, id(record))
        self._begin(key, self._inner(event.run_id), f"execute_tool {record.name}", "TOOL", attributes | content)

    def _end_run(self, event: RunEnded) -> None:
        result = event.result
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
            span.set_status(self._api.Status(self._api.StatusCode.ERROR, error[:_MAX_TEXT]))
        span.end()

    def _content_of(self, **values: Any) -> dict[str, str]:
        return {f"{name}.value": _text(value) for name, value in values.items()} if self._content else {}


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
    made = plain(value)
    return shorten(made if isinstance(made, str) else json.dumps(made, ensure_ascii=False), _MAX_TEXT)
