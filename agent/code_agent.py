"""The agent that writes Python."""

import re
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

from cloche.agent.base import MultiStepAgent, Tools
from cloche.agent.errors import AgentSuspended, StepProblem
from cloche.agent.events import CodeFinished, CodeStarted
from cloche.agent.executor import RECLAIM, PythonExecutor, Reclaimed, SessionState, prepare_session, take_plain_calls
from cloche.agent.loop.effects import CallFunction
from cloche.agent.loop.loop import STOP, ask
from cloche.agent.loop.run import CallReplies, Run
from cloche.agent.loop.run_code import ResumeCode, RunCode
from cloche.agent.messages import ImagePart
from cloche.agent.models.base import AnyModel, ModelRequest, sees_images
from cloche.agent.observations import CUT_OFF, error_of, observation_of, outcomes_of
from cloche.agent.replies.programs import CodeTags, read_reply
from cloche.agent.replies.reasoning import without_reasoning
from cloche.agent.settings import CodeKeywords, GivenOptions, default_limits
from cloche.agent.steps import ActionStep, GuestUsage, StepError
from cloche.agent.toolset import FINAL_ANSWER, Delegations
from cloche.host_tools import ToolRegistry
from cloche.host_tools.handles import is_image
from cloche.runtime.bridge.pending import SuspendedCall
from cloche.runtime.errors import ConfigurationError, GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Outcome, Session, Suspended
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.values import encode

__all__ = ["CodeAgent", "MakeSandbox"]

MakeSandbox = Callable[[ToolRegistry, Limits], Sandbox]
"""Makes the sandbox for an agent's tools and limits; the default is ``Sandbox(tools, limits=limits)``."""

_HIDDEN = frozenset({FINAL_ANSWER})
_RETRY_SECONDS = 0.01
_RUN = re.compile(r'File "<run (\d+)>"')
_IMAGE = re.compile(r"\bimg-[0-9a-f]{8}\b")
_MAX_IMAGES = 4
_SNAPSHOT = "session.snapshot"
_SAVED_LIMITS = ("fuel", "memory", "time", "output", "calls", "result", "argument", "files", "file_bytes")


