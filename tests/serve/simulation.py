"""A model of a thousand nodes with a million sessions, on the real order of places and the real turns of accounts.

    python -m tests.serve.simulation

prints the table that docs/guides/serving.md has. Nodes, their beats and the database are modelled; which node a session
goes to, and whose program computes next, are the product's own functions. Needs NumPy, for the million.
"""

import argparse
import random
import secrets
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from cloche.runtime.driving.turns import Turns
from cloche.serve.placement import first_for, mixed, seed_of

np: Any = import_module("numpy")

BEAT, LIFE = 1.0, 6.0
WAKE = 0.004
"""Seconds of a core that a wake takes: the state read, opened, and a first short run."""
LEASES = 4_000
"""Leases that the database gives in a second, each a small transaction."""
CORES = 2


def scores(sessions: Any, node: int) -> Any:
    """Return where a node stands for each session: what ``mixed`` does, for all at once."""
    bits = sessions ^ np.uint64(node)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def homes(sessions: Any, nodes: list[str]) -> Any:
    """Return the number of the node that each session goes to."""
    best = np.full(len(sessions), np.iinfo(np.uint64).max, dtype=np.uint64)
    home = np.zeros(len(sessions), dtype=np.int32)
    for number, node in enumerate(nodes):
        score = scores(sessions, seed_of(node))
        first = score < best
        best[first], home[first] = score[first], number
    return home


def spread(counts: Any) -> str:
    """Return the fullest and the emptiest node, as parts of the mean."""
    return f"{counts.max() / counts.mean():.2f} / {counts.min() / counts.mean():.2f}"


def rows(node_count: int, session_count: int) -> Iterator[tuple[str, str]]:
    """Simulate, and yield what was found."""
    draw = np.random.default_rng(1)
    names = [f"s_{secrets.token_urlsafe(16)}" for _ in range(session_count)]
    nodes = [f"node{number}-{secrets.token_hex(4)}" for number in range(node_count)]
    sessions = np.array([seed_of(name) for name in names], dtype=np.uint64)
    home = homes(sessions, nodes)
    for number in range(0, session_count, max(1, session_count // 50)):
        assert nodes[home[number]] == first_for(names[number], nodes)
    assert int(scores(sessions[:1], 5)[0]) == mixed(int(sessions[0]) ^ 5)
    yield "sessions of a node: fullest / emptiest, to the mean", spread(np.bincount(home, minlength=node_count))

    # Some sessions are used far more than others, but none more than one core can do, of a node that is half busy.
    use = draw.pareto(1.5, session_count) + 1
    use = np.minimum(use, use.sum() / node_count)
    load = np.bincount(home, weights=use, minlength=node_count)
    yield "requests of a node, where a few sessions have most of them", spread(load)

    dead = set(range(node_count // 20))
    left = [node for number, node in enumerate(nodes) if number not in dead]
    orphans = np.flatnonzero(home < len(dead))
    moved = homes(sessions[orphans], left)
    after = np.bincount(home[home >= len(dead)] - len(dead), minlength=len(left))
    extra = np.bincount(moved, minlength=len(left))
    yield "a twentieth of the nodes dies: sessions that move", f"{len(orphans):,}, all of the dead ones'"
    yield "sessions of a node after that", spread(after + extra)
    for rate, about in ((0.1, "each used every 10 s"), (10.0, "all used at once")):
        yield f"from a death to the first answer, {about}: p50 / p99 / last", failover(orphans, home, moved, rate, draw)

    more = [*nodes, *(f"new{number}-{secrets.token_hex(4)}" for number in range(node_count // 10))]
    new_home = homes(sessions, more)
    assert set(np.unique(new_home[new_home != home])) <= set(range(node_count, len(more)))
    part = np.count_nonzero(new_home != home) / session_count
    yield "a tenth more nodes: sessions that move as they wake, all to new ones", f"{part:.1%}"

    began, looks = time.perf_counter(), 200
    for name in names[:looks]:
        first_for(name, nodes)
    yield "choosing among the nodes, on this machine", f"{(time.perf_counter() - began) / looks * 1e3:.2f} ms"
    yield "one node: a tenant with 10,000 endless programs beside 999 with short ones, a wait p99", waits()


def failover(orphans: Any, home: Any, moved: Any, rate: float, draw: Any) -> str:
    """Return how long those sessions are away that are asked for at a rate, after their nodes died at one moment."""
    # A node died at some moment after its last beat; its life ends by the database's clock, and is seen with a beat.
    seen = LIFE - draw.uniform(0, BEAT, int(home.max()) + 1)[home[orphans]] + draw.uniform(0, BEAT, len(orphans))
    asked = np.maximum(seen, draw.exponential(1 / rate, len(orphans)))
    order = np.argsort(asked)
    leased = np.maximum.accumulate(asked[order] - np.arange(len(orphans)) / LEASES) + np.arange(len(orphans)) / LEASES
    free: dict[int, float] = {}
    waited = np.empty(len(orphans))
    for place, (session, moment) in enumerate(zip(order, leased, strict=True)):
        node = int(moved[session])
        free[node] = max(free.get(node, 0.0), moment) + WAKE / CORES
        # Those that are asked for only later do not wait for it.
        waited[place] = free[node] - max(0.0, asked[session] - seen[session])
    p50, p99 = np.quantile(waited, [0.5, 0.99])
    return f"{p50:.1f} / {p99:.1f} / {waited.max():.1f} s"


def waits() -> str:
    """Return how long short programs wait for their turn on one core, in slices of 2 ms, with the product's turns."""
    turns: Turns[float] = Turns(0.002)
    draw, clock, taken = random.Random(1), 0.0, list[float]()
    for _ in range(10_000):
        turns.put("noisy", -1.0, begun=False)
    # Each of the others has a program of 0.2 ms every 2 s: half of what the core can do is asked for by them.
    coming = sorted((draw.uniform(0, 60), f"t{number % 999}") for number in range(30 * 999))
    while coming or len(taken) < 30 * 999:
        while coming and coming[0][0] <= clock:
            moment, account = coming.pop(0)
            turns.put(account, moment, begun=False)
        found = turns.take()
        assert found is not None
        account, begun = found
        seconds = 0.002 if account == "noisy" else 0.0002
        if account == "noisy":
            # A newcomer shortens the turn to a quarter.
            until = next((moment for moment, _ in coming[:1]), clock + seconds)
            seconds = min(seconds, max(0.0005, until - clock))
        else:
            taken.append(clock - begun)
        clock += seconds
        turns.charge(account, seconds)
        if account == "noisy":
            turns.put(account, -1.0, begun=True)
    return f"{sorted(taken)[int(len(taken) * 0.99)] * 1e3:.1f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    arguments = parser.parse_args()
    print(f"| {arguments.nodes:,} nodes, {arguments.sessions:,} sessions | |\n|---|---|")
    for about, found in rows(arguments.nodes, arguments.sessions):
        print(f"| {about} | {found} |", flush=True)


if __name__ == "__main__":
    main()
