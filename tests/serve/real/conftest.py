from collections.abc import Iterator

import pytest
from tests.serve.servers import Served, serving

_TOOLS = """
from cloche import tool

__all__ = ["price", "pay"]

@tool
def price(item: str) -> float:
    "Return an item's price."
    return 2.5

@tool(approval=True)
def pay(amount: float) -> str:
    "Pay."
    return f"paid {amount}"
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that do not harm it."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "shop.py").write_text(_TOOLS)
    tenants = {
        "north": {"tools": ["shop"], "limits": {"fuel": 2_000_000_000}, "ceilings": {"fuel": 4_000_000_000}},
        "south": {"durable": "idle", "quotas": {"sessions": 3, "concurrent_runs": 1}},
    }
    with serving(folder, tenants, max_body="1 MiB", max_header=8192, body_seconds=3.0, audit="audit.log") as served:
        yield served
