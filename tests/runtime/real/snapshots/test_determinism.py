"""Seeds and clocks: what is new after restoring and forking, and what repeats to the last bit."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloche import ConfigurationError, FuelClock, Sandbox, Session

RANDOM = "import random, secrets, uuid; (random.random(), secrets.token_hex(8), str(uuid.uuid4()))"
BUSY = """
import random, time, uuid, datetime, json
seen = [time.time(), time.monotonic(), random.random(), str(uuid.uuid4()), str(datetime.datetime.now())]
for n in range(20_000):
    seen.append(n * n)
time.sleep(3)
seen.append(time.perf_counter())
print(json.dumps(seen[:6]), tool(len(seen)))
seen[-1] - seen[1]
"""


def tool(n: int) -> str:
    return f"tool {n}"


def fixed(clock: Any = "fuel", seed: Any = 7) -> Sandbox:
    return Sandbox(tools=[tool], clock=clock, seed=seed)


def trace(session: Session) -> list[Any]:
    result = session.run(BUSY)
    return [result.unwrap(), result.stdout, result.usage.fuel, bytes(session.snapshot())]


@pytest.mark.parametrize("clock", ["fuel", 1_700_000_000, FuelClock(start=1_700_000_000.5, rate=10_000_000)])
def test_the_same_program_leaves_the_same_bytes(clock: Any) -> None:
    with fixed(clock).session() as one, fixed(clock).session() as other:
        assert trace(one) == trace(other)
        assert trace(one) == trace(other)


ELSEWHERE = """
import sys, hashlib
sys.path.insert(0, sys.argv[1])
from test_determinism import fixed, trace
with fixed().session() as session:
    trace(session)
    print(*trace(session)[:3], hashlib.sha256(bytes(session.snapshot())).hexdigest())
"""


def test_another_process_leaves_the_same_bytes() -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(Path(__file__).parent)]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert outputs[0] == outputs[1] != ""


def test_restoring_changes_nothing_of_a_deterministic_session() -> None:
    with fixed().session() as straight, fixed().session() as halted:
        trace(straight)
        trace(halted)
        with fixed().restore(bytes(halted.snapshot())) as restored, halted.fork() as fork:
            expected = trace(straight)
            assert trace(restored) == expected
            assert trace(fork) == expected


def test_a_seeded_session_goes_on_as_itself_in_a_sandbox_without_a_seed() -> None:
    with fixed().session() as session:
        session.run("x = 1").unwrap()
        snapshot = session.snapshot()
        with Sandbox(tools=[tool]).restore(snapshot) as restored:
            assert restored.run(RANDOM).unwrap() == session.run(RANDOM).unwrap()


def test_restored_and_forked_guests_draw_new_numbers() -> None:
    with Sandbox().session() as session:
        session.run("import random, secrets, uuid; random.random()").unwrap()
        snapshot = session.snapshot()
        others = [Sandbox().restore(snapshot), Sandbox().restore(snapshot), *session.fork(2)]
        drawn = [each.run(RANDOM).unwrap() for each in [session, *others]]
        for position in range(3):
            assert len({numbers[position] for numbers in drawn}) == len(drawn)
        for each in others:
            each.close()


def test_new_numbers_are_drawn_even_if_the_first_run_is_rolled_back() -> None:
    with Sandbox().session() as session:
        session.run("import random").unwrap()
        forks = session.fork(2)
        for fork in forks:
            assert fork.run("while True: pass", limits=Sandbox().limits.replace(fuel=30_000_000)).rolled_back
        assert forks[0].run("random.random()").unwrap() != forks[1].run("random.random()").unwrap()
        for fork in forks:
            fork.close()


def test_reading_a_variable_first_still_leaves_new_numbers() -> None:
    with Sandbox().session() as session:
        session.run("import random; x = 1").unwrap()
        forks = session.fork(2)
        assert [fork.get("x") for fork in forks] == [1, 1]
        assert forks[0].run("random.random()").unwrap() != forks[1].run("random.random()").unwrap()
        for fork in forks:
            fork.close()


def test_a_frozen_clock_stays_frozen_and_a_real_one_is_the_present() -> None:
    with Sandbox(clock=5).session() as session:
        session.run("import time; time.sleep(2)").unwrap()
        with Sandbox().restore(session.snapshot()) as restored:
            assert int(restored.run("time.time()").unwrap()) == 7
    with Sandbox().session() as session:
        session.run("import time; then = time.time(), time.monotonic()").unwrap()
        with Sandbox().restore(session.snapshot()) as restored, session.fork() as fork:
            for each in (restored, fork):
                assert each.run("time.time() > then[0] and time.monotonic() > then[1]").unwrap() is True


def test_the_monotonic_clock_goes_on_from_where_it_stood() -> None:
    with Sandbox().session() as session:
        session.run("import time; then = time.monotonic()").unwrap()
        snapshot = session.snapshot()
    later = snapshot.facts.world.monotonic + 10**15  # as if saved on a machine that had been up for eleven days more
    from dataclasses import replace

    from cloche import Snapshot

    facts = replace(snapshot.facts, world=snapshot.facts.world._replace(monotonic=later))
    with Sandbox().restore(Snapshot.make(facts, snapshot.body)) as restored:
        assert 10**6 <= restored.run("time.monotonic() - then").unwrap() < 10**6 + 60


def test_a_fuel_clock_ticks_with_the_work() -> None:
    with Sandbox(clock=FuelClock(start=100, rate=1_000_000)).session() as session:
        result = session.run("import time\nt = time.time()\nfor _ in range(10_000): pass\ntime.time() - t, t")
        passed, start = result.unwrap()
        assert 0 < passed < (result.usage.fuel or 0) / 1_000_000
        assert start > 100
        assert session.run("time.time() - t").unwrap() > passed
        # A loop that waits for the time to come ends, and a sleep takes no real time.
        assert session.run("end = time.time() + 2\nwhile time.time() < end: pass\ntime.sleep(3600)").ok


def test_a_fuel_clock_goes_back_with_the_session() -> None:
    with Sandbox(clock="fuel").session() as session:
        session.run("import time").unwrap()
        before = session.snapshot().facts.world
        assert session.run("while True: time.time()", limits=Sandbox().limits.replace(fuel=50_000_000)).rolled_back
        assert session.snapshot().facts.world == before


@pytest.mark.parametrize("clock", ["later", -1, 1 << 34, True, None])
def test_what_is_no_clock_is_refused(clock: Any) -> None:
    with pytest.raises(ConfigurationError, match="clock"):
        Sandbox(clock=clock)


@pytest.mark.parametrize("settings", [{"start": -1}, {"start": "1"}, {"rate": -1}, {"rate": 1.5}])
def test_what_is_no_fuel_clock_is_refused(settings: Any) -> None:
    with pytest.raises(ConfigurationError, match="clock"):
        FuelClock(**settings)


def test_a_fuel_clock_wants_fuel() -> None:
    with pytest.raises(ConfigurationError, match="metering='fuel'"):
        Sandbox(clock="fuel", metering="epoch")
