"""Tools and collections of tools on the Hub."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from cloche.host_tools.errors import HubError, RemoteCodeRefused
from cloche.host_tools.external.hub.code import tool_from_code
from cloche.host_tools.external.hub.repo import HubOptions, HubRepo, hub_api, hub_errors
from cloche.host_tools.external.hub.sealed import SealedTool
from cloche.host_tools.external.hub.source import requirements_of, tool_source
from cloche.host_tools.tools import Tool, set_origin

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["collection_tools", "hub_card", "load_tool", "push_tool"]

_CODE = "tool.py"
_MAX_TOOLS = 100


def load_tool(
    repo_id: str,
    *,
    trust_remote_code: bool = False,
    sandbox: "Sandbox | None" = None,
    arguments: Mapping[str, Any] | None = None,
    **hub: Unpack[HubOptions],
) -> Tool:
    """Return the tool of a repository on the Hub: one of ours, or one of smolagents' where that is installed.

    Its ``tool.py`` is run on this host, with its rights: only calls from programs come out of the sandbox. Read it
    first, and give the commit that was read as ``revision``. ``arguments`` are those of the tool's class, if it has
    any; for ``hub`` see :class:`HubOptions`.

    With a ``sandbox`` the code runs there instead, in a session of its own that ends with the tool, and no trust
    is needed: it has the guest's packages, no network, and the sandbox's limits and tools. See :class:`SealedTool`.

    Raises RemoteCodeRefused without either, before anything is fetched; HubError if the file
    cannot be had or is larger than 1 MiB; ToolDefinitionError if its code does not run or defines no tool;
    ConfigurationError where the extra ``cloche[hub]`` is not installed.
    """
    if sandbox is None and not trust_remote_code:
        raise RemoteCodeRefused(f"tool.py of {repo_id}")
    repo = HubRepo(repo_id, **hub)
    source = repo.read(_CODE)
    if sandbox is not None:
        return SealedTool(f"{repo.address}/{_CODE}", source, sandbox, arguments)
    return set_origin(tool_from_code(f"{repo.address}/{_CODE}", source, arguments), repo.address)


def collection_tools(
    slug: str, *, trust_remote_code: bool = False, sandbox: "Sandbox | None" = None, **hub: Unpack[HubOptions]
) -> list[Tool]:
    """Return the tools of the Spaces in a collection, in its order; what is no Space is passed over.

    Raises what :func:`load_tool` raises, and HubError for a collection that is not there or has more than 100 Spaces.
    """
    if sandbox is None and not trust_remote_code:
        raise RemoteCodeRefused(f"the Spaces of the collection {slug}", "the code of each of its tools")
    with hub_errors(f"the collection {slug}"):
        found = hub_api(hub.get("endpoint"), hub.get("token")).get_collection(slug)
    spaces = [str(item.item_id) for item in found.items if item.item_type == "space"]
    if len(spaces) > _MAX_TOOLS:
        raise HubError(f"the collection {slug}", f"it has {len(spaces)} Spaces, and at most {_MAX_TOOLS} are loaded")
    return [load_tool(repo_id, trust_remote_code=trust_remote_code, sandbox=sandbox, **hub) for repo_id in spaces]


def push_tool(
    tool: Tool,
    repo_id: str,
    *,
    commit_message: str = "Upload tool",
    private: bool | None = None,
    create_pr: bool = False,
    **hub: Unpack[HubOptions],
) -> str:
    """Write a tool's code to a repository on the Hub, made if there is none, and return the commit's id.

    ``tool.py`` is its function or class with the imports that it needs, nothing else of its module;
    ``requirements.txt`` and ``README.md`` come with it. ``private`` is for a new repository; default: as the Hub does
    it, which is public. With ``create_pr`` the commit is a pull request.

    Raises ToolDefinitionError for a tool that does not stand by itself, HubError, and ConfigurationError.
    """
    source = tool_source(tool)
    repo = HubRepo(repo_id, **hub)
    name = repo_id.partition("/")[2] or repo_id
    load = f"from cloche.host_tools.external import load_tool\n\n{tool.name} = load_tool({repo_id!r}, revision=..., "
    files = {
        _CODE: source,
        "requirements.txt": "".join(f"{line}\n" for line in requirements_of(source)),
        "README.md": hub_card(name, "tool", tool.description, f"{load}trust_remote_code=True)"),
    }
    content = {file: text.encode() for file, text in files.items()}
    return repo.write(content, commit_message, private=private, create_pr=create_pr)


def hub_card(name: str, what: str, description: str, load: str) -> str:
    """Return the text of a README.md, with the settings that the Hub reads from its head."""
    head = f"---\ntitle: {json.dumps(name)}\nsdk: static\napp_file: README.md\ntags: [cloche, {what}]\n---\n"
    return f"{head}\n# {name}\n\n{description}\n\n```python\n{load}\n```\n"
