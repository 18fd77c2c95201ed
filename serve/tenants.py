"""Tenants at work: whose key a request has, what each may still do, and what each has used."""

import base64
import hashlib
import hmac
import json
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from cloche.runtime.limits import Limits
from cloche.serve.config import Quotas, ServerConfig, TenantConfig, derived_key, hash_key
from cloche.serve.forms import Problem
from cloche.serve.ledger import SessionLedger, Statement

__all__ = ["Bucket", "Tenant", "Tenants"]

_MAX_TOKEN = 2_048
_LATENCIES = 2_048


class Bucket:
    """A rate with a burst: what is taken comes back by the second. It may be overdrawn where costs are known late."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._level, self._at = burst, time.monotonic()

    def level(self) -> float:
        """Return what is there now."""
        now = time.monotonic()
        self._level, self._at = min(self.burst, self._level + (now - self._at) * self.rate), now
        return self._level

    def take(self, amount: float = 1.0) -> float:
        """Take it and return 0; or take nothing and return the seconds until it would be there."""
        level = self.level()
        if level < amount:
            return (amount - level) / self.rate
        self._level -= amount
        return 0.0

    def charge(self, amount: float) -> None:
        """Take it, if need be by overdrawing."""
        self.level()
        self._level -= amount


class Tenant:
    """One tenant as the server sees it now: its bounds, and what it has and uses."""

    def __init__(self, name: str, config: TenantConfig, secret: bytes, ledger: SessionLedger) -> None:
        self.name = name
        self.seal = derived_key(secret, "state", name)
        self._token_key = derived_key(secret, "token", name)
        self.running = self.live = 0
        """Runs in progress, and sessions in workers."""
        self.is_counted = True
        self._ledger = ledger
        self.stored_sessions, self.stored_bytes = ledger.stored(name)
        self.latencies: deque[float] = deque(maxlen=_LATENCIES)
        self.refused = 0
        today = ledger.usage(name, 1)
        self._date: int = _date()
        self._day: str = _today()
        current = today[0] if today and today[0]["day"] == self._day else {}
        self._used_fuel, self._used_calls = int(current.get("fuel", 0)), int(current.get("calls", 0))
        self.set(config)

    def set(self, config: TenantConfig) -> None:
        """Take a new configuration. Rates begin with their bursts full."""
        self.config = config
        quotas = config.quotas
        self.requests = Bucket(quotas.requests_per_second, max(quotas.requests_per_second, 1.0))
        self.creates = Bucket(quotas.creates_per_second, quotas.creates_burst)
        rate = quotas.fuel_per_second
        self.fuel = None if rate is None else Bucket(float(rate), float(rate))

    @property
    def quotas(self) -> Quotas:
        """Its quotas."""
        return self.config.quotas

    def recount(self) -> None:
        """Count anew the bytes in the store, if they may have become fewer."""
        if not self.is_counted:
            self.stored_bytes, self.is_counted = self._ledger.stored(self.name)[1], True

    def admit_request(self) -> None:
        """Raise Problem where it sends more requests than it may."""
        self._need(self.requests.take(), "requests_per_second", self.quotas.requests_per_second)

    def admit_create(self, count: int = 1) -> None:
        """Raise Problem where it may have no more sessions, or not so fast."""
        if self.stored_sessions + count > self.quotas.sessions:
            self._refuse("sessions", self.quotas.sessions, 60.0, "delete sessions, or let them end")
        self.check_stored()
        self._need(self.creates.take(count), "creates_per_second", self.quotas.creates_per_second)

    def check_stored(self) -> None:
        """Raise Problem where its states take more than they may."""
        if self.stored_bytes > self.quotas.stored_bytes:
            self._refuse("stored_bytes", self.quotas.stored_bytes, 60.0, "delete sessions or snapshots")

    def admit_run(self, limits: Limits) -> Limits:
        """Return the limits for a run, within what is left for today. Raises Problem. Ended by :meth:`ended_run`."""
        quotas = self.quotas
        if self.running >= quotas.concurrent_runs:
            self._refuse("concurrent_runs", quotas.concurrent_runs, 1.0, "wait for runs in progress")
        if self.fuel is not None and (level := self.fuel.level()) <= 0:
            self._need((1.0 - level) / self.fuel.rate, "fuel_per_second", quotas.fuel_per_second)
        self._turn_day()
        changes: Any = {}
        if quotas.fuel_per_day is not None:
            left = quotas.fuel_per_day - self._used_fuel
            if left <= 0:
                self._refuse("fuel_per_day", quotas.fuel_per_day, _until_tomorrow(), "wait, or ask for a larger quota")
            if limits.fuel is None or limits.fuel > left:
                changes["fuel"] = left
        if quotas.calls_per_day is not None:
            left = max(0, quotas.calls_per_day - self._used_calls)
            if limits.calls is None or limits.calls > left:
                changes["calls"] = left
        self.running += 1
        return limits.replace(**changes) if changes else limits

    def ended_run(self) -> None:
        """Take note that a run that was admitted is over."""
        self.running -= 1

    def charged(self, fuel: int, wall: float, runs: int, calls: int, output: int, creates: int = 0) -> Statement:
        """Count what was used, and return what keeps it: written with the state that came of it."""
        self._turn_day()
        self._used_fuel += fuel
        self._used_calls += calls
        if self.fuel is not None:
            self.fuel.charge(fuel)
        return (
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, day) DO UPDATE SET "
            "fuel = fuel + excluded.fuel, wall = wall + excluded.wall, runs = runs + excluded.runs, "
            "calls = calls + excluded.calls, output = output + excluded.output, creates = creates + excluded.creates",
            (self.name, self._day, fuel, wall, runs, calls, output, creates),
        )

    def token(self, content: dict[str, Any], life: float) -> str:
        """Return a token for this tenant: what it says, signed, for so many seconds."""
        body = json.dumps({**content, "exp": int(time.time() + life)}, separators=(",", ":")).encode()
        return f"{_text(body)}.{_text(hmac.digest(self._token_key, body, 'sha256'))}"

    def read_token(self, token: str) -> dict[str, Any]:
        """Return what a token says. Raises Problem for one that is not this tenant's, was changed, or is too old."""
        try:
            text, _, seal = token.partition(".") if len(token) <= _MAX_TOKEN else ("", "", "")
            body = _bytes(text)
            if not hmac.compare_digest(hmac.digest(self._token_key, body, "sha256"), _bytes(seal)):
                raise ValueError(token)
            content: dict[str, Any] = json.loads(body)
        except ValueError:
            # As for a session of someone else: it says nothing about whether it was ever good.
            raise Problem(404, "not_found", "there is no suspended run of this token") from None
        if content["exp"] < time.time():
            raise Problem(410, "token_expired", "the token has expired", remedy="ask for the session's suspended run")
        return content

    def _turn_day(self) -> None:
        date = _date()
        if date != self._date:
            self._date, self._day, self._used_fuel, self._used_calls = date, _today(), 0, 0

    def _need(self, wait: float, quota: str, limit: float | None) -> None:
        if wait > 0:
            self._refuse(quota, limit, wait, "send fewer, or wait")

    def _refuse(self, quota: str, limit: float | None, wait: float, remedy: str) -> None:
        self.refused += 1
        raise Problem(
            429,
            "quota_exceeded",
            f"the tenant's quota {quota} of {limit:,} is used up",
            cause="a quota of the tenant",
            remedy=remedy,
            retry_after=max(wait, 0.001),
            quota=quota,
            limit=limit,
        )


