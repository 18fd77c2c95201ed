"""What an MCP tool answered, as a value for the program."""

import base64
import binascii
from typing import Any

from cloche.host_tools.errors import ToolFailed
from cloche.host_tools.outside.json_shapes import as_dict

__all__ = ["value_of"]

_LONGEST_ERROR = 4_000


def value_of(result: Any, name: str) -> Any:
    """Return the structured content, else the content: text as str, images, audio and files as bytes.

    Several pieces of content are a list. Raises ToolFailed if the tool reports an error.
    """
    pieces = [_piece(block) for block in result.content]
    if result.is_error:
        text = "\n".join(piece for piece in pieces if isinstance(piece, str)) or "it gave no reason"
        raise ToolFailed("RuntimeError", f"{name}() failed: {text[:_LONGEST_ERROR]}")
    if result.structured_content is not None:
        return _unwrapped(result.structured_content)
    return pieces[0] if len(pieces) == 1 else pieces or None


def _unwrapped(content: Any) -> Any:
    # Servers must wrap what is no object, and most of them call it this.
    return content["result"] if as_dict(content).keys() == {"result"} else content


def _piece(block: Any) -> Any:
    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            return _bytes(block.data)
        case "resource":
            return block.resource.text if hasattr(block.resource, "text") else _bytes(block.resource.blob)
        case _:
            return block.model_dump(mode="json", exclude_none=True)


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ToolFailed("ValueError", "the server sent binary data that cannot be decoded") from None
