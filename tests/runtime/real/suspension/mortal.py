"""A process that forks another one for each line that it reads, and kills it after so many seconds as the line says.

The other one resumes the program. Imports are done before the fork, so that a short life is spent on cycles; no
engine exists yet at that time. Written are ``saved N`` once stop N is in the store for good, and ``gone`` when the
child has ended.
"""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from cloche import FolderStore, Result, Sandbox, SnapshotNotFound, Suspended, tool
from cloche.runtime._files import write_atomically


@tool
def ask(x: int) -> int:
    """Ask a person."""
    raise RuntimeError("this tool must be waited for")


def say(text: str) -> None:
    """Write a line at once and whole."""
    os.write(1, f"{text}\n".encode())


def live(folder: Path) -> None:
    """Do one cycle after another: what was saved is read again from the store, answered, and saved at its next stop."""
    box, store = Sandbox(tools=[ask]), FolderStore(folder / "store")
    try:
        now: Result[object] | Suspended | None = box.restore(store.get("program")).suspended
    except SnapshotNotFound:
        now = box.session().start((folder / "code.py").read_text(), step=True)
        assert isinstance(now, Suspended)
        store.put("program", now.snapshot())
    while isinstance(now, Suspended):
        say(f"saved {now.calls[0].args[0]}")
        paused = box.restore(store.get("program")).suspended
        assert paused is not None
        now = paused.resume({call.id: 10 * call.args[0] for call in paused.calls})
        if isinstance(now, Suspended):
            store.put("program", now.snapshot())
    assert now is not None
    write_atomically(folder / "result", repr((now.unwrap(), now.stdout, now.usage.calls)).encode())


def main(folder: Path) -> None:
    """Fork, wait, kill; again for each line."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            born(folder)
        time.sleep(float(line))
        # Even if it has ended, its number is not given away before it was waited for.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        say("gone")


def born(folder: Path) -> NoReturn:
    """Live, and end without what the parent would do at its end."""
    try:
        live(folder)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


main(Path(sys.argv[1]))
