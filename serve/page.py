"""What a browser is served beside the API: the page's files, runs behind shared links, and the operator's view.

The page is a client of the API like any other: its files are static, and it holds a tenant's key itself. All of them
are sent with a content security policy that lets no other script, style or connection in.
"""

import asyncio
import hashlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cloche.runtime._imports import installed_version
from cloche.serve.agents import ROUTES, AgentApi, AgentRuns
from cloche.serve.app import Api, answer_problem, checked_id, event_stream, json_answer, page_size
from cloche.serve.forms import Endpoint, Problem
from cloche.serve.gateway import Gateway
from cloche.serve.runs import not_found
from cloche.serve.tenants import Tenant, hash_key

__all__ = ["SECURITY", "make_page_app"]

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types cloche-tables"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of each of the page's files."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".py": "text/plain; charset=utf-8",
}
_TAIL = 1 << 20
"""Bytes of the audit log's end that are looked at."""

_Handler = Callable[[Request], Awaitable[Response]]


def make_page_app(
    gateway: Gateway,
    audit: Callable[[bytes], Any] | None = None,
    endpoints: Callable[[Gateway, AgentRuns], Sequence[Endpoint]] = lambda gateway, runs: (),
) -> FastAPI:
    """Return the application with agents, the page at ``/ui/``, shared runs and the operator's requests."""
    from cloche.serve.app import make_app

    made: list[tuple[Api, AgentApi]] = []

    def agents(api: Api) -> AgentApi:
        made.append((api, AgentApi(api)))
        return made[0][1]

    app = make_app(gateway, audit, [(agents, ROUTES)], lambda: endpoints(gateway, made[0][1].runs))
    api, runs = made[0][0], made[0][1].runs
    _Page().mount(app)
    _Shared(api, runs).mount(app)
    _Operator(api).mount(app)
    return app


