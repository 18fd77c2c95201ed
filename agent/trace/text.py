"""A run record as text."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from cloche.agent.monitoring.harmless import harmless
from cloche.agent.trace.reading import Entry, TracedRun

__all__ = ["as_text"]


def as_text(runs: Iterable[TracedRun]) -> str:
    """Return the runs as indented text that is safe to print; runs of managed agents stand below their manager's."""
    blocks = [textwrap.indent("\n".join(_run(run)), "    " * depth) for top in runs for depth, run in top.walk()]
    return harmless("\n\n".join(blocks))


def _run(run: TracedRun) -> Iterator[str]:
    yield f"== {run.agent or 'agent'} ({run.model}) =="
    yield f"task: {run.task}"
    for entry in run.entries:
        yield from _ENTRIES[entry.kind](entry)
    yield _end(run.end)


def _end(end: dict[str, Any]) -> str:
    if not end:
        return "== the record ends here: the run did not =="
    usage: dict[str, Any] = end.get("usage") or {}
    tokens = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
    cost = f", ${usage['cost']:.4f}" if usage.get("cost") is not None else ""
    spent = f"{tokens:,} tokens{cost}, {end.get('seconds', 0):.2f} s, {end.get('tool_calls', 0)} tool calls"
    error = f"\nerror: {end['error']}" if end.get("error") else ""
    return f"{end.get('state')}: {end.get('output')!r} ({spent}){error}"


def _model(entry: Entry) -> Iterator[str]:
    failed = f" failed: {entry.fields['error']}" if entry.fields.get("error") else ""
    yield f"   model, {entry.seconds:.2f} s{failed}"
    if entry.fields.get("text"):
        yield textwrap.indent(str(entry.fields["text"]), "   ")


def _code(entry: Entry) -> Iterator[str]:
    fuel = entry.fields.get("fuel")
    metered = "" if fuel is None else f", {fuel:,} fuel"
    yield f"   code, {entry.seconds * 1000:.1f} ms{metered}"
    if entry.fields.get("stdout"):
        yield textwrap.indent(str(entry.fields["stdout"]).rstrip(), "   | ")
    if entry.fields.get("error"):
        yield f"   ! {entry.fields['error']}"


def _tool(entry: Entry) -> Iterator[str]:
    fields = entry.fields
    yield f"   tool {fields.get('tool')} {fields.get('arguments')} {fields.get('outcome')}: {fields.get('value')}"


def _plan(entry: Entry) -> Iterator[str]:
    yield "-- plan"
    yield textwrap.indent(str(entry.fields.get("plan", "")), "   ")


def _step(entry: Entry) -> Iterator[str]:
    yield f"-- step {entry.fields.get('number')}, {entry.seconds:.2f} s"


_ENTRIES = {"model": _model, "code": _code, "tool": _tool, "plan": _plan, "step": _step}
