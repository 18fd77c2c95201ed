"""The built-in module through which the guest's Python reaches the host."""

from collections.abc import Callable, Generator
from contextvars import Context
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn, overload

def call(frame: bytes, /) -> bytes:
    """Send one call frame to the host and return its answer."""

def ask(prefix: bytes, args: tuple[Any, ...], kwargs: dict[str, Any], cap: int | None, /) -> Any:
    """Send ``prefix``, ``args`` and ``kwargs`` as one call frame and return the value that the host replied.

    ``()`` if nothing was sent, because an argument is not plain, the frame takes more than ``cap`` bytes, or there are
    threads;
    ``(reply,)`` if the reply is an error or not plain. A plain value is never a tuple.
    """

def pack(before: bytes, value: object, after: bytes, cap: int | None, /) -> bytes | None:
    """Encode a plain value between two pieces of a message; None if it is not plain, or above ``cap`` bytes."""

def unpack(data: bytes, /) -> Any:
    """Decode a plain value; NotImplemented if it is not one."""

def substitute(functions: dict[str, Callable[..., Any]], reduce: object, /) -> None:
    """Have builtins call these functions in their place. For the bake only."""

def begin_count() -> int:
    """Have the frames below no longer count for the limit of recursion; return how many they are."""

def end_count(below: int, /) -> None:
    """Have these count again."""

def uncount() -> None:
    """Say that a substitute ends, whose frame does not count as the program's."""

def sort_by(items: list[Any], keys: list[Any], reverse: bool, /) -> None:
    """Sort items by their keys, as ``list.sort`` does."""

class Sum:
    """What ``sum()`` does, item by item."""

    def add(self, item: object, /) -> None:
        """Add an item; not to be used again where this raises."""
    def value(self) -> Any:
        """Return the sum so far."""

def begin_sum(start: object, /) -> Sum:
    """Return a sum that begins with ``start``."""

def begin_dict() -> Sum:
    """Return what ``dict()`` makes of pairs that are added."""

def begin_frozenset() -> Sum:
    """Return what ``frozenset()`` makes of members that are added."""

def begin_step(
    callback: object, args: tuple[Any, ...], make: Callable[[Any, list[Any]], Any], /
) -> Generator[Any] | None:
    """Begin what an asyncio task's callback does; return what to iterate over once, to resume its coroutine.

    None if the callback has to be called instead. ``make(coroutine, outcome)`` makes the iterator.
    """

def end_step(callback: object, args: tuple[Any, ...], yielded: object = ..., /) -> None:
    """End it with what the coroutine has yielded; without that, with what it has returned."""

def fail_step(callback: object, args: tuple[Any, ...], error: BaseException, own: int, /) -> None:
    """End it with what the coroutine has raised, without the first ``own`` frames of its traceback.

    Raises what is not the task's own affair.
    """

def compile(source: str, filename: str, /) -> CodeType:
    """Compile a program into code whose value is that of its last expression; ``await`` is allowed at the top level.

    Raises as the built-in ``compile``.
    """

def immortalize(objects: list[Any], /) -> None:
    """Never count references to these objects, and to all they refer to, again. For the bake only."""

def scrypt_mix(block: bytes, n: int, r: int, /) -> bytes:
    """Do ROMix of RFC 7914 on a block of 128 * r bytes. Raises ValueError, MemoryError."""

def settle(headroom: int, /) -> None:
    """Leave the holes of the object heap unused, and have so many free bytes behind it. For the bake only."""

def cluster(functions: list[FunctionType], /) -> None:
    """Give the functions copies of their code objects that lie side by side. For the bake only."""

def place(path: str, data: bytes, size: int, /) -> None:
    """Add a file to the image, by its path without the leading slash; unpacked it has ``size`` bytes, -1: as it is.

    For the bake only. Raises FileExistsError, MemoryError.
    """

def seal() -> None:
    """Make all files that there are the image's, and close the holes of its heap. For the bake only."""

def seed_later(generator: Any, /) -> None:
    """Have a ``random.Random`` seeded from the host's entropy when its first number is drawn. Raises TypeError."""

def write(stream: int, data: bytes, /) -> None:
    """Hand a piece of output to the host: stream 1 is stdout, 2 is stderr."""

def feed(data: bytes, /) -> None:
    """Let reading from file descriptor 0, and ``/dev/stdin``, give these bytes from now on."""

def duplicate(fd: int, to: int, /) -> int:
    """Return another descriptor of what ``fd`` has opened, ``to`` or a free one below 0. Raises OSError."""

def getrefcount(object: object, /) -> int:
    """Do what ``sys.getrefcount`` does on a 64-bit system."""

def get_terminal_size(fd: int = 1, /) -> NoReturn:
    """Say that there is no terminal."""

def reseed() -> None:
    """Have SQLite ask the host for new random numbers, if it has drawn any."""

def set_step(step: Callable[[bytes], bytes], /) -> None:
    """Make ``step`` the function that answers every request."""

def fs_limits(files: int, size: int, /) -> None:
    """Cap the files, and their bytes, that may be added to what the image holds."""

@overload
def suspend(response: bytes, /) -> bytes | None:
    """Answer the host's request with ``response``, and return its next one.

    Everything stays as it is until then. None at once where C code is on the stack: see :func:`blocked_at`.
    """

@overload
def suspend(request: tuple[object, float | None] | tuple[object, float | None, bool], /) -> bool:
    """Leave this thread until another one wakes it by this key (True), or for so many seconds (False).

    With True as a third part the thread waits for the host. Raises RuntimeError where nothing can ever wake it.
    """

def spawn(
    target: Callable[[], object],
    handle: object,
    daemon: bool,
    idle: Callable[[float | None], bool | BaseException],
    /,
) -> int:
    """Start a thread and return its number; what waits for ``handle`` is woken when it ends.

    ``idle`` is called when no thread can run, with the seconds until one can, if any: it returns whether something has
    come, or the exception to raise where nothing will. Raises RuntimeError if there are 512 threads.
    """

def unpark(key: object, /) -> bool:
    """Wake the first thread that waits for this key. Returns False if none does."""

def count_threads() -> int:
    """Return how many threads there are beside the main one."""

def is_alive(ident: int, /) -> bool:
    """Tell whether the thread of that number has not ended."""

def threads() -> list[tuple[int, FrameType | None, bool, bool, bool]]:
    """Return each thread's number and innermost frame, whether it waits without an end, has C code below, is a daemon.

    The main one is the first.
    """

def interrupt() -> None:
    """Have the main thread look at its signals, if it waits."""

def settle_threads(on: bool, /) -> None:
    """Let the main thread's wait end when no thread but daemons can do anything any more."""

def enter_context(context: Context, /) -> None:
    """Do what ``Context.run`` does at its beginning. Raises RuntimeError if it is entered already."""

def exit_context(context: Context, /) -> None:
    """Do what ``Context.run`` does at its end."""

def blocked_at() -> FrameType | None:
    """Return the frame that called the C code because of which :func:`suspend` returned None."""
