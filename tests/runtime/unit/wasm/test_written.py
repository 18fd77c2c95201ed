import mmap
import os
import sys

import pytest

from cloche.runtime.wasm import memory
from cloche.runtime.wasm.memory import written_spans

PAGE = mmap.PAGESIZE
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells written pages apart")


def private_view(path: str, pages: int) -> memoryview:
    with open(path, "wb") as file:
        file.write(b"\1" * PAGE * pages)
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


@linux
def test_written_pages_of_a_private_mapping_are_found(tmp_path: object) -> None:
    view = private_view(f"{tmp_path}/image", 12)
    assert view[5 * PAGE] == 1  # reading is not writing
    view[2 * PAGE + 7] = 9
    view[3 * PAGE] = 1  # the value that was there: written all the same
    view[11 * PAGE + 5] = 2
    assert written_spans(view) == [(2 * PAGE, 4 * PAGE), (11 * PAGE, 12 * PAGE)]


@linux
def test_an_older_kernel_finds_the_same_pages(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    view = private_view(f"{tmp_path}/image", 12)
    view[2 * PAGE], view[11 * PAGE] = 9, 9
    found = written_spans(view)
    monkeypatch.setattr(memory, "scan_own_pages", lambda *_: None)
    assert written_spans(view) == found == [(2 * PAGE, 3 * PAGE), (11 * PAGE, 12 * PAGE)]


@linux
def test_the_file_that_says_it_may_have_been_closed_or_be_another_one(tmp_path: object) -> None:
    view = private_view(f"{tmp_path}/image", 12)
    view[2 * PAGE] = 9
    assert written_spans(view) == [(2 * PAGE, 3 * PAGE)]
    descriptor = memory._pagemap._descriptor  # pyright: ignore[reportPrivateUsage]
    if descriptor < 0:
        pytest.skip("this kernel does not say")
    with open(f"{tmp_path}/image", "rb") as file:
        os.dup2(file.fileno(), descriptor)
        view[5 * PAGE] = 9
        assert written_spans(view) == [(2 * PAGE, 3 * PAGE), (5 * PAGE, 6 * PAGE)]
        assert os.fstat(descriptor) == os.fstat(file.fileno()), "it is not ours to close"
        os.close(descriptor)


@linux
def test_nothing_written_is_no_span(tmp_path: object) -> None:
    assert written_spans(private_view(f"{tmp_path}/image", 3)) == []


def test_memory_that_is_not_page_aligned_counts_as_written() -> None:
    view = memoryview(bytearray(4 * PAGE + 64))[1 : 4 * PAGE + 1]
    assert written_spans(view) == [(0, 4 * PAGE)]


def test_without_the_systems_help_everything_counts_as_written(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "scan_own_pages", lambda *_: None)
    monkeypatch.setattr(memory, "_PAGEMAP", f"{tmp_path}/missing")
    assert written_spans(private_view(f"{tmp_path}/image", 3)) == [(0, 3 * PAGE)]


def test_empty_memory_has_no_span() -> None:
    assert written_spans(memoryview(bytearray())) == []
