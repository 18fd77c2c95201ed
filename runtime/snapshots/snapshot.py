"""A session as a value: immutable bytes, and what they say of themselves."""

import os
from contextlib import suppress
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
from cloche.runtime.snapshots.format import (
    SnapshotFacts,
    check_seal,
    join_parts,
    parse_parts,
    put_pieces_back,
    set_pieces_apart,
)
from cloche.runtime.values import MalformedValue, decode, encode
from cloche.runtime.wasm.signals import deferred

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

    __slots__ = ("_data", "_parts", "_read", "_sealed")

    def __init__(self, data: bytes) -> None:
        self._data = data
        *self._parts, self._sealed = parse_parts(data)
        self._read: tuple[SnapshotFacts, bytes] | None = None

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> "Snapshot":
        """Return the snapshot of these bytes.

        Raises SnapshotCorrupt where they are none, cut off or changed, SnapshotMismatch for another format. The seal
        is checked where the snapshot is used, by the key that is given there, or with :meth:`check`. What a snapshot
        says of itself is read only after that, or when one of its properties is asked for; these raise SnapshotCorrupt
        where it was forged.
        """
        return cls(bytes(data))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Snapshot":
        """Return the snapshot in a file. Raises OSError, or like :meth:`from_bytes`."""
        return cls(Path(path).read_bytes())

    @classmethod
    def make(cls, facts: SnapshotFacts, body: bytes, key: bytes | None = None) -> "Snapshot":
        """Return a snapshot of these parts, sealed if there is a key; for the layers below only."""
        snapshot, pieces = cls.__new__(cls), list[bytes]()
        plain = facts.as_plain()
        if facts.suspension is not None:
            plain["suspension"] = set_pieces_apart(facts.suspension, pieces)
        snapshot._data = join_parts(encode(plain, where="snapshot"), body, key, pieces)
        snapshot._parts, snapshot._sealed, snapshot._read = [], key is not None, (facts, body)
        return snapshot

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snapshot to a file, of which there is the old or the new content at any time. Raises OSError."""
        write_atomically(Path(path), self._data)

    def check(self, *, key: bytes | None = None, tenant: str | None = None) -> None:
        """Raise SnapshotMismatch unless it is sealed with this key (or, without one, not sealed) and this tenant's.

        A snapshot without a tenant fits only where no tenant is asked for.
        """
        # The seal first: until it fits, not even the header is worth the work.
        check_seal(self._data, self.is_sealed, key)
        if self.facts.tenant != tenant:
            raise SnapshotMismatch("tenant", _whose(self.facts.tenant), _whose(tenant))

    @property
    def facts(self) -> SnapshotFacts:
        """Its header. Raises SnapshotCorrupt, as all that is read from it does."""
        return self._content()[0]

    @property
    def body(self) -> bytes:
        """Its memory, packed. Raises SnapshotCorrupt."""
        return self._content()[1]

    @property
    def image(self) -> str:
        """The SHA-256 of the guest image that it fits, in hexadecimal."""
        return self.facts.image

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that the session had, sorted. A restored one has those of its sandbox."""
        return self.facts.tools

    @property
    def memory(self) -> int:
        """Bytes of linear memory that a restored guest has."""
        return self.facts.size

    @property
    def spent(self) -> Spent:
        """What the session had used in all its runs."""
        return self.facts.spent

    @property
    def budget(self) -> SessionBudget | None:
        """What it may use in all its runs, or None for no bound."""
        return self.facts.budget

    @property
    def tenant(self) -> str | None:
        """Whose it is, or None."""
        return self.facts.tenant

    @property
    def is_sealed(self) -> bool:
        """Whether it was sealed with a key."""
        return self._sealed

    @property
    def is_suspended(self) -> bool:
        """Whether a program in it waits for tool calls."""
        return self.facts.suspension is not None

    @property
    def calls(self) -> tuple[SuspendedCall, ...]:
        """The tool calls that the program in it waits for, to show to whoever answers them; empty if none waits.

        What it says is as good as the snapshot: with a key, call :meth:`check` first. Raises SnapshotCorrupt.
        """
        return suspended_calls(self.facts.suspension)

    def _content(self) -> tuple[SnapshotFacts, bytes]:
        if self._read is None:
            self._read = _content_of(*self._parts)
        return self._read

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
        notes = ["sealed"] * self.is_sealed
        with suppress(SnapshotCorrupt):
            notes = [f"{self.spent.runs} runs", *["suspended"] * self.is_suspended, *notes]
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


def _content_of(header: bytes, body: bytes) -> tuple[SnapshotFacts, bytes]:
    """Return the facts in a header, and the body without what belongs to them."""
    with deferred():
        try:
            facts = SnapshotFacts.from_plain(decode(header))
            suspension, body = put_pieces_back(facts.suspension, body)
        except (MalformedValue, ValueError) as error:
            raise SnapshotCorrupt(f"it was made by something else: {error}") from None
    return facts if facts.suspension is None else facts.with_suspension(suspension), body


def _whose(tenant: str | None) -> str:
    return "no tenant" if tenant is None else f"the tenant {tenant!r}"
