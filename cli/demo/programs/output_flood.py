# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Print without end."""

while True:
    print("all work and no play makes a dull program " * 100)
