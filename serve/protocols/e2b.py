"""E2B's API below ``/e2b``: its code interpreter SDK finds a session where it expects a virtual machine.

Three services of theirs, told apart by their paths: the REST API of sandboxes, ``envd`` for files (and processes, of
which there are none), and the kernel server that runs code. Facts of the wire are those of the SDK's versions 2.11
(code interpreter) and 2.63 (base). A sandbox is a session with a label; what it shows is made in its guest, by
the prelude's module ``cells``.
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse
import zlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cloche.serve.forms import Endpoint, Problem, dumps, read_body, read_parts
from cloche.serve.gateway import Gateway
from cloche.serve.protocols.cells import Cells
from cloche.serve.sessions import ServedRun, ServedSession, not_found
from cloche.serve.tenants import Tenant

__all__ = ["E2B"]

_Json = dict[str, Any]

_LABEL: Final = "e2b"
_ENVD: Final = "0.5.7"
"""What the SDK takes for the version of the machine's daemon: uploads as they are, but no metadata of files."""
_TEMPLATES: Final = ("base", "code-interpreter", "code-interpreter-v1")
_HOME: Final = "/home/user"
_DEFAULT: Final = "default"
_TIMEOUT: Final = 300
_MAX_INFO: Final = 16_384
"""Bytes of what a client may have kept with a sandbox: metadata, contexts."""
_MAX_CONTEXTS: Final = 32
_MAX_FILES: Final = 256
_MAX_SIGNING: Final = 1_000
_TOKEN_LIFE: Final = 10 * 366 * 86_400.0
"""Seconds. A token of a sandbox is good for nothing once that is gone, however long it lasts itself."""
_STATUS: Final = {"not_found": 404, "already_exists": 409, "permission_denied": 403, "unimplemented": 501}


