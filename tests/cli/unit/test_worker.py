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


def test_ctrl_c_calls_the_interrupt() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        signal.raise_signal(signal.SIGINT)
        return "ended" if ended.wait(30) else "never"

    assert run_interruptibly(work, ended.set) == "ended"


def test_waiting_says_whether_it_ended() -> None:
    gate = threading.Event()
    worker = Worker(lambda: gate.wait(30))
    assert not worker.wait(0.01)
    gate.set()
    assert worker.outcome() is True
    assert worker.wait()
