"""What tests of several areas share."""

import asyncio
import importlib
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

# Its import takes the handler of SIGFPE, which is the engine's once a guest has run: a trap would end the process.
with suppress(ImportError):
    importlib.import_module("gmpy2")

if TYPE_CHECKING:
    from tests.host_tools.unit.external.hub_server import HubServer

# How fast examples are made and run says something about the machine only: these tests pass on an overloaded one.
settings.register_profile("cloche", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cloche")

# A shell's background jobs ignore SIGINT, and so would every process that a test starts, Ctrl-C or not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_loop_is_left() -> Iterator[None]:
    """Close the event loop that LiteLLM makes for a thread that asks it synchronously, and leaves there.

    Whatever test came after, as soon as garbage was collected, would fail for an unclosed loop.
    """
    yield
    if "litellm" not in sys.modules:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            return
    # One that runs is a browser's, which is driven from this very thread.
    if not loop.is_running():
        loop.close()
        asyncio.set_event_loop(None)


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
