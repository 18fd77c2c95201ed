"""What the guest prints: kept up to a limit, and decoded piece by piece for whoever listens."""

import codecs

from cloche.runtime.errors import OutputExceeded
from cloche.runtime.events import Stream

__all__ = ["OutputBuffer"]

_new_decoder = codecs.getincrementaldecoder("utf-8")


class OutputBuffer:
    """The bytes of one stream of one run."""

    __slots__ = ("_data", "_decoder", "limit", "stream")

    def __init__(self, stream: Stream, limit: int) -> None:
        self.stream: Stream = stream
        self.limit = limit
        self._data: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def __len__(self) -> int:
        return len(self._data) if self._data else 0

    def add(self, data: bytes) -> OutputExceeded | None:
        """Keep what fits, and return the error if that is not all."""
        if self._data is None:
            self._data = bytearray()
        used = len(self._data) + len(data)
        if used <= self.limit:
            self._data += data
            return None
        self._data += data[: self.limit - len(self._data)]
        return OutputExceeded(self.stream, used, self.limit)

    def content(self) -> bytes:
        """Return everything kept."""
        return bytes(self._data or b"")

    def text(self) -> str:
        """Return everything kept, with invalid UTF-8 replaced."""
        return self._data.decode("utf-8", "replace") if self._data else ""

    def newer_text(self, start: int, final: bool = False) -> str:
        """Return the text of the bytes kept since position ``start``, holding back a character cut in two."""
        if self._decoder is None:
            self._decoder = _new_decoder("replace")
        return self._decoder.decode(bytes(self._data[start:]) if self._data else b"", final)
