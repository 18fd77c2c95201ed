"""msgpack's names. It ships no types, so it is imported by name, once, and typed here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

_msgpack: Any = import_module("msgpack")

Packer: Final[Callable[..., Any]] = _msgpack.Packer
Unpacker: Final[Callable[..., Any]] = _msgpack.Unpacker
unpackb: Final[Callable[..., Any]] = _msgpack.unpackb
ExtType: Final[Any] = _msgpack.ExtType
Timestamp: Final[Any] = _msgpack.Timestamp
StackError: Final[type[Exception]] = _msgpack.StackError
