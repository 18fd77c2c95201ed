import pytest

from cloche.cli.exit_codes import ExitCode, exit_code
from cloche.runtime import errors
from cloche.runtime.errors import GuestError


def guest_errors(kind: type[GuestError] = GuestError) -> list[type[GuestError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in guest_errors(child))]


@pytest.mark.parametrize("kind", guest_errors())
def test_every_error_has_a_code_and_none_says_all_is_well(kind: type[GuestError]) -> None:
    assert exit_code(kind.__new__(kind)) is not ExitCode.OK


def test_the_codes() -> None:
    assert exit_code(None) == 0
    assert exit_code(errors.GuestException("ValueError")) == 1
    assert exit_code(errors.UnserializableValue("a socket")) == 1
    assert exit_code(errors.FuelExhausted(1, 1)) == 3
    assert exit_code(errors.ResultTooLarge(1, 1)) == 3
    assert exit_code(errors.StackOverflow()) == 3
    assert exit_code(errors.GuestCrashed("unreachable")) == 4
    assert exit_code(errors.ProtocolError("x")) == 4
    assert exit_code(errors.Interrupted()) == 130
