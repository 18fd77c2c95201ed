"""The configuration file, and its tenants at work: keys and bounds, what each may still do, and what each has used.

TOML, every field checked when it is read; a field of the server itself can also be set by the environment, as
``CLOCHE_SERVE_PORT=8080``. Keys stand in it as hashes only: ``cloche serve --new-key`` makes one.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import time
import tomllib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import LIMITS, Limits, parse_size
from cloche.serve.forms import Problem
from cloche.serve.ledger.base import Change, ServerLedger, charge

__all__ = [
    "Bucket",
    "Durability",
    "Quotas",
    "ServerConfig",
    "Tenant",
    "TenantConfig",
    "Tenants",
    "digest_of",
    "hash_key",
    "load_config",
    "new_key",
    "read_secret",
]

Durability = Literal["run", "idle", "never"]
"""When a session's state is stored: before each answer; when it is parked, and at the server's end; or not at all."""

_MIB = 1 << 20


def _size(value: Any) -> Any:
    return parse_size("size", value, maximum=1 << 50, minimum=0) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""Bytes, as a number or as text like "64 MiB"."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
_KEY_PREFIX = "ck_"
_HASH = "sha256:"


def new_key() -> str:
    """Return a new key: 256 random bits behind a prefix that secret scanners can look for."""
    return _KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """Return a key as the configuration has it. The key itself has 256 random bits, so no slow hash is needed."""
    return _HASH + hashlib.sha256(key.encode()).hexdigest()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quotas(_Strict):
    """What a tenant may have and use. A request beyond one is answered with 429 and a Retry-After."""

    live_sessions: int = Field(default=100, ge=1)
    """Sessions in the memory of workers; those beyond are parked, the longest unused first."""
    sessions: int = Field(default=10_000, ge=1)
    """Sessions in all, parked ones included."""
    stored_bytes: Size = 1 << 30
    """Bytes of states in the store, each counted once."""
    creates_per_second: float = Field(default=100.0, gt=0)
    creates_burst: int = Field(default=200, ge=1)
    requests_per_second: float = Field(default=5_000.0, gt=0)
    concurrent_runs: int = Field(default=32, ge=1)
    fuel_per_second: int | None = Field(default=None, ge=1)
    """Units of fuel, on average: after a run beyond it, the next one has to wait until it is paid off."""
    fuel_per_day: int | None = Field(default=None, ge=1)
    """Units of fuel in a day of UTC; what is left bounds each run."""
    calls_per_day: int | None = Field(default=None, ge=0)


class TenantConfig(_Strict):
    """One tenant: its keys, bounds and tools."""

    keys: tuple[str, ...] = Field(min_length=1)
    """Hashes of its keys, ``sha256:...``; several, so that one can be replaced without a gap."""
    label: Name = "standard"
    """The class of the tenant in metrics, which name no tenants."""
    quotas: Quotas = Quotas()
    limits: dict[str, Any] = {}
    """A run's limits where the client asks for no others; see ``cloche.Limits``. Its time is 300 s here."""
    ceilings: dict[str, Any] = {}
    """What a client may ask for at most; by default the limits themselves."""
    durable: Durability = "run"
    idle: float = Field(default=60.0, gt=0)
    """Seconds without a request after which a session is parked."""
    max_idle: float = Field(default=3_600.0, gt=0)
    life: float = Field(default=3_600.0, gt=0)
    """Seconds after which a session is deleted, unless it is renewed."""
    max_life: float = Field(default=30 * 86_400.0, gt=0)
    weight: float = Field(default=1.0, gt=0)
    """Its share of computing beside the others."""
    tools: tuple[str, ...] = ()
    """Tools on the server: ``module:name``, or ``module`` for all that its ``__all__`` lists."""
    policies: str = ""
    """A dict of policies by tool, as ``module:NAME``."""
    agents: dict[Name, str] = {}
    """Agents by name, each as ``module:name`` of an agent, which is copied for each run, or of a function that returns
    a new one. They run in a process of their own."""
    mcp: tuple[Any, ...] = ()
    """MCP servers whose tools its programs may call: a URL, or a table with ``command`` and ``args``."""

    @model_validator(mode="after")
    def _check(self) -> "TenantConfig":
        for key in self.keys:
            digits = key.removeprefix(_HASH)
            if not key.startswith(_HASH) or len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
                raise ValueError("a key stands here as its hash, sha256: and 64 digits: make one with --new-key")
        unknown = (self.limits.keys() | self.ceilings.keys()) - LIMITS.keys()
        if unknown:
            raise ValueError(f"there is no limit {', '.join(sorted(unknown))}; there are {', '.join(LIMITS)}")
        _ = self.default_limits, self.ceiling_limits
        return self

    @cached_property
    def default_limits(self) -> Limits:
        """The limits of a run that asks for no others."""
        return _limits(self.limits)

    @cached_property
    def ceiling_limits(self) -> Limits:
        """The highest limits that a run can have."""
        return _limits({**self.limits, **self.ceilings})

    @cached_property
    def usual_limits(self) -> Limits:
        """The limits of a session that has asked for no others, within the ceilings."""
        return self.clamped({name: getattr(self.default_limits, name) for name in LIMITS})

    def clamped(self, asked: dict[str, Any]) -> Limits:
        """Return the limits for a run: what is asked for, as far as the ceilings allow. Raises ConfigurationError."""
        unknown = asked.keys() - LIMITS.keys()
        if unknown:
            raise ConfigurationError(sorted(unknown)[0][:40], f"there is no such limit; there are {', '.join(LIMITS)}")
        if not asked:
            return self.default_limits
        wanted, ceiling = self.default_limits.replace(**asked), self.ceiling_limits
        bounded: Any = {}
        for name in asked:
            want, top = getattr(wanted, name), getattr(ceiling, name)
            bounded[name] = top if want is None else want if top is None else min(want, top)
        return wanted.replace(**bounded)


