"""The codec of values across the bridge, the same code at both ends.

`encode` turns a Python value into one msgpack value, `decode` turns it back. Plain values (None, bool, int, float,
str, bytes, list, dict) are msgpack's own; everything else travels under the extension codes of `codes`.
"""

from .codes import Look, MalformedValue, UnserializableError, ValueCodecError, ValueTooLarge
from .decode import decode
from .encode import encode, encode_after

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
