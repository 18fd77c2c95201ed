"""Records as lines of JSON."""

import json
import os
import threading
from dataclasses import asdict
from os import PathLike

from cloche.host_tools.call_log.record import CallRecord

__all__ = ["JsonLinesLog", "read_json_lines"]


class JsonLinesLog:
    """Appends each record to a file as one line; a call has two, the second with its end.

    Each line is written whole, so several processes may append to one file. The file is made readable by its
    owner only. ``sync`` waits until each line is on the disk (default: no).
    """

    def __init__(self, path: str | PathLike[str], *, sync: bool = False) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._sync = sync
        self._lock = threading.Lock()

    def write(self, record: CallRecord) -> None:
        """Append a record. Raises OSError, also where the disk is full or the log is closed."""
        line = json.dumps(asdict(record), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._lock:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes of a record could be written")
            if self._sync:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file. Safe to call twice; writing afterwards raises OSError."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def read_json_lines(path: str | PathLike[str]) -> list[CallRecord]:
    """Return the records of a file, the latest of each call, in the order in which the calls began.

    A last line that was cut off, by a crash while it was written, is left out.
    """
    records: dict[str, CallRecord] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                record = CallRecord(**json.loads(line))
                records[record.id] = record
    return list(records.values())
