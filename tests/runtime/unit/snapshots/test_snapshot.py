import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.errors import ConfigurationError, SnapshotCorrupt, SnapshotError, SnapshotMismatch
from cloche.runtime.limits import SessionBudget, Spent
from cloche.runtime.snapshots import snapshot as snapshot_module
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts, join_parts
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.values import encode

KEY = bytes(range(32))
FACTS = SnapshotFacts(
    image="ab" * 32,
    abi=1,
    size=1 << 20,
    stack_pointer=4096,
    tools=("look", "save"),
    spent=Spent(3, 1_000, 0.25, 12, 2),
    budget=SessionBudget(runs=9, time=1.5),
    world=EnvironmentState(b"seed", 4, 1_000_000, 10, 0),
    told=KnownFacts({"files": 3}, None),
    tenant="acme",
    suspension={"calls": [[1, "look", ["x"], {}, 3]]},
)
PLAIN = Snapshot.make(FACTS, b"memory")
SEALED = Snapshot.make(FACTS, b"memory", KEY)


def test_bytes_and_back() -> None:
    again = Snapshot.from_bytes(bytearray(bytes(SEALED)))
    assert again == SEALED
    assert hash(again) == hash(SEALED)
    assert again.facts == FACTS
    assert again.body == b"memory"
    assert pickle.loads(pickle.dumps(again)) == SEALED  # noqa: S301


def test_what_it_says_of_itself() -> None:
    assert (SEALED.image, SEALED.tools, SEALED.memory) == ("ab" * 32, ("look", "save"), 1 << 20)
    assert (SEALED.tenant, SEALED.is_sealed, SEALED.is_suspended) == ("acme", True, True)
    assert (SEALED.spent, SEALED.budget) == (FACTS.spent, FACTS.budget)
    assert repr(PLAIN) == f"<Snapshot {len(PLAIN)} bytes, 3 runs, suspended>"


def test_save_and_load(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "one")
    assert Snapshot.load(tmp_path / "one") == PLAIN
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(position: int, change: int) -> None:
    data = bytearray(bytes(SEALED))
    data[position] ^= change
    with pytest.raises(SnapshotError):
        Snapshot.from_bytes(data).check(key=KEY, tenant="acme")


@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
def test_without_a_seal_the_checksum_finds_every_change(position: int, change: int) -> None:
    data = bytearray(bytes(PLAIN))
    data[position] ^= change
    with pytest.raises(SnapshotError):
        Snapshot.from_bytes(data)


@given(st.integers(0, len(SEALED) - 1))
def test_a_part_is_not_a_snapshot(length: int) -> None:
    with pytest.raises(SnapshotCorrupt, match=r"cut off|not a snapshot"):
        Snapshot.from_bytes(bytes(SEALED)[:length])


@given(st.binary(max_size=300))
def test_other_bytes_are_not_a_snapshot(data: bytes) -> None:
    with pytest.raises(SnapshotCorrupt):
        Snapshot.from_bytes(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a snapshot"),
        (b"hello, world", "not a snapshot"),
        (bytes(PLAIN)[:5], "5 bytes are not even its preface"),
        (bytes(PLAIN)[:-1], f"{len(PLAIN) - 1} of its {len(PLAIN)} bytes are here"),
        (bytes(PLAIN) + b"..", f"2 bytes follow its {len(PLAIN)}"),
        (bytes(PLAIN)[:-1] + b"\0", "its checksum does not fit"),
    ],
)
def test_the_error_says_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(SnapshotCorrupt, match=problem):
        Snapshot.from_bytes(data)


def test_another_format_is_named() -> None:
    data = bytearray(bytes(PLAIN))
    data[8] = 9
    with pytest.raises(SnapshotMismatch, match="version 9") as caught:
        Snapshot.from_bytes(data)
    assert caught.value.what == "format"


@pytest.mark.parametrize(
    ("snapshot", "key", "tenant", "what"),
    [
        (SEALED, KEY[::-1], "acme", "key"),
        (SEALED, None, "acme", "key"),
        (PLAIN, KEY, "acme", "key"),
        (SEALED, KEY, "other", "tenant"),
        (SEALED, KEY, None, "tenant"),
        (PLAIN, None, "other", "tenant"),
    ],
)
def test_wrong_key_and_other_tenant(snapshot: Snapshot, key: bytes | None, tenant: str | None, what: str) -> None:
    with pytest.raises(SnapshotMismatch) as caught:
        snapshot.check(key=key, tenant=tenant)
    assert caught.value.what == what


