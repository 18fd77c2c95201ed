"""Run records read back: runs and what happened in them, and the same as text."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cloche.runtime._terminal import harmless
from cloche.runtime.errors import ClocheError

__all__ = ["Entry", "RecordError", "TracedRun", "as_text", "read_record"]


class RecordError(ClocheError):
    """A file is not a run record; the message names the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that took time or was said: ``start`` and ``seconds`` in seconds since the epoch.

    ``kind`` is ``"model"``, ``"code"``, ``"tool"``, ``"plan"`` or ``"step"``; ``fields`` are the record's own.
    """

    kind: str
    start: float
    seconds: float
    fields: dict[str, Any]


@dataclass(slots=True)
class TracedRun:
    """One run: task, what happened in the order in which it began, its end (empty if missing), the runs it caused."""

    id: str
    agent: str
    task: str
    model: str
    parent: str
    start: float
    end: dict[str, Any] = field(default_factory=dict[str, Any])
    entries: list[Entry] = field(default_factory=list[Entry])
    children: "list[TracedRun]" = field(default_factory=list["TracedRun"])

    @property
    def seconds(self) -> float:
        """Its wall time; up to the last thing known where the end is missing."""
        known = [entry.start + entry.seconds - self.start for entry in self.entries]
        return _number(self.end.get("seconds")) or max([0.0, *known])

    def walk(self, depth: int = 0) -> "Iterator[tuple[int, TracedRun]]":
        """Yield this run and those it caused, each with its depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


# What ends an entry, and of what kind that is; its own time says when it ended.
_KINDS = {
    "model_finished": "model",
    "code_finished": "code",
    "tool_call_ended": "tool",
    "plan_made": "plan",
    "step_ended": "step",
}


def read_record(path: str | Path) -> list[TracedRun]:
    """Return the runs that no other run caused, in order. Raises RecordError for any other file."""
    runs: dict[str, TracedRun] = {}
    codes: dict[str, str] = {}
    for line in _lines(Path(path)):
        _take(line, runs, codes)
    for run in runs.values():
        run.entries.sort(key=lambda entry: entry.start)
        if run.parent in runs:
            runs[run.parent].children.append(run)
    return [run for run in runs.values() if run.parent not in runs]


def _take(line: dict[str, Any], runs: dict[str, TracedRun], codes: dict[str, str]) -> None:
    event, id, time = str(line["event"]), str(line.get("run")), _number(line.get("time"))
    if event == "run_started":
        agent, task, model, parent = (str(line.get(name, "")) for name in ("agent", "task", "model", "parent"))
        runs[id] = TracedRun(id, agent, task, model, parent, time)
    elif id in runs and event == "run_ended":
        runs[id].end = line
    elif event == "code_started":
        codes[id] = str(line.get("code", ""))
    elif id in runs and event in _KINDS:
        seconds = _number(line.get("seconds"))
        fields = {**line, "code": codes.pop(id, "")} if event == "code_finished" else line
        runs[id].entries.append(Entry(_KINDS[event], time - seconds, seconds, fields))


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _line(path, number, line)


def _line(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "event" not in value:
        raise RecordError(f"{path.name}, line {number}: not a line of a run record (RunRecorder writes them)")
    return cast("dict[str, Any]", value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


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
