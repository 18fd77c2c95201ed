"""Protocols that clients speak already, over the sessions of the server: adapters that its application mounts."""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from cloche.serve.agents import AgentRuns
from cloche.serve.forms import Endpoint, Problem
from cloche.serve.gateway import Gateway
from cloche.serve.protocols.a2a import A2A
from cloche.serve.protocols.agui import AgUi
from cloche.serve.protocols.e2b import E2B
from cloche.serve.protocols.openai import Containers, Models
from cloche.serve.tenants import Tenant

if TYPE_CHECKING:
    from cloche.serve.protocols.mcp import McpServers

__all__ = ["endpoints"]


def endpoints(gateway: Gateway, runs: AgentRuns) -> list[Endpoint]:
    """Return the routes of all protocols; those about agents have their runs in ``runs``."""
    mcp, containers = _Mcp(gateway, runs), Containers(gateway)
    return [
        *containers.endpoints(),
        *Models(gateway, runs, containers).endpoints(),
        *E2B(gateway).endpoints(),
        *AgUi(gateway, runs).endpoints(),
        *A2A(gateway, runs).endpoints(),
        *(Endpoint(each, "/mcp", "mcp", mcp.answer) for each in ("POST", "GET", "DELETE")),
    ]


class _Mcp:
    """MCP, whose SDK takes half a second to import: when the first client comes."""

    def __init__(self, gateway: Gateway, runs: AgentRuns) -> None:
        self._gateway, self._runs = gateway, runs
        self._servers: McpServers | None = None

    async def answer(self, tenant: Tenant, request: Request) -> Response:
        """Speak MCP."""
        if self._servers is None:
            try:
                from cloche.serve.protocols.mcp import McpServers
            except ImportError:
                raise Problem(501, "not_installed", "MCP is not served", remedy="install cloche[mcp]") from None
            self._servers = McpServers(self._gateway, self._runs)
        return await self._servers.answer(tenant, request)
