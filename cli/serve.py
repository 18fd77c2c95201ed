"""``cloche serve``: sessions of many tenants over HTTP."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.flags import Commands
from cloche.cli.output import make_console, need_package

__all__ = ["add_parser", "command"]

_DESCRIPTION = """\
Serve sessions of many tenants over HTTP, in worker processes, kept in a store. See docs/guides/serving.md for the
configuration file. "cloche serve top" shows a running server.
"""
_DEFAULT = "cloche.toml"
_ROWS = ("requests", "live_sessions", "workers", "worker_memory_bytes", "worker_deaths", "running", "stored_bytes")


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    serve = commands.add_parser(name, help=help, description=_DESCRIPTION)
    serve.add_argument("what", nargs="?", choices=("top",), help="show a running server, once a second")
    serve.add_argument("--config", type=Path, metavar="FILE", help=f"the configuration (default: {_DEFAULT})")
    serve.add_argument("--check", action="store_true", help="check the configuration, its tools included, and end")
    serve.add_argument("--new-key", action="store_true", help="make a key, and print it with its hash")
    serve.add_argument("--demo", action="store_true", help="serve two tenants with new keys, from a temporary folder")
    serve.add_argument("--host", help="the address to listen at, instead of the configuration's")
    serve.add_argument("--port", type=int, help="the port, instead of the configuration's; 0: any that is free")
    serve.add_argument("--url", default="http://127.0.0.1:8700", help="top: the server (default: %(default)s)")
    serve.add_argument("--key", default="", help="top: the key of the metrics, if they have one")
    serve.add_argument("--once", action="store_true", help="top: show it once")


def command(arguments: argparse.Namespace) -> int:
    """Serve, check or show. Raises CommandError or CallerError for what cannot be served."""
    if arguments.new_key:
        return _new_key()
    if arguments.what == "top":
        return _top(arguments)
    need_package("fastapi", "serve")
    if arguments.demo:
        return _demo(arguments)
    path: Path = arguments.config or Path(_DEFAULT)
    config = _changed(_loaded(path), arguments)
    if arguments.check:
        return _check(config, path)
    if not config.tenants:
        raise CommandError(f"{path}: there are no tenants in it; see docs/guides/serving.md, or try --demo")
    from cloche.serve.server import serve

    serve(config, path, lambda url: print(f"serving {len(config.tenants)} tenants at {url}", flush=True))
    return ExitCode.OK


def _loaded(path: Path) -> Any:
    from cloche.serve.tenants import load_config

    try:
        return load_config(path)
    except OSError as error:
        raise CommandError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def _changed(config: Any, arguments: argparse.Namespace) -> Any:
    changes = {name: value for name in ("host", "port") if (value := getattr(arguments, name)) is not None}
    return config.model_copy(update=changes)


def _check(config: Any, path: Path) -> int:
    """Do what serving would need, as far as it can be done without serving."""
    from cloche.serve.worker import tenant_tools

    # As for --tool: modules beside the caller are found.
    sys.path.insert(0, "")
    for name, tenant in config.tenants.items():
        try:
            tools = tenant_tools({"tools": tenant.tools, "mcp": tenant.mcp})
        except Exception as error:
            raise CommandError(f"{path}: tenants.{name}.tools: {error}") from None
        print(f"{name}: {len(tenant.keys)} keys, {len(tools)} tools, durable {tenant.durable}")
    print(f"{path} can be served: {config.worker_count} workers, store {config.store}")
    return ExitCode.OK


def _new_key() -> int:
    from cloche.serve.tenants import hash_key, new_key

    key = new_key()
    print(f"key   {key}\nhash  {hash_key(key)}")
    return ExitCode.OK


def _demo(arguments: argparse.Namespace) -> int:
    from cloche.serve.server import serve
    from cloche.serve.tenants import ServerConfig, TenantConfig, hash_key, new_key

    keys = {name: new_key() for name in ("north", "south")}
    with tempfile.TemporaryDirectory(prefix="cloche-demo-") as folder:
        tenants = {name: TenantConfig(keys=(hash_key(key),), label="demo") for name, key in keys.items()}
        config = _changed(ServerConfig(store=Path(folder), tenants=tenants), arguments)
        serve(config, None, lambda url: _show_lines(url, keys))
    return ExitCode.OK


def _show_lines(url: str, keys: dict[str, str]) -> None:
    north, south = (f"-H 'Authorization: Bearer {key}'" for key in keys.values())
    say = '{"code": "import sys; print(sys.version); sum(range(10))"}'
    print(f"serving two tenants, north and south, at {url}; Ctrl-C ends it. Try:\n")
    print(f"curl -s {north} {url}/v1/runs -d '{say}'")
    print(f"curl -s {north} {url}/v1/sessions -d '{{}}'")
    print(f"curl -s {south} {url}/v1/sessions  # north's sessions are not there", flush=True)


def _top(arguments: argparse.Namespace) -> int:
    need_package("httpx", "serve")
    import httpx

    console = make_console()
    headers = {"authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    before: dict[str, float] = {}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=10) as client:
        while True:
            try:
                answer = client.get("/metrics")
            except httpx.HTTPError as error:
                raise CommandError(f"{arguments.url}: {error}") from None
            if answer.status_code != 200:
                raise CommandError(f"{arguments.url}: the metrics were refused with {answer.status_code}")
            now = _sums(answer.text)
            if not arguments.once:
                console.clear()
            console.print(_table(now, before))
            if arguments.once:
                return ExitCode.OK
            before = now
            time.sleep(1.0)


def _sums(text: str) -> dict[str, float]:
    """Return each metric's sum over its labels."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#") and line:
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0].removeprefix("cloche_").removesuffix("_total")
            found[name] = found.get(name, 0.0) + float(value)
    return found


def _table(now: dict[str, float], before: dict[str, float]) -> Any:
    from rich.table import Table

    table = Table("what", "now", "a second", title="cloche serve")
    for name in (*_ROWS, "fuel", "runs"):
        value = now.get(name, 0.0)
        rate = f"{value - before[name]:,.0f}" if name in before else ""
        table.add_row(name.replace("_", " "), f"{value:,.0f}", rate)
    return table