class E2B:
    """The handlers. Each gets the tenant, by API key or by the token of a sandbox."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._home = gateway, gateway.home
        self._cells = Cells(gateway)
        self._signing: OrderedDict[str, str] = OrderedDict()
        """Sandboxes by the tokens that this process gave out last, with which clients sign addresses of files."""

    def endpoints(self) -> list[Endpoint]:
        """Return the routes."""
        sandbox = "/e2b/sandboxes/{id}"
        rest = [
            ("POST", "/e2b/sandboxes", self.create),
            ("POST", "/e2b/v2/sandboxes", self.create),
            ("GET", "/e2b/sandboxes", self.list_all),
            ("GET", "/e2b/v2/sandboxes", self.list_all),
            ("GET", sandbox, self.show),
            ("DELETE", sandbox, self.kill),
            ("POST", f"{sandbox}/timeout", self.set_timeout),
            ("POST", f"{sandbox}/refreshes", self.set_timeout),
            ("POST", f"{sandbox}/pause", self.pause),
            ("POST", f"{sandbox}/resume", self.connect),
            ("POST", f"{sandbox}/connect", self.connect),
            ("POST", "/e2b/v2/sandboxes/{id}/connect", self.connect),
            ("POST", f"{sandbox}/fork", self.fork),
            ("POST", f"{sandbox}/snapshots", self.snapshot),
            ("DELETE", "/e2b/templates/{id}", self.forget_snapshot),
            ("GET", f"{sandbox}/metrics", self.metrics),
        ]
        inside = [
            ("GET", "/e2b/health", self.health),
            ("GET", "/e2b/files", self.read_file),
            ("POST", "/e2b/files", self.write_files),
            # Where signed addresses lead: the SDK leaves the path of the server's address out.
            ("GET", "/files", self.read_file),
            ("POST", "/files", self.write_files),
            ("POST", "/e2b/filesystem.Filesystem/{call}", self.files_call),
            ("POST", "/e2b/process.Process/{call}", self.process_call),
            ("POST", "/e2b/execute", self.execute),
            ("GET", "/e2b/contexts", self.list_contexts),
            ("POST", "/e2b/contexts", self.create_context),
            ("DELETE", "/e2b/contexts/{context}", self.remove_context),
            ("POST", "/e2b/contexts/{context}/restart", self.restart_context),
        ]
        named = [(*route, self._tenant_of_key) for route in rest] + [
            (*route, self._tenant_of_token) for route in inside
        ]
        return [
            Endpoint(method, path, f"e2b_{handler.__name__}", handler, tenant_of, _refusal)
            for method, path, handler, tenant_of in named
        ]

    # Who asks, and for what.

    def _tenant_of_key(self, request: Request) -> Tenant:
        tenant = self._home.tenants.of_key(request.headers.get("x-api-key", ""))
        if tenant is None:
            raise Problem(401, "unauthorized", "no tenant has this key; set E2B_API_KEY to one of this server's")
        return tenant

    def _tenant_of_token(self, request: Request) -> Tenant:
        """Return the tenant whose sandbox the request is for. Nothing tells a wrong token from no such sandbox."""
        headers = request.headers
        token = headers.get("x-access-token") or headers.get("e2b-traffic-access-token") or ""
        request.state.sandbox = headers.get("e2b-sandbox-id", "")
        if not token and "signature" in request.query_params and request.url.path in ("/files", "/e2b/files"):
            token = self._signer(request)
            request.state.sandbox = self._signing.get(token, "")
        name, _, seal = token.partition(".")
        tenant = self._home.tenants.named(name)
        try:
            content = {} if tenant is None else tenant.read_token(seal)
        except Problem:
            content = {}
        if tenant is None or content.get("r") != _LABEL or content["s"] != request.state.sandbox:
            raise _gone()
        return tenant

    def _signer(self, request: Request) -> str:
        """Return the token that an address of a file is signed with; empty if it is none of those, or has expired."""
        query = request.query_params
        operation = "read" if request.method == "GET" else "write"
        signed = [query.get("path", ""), operation, query.get("username", "")]
        expires = query.get("signature_expiration")
        if expires is not None and not (expires.isdecimal() and len(expires) < 16 and int(expires) > time.time()):
            return ""
        for token in reversed(self._signing):
            raw = ":".join([*signed, token, *([] if expires is None else [expires])])
            digest = base64.b64encode(hashlib.sha256(raw.encode("utf-8", "replace")).digest()).rstrip(b"=").decode()
            if hmac.compare_digest(f"v1_{digest}".encode(), query["signature"].encode("utf-8", "replace")):
                return token
        return ""

    def _token(self, session: ServedSession) -> str:
        # Of another run's shape, so that it resumes nothing.
        content = {"s": session.id, "r": _LABEL, "v": -1}
        return f"{session.tenant.name}.{session.tenant.token(content, _TOKEN_LIFE)}"

    async def _sandbox(self, tenant: Tenant, id: str) -> ServedSession:
        session = await self._home.find(tenant, id)
        if _LABEL not in session.spec["labels"]:
            raise not_found("sandbox")
        return session

    async def _running(self, tenant: Tenant, request: Request) -> ServedSession:
        """Return the sandbox of a request to the machine. Raises Problem as E2B's proxy does where it does not run."""
        try:
            session = await self._sandbox(tenant, request.state.sandbox)
        except Problem as problem:
            raise (_gone() if problem.status == 404 else problem) from None
        info = _info(session)
        if _is_paused(info) and not info["auto_resume"]:
            raise _gone()
        return session

    async def _json(self, request: Request) -> _Json:
        config = self._home.config
        body = await read_body(request, config.max_body, config.body_seconds)
        try:
            form: Any = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise Problem(400, "bad_request", "the body is no JSON") from None
        if not isinstance(form, dict):
            raise Problem(400, "bad_request", "the body is no object")
        return cast("_Json", form)

    # Sandboxes.

    async def create(self, tenant: Tenant, request: Request) -> Response:
        """Create a sandbox; from a snapshot, if one is named as its template."""
        form = await self._json(request)
        template = str(form.get("templateID") or "base")
        _refuse_what_is_not_there(form)
        pauses = bool(form.get("autoPause"))
        info = {
            "template": template[:100],
            "metadata": _texts(form, "metadata"),
            "auto_pause": pauses,
            "auto_resume": pauses and bool(_object(form.get("autoResume")).get("enabled")),
            "end": time.time() + _seconds(form),
            "paused": False,
            "contexts": {},
        }
        asked: _Json = {"labels": {_LABEL: _kept(info)}, "life": self._life(tenant, info)}
        if tenant.config.durable == "never":
            asked["durable"] = "idle"
        if template.startswith("snap_"):
            asked["snapshot"] = template
        elif template not in _TEMPLATES:
            raise Problem(404, "not_found", f"there is no template {template[:100]!r}; there are: {_TEMPLATES}")
        session = await self._home.create(tenant, asked)
        try:
            if "snapshot" not in asked:
                await self._cells.prepare(session)
            if envs := _texts(form, "envVars"):
                await self._cells.ask(session, "envs", envs=envs)
        except BaseException:
            self._home.background(self._home.delete(session))
            raise
        return _answer(self._shown(session), 201)

    async def list_all(self, tenant: Tenant, request: Request) -> Response:
        """List sandboxes, a page at a time."""
        query = request.query_params
        after, limit = query.get("nextToken", ""), _limit(query.get("limit", "100"))
        states = {each for text in query.getlist("state") for each in text.split(",")}
        wanted = urllib.parse.parse_qsl(query.get("metadata", ""), max_num_fields=64)
        metadata = {urllib.parse.unquote(key): urllib.parse.unquote(value) for key, value in wanted}
        found: list[_Json] = []
        while len(found) < limit:
            rows = await self._gateway.ledger.read(self._gateway.ledger.sessions, tenant.name, after, 100)
            for row in rows:
                after = row.id
                label = json.loads(row.spec)["labels"].get(_LABEL)
                if label is None or len(found) >= limit:
                    continue
                info = json.loads(label)
                shown = _described(row.id, row.created, row.expires, info, self._memory(tenant))
                if (not states or shown["state"] in states) and metadata.items() <= info["metadata"].items():
                    found.append(shown)
                if len(found) >= limit:
                    break
            if len(rows) < 100:
                after = "" if len(found) < limit else after
                break
        response = _answer(found)
        if after and len(found) >= limit:
            response.headers["x-next-token"] = after
        return response

    async def show(self, tenant: Tenant, request: Request) -> Response:
        """Show a sandbox."""
        session = await self._home.find(tenant, request.path_params["id"], use=False)
        if _LABEL not in session.spec["labels"]:
            raise not_found("sandbox")
        row, info = session.row, _info(session)
        shown = _described(row.id, row.created, row.expires, info, self._memory(tenant))
        lifecycle = {"onTimeout": "pause" if info["auto_pause"] else "kill", "autoResume": info["auto_resume"]}
        return _answer({**shown, "lifecycle": lifecycle, "allowInternetAccess": False, "domain": None})

    async def kill(self, tenant: Tenant, request: Request) -> Response:
        """End a sandbox, whatever runs in it."""
        await self._home.delete(await self._sandbox(tenant, request.path_params["id"]))
        return Response(status_code=204)

    async def set_timeout(self, tenant: Tenant, request: Request) -> Response:
        """Have a sandbox end so many seconds from now."""
        session, form = await self._sandbox(tenant, request.path_params["id"]), await self._json(request)
        await self._keep(session, end=time.time() + _seconds(form, "timeout" if "timeout" in form else "duration"))
        return Response(status_code=204)

    async def pause(self, tenant: Tenant, request: Request) -> Response:
        """Put a sandbox into the store, where it stays until it is connected to."""
        session = await self._sandbox(tenant, request.path_params["id"])
        if _is_paused(_info(session)):
            raise Problem(409, "conflict", "the sandbox is paused already")
        async with self._cells.turn(session):
            await self._keep(session, paused=True)
            await self._home.park(session)
        return Response(status_code=204)

    async def connect(self, tenant: Tenant, request: Request) -> Response:
        """Return a sandbox to work with; one that is paused runs again."""
        session, form = await self._sandbox(tenant, request.path_params["id"]), await self._json(request)
        info, until = _info(session), time.time() + _seconds(form)
        was_paused = _is_paused(info)
        await self._keep(session, paused=False, end=until if was_paused else max(until, info["end"]))
        return _answer(self._shown(session), 201 if was_paused else 200)

    async def fork(self, tenant: Tenant, request: Request) -> Response:
        """Create sandboxes in the state of this one."""
        session, form = await self._sandbox(tenant, request.path_params["id"]), await self._json(request)
        count = form.get("count", 1)
        if type(count) is not int or not 0 < count <= 100:
            raise Problem(400, "bad_request", "count: write a number between 1 and 100")
        end = time.time() + _seconds(form)
        async with self._cells.turn(session):
            made = await self._gateway.fork(session, count)
        forks = [await self._sandbox(tenant, each.id) for each in made]
        for each in forks:
            await self._keep(each, end=end, paused=False)
        return _answer([{"sandbox": self._shown(each)} for each in forks], 201)

    async def snapshot(self, tenant: Tenant, request: Request) -> Response:
        """Keep the sandbox's state; its id is a template for others."""
        session = await self._sandbox(tenant, request.path_params["id"])
        await self._json(request)
        async with self._cells.turn(session):
            return _answer({"snapshotID": await self._gateway.snapshot(session), "names": []}, 201)

    async def forget_snapshot(self, tenant: Tenant, request: Request) -> Response:
        """Forget a snapshot."""
        await self._gateway.delete_snapshot(tenant, request.path_params["id"][:96])
        return Response(status_code=204)

    async def metrics(self, tenant: Tenant, request: Request) -> Response:
        """Show no metrics: what a tenant uses is at ``/v1/usage``."""
        await self._sandbox(tenant, request.path_params["id"])
        return _answer([])

    def _shown(self, session: ServedSession) -> _Json:
        token = self._token(session)
        self._signing[token] = session.id
        if len(self._signing) > _MAX_SIGNING:
            self._signing.popitem(last=False)
        return {
            "templateID": _info(session)["template"],
            "sandboxID": session.id,
            "clientID": "cloche",
            "envdVersion": _ENVD,
            "envdAccessToken": token,
            "trafficAccessToken": token,
            "domain": None,
        }

    def _memory(self, tenant: Tenant) -> int:
        return (tenant.config.clamped({}).memory or 0) >> 20

    def _life(self, tenant: Tenant, info: _Json) -> float:
        """Return how long the session may last: what pauses at its end is kept as long as the tenant may keep it."""
        return tenant.config.max_life if info["auto_pause"] or info["paused"] else max(0.001, info["end"] - time.time())

    async def _keep(self, session: ServedSession, **changes: Any) -> None:
        """Change what is kept with a sandbox."""
        info = _info(session) | changes
        session.spec["labels"] = session.spec["labels"] | {_LABEL: _kept(info)}
        await self._home.renew(session, None, self._life(session.tenant, info))

    # The kernel server.

    async def execute(self, tenant: Tenant, request: Request) -> Response:
        """Run a cell, and send what comes of it line by line."""
        session, form = await self._running(tenant, request), await self._json(request)
        code, language = form.get("code"), form.get("language")
        if not isinstance(code, str):
            raise Problem(400, "bad_request", "code: write text")
        if language not in (None, "python"):
            raise Problem(400, "bad_request", f"there is no language {str(language)[:40]!r} here, only python")
        context = self._context(session, str(form.get("context_id") or _DEFAULT))
        run = await self._cells.begin(session, code, context=context, envs=_texts(form, "env_vars"))
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._lines(session, run), headers=headers, media_type="application/x-ndjson")

    async def _lines(self, session: ServedSession, run: ServedRun) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._cells.events(session, run)) as events:
            async for event in events:
                yield dumps(event) + b"\n"

    def _context(self, session: ServedSession, id: str) -> str:
        """Return a context's name in the guest. Raises Problem."""
        if id != _DEFAULT and id not in _info(session)["contexts"]:
            raise Problem(404, "not_found", f"Context {id[:100]} not found")
        return "" if id == _DEFAULT else id

    async def list_contexts(self, tenant: Tenant, request: Request) -> Response:
        """List the contexts."""
        known = {_DEFAULT: _HOME, **_info(await self._running(tenant, request))["contexts"]}
        return _answer([_context_form(id, cwd) for id, cwd in known.items()])

    async def create_context(self, tenant: Tenant, request: Request) -> Response:
        """Create a context: names of its own, beside the others' files and modules."""
        session, form = await self._running(tenant, request), await self._json(request)
        if form.get("language") not in (None, "python"):
            raise Problem(400, "bad_request", "there is no language here but python")
        contexts = _info(session)["contexts"]
        if len(contexts) >= _MAX_CONTEXTS:
            raise Problem(400, "bad_request", f"there are {_MAX_CONTEXTS} contexts, and no more are allowed")
        id, cwd = f"c{time.time_ns():x}", str(form.get("cwd") or _HOME)[:1_000]
        async with self._cells.turn(session):
            await self._cells.ask(session, "forget", context=id, cwd=cwd)
            await self._keep(session, contexts=contexts | {id: cwd})
        return _answer(_context_form(id, cwd), 200)

    async def remove_context(self, tenant: Tenant, request: Request) -> Response:
        """Forget a context and its names."""
        session, id = await self._running(tenant, request), request.path_params["context"]
        if not (context := self._context(session, id)):
            raise Problem(400, "bad_request", "the default context stays; it can be restarted")
        async with self._cells.turn(session):
            await self._cells.ask(session, "drop", context=context)
            left = {each: cwd for each, cwd in _info(session)["contexts"].items() if each != id}
            await self._keep(session, contexts=left)
        return Response(status_code=204)

    async def restart_context(self, tenant: Tenant, request: Request) -> Response:
        """Forget the names of a context."""
        session, id = await self._running(tenant, request), request.path_params["context"]
        context = self._context(session, id)
        cwd = _info(session)["contexts"].get(id, _HOME)
        async with self._cells.turn(session):
            await self._cells.ask(session, "forget", context=context, cwd=cwd)
        return Response(status_code=204)

    # The machine's daemon.

    async def health(self, tenant: Tenant, request: Request) -> Response:
        """Say that the sandbox runs."""
        await self._running(tenant, request)
        return Response(status_code=204)

    async def read_file(self, tenant: Tenant, request: Request) -> Response:
        """Return a file's content."""
        session = await self._running(tenant, request)
        async with self._cells.turn(session):
            data = await self._gateway.ask(session, "get_file", _path(request.query_params.get("path", "")))
        headers = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
        return Response(data, 200, headers, "application/octet-stream")

    async def write_files(self, tenant: Tenant, request: Request) -> Response:
        """Write a file as it is, or the files of a form."""
        session, config = await self._running(tenant, request), self._home.config
        body = await read_body(request, config.max_body, config.body_seconds)
        path = request.query_params.get("path", "")
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            parts = await read_parts(request, body, _MAX_FILES)
            files = [(path if path and len(parts) == 1 else name, data) for name, data in parts]
        else:
            files = [(path, _unpacked(request, body, config.max_body))]
        if not files or not all(name for name, _ in files):
            raise Problem(400, "bad_request", "each file needs a path")
        async with self._cells.turn(session):
            for name, data in files:
                await self._gateway.ask(session, "put_file", _path(name), data)
        written = [_path(name) for name, _ in files]
        return _answer([{"name": each.rpartition("/")[2], "type": "file", "path": each} for each in written])

    async def files_call(self, tenant: Tenant, request: Request) -> Response:
        """Answer a call about files and folders."""
        session, call = await self._running(tenant, request), request.path_params["call"]
        form = await self._json(request)
        if call not in ("Stat", "ListDir", "MakeDir", "Move", "Remove"):
            return _rpc_error("unimplemented", "files are not watched in this sandbox: list them instead")
        given = {key: form[key] for key in ("path", "source", "destination") if isinstance(form.get(key), str)}
        depth = form.get("depth")
        async with self._cells.turn(session):
            found = await self._cells.ask(session, call, **given, depth=depth if type(depth) is int else 1)
        shown = _object(found)
        if "code" in shown:
            return _rpc_error(str(shown["code"]), str(shown.get("message", "")))
        try:
            return _answer({key: shown[key] for key in ("entry", "entries") if key in shown})
        except (TypeError, ValueError, RecursionError):
            return _rpc_error("internal", "the sandbox's answer cannot be read")

    async def process_call(self, tenant: Tenant, request: Request) -> Response:
        """Say that there are no processes."""
        await self._running(tenant, request)
        config = self._home.config
        await read_body(request, config.max_body, config.body_seconds)
        if request.path_params["call"] == "List":
            return _answer({})
        text = "there are no shell commands in this sandbox, which is an interpreter without an operating system: "
        text += "use run_code"
        if request.headers.get("content-type", "").startswith("application/connect"):
            # A stream, whose error is its last frame.
            end = dumps({"error": {"code": "unimplemented", "message": text}})
            return Response(b"\x02" + len(end).to_bytes(4, "big") + end, media_type="application/connect+json")
        return _rpc_error("unimplemented", text)


