"""Tools with state."""

import asyncio
import threading
from typing import Any

import pytest

from cloche.host_tools import Tool, ToolDefinitionError, ToolRegistry, ToolRejected


class Counter(Tool):
    """Counts.

    Args:
        step: How far.
    """

    name = "count"

    def __init__(self, start: int) -> None:  # and no super().__init__(): no author writes it
        self.start = start
        self.setups = 0

    def setup(self) -> None:
        self.setups += 1

    def forward(self, step: int = 1) -> int:
        self.start += step
        return self.start


class Slow(Tool):
    name = "slow"
    description = "Waits."

    async def forward(self, seconds: float) -> float:
        """Not this text."""
        return seconds


def test_a_tool_object_is_checked_and_run() -> None:
    counter = Counter(5)
    assert counter.invoke([], {"step": "2"}) == 7
    with pytest.raises(ToolRejected, match=r"^count\(\): argument 'step'"):
        counter.invoke([[]], {})
    with pytest.raises(ToolRejected, match="unexpected argument 'self'"):
        counter.invoke([], {"self": 1})


def test_it_says_what_its_class_says() -> None:
    counter = Counter(0)
    assert (counter.name, counter.description, counter.output) == ("count", "Counts.", "int")
    assert [(p.name, p.default, p.description) for p in counter.inputs] == [("step", 1, "How far.")]
    assert (counter.is_async, counter.blocking) == (False, True)


def test_an_async_forward() -> None:
    slow = Slow()
    assert (slow.is_async, slow.blocking, slow.description) == (True, False, "Waits.")
    assert slow.spec()["doc"] == "Waits."
    assert asyncio.run(slow.invoke([1], {})) == 1.0


def test_without_any_other_text_the_docstring_of_forward_counts() -> None:
    class Plain(Tool):
        name = "plain"

        def forward(self) -> int:
            """Say one."""
            return 1

    assert Plain().description == "Say one."


def test_setup_runs_once_before_the_first_call() -> None:
    counter = Counter(0)
    assert counter.setups == 0
    counter()
    counter.invoke([], {})
    assert counter.setups == 1
    assert Counter(0).setups == 0


def test_setup_runs_once_for_many_threads() -> None:
    barrier = threading.Barrier(8)
    counter = Counter(0)

    def call() -> None:
        barrier.wait()
        counter(0)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.setups == 1


def test_a_setup_that_failed_runs_again() -> None:
    class Flaky(Tool):
        name = "flaky"
        tries = 0

        def setup(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise OSError("not yet")

        def forward(self) -> int:
            return self.tries

    flaky = Flaky()
    with pytest.raises(OSError, match="not yet"):
        flaky()
    assert flaky() == 2


def test_blocking_can_be_promised_and_each_object_can_have_its_name() -> None:
    class Quick(Tool):
        blocking = False

        def __init__(self, name: str) -> None:
            self.name = name

        def forward(self) -> str:
            return self.name

    assert not Quick("a").blocking
    registry = ToolRegistry([Quick("a"), Quick("b")])
    assert [registry.call(name, [], {}) for name in registry] == ["a", "b"]


def test_forward_may_be_inherited_and_replaced() -> None:
    class Child(Counter):
        """Counts too."""

        name = "child"

    class Doubling(Counter):
        def forward(self, step: int = 1, times: int = 2) -> int:
            return super().forward(step * times)

    assert Child(1).invoke([2], {}) == 3
    assert Child(1).description == "Counts too."
    assert Doubling(1).invoke([2], {}) == 5
    assert [p.name for p in Doubling(1).inputs] == ["step", "times"]


def test_forward_may_be_static() -> None:
    class Static(Tool):
        name = "static"

        @staticmethod
        def forward(number: int) -> int:
            return number

    assert Static().invoke(["4"], {}) == 4


def test_a_class_without_forward_cannot_be_used() -> None:
    class Nothing(Tool):
        name = "nothing"

    with pytest.raises(ToolDefinitionError, match="it has no forward method"):
        Nothing()


def test_a_class_whose_forward_cannot_be_checked_cannot_be_written() -> None:
    with pytest.raises(ToolDefinitionError, match="argument 'city' has no annotation"):

        class _Untyped(Tool):  # pyright: ignore[reportUnusedClass]
            def forward(self, city) -> Any:  # type: ignore[no-untyped-def]  # pyright: ignore
                return city  # pyright: ignore


def test_an_async_setup_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="setup must be a plain"):

        class _Bad(Tool):  # pyright: ignore[reportUnusedClass]
            async def setup(self) -> None:  # type: ignore[override]  # pyright: ignore
                pass

            def forward(self) -> int:
                return 1


def test_a_tool_without_name_is_refused_by_add_and_welcome_under_a_key() -> None:
    class Nameless(Tool):
        def forward(self) -> int:
            return 1

    registry = ToolRegistry()
    with pytest.raises(ToolDefinitionError, match="it has no name"):
        registry.add(Nameless())
    registry["one"] = Nameless()
    assert registry.call("one", [], {}) == 1
