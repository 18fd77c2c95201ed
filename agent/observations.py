"""What is kept of a program's run or of a tool's call, and what a model is shown of it."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from cloche.agent.steps import StepError, ToolOutcome
from cloche.agent.values import error_text, plain_in_short, safe_repr, shorten
from cloche.runtime.errors import GuestError, GuestException, UnserializableValue
from cloche.runtime.result import Result, ToolCallRecord, ValueRepr

__all__ = ["CUT_OFF", "error_of", "near", "observation_of", "outcomes_of", "shown"]

CUT_OFF = "the reply was cut off at the maximum length of a reply, so that its end is missing: write less at a time"
"""What a model reads of a reply that reached the maximum length."""

_MAX_SHOWN = 20
State = Literal["kept", "rolled_back", "unchanged"]
_NAME = re.compile(r"name '(\w+)' is not defined")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_IMPORT = re.compile(r"^\s*((?:from|import)\s.+)$", re.MULTILINE)
_COROUTINE = re.compile(r"<coroutine object (\w+) at")
_KEY = re.compile(r"'dict' object has no attribute '(\w+)'")
_NOT_AWAITED = re.compile(r"'coroutine' object|coroutine '(\w+)' was never awaited")
_ADVICE = re.compile(r",? or raise (?:Limits|SessionBudget)\([^)]*\)")
_NEVER_RUN = ("SyntaxError", "IndentationError", "TabError")


def observation_of(result: Result[Any], names: Iterable[str], limit: int) -> str:
    """Return what the model is shown: what was printed, then the value or the error; each cut to ``limit``."""
    last = str(result.value) if isinstance(result.value, ValueRepr) else ""
    parts = [f"Printed:\n{shorten(result.stdout.rstrip(), limit)}"] if result.stdout.strip() else []
    if result.stderr.strip():
        parts.append(f"Printed to stderr:\n{shorten(result.stderr.rstrip(), limit)}")
    parts += [f"Shown:\n{shorten(each.text, limit)}" for each in result.displays[:_MAX_SHOWN] if each.kind != "value"]
    parts.append(_ending(result, names, limit))
    if hint := _await_hint(f"{result.stdout}{last}"):
        parts.append(hint)
    return "\n\n".join(filter(None, parts)) or "The program ran and printed nothing."


def error_of(result: Result[Any]) -> StepError | None:
    """Return the step's error; a last value that cannot leave the sandbox is none, as the program itself ran well."""
    error = result.error
    if error is None or isinstance(error, UnserializableValue):
        return None
    if isinstance(error, GuestException):
        return StepError(type=error.type_name, message=error.message, line=error.line, state=_state(result, error))
    return StepError(type=type(error).__name__, message=str(error), state=_state(result, error))


def shown(value: Any, limit: int) -> str:
    """Return a tool's value as a model reads it: text as it is, plain data as JSON, anything else as its repr."""
    if isinstance(value, str):
        return shorten(value, limit)
    try:
        return shorten(json.dumps(value, ensure_ascii=False), limit)
    except (TypeError, ValueError, RecursionError):
        return safe_repr(value, limit)


def near(name: str, names: Iterable[str]) -> str:
    """Return a hint: the names closest to this one, or else the first 30 there are."""
    known = sorted(set(names))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are: {', '.join(known[:30])}" if known else "there are none"


def _ending(result: Result[Any], names: Iterable[str], limit: int) -> str:
    error = result.error
    if error is None:
        if result.value_text:
            return f"Value: {shorten(result.value_text, limit)}"
        return "" if result.value is None else f"Value: {safe_repr(result.value, limit)}"
    if isinstance(error, UnserializableValue):
        return f"The program ran. Its last value cannot be shown: {shorten(error.message, limit)}"
    parts = [_error_text(error, limit), *_hints(error, names), *_about_state(result, error)]
    return "\n".join(parts)


def _error_text(error: GuestError, limit: int) -> str:
    if isinstance(error, GuestException):
        return f"Error:\n{shorten((error.traceback or str(error)).rstrip(), limit)}"
    # A limit is the host's: what a model can change is its program.
    text = _ADVICE.sub("", str(error))
    return f"Error: {type(error).__name__}: {shorten(text, limit)}"


def _hints(error: GuestError, names: Iterable[str]) -> list[str]:
    if not isinstance(error, GuestException):
        return []
    if (match := _NAME.search(error.message)) and "Did you mean" not in error.traceback:
        return [f"Hint: {match[1]!r} is neither a variable nor one of your functions; {near(match[1], names)}"]
    if (match := _MODULE.search(error.message)) and (own := _imported_tools(error.traceback, names)):
        return [f"Hint: do not import {', '.join(own)}: your functions are there already, call them."]
    if match:
        return [f"Hint: {match[1]!r} is not installed in the sandbox, and nothing can be installed there."]
    if match := _KEY.search(error.message):
        return [f"Hint: it is a dict: write value[{match[1]!r}], and look at its keys first."]
    if _NOT_AWAITED.search(error.message):
        return ["Hint: an async function has to be awaited: x = await f(...)"]
    return []


def _imported_tools(traceback: str, names: Iterable[str]) -> list[str]:
    """Return the tools that the line of a failed import names."""
    line = next(iter(_IMPORT.findall(traceback)), "")
    return sorted(set(re.findall(r"\w+", line)) & {*names, "final_answer"})


def _await_hint(text: str) -> str:
    if match := _COROUTINE.search(text):
        return f"Hint: {match[1]} is async, so that its call has to be awaited: x = await {match[1]}(...)"
    return ""


def _state(result: Result[Any], error: GuestError) -> State:
    if result.rolled_back:
        return "rolled_back"
    never_run = isinstance(error, GuestException) and error.type_name in _NEVER_RUN and not _was_run(error)
    return "unchanged" if never_run else "kept"


def _was_run(error: GuestException) -> bool:
    # A syntax error of the program itself has no frame; one raised by its own compile() or import has.
    return "Traceback (most recent call last)" in error.traceback


def _about_state(result: Result[Any], error: GuestError) -> list[str]:
    match _state(result, error):
        case "unchanged":
            return ["Nothing was run: all variables are as before."]
        case "rolled_back":
            return [f"The sandbox was rolled back to where this step began.{_not_undone(result.calls)}"]
        case "kept":
            line = error.line if isinstance(error, GuestException) else None
            where = "before the error" if line is None else f"before line {line}"
            return [f"Variables set {where} are kept."]


def _not_undone(calls: Sequence[ToolCallRecord]) -> str:
    made = Counter(call.name for call in calls)
    listed = ", ".join(f"{name} ({count} times)" if count > 1 else name for name, count in made.items())
    return f" Tool calls that were made are not undone: {listed}." if made else ""


_MAX_OUTCOMES = 200


def outcomes_of(records: Iterable[ToolCallRecord], limit: int) -> list[ToolOutcome]:
    """Return what a step keeps of a program's tool calls: the first 200 of them, with values shortened."""
    return [_outcome(record, limit) for record, _ in zip(records, range(_MAX_OUTCOMES), strict=False)]


def _outcome(record: ToolCallRecord, limit: int) -> ToolOutcome:
    text = safe_repr(record.value, limit) if record.error is None else error_text(record.error)
    return ToolOutcome.model_construct(
        id="",
        name=record.name,
        arguments=plain_in_short({"args": record.args, "kwargs": record.kwargs}, limit),
        outcome=record.outcome,
        observation=shorten(text, limit),
        seconds=record.seconds,
    )
