"""Every error of Cloche, in one tree.

::

    ClocheError
    +-- GuestError                 what the guest did: found on ``result.error``, raised only by ``result.unwrap()``
    |   +-- GuestException         the program raised: type_name, message, traceback, line
    |   +-- UnserializableValue    the program's value cannot leave the sandbox: message
    |   +-- LimitExceeded          a limit was reached: used, limit
    |   |   +-- FuelExhausted      instructions
    |   |   +-- MemoryExceeded     bytes of linear memory
    |   |   +-- TimeExceeded       seconds of wall time, tool calls and sleeps included
    |   |   +-- OutputExceeded     bytes on one stream: stream, used, limit
    |   |   +-- CallsExceeded      tool calls in one run
    |   |   +-- ResultTooLarge     bytes of the encoded value
    |   |   +-- HostMemoryExceeded bytes of the host's memory, outside of the sandbox
    |   +-- StackOverflow          the WebAssembly stack ran out
    |   +-- GuestCrashed           a trap that no limit explains: reason
    |   +-- ProtocolError          a forged or damaged frame: detail
    |   +-- Interrupted            the caller stopped the run: reason
    +-- GuestVisibleError          what a tool's call raises in the program, as it is: guest_type, guest_message
    +-- CallerError                what the caller did: raised at once
        +-- ConfigurationError     (ValueError) a setting that cannot work: field, problem
        +-- SessionBusy            two callers at once
        |   +-- SessionSuspended   a program in the session waits for answers to its calls: calls
        +-- NotSuspended           answers for a program that no longer waits for them
        +-- CannotPause            a program that was not to be left, or not in time: reason
        +-- SessionClosed          used after its end: reason
        +-- BudgetSpent            a session has used what all its runs may use: what, used, limit
        +-- SnapshotError          a snapshot that was not restored
        |   +-- SnapshotCorrupt    (ValueError) not a snapshot, cut off or edited: problem
        |   +-- SnapshotMismatch   sound, but not for this sandbox or caller: what, found, expected
        |   +-- SnapshotNotFound   (KeyError) a store has none of that name: name
        |   +-- SnapshotBusy       another process or thread holds it: name, holder
        +-- RecordingError         (ValueError) a document that cannot be replayed: problem
        +-- ImageError             the guest image is missing, damaged or not loadable
        |   +-- ImageNotFound      there is none of that name or at that place: name, known
        |   +-- PackageRefused     a package cannot be part of an image: package, reason
        +-- BlockedTools           too many tools are stuck past their deadline: count, limit

Each error is made from the numbers it carries and builds its message from them, so every one of them
can be pickled, copied and compared by attribute.
"""

__all__ = [
    "BlockedTools",
    "BudgetSpent",
    "CallerError",
    "CallsExceeded",
    "CannotPause",
    "ClocheError",
    "ConfigurationError",
    "FuelExhausted",
    "GuestCrashed",
    "GuestError",
    "GuestException",
    "GuestVisibleError",
    "HostMemoryExceeded",
    "ImageError",
    "ImageNotFound",
    "Interrupted",
    "LimitExceeded",
    "MemoryExceeded",
    "NotSuspended",
    "OutputExceeded",
    "PackageRefused",
    "ProtocolError",
    "RecordingError",
    "ResultTooLarge",
    "SessionBusy",
    "SessionClosed",
    "SessionSuspended",
    "SnapshotBusy",
    "SnapshotCorrupt",
    "SnapshotError",
    "SnapshotMismatch",
    "SnapshotNotFound",
    "StackOverflow",
    "TimeExceeded",
    "UnserializableValue",
]


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def count_text(count: float) -> str:
    """Return a count with thousands separated: ``5,000,000``."""
    return f"{count:,.0f}"


def bytes_text(size: float) -> str:
    """Return a size in the largest binary unit that keeps it at least 1: ``1.5 MiB``, ``17 bytes``."""
    power = 0
    while size >= 1024 and power < len(_UNITS) - 1:
        size /= 1024
        power += 1
    return f"{size:.4g} {_UNITS[power]}"


class ClocheError(Exception):
    """The root of every error that Cloche raises or reports."""


class GuestError(ClocheError):
    """Something the program in the sandbox did. The host is unharmed and other runs are not affected."""


class GuestException(GuestError):
    """The program raised an exception that it did not catch.

    ``type_name`` is the exception's class name in the guest, ``message`` its text, ``traceback`` the guest's
    traceback with the program's own lines (may be empty) and ``line`` the program's line number, if known.
    All four are text made by the guest: show them, never interpret them.
    """

    def __init__(self, type_name: str, message: str = "", traceback: str = "", line: int | None = None) -> None:
        super().__init__(type_name, message, traceback, line)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        self.line = line

    def __str__(self) -> str:
        text = f"{self.type_name}: {self.message}" if self.message else self.type_name
        return text if self.line is None else f"{text} (line {self.line})"


