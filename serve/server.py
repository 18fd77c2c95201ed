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
from typing import Any

import uvicorn

from cloche.runtime.errors import ConfigurationError
from cloche.serve.app import make_app
from cloche.serve.gateway import Gateway
from cloche.serve.http import BoundedProtocol
from cloche.serve.ledger import SessionLedger
from cloche.serve.tenants import ServerConfig, load_config, read_secret
from cloche.serve.worker import fast_loop

__all__ = ["serve"]

_LOOK = 1.0
"""Seconds between two looks at the configuration file."""
_BACKLOG = 2_048
_log = logging.getLogger("cloche.serve")


class _Server(uvicorn.Server):
    """Uvicorn's server without its handling of signals, which is ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield


def serve(config: ServerConfig, path: Path | None = None, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain. ``on_ready`` is called with the address once requests are taken.

    A change of the file at ``path`` is taken in without a restart, as far as it is about tenants; SIGHUP has it read at
    once. Raises ConfigurationError where the store is in use or the address is taken.
    """
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_serve(config, path, on_ready))


async def _serve(config: ServerConfig, path: Path | None, on_ready: Callable[[str], None] | None) -> None:
    secret = read_secret(config.store)
    listener = _bound(config)
    ledger = SessionLedger(config.store)
    with contextlib.ExitStack() as stack:
        gateway = Gateway(config, secret, ledger)
        audit: Callable[[bytes], Any] | None = None
        if config.audit is not None:
            audit = stack.enter_context(open(config.audit, "ab", buffering=0, opener=_private)).write
        server = _Server(_uvicorn_config(config, make_app(gateway, audit)))
        ending, reload = _watch_signals()
        await gateway.home.start()
        # From here on connections wait for the server, which takes them a moment later.
        listener.listen(_BACKLOG)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(_reload(gateway, path, reload))
        if on_ready is not None:
            host, port = listener.getsockname()[:2]
            scheme = "http" if config.tls_certificate is None else "https"
            on_ready(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        end = asyncio.create_task(ending.wait())
        await asyncio.wait({serving, end}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        for each in server.servers:
            each.close()
        await gateway.drain(config.grace)
        server.should_exit = True
        await serving


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
            await gateway.home.configure(load_config(path))
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
