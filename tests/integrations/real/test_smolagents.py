"""smolagents' own CodeAgent, with its code in the guest."""
# smolagents has no types to check against.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportIncompatibleMethodOverride=false
# pyright: reportArgumentType=false

from typing import Any

import pytest

pytest.importorskip("smolagents")

from smolagents import CodeAgent, FinalAnswerTool, Model, Tool
from smolagents.models import ChatMessage, MessageRole

from cloche.integrations.smolagents import ClocheExecutor
from cloche.runtime.limits import Limits

pytestmark = pytest.mark.filterwarnings("ignore")


class Scripted(Model):  # type: ignore[misc]
    """smolagents' model that says these programs."""

    def __init__(self, *programs: str) -> None:
        super().__init__(model_id="scripted")
        self.programs = list(programs)

    def generate(self, messages: Any, **options: Any) -> Any:
        text = f"Thought.\n<code>\n{self.programs.pop(0)}\n</code>"
        return ChatMessage(role=MessageRole.ASSISTANT, content=text)


class Shout(Tool):  # type: ignore[misc]
    """A tool in smolagents' manner."""

    name = "shout"
    description = "Says it loud."
    inputs = {"text": {"type": "string", "description": "What to say."}}  # noqa: RUF012
    output_type = "string"

    def forward(self, text: str) -> str:
        return text.upper()


def agent(*programs: str, executor: ClocheExecutor | None = None, **options: Any) -> Any:
    own = executor or ClocheExecutor()
    tools = options.pop("tools", [Shout()])
    return CodeAgent(tools=tools, model=Scripted(*programs), executor=own, verbosity_level=-1, **options)


def test_tools_state_and_answer() -> None:
    one = agent("x = shout('hi')\nprint(x)", "final_answer(x + '!')")
    assert one.run("t") == "HI!"
    assert "HI" in one.memory.steps[1].observations


def test_code_runs_in_the_guest_and_not_here() -> None:
    program = "import os, sys\nfinal_answer([sys.platform, os.path.exists('/etc/passwd'), len(os.environ) < 5])"
    assert agent(program).run("t") == ["wasi", False, True]


def test_variables_are_sent() -> None:
    one = agent("final_answer(numbers[0] + 1)")
    assert one.run("t", additional_args={"numbers": [41]}) == 42


class Report(FinalAnswerTool):  # type: ignore[misc]
    """A final answer of two parts."""

    inputs = {  # noqa: RUF012
        "title": {"type": "string", "description": "A few words."},
        "text": {"type": "string", "description": "All of it."},
    }

    def forward(self, title: str, text: str) -> str:
        return f"{title.upper()}: {text}"


def test_a_final_answer_may_have_other_arguments() -> None:
    wrong, right = "final_answer('just this')", "final_answer(title='sum', text='42')"
    one = agent(wrong, right, tools=[Report()])
    assert one.run("t") == "SUM: 42"
    assert "TypeError" in str(one.memory.steps[1].error)


def test_managed_agents_are_functions() -> None:
    low = agent("final_answer(shout('below'))", name="low", description="Shouts.")
    top = agent("final_answer(low('say below'))", tools=[], managed_agents=[low])
    assert "BELOW" in top.run("t")


def test_errors_tell_what_became_of_the_state() -> None:
    one = agent("x = 1\nshot('a')", "final_answer(x)")
    assert one.run("t") == 1
    told = str(one.memory.steps[1].error)
    assert "NameError" in told
    assert "Variables set before line 2 are kept" in told


def test_limits_end_an_action_and_not_the_process() -> None:
    executor = ClocheExecutor(limits=Limits(fuel=30_000_000, time=600))
    one = agent("x = 1", "while True: pass", "final_answer(x)", executor=executor)
    assert one.run("t") == 1
    assert "rolled back" in str(one.memory.steps[2].error)


def test_imports_can_be_restricted() -> None:
    one = agent("import os", "import math\nfinal_answer(math.floor(2.5))", executor=ClocheExecutor(["math"]))
    assert one.run("t") == 2
    assert "may not be imported" in str(one.memory.steps[1].error)


def test_after_its_cleanup_an_executor_begins_anew() -> None:
    executor = ClocheExecutor()
    executor.send_tools({})
    assert executor("x = 1\nx").output == 1
    executor.cleanup()
    executor.cleanup()
    with pytest.raises(Exception, match="NameError"):
        executor("x")


def test_a_last_value_that_cannot_leave_is_no_error() -> None:
    executor = ClocheExecutor()
    output = executor("print('ran')\nlambda: 1")
    assert (output.logs, output.is_final_answer) == ("ran\n", False)
    assert output.output.startswith("<function <lambda> at ")
    executor.cleanup()


@pytest.mark.parametrize(
    "taken",
    [
        "shout = shout('hi')",
        "final_answer = shout = 3",
        "def shout(text):\n    return 'mine'",
        "def final_answer(answer):\n    return 'mine'",
        "class shout: pass",
        "del shout, final_answer",
        "for shout in range(3): pass",
        "import math as final_answer",
        "globals()['shout'] = None",
        "import builtins\nbuiltins.shout = builtins.final_answer = None",
        "globals().clear()",
    ],
)
def test_names_of_tools_cannot_be_erased(taken: str) -> None:
    one = agent(taken, "final_answer(shout('still here'))")
    assert one.run("t") == "STILL HERE"


def test_a_name_that_was_taken_is_given_back_and_said_so() -> None:
    one = agent("shout = shout('hi')\nprint(shout)", "final_answer(shout('b'))")
    assert one.run("t") == "B"
    assert "'shout' is one of your functions" in one.memory.steps[1].observations


def test_a_name_taken_by_a_variable_of_the_run_is_the_tool_again_after_it() -> None:
    one = agent("print(1)", "final_answer(shout('c'))")
    assert one.run("t", additional_args={"shout": "a variable"}) == "C"
