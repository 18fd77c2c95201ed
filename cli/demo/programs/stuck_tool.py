# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Call a tool that does not come back in time."""

approve_refund(order=17)
