"""A run record as one page that needs nothing else: a timeline, and below it everything that happened."""

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from typing import Any

from cloche.agent.monitoring.traces import Entry, TracedRun

__all__ = ["as_html"]


_KINDS = ("model", "code", "tool")


def as_html(runs: Iterable[TracedRun]) -> str:
    """Return the page. All text in it is escaped, and the page may neither run scripts nor load anything."""
    sections = "\n".join(_section(top) for top in runs) or "<p>The record is empty.</p>"
    page = files("cloche.agent.monitoring").joinpath("page.html").read_text(encoding="utf-8")
    return page.replace("{{ sections }}", sections)


def _section(top: TracedRun) -> str:
    text = "\n".join(_run(run, depth) for depth, run in top.walk())
    return f"<section>\n{_timeline(top)}\n{text}\n</section>"


def _timeline(top: TracedRun) -> str:
    whole = max(top.seconds, 1e-6)
    rows = "\n".join(_row(run, depth, top.start, whole) for depth, run in top.walk())
    return f'<div class="timeline" role="img" aria-label="timeline of {whole:.2f} seconds">\n{rows}\n</div>'


def _row(run: TracedRun, depth: int, start: float, whole: float) -> str:
    bars = "".join(_bar(entry, start, whole) for entry in run.entries if entry.kind in _KINDS)
    name = escape(run.agent or "agent")
    return f'<div class="row"><span style="padding-left:{depth}em">{name}</span><div class="lane">{bars}</div></div>'


def _bar(entry: Entry, start: float, whole: float) -> str:
    left = min(100.0, max(0.0, 100 * (entry.start - start) / whole))
    width = min(100.0 - left, max(0.15, 100 * entry.seconds / whole))
    title = escape(f"{entry.fields.get('tool') or entry.kind}: {entry.seconds:.3f} s", quote=True)
    return f'<i class="{entry.kind}" style="left:{left:.2f}%;width:{width:.2f}%" title="{title}"></i>'


def _run(run: TracedRun, depth: int) -> str:
    parts = [f"<h2>{escape(run.agent or 'agent')} <small>{escape(run.model)}</small></h2>", _text("task", run.task)]
    parts += [part for entry in run.entries for part in _ENTRIES[entry.kind](entry)]
    parts.append(_end(run.end))
    text = "\n".join(parts)
    return f'<article style="margin-left:{2 * depth}em">\n{text}\n</article>'


def _text(title: str, text: Any, kind: str = "") -> str:
    return f'<div class="{kind or title}"><b>{escape(title)}</b><pre>{escape(str(text))}</pre></div>'


def _model(entry: Entry) -> Iterator[str]:
    yield f'<p class="head">model, {entry.seconds:.2f} s{_tokens(entry.fields.get("usage"))}</p>'
    if entry.fields.get("text"):
        yield _text("said", entry.fields["text"])
    if entry.fields.get("error"):
        yield _text("error", entry.fields["error"])


def _code(entry: Entry) -> Iterator[str]:
    fields = entry.fields
    fuel = "" if fields.get("fuel") is None else f", {fields['fuel']:,} fuel"
    rolled = ", rolled back" if fields.get("rolled_back") else ""
    yield f'<p class="head">code, {entry.seconds * 1000:.1f} ms{escape(fuel)}{rolled}</p>'
    yield _text("code", fields.get("code", ""))
    for name in ("stdout", "stderr", "error"):
        if fields.get(name):
            yield _text(name, fields[name])


def _tool(entry: Entry) -> Iterator[str]:
    fields = entry.fields
    text = f"{fields.get('tool')} {fields.get('arguments')}\n{fields.get('outcome')}: {fields.get('value')}"
    yield _text("tool call", text, "call")


def _plan(entry: Entry) -> Iterator[str]:
    yield _text("plan", entry.fields.get("plan", ""))


def _step(entry: Entry) -> Iterator[str]:
    yield f'<p class="head">step {escape(str(entry.fields.get("number")))}, {entry.seconds:.2f} s</p>'


def _end(end: dict[str, Any]) -> str:
    if not end:
        return _text("error", "the record ends here: the run did not")
    text = f"{end.get('output')}\n\n{end.get('state')}, {end.get('seconds', 0):.2f} s{_tokens(end.get('usage'))}"
    error = _text("error", end["error"]) if end.get("error") else ""
    return f"{error}{_text('answer', text)}"


def _tokens(usage: Any) -> str:
    if not isinstance(usage, dict):
        return ""
    cost = usage.get("cost")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    money = f", ${cost:.5f}" if isinstance(cost, int | float) else ""
    return escape(f", {usage.get('input_tokens', 0)} + {usage.get('output_tokens', 0)} tokens{money}")  # pyright: ignore[reportUnknownMemberType]


_ENTRIES = {"model": _model, "code": _code, "tool": _tool, "plan": _plan, "step": _step}