# What goes into a sandbox.


def _path(path: str) -> str:
    if not path or len(path) > 4_096 or "\0" in path:
        raise Problem(400, "bad_request", "path: write the path of a file")
    return path if path.startswith("/") else f"{_HOME}/{path.removeprefix('~/').removeprefix('./')}"


def _unpacked(request: Request, body: bytes, limit: int) -> bytes:
    """Return what was sent as it is, or packed by gzip. Raises Problem for what unpacks to more than is allowed."""
    if request.headers.get("content-encoding") != "gzip":
        return body
    unpacking = zlib.decompressobj(31)
    try:
        data = unpacking.decompress(body, limit)
    except zlib.error:
        raise Problem(400, "bad_request", "the body is not packed by gzip") from None
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise Problem(413, "body_too_large", f"the file is larger than {limit:,} bytes, or not whole")
    return data


def _texts(form: _Json, name: str) -> dict[str, str]:
    """Return an object of texts, within what may be kept."""
    given = form.get(name)
    texts = _object(given)
    if (given is not None and not isinstance(given, dict)) or not all(type(each) is str for each in texts.values()):
        raise Problem(400, "bad_request", f"{name}: write an object of texts")
    if sum(len(key) + len(value) for key, value in texts.items()) > _MAX_INFO // 2:
        raise Problem(400, "bad_request", f"{name}: more than {_MAX_INFO // 2:,} characters")
    return texts


