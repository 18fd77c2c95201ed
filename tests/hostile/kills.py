"""``make kills``: processes killed while they save, and losses of power: no acknowledged state is lost or doubled.

Two processes at a time resume one session in turn, under its lock and sealed with a key, and are killed at random
moments. What they were told is kept must be there afterwards, once, and the lock must be free.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tests.hostile import powerloss
from tests.hostile.progress import progress
from tests.hostile.results import note_result

from cloche import FolderStore, Limits, Sandbox, Snapshot, SnapshotBusy, SnapshotNotFound, SQLiteStore
from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.limits import Spent
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts

__all__ = ["STORES", "Lives", "lose_power"]

KILLS = 1_000
CUTS = 2_000
STORES: dict[str, Callable[[Path], FolderStore | SQLiteStore]] = {
    "FolderStore": FolderStore,
    "SQLiteStore": SQLiteStore,
}
_NAME = "a session"
_KEY = bytes(range(32))
_AT_ONCE = 2
# Lives after which what the session holds is looked at, by a process of its own.
_LOOK = 50
# Of so many processes that are killed, one has a guest.
_WITH_GUEST = 8


class Lives:
    """Has processes live and die over one store. No engine may be in this process: it forks.

    A step is one of a session, in a guest; or, ``without_guest``, one number more in a snapshot of some size, which
    takes a hundredth of the time.
    """

    def __init__(self, kind: str, folder: Path, noise: random.Random, *, without_guest: bool) -> None:
        self._path = folder / f"{kind}-{without_guest}"
        self._make = STORES[kind]
        self._noise = noise
        self._without_guest = without_guest
        self._longest = 0.02 if without_guest else 0.5
        self.kills = 0
        self.acknowledged = 0

    def live(self) -> None:
        """Have some processes live at once, kill each at a random moment, and look at what is kept."""
        reader, writer = os.pipe()
        children = [self._born(reader, writer) for _ in range(_AT_ONCE)]
        os.close(writer)
        for child in children:
            time.sleep(self._noise.uniform(0, self._longest))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.kills += 1
        with open(reader, encoding="utf-8") as told:
            numbers = [int(line) for line in told.read().split()]
        # However busy the machine is: some die before they have saved anything.
        self._longest *= 0.95 if numbers else 1.25
        assert numbers == sorted(set(numbers)), f"told twice, or out of turn: {numbers}"
        self.acknowledged = max([self.acknowledged, *numbers])
        self._check()

    def look(self) -> None:
        """Restore the session in a process of its own: it has done each of its steps once."""
        if self._without_guest:
            kept = self._make(self._path).get(_NAME)
            assert _steps_of(kept) == list(range(kept.spent.runs)), "a step was lost or done twice"
            return
        child = os.fork()
        if not child:
            _born(self._look_inside)
        _, status = os.waitpid(child, 0)
        assert status == 0, "a step was lost or done twice"

    def _check(self) -> None:
        store = self._make(self._path)
        with store.lock(_NAME):
            try:
                kept = store.get(_NAME)
            except SnapshotNotFound:
                assert not self.acknowledged
                return
        kept.check(key=_KEY)
        # Those that died between saving and telling may have been one each.
        assert self.acknowledged <= kept.spent.runs <= self.acknowledged + _AT_ONCE
        self.acknowledged = kept.spent.runs

    def _born(self, reader: int, told: int) -> int:
        child = os.fork()
        if not child:
            # So that it ends with its parent, at its next word.
            os.close(reader)
            _born(lambda: self._work(told))
        return child

    def _work(self, told: int) -> None:
        box, store = None if self._without_guest else Sandbox(limits=Limits(time=None)), self._make(self._path)
        while True:
            try:
                with store.lock(_NAME):
                    number = _step_without_guest(store) if box is None else _step(box, store)
                    os.write(told, f"{number}\n".encode())
            except SnapshotBusy:
                time.sleep(0.001)

    def _look_inside(self) -> None:
        with Sandbox().restore(self._make(self._path).get(_NAME), key=_KEY) as session:
            assert session.get("steps") == list(range(session.spent.runs))


def _step(box: Sandbox, store: FolderStore | SQLiteStore) -> int:
    """Restore the session, have it do one step more, and save it; return how many it has done."""
    try:
        session = box.restore(store.get(_NAME), key=_KEY)
    except SnapshotNotFound:
        session = box.session()
    with session:
        session.run("steps = globals().get('steps', [])\nsteps.append(len(steps))").unwrap()
        store.put(_NAME, session.snapshot(key=_KEY))
        return session.spent.runs


def _step_without_guest(store: FolderStore | SQLiteStore) -> int:
    try:
        steps = _steps_of(store.get(_NAME))
    except SnapshotNotFound:
        steps = []
    steps.append(len(steps))
    facts = SnapshotFacts(
        "",
        1,
        1 << 20,
        0,
        (),
        Spent(runs=len(steps)),
        None,
        EnvironmentState(None, 0, None, 0, 0),
        KnownFacts(None, None),
    )
    store.put(_NAME, Snapshot.make(facts, json.dumps(steps).encode() + b"|" + os.urandom(200_000), _KEY))
    return len(steps)


def _steps_of(snapshot: Snapshot) -> list[int]:
    steps: list[int] = json.loads(snapshot.body.partition(b"|")[0])
    return steps


def _born(work: Callable[[], None]) -> NoReturn:
    """Work, and end without what the parent would do at its end."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


