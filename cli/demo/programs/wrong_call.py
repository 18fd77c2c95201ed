# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Read the error of a wrong call, and call the tool as it wants to be called."""

try:
    distance = convert("twelve", "mile", "kilometre")
except (TypeError, ValueError) as error:
    print("first try:", error)
    distance = convert(12, "mile", "kilometre")
round(distance, 1)
