# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Call a tool that was not registered."""

delete_all_customers(confirm=True)
