"""What tools returned, kept for a while: a call with the same arguments is then not made again."""

import copy
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple

from cloche.host_tools.tools import Tool
from cloche.runtime.bridge.host_memory import size_of
from cloche.runtime.values import ValueCodecError, encode

__all__ = ["KeptValue", "ResultCache"]

_MAX_KEPT = 1_000
_MAX_KEY = 1 << 20
_MAX_BYTES = 64 << 20
_MAX_VALUE = 4 << 20
_ENTRY = 1_024
"""Bytes that a kept value takes beside itself."""

Key = tuple[str, int, bytes]


class KeptValue(NamedTuple):
    """A value, when it was returned on the monotonic clock, and the tool, whose id would else be given to another.

    ``size`` is what it takes, in bytes.
    """

    value: Any
    since: float
    tool: Tool
    size: int


class ResultCache:
    """The values of up to 1,000 calls and 64 MiB, the ones used last. Safe to use from several threads.

    Values are copied on their way in and out, so that changing one changes no other. What cannot be copied or takes
    more than 4 MiB, and calls whose arguments cannot cross into a guest or are larger than 1 MiB, are not kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, KeptValue] = OrderedDict()
        self._size = 0

    def key(self, name: str, tool: Tool, arguments: Mapping[str, Any]) -> Key | None:
        """Return what tells the call from others; None for one that cannot be kept."""
        try:
            # Not the arguments themselves: a program chooses how large they are.
            return name, id(tool), hashlib.sha256(encode(dict(arguments), limit=_MAX_KEY)).digest()
        except (ValueCodecError, TypeError, ValueError):
            return None

    def get(self, key: Key, seconds: float) -> KeptValue | None:
        """Return what is kept and not older than ``seconds``."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or monotonic() - kept.since > seconds:
                return None
            self._kept.move_to_end(key)
        return kept._replace(value=copy.deepcopy(kept.value))

    def keep(self, key: Key, tool: Tool, value: Any) -> None:
        """Keep a value, in place of the one used longest ago if there are too many."""
        try:
            size = _ENTRY + size_of(value, _MAX_VALUE)
            own = copy.deepcopy(value) if size <= _MAX_VALUE else None
        except Exception:  # whatever an object's own copying raises
            return
        if size > _MAX_VALUE:
            return
        with self._lock:
            before = self._kept.pop(key, None)
            self._size += size - (0 if before is None else before.size)
            self._kept[key] = KeptValue(own, monotonic(), tool, size)
            while len(self._kept) > _MAX_KEPT or self._size > _MAX_BYTES:
                self._size -= self._kept.popitem(last=False)[1].size
