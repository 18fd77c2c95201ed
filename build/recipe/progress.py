"""Progress of long work: one line that rewrites itself on a terminal, and a plain log elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from recipe.workspace import BuildError

TAIL = 20


class Progress:
    """Reports `done` of `total` units of one step, at most ten times a second."""

    def __init__(self, label: str, total: int | None = None, out: TextIO | None = None) -> None:
        self.label, self.total, self.done = label, total, 0
        self.out = out or sys.stderr
        self.began = self.shown = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Count n units."""
        self.done += n
        if self.out.isatty() and time.monotonic() - self.shown > 0.1:
            self.shown = time.monotonic()
            self.out.write(f"\r\x1b[K{self._line()}")
            self.out.flush()

    def _line(self) -> str:
        count = f" {self.done}" + (f"/{max(self.total, self.done)}" if self.total else "") if self.done else ""
        return f"{self.label:<34}{count:>12}  {time.monotonic() - self.began:6.1f} s"

    def finish(self) -> None:
        """Print the last line for good."""
        self.out.write(("\r\x1b[K" if self.out.isatty() else "") + self._line() + "\n")
        self.out.flush()


@contextmanager
def progress(label: str, total: int | None = None) -> Generator[Progress]:
    """Show progress while the block runs."""
    shown = Progress(label, total)
    if not shown.out.isatty():
        print(f"{label} ...", file=shown.out, flush=True)
    yield shown
    shown.finish()


def run(argv: Sequence[str | Path], log: Path, *, cwd: Path, env: Mapping[str, str], shown: Progress) -> None:
    """Run a command, its output to `log`, each line a unit of progress.

    Raises `BuildError` with the log's last lines if it fails.
    """
    line_by_line = subprocess.Popen(
        [str(a) for a in argv], cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with log.open("a") as file, line_by_line as process:
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            shown.advance()
    if process.returncode:
        tail = "\n".join(log.read_text().splitlines()[-TAIL:])
        raise BuildError(f"{Path(argv[0]).name} failed with status {process.returncode}; log: {log}\n{tail}")