class CodeAgent(MultiStepAgent):
    """Solves tasks by writing programs, which run in a session of a sandbox and may call the agent's tools there.

    ``tools``    functions, Tools, or a registry; ``agent.tools`` may be changed at any time.
    ``model``    any object with the methods of AnyModel, or the name of one for LiteLLM.
    ``limits``   of one step; default ``Limits(time=60)``, or 600 s if the agent manages others, whose work counts.
    ``imports``  top-level modules that programs may import; default: everything that is in the guest.
    ``tags``     how the model marks its code; default ``("<code>", "</code>")``.
    ``sandbox``  makes the sandbox, for another image, seed or clock.

    The other keywords are those of :class:`cloche.agent.settings.Settings`. Variables stay from step to step, and
    from run to run with ``reset=False``. Raises ConfigurationError for settings that cannot work.
    """

    kind = "code"
    own_keywords = ("limits", "imports", "tags", "sandbox", "additional_authorized_imports", "code_block_tags")

    def __init__(
        self,
        tools: Tools = (),
        model: AnyModel | str | None = None,
        *,
        limits: Limits | None = None,
        imports: Sequence[str] | None = None,
        tags: CodeTags | None = None,
        sandbox: MakeSandbox | None = None,
        **options: Unpack[CodeKeywords],
    ) -> None:
        wanted, tags = options.pop("additional_authorized_imports", None), tags or _tags(options)
        self._limits_given = limits is not None
        super().__init__(tools, model, **cast("GivenOptions", options))
        self.limits = default_limits(manages=bool(self.managed_agents)) if limits is None else limits
        self.imports = None if imports is None or "*" in imports else tuple(imports)
        self.tags = _checked(tags)
        self._make_sandbox = sandbox
        self._session: Session | None = None
        self._delegations = Delegations(self)
        self._variables: dict[str, Any] = {}
        self._saved: Snapshot | None = None
        self._steps_by_run: dict[str, int] = {}
        # Whether there are async tools, and whether the session knows how to call them plainly.
        self._has_async = self._takes_plain_calls = False
        _warn_of_missing(wanted or (), sandbox or _sandbox)

    @property
    def session(self) -> Session:
        """The session its programs run in; made when first used. Its variables and files can be read and set."""
        if self._session is None:
            self._session = self._new_session()
            if any(tool.is_async for tool in self.tools.values()):
                self._take_plain_calls()
        return self._session

    @property
    def python_executor(self) -> PythonExecutor:
        """Runs code by hand in the agent's session: ``agent.python_executor("x = 1")``."""
        return PythonExecutor(lambda: self.session, self.tools, self._answers_by_hand)

    @property
    def state(self) -> SessionState:
        """The variables of the agent's session by name."""
        return self.python_executor.state

    def act(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Have the model write a program, run it, and keep the outcome."""
        reply = yield from ask(self, run, ModelRequest(tuple(self.memory.messages()), stop=STOP), "step")
        step.usage, step.output, step.cut_off = reply.usage, reply.message.text, reply.cut_off
        try:
            read = read_reply(step.output, self.tags)
        except StepProblem as problem:
            self._refuse(step, problem)
            return
        step.code, step.reasoning, step.output = read.code, read.reasoning, self._closed(read.kept)
        yield from self._execute(run, step)

    @property
    def suspended(self) -> Suspended | None:
        """The program that is suspended in the middle of a step, until its calls are answered; or None."""
        exists = self._session is not None or self._saved is not None
        return self.session.suspended if exists else None

    def continue_step(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Continue the program of a step. Raises AgentSuspended without replies, or if it is suspended again."""
        suspended = self.suspended
        if suspended is None:
            raise ConfigurationError("resume", "the suspended program is gone: the agent was closed, or not saved")
        if not run.replies:
            raise AgentSuspended(self.waiting_calls())
        own, below = self._delegations.split(run.replies)
        outcome: Outcome = suspended
        if own:
            outcome = yield from self._resume_code(run, step, suspended, own)
        yield from self._settle(run, step, outcome, below)

    def waiting_calls(self) -> list[SuspendedCall]:
        """Return the calls that wait for a person: of its suspended program, and of agents that work for that."""
        suspended = self.suspended
        return [] if suspended is None else self._delegations.calls(suspended.calls)

    def agent_of(self, call: int) -> tuple["MultiStepAgent", int]:
        """Return which agent makes the call that waits under that id, and the call's id there."""
        twin, id = self._delegations.agent_of(call)
        return (self, id) if twin is None else twin.agent_of(id)

    def prepare(self, run: Run) -> None:
        """Make the session, and set the variables of ``additional_args`` in it.

        A suspended program is given up if there is a new task.
        """
        session = self.session
        if session.suspended is not None and self.memory.waiting is None:
            session.suspended.cancel()
            self.memory.give_up()
            self._delegations.close()
        elif run.replies and session.suspended is None:
            raise ConfigurationError("resume", "no program waits for an answer")
        variables, self._variables = self._variables, {}
        for name, value in variables.items():
            session.set(name, value)
        if self.memory.waiting is None:
            session.run(RECLAIM)

    def prompt_values(self) -> dict[str, Any]:
        """Return what the system prompt's template may use."""
        self._has_async = any(spec.get("async") for spec in self.tools.specs())
        return {
            **super().prompt_values(),
            "imports": self.imports,
            "authorized_imports": "everything of the standard library" if self.imports is None else list(self.imports),
            "code_block_opening_tag": self.tags[0],
            "code_block_closing_tag": self.tags[1],
            "packages": (),
            "limits": limits_text(self.limits),
            "shown": self.settings.observation_limit,
            "tags": self.tags,
            "can_gather": self.imports is None or "asyncio" in self.imports,
            "has_async": self._has_async,
        }

    def reset(self) -> None:
        """Forget memory and state: the next run begins in a fresh guest."""
        super().reset()
        self._drop_session()

    def save_state(self, folder: Path) -> None:
        """Write a snapshot of the session: variables, functions, imports and files. Raises SessionBusy."""
        self._delegations.save(folder)
        path = folder / _SNAPSHOT
        if self._session is not None:
            self._session.snapshot().save(path)
        elif self._saved is not None:
            self._saved.save(path)
        else:
            path.unlink(missing_ok=True)

    def load_state(self, folder: Path) -> None:
        """Restore the session from a snapshot when it is next needed. Raises SnapshotCorrupt or SnapshotMismatch."""
        path = folder / _SNAPSHOT
        self._saved = Snapshot.load(path) if path.exists() else None
        self._delegations.load(folder)

    def close(self) -> None:
        """Free the session's memory. Safe to call twice; a later run makes a new one."""
        super().close()
        self._drop_session()

    def set_variables(self, variables: dict[str, Any]) -> None:
        """Have variables set in the guest when the run begins. Raises TypeError if one of them cannot cross."""
        # All are checked before any is set, and none is left for the next run if one cannot be.
        self._variables = {}
        given = {name: self.shown(value) if is_image(value) else value for name, value in variables.items()}
        for name, value in given.items():
            encode(value, where=name)
        self._variables = given

    def _stop_working(self) -> None:
        session, run = self._session, self._run
        if session is not None and not session.interrupt():
            # It may be about to start a program: a thread repeats the interrupt until it does.
            threading.Thread(target=self._keep_interrupting, args=(session, run), daemon=True).start()

    def _keep_interrupting(self, session: Session, run: Run | None) -> None:
        while self._run is run and not session.interrupt():
            time.sleep(_RETRY_SECONDS)

    def own_settings(self) -> dict[str, Any]:
        """Return limits, imports, tags and sandbox."""
        return {"limits": self.limits, "imports": self.imports, "tags": self.tags, "sandbox": self._make_sandbox}

    def saved_settings(self) -> dict[str, Any]:
        """Return limits, imports and tags as plain data."""
        limits = {name: getattr(self.limits, name) for name in _SAVED_LIMITS}
        return {"limits": limits, "imports": self.imports, "tags": self.tags}

    @classmethod
    def restored_settings(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return limits, imports and tags from plain data."""
        return {"limits": Limits(**data["limits"]), "imports": data["imports"], "tags": tuple(data["tags"])}

    def _refuse(self, step: ActionStep, problem: StepProblem) -> None:
        message = f"{CUT_OFF}. {problem}" if step.cut_off else str(problem)
        step.error = StepError(type=type(problem).__name__, message=message)
        step.observation = f"Error: {message}"
        found = without_reasoning(step.output)
        step.output, step.reasoning = found.answer.strip(), found.reasoning.strip()
        if not step.output:
            # A step is remembered by what the model said; where that was reasoning only, its end is kept.
            step.output = "(reasoning only)" if step.reasoning else "(cut off)" if step.cut_off else ""

    def _closed(self, text: str) -> str:
        """Put back a closing tag that is missing, so that the model sees its own replies well-formed."""
        return f"{text}\n{self.tags[1]}" if text.rfind(self.tags[0]) > text.rfind(self.tags[1]) else text

    def _execute(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        if self._has_async and not self._takes_plain_calls:
            yield CallFunction(self._take_plain_calls)
        yield run.emit(CodeStarted(step.code, **run.stamp))
        limits = self._limits_left(run)
        waits = self.tools.any_suspends()
        outcome: Outcome = yield RunCode(run, self.session, step.code, limits, _HIDDEN, waits=waits)
        yield from self._settle(run, step, outcome, {})

    def _resume_code(
        self, run: Run, step: ActionStep, suspended: Suspended, replies: CallReplies
    ) -> Generator[Any, Any, Outcome]:
        try:
            outcome: Outcome = yield ResumeCode(run, suspended, replies, self.limits, _HIDDEN)
            return outcome
        finally:
            # It is still suspended if the replies do not fit, or if it was rolled back to a snapshot.
            step.waits = suspended.session.suspended is not None

    def _settle(
        self, run: Run, step: ActionStep, outcome: Outcome, below: dict[int, CallReplies]
    ) -> Generator[Any, Any, None]:
        """Have the agents work that the program calls, and take what has come of it. Raises AgentSuspended."""
        while isinstance(outcome, Suspended):
            step.waits, suspended = True, outcome
            work = partial(self._delegations.work, run, suspended.calls, below)
            replies: CallReplies = yield CallFunction(work, blocks=False)
            run.check_interrupted()
            if not replies:
                raise AgentSuspended(self.waiting_calls())
            outcome = yield from self._resume_code(run, step, suspended, replies)
        step.waits = False
        result = _without_exit(outcome) if run.answers else outcome
        yield run.emit(CodeFinished(result, **run.stamp))
        reclaimed = Reclaimed()
        if not run.answers:
            outcome = yield CallFunction(lambda: self.session.run(RECLAIM))
            reclaimed = Reclaimed.of(outcome, self.tools)
        self._note(run, step, result, reclaimed)

    def _note(self, run: Run, step: ActionStep, result: Result[Any], reclaimed: Reclaimed) -> None:
        calls = [call for call in result.calls if call.name != FINAL_ANSWER]
        usage = result.usage
        step.guest = GuestUsage(fuel=usage.fuel, seconds=usage.wall, memory=usage.memory_peak, calls=len(calls))
        step.outcomes = outcomes_of(calls, self.settings.observation_limit)
        step.value = result.value
        if result.displays and sees_images(self.model):
            found = [each.png for each in result.displays]
            step.images.extend([ImagePart.load(png) for png in found if png is not None][-_MAX_IMAGES:])
        if run.answers:
            step.observation = result.stdout.rstrip()
            if "img-" in step.observation:
                self._show_images(step)
            return
        step.error = error_of(result)
        text = observation_of(result, self.tools, self.settings.observation_limit)
        cut = f"\n\nNote: {CUT_OFF}." if step.cut_off else ""
        step.observation = f"{self._with_steps(text, step)}{reclaimed.note}{cut}"
        if "img-" in step.observation:
            self._show_images(step)

    def _show_images(self, step: ActionStep) -> None:
        """Show the model the images that it printed, or that are the last value."""
        handles = dict.fromkeys(_IMAGE.findall(step.observation))
        found = [image for handle in handles if (image := self.image_of(handle)) is not None]
        step.images.extend(found[-_MAX_IMAGES:])

    def _with_steps(self, text: str, step: ActionStep) -> str:
        """Name the steps in a traceback by their numbers."""
        if current := _RUN.search(text):
            self._steps_by_run[current[1]] = step.number
        return _RUN.sub(lambda run: f'File "<step {self._steps_by_run.get(run[1], "?")}>"', text)

    def _limits_left(self, run: Run) -> Limits:
        seconds, limit = run.ledger.seconds_left(), self.limits.time
        if seconds is None:
            return self.limits
        return self.limits.replace(time=max(0.001, seconds if limit is None else min(seconds, limit)))

    def _new_session(self) -> Session:
        make = self._make_sandbox or _sandbox
        if self._saved is not None:
            return make(self.tools, self.limits).restore(self._saved)
        return prepare_session(make(self.tools, self.limits).session(), self.imports)

    def _team_changed(self) -> None:
        if not self._limits_given and hasattr(self, "limits"):
            self.limits = default_limits(manages=bool(self.managed_agents))

    def _take_plain_calls(self) -> None:
        # A session that was saved in the middle of a program knows of them already.
        if self.session.suspended is None:
            take_plain_calls(self.session)
        self._takes_plain_calls = True

    def _drop_session(self) -> None:
        self._takes_plain_calls = False
        self._saved = None
        self._delegations.close()
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _without_exit(result: Result[Any]) -> Result[Any]:
    """Return the result without the exception by which a final answer ends a program."""
    error = result.error
    ended = isinstance(error, GuestException) and error.type_name == "SystemExit"
    return replace(result, error=None) if ended else result


def limits_text(limits: Limits) -> str:
    """Return the limits that a model needs to know, in words."""
    amounts = [f"{limits.memory >> 20} MiB of memory", f"{limits.output >> 10} KiB of output"]
    seconds = [] if limits.time is None else [f"{limits.time:g} seconds"]
    calls = [] if limits.calls is None else [f"{limits.calls:,} function calls"]
    return ", ".join([*seconds, *amounts, *calls])


def _sandbox(tools: ToolRegistry, limits: Limits) -> Sandbox:
    return Sandbox(tools, limits=limits)


_MARKDOWN = ("```python", "```")


def _tags(options: CodeKeywords) -> CodeTags:
    given = options.pop("code_block_tags", None)
    if isinstance(given, str):
        if given != "markdown":
            raise ConfigurationError("code_block_tags", f"{given!r}: give two strings, or 'markdown'")
        return _MARKDOWN
    return given or ("<code>", "</code>")


_FIND = """
import importlib.util
def missing(name):
    try:
        return importlib.util.find_spec(name) is None
    except ImportError:
        return True
[name for name in wanted if missing(name)]
"""


def _warn_of_missing(wanted: Iterable[str], make: MakeSandbox) -> None:
    """Warn of modules that programs will not be able to import. Only a guest knows what it holds."""
    names = [name.removesuffix(".*") for name in wanted if name != "*"]
    if not names:
        return
    with make(ToolRegistry(), Limits()).session() as session:
        session.set("wanted", names)
        missing = session.run(_FIND).unwrap()
    if missing:
        listed = ", ".join(map(str, missing))
        warnings.warn(f"not in the sandbox, so that importing it fails there: {listed}", stacklevel=3)


def _checked(tags: CodeTags) -> CodeTags:
    if len(tags) != 2 or not all(tags) or tags[0] == tags[1]:
        raise ConfigurationError(
            "tags", f"{tags!r}: tags must be two different strings, one before the code and one behind it"
        )
    return tags
