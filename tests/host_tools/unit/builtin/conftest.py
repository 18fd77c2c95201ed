"""What the tests of built-in tools share."""

from collections.abc import Iterator

import pytest

from .servers import Site, site


@pytest.fixture
def web() -> Iterator[Site]:
    """A real server on this machine."""
    with site() as running:
        yield running
