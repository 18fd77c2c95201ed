"""Real databases for the server's tests, one of a kind for each module; skipped, with a reason, where there is none."""

from collections.abc import Iterator

import pytest
from tests.databases import running_postgres, running_redis


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with running_redis(durable=True) as url:
        yield url
