"""Notes kept on the host."""

from cloche.host_tools import Tool, tool

__all__ = ["Memo"]


class Memo:
    """Notes that outlive the sandbox's programs."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    def tools(self) -> list[Tool]:
        """Return the tools that read and write this memo."""

        @tool(blocking=False)
        def memo_set(key: str, text: str) -> None:
            """Keep a text under a key."""
            self._notes[key] = text

        @tool(blocking=False)
        def memo_get(key: str) -> str:
            """Return the text kept under a key; KeyError if there is none."""
            return self._notes[key]

        @tool(blocking=False)
        def memo_list() -> list[str]:
            """Return the keys in alphabetical order."""
            return sorted(self._notes)

        return [memo_set, memo_get, memo_list]
