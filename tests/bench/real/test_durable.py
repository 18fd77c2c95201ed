"""Sessions as bytes, measured on the real guest."""

import pytest

from cloche.bench.adapters.sandbox import ClocheAdapter
from cloche.bench.tasks.catalogue import TASKS
from cloche.bench.worker.serving import Server


@pytest.mark.parametrize("task", [name for name in TASKS if name.startswith("durable")])
def test_every_task_gives_a_number_and_a_right_answer(task: str) -> None:
    server = Server(ClocheAdapter)
    answer = server.answer({"task": task, "block": {"seconds": 0.0, "max_samples": 1, "warm": 0}})
    server.close()
    assert "error" not in answer
    assert list(answer["samples"]) == [task]
    assert answer["samples"][task][0] > 0


def test_what_is_written_down_is_all_there() -> None:
    adapter = ClocheAdapter({})
    with adapter.kept() as kept:
        kept.run("rows = [1, 2]\nnext_row = iter(rows)\nnext(next_row)")
        data = kept.dump()
        with kept.fork() as fork:
            fork("rows.append(3)")
        kept.run("rows.clear()")
    with adapter.restored(data) as run:
        assert run("[*next_row, len(rows)]") == [2, 2]