def _limits(given: dict[str, Any]) -> Limits:
    usual: dict[str, Any] = {"time": 300.0}
    return Limits(**(usual | given))


class ServerConfig(BaseSettings):
    """The whole configuration; see ``docs/guides/serving.md`` for a file with every field."""

    model_config = SettingsConfigDict(env_prefix="CLOCHE_SERVE_", extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, lt=1 << 16)
    """0: one that the system chooses, which is printed."""
    store: Path = Path("cloche-store")
    """The folder of the ledger and of the server's secret; relative to the configuration file."""
    workers: int = Field(default=0, ge=0)
    """Worker processes; 0: one for each core."""
    worker_memory: Size = 2 << 30
    """Bytes of private memory that a worker may have: beyond, its sessions are parked and it takes no new ones."""
    max_live: int = Field(default=2_000, ge=1)
    """Sessions in a worker's memory at once."""
    max_body: Size = 16 * _MIB
    """Bytes of a request's body."""
    max_header: Size = 16_384
    """Bytes of a request's line and headers."""
    body_seconds: float = Field(default=30.0, gt=0)
    """Seconds in which a request's headers, and again its body, have to arrive."""
    grace: float = Field(default=20.0, gt=0)
    """Seconds between SIGTERM and the end, in which runs finish or are paused and sessions are stored."""
    quarantine: float = Field(default=300.0, gt=0)
    """Seconds that a session stays closed in whose runs two workers died, one after the other."""
    token_life: float = Field(default=7 * 86_400.0, gt=0)
    """Seconds that the token of a suspended run is valid, unless its session ends before."""
    ledger: str = ""
    """Where several nodes keep what survives, ``postgresql://...`` or ``redis://...``; empty: in the store, for one."""
    states: str = ""
    """Where the states' bytes are, a folder or what else fsspec reaches, ``s3://...``; empty: in the ledger."""
    states_options: dict[str, Any] = {}
    """What that file system is given, such as its endpoint or credentials."""
    secret: Path | None = None
    """The file of the server's secret, the same on all nodes that share a ledger; by default in the store."""
    node_url: str = ""
    """Where the other nodes reach this one; by default at the address that it listens at."""
    node_life: float = Field(default=6.0, ge=2.0)
    """Seconds for which a node is believed to live that has said so; after that the others take its sessions over."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    audit: Path | None = None
    """A file that gets one line of JSON for each request; no content of programs, values or files is in it."""
    admin_key: str = ""
    """The hash of a key for the operator's requests and the page's admin view; empty: there are none."""
    metrics_key: str = ""
    """The hash of a key that ``/metrics`` asks for; empty: none is asked for."""
    tenants: dict[Name, TenantConfig] = {}

    @model_validator(mode="after")
    def _check(self) -> "ServerConfig":
        taken: dict[str, str] = {}
        for name, tenant in self.tenants.items():
            for key in tenant.keys:
                if taken.setdefault(key, name) != name:
                    raise ValueError(f"the tenants {taken[key]} and {name} have the same key")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then what the file says."""
        return env_settings, init_settings

    @property
    def worker_count(self) -> int:
        """How many workers there are."""
        return self.workers or os.cpu_count() or 1


