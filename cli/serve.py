"""``cloche serve``: sessions of many tenants over HTTP; and ``cloche ui``: the server's page for one person."""

import argparse
import os
import re
import sys
import tempfile
import time
import webbrowser
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


_PAGE = """\
Serve the page on this machine, for one person: chat with agents, sessions, runs. Without --agent, the agents are those
of the demo, with recorded models, and need no key. For more people, see cloche serve, which has the same page.
"""
_DEMO_AGENTS = {"analyst": "analyst", "team": "specialists", "seeker": "seeker"}


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar: that of the page, or of the server."""
    if name == "ui":
        page = commands.add_parser(name, help=help, description=_PAGE)
        page.add_argument(
            "--agent",
            action="append",
            default=[],
            metavar="NAME=MODULE:NAME",
            help="an agent, or a function that returns one; may be repeated",
        )
        page.add_argument(
            "--store", type=Path, metavar="FOLDER", help="keep runs and sessions here, and not until the end"
        )
        page.add_argument("--open", action="store_true", help="open the page in the browser")
        page.add_argument("--host", help="the address to listen at (default: 127.0.0.1)")
        page.add_argument("--port", type=int, help="the port (default: 8700); 0: any that is free")
        return
    serve = commands.add_parser(name, help=help, description=_DESCRIPTION)
    serve.add_argument("what", nargs="?", choices=("top",), help="show a running server, once a second")
    serve.add_argument("--config", type=Path, metavar="FILE", help=f"the configuration (default: {_DEFAULT})")
    serve.add_argument("--check", action="store_true", help="check the configuration, its tools included, and end")
    serve.add_argument("--new-key", action="store_true", help="make a key, and print it with its hash")
    serve.add_argument("--demo", action="store_true", help="serve two tenants with new keys, from a temporary folder")
    serve.add_argument("--host", help="the address to listen at, instead of the configuration's")
    serve.add_argument("--port", type=int, help="the port, instead of the configuration's; 0: any that is free")
    serve.add_argument(
        "--placement",
        choices=("local", "ray"),
        help="ray: a node on each machine of a Ray cluster (default where RAY_ADDRESS is set)",
    )
    serve.add_argument("--with-parent", action="store_true", help="end when the process that started this one does")
    serve.add_argument("--url", default="http://127.0.0.1:8700", help="top: the server (default: %(default)s)")
    serve.add_argument("--key", default="", help="top: the key of the metrics, if they have one")
    serve.add_argument("--once", action="store_true", help="top: show it once")


def command(arguments: argparse.Namespace) -> int:
    """Serve, check or show. Raises CommandError or CallerError for what cannot be served."""
    if arguments.command == "ui":
        need_package("fastapi", "serve")
        return _page(arguments)
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

    def show(url: str) -> None:
        print(f"serving {len(config.tenants)} tenants at {url}", flush=True)

    if (arguments.placement or ("ray" if os.environ.get("RAY_ADDRESS") else "local")) == "ray":
        need_package("ray", "ray")
        from cloche.serve.ray_nodes import serve_on_ray

        try:
            serve_on_ray(config, path, show)
        except ConnectionError as error:
            raise CommandError(f"there is no Ray cluster: {error}") from None
        return ExitCode.OK
    from cloche.serve.server import serve

    serve(config, path, show, with_parent=arguments.with_parent)
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
        for agent, reference in tenant.agents.items():
            _check_agent(f"{path}: tenants.{name}.agents.{agent}", reference)
        counted = f"{len(tenant.keys)} keys, {len(tools)} tools, {len(tenant.agents)} agents"
        print(f"{name}: {counted}, durable {tenant.durable}")
    print(f"{path} can be served: {config.worker_count} workers, store {config.store}")
    return ExitCode.OK


def _check_agent(where: str, reference: str) -> None:
    from cloche.serve.agent_host import load_agent

    try:
        load_agent(reference).close()
    except Exception as error:
        raise CommandError(f"{where}: {error}") from None


def _new_key() -> int:
    from cloche.serve.tenants import hash_key, new_key

    key = new_key()
    print(f"key   {key}\nhash  {hash_key(key)}")
    return ExitCode.OK


def _page(arguments: argparse.Namespace) -> int:
    from cloche.serve.server import serve
    from cloche.serve.tenants import ServerConfig, TenantConfig, hash_key, new_key

    need_package("jinja2", "agent")
    # As for --tool: modules beside the caller are found, by the process that runs agents too.
    os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    key, operator = new_key(), new_key()
    tenant = TenantConfig(keys=(hash_key(key),), agents=_agents(arguments.agent), durable="idle", life=7 * 86_400.0)

    def ready(url: str) -> None:
        address = f"{url}/ui/#key={key}&admin={operator}"
        print(f"the page is at {address}\nCtrl-C ends it", flush=True)
        if arguments.open:
            webbrowser.open(address)

    with tempfile.TemporaryDirectory(prefix="cloche-ui-") as folder:
        store = Path(folder) if arguments.store is None else arguments.store
        config = ServerConfig(
            store=store, workers=1, audit=store / "audit.log", admin_key=hash_key(operator), tenants={"me": tenant}
        )
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        serve(_changed(config, arguments), None, ready)
    return ExitCode.OK


def _agents(given: list[str]) -> dict[str, str]:
    """Return references to agents by name. Raises CommandError."""
    if not given:
        return {name: f"cloche.cli.demo.team:{function}" for name, function in _DEMO_AGENTS.items()}
    found: dict[str, str] = {}
    for text in given:
        name, _, reference = text.partition("=")
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name) or ":" not in reference:
            raise CommandError(f"--agent {text}: write NAME=MODULE:NAME, the name in small letters")
        found[name] = reference
    return found


def _demo(arguments: argparse.Namespace) -> int:
    from cloche.serve.server import serve
    from cloche.serve.tenants import ServerConfig, TenantConfig, hash_key, new_key

    keys = {name: new_key() for name in ("north", "south")}
    with tempfile.TemporaryDirectory(prefix="cloche-demo-") as folder:
        tenants = {
            name: TenantConfig(keys=(hash_key(key),), label="demo", agents=_agents([])) for name, key in keys.items()
        }
        config = _changed(ServerConfig(store=Path(folder), tenants=tenants), arguments)
        serve(config, None, lambda url: _show_lines(url, keys))
    return ExitCode.OK


def _show_lines(url: str, keys: dict[str, str]) -> None:
    north, south = (f"-H 'Authorization: Bearer {key}'" for key in keys.values())
    say = '{"code": "import sys; print(sys.version); sum(range(10))"}'
    print(f"serving two tenants, north and south, at {url}; Ctrl-C ends it. Try:\n")
    print(f"curl -s {north} {url}/v1/runs -d '{say}'")
    print(f"curl -s {north} {url}/v1/sessions -d '{{}}'")
    print(f"curl -s {south} {url}/v1/sessions  # north's sessions are not there")
    print(f"\nor open {url}/ui/#key={keys['north']}", flush=True)


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
