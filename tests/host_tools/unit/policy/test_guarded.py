"""Policies: what they let happen, what they stop, and what is left of each call."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from cloche.host_tools import Tool, ToolRegistry, ToolRejected, call_id, tool
from cloche.host_tools.call_log import CallRecord, MemoryLog
from cloche.host_tools.policy import (
    Approval,
    GuardedTools,
    PlannedCall,
    Policy,
    Rate,
    Retry,
    Scope,
    ToolDenied,
    ToolTimedOut,
    at_most,
    between,
    matching,
    max_length,
    one_of,
)
from cloche.host_tools.registry import registry_of
from cloche.runtime.dispatch import Dispatcher, UnknownTool
from cloche.runtime.errors import ConfigurationError

paid: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def no_payments() -> None:
    paid.clear()


@tool
def pay(to: str, amount: int, note: str = "") -> str:
    """Pay a person."""
    paid.append((to, amount))
    return f"paid {amount} to {to}"


@tool
async def pay_later(to: str, amount: int) -> str:
    """Pay a person, in time."""
    await asyncio.sleep(0)
    paid.append((to, amount))
    return f"paid {amount} to {to}"


def guarded(policy: Policy, *more: Any) -> tuple[GuardedTools, MemoryLog]:
    log = MemoryLog()
    return GuardedTools([pay, *more], {"pay": policy}, log=log), log


def denied(policy: Policy, *args: Any) -> ToolDenied:
    tools, log = guarded(policy)
    with pytest.raises(ToolDenied) as caught:
        tools.call("pay", list(args), {})
    assert paid == []
    assert [record.outcome for record in log.records] == ["denied"]
    return caught.value


def noting(seen: list[PlannedCall], verdict: bool) -> Callable[[PlannedCall], bool]:
    def judge(call: PlannedCall) -> bool:
        seen.append(call)
        return verdict

    return judge


def always(verdict: object) -> Callable[[Any], object]:
    return lambda value: verdict


def test_it_is_a_dispatcher() -> None:
    assert isinstance(GuardedTools([pay]), Dispatcher)


def test_without_policies_everything_is_as_before_and_recorded() -> None:
    log = MemoryLog()
    tools = GuardedTools([pay], log=log)

    assert tools.call("pay", ["ann"], {"amount": "3"}) == "paid 3 to ann"
    [record] = log.records
    assert record.arguments == {"to": "ann", "amount": 3, "note": ""}
    assert (record.outcome, record.value, record.attempts) == ("returned", "paid 3 to ann", 1)
    assert record.seconds is not None
    assert record.seconds >= 0


def test_unknown_tools_stay_unknown() -> None:
    with pytest.raises(UnknownTool):
        GuardedTools([pay]).call("steal", [], {})


def test_wrong_calls_are_rejected_before_any_policy_sees_them() -> None:
    asked: list[PlannedCall] = []
    tools, log = guarded(Policy(approve=noting(asked, True)))

    with pytest.raises(ToolRejected, match="'amount'"):
        tools.call("pay", ["ann", "much"], {})
    assert asked == []
    assert [(r.outcome, r.arguments) for r in log.records] == [("rejected", {"args": ["ann", "much"], "kwargs": {}})]


@pytest.mark.parametrize(
    ("arguments", "call", "words"),
    [
        ({"amount": at_most(100)}, ("ann", 101), "argument 'amount': it must be at most 100"),
        ({"amount": between(1, 5)}, ("ann", 0), "from 1 to 5"),
        ({"to": one_of("bob")}, ("ann", 1), "one of 'bob'"),
        ({"to": matching("[a-z]+")}, ("ann; bob", 1), "must match"),
        ({"to": max_length(2)}, ("ann", 1), "longer than 2"),
        ({"to": always(False)}, ("ann", 1), "forbids"),
        ({"to": always(None)}, ("ann", 1), "forbids"),
        ({"to": always(1)}, ("ann", 1), "forbids"),
        ({"payer": always(True)}, ("ann", 1), "'payer' has to be given"),
    ],
)
def test_constraints_deny(arguments: dict[str, Any], call: tuple[Any, ...], words: str) -> None:
    error = denied(Policy(arguments=arguments), *call)

    assert words in error.guest_message
    assert error.guest_type == "PermissionError"


def test_constraints_allow() -> None:
    tools, _ = guarded(Policy(arguments={"amount": at_most(100), "to": one_of("ann", "bob")}))
    assert tools.call("pay", ["ann", 100], {}) == "paid 100 to ann"


def test_constraints_see_the_converted_arguments_and_defaults() -> None:
    seen: list[PlannedCall] = []
    tools, _ = guarded(Policy(check=noting(seen, True)))

    tools.call("pay", ["ann", "7"], {})

    assert [dict(call.arguments) for call in seen] == [{"to": "ann", "amount": 7, "note": ""}]


@pytest.mark.parametrize(
    "policy",
    [
        Policy(check=lambda call: 1 / 0 > 0),
        Policy(arguments={"amount": lambda value: value["key"] > 0}),
        Policy(approve=lambda call: bool(1 / 0)),
    ],
)
def test_a_policy_that_raises_has_denied_and_tells_the_program_nothing(policy: Policy) -> None:
    error = denied(policy, "ann", 1)

    assert error.__cause__ is not None
    assert str(error.__cause__) not in error.guest_message


@pytest.mark.parametrize("answer", [False, None, "yes", 1, Approval(False), Approval(cast("bool", 1)), object()])
def test_only_a_plain_yes_approves(answer: Any) -> None:
    assert denied(Policy(approve=lambda call: answer), "ann", 1)


def test_who_approved_is_recorded_and_why_not_is_told() -> None:
    def approve(call: PlannedCall) -> Approval:
        return Approval(call.arguments["amount"] < 10, by="kim", reason="too much for one day")

    tools, log = guarded(Policy(approve=approve))
    tools.call("pay", ["ann", 5], {})
    with pytest.raises(ToolDenied, match="too much for one day"):
        tools.call("pay", ["ann", 50], {})

    assert [(r.outcome, r.approval) for r in log.records] == [("returned", "kim"), ("denied", "kim")]
    assert paid == [("ann", 5)]


def test_what_was_approved_cannot_be_changed_by_the_approver() -> None:
    def approve(call: PlannedCall) -> bool:
        call.arguments["amount"] = 1_000_000  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
        return True

    assert "the approver failed" in denied(Policy(approve=approve), "ann", 1).guest_message


def test_an_asynchronous_approver_of_a_plain_tool() -> None:
    async def approve(call: PlannedCall) -> bool:
        await asyncio.sleep(0)
        return bool(call.arguments["to"] == "ann")

    tools, log = guarded(Policy(approve=approve))

    async def call(to: str) -> Any:
        return await tools.call("pay", [to, 1], {})

    assert asyncio.run(call("ann")) == "paid 1 to ann"
    with pytest.raises(ToolDenied):
        asyncio.run(call("bob"))
    assert [r.outcome for r in log.records] == ["returned", "denied"]


def test_a_plain_approver_that_returns_a_coroutine_is_told_to_be_one() -> None:
    async def really() -> bool:
        await asyncio.sleep(0)
        return True

    tools, _ = guarded(Policy(approve=lambda call: really()))
    with pytest.raises(RuntimeError, match="coroutine function"):
        tools.call("pay", ["ann", 1], {})
    assert paid == []


def test_budgets_count_per_scope_and_tool() -> None:
    tools, _ = guarded(Policy(calls=2))
    for _ in range(2):
        with tools.scope():
            tools.call("pay", ["ann", 1], {})
            tools.call("pay", ["ann", 1], {})
            with pytest.raises(ToolDenied, match="one run may call it 2 times"):
                tools.call("pay", ["ann", 1], {})
    assert len(paid) == 4


def test_steps_of_a_scope_share_its_budget() -> None:
    tools, log = guarded(Policy(calls=1))
    scope = Scope(agent="buyer")
    with tools.enter(scope.at(1)):
        tools.call("pay", ["ann", 1], {})
    with tools.enter(scope.at(2)), pytest.raises(ToolDenied):
        tools.call("pay", ["ann", 1], {})

    assert [(r.agent, r.step, r.run) for r in log.records] == [("buyer", 1, scope.run), ("buyer", 2, scope.run)]


def test_a_call_that_was_refused_approval_counts() -> None:
    asked: list[PlannedCall] = []
    tools, _ = guarded(Policy(calls=2, approve=noting(asked, False)))
    for _ in range(5):
        with pytest.raises(ToolDenied):
            tools.call("pay", ["ann", 1], {})
    assert len(asked) == 2


def test_budgets_hold_under_many_threads() -> None:
    tools, _ = guarded(Policy(calls=50))

    def spend() -> None:
        for _ in range(20):
            with contextlib.suppress(ToolDenied):
                tools.call("pay", ["ann", 1], {})

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paid) == 50


def test_policies_of_a_scope_hold_in_addition() -> None:
    tools, _ = guarded(Policy(arguments={"amount": at_most(100)}))
    with tools.scope(policies={"pay": Policy(arguments={"to": one_of("ann")})}):
        tools.call("pay", ["ann", 100], {})
        with pytest.raises(ToolDenied, match="'to'"):
            tools.call("pay", ["bob", 1], {})
        with pytest.raises(ToolDenied, match="'amount'"):
            tools.call("pay", ["ann", 101], {})
    assert tools.call("pay", ["bob", 1], {}) == "paid 1 to bob"


def test_the_default_holds_for_tools_without_a_policy_of_their_own() -> None:
    tools = GuardedTools([pay, pay_later], {"pay": Policy()}, default=Policy(check=lambda call: False))
    tools.call("pay", ["ann", 1], {})
    with pytest.raises(ToolDenied):
        asyncio.run(tools.call("pay_later", ["ann", 1], {}))


def test_a_rate_denies_and_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("cloche.host_tools.policy.policy.monotonic", lambda: now[0])
    tools, _ = guarded(Policy(rate=Rate(2, 10)))

    tools.call("pay", ["ann", 1], {})
    now[0] = 104.0
    tools.call("pay", ["ann", 1], {})
    with pytest.raises(ToolDenied, match="try again in 6 s"):
        tools.call("pay", ["ann", 1], {})
    now[0] = 110.0
    tools.call("pay", ["ann", 1], {})
    assert len(paid) == 3


def flaky(failures: int, error: type[Exception] = ConnectionError) -> Any:
    left = [failures]

    @tool(name="pay")
    def unsteady(to: str, amount: int) -> str:
        """Pay, sooner or later."""
        if left[0]:
            left[0] -= 1
            raise error("no line")
        return to

    return unsteady


@pytest.mark.parametrize(("failures", "attempts"), [(0, 1), (1, 2), (2, 3)])
def test_retries(failures: int, attempts: int) -> None:
    log = MemoryLog()
    tools = GuardedTools([flaky(failures)], {"pay": Policy(retry=Retry(2, wait=0.0))}, log=log)

    assert tools.call("pay", ["ann", 1], {}) == "ann"
    assert log.records[0].attempts == attempts


def test_retries_end() -> None:
    log = MemoryLog()
    tools = GuardedTools([flaky(9)], {"pay": Policy(retry=Retry(2, wait=0.0))}, log=log)
    with pytest.raises(ConnectionError, match="no line"):
        tools.call("pay", ["ann", 1], {})
    assert (log.records[0].attempts, log.records[0].outcome) == (3, "raised")
    assert log.records[0].error == "ConnectionError: no line"


def test_other_errors_are_not_tried_again() -> None:
    log = MemoryLog()
    tools = GuardedTools([flaky(1, ValueError)], {"pay": Policy(retry=Retry(2, wait=0.0))}, log=log)
    with pytest.raises(ValueError, match="no line"):
        tools.call("pay", ["ann", 1], {})
    assert log.records[0].attempts == 1


def test_a_plain_tool_is_left_behind_at_its_timeout() -> None:
    hold = threading.Event()

    @tool
    def wait(to: str) -> None:
        """Wait."""
        hold.wait(60)

    log = MemoryLog()
    tools = GuardedTools([wait], {"wait": Policy(timeout=0.05)}, log=log)
    try:
        with pytest.raises(ToolTimedOut, match="took longer") as caught:
            tools.call("wait", ["x"], {})
    finally:
        hold.set()
    assert caught.value.guest_type == "TimeoutError"
    assert log.records[0].outcome == "timed out"


def test_a_coroutine_tool_is_cancelled_at_its_timeout() -> None:
    cancelled: list[bool] = []

    @tool
    async def wait() -> None:
        """Wait."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    tools = GuardedTools([wait], {"wait": Policy(timeout=0.05)})
    with pytest.raises(ToolTimedOut):
        asyncio.run(tools.call("wait", [], {}))
    assert cancelled == [True]


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_a_tools_own_timeout_error_is_its_own(timeout: float | None) -> None:
    tools = GuardedTools([flaky(1, TimeoutError)], {"pay": Policy(timeout=timeout)})
    with pytest.raises(TimeoutError, match="no line"):
        tools.call("pay", ["ann", 1], {})


