# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Loop for ever and catch whatever tries to end it."""

while True:
    try:
        while True:
            pass
    except BaseException:
        continue
