"""The answer, questions to the user, searching, retrieving, and files."""

import importlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.host_tools import Tool, ToolRegistry, ToolRejected
from cloche.host_tools.builtin import AskUser, FinalAnswer, Retriever, SharedFiles, WebSearch
from cloche.host_tools.builtin.retrieval import Bm25
from cloche.host_tools.builtin.web import Hit
from cloche.runtime.errors import ConfigurationError


def tools(files: SharedFiles) -> dict[str, Tool]:
    return dict(ToolRegistry(files.tools()))


def test_the_final_answer_is_kept() -> None:
    answer = FinalAnswer()
    assert not answer.given
    assert answer({"total": 3}) == {"total": 3}
    assert answer(None) is None
    assert (answer.given, answer.answer) == (True, None)
    answer.reset()
    assert not answer.given


def test_questions_are_asked_without_what_a_terminal_would_obey() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "blue"

    assert AskUser(ask)("Which \x1b[31mcolour\x07?\u202e\nred or blue") == "blue"
    assert asked == ["Which \ufffd[31mcolour\ufffd?\ufffd\nred or blue\n> "]


def test_the_end_of_the_input_is_an_empty_answer() -> None:
    def ask(question: str) -> str:
        raise EOFError

    assert AskUser(ask)("anybody there?") == ""


@pytest.mark.parametrize(("count", "asked"), [(3, 3), (0, 1), (1_000, 20)])
def test_searching_asks_the_backend(count: int, asked: int) -> None:
    seen: list[tuple[str, int]] = []

    def backend(query: str, most: int) -> list[Hit]:
        seen.append((query, most))
        return [Hit(title="t", url="u", text="x")]

    assert WebSearch(backend)("glass bells", count) == [{"title": "t", "url": "u", "text": "x"}]
    assert seen == [("glass bells", asked)]


def test_the_default_search_goes_through_ddgs(monkeypatch: pytest.MonkeyPatch) -> None:
    ddgs: Any = pytest.importorskip("ddgs", reason="the extra 'search' is not installed")

    def text(self: Any, query: str, **options: Any) -> list[dict[str, str]]:
        if query == "nothing":
            raise ddgs.exceptions.DDGSException("No results found.")
        return [{"title": query, "href": f"https://example.com/{options['max_results']}", "body": "text"}]

    # The engines are out on the network; all else is the package's own.
    monkeypatch.setattr(importlib.import_module("ddgs.ddgs").DDGS, "text", text)
    search = WebSearch()
    assert search("bells", 2) == [{"title": "bells", "url": "https://example.com/2", "text": "text"}]
    assert search("nothing") == []


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ddgs", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cloche\[search\]'"):
        WebSearch()


DOCUMENTS = [
    "A cloche is a glass bell. Gardeners put it over plants.",
    "Bells are cast from bronze.",
    "Glass is made from sand. Glass is old. Glass breaks.",
]


def test_rare_words_weigh_more_than_common_ones() -> None:
    found = Retriever(DOCUMENTS)("glass gardeners")
    assert [passage["source"] for passage in found] == ["0", "2"]
    assert found[0]["score"] > found[1]["score"] > 0


def test_nothing_in_common_finds_nothing() -> None:
    assert Retriever(DOCUMENTS)("zebra") == []
    assert Retriever(DOCUMENTS)("") == []


def test_a_folder_is_indexed_by_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text("tulips and roses", encoding="utf-8")
    (tmp_path / "b.txt").write_text("oaks", encoding="utf-8")
    (tmp_path / "c.bin").write_text("tulips", encoding="utf-8")
    (tmp_path / "secret.md").symlink_to("/etc/hostname")

    retriever = Retriever(tmp_path)
    assert [passage["source"] for passage in retriever("tulips oaks")] == ["b.txt", "sub/a.md"]


def test_long_documents_become_passages() -> None:
    text = "\n\n".join(f"paragraph {number} " + "word " * 60 for number in range(20)) + "x" * 3_000
    passages = Retriever([text], length=500)("word paragraph xxx", 20)
    assert passages
    assert all(len(passage["text"]) <= 500 for passage in passages)


@given(st.lists(st.text(alphabet="ab \n", max_size=200), min_size=1), st.integers(10, 50))
def test_passages_lose_no_word(documents: list[str], length: int) -> None:
    texts = ["start " + document for document in documents]
    retriever = Retriever(texts, length=length)
    kept = [text for _, text in retriever._passages]  # pyright: ignore[reportPrivateUsage]
    assert all(len(text) <= length for text in kept)
    assert "".join("".join(kept).split()) == "".join("".join(texts).split())