class Tenants:
    """All tenants, by key and by name. Set anew when the configuration is; what was counted stays."""

    def __init__(self, config: ServerConfig, secret: bytes, ledger: SessionLedger) -> None:
        self._secret, self._ledger = secret, ledger
        self._known: dict[str, Tenant] = {}
        self._by_key: dict[str, tuple[str, Tenant]] = {}
        self.set(config)

    def set(self, config: ServerConfig) -> None:
        """Take a new configuration: tenants and keys that are not in it are not served any more."""
        known: dict[str, Tenant] = {}
        for name, each in config.tenants.items():
            tenant = self._known.get(name)
            if tenant is None:
                tenant = Tenant(name, each, self._secret, self._ledger)
            elif tenant.config != each:
                tenant.set(each)
            known[name] = tenant
        self._known = known
        self._by_key = {key: (key, tenant) for tenant in known.values() for key in tenant.config.keys}

    def of_key(self, key: str) -> Tenant | None:
        """Return the tenant of a key.

        The key's hash is looked up, of which an attacker controls no prefix, and compared in constant time.
        """
        hashed = hash_key(key)
        found, tenant = self._by_key.get(hashed, ("", None))
        return tenant if hmac.compare_digest(found, hashed) else None

    def named(self, name: str) -> Tenant | None:
        """Return a tenant by its name."""
        return self._known.get(name)

    def __iter__(self) -> Any:
        return iter(self._known.values())


def digest_of(*parts: Any) -> str:
    """Return a short digest of a request, to tell whether two of one id are the same."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _date() -> int:
    return int(time.time() // 86_400)


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


def _until_tomorrow() -> float:
    return 86_400 - time.time() % 86_400


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
