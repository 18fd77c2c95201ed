# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Recurse without end."""


def down(depth: int) -> int:
    return down(depth + 1) + 1


down(0)
