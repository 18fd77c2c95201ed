"""Calling a tool for the guest: counted, recorded, and answered with bytes whatever the tool does."""

from typing import Any

from cloche.runtime.bridge.loops import Settled
from cloche.runtime.bridge.protocol import error_reply, value_reply
from cloche.runtime.dispatch import Dispatcher, UnknownTool
from cloche.runtime.errors import CallsExceeded
from cloche.runtime.events import ToolFinished, ToolStarted
from cloche.runtime.result import ToolCallRecord
from cloche.runtime.running.run_state import RunState, now
from cloche.runtime.values import UnserializableError, ValueCodecError
from cloche.runtime.wasm.signals import is_from_signal

__all__ = ["ToolCalls", "error_text", "start_call"]

_RECORDED = 64 << 20
"""Encoded bytes of arguments and values that one run's records may keep alive on the host."""
_LONGEST_NAME = 200


class ToolCalls:
    """The tool calls of one run."""

    def __init__(self, tools: Dispatcher, run: RunState) -> None:
        self.tools = tools
        self.run = run
        self._recorded = 0

    def begin(self, name: str, args: list[Any], kwargs: dict[str, Any], size: int, started: float) -> ToolCallRecord:
        """Count a call and open its record. Ends the run when it is one call too many."""
        run = self.run
        run.calls_made += 1
        most = run.limits.calls
        if most is not None and run.calls_made > most:
            run.stop(CallsExceeded(run.calls_made, most))
        record = ToolCallRecord(name, args, kwargs, started)
        run.calls.append(record)
        self._recorded += size
        if self._recorded > _RECORDED:
            record.trim()
        if run.listener is not None:
            run.emit(ToolStarted(record))
        return record

    def finish(self, record: ToolCallRecord, settled: Settled, id: int | None = None) -> bytes:
        """Close the record and return the encoded reply: to CALL, or one item of WAIT's where there is an ``id``."""
        # Not by its truth: an exception's class may say that it is empty.
        if settled.error is not None:
            return self.failed(record, settled.error, id)
        return self.returned(record, settled.value, id)

    def returned(self, record: ToolCallRecord, value: Any, id: int | None = None) -> bytes:
        """Like :meth:`finish`, for a call that returned a value."""
        try:
            reply = value_reply(value, id=id, limit=self.run.limits.result)
        except Exception as error:
            # Not only the codec's errors: a value's own methods run while it is encoded.
            return self.failed(record, error, id)
        record.value = value
        # As ``end`` and ``_tell`` do, without the calls.
        if record.outcome == "running":
            record.outcome, record.seconds = "returned", now() - record.started
        self._recorded += len(reply)
        if self._recorded > _RECORDED or self.run.listener is not None:
            self._tell(record)
        return reply

    def failed(self, record: ToolCallRecord, error: BaseException, id: int | None = None) -> bytes:
        """Like :meth:`finish`, for a call that raised, or was refused."""
        record.error = error
        record.end("raised", now() - record.started)
        reply = error_reply(*error_text(error, record.name, self.run.limits.message), id=id)
        self._recorded += len(reply)
        self._tell(record)
        return reply

    def _tell(self, record: ToolCallRecord) -> None:
        if self._recorded > _RECORDED:
            record.trim()
        if self.run.listener is not None:
            self.run.emit(ToolFinished(record))

    def drop(self, record: ToolCallRecord) -> None:
        """Close the record of a call that nobody waits for any more."""
        record.end("cancelled", now() - record.started)
        if self.run.listener is not None:
            self.run.emit(ToolFinished(record))


def start_call(tools: Dispatcher, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call the tool and return its value or its awaitable; or Settled, with the error, if it raised.

    What a signal's handler raises while a tool runs on the main thread, such as KeyboardInterrupt, is the user's and
    goes through; anything else a tool raises is the guest's, be it SystemExit.
    """
    try:
        return tools.call(name, args, kwargs)
    except BaseException as error:
        if is_from_signal(error):
            raise
        return Settled(None, error)


def error_text(error: BaseException, tool: str, most: int) -> tuple[str, str]:
    """Return the type name and the message that the guest may see, and no more of the exception than that."""
    if isinstance(error, UnknownTool):
        return "NameError", str(error)[:most]
    if isinstance(error, ValueCodecError):
        kind = "TypeError" if isinstance(error, UnserializableError) else "ValueError"
        return kind, f"the tool {tool!r} returned a value that cannot be sent: {error}"[:most]
    name, message = getattr(error, "guest_type", None), getattr(error, "guest_message", None)
    if type(name) is str and type(message) is str:
        return name[:_LONGEST_NAME], message[:most]
    return type(error).__name__, _message(error)[:most]


def _message_of_os(error: OSError) -> str:
    # Its text holds the host's file names; a lone text in one of Python's own classes is what the tool's author wrote.
    if isinstance(error.strerror, str):
        return error.strerror
    written = type(error).__module__ == "builtins" and len(error.args) == 1 and type(error.args[0]) is str
    return error.args[0] if written else ""


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        return _message_of_os(error)
    try:
        return str(error)
    except Exception:
        return ""
