"""Tool calls as a step remembers them."""

from collections.abc import Iterable
from typing import Any

from cloche.agent.memory.plain import plain
from cloche.agent.memory.steps import ToolOutcome
from cloche.agent.truncation import shorten
from cloche.runtime.result import ToolCallRecord

__all__ = ["outcomes_of"]

_MOST = 200


def outcomes_of(records: Iterable[ToolCallRecord], limit: int) -> list[ToolOutcome]:
    """Return what a step keeps of a program's tool calls: the first 200 of them, with values shortened."""
    return [_outcome(record, limit) for record, _ in zip(records, range(_MOST), strict=False)]


def _outcome(record: ToolCallRecord, limit: int) -> ToolOutcome:
    told = f"{type(record.error).__name__}: {record.error}" if record.error is not None else _text(record.value)
    return ToolOutcome.model_construct(
        id="",
        name=record.name,
        arguments=plain({"args": record.args, "kwargs": record.kwargs}),
        outcome=record.outcome,
        observation=shorten(told, limit),
        seconds=record.seconds,
    )


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<a {type(value).__name__}>"
