import signal
import threading

import pytest

from cloche.cli.worker import Worker, run_interruptibly


def test_the_value_comes_back() -> None:
    assert run_interruptibly(lambda: 5, lambda: None) == 5


def test_the_exception_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        run_interruptibly(lambda: 1 // 0, lambda: None)


def test_it_runs_beside_the_main_thread() -> None:
    assert run_interruptibly(threading.get_ident, lambda: None) != threading.get_ident()


def test_ctrl_c_calls_the_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, ended = threading.Event(), threading.Event()
    wait = Worker.wait

    def noted_wait(worker: Worker[str], seconds: float = 0.1) -> bool:
        waits.set()
        return wait(worker, seconds)

    def work() -> str:
        # Not earlier: before it waits, Ctrl-C is the test's own end.
        assert waits.wait(30)
        signal.raise_signal(signal.SIGINT)
        return "ended" if ended.wait(30) else "never"

    monkeypatch.setattr(Worker, "wait", noted_wait)
    assert run_interruptibly(work, ended.set) == "ended"


def test_waiting_says_whether_it_ended() -> None:
    gate = threading.Event()
    worker = Worker(lambda: gate.wait(30))
    assert not worker.wait(0.01)
    gate.set()
    assert worker.outcome() is True
    assert worker.wait()


def test_ctrl_c_while_the_thread_is_started() -> None:
    for _ in range(20):
        ended = threading.Event()

        def work(ended: threading.Event = ended) -> str:
            signal.raise_signal(signal.SIGINT)
            return "ended" if ended.wait(30) else "never"

        assert run_interruptibly(work, ended.set) == "ended"