# A writer of small snapshots without a guest: what is looked at is what the store does to its files.
_WRITER = """
import os, sys
from pathlib import Path
from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.limits import Spent
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

root, writes = Path(sys.argv[2]), int(sys.argv[3])
told = os.open(root / ".acknowledged", os.O_WRONLY | os.O_CREAT, 0o600)
store = globals()[sys.argv[1]](root / "store")
nothing = (1, 1 << 20, 0, ())
for number in range(1, writes + 1):
    environment, known = EnvironmentState(None, 0, None, 0, 0), KnownFacts(None, None)
    facts = SnapshotFacts("", *nothing, Spent(runs=number), None, environment, known)
    with store.lock("a session"):
        store.put("a session", Snapshot.make(facts, os.urandom(9_000 * (1 + number % 3)), bytes(range(32))))
        os.pwrite(told, b"%d" % number, 0)
"""


def lose_power(kind: str, folder: Path, cuts: int, noise: random.Random, writes: int = 12) -> int:
    """Let the power fail at so many moments while a store saves; return how many states were found, all sound."""
    root, log = folder / f"root-{kind}", folder / f"log-{kind}"
    root.mkdir()
    library = powerloss.build(folder)
    command = [sys.executable, "-c", _WRITER, kind, str(root), str(writes)]
    environment = powerloss.preloaded(library, root, log) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, check=True, env=environment)
    done = powerloss.operations(log)
    assert powerloss.acknowledged(done) == writes
    found = 0
    for _ in range(cuts):
        so_far = done[: noise.randrange(len(done) + 1)]
        acknowledged = powerloss.acknowledged(so_far)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            powerloss.leave(so_far, Path(place), noise)
            try:
                kept = STORES[kind](Path(place) / "store").get(_NAME)
            except SnapshotNotFound:
                assert not acknowledged, f"state {acknowledged} was acknowledged and is gone"
                continue
            kept.check(key=_KEY)
            assert acknowledged <= kept.spent.runs <= acknowledged + 1
            found += 1
    return found


def main() -> None:
    """Kill, and lose power; note the result where ``--note`` says so."""
    parser = argparse.ArgumentParser(prog="make kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="over both stores; default 1,000")
    parser.add_argument("--cuts", type=int, default=CUTS, help="losses of power over both stores; default 2,000")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--note", action="store_true", help="write the result down for docs/security/attacks.md")
    asked = parser.parse_args()
    seed = random.randrange(1 << 30) if asked.seed is None else asked.seed
    noise, started, numbers = random.Random(seed), time.monotonic(), dict[str, object]()
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder, progress("killing", asked.kills) as tell:
        for kind in STORES:
            for without_guest in (False, True):
                kills = asked.kills // len(STORES)
                share = max(2, kills // _WITH_GUEST)
                lives = Lives(kind, Path(folder), noise, without_guest=without_guest)
                while lives.kills < (kills - share if without_guest else share):
                    lives.live()
                    tell(_AT_ONCE)
                    if lives.kills % (_LOOK * _AT_ONCE) == 0 and lives.acknowledged:
                        lives.look()
                if lives.acknowledged:
                    lives.look()
                what = f"{kind}, {'snapshots alone' if without_guest else 'sessions in guests'}"
                numbers[what] = f"{lives.kills:,} processes killed; {lives.acknowledged:,} states, each kept once"
                print(f"{what}: {numbers[what]}", flush=True)
            found = lose_power(kind, Path(folder), asked.cuts // len(STORES), noise)
            numbers[f"{kind}, without power"] = (
                f"{asked.cuts // len(STORES):,} times; {found:,} states found, all sound"
            )
            print(f"{kind}: {numbers[f'{kind}, without power']}", flush=True)
    if asked.note:
        note_result("kills", {"seed": seed, **numbers, "lost or doubled": 0}, time.monotonic() - started)


if __name__ == "__main__":
    main()