def test_retries_stop_where_the_timeout_leaves_no_room() -> None:
    log = MemoryLog()
    policy = Policy(timeout=5.0, retry=Retry(3, wait=1_000.0))
    tools = GuardedTools([flaky(9)], {"pay": policy}, log=log)
    with pytest.raises(ToolTimedOut):
        tools.call("pay", ["ann", 1], {})
    assert log.records[0].attempts == 1


def test_redaction_keeps_secrets_out_of_the_record() -> None:
    @tool
    def login(user: str, password: str, options: dict[str, Any]) -> dict[str, str]:
        """Log in."""
        return {"user": user, "token": "t0p-secret"}

    log = MemoryLog()
    tools = GuardedTools([login], {"login": Policy(redact=["password", "token"])}, log=log)
    value = tools.call("login", ["ann", "hunter22", {"token": "abc", "deep": [{"token": "def"}]}], {})

    assert value["token"] == "t0p-secret"
    [record] = log.records
    assert record.arguments == {
        "user": "ann",
        "password": "[redacted]",
        "options": {"token": "[redacted]", "deep": [{"token": "[redacted]"}]},
    }
    assert record.value == {"user": "ann", "token": "[redacted]"}


def test_a_secret_in_an_errors_text_is_redacted() -> None:
    @tool
    def login(password: str) -> None:
        """Log in."""
        raise ValueError(f"wrong password {password}")

    log = MemoryLog()
    tools = GuardedTools([login], {"login": Policy(redact=["password"])}, log=log)
    with pytest.raises(ValueError, match="hunter22"):
        tools.call("login", ["hunter22"], {})
    assert log.records[0].error == "ValueError: wrong password [redacted]"


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        (["sk-secret-1"], {}, "ToolRejected: ValueError about the argument 'key'"),
        ([], {"key": "sk-secret-1"}, "ToolRejected: ValueError about the argument 'key'"),
        ([{"deep": "sk-secret-1"}], {}, "ToolRejected: TypeError about the argument 'key'"),
        ([1, "sk-secret-1"], {}, "ToolRejected: TypeError"),
        ([1], {"sk-secret-1": 1}, "ToolRejected: TypeError"),
    ],
)
def test_a_rejected_call_puts_nothing_secret_on_record(args: list[Any], kwargs: dict[str, Any], error: str) -> None:
    @tool
    def auth(key: int) -> None:
        """Log in."""

    log = MemoryLog()
    with pytest.raises(ToolRejected):
        GuardedTools([auth], {"auth": Policy(redact=["key"])}, log=log).call("auth", args, kwargs)
    [record] = log.records
    assert (record.outcome, record.error, record.arguments) == ("rejected", error, {})


