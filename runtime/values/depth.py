"""How deep a message nests, read from its bytes by the C parser."""

from typing import Final

from .codes import MAX_DEPTH
from .wire import StackError, Unpacker

_PARSER_DEPTH: Final = 1024
"""Containers that msgpack's parser opens inside one another before it gives up."""

_PREFIX: Final = b"\x91" * (_PARSER_DEPTH - MAX_DEPTH)
"""Arrays of one item around the message, so that the parser gives up at our depth instead of its own."""

_NO_CONTAINER: Final = bytes(set(range(256)) - set(range(0x80, 0xA0)) - set(range(0xDC, 0xE0)))
_SHORT: Final = 4096


def is_too_deep(data: bytes) -> bool:
    """Whether the message nests deeper than MAX_DEPTH. Bytes that are no message at all count as shallow."""
    if len(data) <= MAX_DEPTH:  # a container costs a byte
        return False
    if len(data) <= _SHORT and len(data.translate(None, _NO_CONTAINER)) <= MAX_DEPTH:
        return False
    return _parser_gives_up(data)


def _parser_gives_up(data: bytes) -> bool:
    parser = Unpacker(max_buffer_size=0, read_size=len(data) + len(_PREFIX))
    parser.feed(_PREFIX)
    parser.feed(data)
    try:
        parser.skip()
    except StackError:
        return True
    except Exception:  # not a message: the decoder says so
        return False
    return False
