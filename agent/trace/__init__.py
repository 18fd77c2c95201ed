"""Run records read back: as text, and as a page with a timeline."""

from cloche.agent.trace.html import as_html
from cloche.agent.trace.reading import RecordError, TracedRun, read_record
from cloche.agent.trace.text import as_text

__all__ = ["RecordError", "TracedRun", "as_html", "as_text", "read_record"]
