# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Collect ten megabytes at a time until nothing is left."""

hoard = []
while True:
    hoard.append(bytes(10_000_000))
