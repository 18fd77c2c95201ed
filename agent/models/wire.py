"""Messages in the shape of OpenAI's chat API, and its answers, whole or streamed, in ours."""

import json
from dataclasses import dataclass
from typing import Any

from cloche.agent.errors import ModelReplyInvalid
from cloche.agent.messages import ImagePart, Message, Text, TokenUsage, ToolRequest
from cloche.agent.models.base import ModelRequest, Reply
from cloche.agent.replies.calls import arguments_of, with_ids

__all__ = ["StreamParts", "assistant", "completion_arguments", "reply_of", "usage_of"]


def completion_arguments(request: ModelRequest, stream: bool) -> dict[str, Any]:
    """Return the keywords of a completion request, the model and its options apart."""
    arguments: dict[str, Any] = {"messages": _joined([_message(message) for message in request.messages])}
    if request.stop:
        arguments["stop"] = list(request.stop)
    if request.tools:
        arguments["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
    if request.tools and request.must_call:
        arguments["tool_choice"] = "required"
    if stream:
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
    return arguments


def reply_of(response: Any) -> Reply:
    """Return a whole answer. Raises ModelReplyInvalid where there is none in it."""
    try:
        message = response.choices[0].message
        calls = with_ids(
            _request_of(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
        )
        text = message.content or ""
        cut_off = getattr(response.choices[0], "finish_reason", None) == "length"
    except (AttributeError, IndexError, TypeError) as error:
        raise ModelReplyInvalid(f"the answer has no message in it ({type(error).__name__})") from error
    return Reply(
        message=assistant(text, calls, cut_off),
        usage=usage_of(response),
        model=str(response.model or ""),
        reasoning=str(getattr(message, "reasoning_content", None) or ""),
        cut_off=cut_off,
    )


def assistant(text: str, calls: tuple[ToolRequest, ...], cut_off: bool = False) -> Message:
    """Return the assistant's message. Raises ModelReplyInvalid where it says nothing at all.

    One that was ``cut_off`` before it said anything is no such case: the same request would be cut off again.
    """
    if not text and not calls and not cut_off:
        raise ModelReplyInvalid("the answer is empty")
    return Message(role="assistant", content=(Text(text=text),) if text else (), tool_calls=calls)


def usage_of(response: Any) -> TokenUsage | None:
    """Return the token counts of a response or chunk, None where there are none."""
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    return TokenUsage(input_tokens=_count(usage, "prompt_tokens"), output_tokens=_count(usage, "completion_tokens"))


def _count(usage: Any, name: str) -> int:
    return int(getattr(usage, name, 0) or 0)


def _request_of(id: Any, name: Any, raw: Any) -> ToolRequest:
    arguments = arguments_of(raw)
    text = "" if arguments is not None else str(raw)
    return ToolRequest(id=str(id or ""), name=str(name), arguments=arguments, raw=text)


def _message(message: Message) -> dict[str, Any]:
    shaped: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        shaped["tool_calls"] = [_call(request) for request in message.tool_calls]
    if message.role == "tool":
        shaped["tool_call_id"] = message.tool_call_id
    return shaped


def _content(message: Message) -> Any:
    if not any(isinstance(part, ImagePart) for part in message.content):
        return message.text
    return [_part(part) for part in message.content]


def _part(part: Text | ImagePart) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.source}}


def _call(request: ToolRequest) -> dict[str, Any]:
    # What was not JSON is not sent back as it was: some providers refuse the whole conversation for it.
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
    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""


class StreamParts:
    """Collects the chunks of one answer."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_PartialCall] = []
        self._usage: TokenUsage | None = None
        self._finish: str | None = None

    def add(self, chunk: Any) -> str:
        """Take a chunk and return the text in it."""
        self._usage = usage_of(chunk) or self._usage
        choices = getattr(chunk, "choices", None) or ()
        return "".join(map(self._add_choice, choices))

    def reply(self) -> Reply:
        """Return the whole answer. Raises ModelReplyInvalid if it broke off or is empty."""
        if self._finish is None:
            raise ModelReplyInvalid("the answer broke off before its end")
        calls = with_ids(_request_of(call.id, call.name, call.arguments) for call in self._calls)
        cut_off = self._finish == "length"
        message = assistant("".join(self._texts), calls, cut_off)
        reasoning = "".join(self._reasoning)
        return Reply(message=message, usage=self._usage, model=self._model, reasoning=reasoning, cut_off=cut_off)

    def _add_choice(self, choice: Any) -> str:
        delta = choice.delta
        for call in getattr(delta, "tool_calls", None) or ():
            self._add_call(call)
        if choice.finish_reason is not None:
            self._finish = str(choice.finish_reason)
        self._reasoning.append(getattr(delta, "reasoning_content", None) or "")
        text = getattr(delta, "content", None) or ""
        self._texts.append(text)
        return text

    def _add_call(self, call: Any) -> None:
        """Add a piece of a call to the call it is of. Servers give several calls one index, or repeat the name."""
        index, id = getattr(call, "index", None), str(call.id or "")
        name, arguments = call.function.name or "", call.function.arguments or ""
        known = next((one for one in reversed(self._calls) if index is None or one.index == index), None)
        if known is None or _is_another(known, id, name):
            known = _PartialCall(index)
            self._calls.append(known)
        known.id = known.id or id
        known.name = _joined_name(known.name, name)
        known.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)


def _is_another(known: _PartialCall, id: str, name: str) -> bool:
    """Return whether a piece with a name begins another call than the one known by its index."""
    if not name or not known.name:
        return False
    if id and known.id and id != known.id:
        return True
    # The name again, without an id: another call only if the one before is complete.
    return bool(known.arguments) and arguments_of(known.arguments) is not None


def _joined_name(known: str, piece: str) -> str:
    # Some send the name in pieces, some all of it each time, some all of it so far.
    return known if piece == known else piece if piece.startswith(known) else known + piece
