"""A session as a value: immutable bytes, and what they say of themselves."""

import os
from pathlib import Path
from typing import Any

from cloche.runtime._files import write_atomically
from cloche.runtime.bridge.pending import SuspendedCall, suspended_calls
from cloche.runtime.bridge.protocol import ABI
from cloche.runtime.errors import SnapshotCorrupt, SnapshotMismatch, bytes_text
from cloche.runtime.limits import SessionBudget, Spent
from cloche.runtime.machine_api import MachineSource
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.snapshots.delta import MalformedDelta, unpack
from cloche.runtime.snapshots.format import SnapshotFacts, check_seal, join_parts, parse_parts
from cloche.runtime.values import MalformedValue, decode, encode

__all__ = ["Snapshot", "checkpoint_of"]

_WASM_PAGE = 1 << 16


class Snapshot:
    """A session between two runs, or one that waits for tool calls: what its memory holds beyond the image, and how
    its limits, clock and seed stand.

    Made by :meth:`Session.snapshot`; ``bytes(snapshot)`` gives what any process can make one of again, with
    :meth:`from_bytes`. Nothing of the host is in it, but everything that its program knows: values, files, what tools
    returned, and the sandbox's seed. It is not encrypted, and without a key anyone can make one.

    Two snapshots are equal if their bytes are.
    """

    __slots__ = ("_body", "_data", "_facts", "_sealed")

    def __init__(self, data: bytes) -> None:
        self._data = data
        header, self._body, self._sealed = parse_parts(data)
        self._facts = _facts(header)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> "Snapshot":
        """Return the snapshot of these bytes.

        Raises SnapshotCorrupt where they are none, cut off or changed, SnapshotMismatch for another format. The seal
        is checked where the snapshot is used, by the key that is given there, or with :meth:`check`.
        """
        return cls(bytes(data))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Snapshot":
        """Return the snapshot in a file. Raises OSError, or like :meth:`from_bytes`."""
        return cls(Path(path).read_bytes())

    @classmethod
    def make(cls, facts: SnapshotFacts, body: bytes, key: bytes | None = None) -> "Snapshot":
        """Return a snapshot of these parts, sealed if there is a key; for the layers below only."""
        snapshot = cls.__new__(cls)
        snapshot._data = join_parts(encode(facts.as_plain(), where="snapshot"), body, key)
        snapshot._body, snapshot._sealed, snapshot._facts = body, key is not None, facts
        return snapshot

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snapshot to a file, of which there is the old or the new content at any time. Raises OSError."""
        write_atomically(Path(path), self._data)

    def check(self, *, key: bytes | None = None, tenant: str | None = None) -> None:
        """Raise SnapshotMismatch unless it is sealed with this key (or, without one, not sealed) and this tenant's.

        A snapshot without a tenant fits only where no tenant is asked for.
        """
        check_seal(self._data, self.is_sealed, key)
        if self._facts.tenant != tenant:
            raise SnapshotMismatch("tenant", _whose(self._facts.tenant), _whose(tenant))

    @property
    def facts(self) -> SnapshotFacts:
        """Its header."""
        return self._facts

    @property
    def body(self) -> bytes:
        """Its memory, packed."""
        return self._body

    @property
    def image(self) -> str:
        """The SHA-256 of the guest image that it fits, in hexadecimal."""
        return self._facts.image

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that the session had, sorted. A restored one has those of its sandbox."""
        return self._facts.tools

    @property
    def memory(self) -> int:
        """Bytes of linear memory that a restored guest has."""
        return self._facts.size

    @property
    def spent(self) -> Spent:
        """What the session had used in all its runs."""
        return self._facts.spent

    @property
    def budget(self) -> SessionBudget | None:
        """What it may use in all its runs, or None for no bound."""
        return self._facts.budget

    @property
    def tenant(self) -> str | None:
        """Whose it is, or None."""
        return self._facts.tenant

    @property
    def is_sealed(self) -> bool:
        """Whether it was sealed with a key."""
        return self._sealed

    @property
    def is_suspended(self) -> bool:
        """Whether a program in it waits for tool calls."""
        return self._facts.suspension is not None

    @property
    def calls(self) -> tuple[SuspendedCall, ...]:
        """The tool calls that the program in it waits for, to show to whoever answers them; empty if none waits.

        What it says is as good as the snapshot: with a key, call :meth:`check` first. Raises SnapshotCorrupt.
        """
        return suspended_calls(self._facts.suspension)

    def __bytes__(self) -> bytes:
        return self._data

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and self._data == other._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, (self._data,)

    def __repr__(self) -> str:
        notes = [f"{self.spent.runs} runs", *["suspended"] * self.is_suspended, *["sealed"] * self.is_sealed]
        return f"<Snapshot {bytes_text(len(self))}, {', '.join(notes)}>"


def checkpoint_of(snapshot: Snapshot, source: MachineSource) -> Checkpoint:
    """Return the memory of a snapshot of this image. Raises SnapshotMismatch or SnapshotCorrupt."""
    facts = snapshot.facts
    if facts.abi != ABI:
        raise SnapshotMismatch("abi", f"version {facts.abi}", f"version {ABI}")
    if facts.image != source.digest:
        raise SnapshotMismatch("image", facts.image[:12], f"{source.digest[:12]} (SHA-256)")
    if facts.size < source.min_memory or facts.size % _WASM_PAGE or facts.stack_pointer > facts.size:
        raise SnapshotCorrupt("it was made by something else: its memory has an impossible size")
    try:
        pieces = unpack(snapshot.body, source.pristine(), facts.size)
    except MalformedDelta as error:
        raise SnapshotCorrupt(f"it was made by something else: {error}") from None
    return Checkpoint(pieces, facts.size, facts.stack_pointer)


def _facts(header: bytes) -> SnapshotFacts:
    try:
        return SnapshotFacts.from_plain(decode(header))
    except (MalformedValue, ValueError) as error:
        raise SnapshotCorrupt(f"it was made by something else: {error}") from None


def _whose(tenant: str | None) -> str:
    return "no tenant" if tenant is None else f"the tenant {tenant!r}"
