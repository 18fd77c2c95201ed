"""sys.stdin, sys.stdout and sys.stderr: lines leave for the host as they are finished.

Programs wrap the streams in others, detach their buffers, or put objects of their own in their place. What such a
stream still holds when a run ends is sent then: it belongs to that run.
"""

import builtins
import gc
import io
import sys
from collections.abc import Iterator
from typing import Any, cast

import _cloche
from cloche_guest.unsupported.reasons import NO_INPUT, put

__all__ = ["ERR", "IN", "OUT", "ByteOutput", "NoInput", "TextOutput", "feed", "finish", "flush", "install", "restore"]

_BUFFER = 8_192
# One huge text is sent in pieces, so that the guest never holds a second full copy of it.
_PIECE = 65_536
# What programs print that look at the type of a stream.
_NATIVE = ("_io", "TextIOWrapper")


def _written(self: Any) -> str:
    return f"<_io.TextIOWrapper name={self.name!r} mode={self.mode!r} encoding={self.encoding!r}>"


class TextOutput(io.TextIOBase):
    """A text stream whose pieces go to the host: at every newline, at 8 KiB, on flush, and when the other is used."""

    __module__, __qualname__ = _NATIVE

    __repr__ = _written

    # Declared by the base class as read-only properties; these are fixed for good.
    encoding = "utf-8"
    errors = "backslashreplace"
    mode = "w"
    line_buffering = True

    def __init__(self, stream: int, name: str) -> None:
        self.name = name
        self.below = ByteOutput(self, stream)
        """The stream of bytes, for those who put nothing around it."""
        self.other: TextOutput | None = None
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

    @property
    def buffer(self) -> "ByteOutput":
        """The stream of bytes below; whoever asks for it may put a stream of its own around it."""
        _State.may_be_wrapped = True
        if self.below.closed:
            # By a stream around it that was let go of: that ends neither this stream nor the next one around it.
            self.below = ByteOutput(self, self._stream)
        return self.below

    def detach(self) -> Any:
        """Flush and return the buffer. The stream can still be used: the next run writes to it too."""
        self.flush()
        return self.buffer

    def fileno(self) -> int:
        """Return 1 for stdout and 2 for stderr: what is written to these goes to the same place, at once."""
        self.flush()
        return self._stream

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
    """The ``buffer`` of a TextOutput: bytes go to the host at once, after the text written before them."""

    def __init__(self, text: TextOutput, stream: int) -> None:
        self._text = text
        self._stream = stream

    def write(self, data: Any, /) -> int:
        """Send bytes as they are, valid UTF-8 or not, and return their number. Raises ValueError when closed."""
        if self.closed:
            raise ValueError("write to closed file")
        self._text.write("")
        self._text.flush()
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            _cloche.write(self._stream, bytes(view[start : start + _PIECE]))
        return len(view)

    def flush(self) -> None:
        """Send what the text stream holds back."""
        self._text.flush()

    def fileno(self) -> int:
        """Return 1 for stdout and 2 for stderr."""
        return self._text.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True


class NoInput(io.TextIOBase):
    """sys.stdin of a program that was given no input: always at its end."""

    __module__, __qualname__ = _NATIVE
    __repr__ = _written

    encoding = "utf-8"
    errors = "strict"
    name = "<stdin>"
    mode = "r"

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        """No bytes."""

    def read(self, size: int | None = -1, /) -> str:
        """Return the empty text."""
        return ""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Return the empty text."""
        return ""

    def readable(self) -> bool:
        """Return True."""
        return True


class _Input(io.BytesIO):
    """The ``buffer`` of sys.stdin in a run that was given input."""

    name = "<stdin>"

    def fileno(self) -> int:
        """Return 0."""
        return 0


class _State:
    may_be_wrapped = False
    """Whether a program ever asked for a buffer, so that streams of its own may stand in front of it."""
    is_fed = False
    """Whether there is input."""


TextOutput.__name__ = NoInput.__name__ = _NATIVE[1]
OUT = TextOutput(1, "<stdout>")
ERR = TextOutput(2, "<stderr>")
OUT.other, ERR.other = ERR, OUT
IN = NoInput()
# By name, as a program may have deleted them.
_of_sys = vars(sys).get


def install() -> None:
    """Make ``input`` read from ``sys.stdin``, whatever that is, and say why there is nothing to read."""
    put(_input, __name__="input", __qualname__="input", __module__="builtins")
    put(builtins, input=_input)


def restore() -> None:
    """Put the streams in place, whatever the last run left there."""
    if _of_sys("stdout") is not OUT or _of_sys("stderr") is not ERR or _of_sys("stdin") is not IN:
        sys.stdout, sys.stderr, sys.stdin = OUT, ERR, IN
    if _State.is_fed:
        _cloche.feed(b"")
        put(sys, __stdin__=IN)
        _State.is_fed = False


def feed(text: str) -> None:
    """Let the program read this text from ``sys.stdin`` or file descriptor 0, until :func:`restore`."""
    data = text.encode("utf-8", "surrogatepass")
    _cloche.feed(data)
    _State.is_fed = True
    sys.stdin = io.TextIOWrapper(_Input(data), encoding="utf-8", errors="surrogatepass")
    put(sys, __stdin__=sys.stdin)


def flush() -> None:
    """Send what either stream holds back; at most one of them does."""
    if _State.may_be_wrapped:
        for stream in (OUT, ERR):
            _flush_quietly(_around(stream.below))
    # Looked at first: most programs end with a finished line.
    if OUT.holds:
        OUT.flush()
    if ERR.holds:
        ERR.flush()


def finish() -> None:
    """Send all that a run has printed, also what the program's own streams in place of these hold back."""
    if _of_sys("stdout") is not OUT or _of_sys("stderr") is not ERR:
        _flush_quietly(iter([_of_sys("stdout"), _of_sys("stderr")]))
    flush()


def _around(stream: object, depth: int = 2) -> Iterator[Any]:
    """Yield the buffered streams that were put around a stream, the outermost first."""
    holders: list[Any] = gc.get_referrers(stream)
    for holder in holders:
        if isinstance(holder, io.TextIOWrapper | io.BufferedWriter):
            if depth:
                yield from _around(cast("object", holder), depth - 1)
            yield holder


def _flush_quietly(streams: Iterator[Any]) -> None:
    for stream in streams:
        try:
            stream.flush()
        except Exception:
            continue  # it is closed, has no flush(), or failed before: as at a program's end, nothing is to be done


def _input(*prompt: object) -> str:
    """Read a string from standard input.  The trailing newline is stripped.

    The prompt string, if given, is printed to standard output without a
    trailing newline before reading input.
    """
    if len(prompt) > 1:
        raise TypeError(f"input expected at most 1 argument, got {len(prompt)}")
    for name in ("stdin", "stdout", "stderr"):
        if _of_sys(name) is None:
            raise RuntimeError(f"input(): lost sys.{name}")
    _flush_quietly(iter([sys.stderr]))
    if prompt:
        print(*prompt, end="")
    _flush_quietly(iter([sys.stdout]))
    line: object = sys.stdin.readline()
    if not isinstance(line, str):
        raise TypeError("object.readline() returned non-string")
    if not line:
        raise EOFError(NO_INPUT if sys.stdin is IN else "EOF when reading a line")
    return line.removesuffix("\n")
