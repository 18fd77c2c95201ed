"""Which node a session goes to: evenly, the same from everywhere, and with few moves when nodes change."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cloche.serve.ledger.base import Node, StoreFailed
from cloche.serve.nodes import Membership
from cloche.serve.placement import first_for

SESSIONS = [f"s_{number:022}" for number in range(4_000)]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_places_have_their_share(count: int) -> None:
    places = [f"node{number}-{number * 7919:08x}" for number in range(count)]
    shares = Counter(first_for(session, places) for session in SESSIONS)
    for place in places:
        assert shares[place] == pytest.approx(len(SESSIONS) / count, rel=0.2)


def test_a_change_of_places_moves_only_what_it_must() -> None:
    places = [f"w{number}" for number in range(5)]
    before = {session: first_for(session, places) for session in SESSIONS}
    for session, place in before.items():
        assert first_for(session, reversed(places)) == place
        if place != "w2":
            assert first_for(session, [each for each in places if each != "w2"]) == place
        assert first_for(session, [*places, "w5"]) in (place, "w5")


class Others:
    """A ledger as far as nodes use it: those that live, and how it fails."""

    is_shared = True

    def __init__(self, *nodes: Node) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.fails = False

    async def beat(self, node: Node, life: float) -> list[Node]:
        if self.fails:
            raise StoreFailed("OperationalError", gone=True)
        self.nodes[node.name] = node
        return list(self.nodes.values())

    async def leave(self, node: str) -> None:
        del self.nodes[node]


def membership(ledger: Any, on_return: Callable[[], Awaitable[None]] | None = None, life: float = 60.0) -> Membership:
    async def nothing() -> None:
        pass

    return Membership(ledger, life, lambda: 10, on_return or nothing)


def test_a_full_node_is_nobodys_home() -> None:
    async def main() -> None:
        others = Others(Node("full", "http://full", 0), Node("able", "http://able", 5))
        mine = membership(others)
        await mine.start("http://mine")
        homes = Counter(home and home.name for home in map(mine.home_of, SESSIONS))
        assert set(homes) == {None, "able"}
        assert mine.living("full") is not None
        assert mine.living("gone") is None
        await mine.close()
        assert set(others.nodes) == {"full", "able"}

    asyncio.run(main())


def test_a_node_that_cannot_say_that_it_lives_counts_itself_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloche.serve.nodes._BEAT", 0.001)
    returned = list[bool]()

    async def main() -> None:
        others = Others()

        async def on_return() -> None:
            # Until this has looked, it still counts as gone.
            returned.append(mine.is_current)

        mine = membership(others, on_return, life=0.2)
        await mine.start("http://mine")
        others.fails = True
        while mine.is_current:
            await asyncio.sleep(0.01)
        others.fails = False
        while not returned:
            await asyncio.sleep(0.01)
        await mine.close()

    asyncio.run(main())
    assert returned[0] is False


def test_a_ledger_of_ones_own_has_no_other_nodes() -> None:
    async def main() -> None:
        class Own:
            is_shared = False

        alone = membership(Own())
        await alone.start("http://mine")
        assert (alone.name, alone.is_current, alone.home_of("s"), alone.living("x")) == (None, True, None, None)
        await alone.close()

    asyncio.run(main())