def load_config(path: Path) -> ServerConfig:
    """Read and check a configuration file. Raises ConfigurationError, which names the field; OSError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), f"this is not TOML: {error}") from None
    try:
        config = ServerConfig(**raw)
    except ValidationError as error:
        raise ConfigurationError(str(path), _problems(error)) from None
    places = ("store", "secret", "audit", "tls_certificate", "tls_key")
    found: dict[str, Any] = {
        name: path.parent / place for name in places if (place := getattr(config, name)) is not None
    }
    if config.states and "://" not in config.states:
        found["states"] = str(path.parent / config.states)
    return config.model_copy(update=found)


def _problems(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
    return "; ".join(lines[:5])


def read_secret(folder: Path, path: Path | None = None) -> bytes:
    """Return the secret that tokens and states are signed with; made once, in the store, for its owner only.

    With ``path`` it is in that file, which several nodes have. Raises ConfigurationError for one that is too short.
    """
    if path is not None:
        try:
            secret = path.read_bytes()
        except OSError as error:
            raise ConfigurationError("secret", f"{path} cannot be read: {error.strerror}") from None
        if len(secret) < 32:
            raise ConfigurationError("secret", f"{path} has {len(secret)} bytes: write 32 or more that are random")
        return secret
    path = folder / "secret"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with_new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, with_new, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) < 32:
            raise ConfigurationError("store", f"{path} is no secret: it has {len(secret)} bytes") from None
        return secret
    with open(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()


def _derived_key(secret: bytes, use: str, tenant: str) -> bytes:
    """Return a key for one use and one tenant, from which neither the secret nor another key follows."""
    return hmac.digest(secret, f"{use}\0{tenant}".encode(), "sha256")


# At work.

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

    def __init__(self, name: str, config: TenantConfig, secret: bytes, ledger: ServerLedger) -> None:
        self.name = name
        self.seal = _derived_key(secret, "state", name)
        self._token_key = _derived_key(secret, "token", name)
        self.running = self.live = 0
        """Runs in progress, and sessions in workers."""
        self.share = 0
        """Of the runs that it may have at once, those that are this node's, where several share its quotas."""
        self.sharing = asyncio.Lock()
        self.is_counted = True
        self._ledger = ledger
        self.stored_sessions, self.stored_bytes = ledger.stored(name)
        self.latencies: deque[float] = deque(maxlen=_LATENCIES)
        self.refused = 0
        self._date: int = _date()
        self._day: str = _today()
        self._count_today()
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

    def recount(self, is_shared: bool = False) -> None:
        """Count anew the bytes in the store, if they may have become fewer; all, if other nodes change them.

        What those used today counts here, too. Raises StoreFailed.
        """
        if is_shared:
            self.stored_sessions, self.stored_bytes = self._ledger.stored(self.name)
            self._count_today()
        elif not self.is_counted:
            self.stored_bytes, self.is_counted = self._ledger.stored(self.name)[1], True

    def _count_today(self) -> None:
        today = self._ledger.usage(self.name, 1)
        current = today[0] if today and today[0]["day"] == self._day else {}
        self._used_fuel, self._used_calls = int(current.get("fuel", 0)), int(current.get("calls", 0))

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

    def admit_run(self, limits: Limits, *, is_shared: bool = False) -> Limits:
        """Return the limits for a run, within what is left for today. Raises Problem. Ended by :meth:`ended_run`.

        With ``is_shared`` there are other nodes, and the tenant's ``share`` bounds what runs at once here.
        """
        quotas = self.quotas
        if self.running >= (min(self.share, quotas.concurrent_runs) if is_shared else quotas.concurrent_runs):
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

    def is_spent(self) -> bool:
        """Whether nothing is left of today's fuel."""
        self._turn_day()
        return self.quotas.fuel_per_day is not None and self._used_fuel >= self.quotas.fuel_per_day

    def ended_run(self) -> None:
        """Take note that a run that was admitted is over."""
        self.running -= 1

    def charged(self, fuel: int, wall: float, runs: int, calls: int, output: int, creates: int = 0) -> Change:
        """Count what was used, and return what keeps it: written with the state that came of it."""
        self._turn_day()
        self._used_fuel += fuel
        self._used_calls += calls
        if self.fuel is not None:
            self.fuel.charge(fuel)
        return charge(self.name, self._day, fuel, wall, runs, calls, output, creates)

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

    def __init__(self, config: ServerConfig, secret: bytes, ledger: ServerLedger) -> None:
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

    def __iter__(self) -> Iterator[Tenant]:
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
