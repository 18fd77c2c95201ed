"""Keeping what some tools are given, and answer, out of a recording."""

from collections.abc import Collection
from typing import Any

from cloche.runtime.bridge.protocol import Call, Op, Start, Wait, is_list, parse_call
from cloche.runtime.dispatch import ToolSpec
from cloche.runtime.errors import ConfigurationError, ProtocolError
from cloche.runtime.recording.events import Asked
from cloche.runtime.values import decode, encode

__all__ = ["HIDDEN", "Redaction"]

HIDDEN = "[redacted]"
"""What stands in a recording in place of a secret."""
_CALL, _START = 0, 1


class Redaction:
    """What to hide: the names of tools, of which all arguments and answers are hidden, and ``tool.argument``s.

    One is used for one session: it remembers whose answers are still awaited.
    """

    def __init__(self, names: Collection[str]) -> None:
        if isinstance(names, str) or not all(name and "." not in name[:1] for name in names):
            raise ConfigurationError("redact", "write a list of tools' names, or of 'tool.argument'")
        self._tools = {name for name in names if "." not in name}
        self._arguments = {tuple(name.rsplit(".", 1)) for name in names if "." in name}
        self._positions: dict[str, list[str]] = {}
        self._awaited: set[int] = set()
        self._waiting: set[int] = set()

    def learn(self, specs: list[ToolSpec]) -> None:
        """Take note of the tools' parameters, so that an argument is found wherever it stands."""
        self._waiting.clear()
        self._positions = {spec["name"]: [parameter[0] for parameter in spec["params"]] for spec in specs}

    def event(self, frame: bytes, reply: bytes | None) -> Asked:
        """Return a call frame and its reply as they may be recorded."""
        if not self._tools and not self._arguments:
            return Asked(frame, reply, False)
        try:
            message = parse_call(frame)
        except ProtocolError:
            return Asked(frame, reply, False)
        if isinstance(message, Call | Start):
            return self._call(message, frame, reply)
        return self._waited(frame, reply) if isinstance(message, Wait) else Asked(frame, reply, False)

    def resumption(self, request: bytes) -> bytes:
        """Return a request to resume a program, with the answers to secret calls hidden; another one as it is."""
        if not self._waiting:
            return request
        message: Any = decode(request)
        if message[0] != Op.RESUME:
            return request
        answers = [_hidden_item(item) if item[0] in self._waiting else item for item in message[1]]
        self._waiting.difference_update(item[0] for item in answers)
        return encode([message[0], answers, message[2]])

    def shown(self, frame: bytes) -> bytes:
        """Return a call frame as :meth:`event` would record it."""
        return self.event(frame, None).frame

    def _call(self, call: Call | Start, frame: bytes, reply: bytes | None) -> Asked:
        secret = call.name in self._tools
        args, kwargs = ([HIDDEN], {}) if secret else self._without(call)
        hidden = secret or args != call.args or kwargs != call.kwargs
        if secret and reply is not None and self._waits(reply):
            return Asked(self._secret(call), reply, hidden)
        if isinstance(call, Start):
            self._awaited.update([call.id] * secret)
            shown = [_START, call.id, call.name, args, kwargs]
        else:
            shown: list[Any] = [_CALL, call.name, args, kwargs]
            reply = _hide(reply) if secret and reply is not None else reply
        return Asked(encode(shown) if hidden else frame, reply, hidden)

    def _waits(self, reply: bytes) -> bool:
        """Return whether a secret call waits, and remember it."""
        message: Any = decode(reply)
        waits: bool = message[0] == 2
        self._waiting.update([message[1]] * waits)
        return waits

    def _secret(self, call: Call | Start) -> bytes:
        nothing: dict[str, Any] = {}
        if isinstance(call, Start):
            return encode([_START, call.id, call.name, [HIDDEN], nothing])
        return encode([_CALL, call.name, [HIDDEN], nothing])

    def _without(self, call: Call | Start) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments with those that are to be hidden hidden."""
        names = self._positions.get(call.name, [])
        padded = [*names, *[""] * len(call.args)]
        args = [self._shown(call.name, name, value) for name, value in zip(padded, call.args, strict=False)]
        return args, {name: self._shown(call.name, name, value) for name, value in call.kwargs.items()}

    def _shown(self, tool: str, argument: str, value: Any) -> Any:
        return HIDDEN if (tool, argument) in self._arguments else value

    def _waited(self, frame: bytes, reply: bytes | None) -> Asked:
        if reply is None or not self._awaited:
            return Asked(frame, reply, False)
        message: Any = decode(reply)
        items = message[1] if is_list(message) and len(message) == 2 and is_list(message[1]) else []
        shown = [self._item(item) for item in items]
        return Asked(frame, encode([0, shown]), True) if shown != items else Asked(frame, reply, False)

    def _item(self, item: Any) -> Any:
        if item[0] not in self._awaited:
            return item
        self._awaited.discard(item[0])
        return _hidden_item(item)


def _hidden_item(item: Any) -> Any:
    return [item[0], 0, HIDDEN] if item[1] == 0 else [item[0], 1, item[2], HIDDEN]


def _hide(reply: bytes) -> bytes:
    message: Any = decode(reply)
    return encode([0, HIDDEN] if message[0] == 0 else [1, message[1], HIDDEN])
