# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Call a tool that nobody registered."""

delete_all_customers(confirm=True)
