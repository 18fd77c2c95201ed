# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Wait for something that never happens."""

done = False
while not done:
    pass
