"""A run record as one page that needs nothing else: totals, a timeline, and what happened, step by step."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from cloche.agent.monitoring.traces import Entry, TracedRun, TracedStep, call_text, program_apart
from cloche.agent.values import safe_str
from cloche.host_tools.json_schema import as_dict, as_list

__all__ = ["as_html"]


_BARS = ("model", "code", "tool")
# A text beyond either is folded: the page is read from the top, and a page of log hides the next step.
_LONG_LINES, _LONG_TEXT = 24, 2_000
_PREVIEW_LINES, _PREVIEW_TEXT = 6, 500
_MAX_TITLE = 80
_MAX_DISPLAYS = 20
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


def as_html(runs: Iterable[TracedRun]) -> str:
    """Return the page. All text in it is escaped, and the page may neither run scripts nor load anything."""
    tops = list(runs)
    sections = "\n".join(_Section(top, f"run{number}").html() for number, top in enumerate(tops, 1))
    body = f"{_index(tops)}\n{sections}" if tops else "<p>The record is empty.</p>"
    page = files("cloche.agent.monitoring").joinpath("page.html").read_text(encoding="utf-8")
    return page.replace("{{ sections }}", body)


def _index(tops: Sequence[TracedRun]) -> str:
    if len(tops) < 2:
        return ""
    rows = "\n".join(
        f'<li><a href="#run{number}">{_text(_title(top.task))}</a> <small>{_text(top.totals)}</small></li>'
        for number, top in enumerate(tops, 1)
    )
    return f'<nav aria-label="runs"><h1>{len(tops)} runs</h1><ol>\n{rows}\n</ol></nav>'


class _Section:
    """One run that no other run caused, with those that it caused in it."""

    def __init__(self, top: TracedRun, id: str) -> None:
        self._top = top
        self._id = id
        self._anchors = {
            entry_id: f"{id}-{number}"
            for number, entry_id in enumerate((id_of(entry) for _, run in top.walk() for entry in run.entries), 1)
        }

    def html(self) -> str:
        """Return the section: timeline first, as a map of what follows."""
        return f'<section id="{self._id}">\n{self._head()}\n{self._timeline()}\n{self._run(self._top)}\n</section>'

    def _head(self) -> str:
        top = self._top
        total = _text(top.totals)
        version = f" <small>Cloche {_text(top.version)}</small>" if top.version else ""
        return f"<h1>{_text(_title(top.task))}</h1>\n<p class='totals'>{total}{version}</p>"

    def _timeline(self) -> str:
        whole = max(self._top.seconds, 1e-6)
        rows = "\n".join(self._row(run, depth, whole) for depth, run in self._top.walk())
        key = "".join(f'<span><i class="{kind}"></i>{kind}</span>' for kind in _BARS)
        label = f"timeline of {whole:.2f} seconds; each bar leads to what it stands for"
        return (
            f'<div class="timeline" role="group" aria-label="{label}">\n{rows}\n'
            f'<p class="key">{key}<span>{whole:.2f} s</span></p></div>'
        )

    def _row(self, run: TracedRun, depth: int, whole: float) -> str:
        bars = "".join(self._bar(entry, whole) for entry in run.entries if entry.kind in _BARS)
        name = f'<span class="name" style="padding-left:{min(depth, 6)}em">{_text(run.agent or "agent")}</span>'
        return f'<div class="row">{name}<div class="lane">{bars}</div></div>'

    def _bar(self, entry: Entry, whole: float) -> str:
        left = min(100.0, max(0.0, 100 * (entry.start - self._top.start) / whole))
        width = min(100.0 - left, max(0.15, 100 * entry.seconds / whole))
        title = escape(f"{entry.fields.get('tool') or entry.kind}: {_seconds(entry.seconds)}", quote=True)
        return (
            f'<a class="{entry.kind}" href="#{self._anchor(entry)}" style="left:{left:.2f}%;width:{width:.2f}%" '
            f'title="{title}" aria-label="{title}"></a>'
        )

    def _anchor(self, entry: Entry) -> str:
        return self._anchors.get(id_of(entry), self._id)

    def _run(self, run: TracedRun) -> str:
        parts = [f"<h2>{_text(run.agent or 'agent')} <small>{_text(run.model)}</small></h2>"]
        if run is not self._top:
            parts.append(f"<p class='totals'>{_text(run.totals)}</p>")
        parts.append(_box("task", run.task))
        before: list[dict[str, Any]] = []
        for step in run.steps:
            parts.append(self._step(step, before))
            before = next((entry.prompt for entry in reversed(step.of("model")) if entry.prompt), before)
        parts += [self._run(stray) for stray in run.strays]
        parts.append(_end(run))
        return "<article>\n{}\n</article>".format("\n".join(parts))

    def _step(self, step: TracedStep, before: Sequence[dict[str, Any]]) -> str:
        code = next((str(entry.fields.get("code", "")) for entry in step.of("code")), "")
        parts = [f"<h3>Step {step.number} <small>{_seconds(step.seconds)}</small></h3>"] if step.number else []
        for entry in sorted(step.entries, key=lambda entry: entry.start):
            parts.append(f'<div class="entry" id="{self._anchor(entry)}">')
            parts += self._entry(entry, code, before)
            parts.append("</div>")
        parts += _observed(step)
        return '<div class="step">\n{}\n</div>'.format("\n".join(filter(None, parts)))

    def _entry(self, entry: Entry, code: str, before: Sequence[dict[str, Any]]) -> Iterator[str]:
        match entry.kind:
            case "model":
                yield from _model(entry, code, before)
            case "code":
                yield from _code(entry)
            case "plan":
                yield _box("plan", entry.fields.get("plan", ""))
            case _:
                yield _call(entry)
                yield from map(self._run, entry.runs)


def id_of(entry: Entry) -> int:
    """Return what tells an entry from all others of the page."""
    return id(entry)


def _model(entry: Entry, code: str, before: Sequence[dict[str, Any]]) -> Iterator[str]:
    fields = entry.fields
    purpose = f" for {fields['purpose']}" if fields.get("purpose") in ("plan", "answer") else ""
    yield f'<p class="head">model{_text(purpose)}, {_seconds(entry.seconds)}{_tokens(fields.get("usage"))}</p>'
    yield _prompt(entry.prompt, before)
    if fields.get("error"):
        yield _box("error", fields["error"])
    said = "" if fields.get("purpose") == "plan" else str(fields.get("text") or "")
    for text in program_apart(said, code):
        if text:
            yield _box("said", text)


def _prompt(prompt: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> str:
    """Return what the model was asked, folded; only what it had not been shown in the step before."""
    known = {id(content) for content in before}
    new = [content for content in prompt if id(content) not in known]
    if not new:
        return ""
    messages = sum("role" in content for content in prompt)
    told = f"asked with {messages} message{'' if messages == 1 else 's'}"
    told += "" if len(new) == len(prompt) else f", {len(new)} of them new"
    shown = "\n".join(map(_content, new))
    return f'<details class="prompt"><summary>{_text(told)}</summary>\n{shown}\n</details>'


def _content(content: dict[str, Any]) -> str:
    if "role" not in content:
        return _box("tools", json.dumps(content.get("tools"), indent=1, ensure_ascii=False))
    more = {name: content[name] for name in ("images", "tool_calls") if content.get(name)}
    text = f"{content.get('text') or ''}{json.dumps(more, indent=1, ensure_ascii=False) if more else ''}"
    return _box(str(content["role"]), text, "message")


def _code(entry: Entry) -> Iterator[str]:
    fields = entry.fields
    fuel = f", {fields['fuel']:,} fuel" if isinstance(fields.get("fuel"), int) else ""
    rolled = ", rolled back" if fields.get("rolled_back") else ""
    yield f'<p class="head">program, {_seconds(entry.seconds)}{fuel}{rolled}</p>'
    yield _box("code", fields.get("code", ""))
    for display in as_list(fields.get("displays"))[:_MAX_DISPLAYS]:
        yield _display(as_dict(display))


def _display(display: dict[str, Any]) -> str:
    """Return an image as one, and of any other display its text."""
    text, png = str(display.get("text", "")), str(display.get("png", ""))
    if not png or not _BASE64.fullmatch(png):
        return _box("shown", text)
    return f'<figure><img alt="{escape(text, quote=True)}" src="data:image/png;base64,{png}"></figure>'


def _call(entry: Entry) -> str:
    fields = entry.fields
    kind = "call" if fields.get("outcome") in ("returned", None) else "call error"
    value = _folded(f"{fields.get('outcome')}: {fields.get('value')}")
    head = f"<code>{_text(call_text(fields))}</code> <small>{_seconds(entry.seconds)}</small>"
    return f'<div class="{kind}">{head}{value}</div>'


def _observed(step: TracedStep) -> Iterator[str]:
    """Yield what the model was shown of the step; of one that was broken off, what its program printed and raised."""
    failed = step.end.get("error") is not None
    if step.end.get("observation"):
        yield _box("error" if failed else "observation", step.end["observation"])
    elif failed:
        error: Any = step.end["error"]
        yield _box("error", error.get("message") if isinstance(error, dict) else error)  # pyright: ignore[reportUnknownMemberType]
    if not step.end:
        for entry in step.of("code"):
            for name in ("stdout", "stderr", "error"):
                if entry.fields.get(name):
                    yield _box(name, entry.fields[name])


def _end(run: TracedRun) -> str:
    if not run.end:
        return _box("error", "the record ends here: the run did not")
    error = _box("error", run.end["error"]) if run.end.get("error") else ""
    return f"{error}{_box('answer', safe_str(run.end.get('output')))}"


def _box(title: str, text: Any, kind: str = "") -> str:
    return f'<div class="{kind or escape(title, quote=True)}"><b>{_text(title)}</b>{_folded(str(text))}</div>'


def _folded(text: str) -> str:
    lines = text.split("\n")
    if len(lines) <= _LONG_LINES and len(text) <= _LONG_TEXT:
        return f"<pre>{_text(text)}</pre>"
    preview = "\n".join(lines[:_PREVIEW_LINES])[:_PREVIEW_TEXT]
    size = f"… all {len(lines):,} lines" if len(lines) > 1 else f"… all {len(text):,} characters"
    return (
        f'<details class="long"><summary><pre>{_text(preview)}</pre><span>{size}</span></summary>'
        f"<pre>{_text(text)}</pre></details>"
    )


def _title(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _MAX_TITLE else f"{line[: _MAX_TITLE - 1]}…"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _tokens(usage: Any) -> str:
    if not isinstance(usage, dict):
        return ""
    cost = usage.get("cost")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    money = f", ${cost:.5f}" if isinstance(cost, int | float) else ""
    return _text(f", {usage.get('input_tokens', 0)} + {usage.get('output_tokens', 0)} tokens{money}")  # pyright: ignore[reportUnknownMemberType]


def _text(text: str) -> str:
    return escape(text, quote=False)
