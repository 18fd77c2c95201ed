"""The HTTP API: its routes, what their bodies are, and what every request goes through."""

import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cloche.runtime._imports import installed_version
from cloche.runtime.errors import ConfigurationError
from cloche.serve.forms import (
    AnswerForm,
    Endpoint,
    ForkForm,
    Problem,
    RenewForm,
    ResumeForm,
    RunForm,
    SessionForm,
    ValueForm,
    dumps,
    read_body,
)
from cloche.serve.gateway import Gateway, Metrics
from cloche.serve.ledger.base import StoreFailed
from cloche.serve.placement import WorkerLost
from cloche.serve.runs import ServedRun, ServedSession, facts_of, invalid, not_found
from cloche.serve.tenants import Tenant, hash_key

__all__ = ["Api", "Part", "answer_problem", "checked_id", "event_stream", "json_answer", "make_app", "page_size"]

_JSON = "application/json"
_MAX_PAGE = 200
_MAX_WAIT = 60.0
_ID = re.compile(r"[A-Za-z0-9_.~-]{1,96}")
_USUAL = re.compile(r"/v1/sessions(?:/(?P<id>[^/]+)/runs)?")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

Form = TypeVar("Form", bound=BaseModel)
Handler = Callable[["Tenant", Request], Awaitable[Response]]
Routes = tuple[tuple[str, str, str, type[BaseModel] | None], ...]
"""Method, path, the handler's name, and what its body is."""
Part = tuple[Callable[["Api"], object], Routes]
"""More of the API: what makes the object with its handlers, and their routes."""


