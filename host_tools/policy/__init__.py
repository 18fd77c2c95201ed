"""What tools may be called for, how often, and by whose leave; and a record of every call."""

from cloche.host_tools.policy.constraints import at_most, between, longest, matching, one_of
from cloche.host_tools.policy.denial import ToolDenied, ToolTimedOut
from cloche.host_tools.policy.guarded import GuardedTools
from cloche.host_tools.policy.planned import PlannedCall
from cloche.host_tools.policy.rate import Rate
from cloche.host_tools.policy.rules import Approval, Policy, Retry
from cloche.host_tools.policy.scope import Scope

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
    "longest",
    "matching",
    "one_of",
]