@pytest.mark.parametrize(
    "secret", ["hunter22\n", "hunter'22", b"hunter22", 12_345_678, ["hunter22"], {"deep": "hunter22"}]
)
def test_a_secret_is_redacted_however_an_error_spells_it(secret: Any) -> None:
    @tool
    def login(password: Any, options: dict[str, Any]) -> None:
        """Log in."""
        raise ValueError(f"{password} {password!r} {options} {options!r}")

    log = MemoryLog()
    tools = GuardedTools([login], {"login": Policy(redact=["password", "token"])}, log=log)
    with pytest.raises(ValueError, match="2"):
        tools.call("login", [secret, {"token": secret}], {})
    assert log.records[0].error.startswith("ValueError: ")
    assert not any(part in log.records[0].error for part in ("hunter", "22", "123"))


def test_where_there_is_too_much_to_redact_no_text_is_kept() -> None:
    @tool
    def login(passwords: list[str]) -> None:
        """Log in."""
        raise ValueError(passwords[-1])

    log = MemoryLog()
    tools = GuardedTools([login], {"login": Policy(redact=["passwords"])}, log=log)
    with pytest.raises(ValueError, match="secret"):
        tools.call("login", [[f"secret {number}" for number in range(10_000)]], {})
    assert log.records[0].error == "[redacted]"


