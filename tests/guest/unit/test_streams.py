"""Output: pieces, order, odd uses."""

import contextlib
import io
import sys
from typing import TYPE_CHECKING

import pytest

from cloche_guest.streams import install

if TYPE_CHECKING:
    from tests.guest.unit.conftest import FakeHost, Guest


def test_a_line_is_one_piece(guest: "Guest", host: "FakeHost") -> None:
    guest.run("print('a', 1, sep='-')\nprint('b', end='')\nprint('c')")
    assert host.written == [(1, b"a-1\n"), (1, b"bc\n")]


def test_the_end_of_a_run_flushes(guest: "Guest", host: "FakeHost") -> None:
    guest.run("print('no newline', end='')")
    assert host.written == [(1, b"no newline")]
    guest.fail("print('before', end='')\n1 / 0")
    assert host.text() == "no newlinebefore"


def test_the_order_of_both_streams_is_kept(guest: "Guest", host: "FakeHost") -> None:
    guest.run(
        "import sys\nprint('o1', end='')\nprint('e1', end='', file=sys.stderr)\nprint('o2', end='')\n"
        "sys.stderr.buffer.write(b'e2')\nprint('o3')"
    )
    assert host.written == [(1, b"o1"), (2, b"e1"), (1, b"o2"), (2, b"e2"), (1, b"o3\n")]


def test_much_text_without_a_newline_leaves_early(guest: "Guest", host: "FakeHost") -> None:
    guest.run("for i in range(3000):\n    print('xxxxxxxxxx', end='')")
    assert len(host.written) == 4
    assert host.text() == "x" * 30_000


def test_one_huge_text_goes_in_pieces(guest: "Guest", host: "FakeHost") -> None:
    guest.run("print('é' * 1_000_000)")
    assert max(len(data) for _, data in host.written) <= 2 * 65_536
    assert host.text() == "é" * 1_000_000 + "\n"


def test_huge_bytes_go_in_pieces(guest: "Guest", host: "FakeHost") -> None:
    assert guest.run("import sys\nsys.stdout.buffer.write(b'x' * 200_000)") == 200_000
    assert max(len(data) for _, data in host.written) <= 65_536
    assert len(host.text()) == 200_000


def test_flush_sends(guest: "Guest", host: "FakeHost") -> None:
    guest.run("print('a', end='', flush=True)\nprint('b', end='')")
    assert host.written == [(1, b"a"), (1, b"b")]


def test_surrogates_are_escaped_and_any_bytes_pass(guest: "Guest", host: "FakeHost") -> None:
    guest.run("print('\\ud800')\nimport sys\nsys.stdout.buffer.write(b'\\xff')")
    assert host.written == [(1, b"\\ud800\n"), (1, b"\xff")]


def test_the_streams_look_like_files(guest: "Guest") -> None:
    code = "s = sys.stdout\ns.encoding, s.isatty(), s.writable(), s.readable(), s.name, s.line_buffering, s.closed"
    assert guest.run("import sys\n" + code) == ("utf-8", False, True, False, "<stdout>", True, False)
    assert guest.run("sys.stdout.write('abc')") == 3
    assert guest.fail("sys.stdout.write(b'x')")["message"] == "write() argument must be str, not bytes"
    assert guest.run("sys.stdout.fileno(), sys.stderr.fileno(), sys.stderr.buffer.fileno()") == (1, 2, 2)
    assert guest.run("sys.stdout.reconfigure(encoding='latin-1')") is None


def test_closing_leaves_the_stream_open(guest: "Guest", host: "FakeHost") -> None:
    guest.run("import sys\nprint('a', end='')\nsys.stdout.close()\nsys.stdout.buffer.close()\nprint('b')")
    assert host.text() == "ab\n"


def test_redirection_works_and_is_undone(guest: "Guest", host: "FakeHost") -> None:
    code = """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as out:
    print('inside')
out.getvalue()
"""
    assert guest.run(code) == "inside\n"
    guest.run("import sys\nsys.stdout = sys.stderr = None")
    guest.run("print('back')")
    guest.run("import sys\nprint('too', file=sys.stderr)")
    assert host.written == [(1, b"back\n"), (2, b"too\n")]


def test_wrapping_the_buffer(guest: "Guest", host: "FakeHost") -> None:
    guest.run(
        "import io, sys\nw = io.TextIOWrapper(sys.stdout.buffer, 'utf-8')\nw.write('wrapped')\nw.flush()\nw.detach()\n1"
    )
    assert host.text() == "wrapped"


def test_logging_and_warnings_reach_stderr(guest: "Guest", host: "FakeHost") -> None:
    guest.run(
        "import logging\nlog = logging.getLogger('a test')\nlog.addHandler(logging.StreamHandler())\nlog.error('oops')"
    )
    assert host.written == [(2, b"oops\n")]


def test_stdin_is_at_its_end(guest: "Guest") -> None:
    assert guest.run("import sys\nsys.stdin.read(), sys.stdin.readline(), list(sys.stdin), sys.stdin.isatty()") == (
        "",
        "",
        [],
        False,
    )