class UnserializableValue(GuestError):
    """The program's value cannot leave the sandbox; ``message`` names its type and where it was found."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class LimitExceeded(GuestError):
    """A limit was reached and the run was ended. ``used`` and ``limit`` have the limit's own unit."""

    def __init__(self, used: float, limit: float) -> None:
        super().__init__(used, limit)
        self.used = used
        self.limit = limit


class FuelExhausted(LimitExceeded):
    """The run used all its fuel. Unit: Wasmtime's fuel, roughly one per WebAssembly instruction."""

    def __str__(self) -> str:
        return (
            f"the program used {count_text(self.used)} units of fuel and the limit is {count_text(self.limit)}: "
            "give it less work per run, or raise Limits(fuel=...)"
        )


class MemoryExceeded(LimitExceeded):
    """The program asked for more memory than it may have, and did not recover. Unit: bytes.

    ``used`` is what it had when it ended: the request that was refused is not part of it.
    """

    def __str__(self) -> str:
        return (
            f"the program needed more memory than the limit of {bytes_text(self.limit)} "
            f"(it held {bytes_text(self.used)}): work on smaller pieces, or raise Limits(memory=...)"
        )


class TimeExceeded(LimitExceeded):
    """The run took longer than its wall time, which includes tool calls and sleeps. Unit: seconds.

    ``doing`` says what it was waiting for, for example ``"the tool 'search'"``; empty while the program computed.
    """

    def __init__(self, used: float, limit: float, doing: str = "") -> None:
        super().__init__(used, limit)
        self.args = (used, limit, doing)
        self.doing = doing

    def __str__(self) -> str:
        doing = f" while it waited for {self.doing}" if self.doing else ""
        return (
            f"the program ran for {self.used:.3g} s{doing} and the limit is {self.limit:.3g} s: "
            "give it less work per run, or raise Limits(time=...)"
        )


class OutputExceeded(LimitExceeded):
    """The program wrote more than one stream may hold; what fitted is on the result. Unit: bytes.

    ``stream`` is ``"stdout"`` or ``"stderr"``.
    """

    def __init__(self, stream: str, used: float, limit: float) -> None:
        super().__init__(used, limit)
        self.args = (stream, used, limit)
        self.stream = stream

    def __str__(self) -> str:
        return (
            f"the program wrote {bytes_text(self.used)} to {self.stream} and the limit is {bytes_text(self.limit)}: "
            "print less, or raise Limits(output=...)"
        )


class CallsExceeded(LimitExceeded):
    """The program called tools more often than one run may. Unit: calls."""

    def __str__(self) -> str:
        return (
            f"the program made tool call number {count_text(self.used)} and the limit is {count_text(self.limit)}: "
            "call tools less often per run, or raise Limits(calls=...)"
        )


class ResultTooLarge(LimitExceeded):
    """The program's last value is too large to leave the sandbox. Unit: encoded bytes.

    ``used`` is the limit itself where the guest stopped counting at it.
    """

    def __str__(self) -> str:
        return (
            f"the value takes more than {bytes_text(self.limit)}, the limit for one result: "
            "return a summary or write a file, or raise Limits(result=...)"
        )


class HostMemoryExceeded(LimitExceeded):
    """The run would have taken more of the host's memory than it may, outside of its own linear memory. Unit: bytes.

    Counted are the values that it sends, as they are on this side: arguments of calls, those that wait included,
    answers that it has not taken, its output and its own value. ``used`` is how much it was when counting stopped.
    """

    def __str__(self) -> str:
        return (
            f"the values that the program sends take {bytes_text(self.used)} or more of the host's memory and the "
            f"limit is {bytes_text(self.limit)}: send fewer and flatter ones, or raise Limits(host_memory=...)"
        )


class StackOverflow(GuestError):
    """The WebAssembly stack ran out: recursion in C code that Python's own recursion limit did not stop."""

    def __str__(self) -> str:
        return self.args[0] if self.args else "the program recursed deeper than the stack: nest it less deeply"


class GuestCrashed(GuestError):
    """The guest trapped and no limit explains it, for example ``unreachable`` after a fatal error.

    ``reason`` is what the engine says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the guest crashed ({self.reason}): its interpreter was discarded, the next run has a sound one"


class ProtocolError(GuestError):
    """The guest sent a frame that the protocol does not know: the program forged it, or damaged its interpreter.

    ``detail`` says what was wrong with it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"the guest broke the bridge protocol: {self.detail}"


class Interrupted(GuestError):
    """The caller stopped the run, with ``session.interrupt()`` or by cancelling the awaiting task."""

    def __init__(self, reason: str = "the caller interrupted the run") -> None:
        super().__init__(reason)
        self.reason = reason


class GuestVisibleError(ClocheError):
    """Raised by the host when a program calls a tool, and read by that program as it is.

    There it is an exception of the class ``guest_type`` with the text ``guest_message``. Of any other exception the
    program sees the name of its class and its text; of an OSError, whose text may hold the host's file names, only
    ``strerror``.
    """

    guest_type = "RuntimeError"

    @property
    def guest_message(self) -> str:
        """What the program reads: the error's own text, which must hold nothing of the host."""
        return str(self)


