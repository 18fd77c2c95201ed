"""Bytes to a Python value. The bytes may be anyone's: all that can go wrong ends in MalformedValue."""

from typing import Any, Final, Literal

from . import arrays, codes
from .budget import DEFAULT_BUDGET, check_budget
from .codes import MAX_DEPTH
from .depth import is_too_deep
from .errors import MalformedValue
from .guarded import Guarded
from .leaves import KEYED
from .records import type_name
from .stamps import may_hold_timestamp
from .wire import unpackb

Records = Literal["dict", "typed"]

_DEFAULT_RECORDS: Final[Records] = "typed" if __name__.startswith("cloche_guest.") else "dict"
"""This package is installed twice, once for each end."""


def decode(data: bytes | memoryview, *, records: Records = _DEFAULT_RECORDS, budget: int = DEFAULT_BUDGET) -> Any:
    """The value that `data` holds.

    `records` says how dataclasses and models arrive: "dict" (the host's default) as plain dicts, "typed" (the guest's)
    as instances of a dataclass made for their type name and fields. `budget` bounds the bytes of memory that the value
    may take. Where a map without special keys repeats a key, the last one counts. Raises MalformedValue, and nothing
    else, for whatever is wrong.
    """
    try:
        if type(data) is not bytes:
            data = memoryview(data).tobytes()
        if len(data) > MAX_DEPTH:
            _check_bulk(data, budget)
        if 255 in data and may_hold_timestamp(data):
            return _decode_guarded(data, records, budget)
        return unpackb(data, ext_hook=_on_plain_extension, strict_map_key=False, unicode_errors="surrogatepass")
    except _NeedsGuard:
        return _second_pass(data, records, budget)
    except Exception as error:
        raise _malformed(error) from None


class _NeedsGuard(Exception):
    """The message holds an extension that the first, quick pass does not read."""


def _on_plain_extension(code: int, data: bytes) -> Any:
    reader = KEYED.get(code)
    if reader is not None:
        return reader(data)
    if code == codes.ARRAY and arrays.loaded() is not None:
        return arrays.read_array(data)
    raise _NeedsGuard


def _check_bulk(data: bytes, budget: int) -> None:
    """What a message too long to be harmless must pass before it is parsed."""
    check_budget(data, budget // 2)  # the other half is for arrays that become lists
    if is_too_deep(data):
        raise MalformedValue(f"nested more than {MAX_DEPTH} levels deep")


def _second_pass(data: bytes | memoryview, records: Records, budget: int) -> Any:
    try:
        return _decode_guarded(data, records, budget)
    except Exception as error:
        raise _malformed(error) from None


def _decode_guarded(data: bytes | memoryview, records: Records, budget: int) -> Any:
    guarded = Guarded(typed=records == "typed", room=budget // 2)
    value = unpackb(
        data,
        ext_hook=guarded.on_extension,
        list_hook=guarded.on_array,
        object_pairs_hook=guarded.on_map,
        strict_map_key=False,
        unicode_errors="surrogatepass",
    )
    return guarded.finish(value)


def _malformed(error: Exception) -> MalformedValue:
    """The cause in words; nothing of the message itself, which may be large or hostile."""
    if isinstance(error, MalformedValue):
        return error
    return MalformedValue(f"not a value: {type_name(type(error))}: {str(error)[:200]}")
