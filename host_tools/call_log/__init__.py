"""Records of tool calls: who called what, with which arguments, and what came of it."""

from cloche.host_tools.call_log.json_lines import JsonLinesLog, read_json_lines
from cloche.host_tools.call_log.memory import MemoryLog
from cloche.host_tools.call_log.record import CallLog, CallOutcome, CallRecord
from cloche.host_tools.call_log.sqlite import SQLiteLog

__all__ = ["CallLog", "CallOutcome", "CallRecord", "JsonLinesLog", "MemoryLog", "SQLiteLog", "read_json_lines"]