@pytest.mark.parametrize("redact", [[], ["y"]])
@pytest.mark.parametrize(
    "value",
    [
        [[]] * 1_000_000,
        {str(number): number for number in range(300_000)},
        "x" * 8_000_000,
        [10**6000] * 500,
        b"x" * 9999999,
    ],
    ids=["lists", "dict", "text", "digits", "bytes"],
)
def test_large_values_are_cut_before_they_are_converted(value: Any, redact: list[str]) -> None:
    @tool
    def f(x: Any) -> Any:
        """Return it."""
        return x

    log = MemoryLog()
    tools = GuardedTools([f], {"f": Policy(redact=redact)}, log=log)
    started = time.thread_time()
    tools.call("f", [value], {})
    assert time.thread_time() - started < 0.2
    assert len(str(log.records[0])) < 2_000


def test_what_is_cut_shows_no_secret() -> None:
    @tool
    def f(x: Any) -> None:
        """Do nothing."""

    log = MemoryLog()
    tools = GuardedTools([f], {"f": Policy(redact=["token"])}, log=log)
    tools.call("f", [[{"token": "hunter22", "deep": [{"token": "hunter22"}]}, "x" * 100_000]], {})
    assert "hunter22" not in str(log.records[0])
    assert "[redacted]" in str(log.records[0])


