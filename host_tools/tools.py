"""Tools: the class of all of them, and functions made tools by ``@tool``."""

import functools
import inspect
import threading
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from cloche.host_tools.arguments import Arguments
from cloche.host_tools.describe import arguments_schema, help_text, tool_spec
from cloche.host_tools.display import annotation_text
from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.names import check_name
from cloche.host_tools.signature import Docstring, Parameter, Signature, parse_docstring, read_signature, with_inputs
from cloche.runtime.dispatch import ToolSpec

__all__ = ["FunctionTool", "Tool", "origin_of", "set_origin", "tool"]


class Tool:
    """A tool: what a program in the sandbox may call.

    Subclass it for a tool with state: set ``name``, say what it does in the docstring (or in ``description``),
    and write ``forward`` with annotated parameters, as a method or coroutine function. Or describe them as smolagents
    does: ``inputs = {"city": {"type": "string", "description": "..."}}`` and ``output_type = "string"``; ``forward``
    then needs no annotations. ``setup``, if written, runs once, before the first call. For a plain function use
    :func:`cloche.host_tools.tool`.

    Calling the object from Python runs ``forward`` as it is; arguments are checked where a program calls it.
    Raises ToolDefinitionError when the class is made, if ``forward`` cannot be a tool.
    """

    name: str = ""
    """The name that programs call it by, unless a registry holds it under another."""
    description: str = ""
    """What it does, for the model. Default: the docstring of the class, else of ``forward``, without sections."""
    blocking: bool = True
    """Whether ``forward`` may wait (network, files, locks) or take long.

    Default: True for a plain method, False for a coroutine function. False is a promise: the runtime then
    runs the tool on the run's own thread, which is faster and cannot be cut short at the deadline.
    """
    suspend: bool = False
    """Whether calls wait for an answer, with the program suspended meanwhile: ``forward`` is then called only
    where the caller says so. Such programs are started with ``session.start()``.
    """
    approval: bool = False
    """Whether calls wait for approval, in the same way: :meth:`Suspended.approve` then runs ``forward``."""
    is_async: bool = False
    """Whether ``forward`` is a coroutine function; found out, not set."""

    # Names that no author of a subclass will hit upon: `_run` and `_lock` are the first that come to mind.
    _tool_signature: Signature
    _tool_arguments: Arguments
    _tool_docstring: Docstring = Docstring()
    _tool_lead: str = ""
    _tool_documentation: str = ""
    _tool_lock: threading.Lock
    _tool_is_set_up: bool
    _tool_run: Callable[..., Any]
    _tool_origin: str = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = dict(vars(cls))
        lead = parse_docstring(cls.__doc__)
        inherited = cls.description if cls.description != cls._tool_lead else None
        if "forward" in own or ({"inputs", "output_type"} & own.keys() and cls.forward is not Tool.forward):
            cls._tool_read_class(own, lead)
        if inherited is not None and "forward" not in own:
            cls.description = inherited
        if "description" in own:
            cls.description = inspect.cleandoc(str(own["description"]))
        elif lead.full and "forward" not in own:
            cls.description, cls._tool_lead, cls._tool_documentation = lead.lead, lead.lead, lead.full
        if inspect.iscoroutinefunction(cls.setup):
            raise ToolDefinitionError(f"tool {cls.__name__!r}", "setup must be a plain `def`: no event loop runs yet")

    @classmethod
    def _tool_read_class(cls, own: dict[str, Any], lead: Docstring) -> None:
        described: Any = getattr(cls, "inputs", None)
        described = None if isinstance(described, property) else described
        # Bound to anything at all, its signature is without `self`, whatever kind of method it is.
        forward = inspect.getattr_static(cls, "forward").__get__(object(), cls)
        cls._tool_read(cls, forward, lead, typed=described is None)
        returns = getattr(cls, "output_type", "")
        if described is not None or returns:
            name = cls.name or cls.__name__
            cls._tool_signature = with_inputs(cls._tool_signature, described, returns, name)
            cls._tool_arguments = Arguments(cls._tool_signature.parameters, name)
        cls.blocking = own.get("blocking", not cls.is_async) if "forward" in own else cls.blocking

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse classes without ``forward``, and prepare for ``setup``."""
        if cls.forward is Tool.forward:
            raise ToolDefinitionError(f"tool {cls.__name__!r}", "it has no forward method: write there what it does")
        self = super().__new__(cls)
        # Here and not in __init__, which subclasses replace without calling this one.
        self._tool_lock = threading.Lock()
        self._tool_is_set_up = False
        self._tool_run = self._tool_first_run
        return self

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        """Do what the tool does; written by the subclass, with parameters and annotations of its own."""
        raise NotImplementedError

    def setup(self) -> None:
        """Prepare the tool (open a connection, load a model). Runs once, and again if it raised."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the tool from Python: ``setup`` if it is the first time, then ``forward``, without checks."""
        return self._tool_run(*args, **kwargs)

    def invoke(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> Any:
        """Run the tool for a program: check and convert the arguments, then run it; an async tool gives an awaitable.

        ``called`` is the name it was called by (default: its own), for messages. Raises ToolRejected for wrong
        arguments, otherwise whatever the tool raises.
        """
        arguments = self._tool_arguments
        shape = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else tuple(map(type, args))
        if shape not in arguments.good:
            args, kwargs = arguments.accept(args, kwargs, called or self.name)
        return self._tool_run(*args, **kwargs)

    def accept(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> tuple[list[Any], dict[str, Any]]:
        """Return the checked and converted arguments, for :meth:`perform`: the first half of :meth:`invoke`.

        Raises ToolRejected for arguments that do not fit.
        """
        return self._tool_arguments.accept(args, kwargs, called or self.name)

    def perform(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Run the tool with arguments that :meth:`accept` returned; an async tool gives an awaitable."""
        return self._tool_run(*args, **kwargs)

    def named(self, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return accepted arguments by the names of their parameters, with the defaults of those left out."""
        return self._tool_arguments.named(args, kwargs)

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """The parameters, in order."""
        return self._tool_signature.parameters

    @property
    def output(self) -> str:
        """The annotation of the result as text; empty if there is none."""
        returns = self._tool_signature.returns
        return "" if returns is inspect.Parameter.empty else annotation_text(returns)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments: an object with one property for each."""
        return arguments_schema(self._tool_signature.parameters)

    def spec(self, name: str = "") -> ToolSpec:
        """Return what the guest needs to know of the tool, under another name if one is given.

        Defaults that cannot cross the bridge, paths among them, are shown as None; what the program leaves out
        is always filled in on the host.
        """
        documentation, explained = self._tool_documentation, self._tool_docstring.arguments
        if not documentation or self.description != self._tool_lead:
            # A description that was set takes the place of the whole docstring.
            documentation, explained = self.description, {}
        doc = help_text(documentation, self._tool_signature, explained)
        return tool_spec(name or self.name, self._tool_signature, doc, is_async=self.is_async)

    @staticmethod
    def from_hub(repo_id: str, *, trust_remote_code: bool = False, **options: Any) -> "Tool":
        """Return the tool of a repository on the Hugging Face Hub, whose code then runs on this host.

        See :func:`cloche.host_tools.external.load_tool` for what it takes and raises.
        """
        load = _late("cloche.host_tools.external.hub.tools").load_tool
        return load(repo_id, trust_remote_code=trust_remote_code, **options)  # type: ignore[no-any-return]

    @staticmethod
    def from_space(
        space_id: str, name: str, description: str = "", api_name: str | None = None, **options: Any
    ) -> "Tool":
        """Return an endpoint of a Gradio app as a tool; see :func:`cloche.host_tools.external.space_tool`."""
        make = _late("cloche.host_tools.external.spaces.tool").space_tool
        return make(space_id, name, description, api_name, **options)  # type: ignore[no-any-return]

    @staticmethod
    def from_langchain(tool: Any) -> "Tool":
        """Return a LangChain tool as a Tool; see :func:`cloche.host_tools.external.from_langchain`."""
        return _late("cloche.host_tools.frameworks").from_langchain(tool)  # type: ignore[no-any-return]

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Write the tool's code to a repository on the Hub and return the commit's id.

        See :func:`cloche.host_tools.external.push_tool` for what it takes and raises.
        """
        return _late("cloche.host_tools.external.hub.tools").push_tool(self, repo_id, **options)  # type: ignore[no-any-return]

    @staticmethod
    def _tool_read(target: Any, function: Callable[..., Any], lead: Docstring, *, typed: bool) -> None:
        """Set on ``target``, a class or an object, everything that follows from the function."""
        name = target.name or getattr(target, "__name__", "tool")
        own = parse_docstring(function.__doc__)
        merged = Docstring(lead.full or own.full, lead.lead or own.lead, {**own.arguments, **lead.arguments})
        target._tool_docstring, target._tool_documentation = merged, merged.full
        target.description = target._tool_lead = merged.lead
        target._tool_signature = read_signature(function, name, merged, typed=typed)
        target._tool_arguments = Arguments(target._tool_signature.parameters, name)
        target.is_async = _is_coroutine_function(function, name)

    def _tool_first_run(self, /, *args: Any, **kwargs: Any) -> Any:
        with self._tool_lock:
            if not self._tool_is_set_up:
                self.setup()
                self._tool_is_set_up = True
                self._tool_run = self.forward
        return self._tool_run(*args, **kwargs)


def _late(module: str) -> Any:
    # By name and when asked for: it builds on this module.
    return import_module(module)


def set_origin(tool: Tool, origin: str) -> Tool:
    """Note where a tool was fetched from: ``hf://spaces/owner/name@commit``, or ``gradio:owner/name#/predict``."""
    tool._tool_origin = origin  # pyright: ignore[reportPrivateUsage]
    return tool


def origin_of(tool: Tool) -> str:
    """Return where a tool was fetched from; empty if it was made here."""
    return tool._tool_origin  # pyright: ignore[reportPrivateUsage]


def _is_coroutine_function(function: Callable[..., Any], tool: str) -> bool:
    """Return whether calling it gives a coroutine. Raises ToolDefinitionError for generators, which cannot cross."""
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    for candidate in (function, call):
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise ToolDefinitionError(f"tool {tool!r}", "a generator cannot leave the host: return a list instead")
    return any(map(inspect.iscoroutinefunction, (function, call)))


P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class FunctionTool(Tool, Generic[P, R_co]):
    """A function as a tool. It can still be called as before, with the same signature and without checks.

    ``typed`` asks for an annotation on each parameter; without it, those that have none accept anything.
    For the other arguments and the errors see :func:`tool`.
    """

    def __init__(
        self,
        function: Callable[P, R_co],
        *,
        name: str | None = None,
        description: str | None = None,
        blocking: bool | None = None,
        suspend: bool = False,
        approval: bool = False,
        typed: bool = True,
    ) -> None:
        if inspect.isclass(function):
            raise ToolDefinitionError(f"tool {function.__name__!r}", "it is a class: pass a function or a Tool object")
        self.name = name or _name(function)
        self._tool_read(self, function, Docstring(), typed=typed)
        self.blocking = (not self.is_async) if blocking is None else blocking
        self.suspend, self.approval = suspend, approval
        if description is not None:
            self.description = inspect.cleandoc(description)
        self._tool_run = function
        functools.update_wrapper(cast("Any", self), function, updated=())

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function."""
        return self._tool_run(*args, **kwargs)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function, as if it had never been decorated."""
        return cast("R_co", self._tool_run(*args, **kwargs))

    def __repr__(self) -> str:
        return f"<tool {self.name}>"


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    blocking: bool | None = None,
    suspend: bool = False,
    approval: bool = False,
) -> _Decorator: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    blocking: bool | None = None,
    suspend: bool = False,
    approval: bool = False,
) -> Any:
    """Make a tool of a typed function, plain or ``async``: ``@tool``, or ``@tool(name=..., blocking=False)``.

    ``name`` and ``description`` default to the function's name and docstring (Google style: its ``Args`` describe
    the arguments). ``blocking=False`` promises that a plain function never waits nor takes long, so that it can
    run on the run's own thread; see :class:`Tool`. With ``suspend=True`` a call suspends the program until it is
    given a value, with ``approval=True`` until it is approved or denied: see ``Session.start``. Every
    parameter has to be annotated; ``Any`` accepts everything.

    Raises ToolDefinitionError at once if the name, a missing annotation or a type that cannot be checked
    stands in the way.
    """

    def decorate(function: Callable[P, R]) -> FunctionTool[P, R]:
        if name is not None:
            check_name(name, shadow_builtins=True)
        return FunctionTool(
            function, name=name, description=description, blocking=blocking, suspend=suspend, approval=approval
        )

    return decorate if function is None else decorate(function)


def _name(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))
