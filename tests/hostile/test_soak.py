"""The short part of ``make soak``: runs of every kind, and nothing that grows from run to run."""

import gc

from tests.hostile.soak import Point, Soak, growth

from cloche.runtime.wasm.instance import Instance


def test_runs_of_all_kinds_leave_no_files_and_no_threads() -> None:
    soak = Soak(2026)
    try:
        soak.run(400)
        points = [soak.point()]
        for _ in range(3):
            soak.run(400)
            points.append(soak.point())
    finally:
        soak.close()
    assert growth(points) == []
    assert len(soak.kinds) >= 12


def test_growth_is_found() -> None:
    one = Point(1, 100 << 20, 10, 5, 1e-5, 1e-4)
    assert growth([one, one, one]) == []
    assert growth([one, one, Point(2, 200 << 20, 10, 5, 1e-5, 1e-4)]) == ["memory: 100 to 200 MiB"]
    assert growth([one, one, Point(2, 100 << 20, 90, 90, 1e-5, 1e-4)]) == ["open files: 10 to 90", "threads: 5 to 90"]


def test_guests_that_were_ended_are_freed() -> None:
    def guests() -> int:
        gc.collect()
        return sum(type(each) is Instance for each in gc.get_objects())

    soak = Soak(7)
    for _ in range(6):
        soak.limited()
    before = guests()
    for _ in range(12):
        soak.limited()
        soak.forged()
    assert guests() <= before + 4
    soak.close()