def test_the_record_of_the_end_shows_the_arguments_that_were_judged() -> None:
    @tool
    def drain(items: list[int]) -> None:
        """Take all of them."""
        items.clear()

    log = MemoryLog()
    GuardedTools([drain], log=log).call("drain", [[1, 2, 3]], {})
    assert log.records[0].arguments == {"items": [1, 2, 3]}


def test_an_error_that_cannot_be_shown_ends_its_record_all_the_same() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @tool
    def f() -> None:
        """Fail."""
        raise Broken

    log = MemoryLog()
    with pytest.raises(Broken):
        GuardedTools([f], log=log).call("f", [], {})
    assert (log.records[0].outcome, log.records[0].error) == ("raised", "Broken")


@pytest.mark.parametrize(
    ("args", "kwargs"), [(["/etc/shadow"], {"path": "/ok"}), (["/ok"], {"path": "/etc"}), (["/ok"], {"options": "x"})]
)
def test_a_keyword_with_a_parameters_name_is_refused(args: list[Any], kwargs: dict[str, Any]) -> None:
    read: list[str] = []

    @tool
    def read_file(path: str, /, **options: str) -> None:
        """Read a file."""
        read.append(path)

    tools = GuardedTools([read_file], {"read_file": Policy(arguments={"path": one_of("/ok")})})
    with pytest.raises(ToolRejected, match="unexpected argument"):
        tools.call("read_file", args, kwargs)
    assert not read


def test_a_mask_changes_what_the_guest_gets() -> None:
    tools, log = guarded(Policy(mask=lambda text: text.replace("ann", "***")))
    assert tools.call("pay", ["ann", 1], {}) == "paid 1 to ***"
    assert log.records[0].value == "paid 1 to ***"


def test_a_mask_that_fails_lets_nothing_through() -> None:
    tools, log = guarded(Policy(mask=lambda text: text["x"]))
    with pytest.raises(ToolDenied, match="masked"):
        tools.call("pay", ["ann", 1], {})
    assert log.records[0].value is None


def test_a_log_that_fails_stops_the_call_before_it_happens() -> None:
    class Full:
        def write(self, record: CallRecord) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        GuardedTools([pay], log=Full()).call("pay", ["ann", 1], {})
    assert paid == []


