"""A process that resumes a suspended program: from the file ``paused`` if there is one, else from ``code.py``.

It answers one stop and saves the next, or writes the file ``result``.
"""

import sys
from pathlib import Path

from tests.runtime.real.suspension.stopping import BOX, answered

from cloche import Result, Suspended
from cloche.runtime._files import write_atomically


def main(folder: Path) -> None:
    """Resume what is in the folder."""
    now = begun(folder)
    if isinstance(now, Suspended):
        now.snapshot().save(folder / "paused")
        return
    report = repr((now.unwrap(), now.stdout, now.usage.calls))
    write_atomically(folder / "result", report.encode())


def begun(folder: Path) -> "Result[object] | Suspended":
    """Take the next step: begin the program, or answer what it waits for."""
    if not (folder / "paused").exists():
        return BOX.session().start((folder / "code.py").read_text(), step=True)
    paused = BOX.restore((folder / "paused").read_bytes()).suspended
    assert paused is not None
    return answered(paused)


main(Path(sys.argv[1]))
