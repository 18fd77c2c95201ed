"""A kernel whose cells run in one session of a sandbox. Started by :func:`run`, in a process of its own."""

import base64
import codeop
from importlib import resources
from typing import Any, cast

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from cloche import Sandbox, __version__
from cloche.host_tools import FunctionTool, ToolRegistry
from cloche.runtime._terminal import harmless
from cloche.runtime.errors import CallerError, GuestException, Interrupted
from cloche.runtime.result import Event, Output, Result
from cloche.runtime.session.session import Session

__all__ = ["ClocheKernel", "run"]

_NOT_SAVED = "the session is as it was before this cell"
_ASIDE = {"time": 5.0, "fuel": 2_000_000_000}
"""Limits of what is run for the editor: completion and help."""


_LANGUAGE: dict[str, object] = {
    "name": "python",
    "mimetype": "text/x-python",
    "file_extension": ".py",
    "pygments_lexer": "ipython3",
    "codemirror_mode": {"name": "ipython", "version": 3},
}


class ClocheKernel(Kernel):
    """Runs the cells of a notebook. ``sandbox`` and ``tools`` are set before the kernel is made; see :func:`run`."""

    implementation = "cloche"
    implementation_version = __version__
    banner = "Python in a sandbox of Cloche: no files, no network, limits for each cell"
    box: Sandbox
    tools: ToolRegistry

    def __init__(self, **options: Any) -> None:
        base: Any = super()
        base.__init__(**options)
        self.language_info = _LANGUAGE
        tools = self.tools
        tools["display_data"] = FunctionTool(self._display, name="display_data", typed=False, blocking=False)
        tools["input"] = FunctionTool(self._input, name="input", typed=False)
        self.python: Session = self.box.session()
        hook = resources.files("cloche.cli.kernel").joinpath("programs", "shown.py").read_text(encoding="utf-8")
        self.python.run(hook).unwrap()

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: object = None,
        cell_id: object = None,
    ) -> dict[str, Any]:
        """Run a cell: its output as it comes, then its value or error."""
        self._allow_stdin = allow_stdin
        try:
            result = await self.python.arun(code, on_event=None if silent else self._write)
        except CallerError as error:
            return self._failed(type(error).__name__, str(error), [], silent)
        if result.exit_code is not None:
            return self._finished([{"source": "ask_exit", "keepkernel": False}])
        if result.error is not None:
            return self._failed(*_error(result), silent)
        if result.value is not None and not silent:
            shown = {"execution_count": self.execution_count, "data": _bundle(result.value), "metadata": {}}
            self._publish("execute_result", shown)
        return self._finished([])

    async def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        """Return the names that the program has for what is being written."""
        found: dict[str, Any] = await self._ask("complete", code, cursor_pos) or {}
        names, start = found.get("names", []), found.get("start", cursor_pos)
        return {"status": "ok", "matches": names, "cursor_start": start, "cursor_end": cursor_pos, "metadata": {}}

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: object = ()
    ) -> dict[str, Any]:
        """Return the signature and the documentation of a name."""
        text = await self._ask("explain", code, cursor_pos)
        return {"status": "ok", "found": bool(text), "data": {"text/plain": text} if text else {}, "metadata": {}}

    async def do_is_complete(self, code: str) -> dict[str, str]:
        """Return whether a console should run this now, or let more be typed."""
        try:
            complete = codeop.compile_command(code, "<input>", "exec") is not None
        except (SyntaxError, ValueError, OverflowError):
            return {"status": "invalid"}
        return {"status": "complete"} if complete else {"status": "incomplete", "indent": "    "}

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End the session; a kernel that is restarted is a new process."""
        self.python.close()
        return {"status": "ok", "restart": restart}

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """End the cell that runs, and nothing else. Called on the thread of the control channel."""
        self.python.interrupt()
        client: Any = self.session
        client.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)

    async def _ask(self, what: str, code: str, place: int) -> Any:
        limits = self.box.limits.replace(time=_ASIDE["time"], fuel=int(_ASIDE["fuel"]))
        try:
            result = await self.python.arun(f"#cloche-aside\n({what!r}, {code!r}, {place:d})", limits=limits)
        except CallerError:
            return None
        return result.value if result.ok else None

    def _finished(self, payload: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": payload,
            "user_expressions": {},
        }

    def _failed(self, name: str, text: str, traceback: list[str], silent: bool) -> dict[str, Any]:
        content = {"ename": name, "evalue": text, "traceback": traceback or [f"{name}: {text}"]}
        if not silent:
            self._publish("error", content)
        return {"status": "error", "execution_count": self.execution_count, **content}

    def _write(self, event: Event) -> None:
        if isinstance(event, Output):
            self._publish("stream", {"name": event.stream, "text": event.text})

    def _display(self, shown: Any) -> None:
        self._publish("display_data", {"data": _bundle(shown), "metadata": {}})

    def _input(self, prompt: str = "") -> str:
        """Read a line from the user. The cell's time limit counts meanwhile."""
        base: Any = super()
        return str(base.raw_input(str(prompt)))

    def _publish(self, kind: str, content: dict[str, Any]) -> None:
        # The base class has no types.
        base: Any = super()
        base.send_response(self.iopub_socket, kind, content)


def _bundle(shown: Any) -> dict[str, Any]:
    """Return what the guest made of a value, as messages have it: bytes as base64, and nothing that is not text."""
    if not isinstance(shown, dict):
        return {"text/plain": str(shown)}
    bundle = cast("dict[str, Any]", shown)
    return {str(kind): _data(str(kind), data) for kind, data in bundle.items()}


def _data(kind: str, data: Any) -> Any:
    if isinstance(data, bytes):
        return base64.b64encode(data).decode("ascii")
    return data if kind.endswith("json") else str(data)


def _error(result: Result[Any]) -> tuple[str, str, list[str]]:
    error = result.error
    if isinstance(error, GuestException):
        return error.type_name, error.message, harmless(error.traceback).splitlines()
    back = [_NOT_SAVED] if result.rolled_back else []
    if isinstance(error, Interrupted):
        return "KeyboardInterrupt", "", ["KeyboardInterrupt", *back]
    return type(error).__name__, str(error), [f"{type(error).__name__}: {error}", *back]


def run(box: Sandbox, tools: ToolRegistry, connection_file: str) -> None:
    """Serve a client until it ends the kernel; ``tools`` are those of the sandbox."""
    ClocheKernel.box, ClocheKernel.tools = box, tools
    IPKernelApp.launch_instance(["-f", connection_file], kernel_class=ClocheKernel)
