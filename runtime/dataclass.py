"""Dataclasses that cost little to define.

``dataclasses`` takes longer to import than a guest to start, as it imports ``inspect``, and then compiles six functions
for each class. Here it is one function for each class, and the rest is shared. To ``dataclasses.fields``, ``replace``
and ``asdict`` the classes are dataclasses like any other: what these look for is made when they do.
"""

from collections.abc import Callable
from reprlib import recursive_repr
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

__all__ = ["dataclass", "field"]

C = TypeVar("C", bound=type)
_UNSET: Any = object()


class _Field:
    """What :func:`field` says of one field."""

    __slots__ = ("default", "default_factory", "init", "repr")

    def __init__(self, default: Any, default_factory: Any, init: bool, repr: bool) -> None:
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr


def field(
    *, default: Any = _UNSET, default_factory: Callable[[], Any] = _UNSET, init: bool = True, repr: bool = True
) -> Any:
    """Say more of a field than its default, as ``dataclasses.field`` does."""
    return _Field(default, default_factory, init, repr)


@overload
def dataclass(cls: C, /) -> C: ...
@overload
def dataclass(
    *, init: bool = True, repr: bool = True, eq: bool = True, frozen: bool = False, slots: bool = False
) -> Callable[[C], C]: ...
@dataclass_transform(field_specifiers=(field,))
def dataclass(
    cls: Any = None,
    /,
    *,
    init: bool = True,
    repr: bool = True,
    eq: bool = True,
    frozen: bool = False,
    slots: bool = False,
) -> Any:
    """Do what ``dataclasses.dataclass`` does, for classes that are derived from no other dataclass.

    A method with the name of one that would be made stays.
    """

    def made(cls: Any) -> Any:
        return _process(cls, init, repr, eq, frozen, slots)

    return made if cls is None else made(cls)


def _process(cls: Any, init: bool, repr: bool, eq: bool, frozen: bool, slots: bool) -> Any:
    own = _body_of(cls)
    names: dict[str, Any] = own.get("__annotations__", {})
    found = {name: _described(own, name) for name in names}
    made: dict[str, Any] = {
        "__match_args__": tuple(name for name, each in found.items() if each.init),
        "__dataclass_fields__": _Later(found, frozen, "__dataclass_fields__"),
        "__dataclass_params__": _Later(found, frozen, "__dataclass_params__"),
    }
    if init:
        made["__init__"] = _init_of(cls, found, frozen)
    if repr:
        made["__repr__"] = _repr_of([name for name, each in found.items() if each.repr])
    if eq:
        made["__eq__"], made["__hash__"] = _eq_of([*found]), _hash_of([*found]) if frozen else None
    if frozen:
        made["__setattr__"], made["__delattr__"] = _refuse_set, _refuse_delete
        if slots:
            made["__getstate__"], made["__setstate__"] = _get_state, _set_state
    made = {
        name: value for name, value in made.items() if name not in own or (name == "__hash__" and own[name] is None)
    }
    defaults = {name: each.default for name, each in found.items() if each.default is not _UNSET}
    if slots:
        return _with_slots(cls, found, made)
    for name, value in (made | defaults).items():
        setattr(cls, name, value)
    return cls


def _body_of(cls: type) -> dict[str, Any]:
    return dict(vars(cls))


def _described(own: dict[str, Any], name: str) -> _Field:
    default = own.get(name, _UNSET)
    return default if isinstance(default, _Field) else _Field(default, _UNSET, True, True)


def _with_slots(cls: Any, found: dict[str, _Field], made: dict[str, Any]) -> Any:
    own = _body_of(cls)
    body = {name: value for name, value in own.items() if name not in (*found, "__dict__", "__weakref__")}
    new = type(cls)(cls.__name__, cls.__bases__, {**body, **made, "__slots__": tuple(found)})
    new.__qualname__ = cls.__qualname__
    return new


def _init_of(cls: Any, found: dict[str, _Field], frozen: bool) -> Any:
    names: dict[str, Any] = {"_set": object.__setattr__, "_unset": _UNSET}
    parameters, lines = ["self"], list[str]()
    for name, each in found.items():
        value, names[f"_factory_{name}"], names[f"_default_{name}"] = name, each.default_factory, each.default
        if each.default_factory is not _UNSET:
            parameters.append(f"{name}=_unset")
            value = f"_factory_{name}() if {name} is _unset else {name}"
        elif not each.init:
            # The class's own attribute stands for it until it changes.
            continue
        else:
            parameters.append(name if each.default is _UNSET else f"{name}=_default_{name}")
        lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"])
    exec(source, names)  # noqa: S102 - the names of our own classes' fields
    made = names["__init__"]
    made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    made.__annotations__ = {name: cls.__annotations__[name] for name, each in found.items() if each.init}
    return made


def _repr_of(names: list[str]) -> Any:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _eq_of(names: list[str]) -> Any:
    def __eq__(self: Any, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in names)

    return __eq__


def _hash_of(names: list[str]) -> Any:
    def __hash__(self: Any) -> int:
        return hash(tuple(getattr(self, name) for name in names))

    return __hash__


def _refuse_set(self: Any, name: str, value: object) -> NoReturn:
    raise _frozen(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> NoReturn:
    raise _frozen(f"cannot delete field {name!r}")


def _frozen(message: str) -> AttributeError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__slots__]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__slots__, state, strict=True):
        object.__setattr__(self, name, value)


class _Later:
    """An attribute that ``dataclasses`` looks for, taken from a twin of the class when it does."""

    def __init__(self, found: dict[str, _Field], frozen: bool, name: str) -> None:
        self._found = found
        self._frozen = frozen
        self._name = name
        self._made: dict[type, Any] = {}

    def __get__(self, instance: object, owner: type) -> Any:
        # Kept: to make a class takes a millisecond, and ``dataclasses.replace`` looks each time.
        if owner not in self._made:
            self._made[owner] = self._make(owner)
        return self._made[owner]

    def _make(self, owner: type) -> Any:
        import dataclasses

        twin = dataclasses.make_dataclass(
            owner.__name__,
            [(name, owner.__annotations__[name], _as_theirs(each)) for name, each in self._found.items()],
            frozen=self._frozen,
        )
        return getattr(twin, self._name)


def _as_theirs(each: _Field) -> Any:
    import dataclasses

    chosen: dict[str, Any] = {"init": each.init, "repr": each.repr}
    if each.default is not _UNSET:
        chosen["default"] = each.default
    if each.default_factory is not _UNSET:
        chosen["default_factory"] = each.default_factory
    return dataclasses.field(**chosen)
