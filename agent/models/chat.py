"""Models asked with messages as plain data, as smolagents asks them; and such models as ours."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cloche.agent.errors import ModelRefused, ModelReplyInvalid
from cloche.agent.messages import ImagePart, Message, Part, Role, Text, TokenUsage, ToolRequest
from cloche.agent.models.base import AnyModel, Delta, ModelRequest, Piece, Reply, trimmed
from cloche.agent.models.wire import assistant
from cloche.agent.replies.calls import arguments_of, with_ids

__all__ = ["ChatMessage", "ChatModel", "MessagesModel", "message_of", "takes_messages"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What a model says when it is called by hand."""

    role: str
    content: str
    tool_calls: tuple[ToolRequest, ...] = ()
    token_usage: TokenUsage | None = None
    raw: Any = None


class ChatModel:
    """A model that can be called: ``model(messages)``. Its subclasses have the methods of :class:`AnyModel`."""

    name: str

    @property
    def model_id(self) -> str:
        """The model's name."""
        return self.name

    def __call__(
        self,
        messages: Sequence[Any],
        stop_sequences: Sequence[str] | None = None,
        *,
        tools_to_call_from: Sequence[Any] | None = None,
        **_: Any,
    ) -> ChatMessage:
        """Ask with messages: dicts with ``role`` and ``content`` (text, or a list of texts and images), or Messages.

        ``tools_to_call_from`` are Tools. Raises ModelError; TypeError for what is no message.
        """
        tools = tuple(
            {"name": tool.name, "description": tool.description, "parameters": tool.schema}
            for tool in tools_to_call_from or ()
        )
        request = ModelRequest(tuple(map(message_of, messages)), tuple(stop_sequences or ()), tools)
        reply = cast("AnyModel", self).generate(request)
        said = reply.message
        return ChatMessage("assistant", said.text, said.tool_calls, reply.usage, reply)


_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "tool-call": "assistant",
    "tool": "tool",
}


def message_of(given: Any) -> Message:
    """Return a message from a dict, or an object with ``role`` and ``content``. Raises TypeError for anything else."""
    if isinstance(given, Message):
        return given
    role, content = _field(given, "role"), _field(given, "content")
    if role is None:
        raise TypeError(f"a {type(given).__name__} is no message: write {{'role': 'user', 'content': '...'}}")
    # smolagents' roles are an enum of texts.
    name = _ROLES.get(str(getattr(role, "value", role)), "user")
    return Message(role=name, content=tuple(_parts(content)))


def _field(given: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", given).get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _parts(content: Any) -> Iterator[Part]:
    for part in [content] if isinstance(content, str) else content or ():
        if isinstance(part, str):
            yield Text(text=part)
        elif "text" in part:
            yield Text(text=str(part["text"]))
        elif "image" in part:
            yield ImagePart.load(part["image"])
        elif "image_url" in part:
            place = part["image_url"]
            yield ImagePart.load(place["url"] if isinstance(place, dict) else place)
        else:
            raise TypeError(f"this part of a message is neither text nor image: {str(part)[:100]}")


def takes_messages(model: Any) -> bool:
    """Return whether a model is asked with messages as plain data: a function, or ``generate(messages, ...)``."""
    ask = getattr(model, "generate", None)
    if ask is None:
        return callable(model)
    try:
        names = list(inspect.signature(ask).parameters)
    except (TypeError, ValueError):
        return False
    return bool({"messages", "stop_sequences"} & set(names))


class MessagesModel(ChatModel):
    """A model as others write them: ``generate(messages, stop_sequences=...)``, or a function of the same.

    It is given dicts, and may answer with text, a dict, or an object with ``content`` and ``tool_calls``. Keywords that
    it does not take are not passed. What it raises becomes a ModelRefused, which is not retried.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.name = str(getattr(model, "model_id", "") or getattr(model, "__name__", "") or type(model).__name__)
        self._ask: Callable[..., Any] = getattr(model, "generate", model)
        self._takes = _keywords(self._ask)

    def generate(self, request: ModelRequest, /) -> Reply:
        """Ask, and return the answer."""
        messages = [_plain(message) for message in request.messages]
        stop = {"stop_sequences": list(request.stop)} if request.stop and "stop_sequences" in self._takes else {}
        try:
            answer = self._ask(messages, **stop)
        except Exception as error:
            raise ModelRefused(f"{type(error).__name__}: {error}") from error
        return _reply(answer, request, self.name)

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Yield the answer in one piece, then the Reply."""
        reply = self.generate(request)
        yield Delta(reply.message.text)
        yield reply

    def __repr__(self) -> str:
        return f"MessagesModel({self.name!r})"


def _keywords(function: Callable[..., Any]) -> set[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return {"stop_sequences"}
    return {parameter.name for parameter in parameters}


def _plain(message: Message) -> dict[str, Any]:
    content = [_plain_part(part) for part in message.content]
    # Such models know neither tool calls nor their results but as text.
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    said = [{"type": "text", "text": "Calling tools:\n" + "\n".join(calls)}] if calls else []
    return {"role": "user" if message.role == "tool" else message.role, "content": [*content, *said]}


def _plain_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.source}}


def _reply(answer: Any, request: ModelRequest, name: str) -> Reply:
    if isinstance(answer, Reply):
        return answer
    calls: tuple[ToolRequest, ...] = ()
    if isinstance(answer, str):
        text, usage = answer, None
    else:
        text, usage = _field(answer, "content"), _field(answer, "token_usage")
        calls = with_ids(_request(call) for call in _field(answer, "tool_calls") or ())
    if not isinstance(text, str | None):
        raise ModelReplyInvalid(f"the model's answer has no text: its content is a {type(text).__name__}")
    return Reply(message=assistant(trimmed(text or "", request.stop), calls), usage=_usage(usage), model=name)


def _request(call: Any) -> ToolRequest:
    function = _field(call, "function")
    arguments = arguments_of(_field(function, "arguments"))
    return ToolRequest(id=str(_field(call, "id") or ""), name=str(_field(function, "name")), arguments=arguments)


def _usage(given: Any) -> TokenUsage | None:
    counts = [_field(given, name) for name in ("input_tokens", "output_tokens")] if given is not None else []
    if not counts or not all(isinstance(count, int) for count in counts):
        return None
    return TokenUsage(input_tokens=counts[0], output_tokens=counts[1])
