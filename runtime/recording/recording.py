"""The document: one session's runs, complete enough to be run again anywhere without the tools."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.runtime.atomic import write_atomically
from cloche.runtime.bridge.protocol import is_dict
from cloche.runtime.errors import RecordingError
from cloche.runtime.recording.as_json import json_of, plain_of
from cloche.runtime.recording.events import RecordedRun, run_from
from cloche.runtime.values import MalformedValue, decode, encode

__all__ = ["FORMAT", "Recording"]

FORMAT = "cloche recording 1"
_FIELDS: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "image": (str,),
    "abi": (int,),
    "memory": (int,),
    "keeps": (bool,),
    "start": (bytes, type(None)),
    "runs": (list,),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A session's runs, in order.

    ``image`` is the SHA-256 of the guest image and ``abi`` the bridge's version; ``memory`` the bytes it was limited
    to; ``keeps`` whether it could be rolled back; ``start`` the snapshot it began from, or None for a fresh guest.

    It holds programs, output, and all that tools were given and answered, except what was redacted.
    """

    image: str
    abi: int
    memory: int
    keeps: bool
    start: bytes | None
    runs: tuple[RecordedRun, ...]

    def to_bytes(self) -> bytes:
        """Return the document as msgpack."""
        return encode(self._as_plain(), where="recording")

    def to_json(self) -> str:
        """Return the document as JSON, with the same content: messages are spelled out where JSON can hold them."""
        return json_of(self._as_plain())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Recording":
        """Return the recording of a document in either form. Raises RecordingError."""
        try:
            plain = plain_of(data) if data[:1] in (b"{", b" ", b"\n") else decode(data)
            return cls._from_plain(plain)
        except (MalformedValue, ValueError) as error:
            raise RecordingError(f"this is not a recording: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document to a file: JSON if its name ends in ``.json``, else msgpack. Raises OSError."""
        path = Path(path)
        write_atomically(path, self.to_json().encode() if path.suffix == ".json" else self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recording":
        """Return the recording in a file. Raises OSError or RecordingError."""
        return cls.from_bytes(Path(path).read_bytes())

    def _as_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS if name not in ("format", "runs")}
        return {"format": FORMAT, **plain, "runs": [run.as_plain() for run in self.runs]}

    @classmethod
    def _from_plain(cls, plain: object) -> "Recording":
        if not is_dict(plain) or plain.get("format") != FORMAT:
            raise ValueError(f"it does not say that its format is {FORMAT!r}")
        if plain.keys() != _FIELDS.keys() or any(type(plain[name]) not in kinds for name, kinds in _FIELDS.items()):
            raise ValueError("it does not have the fields of one")
        made: dict[str, Any] = {name: plain[name] for name in _FIELDS if name not in ("format", "runs")}
        return cls(**made, runs=tuple(run_from(run) for run in plain["runs"]))