class _Page:
    """The static files, each with a name for its content, so that a browser asks only whether it has changed."""

    def __init__(self) -> None:
        self._files = dict(_read(files("cloche.serve").joinpath("ui"), ""))

    def mount(self, app: FastAPI) -> None:
        app.add_route("/ui", self._begin, methods=["GET"], include_in_schema=False)
        app.add_route("/ui/{path:path}", self._file, methods=["GET", "HEAD"], include_in_schema=False)

    async def _begin(self, request: Request) -> Response:
        return RedirectResponse("/ui/", 307)

    async def _file(self, request: Request) -> Response:
        found = self._files.get(request.path_params["path"] or "index.html")
        if found is None:
            return answer_problem(not_found("page"))
        content, kind, tag = found
        headers = {**SECURITY, "cache-control": "no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(None, 304, headers)
        return Response(content, 200, headers, kind)


def _read(folder: Traversable, prefix: str) -> list[tuple[str, tuple[bytes, str, str]]]:
    found: list[tuple[str, tuple[bytes, str, str]]] = []
    for each in folder.iterdir():
        kind = _TYPES.get(Path(each.name).suffix)
        if each.is_dir():
            found += _read(each, f"{prefix}{each.name}/")
        elif kind is not None:
            content = each.read_bytes()
            found.append((prefix + each.name, (content, kind, f'"{hashlib.sha256(content).hexdigest()[:16]}"')))
    return found


class _Shared:
    """Runs of agents for those who have a link: to be read, and nothing else of the tenant's."""

    def __init__(self, api: Api, runs: AgentRuns) -> None:
        self._api, self._gateway, self._runs = api, api.gateway, runs

    def mount(self, app: FastAPI) -> None:
        follow = self._api.audited("follow_shared_run", self._follow)
        app.add_route("/v1/shared-runs/{token}/events", follow, methods=["GET"])

    async def _follow(self, request: Request) -> Response:
        """Follow the run of a link, from the event behind ``Last-Event-ID``."""
        name, _, token = request.path_params["token"].partition(".")
        tenant = self._gateway.home.tenants.named(name)
        if tenant is None:
            raise not_found("run")
        tenant.admit_request()
        content = tenant.read_token(token)
        if "a" not in content:
            raise not_found("run")
        request.state.audit = {"tenant": tenant.name, "run": content["a"], "by": "link"}
        last = request.headers.get("last-event-id", "0")
        log = await self._runs.log(await self._runs.find(tenant, str(content["a"])))
        return event_stream(log, int(last) if last.isdecimal() and len(last) < 10 else 0)


class _Operator:
    """What the person who runs the server sees of all tenants, with a key of their own; no content of programs."""

    def __init__(self, api: Api) -> None:
        self._api, self._gateway, self._home = api, api.gateway, api.gateway.home
        self._started = time.time()

    def mount(self, app: FastAPI) -> None:
        for method, path, name, handler in (
            ("GET", "/v1/admin", "admin_overview", self._overview),
            ("GET", "/v1/admin/sessions", "admin_sessions", self._sessions),
            ("GET", "/v1/admin/audit", "admin_audit", self._audit),
            ("POST", "/v1/admin/workers/{worker}/drain", "admin_drain_worker", self._drain_worker),
            ("POST", "/v1/admin/drain", "admin_drain", self._drain),
        ):
            app.add_route(path, self._api.audited(name, self._checked(handler)), methods=[method])

    def _checked(self, handler: _Handler) -> _Handler:
        async def endpoint(request: Request) -> Response:
            wanted = self._home.config.admin_key
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            if not wanted or scheme.lower() != "bearer" or hash_key(key) != wanted:
                remedy = "send Authorization: Bearer KEY" if wanted else "set admin_key in the configuration"
                raise Problem(401, "unauthorized", "this is for those who run the server", remedy=remedy)
            request.state.audit = {"by": "operator"}
            return await handler(request)

        return endpoint

    async def _overview(self, request: Request) -> Response:
        """Show tenants with their quotas and what they have, and the workers."""
        workers = [
            {
                "name": each.name,
                "pid": each.pid,
                "alive": each.alive,
                "full": each.full,
                "memory": each.measure(),
                "sessions": len(each.sessions),
                "drains": True,
            }
            for each in self._home.placement.workers
        ]
        return json_answer(
            {
                "version": installed_version(),
                "started": round(self._started, 3),
                "draining": self._gateway.draining,
                "tenants": [await self._tenant(each) for each in self._home.tenants],
                "workers": workers,
            }
        )

    async def _tenant(self, tenant: Tenant) -> dict[str, Any]:
        ledger = self._gateway.ledger
        stored, size = await ledger.read(ledger.stored, tenant.name)
        today = await ledger.read(ledger.usage, tenant.name, 1)
        return {
            "name": tenant.name,
            "label": tenant.config.label,
            "keys": len(tenant.config.keys),
            "live_sessions": self._home.live(tenant),
            "sessions": stored,
            "stored_bytes": size,
            "running": tenant.running,
            "refused": tenant.refused,
            "fuel_today": today[0]["fuel"] if today else 0,
            "agents": sorted(tenant.config.agents),
            "quotas": tenant.quotas.model_dump(),
        }

    async def _sessions(self, request: Request) -> Response:
        """List sessions of all tenants, or of ``tenant``."""
        limit, only = page_size(request), request.query_params.get("tenant")
        live = {each.id: each for each in self._home.sessions()}
        found: list[dict[str, Any]] = []
        ledger = self._gateway.ledger
        for tenant in self._home.tenants:
            if only in (None, "", tenant.name) and len(found) < limit:
                for row in await ledger.read(ledger.sessions, tenant.name, "", limit - len(found)):
                    session = live.get(row.id)
                    is_here = session is not None and session.worker is not None
                    where = session.worker.name if session is not None and session.worker is not None else "parked"
                    shown = {"id": row.id, "tenant": tenant.name, "created": row.created, "expires": row.expires}
                    found.append({**shown, "where": where, "busy": is_here and bool(session and session.busy)})
        return json_answer({"sessions": found})

    async def _audit(self, request: Request) -> Response:
        """Show the last lines of the audit log, the newest first."""
        path, limit = self._home.config.audit, page_size(request)
        if path is None:
            return json_answer({"kept": False, "lines": []})
        tail = await asyncio.to_thread(_tail, path)
        lines = [json.loads(line) for line in reversed(tail.splitlines()[-limit:]) if line.startswith(b"{")]
        return json_answer({"kept": True, "lines": lines})

    async def _drain_worker(self, request: Request) -> Response:
        """Park a worker's sessions and end it: another one takes its place, and sessions come back as they are used."""
        name = checked_id(request, "worker", "worker")
        worker = next((each for each in self._home.placement.workers if each.name == name), None)
        if worker is None:
            raise not_found("worker")
        request.state.audit = {"by": "operator", "worker": name}
        worker.full = True
        parked = 0
        for session in self._home.sessions():
            if session.worker is worker and not session.busy:
                await self._home.park(session)
                parked += 1
        if not any(session.worker is worker for session in self._home.sessions()):
            worker.kill()
        return json_answer({"parked": parked, "ended": not worker.sessions})

    async def _drain(self, request: Request) -> Response:
        """End the server as SIGTERM does: no new requests, runs finish or are paused, all is stored."""
        os.kill(os.getpid(), signal.SIGTERM)
        return json_answer({"draining": True}, 202)


def _tail(path: Path) -> bytes:
    """Return a file's end."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read()
