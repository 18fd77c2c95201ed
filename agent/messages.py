"""Messages to and from models, in no provider's own shape."""

import base64
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TASK", "ImagePart", "Message", "Part", "Role", "Text", "TokenUsage", "ToolRequest"]

TASK = "New task:\n"
"""What a task's message begins with."""

Role = Literal["system", "user", "assistant", "tool"]

_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


class Text(BaseModel):
    """A piece of text."""

    model_config = ConfigDict(frozen=True)

    type: Literal["text"] = "text"
    text: str


class ImagePart(BaseModel):
    """An image: ``data`` in base64, or the ``url`` it can be read from."""

    model_config = ConfigDict(frozen=True)

    type: Literal["image"] = "image"
    media_type: str = "image/png"
    data: str = ""
    url: str = ""

    @classmethod
    def load(cls, source: Any) -> Self:
        """Return an image from bytes, a path, an http(s) URL, a PIL image, or a part. Raises TypeError or OSError."""
        if isinstance(source, cls):
            return source
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            return cls(url=source)
        content = _content(source)
        return cls(media_type=_media_type(content), data=base64.b64encode(content).decode())

    @property
    def source(self) -> str:
        """The URL, or the data as a ``data:`` URL."""
        return self.url or f"data:{self.media_type};base64,{self.data}"


def _content(source: Any) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | Path):
        return Path(source).read_bytes()
    if hasattr(source, "save"):
        import io

        buffer = io.BytesIO()
        source.save(buffer, format="PNG")
        return buffer.getvalue()
    raise TypeError(f"a {type(source).__name__} is no image: pass bytes, a path, a URL or a PIL image")


def _media_type(content: bytes) -> str:
    return next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), "image/png")


Part = Annotated[Text | ImagePart, Field(discriminator="type")]
"""One piece of a message."""


class ToolRequest(BaseModel):
    """A tool call that a model asks for.

    ``arguments`` is None where the model wrote no JSON object; ``raw`` then holds what it wrote.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: dict[str, Any] | None = Field(default_factory=dict)
    raw: str = ""


class Message(BaseModel):
    """One message. ``tool_calls`` only on the assistant's, ``tool_call_id`` only on a tool's."""

    model_config = ConfigDict(frozen=True)

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolRequest, ...] = ()
    tool_call_id: str = ""

    @classmethod
    def of(cls, role: Role, text: str, *images: ImagePart) -> Self:
        """Return a message of one text and some images."""
        return cls(role=role, content=(Text(text=text), *images))

    @property
    def text(self) -> str:
        """All its text."""
        if len(self.content) == 1 and isinstance(self.content[0], Text):
            # Nearly every message, and each is read several times in a step.
            return self.content[0].text
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


class TokenUsage(BaseModel):
    """What one model call used: tokens, and US dollars where the price is known."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    @property
    def total(self) -> int:
        """Tokens of prompt and reply together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return TokenUsage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=sum(costs) if costs else None,
        )
