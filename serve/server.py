"""The server as a process: from a configuration to a socket that is listened at, and to the end with nothing lost."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cloche.runtime.errors import ConfigurationError
from cloche.serve.forms import Problem, dumps
from cloche.serve.gateway import Gateway
from cloche.serve.ledger.base import ServerLedger, SessionLedger
from cloche.serve.nodes import NodeRouter
from cloche.serve.page import make_page_app
from cloche.serve.placement import fast_loop, spare_the_collector
from cloche.serve.protocols import endpoints
from cloche.serve.tenants import ServerConfig, load_config, read_secret

__all__ = ["BoundedProtocol", "open_ledger", "serve"]

_MAX_HEADERS = 64

_LOOK = 1.0
"""Seconds between two looks at the configuration file."""
_BACKLOG = 2_048
_log = logging.getLogger("cloche.serve")


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, with bounds on the size of a request's head, on how long it takes, and on connections.

    httptools collects headers of any size for any time. A head beyond the bounds is answered with 431 or 408, and the
    connection is closed.
    """

    max_header: ClassVar[int] = 16_384
    max_seconds: ClassVar[float] = 30.0
    max_connections: ClassVar[int] = 4_096
    _timer: asyncio.TimerHandle | None = None
    _head = 0
    _fields = 0
    _seen = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timer go."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, of which the head must be whole within the bounds."""
        seen, was_in_head = self._seen, self._in_head
        if was_in_head:
            self._arm()
        super().data_received(data)
        if self._seen != seen or not was_in_head:
            # What may be left of it is the beginning of another head, which its next piece has counted.
            self._disarm()
        elif self._in_head:
            self._head += len(data)
            if self._head > 2 * self.max_header:
                self._refuse(431, "headers_too_large", f"the head has more than {self.max_header:,} bytes")

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head = self._fields = 0
        self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count and keep a piece of the request's line."""
        self._head += len(url)
        if self._head <= self.max_header:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and keep a header; those of a trailer are dropped."""
        if not self._in_head:
            return
        self._head += len(name) + len(value)
        self._fields += 1
        if self._head <= self.max_header and self._fields <= _MAX_HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Continue with the request, unless its head was too large."""
        if self._head > self.max_header or self._fields > _MAX_HEADERS:
            self._refuse(431, "headers_too_large", f"the head has more than {self.max_header:,} bytes")
            return
        self._in_head = False
        self._seen += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, unless the request was refused."""
        if not self._in_head:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless it was refused."""
        if not self._in_head:
            super().on_message_complete()
            self._in_head = True
            self._head = 0

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as a problem."""
        self._refuse(400, "bad_request", "this is not an HTTP request")

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.max_seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(408, "too_slow", "the request's head did not arrive in time")

    def _refuse(self, status: int, code: str, message: str) -> None:
        transport: Any = self.transport
        if transport is None or transport.is_closing():
            return
        body = dumps(Problem(status, code, message).form())
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
        transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        transport.close()


class _Server(uvicorn.Server):
    """Uvicorn's server without its handling of signals, which is ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield


