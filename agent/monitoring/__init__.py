"""Watching runs: on the terminal, in a file, as spans; and run records read back, as text and as a page."""

from cloche.agent.monitoring.trace_page import as_html
from cloche.agent.monitoring.traces import RecordError, TracedRun, as_text, read_record

__all__ = ["RecordError", "TracedRun", "as_html", "as_text", "read_record"]