def _seconds(form: _Json, name: str = "timeout") -> float:
    seconds = form.get(name, _TIMEOUT)
    if type(seconds) not in (int, float) or not 0 <= seconds <= 366 * 86_400:
        raise Problem(400, "bad_request", f"{name}: write seconds, up to a year")
    return float(seconds)


def _limit(text: str) -> int:
    if not (text.isdecimal() and len(text) < 4 and int(text)):
        raise Problem(400, "bad_request", "limit: write a number between 1 and 999")
    return int(text)


def _object(value: object) -> _Json:
    return cast("_Json", value) if isinstance(value, dict) else {}


def _refuse_what_is_not_there(form: _Json) -> None:
    for name, what in (("mcp", "MCP gateway"), ("volumeMounts", "volumes"), ("iam", "workload identity")):
        if form.get(name):
            raise Problem(400, "bad_request", f"there is no {what} in this sandbox: leave {name} out")
    if form.get("allow_internet_access"):
        raise Problem(400, "bad_request", "there is no network in this sandbox: leave allow_internet_access out")


# What is kept with one.


def _info(session: ServedSession) -> _Json:
    info: _Json = json.loads(session.spec["labels"][_LABEL])
    return info


def _kept(info: _Json) -> str:
    text = json.dumps(info)
    if len(text) > _MAX_INFO:
        raise Problem(400, "bad_request", f"more than {_MAX_INFO:,} bytes of metadata and contexts")
    return text