def serve(
    config: ServerConfig,
    path: Path | None = None,
    on_ready: Callable[[str], None] | None = None,
    *,
    with_parent: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. ``on_ready`` is called with the address once requests are taken.

    A change of the file at ``path`` is taken in without a restart, as far as it is about tenants; SIGHUP has it read at
    once. With ``with_parent`` the end of the process that started this one is as SIGTERM.

    Raises ConfigurationError where the store is in use or the address is taken.
    """
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_serve(config, path, on_ready, os.getppid() if with_parent else None))


async def _serve(
    config: ServerConfig, path: Path | None, on_ready: Callable[[str], None] | None, parent: int | None
) -> None:
    secret = read_secret(config.store, config.secret)
    listener = _bound(config)
    ledger = open_ledger(config)
    with contextlib.ExitStack() as stack:
        gateway = Gateway(config, secret, ledger)
        audit: Callable[[bytes], Any] | None = None
        if config.audit is not None:
            audit = stack.enter_context(open(config.audit, "ab", buffering=0, opener=_private)).write
        app: Any = make_page_app(gateway, audit, endpoints)
        router = None
        if ledger.is_shared:
            app = router = NodeRouter(
                app, gateway.home.tenants, gateway.home.membership, gateway.home.claim, config.max_body
            )
        server = _Server(_uvicorn_config(config, app))
        ending, reload = _watch_signals()
        scheme, host = "http" if config.tls_certificate is None else "https", listener.getsockname()[0]
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        await gateway.home.start(config.node_url or url)
        spare_the_collector()
        # From here on connections wait for the server, which takes them a moment later.
        listener.listen(_BACKLOG)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(_reload(gateway, path, reload))
        if on_ready is not None:
            on_ready(url)
        end = asyncio.create_task(_until(ending, parent))
        await asyncio.wait({serving, end}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        for each in server.servers:
            each.close()
        await gateway.drain(config.grace)
        server.should_exit = True
        await serving
        if router is not None:
            await router.close()


def open_ledger(config: ServerConfig) -> ServerLedger:
    """Return the ledger that a configuration names. Raises ConfigurationError, StoreFailed."""
    files = None
    if config.states:
        from cloche.serve.ledger.states import StateFiles

        files = StateFiles(config.states, **config.states_options)
    ledger = _ledger(config)
    ledger.files = files
    return ledger


def _ledger(config: ServerConfig) -> ServerLedger:
    if not config.ledger:
        return SessionLedger(config.store)
    if config.ledger.startswith(("postgresql://", "postgres://")):
        try:
            from cloche.serve.ledger.postgres import PostgresLedger
        except ImportError:
            raise ConfigurationError("ledger", "psycopg is not installed: pip install 'cloche[postgres]'") from None
        return PostgresLedger(config.ledger)
    if config.ledger.startswith(("redis://", "rediss://", "unix://")):
        try:
            from cloche.serve.ledger.redis import RedisLedger
        except ImportError:
            raise ConfigurationError("ledger", "redis is not installed: pip install 'cloche[redis]'") from None
        return RedisLedger(config.ledger)
    raise ConfigurationError("ledger", "write postgresql://USER@HOST/DATABASE, redis://HOST, or nothing for one node")


async def _until(ending: asyncio.Event, parent: int | None) -> None:
    """Wait for the event, or for the end of the parent process."""
    while not ending.is_set() and parent in (None, os.getppid()):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if parent is None else _LOOK):
                await ending.wait()


def _bound(config: ServerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError("port", f"{config.host}:{config.port} cannot be had: {error.strerror}") from None
    return listener


def _uvicorn_config(config: ServerConfig, app: Any) -> uvicorn.Config:
    BoundedProtocol.max_header, BoundedProtocol.max_seconds = config.max_header, config.body_seconds
    tls: dict[str, Any] = {}
    if config.tls_certificate is not None:
        tls = {
            "ssl_certfile": str(config.tls_certificate),
            "ssl_keyfile": str(config.tls_key),
            "ssl_version": ssl.PROTOCOL_TLS_SERVER,
        }
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        # A line for each request that is none would be the client's to write.
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        **tls,
    )


def _watch_signals() -> tuple[asyncio.Event, asyncio.Event]:
    loop, ending, reload = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, reload.set)
    return ending, reload


async def _reload(gateway: Gateway, path: Path | None, asked: asyncio.Event) -> None:
    """Take in changes of the file; one that is wrong is reported, and what was in force stays so."""
    if path is None:
        return
    seen = _stamp(path)
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await asked.wait()
        now = _stamp(path)
        if now == seen and not asked.is_set():
            continue
        seen = now
        asked.clear()
        try:
            await gateway.home.configure(await asyncio.to_thread(load_config, path))
            _log.warning("the configuration was read again")
        except (ConfigurationError, OSError) as error:
            _log.error("the configuration was not taken in: %s", error)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
