"""Output kept up to its limit, and decoded piece by piece."""

from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.bridge.run_state import OutputBuffer


@given(st.lists(st.binary(max_size=9)))
def test_pieces_give_the_same_text_as_the_whole(pieces: list[bytes]) -> None:
    buffer = OutputBuffer("stdout", 1_000)
    texts: list[str] = []
    for piece in pieces:
        start = len(buffer)
        assert buffer.add(piece) is None
        texts.append(buffer.newer_text(start))
    texts.append(buffer.newer_text(len(buffer), final=True))
    assert "".join(texts) == buffer.text() == b"".join(pieces).decode("utf-8", "replace")


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1), st.integers(0, 30))
def test_never_more_than_the_limit(pieces: list[bytes], limit: int) -> None:
    buffer = OutputBuffer("stderr", limit)
    for piece in pieces:
        error = buffer.add(piece)
        if error is not None:
            assert (error.stream, error.limit) == ("stderr", limit)
            assert error.used > limit
            break
    assert len(buffer) == min(limit, len(b"".join(pieces)))
