"""An endpoint of a Gradio app as a tool."""

from typing import Any

from cloche.host_tools.errors import HubError
from cloche.host_tools.external.spaces.connection import SpaceConnection, app_errors
from cloche.host_tools.external.spaces.files import (
    Folder,
    endpoint_schema,
    is_file,
    parameters_of,
    result_schemas,
    sent,
)
from cloche.host_tools.json_schema import annotation_of, as_dict
from cloche.host_tools.names import safe_tool_name
from cloche.host_tools.schema_tool import SchemaTool
from cloche.host_tools.tools import set_origin

__all__ = ["SpaceTool", "space_tool"]


_MAX_BYTES = 32 << 20


class SpaceTool(SchemaTool):
    """Calls an endpoint of a Gradio app; made by :func:`space_tool`. ``api_name`` is the endpoint's name."""

    def __init__(self, name: str, description: str, api_name: str, endpoint: Any, connection: SpaceConnection) -> None:
        schema = endpoint_schema(endpoint)
        super().__init__(safe_tool_name(name), description, schema, self._ask, returns=_returns(endpoint))
        self.api_name = api_name
        self._space = connection
        self._space_parameters = list(parameters_of(endpoint))

    def close(self) -> None:
        """Disconnect from the app. Safe to call twice."""
        self._space.close()

    def _wire_value(self, key: str, value: Any) -> Any:
        return value

    def _ask(self, arguments: dict[str, Any]) -> Any:
        def arrange(folder: Folder) -> list[Any]:
            known = self._space_parameters
            return [sent(arguments.get(one.name, one.default), folder, file=one.is_file) for one in known]

        return self._space.call(self.api_name, arrange, self.name)


def space_tool(
    source: str,
    name: str,
    description: str = "",
    api_name: str | None = None,
    token: str | None = None,
    *,
    timeout: float = 120.0,
    max_bytes: int = _MAX_BYTES,
    endpoint: str | None = None,
) -> SpaceTool:
    """Return an endpoint of a Gradio app as a tool: ``source`` is a Space, ``owner/name``, or the address of an app.

    A call is a request to the app; no code of its author's runs here. Files cross as bytes both ways: no path of a
    program's, and none that the app names, is read or written on this host. An answer of several parts is a tuple.

    ``api_name``  default: the first that the app has, such as ``/predict``.
    ``token``     of the Hub, for private Spaces; the app gets it. Default: none is sent, not even that of the login.
    ``timeout``   seconds for connecting and for each call, default 120.
    ``max_bytes`` of the files in one answer, default 32 MiB.
    ``endpoint``  of the Hub; default: huggingface.co, or ``HF_ENDPOINT``.

    Raises HubError if the app is not running, cannot be reached or has no such endpoint, and ConfigurationError
    where the extra ``cloche[gradio]`` is not installed.
    """
    connection = SpaceConnection(source, token=token, timeout=timeout, max_bytes=max_bytes, endpoint=endpoint)
    with app_errors(source):
        endpoints = connection.endpoints
        chosen = _chosen(source, endpoints, api_name)
        described = description or f"Asks {chosen} of the Gradio app {source}."
        tool = SpaceTool(name, described, chosen, endpoints[chosen], connection)
    set_origin(tool, f"gradio:{source}#{chosen}")
    return tool


def _chosen(source: str, endpoints: dict[str, Any], api_name: str | None) -> str:
    chosen = api_name or next(iter(endpoints), "")
    if chosen not in endpoints:
        there = ", ".join(sorted(endpoints)[:20]) or "none with a name"
        raise HubError(source, f"it has no endpoint {chosen or 'at all'!r}; there is {there}")
    return chosen


def _returns(endpoint: Any) -> Any:
    schemas = result_schemas(endpoint)
    if len(schemas) != 1:
        return Any
    return bytes if is_file(schemas[0]) else annotation_of(schemas[0], as_dict(schemas[0]))