@given(st.lists(st.text(max_size=50), max_size=8), st.text(max_size=50), st.integers(1, 5))
def test_scores_are_positive_and_sorted(texts: list[str], query: str, most: int) -> None:
    found = Bm25(texts).best(query, most)
    scores = [score for _, score in found]
    assert len(found) <= most
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)


@pytest.mark.parametrize("documents", [[], ["", "  \n"], Path("/no/such/folder")])
def test_collections_without_text(documents: Any) -> None:
    with pytest.raises(ConfigurationError):
        Retriever(documents)


def test_files_are_given_by_name(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b\n")
    files = tools(SharedFiles([tmp_path / "data.csv"]))
    assert files["list_files"]() == {"data.csv": 4}
    assert files["read_file"]("data.csv") == b"a,b\n"
    assert "save_file" not in files


@pytest.mark.parametrize("name", ["../data.csv", "/etc/passwd", "", "data.csv/", "nope"])
def test_only_given_names_can_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b\n")
    with pytest.raises(ToolRejected, match="there are: data") as caught:
        tools(SharedFiles([tmp_path / "data.csv"]))["read_file"](name)
    assert str(tmp_path) not in str(caught.value)


def test_files_are_taken(tmp_path: Path) -> None:
    save = tools(SharedFiles(take=tmp_path))["save_file"]
    assert save("report.md", "h\xe9llo") == "report.md"
    save("raw.bin", b"\x00")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "h\xe9llo"
    assert (tmp_path / "raw.bin").read_bytes() == b"\x00"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/x",
        ".bashrc",
        "x\0y",
        "x\n",
        "NUL",
        "con.txt",
        "x.",
        "x ",
        "a:b",
        "x" * 101,
    ],
)
def test_names_that_are_no_plain_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ToolRejected, match="not a plain name"):
        tools(SharedFiles(take=folder))["save_file"](name, b"x")
    assert os.listdir(folder) == []
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_in_the_folder_is_never_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.md").symlink_to(target)
    with pytest.raises(ToolRejected, match="already"):
        tools(SharedFiles(take=folder))["save_file"]("report.md", "x")
    tools(SharedFiles(take=folder, replace=True))["save_file"]("report.md", "x")
    assert not target.exists()
    assert not (folder / "report.md").is_symlink()


def test_files_are_not_replaced_unless_allowed(tmp_path: Path) -> None:
    save = tools(SharedFiles(take=tmp_path))["save_file"]
    save("a", "1")
    with pytest.raises(ToolRejected) as caught:
        save("a", "2")
    assert caught.value.guest_type == "FileExistsError"
    tools(SharedFiles(take=tmp_path, replace=True, max_files=1))["save_file"]("a", "3")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "3"


def test_sizes_and_numbers_are_limited(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 11)
    files = tools(SharedFiles([tmp_path / "big"], tmp_path, size=10, max_files=2))
    with pytest.raises(ToolRejected, match="larger than 10"):
        files["read_file"]("big")
    with pytest.raises(ToolRejected, match="more than 10"):
        files["save_file"]("more", b"x" * 11)
    files["save_file"]("one", b"x")
    with pytest.raises(ToolRejected, match="2 files were saved"):
        files["save_file"]("two", b"x")


@pytest.mark.parametrize(
    "make",
    [
        lambda: SharedFiles(["/no/such/file"]),
        lambda: SharedFiles(take="/no/such/folder"),
        lambda: SharedFiles(["/etc/hostname", "/../etc/hostname"]),
    ],
)
def test_what_cannot_be_shared(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_files_saved_side_by_side_are_no_more_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = tools(SharedFiles(take=tmp_path, max_files=3))["save_file"]
    look = os.listdir

    def slowly(folder: Any) -> list[str]:
        found = look(folder)
        time.sleep(0.02)
        return found

    monkeypatch.setattr(os, "listdir", slowly)
    refused: list[ToolRejected] = []

    def work(number: int) -> None:
        try:
            save(f"file{number}", b"x")
        except ToolRejected as error:
            refused.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(look(tmp_path)), len(refused)) == (3, 9)


def test_a_query_of_megabytes_is_not_taken_apart() -> None:
    with pytest.raises(ToolRejected, match="10,000 characters"):
        Retriever(["some text"])("a " * 1_000_000)