class Api:
    """The routes. Each handler gets the tenant whose key the request has, and raises Problem."""

    def __init__(self, gateway: Gateway, audit: Callable[[bytes], Any] | None) -> None:
        self.gateway, self.home = gateway, gateway.home
        self.metrics = Metrics(gateway.home, lambda: gateway.quarantined)
        self._read = gateway.ledger.read
        self._audit = audit

    # What every request goes through.

    def guarded(
        self,
        name: str,
        handler: Handler,
        tenant_of: Callable[[Request], Tenant] | None = None,
        refuse: Callable[[Problem], Response] | None = None,
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler as the framework calls it: with key, quota, problems, metrics and the audit log.

        A protocol with keys or problems of its own shape says who a request's tenant is, and how it is refused.
        """
        seconds: dict[str, Any] = {}
        tenant_of, refuse = tenant_of or self._authenticated, refuse or answer_problem

        async def endpoint(request: Request) -> Response:
            began, tenant = time.perf_counter(), None
            request.state.whole = False
            try:
                if self.gateway.draining:
                    raise Problem(503, "draining", "the server is ending", remedy="try again", retry_after=2.0)
                tenant = tenant_of(request)
                tenant.admit_request()
                with _span(name, request):
                    response = await handler(tenant, request)
            except WorkerLost:
                text = "the session's worker died while it was asked"
                response = refuse(Problem(503, "worker_lost", text, remedy="ask again", retry_after=0.5))
            except StoreFailed as error:
                response = refuse(Problem(503, "store_failed", "the store failed", cause=error.kind))
            except Problem as problem:
                response = refuse(problem)
            except ConfigurationError as error:
                response = refuse(invalid(error))
            if not request.state.whole and _has_body(request):
                # What was not read must not be taken for the next request, nor trickle in for ever.
                response.headers["connection"] = "close"
            label = "none" if tenant is None else tenant.config.label
            elapsed = time.perf_counter() - began
            timer = seconds.get(label)
            if timer is None:
                timer = seconds[label] = self.metrics.seconds.labels(name, label)
            timer.observe(elapsed)
            self.metrics.requests.labels(name, response.status_code, label).inc()
            trace = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
            if trace is not None:
                response.headers["traceparent"] = trace[0]
            if self._audit is not None:
                self._write_audit(request, name, tenant, response.status_code, elapsed, trace and trace[1])
            return response

        endpoint.__name__ = name
        endpoint.__doc__ = handler.__doc__
        return endpoint

    def audited(
        self, name: str, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler of requests that come without a tenant's key: with problems, and the audit log."""

        async def endpoint(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handler(request)
            except StoreFailed as error:
                response = answer_problem(Problem(503, "store_failed", "the store failed", cause=error.kind))
            except Problem as problem:
                response = answer_problem(problem)
            if self._audit is not None:
                self._write_audit(request, name, None, response.status_code, time.perf_counter() - began, None)
            return response

        return endpoint

    def _authenticated(self, request: Request) -> Tenant:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        tenant = self.home.tenants.of_key(key) if scheme.lower() == "bearer" and key else None
        if tenant is None:
            raise Problem(401, "unauthorized", "no tenant has this key", remedy="send Authorization: Bearer KEY")
        return tenant

    def _write_audit(
        self, request: Request, name: str, tenant: Tenant | None, status: int, seconds: float, trace: str | None
    ) -> None:
        assert self._audit is not None
        line = {
            "time": round(time.time(), 3),
            "tenant": None if tenant is None else tenant.name,
            "action": name,
            "session": request.path_params.get("id"),
            "run": request.path_params.get("run"),
            "status": status,
            "seconds": round(seconds, 6),
            "client": request.client.host if request.client else None,
            "trace": trace,
            **getattr(request.state, "audit", {}),
        }
        self._audit(dumps(line) + b"\n")

    async def form(self, request: Request, kind: type[Form]) -> Form:
        """Return the request's body as a form of this kind. Raises Problem, which names the field."""
        config = self.home.config
        body = await read_body(request, config.max_body, config.body_seconds)
        try:
            return kind.model_validate_json(body or b"{}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(map(str, first["loc"]))[:200]
            said = f"{field or 'the body'}: {first['msg'][:300]}"
            raise Problem(422, "invalid", said, field=field, remedy="see /openapi.json for what it can be") from None

    async def _session(self, tenant: Tenant, request: Request, *, use: bool = True) -> ServedSession:
        return await self.home.find(tenant, checked_id(request, "id", "session"), use=use)

    async def _run(self, session: ServedSession, request: Request) -> ServedRun:
        run = await self.gateway.known_run(session, checked_id(request, "run", "run"))
        if run is None:
            raise not_found("run")
        return run

    # Sessions.

    async def create_session(self, tenant: Tenant, request: Request) -> Response:
        """Create a session; from a snapshot, if one is named."""
        form = await self.form(request, SessionForm)
        asked = form.model_dump(exclude_unset=True)
        if form.budget is not None:
            asked["budget"] = form.budget.model_dump(exclude_none=True)
        asked["tools"] = [tool.model_dump() for tool in form.tools]
        session = await self.home.create(tenant, asked)
        return json_answer(self._shown(session), 201, location=f"/v1/sessions/{session.id}")

    async def list_sessions(self, tenant: Tenant, request: Request) -> Response:
        """List sessions, a page at a time: ``next`` is the ``after`` of the next page."""
        after, limit = request.query_params.get("after", ""), page_size(request)
        rows = await self._read(self.gateway.ledger.sessions, tenant.name, after, limit)
        shown = [{"id": row.id, "created": row.created, "expires": row.expires, **facts_of(row.spec)} for row in rows]
        return json_answer({"sessions": shown, "next": rows[-1].id if len(rows) == limit else None})

    async def get_session(self, tenant: Tenant, request: Request) -> Response:
        """Show a session: times, limits, where it is, and the program that waits in it."""
        return json_answer(self._shown(await self._session(tenant, request, use=False)))

    async def delete_session(self, tenant: Tenant, request: Request) -> Response:
        """End a session, whatever it does, and forget it."""
        await self.home.delete(await self._session(tenant, request))
        return Response(status_code=204)

    async def renew_session(self, tenant: Tenant, request: Request) -> Response:
        """Set a session's times anew."""
        session, form = await self._session(tenant, request), await self.form(request, RenewForm)
        await self.home.renew(session, form.idle, form.life or session.spec["life"])
        return json_answer(self._shown(session))

    def _shown(self, session: ServedSession) -> dict[str, Any]:
        row, spec, waits = session.row, session.spec, session.waits
        where = "running" if session.busy else "live" if session.worker is not None else "parked"
        return {
            "id": row.id,
            "status": where if waits is None or session.busy else waits["kind"],
            "created": row.created,
            "expires": row.expires,
            "idle": spec["idle"],
            "life": spec["life"],
            "durable": spec["durable"],
            "limits": spec["limits"],
            "tools": [tool["name"] for tool in spec["tools"]],
            "labels": spec["labels"],
            "parent": spec.get("parent"),
            "version": row.version,
            "lost_runs": session.lost,
            "suspended": None
            if waits is None or waits["kind"] != "suspended"
            else {"run": waits["run"], "waits": waits["calls"], "token": self.gateway.token(session)},
        }

    # Runs.

    async def create_run(self, tenant: Tenant, request: Request) -> Response:
        """Run a program: the result as JSON, or its events where the client accepts ``text/event-stream``."""
        session, form = await self._session(tenant, request), await self.form(request, RunForm)
        streamed = _wants_stream(request)
        asked = {**form.model_dump(), "events": form.events or streamed}
        run = await self.gateway.run(session, asked, wait=not streamed)
        request.state.audit = {"run": run.id, "program": run.digest}
        return event_stream(run, 0) if streamed else self._ended(tenant, run)

    async def run_once(self, tenant: Tenant, request: Request) -> Response:
        """Run a program in a fresh session that ends with it."""
        form = await self.form(request, RunForm)
        session = await self.home.create(tenant, {"durable": "never", "idle": 1.0, "is_alone": True})
        try:
            run = await self.gateway.run(
                session, {"code": form.code, "stdin": form.stdin, "limits": form.limits}, wait=True
            )
        finally:
            self.home.background(self.home.delete(session))
        request.state.audit = {"run": run.id, "program": run.digest}
        return self._ended(tenant, run)

    def _ended(self, tenant: Tenant, run: ServedRun) -> Response:
        """Return a run as far as it is: its outcome, or the calls that wait for the client."""
        if run.problem is not None:
            raise run.problem
        if run.body is not None:
            label = tenant.config.label
            if run.fuel:
                self.metrics.fuel.labels(label).inc(run.fuel)
                run.fuel = 0
            self.metrics.runs.labels(run.status, label).inc()
            return Response(run.body, 200 if run.status == "done" else 202, media_type=_JSON)
        status = "waiting" if run.calls else "running"
        calls = b",".join(run.calls.values())
        body = b'{"id":%b,"status":%b,"calls":[%b]}' % (dumps(run.id), dumps(status), calls)
        return Response(body, 202, media_type=_JSON)

    async def list_runs(self, tenant: Tenant, request: Request) -> Response:
        """List a session's runs, the newest first."""
        session = await self._session(tenant, request)
        kept = await self._read(self.gateway.ledger.runs, session.id)
        stored = {id: {"id": id, "status": status} for id, status, _ in kept}
        recent = {run.id: {"id": run.id, "status": run.status} for run in reversed(session.runs.values())}
        return json_answer({"runs": list((recent | stored).values())})

    async def get_run(self, tenant: Tenant, request: Request) -> Response:
        """Show a run; with ``wait``, when it is over or asks its client, or after so many seconds."""
        run = await self._run(await self._session(tenant, request), request)
        wait = _number(request, "wait", 0.0, _MAX_WAIT)
        if wait:
            await run.ended(wait, or_asks=True)
        return self._ended(tenant, run)

    async def follow_run(self, tenant: Tenant, request: Request) -> Response:
        """Follow a run's events, from the one behind ``Last-Event-ID``."""
        run = await self._run(await self._session(tenant, request), request)
        last = request.headers.get("last-event-id", "0")
        return event_stream(run, int(last) if last.isdecimal() and len(last) < 10 else 0)

    async def cancel_run(self, tenant: Tenant, request: Request) -> Response:
        """End a run in progress: its error is then Interrupted."""
        session = await self._session(tenant, request)
        return json_answer({"interrupted": await self.gateway.interrupt(session, await self._run(session, request))})

    async def answer_call(self, tenant: Tenant, request: Request) -> Response:
        """Answer a call that waits for the client."""
        session = await self._session(tenant, request)
        run, form = await self._run(session, request), await self.form(request, AnswerForm)
        answer = {"error": form.error} if form.error is not None else {"value": form.value}
        await self.gateway.answer(session, run, checked_id(request, "call", "call"), answer)
        return Response(status_code=204)

    async def resume(self, tenant: Tenant, request: Request) -> Response:
        """Resume a suspended program by its token, with answers to its calls; answered like a run."""
        form, streamed = await self.form(request, ResumeForm), _wants_stream(request)
        asked = {"answers": {id: each.model_dump(exclude_unset=True) for id, each in form.answers.items()}}
        _, run = await self.gateway.resume(tenant, form.token, asked, wait=not streamed)
        request.state.audit = {"run": run.id}
        return event_stream(run, 0) if streamed else self._ended(tenant, run)

    async def cancel_suspended(self, tenant: Tenant, request: Request) -> Response:
        """Give a session's suspended program up: the session is where it was before it."""
        await self.gateway.cancel_suspended(await self._session(tenant, request))
        return Response(status_code=204)

    # Variables and files.

    async def get_variable(self, tenant: Tenant, request: Request) -> Response:
        """Return a variable's value."""
        return Response(await self._asked(tenant, request, "get", request.path_params["name"]), media_type=_JSON)

    async def set_variable(self, tenant: Tenant, request: Request) -> Response:
        """Set a variable."""
        form = await self.form(request, ValueForm)
        await self._asked(tenant, request, "set", request.path_params["name"], form.value)
        return Response(status_code=204)

    async def list_files(self, tenant: Tenant, request: Request) -> Response:
        """List the files below a folder, ``/work`` if none is given."""
        return json_answer(
            {"files": await self._asked(tenant, request, "list_files", request.query_params.get("path", "/work"))}
        )

    async def get_file(self, tenant: Tenant, request: Request) -> Response:
        """Return a file's content."""
        data = await self._asked(tenant, request, "get_file", request.path_params["path"])
        # Whatever a program wrote is bytes for a browser too, and never a page of this origin.
        headers = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
        return Response(data, 200, headers, "application/octet-stream")

    async def put_file(self, tenant: Tenant, request: Request) -> Response:
        """Write a file: the body is its content."""
        config = self.home.config
        data = await read_body(request, config.max_body, config.body_seconds)
        await self._asked(tenant, request, "put_file", request.path_params["path"], data)
        return Response(status_code=204)

    async def _asked(self, tenant: Tenant, request: Request, method: str, *arguments: Any) -> Any:
        return await self.gateway.ask(await self._session(tenant, request), method, *arguments)

    # Snapshots and forks, usage.

    async def create_snapshot(self, tenant: Tenant, request: Request) -> Response:
        """Keep the session's state under an id of its own."""
        return json_answer({"id": await self.gateway.snapshot(await self._session(tenant, request))}, 201)

    async def list_snapshots(self, tenant: Tenant, request: Request) -> Response:
        """List snapshots, a page at a time."""
        after, limit = request.query_params.get("after", ""), page_size(request)
        ledger, more = self.gateway.ledger, self.gateway.snapshot_facts
        rows = await self._read(ledger.snapshots, tenant.name, after, limit)
        shown = [{"id": id, "created": made, "bytes": size, **await more(id)} for id, made, size in rows]
        return json_answer({"snapshots": shown, "next": rows[-1][0] if len(rows) == limit else None})

    async def delete_snapshot(self, tenant: Tenant, request: Request) -> Response:
        """Forget a snapshot; sessions that were made of it stay."""
        await self.gateway.delete_snapshot(tenant, checked_id(request, "id", "snapshot"))
        return Response(status_code=204)

    async def fork_session(self, tenant: Tenant, request: Request) -> Response:
        """Create sessions in the state of this one."""
        session, form = await self._session(tenant, request), await self.form(request, ForkForm)
        forks = await self.gateway.fork(session, form.count)
        return json_answer({"sessions": [self._shown(each) for each in forks]}, 201)

    async def usage(self, tenant: Tenant, request: Request) -> Response:
        """Show what the tenant has used, by day in UTC: fuel is exact. And what it has now, beside its quotas."""
        stored, size = await self._read(self.gateway.ledger.stored, tenant.name)
        now = {"live_sessions": self.home.live(tenant), "sessions": stored, "stored_bytes": size}
        now["concurrent_runs"] = tenant.running
        days = await self._read(self.gateway.ledger.usage, tenant.name)
        return json_answer({"tenant": tenant.name, "now": now, "quotas": tenant.quotas.model_dump(), "days": days})

    # For those who run the server.

    async def alive(self, request: Request) -> Response:
        """Say that the process lives."""
        return json_answer({"status": "alive", "version": installed_version()})

    async def ready(self, request: Request) -> Response:
        """Say whether requests are taken: 503 while the server starts or ends."""
        is_ready = self.home.placement.is_ready and not self.gateway.draining
        return json_answer({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)

    async def show_metrics(self, request: Request) -> Response:
        """Show the metrics, as Prometheus reads them."""
        wanted = self.home.config.metrics_key
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if wanted and not (scheme.lower() == "bearer" and hash_key(key) == wanted):
            return answer_problem(Problem(401, "unauthorized", "the metrics have a key of their own"))
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)


_ROUTES: Routes = (
    ("POST", "/v1/sessions", "create_session", SessionForm),
    ("GET", "/v1/sessions", "list_sessions", None),
    ("GET", "/v1/sessions/{id}", "get_session", None),
    ("PATCH", "/v1/sessions/{id}", "renew_session", RenewForm),
    ("DELETE", "/v1/sessions/{id}", "delete_session", None),
    ("POST", "/v1/sessions/{id}/runs", "create_run", RunForm),
    ("GET", "/v1/sessions/{id}/runs", "list_runs", None),
    ("GET", "/v1/sessions/{id}/runs/{run}", "get_run", None),
    ("GET", "/v1/sessions/{id}/runs/{run}/events", "follow_run", None),
    ("POST", "/v1/sessions/{id}/runs/{run}/cancel", "cancel_run", None),
    ("POST", "/v1/sessions/{id}/runs/{run}/calls/{call}", "answer_call", AnswerForm),
    ("DELETE", "/v1/sessions/{id}/suspended", "cancel_suspended", None),
    ("GET", "/v1/sessions/{id}/variables/{name}", "get_variable", None),
    ("PUT", "/v1/sessions/{id}/variables/{name}", "set_variable", ValueForm),
    ("GET", "/v1/sessions/{id}/files", "list_files", None),
    ("GET", "/v1/sessions/{id}/files/{path:path}", "get_file", None),
    ("PUT", "/v1/sessions/{id}/files/{path:path}", "put_file", None),
    ("POST", "/v1/sessions/{id}/snapshots", "create_snapshot", None),
    ("POST", "/v1/sessions/{id}/forks", "fork_session", ForkForm),
    ("GET", "/v1/snapshots", "list_snapshots", None),
    ("DELETE", "/v1/snapshots/{id}", "delete_snapshot", None),
    ("POST", "/v1/runs", "run_once", RunForm),
    ("POST", "/v1/resume", "resume", ResumeForm),
    ("GET", "/v1/usage", "usage", None),
)


def make_app(
    gateway: Gateway,
    audit: Callable[[bytes], Any] | None = None,
    parts: Sequence[Part] = (),
    endpoints: Callable[[], Sequence[Endpoint]] = tuple,
) -> FastAPI:
    """Return the application, with more ``parts``, and with ``endpoints`` of other protocols, which are not described.

    What returns the endpoints is called once the parts are made.
    Whoever serves it starts the gateway before, and drains it after.
    """
    app = FastAPI(title="Cloche", version=installed_version(), docs_url=None, redoc_url=None)
    # The same routes once more, to be described only: the framework's own way to a handler takes a third of a request's
    # time, and does nothing here, as every handler reads the request itself.
    described = FastAPI(title="Cloche", version=installed_version())
    api = Api(gateway, audit)
    # The runs are asked for more than all the rest, and routes are tried one after the other.
    own = sorted(_ROUTES, key=lambda route: route[2] != "create_run")
    made = [(make(api), routes) for make, routes in parts]
    more = [(part, route) for part, routes in made for route in routes]
    for owner, (method, path, name, body) in [*((api, route) for route in own), *more]:
        endpoint = api.guarded(name, getattr(owner, name))
        app.add_route(path, endpoint, methods=[method])
        described.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=name,
            response_model=None,
            openapi_extra=_described(path, body),
        )
    for each in endpoints():
        guarded = api.guarded(each.name, each.handler, each.tenant_of, each.refuse)
        app.add_route(each.path, guarded, methods=[each.method])
    app.openapi = described.openapi  # type: ignore[method-assign]
    for path, name in (("/healthz", "alive"), ("/readyz", "ready"), ("/metrics", "show_metrics")):
        app.add_route(path, getattr(api, name), methods=["GET"])
        described.add_api_route(path, getattr(api, name), methods=["GET"], operation_id=name, response_model=None)

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        code, message = ("not_found", "there is no such path") if status == 404 else ("refused", "this is not served")
        return answer_problem(Problem(status, code, message))

    async def failed(request: Request, error: Exception) -> Response:
        return answer_problem(Problem(500, "internal", "the server failed", remedy="report this; see its log"))

    usual = {None: api.guarded("create_session", api.create_session), "id": api.guarded("create_run", api.create_run)}
    app.add_middleware(_direct, usual=usual)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, failed)
    return app


def _direct(app: ASGIApp, usual: dict[str | None, Callable[[Request], Awaitable[Response]]]) -> ASGIApp:
    """Return an application that hands the usual requests to their handlers: routes take a third of their time."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        found = _USUAL.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        answering = app
        if found is not None:
            scope["path_params"] = found.groupdict()
            answering = await usual[found.lastgroup](Request(scope, receive, send))
        await answering(scope, receive, send)

    return serve


def _described(path: str, body: type[BaseModel] | None) -> dict[str, Any]:
    """Return what the framework cannot see of a route whose handler reads the request itself."""
    names = re.findall(r"{(\w+)", path)
    described: dict[str, Any] = {
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "security": [{"key": []}],
    }
    if body is not None:
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return described


def _span(name: str, request: Request) -> AbstractContextManager[Any]:
    """Return a span of OpenTelemetry, below the caller's, where this process has an SDK; else nothing."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return nullcontext()
    from opentelemetry import propagate, trace

    context = propagate.extract(dict(request.headers))
    return trace.get_tracer("cloche.serve").start_as_current_span(name, context, kind=trace.SpanKind.SERVER)


def json_answer(form: Any, status: int = 200, **headers: str) -> Response:
    """Return a form as a response."""
    return Response(dumps(form), status, headers, _JSON)


def _has_body(request: Request) -> bool:
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def checked_id(request: Request, name: str, what: str) -> str:
    """Return an id in the request's path. Raises Problem for what cannot be one."""
    id: str = request.path_params[name]
    if not _ID.fullmatch(id):
        raise not_found(what)
    return id


def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _number(request: Request, name: str, default: float, top: float) -> float:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 <= value <= top:
        raise Problem(422, "invalid", f"{name}: write seconds between 0 and {top:g}", field=name)
    return value


def page_size(request: Request) -> int:
    """Return how many the request wants at once. Raises Problem."""
    text = request.query_params.get("limit", "50")
    if not (text.isdecimal() and len(text) < 5 and 0 < int(text) <= _MAX_PAGE):
        raise Problem(422, "invalid", f"limit: write a number between 1 and {_MAX_PAGE}", field="limit")
    return int(text)


# Responses.


def answer_problem(problem: Problem) -> Response:
    """Return a problem as a response, with the headers that go with it."""
    headers = {"cache-control": "no-store"}
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, round(problem.retry_after + 0.499)))
    if problem.code == "quota_exceeded":
        headers["x-ratelimit-limit"] = str(problem.more.get("limit"))
        headers["x-ratelimit-remaining"] = "0"
        headers["x-ratelimit-reset"] = headers.get("retry-after", "1")
        headers["x-ratelimit-resource"] = str(problem.more.get("quota"))
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(dumps(problem.form()), problem.status, headers, "application/problem+json")


def event_stream(run: ServedRun, after: int) -> Response:
    """Return a run's events as server-sent events, from the one behind that number to its last."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-run-id": run.id}
    return StreamingResponse(run.stream(after), headers=headers, media_type="text/event-stream")
