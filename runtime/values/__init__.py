"""The codec of values across the bridge, the same code at both ends.

`encode` turns a Python value into one msgpack value, `decode` turns it back. Plain values (None, bool, int, float,
str, bytes, list, dict) are msgpack's own; everything else travels under the extension codes of `codes`.
"""

from .codec import decode, encode, encode_after
from .codes import Look, MalformedValue, UnserializableError, ValueCodecError, ValueTooLarge

__all__ = [
    "Look",
    "MalformedValue",
    "UnserializableError",
    "ValueCodecError",
    "ValueTooLarge",
    "decode",
    "encode",
    "encode_after",
]