class CallerError(ClocheError):
    """The caller asked for something that cannot be done; nothing was run."""


class ConfigurationError(CallerError, ValueError):
    """A setting cannot work. ``field`` names it and ``problem`` says what to write instead."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class SessionBusy(CallerError):
    """A session was used while another caller's run was in progress."""

    def __str__(self) -> str:
        return (
            self.args[0]
            if self.args
            else ("this session is running for another caller: wait for that run, or give each caller its own session")
        )


class SessionSuspended(SessionBusy):
    """A session was used while a program in it is suspended. ``calls`` describes what that program waits for."""

    def __init__(self, calls: str) -> None:
        super().__init__(calls)
        self.calls = calls

    def __str__(self) -> str:
        return (
            f"a program in this session is suspended and waits for {self.calls}: resume it, or cancel it "
            "with suspended.cancel()"
        )


class NotSuspended(CallerError):
    """A suspended program was resumed a second time, or its session went on without it. Nothing was run."""

    def __str__(self) -> str:
        return (
            "this program no longer waits for answers: it was resumed or cancelled; "
            "use what resume() returned, or restore a snapshot"
        )


class CannotPause(CallerError):
    """The program in progress was not paused; it continues. ``reason`` says why, and what stands in the way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the program was not paused: {self.reason}"


class SessionClosed(CallerError):
    """A session was used after its end. ``reason`` says what ended it."""

    def __init__(self, reason: str = "it was closed") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"this session has ended ({self.reason}): make a new one with Sandbox.session()"


class BudgetSpent(CallerError):
    """A session has used what all its runs together may use. ``what`` is ``"fuel"``, for example; nothing was run."""

    def __init__(self, what: str, used: float, limit: float) -> None:
        super().__init__(what, used, limit)
        self.what = what
        self.used = used
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"the session has used {self.used:,} of its {self.limit:,} {self.what}: give it a larger "
            f"SessionBudget({self.what}=...), or begin a new session"
        )


class SnapshotError(CallerError):
    """A snapshot was not restored, and nothing of it was loaded."""


class SnapshotCorrupt(SnapshotError, ValueError):
    """These bytes are not a snapshot, or not all of one, or were changed. ``problem`` says which."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"this snapshot cannot be used: {self.problem}"


class SnapshotMismatch(SnapshotError):
    """A sound snapshot that is not for this sandbox or this caller.

    ``what`` is ``"image"``, ``"abi"``, ``"format"``, ``"key"``, ``"tenant"`` or ``"memory"``; ``found`` is what the
    snapshot has and ``expected`` what is needed, as text to show; neither says anything of a key.
    """

    def __init__(self, what: str, found: str, expected: str) -> None:
        super().__init__(what, found, expected)
        self.what = what
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"this snapshot does not fit, by its {self.what}: it has {self.found}, and this needs {self.expected}"


class SnapshotNotFound(SnapshotError, KeyError):
    """A store has no snapshot of that ``name``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no snapshot named {self.name!r}"


class SnapshotBusy(SnapshotError):
    """Another thread or process works with a snapshot and holds its lock in the store. Nothing was run.

    ``name`` is the snapshot's name, and ``holder`` the number of the process that holds it, or None.
    """

    def __init__(self, name: str, holder: int | None = None) -> None:
        super().__init__(name, holder)
        self.name = name
        self.holder = holder

    def __str__(self) -> str:
        who = "another session" if self.holder is None else f"process {self.holder}"
        return (
            f"{who} is working with {self.name!r}: wait until that is done, or end it, and then look at what the "
            "program waits for before you answer"
        )


class RecordingError(CallerError, ValueError):
    """A document that is not a recording, or one that this image cannot replay. ``problem`` says which."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class ImageError(CallerError):
    """The guest image is missing, damaged, or cannot be loaded by this version of the engine."""


class ImageNotFound(ImageError):
    """There is no image of this ``name``, or at this place; ``known`` are the names of those that there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        there = f"there are {', '.join(self.known)}" if self.known else "there are none"
        return f"there is no image {self.name!r} here ({there}): cloche image build makes one"


class PackageRefused(ImageError):
    """A ``package`` cannot be part of an image, for this ``reason``."""

    def __init__(self, package: str, reason: str) -> None:
        super().__init__(package, reason)
        self.package = package
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.package} cannot be part of an image: {self.reason}"


class BlockedTools(CallerError):
    """Too many tools of earlier runs are still stuck past their deadline, each holding a thread.

    ``count`` of them, and ``limit`` is how many this process keeps.
    """

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(count, limit)
        self.count = count
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.count} tools are stuck past their run's deadline and {self.limit} is the limit: "
            "give these tools timeouts of their own, or make them coroutine functions, which can be cancelled"
        )
