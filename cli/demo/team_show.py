"""The team at work, on the terminal: a line for each step when it is done."""

from rich.console import Console
from rich.text import Text

from cloche.agent import AgentError, RunResult
from cloche.agent.events import AgentEvent, StepEnded
from cloche.agent.steps import ActionStep
from cloche.cli.demo.team import TASK, live_model, team
from cloche.runtime._terminal import one_line

__all__ = ["TeamShow"]

_RECORDED = "answers of a recorded model; with a key such as OPENAI_API_KEY, live"


class TeamShow:
    """Shows the team on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def run(self) -> bool:
        """Have the team work, live if there is a key, and else or if that fails with the recorded model.

        Returns whether it came to an answer.
        """
        live = live_model()
        return (bool(live) and self._work(live)) or self._work("")

    def _work(self, live: str) -> bool:
        self._console.print(Text(f"\na team of agents ({live or _RECORDED})", "bold"))
        self._console.print(Text(f"task: {TASK}"))
        with team(live, observers=[self._listen]) as manager:
            result: RunResult = manager.run(TASK, return_full_result=True)
        return self._end(result)

    def _listen(self, event: AgentEvent) -> None:
        if isinstance(event, StepEnded):
            self._console.print(self._line(event.agent, event.step))

    def _line(self, agent: str, step: ActionStep) -> Text:
        mark, style = ("✗", "yellow") if step.error else ("✓", "green")
        seen = f"answer: {step.observation}" if step.is_final and step.observation else step.observation
        text = Text(f" {mark} ", style).append(f"{agent}, step {step.number}", "bold")
        text.append(f"  {_used(step)}", "dim")
        text.append(f"\n   {one_line(seen, self._console.width - 4)}" if seen else "")
        return text

    def _end(self, result: RunResult) -> bool:
        if result.output is None:
            self._console.print(Text(f"ended ({result.state}): {_error_line(result.error)}", "bold red"))
            return False
        spent = f" [{result.usage.total:,} tokens, {result.tool_calls} tool calls, {result.seconds:.1f} s]"
        self._console.print(
            Text("answer: ", "bold green").append(one_line(str(result.output), 600)).append(spent, "dim")
        )
        return True


def _used(step: ActionStep) -> str:
    guest = step.guest
    if guest is None:
        return "ran nothing"
    fuel = "" if guest.fuel is None else f", {guest.fuel / 1e6:.1f} M fuel"
    return f"{guest.seconds * 1000:.1f} ms{fuel}, {guest.calls} tool call{'' if guest.calls == 1 else 's'}"


def _error_line(error: Exception | None) -> str:
    known = isinstance(error, AgentError)
    return one_line(str(error) if known else f"{type(error).__name__}: {error}", 400)
