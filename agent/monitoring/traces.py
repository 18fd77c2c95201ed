"""Run records read back: runs, their steps and what happened in them, and the same as text."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cloche.agent.monitoring.records import is_call_of
from cloche.agent.values import safe_repr, safe_str
from cloche.host_tools.json_schema import as_dict, as_list
from cloche.runtime._terminal import harmless
from cloche.runtime.errors import ClocheError

__all__ = ["Entry", "RecordError", "TracedRun", "TracedStep", "as_text", "call_text", "program_apart", "read_record"]


class RecordError(ClocheError):
    """A file is not a run record; the message names the line."""


@dataclass(slots=True)
class Entry:
    """Something that took time or was said: ``start`` in seconds since the epoch, ``seconds`` how long it took.

    ``kind`` is ``"model"``, ``"code"``, ``"tool"`` or ``"plan"``; ``fields`` are the record's own. A model's entry has
    in ``prompt`` the messages that it was asked, and then what tools it had; a tool's in ``runs`` what agents did for
    the call.
    """

    kind: str
    start: float
    seconds: float
    fields: dict[str, Any]
    prompt: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    runs: "list[TracedRun]" = field(default_factory=list["TracedRun"])


@dataclass(slots=True)
class TracedStep:
    """One step; ``number`` 0 is what happens outside of any. ``end`` has its observation, and is empty if missing."""

    number: int
    start: float
    entries: list[Entry] = field(default_factory=list[Entry])
    end: dict[str, Any] = field(default_factory=dict[str, Any])

    def of(self, *kinds: str) -> list[Entry]:
        """Return its entries of these kinds, in the order in which they began."""
        return [entry for entry in self.entries if entry.kind in kinds]

    @property
    def seconds(self) -> float:
        """Its wall time; up to the last thing known where the end is missing."""
        known = [entry.start + entry.seconds - self.start for entry in self.entries]
        return _number(self.end.get("seconds")) or max([0.0, *known])


@dataclass(slots=True)
class TracedRun:
    """One run: task, its steps in order, its end (empty if missing), the runs of agents that it caused.

    ``strays`` are those of them whose call is not known.
    """

    id: str
    agent: str
    task: str
    model: str
    parent: str
    start: float
    request: str = ""
    version: str = ""
    end: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: list[TracedStep] = field(default_factory=list[TracedStep])
    strays: "list[TracedRun]" = field(default_factory=list["TracedRun"])

    @property
    def entries(self) -> list[Entry]:
        """All that happened, in the order in which it began."""
        return sorted((entry for step in self.steps for entry in step.entries), key=lambda entry: entry.start)

    @property
    def children(self) -> "list[TracedRun]":
        """The runs of agents that it caused, in order."""
        called = [run for step in self.steps for entry in step.entries for run in entry.runs]
        return sorted([*called, *self.strays], key=lambda run: run.start)

    @property
    def seconds(self) -> float:
        """Its wall time; up to the last thing known where the end is missing."""
        known = [step.start + step.seconds - self.start for step in self.steps]
        return _number(self.end.get("seconds")) or max([0.0, *known])

    @property
    def totals(self) -> str:
        """What it came to and what it took, in a line."""
        usage = as_dict(self.end.get("usage"))
        tokens = [f"{int(_number(usage.get(f'{kind}_tokens'))):,}" for kind in ("input", "output")] if usage else []
        counted = [
            str(self.end.get("state") or "broken off"),
            _counted(sum(step.number > 0 for step in self.steps), "step"),
            *([f"{' + '.join(tokens)} tokens"] if tokens else []),
            *([f"${_number(usage['cost']):.4f}"] if usage.get("cost") is not None else []),
            _counted(int(_number(self.end.get("tool_calls"))), "tool call"),
            f"{self.seconds:.2f} s",
        ]
        return ", ".join(counted)

    def walk(self, depth: int = 0) -> "Iterator[tuple[int, TracedRun]]":
        """Yield this run and those it caused, each with its depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def read_record(path: str | Path) -> list[TracedRun]:
    """Return the runs that no other run caused, in order. Raises RecordError for any other file."""
    reader = _Reader()
    for line in _lines(Path(path)):
        reader.take(line)
    for run in reader.runs.values():
        if run.parent in reader.runs:
            _place(run, reader.runs[run.parent])
    return [run for run in reader.runs.values() if run.parent not in reader.runs]


