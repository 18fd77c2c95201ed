"""What the tools of an MCP server that runs programs have in common: words for models, files, and text of a length.

For ``cloche mcp``, on one machine, and ``cloche serve``.
"""

import base64
import binascii
from typing import Annotated, Final, TypedDict

from mcp_types import ToolAnnotations
from pydantic import Field

__all__ = ["ACTS", "INSTRUCTIONS", "READS", "FileContent", "Path", "SessionId", "cut", "file_bytes", "file_content"]

INSTRUCTIONS: Final = """\
Runs Python 3.13 programs in a sealed interpreter: no network, no processes, no files but its own in /work and /tmp.
run_python without a session starts from nothing each time; open_session keeps variables and files between runs.
"""
READS: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ACTS: Final = ToolAnnotations(destructive_hint=False, open_world_hint=False)
_MAX_CHARACTERS: Final = 50_000

SessionId = Annotated[str, Field(description="the id that open_session returned")]
Path = Annotated[str, Field(description="absolute, or relative to /work")]


class FileContent(TypedDict):
    """A file: ``text`` if it is UTF-8, else None and ``base64``."""

    path: str
    size: int
    text: str | None
    base64: str | None


def file_content(path: str, data: bytes) -> FileContent:
    """Return a file as a client gets it."""
    try:
        return FileContent(path=path, size=len(data), text=data.decode(), base64=None)
    except UnicodeDecodeError:
        return FileContent(path=path, size=len(data), text=None, base64=base64.b64encode(data).decode())


def file_bytes(text: str | None, data: str | None) -> bytes:
    """Return the content that a client gives, as text or in base64. Raises ValueError for both, none, or no base64."""
    if (text is None) == (data is None):
        raise ValueError("give the content either as text or as base64")
    try:
        return base64.b64decode(data, validate=True) if data is not None else (text or "").encode()
    except (binascii.Error, ValueError):
        raise ValueError("the content is not valid base64") from None


def cut(text: str) -> str:
    """Return a text without the lines' ends behind it, and what is too long with a note of how much is missing."""
    text = text.rstrip("\n")
    more = len(text) - _MAX_CHARACTERS
    return text if more <= 0 else f"{text[:_MAX_CHARACTERS]}\n[cut: {more} more characters]"
