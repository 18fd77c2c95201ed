"""Where native libraries lie: nowhere."""


def find_library(name: str) -> None:
    """Return None: there is no such library in this sandbox."""
