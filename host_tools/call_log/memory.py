"""Records in memory."""

import threading

from cloche.host_tools.call_log.record import CallRecord

__all__ = ["MemoryLog"]


class MemoryLog:
    """Keeps the latest ``most`` records (default 10,000)."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._records: dict[str, CallRecord] = {}

    @property
    def records(self) -> list[CallRecord]:
        """The records, in the order in which the calls began."""
        with self._lock:
            return list(self._records.values())

    def write(self, record: CallRecord) -> None:
        """Keep a record; the oldest makes room."""
        with self._lock:
            self._records[record.id] = record
            if len(self._records) > self._most:
                del self._records[next(iter(self._records))]
