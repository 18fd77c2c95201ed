"""sys.stdout and sys.stderr: lines leave for the host as they are finished."""

import io
import sys
from typing import Any

import _cloche

__all__ = ["ERR", "IN", "OUT", "ByteOutput", "NoInput", "Output", "flush", "restore"]

_BUFFER = 8_192
# One huge text is sent in pieces, so that the guest never holds a second full copy of it.
_PIECE = 65_536


class Output(io.TextIOBase):
    """A text stream whose pieces go to the host: at every newline, at 8 KiB, on flush, and when the other is used."""

    # Declared by the base class as read-only properties; these are fixed for good.
    encoding = "utf-8"
    errors = "backslashreplace"
    mode = "w"
    line_buffering = True

    def __init__(self, stream: int, name: str) -> None:
        self.name = name
        self.buffer = ByteOutput(self, stream)
        self.other: Output | None = None
        self._stream = stream
        # Pieces, not one text: a program that prints one character at a time would copy it all each time.
        self.holds: list[str] = []
        """The pieces that are held back."""
        self._size = 0

    def write(self, text: Any, /) -> int:
        """Take text, and return its length. Lone surrogates are written as escapes."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self.other is not None and self.other.holds:
            self.other.flush()
        if text:
            self.holds.append(text)
            self._size += len(text)
            if "\n" in text or self._size >= _BUFFER:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what is held back."""
        if self.holds:
            held, self.holds, self._size = self.holds, [], 0
            self._send(held[0] if len(held) == 1 else "".join(held))

    def _send(self, text: str) -> None:
        if len(text) <= _PIECE:
            _cloche.write(self._stream, str.encode(text, "utf-8", "backslashreplace"))
            return
        for start in range(0, len(text), _PIECE):
            _cloche.write(self._stream, text[start : start + _PIECE].encode("utf-8", "backslashreplace"))

    def reconfigure(self, **changes: Any) -> None:
        """Accept and ignore: the stream is UTF-8, by the line, always."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return False."""
        return False

    def close(self) -> None:
        """Flush. The stream stays open: the next run writes to it too."""
        self.flush()


class ByteOutput(io.BufferedIOBase):
    """The ``buffer`` of an Output: bytes go to the host at once, after the text written before them."""

    def __init__(self, text: Output, stream: int) -> None:
        self._text = text
        self._stream = stream

    def write(self, data: Any, /) -> int:
        """Send bytes as they are, valid UTF-8 or not, and return their number."""
        self._text.write("")
        self._text.flush()
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            _cloche.write(self._stream, bytes(view[start : start + _PIECE]))
        return len(view)

    def flush(self) -> None:
        """Send what the text stream holds back."""
        self._text.flush()

    def writable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Flush; the stream stays open."""
        self.flush()


class NoInput(io.TextIOBase):
    """sys.stdin of a program nobody types to: always at its end."""

    encoding = "utf-8"
    name = "<stdin>"

    def read(self, size: int | None = -1, /) -> str:
        """Return the empty text."""
        return ""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Return the empty text."""
        return ""

    def readable(self) -> bool:
        """Return True."""
        return True


OUT = Output(1, "<stdout>")
ERR = Output(2, "<stderr>")
OUT.other, ERR.other = ERR, OUT
IN = NoInput()


def restore() -> None:
    """Put the streams in place, whatever the last run left there."""
    if sys.stdout is not OUT or sys.stderr is not ERR or sys.stdin is not IN:
        sys.stdout, sys.stderr, sys.stdin = OUT, ERR, IN


def flush() -> None:
    """Send what either stream holds back; at most one of them does."""
    # Looked at first: most programs end with a finished line.
    if OUT.holds:
        OUT.flush()
    if ERR.holds:
        ERR.flush()
