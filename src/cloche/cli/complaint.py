"""What the person at the keyboard got wrong."""

__all__ = ["Complaint"]


class Complaint(Exception):
    """A problem to show as one message, without a traceback; the command then ends with exit code 2."""
