"""What tests of several areas share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.host_tools.unit.external.hub_server import HubServer


@pytest.fixture
def hub() -> "Iterator[HubServer]":
    """A Hub of this test's own, on this machine."""
    # Imported here: it needs a package that other tests do without.
    from tests.host_tools.unit.external.hub_server import hub_server

    with hub_server() as server:
        yield server


@pytest.fixture
def at(hub: "HubServer", tmp_path: Path) -> dict[str, Any]:
    """Options that keep huggingface_hub on that Hub and in this test's folder."""
    return {"endpoint": hub.endpoint, "token": False, "cache_dir": tmp_path / "cache"}