# What ends an entry, and of what kind that is; its own time says when it ended.
_KINDS = {"model_finished": "model", "code_finished": "code", "tool_call_ended": "tool", "plan_made": "plan"}


class _Reader:
    """Takes the lines of a record in their order."""

    def __init__(self) -> None:
        self.runs: dict[str, TracedRun] = {}
        self._contents: dict[str, dict[str, Any]] = {}
        # Of each run: the program under way, and what the model is being asked.
        self._codes: dict[str, str] = {}
        self._asked: dict[str, dict[str, Any]] = {}

    def take(self, line: dict[str, Any]) -> None:
        """Take one line; those that mean nothing here are left out."""
        event, id = str(line["event"]), str(line.get("run"))
        if event == "content":
            self._contents[str(line.get("hash"))] = line
        elif event == "run_started":
            agent, task, model, parent = (str(line.get(name, "")) for name in ("agent", "task", "model", "parent"))
            run = self.runs[id] = TracedRun(id, agent, task, model, parent, _number(line.get("time")))
            run.request, run.version = str(line.get("request", "")), str(line.get("cloche", ""))
        elif id in self.runs:
            self._take_of(self.runs[id], event, line)

    def _take_of(self, run: TracedRun, event: str, line: dict[str, Any]) -> None:
        time = _number(line.get("time"))
        match event:
            case "run_ended":
                run.end = line
            case "step_started":
                run.steps.append(TracedStep(int(_number(line.get("number"))), time))
            case "step_ended":
                _open_step(run, time).end = line
            case "code_started":
                self._codes[run.id] = str(line.get("code", ""))
            case "model_started":
                self._asked[run.id] = line
            case _ if event in _KINDS:
                self._add(run, _KINDS[event], line, time)
            case _:
                pass

    def _add(self, run: TracedRun, kind: str, line: dict[str, Any], time: float) -> None:
        seconds = _number(line.get("seconds"))
        entry = Entry(kind, time - seconds, seconds, line)
        if kind == "code":
            entry.fields = {**line, "code": self._codes.pop(run.id, "")}
        elif kind == "model":
            asked = self._asked.pop(run.id, {})
            entry.fields = {**line, "purpose": asked.get("purpose", "")}
            hashes = map(str, as_list(asked.get("content")))
            entry.prompt = [self._contents[hash] for hash in hashes if hash in self._contents]
        _open_step(run, entry.start).entries.append(entry)


def _open_step(run: TracedRun, time: float) -> TracedStep:
    """Return the step under way; one of number 0 for what happens outside of any."""
    if not run.steps or (run.steps[-1].end and run.steps[-1].number):
        run.steps.append(TracedStep(0, time))
    return run.steps[-1]


def _place(run: TracedRun, parent: TracedRun) -> None:
    """Put an agent's run below the call that it answered."""
    for entry in parent.entries:
        arguments = as_dict(entry.fields.get("arguments"))
        given = as_list(arguments.get("args")), as_dict(arguments.get("kwargs"))
        is_free = entry.kind == "tool" and not entry.runs
        if is_free and is_call_of(run.agent, run.request, str(entry.fields.get("tool")), *given):
            entry.runs.append(run)
            return
    parent.strays.append(run)


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
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0


_MAX_ARGUMENT = 300
_MAX_DISPLAYS = 20


def call_text(fields: dict[str, Any]) -> str:
    """Return a tool call as Python writes it: ``f('x', limit=3)``."""
    arguments = fields.get("arguments")
    given = as_dict(arguments)
    args: Sequence[Any] = as_list(given.get("args"))
    kwargs = as_dict(given.get("kwargs"))
    if arguments is not None and not ("args" in given and "kwargs" in given):
        args = [arguments]
    texts = [safe_repr(value, _MAX_ARGUMENT) for value in args]
    texts += [f"{name}={safe_repr(value, _MAX_ARGUMENT)}" for name, value in kwargs.items()]
    return f"{fields.get('tool')}({', '.join(texts)})"


