"""Errors of the system carry Linux's numbers and texts, not WASI's."""

import errno
import os
import platform
import sys
from collections.abc import Iterator

import pytest

from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Sandbox().session() as session:
        session.run("import errno, os").unwrap()
        yield session


@pytest.mark.skipif(sys.platform != "linux", reason="the model is Linux")
def test_the_numbers_are_those_of_linux(session: Session) -> None:
    numbers = session.run("{name: number for name, number in vars(errno).items() if name[0] == 'E'}").unwrap()
    assert len(numbers) > 70
    assert numbers == {name: getattr(errno, name) for name in numbers}
    names = session.run("[errno.errorcode[number] for number in (1, 2, 13)]").unwrap()
    assert names == ["EPERM", "ENOENT", "EACCES"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the model is glibc")
def test_the_texts_are_those_of_glibc(session: Session) -> None:
    texts = session.run("{number: os.strerror(number) for number in [*errno.errorcode, 0, 9999]}").unwrap()
    assert texts == {number: os.strerror(number) for number in texts}


@pytest.mark.parametrize(
    ("program", "wanted"),
    {
        "open('missing')": ("FileNotFoundError", "[Errno 2] No such file or directory: 'missing'"),
        "open('/lib')": ("IsADirectoryError", "[Errno 21] Is a directory: '/lib'"),
        "os.mkdir('/tmp')": ("FileExistsError", "[Errno 17] File exists: '/tmp'"),
        "os.listdir('/lib/os.py')": ("NotADirectoryError", "[Errno 20] Not a directory: '/lib/os.py'"),
        "open('/lib/os.py', 'w')": ("OSError", "[Errno 30] Read-only file system: '/lib/os.py'"),
        "os.rmdir('/tmp/../lib')": ("OSError", "[Errno 30] Read-only file system: '/tmp/../lib'"),
        "os.close(99)": ("OSError", "[Errno 9] Bad file descriptor"),
        "raise OSError(2, 'x')": ("FileNotFoundError", "[Errno 2] x"),
        "raise OSError(errno.EPIPE, 'x')": ("BrokenPipeError", "[Errno 32] x"),
        "raise OSError(13, 'x')": ("PermissionError", "[Errno 13] x"),
    }.items(),
)
def test_exceptions_have_them(session: Session, program: str, wanted: tuple[str, str]) -> None:
    error = session.run(program).error
    assert (getattr(error, "type_name", ""), getattr(error, "message", "")) == wanted
