"""What an agent needs of a model: two methods; and models without async methods, awaited all the same."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from cloche.agent.errors import ModelReplyInvalid
from cloche.agent.messages import Message, TokenUsage
from cloche.agent.replies.reasoning import without_reasoning
from cloche.runtime.threads import tool_threads

__all__ = [
    "AnyModel",
    "AsyncModel",
    "Delta",
    "ModelRequest",
    "Piece",
    "Reply",
    "last_reply",
    "loading",
    "sees_images",
    "stream_in_thread",
    "takes_tools",
    "trimmed",
    "warm_up",
]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is asked of a model.

    ``stop``    texts at which the model ends its reply; they are not part of it.
    ``tools``   JSON schemas of tools, as ``{"name", "description", "parameters"}``.
    ``must_call``  asks for a call of one of the tools and not for text; a model that cannot be made to may answer with
    text all the same.
    """

    messages: tuple[Message, ...]
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    must_call: bool = False


class Reply(BaseModel):
    """A model's whole answer. ``usage`` is None where the model does not report it.

    ``reasoning`` is what the provider returns beside the answer. ``cut_off`` says that the answer reached the maximum
    length of a reply.
    """

    model_config = ConfigDict(frozen=True)

    message: Message
    usage: TokenUsage | None = None
    model: str = ""
    reasoning: str = ""
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer that is being written. ``restart`` takes back all pieces before it: it begins anew."""

    text: str = ""
    restart: bool = False


Piece = Delta | Reply


class AnyModel(Protocol):
    """Any model. Both methods raise ModelError, and may be called from several threads at once.

    A model may have more. A true ``takes_tools`` says that it is shown the schemas of a request's tools: they are then
    not listed in the prompt as well. A true ``sees_images`` says that figures of its programs can be shown to it.
    ``warm_up()`` is called when a run begins, and begins to load what takes long
    without waiting; ``loading`` names what is still to be loaded, and is empty otherwise. A model that passes requests
    on has the others in ``wrapped``, instead of all this.
    """

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the answer."""
        ...

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Yield the answer as it is written: any number of Deltas, then one Reply, which is the whole of it."""
        ...


@runtime_checkable
class AsyncModel(Protocol):
    """A model that can also be awaited. Agents use this where it is there, and a thread where it is not."""

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Return the answer."""
        ...

    def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Yield the answer as it is written, a Reply last."""
        ...


def takes_tools(model: Any) -> bool:
    """Return whether a model is shown the schemas of a request's tools; one that does not say so may not be."""
    inner = _wrapped(model)
    return all(map(takes_tools, inner)) if inner else bool(getattr(model, "takes_tools", False))


def sees_images(model: Any) -> bool:
    """Return whether a model can be shown images; one that does not say so may refuse a request that has any."""
    inner = _wrapped(model)
    return all(map(sees_images, inner)) if inner else bool(getattr(model, "sees_images", False))


def warm_up(model: Any) -> None:
    """Have a model begin to load what it needs, if it can, without waiting for it."""
    inner = _wrapped(model)
    begin = warm_up if inner else getattr(model, "warm_up", None)
    if begin is not None:
        begin(*inner[:1])


def loading(model: Any) -> str:
    """Return what a model has to load before it can answer, in a word; empty if nothing."""
    inner = _wrapped(model)
    return loading(inner[0]) if inner else str(getattr(model, "loading", ""))


def _wrapped(model: Any) -> tuple[Any, ...]:
    """Return the models that a model passes requests on to, the first one first."""
    return tuple(getattr(model, "wrapped", ()))


def last_reply(piece: Piece | None) -> Reply:
    """Return the Reply that ends a stream. Raises ModelReplyInvalid for a stream that ended before it."""
    if isinstance(piece, Reply):
        return piece
    raise ModelReplyInvalid("the model's answer broke off before its end")


def trimmed(text: str, stop: tuple[str, ...]) -> str:
    """Return the text up to the first stop text behind the model's reasoning: not every provider applies them."""
    if not any(mark in text for mark in stop):
        return text
    begin = len(text) - len(without_reasoning(text).answer.lstrip())
    ends = [end for end in (text.find(mark, begin) for mark in stop) if end >= 0]
    return text[: min(ends)] if ends else text


T = TypeVar("T")
_END = object()


async def stream_in_thread(make: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Iterate over a blocking iterator. Leaving early ends it at its next item."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    left = threading.Event()
    tool_threads.submit(lambda: _feed(make, lambda item: _call_soon(loop, queue.put_nowait, item), left))
    try:
        while (item := await queue.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()


def _feed(make: Callable[[], Iterator[Any]], put: Callable[[Any], None], left: threading.Event) -> None:
    try:
        for item in make():
            put(item)
            if left.is_set():
                return
    except BaseException as error:
        put(error)
    put(_END)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        # The loop was closed while the model was still thinking: the answer is not awaited any more.
        return