_OPENS = re.compile(r"\n?[ \t]*(?:<[\w|]+>|\[\w+\]|`{3,}[^\n`]*|~{3,}[^\n]*)[ \t]*\n?$")
_CLOSES = re.compile(r"^\s*(?:</?[\w|]+>|\[/\w+\]|`{3,}|~{3,})[ \t]*\n?")


def program_apart(text: str, code: str) -> tuple[str, str]:
    """Return what a model said before its program and behind it, without marks; all is before if it is not there."""
    begin = text.find(code) if code else -1
    if begin < 0:
        return text.strip(), ""
    return _OPENS.sub("", text[:begin]).strip(), _CLOSES.sub("", text[begin + len(code) :]).strip()


def as_text(runs: Iterable[TracedRun]) -> str:
    """Return the runs as indented text that is safe to print; what managed agents did stands below their call."""
    return harmless("\n\n".join("\n".join(_run(top)) for top in runs))


def _run(run: TracedRun) -> Iterator[str]:
    yield f"== {run.agent or 'agent'} ({run.model}) =="
    yield f"   {run.totals}"
    yield f"task: {run.task}"
    for step in run.steps:
        yield from _step(step)
    for stray in run.strays:
        yield textwrap.indent("\n".join(_run(stray)), "     ")
    if not run.end:
        yield "== the record ends here: the run did not =="
        return
    if run.end.get("error"):
        yield f"error: {run.end['error']}"
    yield f"answer: {safe_str(run.end.get('output'))}"


def _step(step: TracedStep) -> Iterator[str]:
    if step.number:
        yield f"-- step {step.number}, {step.seconds:.2f} s"
    code = next((str(entry.fields.get("code", "")) for entry in step.of("code")), "")
    for entry in sorted(step.entries, key=lambda entry: entry.start):
        yield from _model(entry, code) if entry.kind == "model" else _ENTRIES[entry.kind](entry)
    if step.end.get("observation"):
        yield textwrap.indent(str(step.end["observation"]).rstrip(), "   | ", lambda _: True)
    elif not step.end:
        yield from _unobserved(step)


def _unobserved(step: TracedStep) -> Iterator[str]:
    for entry in step.of("code"):
        if entry.fields.get("stdout"):
            yield textwrap.indent(str(entry.fields["stdout"]).rstrip(), "   | ", lambda _: True)
        if entry.fields.get("error"):
            yield f"   ! {entry.fields['error']}"


def _model(entry: Entry, code: str) -> Iterator[str]:
    fields = entry.fields
    purpose = f" ({fields['purpose']})" if fields.get("purpose") not in ("", "step", None) else ""
    failed = f" failed: {fields['error']}" if fields.get("error") else ""
    yield f"   model{purpose}, {entry.seconds:.2f} s{failed}"
    # A plan has a line of its own.
    said = "" if fields.get("purpose") == "plan" else str(fields.get("text") or "")
    for text in program_apart(said, code):
        if text:
            yield textwrap.indent(text, "   ")


def _code(entry: Entry) -> Iterator[str]:
    fuel = entry.fields.get("fuel")
    metered = f", {fuel:,} fuel" if isinstance(fuel, int) else ""
    rolled = ", rolled back" if entry.fields.get("rolled_back") else ""
    yield f"   code, {entry.seconds * 1000:.1f} ms{metered}{rolled}"
    yield textwrap.indent(str(entry.fields.get("code", "")), "   > ", lambda _: True)
    for display in map(as_dict, as_list(entry.fields.get("displays"))[:_MAX_DISPLAYS]):
        png = str(display.get("png") or "").rstrip("=")
        image = f" (image, {3 * len(png) // 4:,} bytes)" if png else ""
        yield textwrap.indent(f"shown: {str(display.get('text', '')).strip()}{image}", "   : ", lambda _: True)


def _tool(entry: Entry) -> Iterator[str]:
    fields = entry.fields
    yield f"   {call_text(fields)} {fields.get('outcome')}: {fields.get('value')}"
    for run in entry.runs:
        yield textwrap.indent("\n".join(_run(run)), "     ")


def _plan(entry: Entry) -> Iterator[str]:
    yield "-- plan"
    yield textwrap.indent(str(entry.fields.get("plan", "")), "   ")


_ENTRIES = {"code": _code, "tool": _tool, "plan": _plan}
