"""A streamed answer put together."""

from dataclasses import dataclass
from typing import Any

from cloche.agent.errors import ModelReplyInvalid
from cloche.agent.messages import TokenUsage, ToolRequest
from cloche.agent.models.protocol import Reply, trimmed
from cloche.agent.models.wire import assistant, parse_arguments, usage_of

__all__ = ["StreamParts"]


@dataclass(slots=True)
class _PartialCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


class StreamParts:
    """Collects the chunks of one answer."""

    def __init__(self, model: str, stop: tuple[str, ...]) -> None:
        self._model = model
        self._stop = stop
        self._texts: list[str] = []
        self._calls: dict[int, _PartialCall] = {}
        self._usage: TokenUsage | None = None
        self._ended = False

    def add(self, chunk: Any) -> str:
        """Take a chunk and return the text in it."""
        self._usage = usage_of(chunk) or self._usage
        choices = getattr(chunk, "choices", None) or ()
        return "".join(map(self._add_choice, choices))

    def reply(self) -> Reply:
        """Return the whole answer. Raises ModelReplyInvalid if it broke off or is empty."""
        if not self._ended:
            raise ModelReplyInvalid("the answer broke off before its end")
        calls = tuple(_request(call) for _, call in sorted(self._calls.items()))
        text = trimmed("".join(self._texts), self._stop)
        return Reply(message=assistant(text, calls), usage=self._usage, model=self._model)

    def _add_choice(self, choice: Any) -> str:
        delta = choice.delta
        for call in getattr(delta, "tool_calls", None) or ():
            self._add_call(call)
        self._ended = self._ended or choice.finish_reason is not None
        text = getattr(delta, "content", None) or ""
        self._texts.append(text)
        return text

    def _add_call(self, call: Any) -> None:
        partial = self._calls.setdefault(int(call.index or 0), _PartialCall())
        partial.id = partial.id or str(call.id or "")
        partial.name += call.function.name or ""
        partial.arguments += call.function.arguments or ""


def _request(call: _PartialCall) -> ToolRequest:
    arguments = parse_arguments(call.arguments)
    raw = "" if arguments is not None else call.arguments
    return ToolRequest(id=call.id, name=call.name, arguments=arguments, raw=raw)
