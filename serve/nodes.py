"""The nodes that share a ledger: which of them live, which has a session, and how a request gets to that one.

Each node says once a second that it lives, and is believed for some seconds. A node that could not say so for long
counts itself out before the others do: it acknowledges nothing until it has looked which sessions are still its own. A
session that no living node has goes to the first of them in its rendezvous order, so that a change of nodes moves few.
"""

import asyncio
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, TypeVar

import httpx

from cloche.serve.forms import Problem, dumps
from cloche.serve.ledger.base import Node, ServerLedger, StoreFailed
from cloche.serve.placement import first_for
from cloche.serve.tenants import Tenant, Tenants

__all__ = ["NODE_MARK", "Membership", "NodeRouter"]

NODE_MARK = "~"
"""Stands behind a node's name in the id of a connection that this node has."""

_BEAT = 1.0
_MARGIN = 0.7
"""The part of its life after which a node that could not renew it takes itself for dead: clocks differ in speed."""
_CONNECT = 2.0
_PASSED_ON = "x-cloche-passed-on"
_SESSION = re.compile(r"/(s_[A-Za-z0-9_-]{22})(?=/|$)")
_HOP = frozenset({"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Membership:
    """This node among those that share its ledger; where that is its own, the only one, which always lives.

    ``room`` says how many more sessions it can hold. ``on_return`` is awaited when the node lives again that could not
    say so for too long.
    """

    def __init__(
        self, ledger: ServerLedger, life: float, room: Callable[[], int], on_return: Callable[[], Awaitable[None]]
    ) -> None:
        self.name = f"{socket.gethostname()[:40]}-{secrets.token_hex(4)}" if ledger.is_shared else None
        """Its name, which no node had before; None where there are no others."""
        self.url = ""
        self._ledger, self._life, self._room, self._on_return = ledger, life, room, on_return
        self._nodes: dict[str, Node] = {}
        self._renewed = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """Whether the others still believe that this node lives, so that its sessions are its own."""
        return self.name is None or time.monotonic() - self._renewed < self._life * _MARGIN

    @property
    def nodes(self) -> list[Node]:
        """All that lived when this was last asked."""
        return list(self._nodes.values())

    async def start(self, url: str) -> None:
        """Say for the first time that this node lives, at an address for the others. Raises StoreFailed."""
        if self.name is not None:
            self.url = url
            await self._beat()
            self._task = asyncio.create_task(self._keep_beating())

    async def close(self) -> None:
        """Say that this node has ended."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            with suppress(StoreFailed):
                await self._ledger.leave(self.name or "")

    def living(self, name: str | None) -> Node | None:
        """Return the node of that name, if it lives."""
        return None if name is None else self._nodes.get(name)

    def home_of(self, session: str) -> Node | None:
        """Return the node for a session that none has: the first in its order that has room. None: this one."""
        able = [node for node in self._nodes.values() if node.room > 0] or list(self._nodes.values())
        names = {node.name: node for node in able}
        home = names[first_for(session, names)] if names else None
        return None if home is None or home.name == self.name else home

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            # Without an answer it is as good as dead, and will look again.
            with suppress(StoreFailed, TimeoutError):
                await self._beat()

    async def _beat(self) -> None:
        began, was_current = time.monotonic(), self.is_current
        async with asyncio.timeout(self._life * _MARGIN):
            nodes = await self._ledger.beat(Node(self.name or "", self.url, max(0, self._room())), self._life)
        self._nodes = {node.name: node for node in nodes}
        if not was_current:
            await self._on_return()
        self._renewed = began


class NodeRouter:
    """An application in front of the server's own, which passes requests for other nodes' sessions on to these.

    ``claim`` returns the node that has a tenant's session, and None where this one has it now, or there is none.
    """

    def __init__(
        self,
        app: Any,
        tenants: Tenants,
        membership: Membership,
        claim: Callable[[Tenant, str, bool], Awaitable[Node | None]],
        max_body: int,
    ) -> None:
        self._app, self._tenants, self._membership = app, tenants, membership
        self._claim, self._max_body = claim, max_body
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT), limits=httpx.Limits(max_connections=None)
        )

    async def close(self) -> None:
        """Close the connections to other nodes."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request here, or have the node serve it that has its session."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            other = self._node_of_connection(headers)
            if other is not None:
                await self._pass_on(other, scope, receive, send)
                return
            tenant = self._tenant_of(scope["path"], headers)
            if tenant is not None:
                receive, id = await self._session_of(scope, receive, tenant)
                if id is not None:
                    was_passed_on = _PASSED_ON.encode() in headers
                    try:
                        node = await self._claim(tenant, id, was_passed_on)
                    except StoreFailed as error:
                        problem = Problem(503, "store_failed", "the store failed", cause=error.kind, retry_after=1.0)
                        await _refuse(send, problem)
                        return
                    if node is not None and was_passed_on:
                        # Two nodes that see different ones live. They will soon agree.
                        text = "the session is on its way to another node"
                        await _refuse(send, Problem(503, "not_here", text, remedy="send it again", retry_after=0.2))
                        return
                    if node is not None:
                        await self._pass_on(node, scope, receive, send)
                        return
        await self._app(scope, receive, send)

    def _node_of_connection(self, headers: dict[bytes, bytes]) -> Node | None:
        """Return the other node that has a connection of MCP, if it is one of another."""
        name, mark, _ = headers.get(b"mcp-session-id", b"").decode("latin-1").partition(NODE_MARK)
        is_here = not mark or name == self._membership.name or _PASSED_ON.encode() in headers
        return None if is_here else self._membership.living(name)

    def _tenant_of(self, path: str, headers: dict[bytes, bytes]) -> Tenant | None:
        """Return whose key a request has, or whose sandbox's token, as E2B's clients send it; None for another key."""

        def sent(name: bytes) -> str:
            return headers.get(name, b"").decode("latin-1")

        scheme, _, key = sent(b"authorization").partition(" ")
        if scheme.lower() == "bearer":
            return self._tenants.of_key(key)
        if not path.startswith("/e2b/"):
            return None
        if key := sent(b"x-api-key"):
            return self._tenants.of_key(key)
        name, _, seal = (sent(b"x-access-token") or sent(b"e2b-traffic-access-token")).partition(".")
        tenant = self._tenants.named(name)
        with suppress(Problem):
            if tenant is not None and tenant.read_token(seal)["s"] == sent(b"e2b-sandbox-id"):
                return tenant
        return None

    async def _session_of(self, scope: Scope, receive: Receive, tenant: Tenant) -> tuple[Receive, str | None]:
        """Return what receives the request's body from now on, and the session that it is about, if it is about one."""
        path: str = scope["path"]
        found = _SESSION.search(path)
        if found is None and path.startswith("/e2b/"):
            found = _SESSION.search("/" + dict(scope["headers"]).get(b"e2b-sandbox-id", b"").decode("latin-1"))
        if found is not None or not path.endswith(("/v1/resume", "/v1/responses")):
            return receive, None if found is None else found[1]
        messages, body = [await receive()], b""
        while True:
            body += messages[-1].get("body", b"")
            if not messages[-1].get("more_body") or len(body) > self._max_body:
                break
            messages.append(await receive())

        async def again() -> MutableMapping[str, Any]:
            return messages.pop(0) if messages else await receive()

        if path.endswith("/v1/responses"):
            container = re.search(rb'"container"\s*:\s*"(s_[A-Za-z0-9_-]{22})"', body)
            return again, None if container is None else container[1].decode()
        token = re.search(rb'"token"\s*:\s*"([\w.=-]{1,2048})"', body)
        with suppress(Problem):
            return again, None if token is None else str(tenant.read_token(token[1].decode())["s"])
        return again, None

    async def _pass_on(self, node: Node, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in _HOP]
        headers.append((_PASSED_ON.encode(), b"1"))
        url = httpx.URL(node.url).copy_with(raw_path=scope["raw_path"] + _query(scope))
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        request = self._client.build_request(
            scope["method"], url, headers=headers, content=_body(receive) if has_body else None
        )
        begun = False
        try:
            answer = await self._while_it_lives(node, self._client.send(request, stream=True))
            try:
                kept = [
                    (name, value) for name, value in answer.headers.raw if name.decode("latin-1").lower() not in _HOP
                ]
                begun = True
                await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
                pieces = answer.aiter_raw()
                while piece := await self._while_it_lives(node, anext(pieces, b"")):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await answer.aclose()
        except httpx.HTTPError:
            if begun:
                # Its stream breaks off, and the client asks for the rest.
                raise
            problem = Problem(
                503,
                "node_lost",
                "the node that has the session does not answer",
                cause="whether a run was begun there is not known here; under its id it happens once",
                remedy="send the request again, a run under the same id",
                retry_after=_BEAT,
            )
            await _refuse(send, problem)

    async def _while_it_lives(self, node: Node, work: Awaitable[T]) -> T:
        """Wait for something of another node, but not of one that has stopped without closing its connections."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_BEAT))[0]:
                if self._membership.living(node.name) is None:
                    raise httpx.ReadError("the node has stopped")
            return task.result()
        finally:
            task.cancel()


def _query(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    return b"?" + query if query else b""


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _refuse(send: Send, problem: Problem) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": dumps(problem.form())})
