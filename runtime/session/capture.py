"""From a guest to a snapshot, from there to another guest, and from one guest to its twin."""

import hashlib
from typing import Any
from weakref import WeakKeyDictionary

from cloche.runtime.bridge.environment import Environment
from cloche.runtime.bridge.protocol import ABI
from cloche.runtime.dispatch import Dispatcher
from cloche.runtime.errors import SnapshotMismatch
from cloche.runtime.machine_api import Machine
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.snapshots.delta import pack
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts
from cloche.runtime.snapshots.snapshot import Snapshot, checkpoint_of
from cloche.runtime.values import encode

__all__ = ["make_twin", "restore_guest", "take_snapshot"]


def take_snapshot(
    guest: SessionGuest,
    *,
    key: bytes | None = None,
    tenant: str | None = None,
    suspension: dict[str, Any] | None = None,
) -> Snapshot:
    """Return a snapshot of a guest that stands still. Raises SessionClosed if it cannot be brought back to do so."""
    machine = guest.ready().machine
    body = pack(machine.view(), guest.source.pristine(), machine.written())
    return Snapshot.make(_facts(guest, machine, tenant, suspension), body, key)


def restore_guest(guest: SessionGuest, snapshot: Snapshot) -> None:
    """Let a guest that has not run yet continue from a snapshot.

    Raises SnapshotMismatch or SnapshotCorrupt, before anything is loaded.
    """
    facts = snapshot.facts
    if facts.size > guest.memory:
        raise SnapshotMismatch("memory", f"{facts.size} bytes", f"no more than Limits(memory={guest.memory})")
    checkpoint = checkpoint_of(snapshot, guest.source)
    guest.spent = facts.spent
    guest.budget = facts.budget if guest.budget is None else guest.budget
    guest.environment.resume(facts.world)
    guest.resume_at(checkpoint, facts.told.caps, facts.told.tools == _fingerprint(guest.tools))


def make_twin(guest: SessionGuest, checkpoint: Checkpoint) -> SessionGuest:
    """Return another guest in the state of this one. Raises SessionClosed if there is no room for it."""
    environment = Environment(None, None)
    environment.resume(guest.environment.state())
    other = SessionGuest(guest.source, guest.tools, environment, guest.memory, guest.keeps, guest.budget)
    other.resting = guest.resting
    other.spent = guest.spent
    other.resume_at(checkpoint, *guest.known())
    return other


def _facts(
    guest: SessionGuest, machine: Machine, tenant: str | None, suspension: dict[str, Any] | None
) -> SnapshotFacts:
    caps, knows_tools = guest.known()
    # How long a run took differs each time; it is left out where everything else is repeatable and nothing bounds it.
    timeless = guest.environment.is_repeatable and (guest.budget is None or guest.budget.time is None)
    return SnapshotFacts(
        image=guest.source.digest,
        abi=ABI,
        size=machine.memory_size(),
        stack_pointer=machine.stack_pointer,
        tools=tuple(sorted(spec["name"] for spec in guest.tools.specs())),
        spent=guest.spent._replace(time=0.0) if timeless else guest.spent,
        budget=guest.budget,
        world=guest.environment.state(),
        told=KnownFacts(caps, _fingerprint(guest.tools) if knows_tools else None),
        tenant=tenant,
        suspension=suspension,
    )


_fingerprints: "WeakKeyDictionary[Dispatcher, tuple[int, str]]" = WeakKeyDictionary()
"""By dispatcher, the version of its tools and their digest: with many tools it takes longer than all else here."""


def _fingerprint(tools: Dispatcher) -> str:
    """Return a digest of what a guest knows about its tools."""
    version = tools.version()
    try:
        known = _fingerprints.get(tools)
        if known is None or known[0] != version:
            known = _fingerprints[tools] = version, _digest(tools)
        return known[1]
    except TypeError:
        # A dispatcher of its own kind, which cannot be hashed or referred to weakly.
        return _digest(tools)


def _digest(tools: Dispatcher) -> str:
    return hashlib.sha256(encode(tools.specs(), where="tools")).hexdigest()