@pytest.mark.parametrize("code", ["'x' * 10", "1"])
def test_values_are_not_printed(guest: "Guest", host: "FakeHost", code: str) -> None:
    guest.run(code)
    assert host.written == []


def test_the_hosts_own_streams_are_untouched(guest: "Guest") -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert sys.stdout is out
        guest.run("print('guest')")
    assert out.getvalue() == ""


WRAP = "import codecs, io, sys\nsys.stdout = "
WRAPPERS = [
    "io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8', errors='replace', line_buffering=True)",
    "io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer), encoding='utf-8')",
    "codecs.getwriter('utf-8')(sys.stdout.buffer)",
    "codecs.getwriter('utf-8')(sys.stdout.detach())",
    "io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')",
]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_a_wrapped_stream_holds_is_sent_when_its_run_ends(wrapper: str, guest: "Guest", host: "FakeHost") -> None:
    guest.run(f"{WRAP}{wrapper}\nprint('één')")
    assert host.text() == "één\n"
    guest.run("print('two')")
    assert host.text() == "één\ntwo\n"


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_same_where_the_run_fails(wrapper: str, guest: "Guest", host: "FakeHost") -> None:
    guest.fail(f"{WRAP}{wrapper}\nprint('one', end='')\n1 / 0")
    assert host.text() == "one"


def test_a_wrapper_beside_the_stream_is_sent_too(guest: "Guest", host: "FakeHost") -> None:
    guest.run("import io, sys\nout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\nout.write('a')\nprint('b')")
    assert sorted(host.text()) == ["\n", "a", "b"]
    guest.run("out.write('c')")
    assert host.text().endswith("c")


def test_an_object_in_place_of_the_stream_is_flushed(guest: "Guest", host: "FakeHost") -> None:
    code = """
import sys
class Late:
    held = ''
    def write(self, text): self.held += text
    def flush(self): sys.real.write(self.held)
sys.real, sys.stdout = sys.stdout, Late()
print('late')
"""
    guest.run(code)
    assert host.text() == "late\n"


@pytest.mark.parametrize("stream", ["None", "object()", "5"])
def test_nonsense_in_place_of_the_streams_does_no_harm(stream: str, guest: "Guest", host: "FakeHost") -> None:
    guest.run(f"import sys\nsys.stdout = sys.stderr = {stream}")
    guest.run("del sys.stdout, sys.stderr, sys.stdin")
    guest.run("print('here')")
    assert host.text() == "here\n"


@pytest.fixture
def inputs(guest: "Guest") -> None:
    install()


@pytest.mark.usefixtures("inputs")
def test_input_says_why_there_is_none(guest: "Guest", host: "FakeHost") -> None:
    error = guest.fail("input('name? ')")
    assert error["type"] == "EOFError"
    assert "no standard input" in error["message"]
    assert host.text() == "name? "


@pytest.mark.usefixtures("inputs")
def test_input_reads_what_the_run_was_given(guest: "Guest", host: "FakeHost") -> None:
    code = "import sys\nname = input('name? ')\nrest = [line for line in sys.stdin]\nname, rest"
    assert guest.ask(1, code, "", {"stdin": "Zoë\ntwo\nthree"})[0] == ("Zoë", ["two\n", "three"])
    assert host.text() == "name? "
    value, error = guest.ask(1, "input(), input()", "", {"stdin": "one"})
    assert (value, error["type"], error["message"]) == (None, "EOFError", "EOF when reading a line")
    assert guest.run("sys.stdin.read()") == "", "input belongs to one run"
    assert guest.ask(1, "sys.stdin.buffer.read()", "", {"stdin": "é"})[0] == "é".encode()


@pytest.mark.usefixtures("inputs")
def test_input_reads_a_replaced_stdin(guest: "Guest") -> None:
    code = "import io, sys\nsys.stdin = io.StringIO('3\\n4\\n')\n[int(input()) for _ in range(2)]"
    assert guest.run(code) == [3, 4]
    assert guest.fail("class In:\n    def readline(self): return 5\nsys.stdin = In()\ninput()")["type"] == "TypeError"


def test_a_closed_buffer_is_closed_and_its_stream_is_not(guest: "Guest", host: "FakeHost") -> None:
    guest.run("import sys\nbelow = sys.stdout.buffer\nbelow.write(b'a')\nbelow.close()\nprint('b')")
    assert guest.fail("below.write(b'c')")["message"] == "write to closed file"
    guest.run("sys.stdout.buffer.write(b'd')")
    assert host.text() == "ab\nd"


def test_a_stream_that_is_replaced_and_let_go_of_says_nothing(guest: "Guest", host: "FakeHost") -> None:
    wrap = "sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer))\nprint(1)\n"
    guest.run(f"import gc, io, sys\nbefore = sys.stdout\n{wrap}sys.stdout = before\ngc.collect()")
    assert (host.text(), host.text(2)) == ("1\n", "")
