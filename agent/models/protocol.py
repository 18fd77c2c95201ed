"""What an agent needs of a model: two methods."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from cloche.agent.errors import ModelReplyInvalid
from cloche.agent.messages import Message, TokenUsage

__all__ = ["AsyncModel", "Delta", "Model", "ModelRequest", "Piece", "Reply", "last_reply", "trimmed"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is asked of a model.

    ``stop``    texts at which the model ends its reply; they are not part of it.
    ``tools``   JSON schemas of tools, as ``{"name", "description", "parameters"}``.
    """

    messages: tuple[Message, ...]
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()


class Reply(BaseModel):
    """A model's whole answer. ``usage`` is None where the model does not report it."""

    model_config = ConfigDict(frozen=True)

    message: Message
    usage: TokenUsage | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer that is being written. ``restart`` takes back all pieces before it: it begins anew."""

    text: str = ""
    restart: bool = False


Piece = Delta | Reply


class Model(Protocol):
    """Any model. Both methods raise ModelError, and may be called from several threads at once."""

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


def last_reply(piece: Piece | None) -> Reply:
    """Return the Reply that ends a stream. Raises ModelReplyInvalid for a stream that ended before it."""
    if isinstance(piece, Reply):
        return piece
    raise ModelReplyInvalid("the model's answer broke off before its end")


def trimmed(text: str, stop: tuple[str, ...]) -> str:
    """Return the text up to the first stop text: not every provider keeps to them."""
    ends = [end for end in (text.find(mark) for mark in stop) if end >= 0]
    return text[: min(ends)] if ends else text
