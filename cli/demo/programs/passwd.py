# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Read the host's user list."""

with open("/etc/passwd") as file:
    users = file.read()
users
