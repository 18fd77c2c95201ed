"""From what a caller says to checked answers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cloche.runtime.bridge.protocol import value_reply
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.runtime.suspension.answers import Answer, Approval, CallDenied, Failure, Value
from cloche.runtime.suspension.waiting import HeldCall

__all__ = ["Asked", "checked"]


class Asked(NamedTuple):
    """Answers by the ids of calls, in the four kinds that there are."""

    values: Mapping[int, Any] = {}
    errors: Mapping[int, BaseException] = {}
    approve: Iterable[int] = ()
    deny: Mapping[int, str] = {}


def checked(asked: Asked, held: Mapping[int, HeldCall], limits: Limits) -> dict[int, Answer]:
    """Return the answers.

    Raises ConfigurationError for ids that do not wait, or are given twice, or not at all, and for a value where leave
    is waited for; TypeError or ValueError for a value that cannot cross.
    """
    _check_shapes(asked)
    answers: dict[int, Answer] = {}
    for id_, answer in _answers(asked, held):
        if id_ in answers:
            raise ConfigurationError("id", f"call {id_} is answered twice")
        if isinstance(answer, Value):
            value_reply(answer.value, id=id_, limit=limits.result)
        answers[id_] = answer
    if not answers:
        raise ConfigurationError("id", f"nothing is answered: {_list(held)} waits")
    return answers


def _answers(asked: Asked, held: Mapping[int, HeldCall]) -> Iterator[tuple[int, Answer]]:
    for id_, value in asked.values.items():
        if _find(id_, held).needs_approval:
            how = f"approve({id_}) calls it, deny({id_}, reason) refuses"
            raise ConfigurationError("id", f"call {id_} waits for approval, and not for a value: {how}")
        yield id_, Value(value)
    for id_, error in asked.errors.items():
        yield _find(id_, held).id, Failure(_error(error))
    for id_ in asked.approve:
        yield _find(id_, held).id, Approval()
    for id_, reason in asked.deny.items():
        yield id_, Failure(CallDenied(_find(id_, held).call.name, _reason(reason)))


def _check_shapes(asked: Asked) -> None:
    for field in ("values", "errors", "deny"):
        given: object = getattr(asked, field)
        if not isinstance(given, Mapping):
            problem = f"a {type(given).__name__} does not say which call gets what: write {{1: ...}}, by the calls' ids"
            raise ConfigurationError(field, problem)
    _check_ids(asked.approve)


def _check_ids(ids: object) -> None:
    if not isinstance(ids, Iterable):
        raise ConfigurationError("approve", f"{ids!r:.40} is not a list of ids: write [{ids!r:.40}]")


def _find(id_: object, held: Mapping[int, HeldCall]) -> HeldCall:
    if type(id_) is not int or id_ not in held:
        raise ConfigurationError("id", f"no call has the id {id_!r:.40}: {_list(held)} waits")
    return held[id_]


def _reason(reason: object) -> str:
    if not isinstance(reason, str):
        raise ConfigurationError("deny", f"a reason is text, and not a {type(reason).__name__}: write some, or ''")
    return reason


def _error(error: object) -> BaseException:
    if not isinstance(error, BaseException):
        raise ConfigurationError("error", f"a {type(error).__name__} is not an exception: pass ValueError('...')")
    return error


def _list(held: Mapping[int, HeldCall]) -> str:
    return ", ".join(f"{each.id} ({each.call.name})" for each in held.values())