def test_the_right_key_and_tenant() -> None:
    SEALED.check(key=KEY, tenant="acme")
    PLAIN.check(tenant="acme")


def test_whoever_has_no_key_cannot_relabel_it() -> None:
    forged = bytes(Snapshot.make(SnapshotFacts(**_fields(tenant="other")), b"memory", bytes(32)))
    with pytest.raises(SnapshotMismatch, match="key"):
        Snapshot.from_bytes(forged).check(key=KEY, tenant="other")


@pytest.mark.parametrize("key", [b"", b"short", "text" * 8])
def test_a_weak_key_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="16 random bytes"):
        Snapshot.make(FACTS, b"", key)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("abi", -1),
        ("abi", True),
        ("size", 1 << 64),
        ("tools", ["a", 1]),
        ("spent", [1, 2, 3, 4, 5]),
        ("spent", [1, 2, -3.0, 4, 5]),
        ("spent", [1, 2]),
        ("budget", {"fuel": -1}),
        ("budget", {"what": 1}),
        ("world", [1, 0, None, 0, 0]),
        ("world", None),
        ("world", [None, 0, "", 0, 0]),
        ("told", [{"files": "x"}, None]),
        ("told", [None]),
        ("tenant", 4),
        ("suspension", []),
        ("image", b"bytes"),
    ],
)
def test_a_forged_header_is_refused(name: str, value: Any) -> None:
    plain = FACTS.as_plain() | {name: value}
    forged = Snapshot.from_bytes(join_parts(encode(plain), b""))
    with pytest.raises(SnapshotCorrupt, match=name):
        forged.check()
    assert repr(forged).startswith("<Snapshot ")


@pytest.mark.parametrize("header", [b"", b"\xc1", encode(None), encode({}), encode(FACTS.as_plain() | {"more": 1})])
def test_something_else_than_a_header_is_refused(header: bytes) -> None:
    with pytest.raises(SnapshotCorrupt, match="made by something else"):
        Snapshot.from_bytes(join_parts(header, b"")).check()


def test_long_pieces_of_a_suspended_program_stand_behind_the_memory() -> None:
    whole = {"calls": [[1, b"a" * 100, {"x": b"b" * 70}], [2, b"short"]], "out": b"c" * 1000, "no": None}
    made = Snapshot.make(SnapshotFacts(**_fields(suspension=whole)), b"memory", KEY)
    again = Snapshot.from_bytes(bytes(made))
    assert (again.facts.suspension, again.body) == (whole, b"memory")
    assert (made.facts, made.body) == (again.facts, again.body)
    header = int.from_bytes(bytes(made)[12:16], "little")
    assert header < len(encode(FACTS.as_plain())) + 100


@pytest.mark.parametrize("piece", [(7,), (-1,), (1, 2), (), ("x",), (1 << 70,), (True,), (None,)])
def test_a_forged_piece_is_refused(piece: Any) -> None:
    plain = FACTS.as_plain() | {"suspension": {"out": piece}}
    with pytest.raises(SnapshotCorrupt, match="made by something else"):
        _ = Snapshot.from_bytes(join_parts(encode(plain), b"memory")).facts


def test_until_the_seal_fits_not_even_the_header_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(header: bytes) -> Any:
        raise AssertionError("it was read")

    monkeypatch.setattr(snapshot_module, "decode", read)
    for data in (bytes(SEALED), bytes(PLAIN), join_parts(b"\x90" * 1_000_000, b"")):
        with pytest.raises(SnapshotMismatch, match="key"):
            Snapshot.from_bytes(data).check(key=KEY[::-1], tenant="acme")


def test_a_header_has_a_bound() -> None:
    with pytest.raises(ConfigurationError):
        Snapshot.make(SnapshotFacts(**_fields(tools=tuple(f"tool_{n:050}" for n in range(100_000)))), b"")
    with pytest.raises(SnapshotCorrupt, match="its header is larger"):
        Snapshot.from_bytes(b"\x93cloche\n\x02\0\0\0" + (5 << 20).to_bytes(4, "little") + bytes(5 << 20))


def _fields(**changes: Any) -> dict[str, Any]:
    return {name: getattr(FACTS, name) for name in FACTS.as_plain()} | changes
