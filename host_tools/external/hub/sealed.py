"""Tools whose code runs in a sandbox of its own, and not on the host."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from cloche.host_tools.errors import ToolDefinitionError, ToolFailed
from cloche.host_tools.names import safe_tool_name
from cloche.host_tools.schema_tool import SchemaTool
from cloche.runtime.errors import GuestError

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["SealedTool"]

_READER = Path(__file__).parent / "programs" / "reader.py"
# Names that no tool's code has.
_PREPARE = "import cloche_reader as _cloche_reader; _cloche_reader.prepare(globals())"
_DESCRIBE = "_cloche_reader.describe(globals(), _cloche_given)"
_CALL = "await _cloche_reader.call(_cloche_given)"
_MAX_ERROR = 4_000


class _Described(BaseModel):
    """What the guest says of its tool."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    description: str
    json_schema: dict[str, JsonValue] = Field(alias="schema")


class SealedTool(SchemaTool):
    """Calls a tool whose code is in a session of ``sandbox``: its limits hold, and its tools are all that it may call.

    The session lasts as long as the tool: what the code keeps is there in the next call. Calls are made one after the
    other. A call that ends with an error or at a limit is a RuntimeError of the program that made it.

    Raises ToolDefinitionError if the code does not run there, or does not define just one tool.
    """

    def __init__(
        self, where: str, source: bytes, sandbox: "Sandbox", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._sealed_lock = threading.Lock()
        self._sealed_session = sandbox.session()
        try:
            described = self._described(source, dict(arguments or {}))
        except BaseException as error:
            self._sealed_session.close()
            if isinstance(error, (GuestError, UnicodeDecodeError, ValidationError)):
                problem = f"its code does not run in the sandbox: {error}"
                raise ToolDefinitionError(f"tool of {where}", problem[:_MAX_ERROR]) from error
            raise
        name = safe_tool_name(described.name)
        super().__init__(name, described.description, described.json_schema, self._asked)

    def close(self) -> None:
        """End the session. Safe to call twice."""
        self._sealed_session.close()

    def _described(self, source: bytes, arguments: dict[str, Any]) -> _Described:
        session = self._sealed_session
        session.put_file("cloche_reader.py", _READER.read_bytes())
        for program in (_PREPARE, f"{source.decode()}\nNone"):
            # The value of its last line is not needed, and may be one that cannot cross.
            session.run(program).unwrap()
        session.set("_cloche_given", arguments)
        return _Described.model_validate(session.run(_DESCRIBE).unwrap())

    def _wire_value(self, key: str, value: Any) -> Any:
        return value

    def _asked(self, arguments: dict[str, Any]) -> Any:
        with self._sealed_lock:
            self._sealed_session.set("_cloche_given", arguments)
            result = self._sealed_session.run(_CALL)
        if result.error is not None:
            raise ToolFailed("RuntimeError", f"{self.name}() failed: {result.error}"[:_MAX_ERROR])
        return result.value
