"""From what a model wrote to the code or the tool calls in it."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast
from uuid import uuid4

from cloche.agent.errors import ReplyUnparsable
from cloche.agent.messages import ToolRequest

__all__ = ["CodeTags", "find_code", "find_tool_calls"]

CodeTags = tuple[str, str]
"""How a model marks its code: what stands before it and what behind."""

_FENCE = re.compile(r"^```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:^```|\Z)", re.DOTALL | re.MULTILINE | re.IGNORECASE)

# Each wrong beginning may cost as much as the text is long.
_MOST_WRONG = 200


def find_code(text: str, tags: CodeTags) -> str:
    """Return the code between the tags, several blocks joined; fenced blocks count where there are no tags.

    A block whose end is missing, as where a stop text ended it, goes to the end. Raises ReplyUnparsable.
    """
    blocks = [block for block in _tagged(text, tags) if block.strip()] or _FENCE.findall(text)
    code = "\n\n".join(block.strip("\n").rstrip() for block in blocks)
    if not code.strip():
        raise ReplyUnparsable(_no_code(text, tags))
    return _without_fence(code)


def _tagged(text: str, tags: CodeTags) -> Iterator[str]:
    opening, closing = tags
    position = text.find(opening)
    while position >= 0:
        begin = position + len(opening)
        end = text.find(closing, begin)
        yield text[begin:] if end < 0 else text[begin:end]
        position = -1 if end < 0 else text.find(opening, end + len(closing))


def _without_fence(code: str) -> str:
    """Models write a fence inside the tags now and then."""
    match = _FENCE.match(code.strip())
    return match[1].rstrip() if match and code.strip().endswith("```") else code


def _no_code(text: str, tags: CodeTags) -> str:
    said = "the reply is empty" if not text.strip() else "there is no code in the reply"
    return f"{said}. Write a thought, then the code like this:\n{tags[0]}\nprint('hello')\n{tags[1]}"


def find_tool_calls(text: str) -> tuple[ToolRequest, ...]:
    """Return the tool calls that stand in a reply as JSON, for models that write them as text.

    Raises ReplyUnparsable, saying how to write one.
    """
    calls = [call for value in _json_values(text) for call in _calls(value)]
    if not calls:
        raise ReplyUnparsable(
            "there is no tool call in the reply. Call a tool, as JSON: "
            '{"name": "<tool>", "arguments": {...}}; to end, call final_answer'
        )
    return tuple(calls)


def _json_values(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position = wrong = 0
    while wrong < _MOST_WRONG and (start := _next_start(text, position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, start)
            yield value
        except (ValueError, RecursionError):
            position, wrong = start + 1, wrong + 1


def _next_start(text: str, position: int) -> int:
    starts = [start for start in (text.find("{", position), text.find("[", position)) if start >= 0]
    return min(starts, default=-1)


def _calls(value: Any) -> Iterator[ToolRequest]:
    items: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
    for item in items:
        if isinstance(item, dict):
            call = cast("dict[str, Any]", item)
            arguments = call.get("arguments", call.get("parameters"))
            if isinstance(call.get("name"), str) and isinstance(arguments, dict):
                yield ToolRequest(
                    id=f"call_{uuid4().hex[:12]}", name=call["name"], arguments=cast("dict[str, Any]", arguments)
                )
