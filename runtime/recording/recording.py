"""The document: one session's runs, complete enough to be run again anywhere without the tools.

It is msgpack, or JSON with the same content to the last bit: bytes that are one of the bridge's messages, and that JSON
can spell out, become ``{"$message": ...}`` so that people can read what was called and answered; other bytes
``{"$text": ...}`` if they are UTF-8, else, as base64, ``{"$bytes": ...}``.
"""

import base64
import binascii
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloche.runtime._files import write_atomically
from cloche.runtime.bridge.protocol import is_dict, is_list
from cloche.runtime.bridge.transcript import RecordedRun, is_number, run_from
from cloche.runtime.dataclass import dataclass
from cloche.runtime.errors import RecordingError
from cloche.runtime.values import MalformedValue, ValueCodecError, decode, encode
from cloche.runtime.wasm.signals import deferred

__all__ = ["FORMAT", "Recording", "json_of", "plain_of"]


_MESSAGE, _TEXT, _BYTES = "$message", "$text", "$bytes"
# Python writes at least 640 digits, whatever it is set to.
_MAX_BITS = 2_048


def json_of(document: Any) -> str:
    """Return the JSON of dicts, lists, text, ints, bools, None and bytes."""
    return json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain_of(data: bytes) -> Any:
    """Return the document. Raises ValueError."""
    try:
        return json.loads(data, object_hook=_restored)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _plain(value: Any) -> Any:
    if type(value) is bytes:
        return _plain_bytes(value)
    if is_dict(value):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if is_list(value) else value


def _plain_bytes(data: bytes) -> dict[str, Any]:
    try:
        message: Any = decode(data)
        # Only what comes back as these very bytes: a float that looks like an int would not.
        if is_list(message) and _is_json(message) and encode(message) == data:
            return {_MESSAGE: message}
    except (MalformedValue, ValueCodecError):
        pass
    try:
        return {_TEXT: data.decode()}
    except UnicodeDecodeError:
        return {_BYTES: base64.b64encode(data).decode()}


def _restored(fields: dict[str, Any]) -> Any:
    if len(fields) != 1:
        return fields
    [(key, value)] = fields.items()
    restore = _RESTORERS.get(key)
    return fields if restore is None else restore(value)


def _encoded(message: Any) -> bytes:
    try:
        return encode(message)
    except ValueCodecError as error:
        raise ValueError(f"a message cannot be encoded: {error}") from None


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError):
        raise ValueError("bytes are not base64") from None


def _utf_8(text: Any) -> bytes:
    if type(text) is not str:
        raise ValueError("a text is not one")
    return text.encode()


_RESTORERS: dict[str, Callable[[Any], bytes]] = {_MESSAGE: _encoded, _TEXT: _utf_8, _BYTES: _decoded}


def _is_json(value: Any) -> bool:
    """Return whether JSON can hold the value, and give back exactly it, even where it was a dict of one of our keys."""
    if is_dict(value):
        return all(type(key) is str and key[:1] != "$" and _is_json(each) for key, each in value.items())
    if is_list(value):
        return all(map(_is_json, value))
    if type(value) is float:
        return math.isfinite(value)
    # Of a longer int Python would refuse to write the digits.
    return value is None or type(value) in (str, bool) or (type(value) is int and value.bit_length() <= _MAX_BITS)


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
        with deferred():
            return encode(self._as_plain(), where="recording")

    def to_json(self) -> str:
        """Return the document as JSON, with the same content: messages are spelled out where JSON can hold them."""
        with deferred():
            return json_of(self._as_plain())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Recording":
        """Return the recording of a document in either form. Raises RecordingError."""
        with deferred():
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
        if not (is_number(plain["abi"]) and is_number(plain["memory"])):
            raise ValueError("its numbers are too large")
        made: dict[str, Any] = {name: plain[name] for name in _FIELDS if name not in ("format", "runs")}
        return cls(**made, runs=tuple(run_from(run) for run in plain["runs"]))
