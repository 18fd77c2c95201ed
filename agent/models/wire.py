"""Messages in the shape of OpenAI's chat API, and its answers, whole or streamed, in ours."""

import json
from dataclasses import dataclass
from typing import Any

from cloche.agent.errors import ModelReplyInvalid
from cloche.agent.messages import Image, Message, Text, TokenUsage, ToolRequest
from cloche.agent.models.base import ModelRequest, Reply, trimmed

__all__ = ["StreamParts", "completion_arguments", "parse_arguments", "reply_of", "usage_of"]


def completion_arguments(request: ModelRequest, stream: bool) -> dict[str, Any]:
    """Return the keywords of a completion request, the model and its options apart."""
    arguments: dict[str, Any] = {"messages": _joined([_message(message) for message in request.messages])}
    if request.stop:
        arguments["stop"] = list(request.stop)
    if request.tools:
        arguments["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
    if stream:
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
    return arguments


def reply_of(response: Any) -> Reply:
    """Return a whole answer. Raises ModelReplyInvalid where there is none in it."""
    try:
        message = response.choices[0].message
        calls = tuple(_request(call) for call in message.tool_calls or ())
        text = message.content or ""
    except (AttributeError, IndexError, TypeError) as error:
        raise ModelReplyInvalid(f"the answer has no message in it ({type(error).__name__})") from error
    return Reply(message=assistant(text, calls), usage=usage_of(response), model=str(response.model or ""))


def assistant(text: str, calls: tuple[ToolRequest, ...]) -> Message:
    """Return the assistant's message. Raises ModelReplyInvalid where it says nothing at all."""
    if not text and not calls:
        raise ModelReplyInvalid("the answer is empty")
    return Message(role="assistant", content=(Text(text=text),) if text else (), tool_calls=calls)


def usage_of(response: Any) -> TokenUsage | None:
    """Return the token counts of a response or chunk, None where there are none."""
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    return TokenUsage(input_tokens=_count(usage, "prompt_tokens"), output_tokens=_count(usage, "completion_tokens"))


def parse_arguments(text: Any) -> dict[str, Any] | None:
    """Return a tool call's arguments, None where the text is no JSON object."""
    try:
        value = json.loads(text or "{}") if isinstance(text, str) or text is None else text
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _count(usage: Any, name: str) -> int:
    return int(getattr(usage, name, 0) or 0)


def _request(call: Any) -> ToolRequest:
    raw = call.function.arguments
    arguments = parse_arguments(raw)
    return ToolRequest(
        id=str(call.id),
        name=str(call.function.name),
        arguments=arguments,
        raw="" if arguments is not None else str(raw),
    )


def _message(message: Message) -> dict[str, Any]:
    shaped: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        shaped["tool_calls"] = [_call(request) for request in message.tool_calls]
    if message.role == "tool":
        shaped["tool_call_id"] = message.tool_call_id
    return shaped


def _content(message: Message) -> Any:
    if not any(isinstance(part, Image) for part in message.content):
        return message.text
    return [_part(part) for part in message.content]


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.source}}


def _call(request: ToolRequest) -> dict[str, Any]:
    # What was no JSON is not sent back as it was: some providers refuse the whole conversation for it.
    arguments = "{}" if request.arguments is None else json.dumps(request.arguments, ensure_ascii=False, default=str)
    return {"id": request.id, "type": "function", "function": {"name": request.name, "arguments": arguments}}


def _joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbours of the same role, which some providers refuse: texts only."""
    joined: list[dict[str, Any]] = []
    for message in messages:
        last = joined[-1] if joined else None
        if last is not None and _can_join(last, message):
            last["content"] = f"{last['content']}\n\n{message['content']}"
        else:
            joined.append(message)
    return joined


def _can_join(one: dict[str, Any], other: dict[str, Any]) -> bool:
    plain = all(isinstance(message["content"], str) and len(message) == 2 for message in (one, other))
    return plain and one["role"] == other["role"]


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
        calls = tuple(_streamed_request(call) for _, call in sorted(self._calls.items()))
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


def _streamed_request(call: _PartialCall) -> ToolRequest:
    arguments = parse_arguments(call.arguments)
    raw = "" if arguments is not None else call.arguments
    return ToolRequest(id=call.id, name=call.name, arguments=arguments, raw=raw)
