"""Policies: which calls of tools are allowed, how many, with whose approval; and a record of every call."""

from cloche.host_tools.policy.guarded import GuardedTools
from cloche.host_tools.policy.policy import (
    Approval,
    PlannedCall,
    Policy,
    Rate,
    Retry,
    Scope,
    ToolDenied,
    ToolTimedOut,
    at_most,
    between,
    matching,
    max_length,
    one_of,
)

__all__ = [
    "Approval",
    "GuardedTools",
    "PlannedCall",
    "Policy",
    "Rate",
    "Retry",
    "Scope",
    "ToolDenied",
    "ToolTimedOut",
    "at_most",
    "between",
    "matching",
    "max_length",
    "one_of",
]
