"""Configurations, keys, quotas and tokens; and the ledger that they count in."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve.servers import write_config

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.serve.forms import Problem
from cloche.serve.ledger.base import SessionLedger, SessionRow, StoreFailed, drop_state, put_state
from cloche.serve.tenants import (
    Bucket,
    ServerConfig,
    Tenant,
    TenantConfig,
    Tenants,
    hash_key,
    load_config,
    new_key,
    read_secret,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SessionLedger]:
    made = SessionLedger(tmp_path / "store")
    yield made
    made.close()


def tenant(ledger: SessionLedger, **settings: Any) -> Tenant:
    config = TenantConfig(keys=(hash_key("ck"),), **settings)
    return Tenant("north", config, b"s" * 32, ledger)


def test_a_configuration_is_read_with_places_beside_it(tmp_path: Path) -> None:
    write_config(tmp_path, {"a": {"limits": {"time": 5}, "quotas": {"stored_bytes": "1 MiB"}}})
    config = load_config(tmp_path / "cloche.toml")
    assert config.store == tmp_path / "store"
    assert config.tenants["a"].default_limits.time == 5
    assert config.tenants["a"].quotas.stored_bytes == 1 << 20


def test_the_environment_sets_fields_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path)
    monkeypatch.setenv("CLOCHE_SERVE_PORT", "8123")
    assert load_config(tmp_path / "cloche.toml").port == 8123


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 99999", "port"),
        ("prot = 1", "prot"),
        ("=", "TOML"),
        ('[tenants.a]\nkeys = ["ck_plain"]', "hash"),
        (f'[tenants.a]\nkeys = ["{hash_key("k")}"]\nlimits = {{speed = 1}}', "speed"),
        (f'[tenants.a]\nkeys = ["{hash_key("k")}"]\n[tenants.b]\nkeys = ["{hash_key("k")}"]', "same key"),
        (f'[tenants."A b"]\nkeys = ["{hash_key("k")}"]', "pattern"),
        ('tls_key = "k"', "together"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_field(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load_config(tmp_path / "c.toml")


def test_limits_are_clamped_and_lower_ones_are_allowed() -> None:
    config = TenantConfig(keys=(hash_key("k"),), limits={"fuel": 10}, ceilings={"fuel": 100, "time": 20})
    assert config.clamped({}).fuel == 10
    assert [config.clamped({"fuel": fuel}).fuel for fuel in (5, 50, 500, None)] == [5, 50, 100, 100]
    assert config.clamped({"time": None}).time == 20


def test_keys_are_found_by_their_hash_only(ledger: SessionLedger) -> None:
    first, second = new_key(), new_key()
    config = ServerConfig(tenants={"a": TenantConfig(keys=(hash_key(first), hash_key(second)))})
    tenants = Tenants(config, b"s" * 32, ledger)
    assert tenants.of_key(first) is tenants.of_key(second) is tenants.named("a")
    assert [
        tenants.of_key(key) for key in ("", first[:-1], hash_key(first), "\ud800x".encode("utf-8", "replace").decode())
    ] == [None] * 4
    tenants.set(ServerConfig(tenants={"a": TenantConfig(keys=(hash_key(second),))}))
    assert tenants.of_key(first) is None
    assert tenants.of_key(second) is tenants.named("a")


def test_a_bucket_says_when_to_come_back() -> None:
    bucket = Bucket(10.0, 2.0)
    assert [bucket.take(), bucket.take()] == [0.0, 0.0]
    assert 0 < bucket.take() <= 0.1
    bucket.charge(100)
    assert bucket.level() < -90


def test_quotas_refuse_with_their_name(ledger: SessionLedger) -> None:
    one = tenant(
        ledger,
        quotas={
            "concurrent_runs": 1,
            "sessions": 1,
            "fuel_per_day": 100,
            "creates_per_second": 0.001,
            "creates_burst": 1,
        },
    )
    assert one.admit_run(Limits()).fuel == 100
    with pytest.raises(Problem, match="concurrent_runs"):
        one.admit_run(Limits())
    one.ended_run()
    one.charged(100, 0.0, 1, 0, 0)
    with pytest.raises(Problem, match="fuel_per_day") as caught:
        one.admit_run(Limits())
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 86_400
    one.admit_create()
    with pytest.raises(Problem, match="creates_per_second"):
        one.admit_create()


def test_fuel_that_was_used_too_fast_is_paid_off(ledger: SessionLedger) -> None:
    one = tenant(ledger, quotas={"fuel_per_second": 1_000})
    one.admit_run(Limits())
    one.charged(10_000, 0.0, 1, 0, 0)
    with pytest.raises(Problem, match="fuel_per_second") as caught:
        one.admit_run(Limits())
    assert caught.value.retry_after is not None
    assert 7 < caught.value.retry_after < 9.1


def test_a_token_is_one_tenants_and_expires(ledger: SessionLedger) -> None:
    north = tenant(ledger)
    south = Tenant("south", north.config, b"s" * 32, ledger)
    token = north.token({"s": "x"}, 60)
    assert north.read_token(token)["s"] == "x"
    for forged in (token[:-1], token + "A", "", ".", "A" * 3000, token.partition(".")[0], "\udcff." + token):
        with pytest.raises(Problem, match="no suspended run"):
            north.read_token(forged)
    with pytest.raises(Problem, match="no suspended run"):
        south.read_token(token)
    with pytest.raises(Problem, match="expired"):
        north.read_token(north.token({"s": "x"}, -5))


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    assert read_secret(tmp_path) == read_secret(tmp_path)
    assert (tmp_path / "secret").stat().st_mode & 0o77 == 0


# The ledger.


def row(id: str, tenant: str = "north", state: str | None = None) -> SessionRow:
    now = time.time()
    return SessionRow(id, tenant, now, now, now + 60, "{}", state, 0, None, 0, None)


_INSERT = "add_session"


def test_what_waits_at_the_same_time_shares_a_commit(ledger: SessionLedger) -> None:
    async def main() -> None:
        await asyncio.gather(*(ledger.write([(_INSERT, tuple(row(f"s{each}")))]) for each in range(100)))

    asyncio.run(main())
    assert len(ledger.sessions("north", "", 200)) == 100
    assert ledger.commits < 60


def test_a_statement_that_fails_takes_no_other_request_along(ledger: SessionLedger) -> None:
    async def main() -> list[Any]:
        orders: list[list[Any]] = [
            [(_INSERT, tuple(row("a")))],
            [("add_snapshot", ("of another shape",))],
            [(_INSERT, tuple(row("b")))],
        ]
        return await asyncio.gather(*(ledger.write(order) for order in orders), return_exceptions=True)

    outcomes = asyncio.run(main())
    assert [type(outcome) for outcome in outcomes] == [type(None), StoreFailed, type(None)]
    assert [each.id for each in ledger.sessions("north", "", 9)] == ["a", "b"]


def test_a_state_is_stored_once_and_goes_with_its_last_owner(ledger: SessionLedger) -> None:
    name, put = put_state("north", b"bytes")
    assert put_state("south", b"bytes")[0] != name

    async def main() -> None:
        await ledger.write([put, put, (_INSERT, tuple(row("a", state=name))), (_INSERT, tuple(row("b", state=name)))])
        assert ledger.stored("north") == (2, 5)
        await ledger.write([("remove_session", ("a",)), *drop_state(name)])
        assert ledger.state(name) == b"bytes"
        await ledger.write([("remove_session", ("b",)), *drop_state(name)])

    asyncio.run(main())
    assert ledger.state(name) is None


def test_one_server_at_a_time_uses_a_store(ledger: SessionLedger, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use"):
        SessionLedger(tmp_path / "store")


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    ledger = SessionLedger(tmp_path)
    ledger.post([(_INSERT, tuple(row("a")))])
    ledger.close()
    again = SessionLedger(tmp_path)
    assert [each.id for each in again.sessions("north", "", 9)] == ["a"]
    again.close()
    assert not any(thread.name == "ledger" for thread in threading.enumerate())
