"""With a seed and a clock of its own a run is a pure function; without them every guest is different."""

import time

import pytest

from cloche.runtime.errors import ConfigurationError, FuelExhausted, TimeExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

PROGRAM = """
import os, random, secrets, time, uuid, datetime
time.sleep(0.25)
print(sorted({random.random() for _ in range(9)}), {"a", "b", "c", "d"}, hash("text"))
(random.random(), secrets.token_hex(8), str(uuid.uuid4()), os.urandom(8), time.time(), time.monotonic(),
 str(datetime.datetime.now()))
"""


def everything(box: Sandbox) -> tuple[object, ...]:
    result = box.run(PROGRAM)
    return result.unwrap(), result.stdout, result.usage.fuel


@pytest.mark.parametrize("seed", [0, 7, "text", b"\0", 1 << 100, ""])
def test_the_same_seed_gives_the_same_run(seed: int | str | bytes) -> None:
    runs = {repr(everything(Sandbox(seed=seed, clock=1_000_000_000))) for _ in range(3)}
    assert len(runs) == 1


def test_another_seed_gives_another_run() -> None:
    runs = {repr(everything(Sandbox(seed=seed, clock=5))) for seed in (0, 1, "0", "1", b"0", b"1", "", -1)}
    assert len(runs) == 8


def test_sessions_with_a_seed_repeat_after_a_rollback() -> None:
    def draws(spoil: bool) -> list[object]:
        with Sandbox(seed=3, clock=0).session() as session:
            values: list[object] = []
            for _ in range(5):
                values.append(
                    session.run("import random, os, time\n(random.random(), os.urandom(4), time.time())").unwrap()
                )
                if spoil:
                    code = "os.urandom(99); random.random(); time.sleep(9)\nwhile True: pass"
                    assert session.run(code, limits=Limits(fuel=5_000_000)).rolled_back
            return values

    assert draws(spoil=True) == draws(spoil=False)


def test_without_a_seed_nothing_comes_twice() -> None:
    code = "import os, random, secrets, uuid\n(random.random(), secrets.token_hex(8), uuid.uuid4(), os.urandom(8))"
    box = Sandbox()
    values = [value for _ in range(20) for value in box.run(code).unwrap()]
    with box.session() as session:
        values += [value for _ in range(5) for value in session.run(code).unwrap()]
    assert len(set(values)) == len(values) == 100


def test_a_rolled_back_guest_does_not_repeat_what_was_undone() -> None:
    with Sandbox().session() as session:
        # Seeded now: before, it is as if each repeated run were the first to ask.
        session.run("import random\nrandom.random()")
        drawn: list[str] = []
        for _ in range(3):
            result = session.run("print(random.random())\nwhile True: pass", limits=Limits(fuel=5_000_000))
            assert result.rolled_back
            drawn.append(result.stdout)
        # The state of the generator is rolled back with everything else: the same run is repeated.
        assert len(set(drawn)) == 1
        assert session.run("import os; os.urandom(8)").unwrap() != session.run("os.urandom(8)").unwrap()


def test_a_clock_that_stands_still_moves_by_sleeping() -> None:
    started = time.monotonic()
    code = "import time, datetime\nbefore = time.time()\ntime.sleep(3600)\n"
    code += "(before, round(time.time() - before), datetime.datetime.now(datetime.UTC).year)"
    assert Sandbox(clock=86_400.0).run(code).unwrap() == (86_400.0, 3600, 1970)
    code = "import asyncio, time\nawait asyncio.gather(asyncio.sleep(7200), asyncio.sleep(3600))\nround(time.time())"
    assert Sandbox(clock=0).run(code).unwrap() == 7200
    assert time.monotonic() - started < 600


def test_the_real_clock_is_the_hosts() -> None:
    before = time.time()
    seen = Sandbox().run("import time\n(time.time(), time.monotonic() >= 0)").unwrap()
    assert before - 1 <= seen[0] <= time.time() + 1
    assert seen[1] is True


@pytest.mark.parametrize("clock", ["now", None, True, -1, 1 << 33, float("nan")])
def test_clocks_that_are_none(clock: object) -> None:
    with pytest.raises(ConfigurationError, match="clock"):
        Sandbox(clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [1.5, True, [1], object()])
def test_seeds_that_are_none(seed: object) -> None:
    with pytest.raises(ConfigurationError, match="seed"):
        Sandbox(seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("metering", ["fuel", "epoch", "none"])
def test_every_metering_runs_programs(metering: str) -> None:
    box = Sandbox(metering=metering)  # type: ignore[arg-type]
    result = box.run("sum(range(1_000))")
    assert result.unwrap() == 499_500
    assert (result.usage.fuel is None) == (metering != "fuel")
    with box.session() as session:
        session.run("x = [1]").unwrap()
        assert session.run("1 / 0").error is not None
        session.run("x.append(2); bytearray(1 << 30)")
        assert session.run("x").unwrap() == [1]


def test_meterings_end_what_they_can() -> None:
    limits = Limits(fuel=10_000_000, time=0.2)
    assert isinstance(Sandbox(metering="fuel").run("while True: pass", limits=limits).error, FuelExhausted)
    assert isinstance(Sandbox(metering="epoch").run("while True: pass", limits=limits).error, TimeExceeded)
    code = "import time\nwhile True: time.sleep(0.01)"
    assert isinstance(Sandbox(metering="none").run(code, limits=limits).error, TimeExceeded)


def test_a_metering_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="metering"):
        Sandbox(metering="guess")  # type: ignore[arg-type]
