"""``:undo`` in the REPL goes back in time."""

import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_undo_goes_back_piece_by_piece(cloche: Run) -> None:
    pieces = ["x = [1]", "x.append(2)", "open('note', 'w').write('hi')", ":undo", ":files", "x", ":undo", ":undo", "x"]
    done = cloche("repl", stdin="\n".join(pieces) + "\n")
    assert done.returncode == 0
    assert "no files" in done.stdout
    assert "[1, 2]" in done.stdout
    # The two undone pieces are showing x and appending to it.
    assert done.stdout.rstrip().endswith("[1]")


def test_undo_of_nothing(cloche: Run) -> None:
    assert "there is nothing to undo" in cloche("repl", stdin=":undo\n").stdout


def test_undo_reaches_no_further_back_than_a_reset(cloche: Run) -> None:
    assert "there is nothing to undo" in cloche("repl", stdin="x = 1\n:reset\n:undo\n").stdout
