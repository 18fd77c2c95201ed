"""A key that does not show itself."""

__all__ = ["Secret"]

_SHORTEST = 4


class Secret:
    """Holds a key. Its repr, its text and pickles of it do not."""

    __slots__ = ("_key",)

    def __init__(self, key: str | None) -> None:
        self._key = key or ""

    def reveal(self) -> str:
        """Return the key."""
        return self._key

    def hidden_in(self, text: str) -> str:
        """Return the text with the key in it replaced by ``***``: providers repeat keys in their errors."""
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST else text

    def __bool__(self) -> bool:
        return bool(self._key)

    def __repr__(self) -> str:
        return "Secret(***)" if self._key else "Secret()"

    def __reduce__(self) -> tuple[type["Secret"], tuple[None]]:
        return (Secret, (None,))
