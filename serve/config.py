"""The server's one configuration file: where it listens and keeps things, and its tenants with their bounds.

TOML, every field checked when it is read; a field of the server itself can also be set by the environment, as
``CLOCHE_SERVE_PORT=8080``. Keys stand in it as hashes only: ``cloche serve --new-key`` makes one.
"""

import hashlib
import hmac
import os
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import LIMITS, Limits, parse_size

__all__ = ["Durability", "Quotas", "ServerConfig", "TenantConfig", "hash_key", "load_config", "new_key", "read_secret"]

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

    @property
    def default_limits(self) -> Limits:
        """The limits of a run that asks for no others."""
        return _limits(self.limits)

    @property
    def ceiling_limits(self) -> Limits:
        """The highest limits that a run can have."""
        return _limits({**self.limits, **self.ceilings})

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
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    audit: Path | None = None
    """A file that gets one line of JSON for each request; no content of programs, values or files is in it."""
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
    places = ("store", "audit", "tls_certificate", "tls_key")
    found = {name: path.parent / place for name in places if (place := getattr(config, name)) is not None}
    return config.model_copy(update=found)


def _problems(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
    return "; ".join(lines[:5])


def read_secret(folder: Path) -> bytes:
    """Return the secret that tokens and states are signed with; made once, in the store, for its owner only."""
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


def derived_key(secret: bytes, use: str, tenant: str) -> bytes:
    """Return a key for one use and one tenant, from which neither the secret nor another key follows."""
    return hmac.digest(secret, f"{use}\0{tenant}".encode(), "sha256")
