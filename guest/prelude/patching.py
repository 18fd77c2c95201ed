"""Putting the sandbox's own parts in place of the standard library's."""

__all__ = ["put"]


def put(owner: object, **parts: object) -> None:
    """Set attributes of a module or class, whatever the types it declares for them."""
    for name, part in parts.items():
        setattr(owner, name, part)
