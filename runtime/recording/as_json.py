"""A document of plain values and bytes as JSON, and back to the last bit.

Bytes that are one of the bridge's messages, and that JSON can spell out, become ``{"$message": ...}`` so that people
can read what was called and answered; other bytes ``{"$text": ...}`` if they are UTF-8, else, as base64,
``{"$bytes": ...}``.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable
from typing import Any

from cloche.runtime.bridge.protocol import is_dict, is_list
from cloche.runtime.values import MalformedValue, ValueCodecError, decode, encode

__all__ = ["json_of", "plain_of"]

_MESSAGE, _TEXT, _BYTES = "$message", "$text", "$bytes"


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
    return value is None or type(value) in (str, int, bool)