def test_large_values_are_recorded_in_short() -> None:
    log = MemoryLog()
    GuardedTools([pay], log=log).call("pay", ["ann", 1, "x" * 1_000_000], {})
    assert len(log.records[0].arguments["note"]) < 100


@pytest.mark.parametrize(
    "make",
    [
        lambda: GuardedTools([pay], {"pya": Policy()}),
        lambda: Policy(timeout=0),
        lambda: Policy(calls=-1),
        lambda: Policy(redact="password"),
        lambda: Rate(0),
        lambda: Retry(0),
    ],
)
def test_settings_that_cannot_work(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_a_misspelt_policy_names_the_tool_that_was_meant() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'pay'"):
        GuardedTools([pay], {"pya": Policy()})


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_the_attempts_of_a_retry_are_one_call_with_the_records_id(timeout: float | None) -> None:
    seen: list[str] = []

    @tool
    def order(item: str) -> None:
        """Order it."""
        seen.append(call_id())
        if len(seen) < 3:
            raise ConnectionError

    log = MemoryLog()
    policy = Policy(retry=Retry(2, wait=0.001), timeout=timeout)
    tools = GuardedTools([order], {"order": policy}, log=log)
    tools.call("order", ["bell"], {})
    assert seen == [log.records[0].id] * 3
    tools.call("order", ["bell"], {})
    assert seen[3] != seen[2]


def test_a_call_within_a_call_has_an_id_of_its_own() -> None:
    seen: list[str] = []

    @tool
    def inner() -> None:
        """Note it."""
        seen.append(call_id())

    log = MemoryLog()
    tools = GuardedTools([inner], log=log)

    @tool
    def outer() -> None:
        """Call the other twice."""
        tools.call("inner", [], {})
        tools.call("inner", [], {})
        seen.append(call_id())

    ToolRegistry([outer]).call("outer", [], {})
    assert len(set(seen)) == 3
    assert len(log.records) == 2


def test_the_registry_may_change_underneath() -> None:
    registry = ToolRegistry([pay])
    tools = GuardedTools(registry)
    before = tools.version()
    registry["pay_more"] = pay
    assert tools.version() != before
    assert tools.call("pay_more", ["ann", 1], {}) == "paid 1 to ann"


def test_a_tool_that_is_cancelled_leaves_a_record() -> None:
    log = MemoryLog()
    started = threading.Event()

    @tool
    async def wait() -> None:
        """Wait."""
        started.set()
        await asyncio.sleep(60)

    tools = GuardedTools([wait], log=log)

    async def main() -> None:
        task = asyncio.ensure_future(tools.call("wait", [], {}))
        while not started.is_set():
            await asyncio.sleep(0)
        assert [r.outcome for r in log.records] == ["running"]
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
    assert [r.outcome for r in log.records] == ["cancelled"]


def test_time_on_record_is_wall_clock_time() -> None:
    log = MemoryLog()
    before = time.time()
    GuardedTools([pay], log=log).call("pay", ["ann", 1], {})
    assert before <= log.records[0].time <= time.time()


def test_wrapped_tools_take_their_policies_along() -> None:
    log = MemoryLog()
    tools = GuardedTools([pay, pay_later], {"pay": Policy(arguments={"amount": at_most(5)}, calls=3)}, log=log)
    own = registry_of(tools)

    assert own.specs() == ToolRegistry([pay, pay_later]).specs()
    assert own.call("pay", ["ann", "5"], {}) == "paid 5 to ann"
    assert asyncio.run(cast("Any", own.call("pay_later", ["ann", 6], {}))) == "paid 6 to ann"
    with pytest.raises(ToolDenied):
        own["pay"]("ann", 6)
    with pytest.raises(ToolRejected):
        own.call("pay", ["ann"], {})
    assert [record.outcome for record in log.records] == ["returned", "returned", "denied", "rejected"]


def test_a_wrapped_tool_sets_up_what_it_wraps() -> None:
    class Till(Tool):
        """Count money."""

        name = "till"

        def setup(self) -> None:
            self.money = 7

        def forward(self) -> int:
            return self.money

    [wrapped] = GuardedTools([Till()])
    assert wrapped.invoke([], {}) == 7