def _is_paused(info: _Json) -> bool:
    return bool(info["paused"] or (info["auto_pause"] and info["end"] < time.time()))


# What comes out.


def _described(id: str, created: float, expires: float, info: _Json, memory: int) -> _Json:
    return {
        "templateID": info["template"],
        "sandboxID": id,
        "clientID": "cloche",
        "startedAt": _time(created),
        "endAt": _time(min(info["end"], expires) if not info["paused"] else expires),
        "cpuCount": 1,
        "memoryMB": memory,
        "diskSizeMB": 0,
        "state": "paused" if _is_paused(info) else "running",
        "envdVersion": _ENVD,
        "metadata": info["metadata"],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _context_form(id: str, cwd: str) -> _Json:
    return {"id": id, "language": "python", "cwd": cwd}


def _answer(form: Any, status: int = 200) -> Response:
    return Response(dumps(form), status, {"cache-control": "no-store"}, "application/json")


def _rpc_error(code: str, message: str) -> Response:
    return _answer({"code": code, "message": message}, _STATUS.get(code, 400))


def _gone() -> Problem:
    return Problem(502, "not_found", "the sandbox was not found")


def _refusal(problem: Problem) -> Response:
    """Return a problem as E2B's services say it."""
    status = 400 if problem.status == 422 else problem.status
    response = _answer({"code": status, "message": str(problem)}, status)
    if problem.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(problem.retry_after + 0.499)))
    return response
