"""Reading and fetching: what comes back, and everything that must not be reached or swallowed."""

import encodings.aliases
import gzip
import ipaddress
import socket
import threading
import time
import zlib
from typing import Any

import pytest

pytest.importorskip("httpx", reason="the extra 'web' is not installed")
pytest.importorskip("markdownify", reason="the extra 'web' is not installed")

import httpcore
import httpx

from cloche.host_tools import ToolRejected
from cloche.host_tools.builtin import HttpFetch, ReadPage
from cloche.host_tools.builtin._http import Page
from cloche.host_tools.builtin._network import AddressRules, AllowList, CheckedNetwork, WebError, WebRefused
from cloche.runtime.errors import ConfigurationError

from .servers import Site, dripping

LOCAL = ["127.0.0.1"]


def _local(options: dict[str, Any]) -> dict[str, Any]:
    return {"private": LOCAL, "time": 30.0, **options}


def reader(**options: Any) -> ReadPage:
    return ReadPage(**_local(options))


def fetcher(web: Site, **options: Any) -> HttpFetch:
    return HttpFetch([web.url("/")], **_local(options))


def test_a_page_becomes_markdown_without_its_scripts(web: Site) -> None:
    html = (
        "<html><head><style>p {}</style><script>steal()</script></head><body><h1>Title</h1>"
        "<p>Some <a href='/x'>link</a>.</p><ul><li>one</li></ul><SCRIPT>more()</SCRIPT ></body></html>"
    )
    text = reader()(web.serve("/", html))

    assert "# Title" in text
    assert "[link](/x)" in text
    assert "* one" in text
    assert "steal" not in text
    assert "more()" not in text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_compressed_pages_are_unpacked(web: Site, encoding: str) -> None:
    packed = {"gzip": gzip.compress(b"plain text"), "deflate": zlib.compress(b"plain text")}.get(
        encoding, b"plain text"
    )
    assert reader()(web.serve("/", packed, "text/plain", Content_Encoding=encoding)) == "plain text"


@pytest.mark.parametrize(("charset", "text"), [("latin-1", "caf\xe9"), ("utf-8", "caf\xe9"), ("no-such", "cafe")])
def test_the_charset_is_the_one_that_was_named(web: Site, charset: str, text: str) -> None:
    data = text.encode("utf-8" if charset == "no-such" else charset)
    assert reader()(web.serve("/", data, f"text/plain; charset={charset}")) == text


def test_long_pages_are_cut_and_say_so(web: Site) -> None:
    web.serve("/", "x" * 500, "text/plain")
    assert reader(characters=100)(web.url()) == "x" * 100 + "\n[cut: 400 more characters]"
    assert reader(size=100)(web.url()).endswith("[cut: the page is longer than what is shown of one]")


def test_a_decompression_bomb_is_cut_where_it_unpacks(web: Site) -> None:
    tool = HttpFetch([web.url("/")], private=LOCAL, size="1 MiB", time=30.0)
    answer = tool(web.bomb("/", 64 << 20))
    assert len(answer["text"]) == 1 << 20
    assert answer["truncated"] is True


@pytest.mark.parametrize("body", [b"\x1f\x8bnot gzip", b"junk"])
def test_damaged_compression_is_an_error_of_the_web(web: Site, body: bytes) -> None:
    with pytest.raises(WebError, match="damaged"):
        reader()(web.serve("/", body, Content_Encoding="gzip"))


def test_an_encoding_that_was_not_asked_for(web: Site) -> None:
    with pytest.raises(WebError, match="not asked for"):
        reader()(web.serve("/", b"x", Content_Encoding="br"))


HOSTILE = {
    "unclosed": "<html>" + "<div>" * 300_000,
    "closed by others": "<html>" + "<i></b>" * 200_000,
    "paragraphs": "<html>" + "<p>x" * 400_000,
    "quotes in quotes": "<html>" + "<blockquote>" * 90 + "x\n" * 900_000,
    "lists in lists": "<html>" + "<ul><li>" * 49 + "x\n" * 900_000,
    "tables": "<html>" + "<table><tr><td>x" * 100_000,
    "one row": "<html><table><tr>" + "<td>x</td>" * 150_000,
    "beginnings of tags": "<html>" + "<" * 2_000_000,
    "beginnings of links": "<html>" + "<a " * 600_000,
    "ends": "<html>" + ">" * 2_000_000,
    "ampersands": "<html>" + "&" * 2_000_000,
    "comments": "<html>" + "<!--" * 500_000,
    "scripts": "<html>" + "<script>" * 250_000,
    "ends of scripts": "<html><script>" + "</script " * 100_000 + " " * 900_000,
    "attributes": "<html>" + ("<a " + "b " * 2_000 + ">") * 500,
    "one tag": "<html><a " + "b='c' " * 300_000 + ">",
    "line ends": "<html>" + "\n" * 2_000_000,
    "spaces": "<html>" + ("\n" + " " * 1_000) * 2_000,
    "marks": "<html><p>" + "*_[`" * 500_000,
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_no_page_takes_more_time_than_its_size_allows(page: str, web: Site) -> None:
    tool = reader()
    web.serve("/", page)
    started = time.thread_time()
    assert len(tool(web.url())) < 500_000
    assert time.thread_time() - started < 3


@pytest.mark.parametrize("depth", [5, 80, 20_000])
def test_nested_pages_keep_their_text(web: Site, depth: int) -> None:
    page = "<html>" + "<div>" * depth + "deep &amp; <b>down</b>"
    assert "deep & " in reader()(web.serve("/", page))


def test_paragraphs_need_no_end_tags(web: Site) -> None:
    page = "<html><body>" + "<p>one <b>two</b>" * 300 + "<ul>" + "<li>item" * 300 + "</ul>"
    text = reader()(web.serve("/", page))
    assert text.count("one **two**\n\n") == 300
    assert text.count("* item") == 300


def test_what_is_no_tag_is_text(web: Site) -> None:
    assert reader()(web.serve("/", "<html><p>1 < 2 and 3 > 2, <3, a<b")) == "1 < 2 and 3 > 2, <3, a<b"


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "unicode_escape", "utf-7", "zlib", "undefined", "mbcs", "a" * 99]
)
def test_charsets_that_no_page_has_are_read_as_utf_8(charset: str) -> None:
    body = b"caf\xc3\xa9 " * 100_000
    started = time.thread_time()
    text = Page("u", 200, {"content-type": f"text/plain; charset={charset}"}, body, False).text()
    assert text == "caf\xe9 " * 100_000
    assert time.thread_time() - started < 1


CODECS = sorted({*encodings.aliases.aliases.values()})


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "body", [b"a-" * 500_000, b"\xff\x81" * 500_000, b"\x1b$B" * 300_000, bytes(range(256)) * 4_000]
)
def test_no_charset_makes_decoding_slow(codec: str, body: bytes) -> None:
    started = time.thread_time()
    Page("u", 200, {"content-type": f"text/plain; charset={codec}"}, body, False).text()
    assert time.thread_time() - started < 2


def test_errors_of_the_server_are_told_with_their_status(web: Site) -> None:
    assert reader()(web.url("/missing")).startswith("[the server answered 404]")


def test_redirects_are_followed_and_counted(web: Site) -> None:
    web.serve("/end", "there", "text/plain")
    for number in range(4):
        web.redirect(f"/{number}", f"/{number + 1}" if number < 3 else "/end")
    assert reader(redirects=4)(web.url("/0")) == "there"
    with pytest.raises(WebError, match="more than 3 redirects"):
        reader(redirects=3)(web.url("/0"))


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x", "http://[::1", "javascript:1", "a b"]
)
def test_redirects_to_elsewhere_are_refused(web: Site, location: str) -> None:
    with pytest.raises(WebRefused):
        reader()(web.redirect("/", location))


def test_a_redirect_to_a_private_address_is_refused(web: Site) -> None:
    with pytest.raises(WebRefused, match="not a public address"):
        reader()(web.redirect("/", "http://169.254.169.254/latest/meta-data/"))


def test_a_server_that_trickles_is_given_up_on(web: Site) -> None:
    with pytest.raises(WebError, match=r"within|longer than"):
        reader(time=0.3)(web.url("/slow"))


def test_no_server_there(web: Site) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(WebError, match="cannot be reached"):
        reader()(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_addresses_of_the_hosts_own_network_are_refused(web: Site, host: str) -> None:
    web.serve("/", "secret")
    with pytest.raises(WebError) as caught:
        ReadPage(time=5.0)(f"http://{host}:{web.port}/")
    assert web.requests == []
    # Where the machine has no IPv6 at all, some of these names do not even resolve.
    assert isinstance(caught.value, WebRefused) or "cannot be resolved" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://",
        "//x",
        "",
        "http://user:pw@example.com/",
        "x" * 9_000,
        "http://a b/",
        "ht\0tp://x",
    ],
)
def test_what_is_no_address_of_the_web(url: str) -> None:
    with pytest.raises(WebRefused):
        ReadPage()(url)


def _answers(*addresses: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[Any]) -> None:
    left = list(answers)

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return left.pop(0)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


class _Recorder(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.asked.append(host)
        raise httpcore.ConnectError("refused")


def test_a_name_that_resolves_to_something_else_a_moment_later_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, _answers("93.184.216.34"), _answers("127.0.0.1"), _answers("127.0.0.1"))
    network, recorder = CheckedNetwork(AddressRules()), _Recorder()
    monkeypatch.setattr(network, "_inner", recorder)

    with pytest.raises(httpcore.ConnectError):
        network.connect_tcp("rebinding.example", 80)
    assert recorder.asked == ["93.184.216.34"]
    with pytest.raises(WebRefused):
        network.connect_tcp("rebinding.example", 80)
    assert recorder.asked == ["93.184.216.34"]


def test_a_name_with_one_private_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve_to(monkeypatch, _answers("93.184.216.34", "10.0.0.1"))
    with pytest.raises(WebRefused):
        CheckedNetwork(AddressRules()).connect_tcp("mixed.example", 80)


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(text: str) -> None:
    assert AddressRules().allows(ipaddress.ip_address(text))


def test_private_networks_can_be_named() -> None:
    rules = AddressRules(["10.1.0.0/16", "::1"])
    assert rules.allows(ipaddress.ip_address("10.1.2.3"))
    assert rules.allows(ipaddress.ip_address("::1"))
    assert rules.allows(ipaddress.ip_address("::ffff:10.1.2.3"))
    assert not rules.allows(ipaddress.ip_address("10.2.0.1"))
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/8"):
        AddressRules(["my network"])


def test_fetching_gives_status_headers_and_text(web: Site) -> None:
    web.serve("/v1", '{"ok": true}', "application/json", status=201, Set_Cookie="session=1", X_Count="3")
    answer = fetcher(web)(web.url("/v1"))

    assert (answer["status"], answer["text"], answer["truncated"]) == (201, '{"ok": true}', False)
    assert answer["headers"]["x-count"] == "3"
    assert "set-cookie" not in answer["headers"]


def test_methods_bodies_and_headers(web: Site) -> None:
    tool = fetcher(web, methods=["POST"])
    tool(web.serve("/v1", ""), "POST", {"X-Kind": "test"}, "h\xe9llo")

    [(method, path, headers, body)] = web.requests
    assert (method, path, body) == ("POST", "/v1", "h\xe9llo".encode())
    assert headers["x-kind"] == "test"
    with pytest.raises(ToolRejected, match="GET is not allowed here, only POST"):
        tool(web.url("/v1"))


@pytest.mark.parametrize(
    "headers", [{"Host": "x"}, {"content-length": "5"}, {"X": "a\r\nY: b"}, {"X\r\nY": "a"}, {"": "x"}, {"X": "\u2028"}]
)
def test_headers_that_would_change_the_request_itself(web: Site, headers: dict[str, str]) -> None:
    with pytest.raises(ToolRejected):
        fetcher(web)(web.url("/"), "GET", headers)
    assert web.requests == []


def test_a_redirect_off_the_list_is_refused(web: Site) -> None:
    web.redirect("/v1", "http://other.example/")
    with pytest.raises(WebRefused, match=r"'other\.example' is not on the list"):
        fetcher(web)(web.url("/v1"))


def test_secrets_go_to_their_host_over_tls_only(web: Site) -> None:
    tool = fetcher(web, secrets={"127.0.0.1": {"Authorization": "Bearer 1"}, "other": {"Authorization": "Bearer 2"}})
    tool(web.serve("/v1", ""))
    assert "authorization" not in web.requests[0][2]
    secret = tool._secret  # pyright: ignore[reportPrivateUsage]
    assert secret(httpx.URL("https://127.0.0.1/")) == {"authorization": "Bearer 1"}
    assert secret(httpx.URL("https://elsewhere/")) == {}


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("api.example.com", "https://api.example.com/x", True),
        ("api.example.com", "http://API.example.com./x", True),
        ("api.example.com", "https://api.example.com:8443/x", False),
        ("api.example.com", "https://evil-api.example.com/x", False),
        ("api.example.com", "https://api.example.com.evil.example/x", False),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://notexample.com/", False),
        ("https://example.com/v1/", "https://example.com/v1/users?id=1", True),
        ("https://example.com/v1", "https://example.com/v1", True),
        ("https://example.com/v1", "https://example.com/v10", False),
        ("https://example.com/v1/", "https://example.com/v2/", False),
        ("https://example.com/v1/", "https://example.com/v1/../v2/", False),
        ("https://example.com/v1/", "https://example.com/v1/%2e%2e/v2/", False),
        ("https://example.com/v1/", "https://example.com/v1/%252e%252e/v2/", False),
        ("https://example.com/v1/", "http://example.com/v1/", False),
        ("https://example.com/v1/", "https://example.com/v1%2fx", False),
        ("https://example.com/v1/", "https://example.com/v1%2F%2Fx", False),
        ("https://example.com/caf\xe9/", "https://example.com/caf%c3%a9/x", True),
        ("https://example.com/", "https://example.com//x", True),
        ("http://example.com:8080/", "http://example.com:8080/x", True),
        ("http://example.com:8080/", "http://example.com/x", False),
    ],
)
def test_allow_lists(entry: str, url: str, allowed: bool) -> None:
    rules = AllowList([entry])
    if allowed:
        rules.check(httpx.URL(url))
    else:
        with pytest.raises(WebRefused):
            rules.check(httpx.URL(url))


@pytest.mark.parametrize(
    "path",
    [
        "../admin",
        "%2e%2e/admin",
        "%252e%252e/admin",
        "%25252e%25252e/admin",
        "%2525252525252e%2525252525252e/admin",
        "..;/admin",
        "..;a=b/admin",
        "..%3b/admin",
        "..%3Bx/admin",
        "..\\admin",
        "..%5cadmin",
        "%2e%2e%5cadmin",
        "..%255cadmin",
        ".%00./admin",
        "..%00/admin",
        ".%0d./admin",
        "..%20/admin",
        ".%2e/admin",
        ".../admin",
        "a/..%2f..%2fadmin",
        "..%c0%afadmin",
        "%c0%ae%c0%ae/admin",
        "%e0%80%ae%e0%80%ae/admin",
        "%ef%bc%8e%ef%bc%8e/admin",
        "%e2%80%a5/admin",
        "..%ef%bc%8fadmin",
        "%u002e%u002e/admin",
        "%25u002e%25u002e/admin",
        ".%e2%80%8b./admin",
        "./../admin",
        "..",
    ],
)
def test_paths_that_a_server_may_read_as_leading_upwards(path: str) -> None:
    rules = AllowList(["https://api.example.com/v1/"])
    # Joined as text: httpx itself would resolve some of them.
    for url in (f"https://api.example.com/v1/{path}", f"https://api.example.com/v1/{path}?x=1"):
        with pytest.raises(WebRefused):
            rules.check(httpx.URL(url))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "a.b/c..d/.well-known/x",
        "group%2Fproject",
        "a%20b",
        "100%25",
        "caf%C3%A9",
        "%E6%97%A5%E6%9C%AC",
        "a;v=1/b",
        "x/?next=../admin",
        "a//b",
        "~user/(1),2=3",
    ],
)
def test_paths_that_services_have(path: str) -> None:
    AllowList(["https://api.example.com/v1/"]).check(httpx.URL(f"https://api.example.com/v1/{path}"))


def test_wide_letters_are_not_the_listed_ones() -> None:
    with pytest.raises(WebRefused):
        AllowList(["https://h.com/v1/"]).check(httpx.URL("https://h.com/%EF%BD%96%EF%BC%91/x"))


@pytest.mark.parametrize("path", ["/v1//../admin", "/v1/a//../../x?q=1", "/v1//..", "/v1//x/..#y"])
def test_paths_with_empty_steps_and_steps_back_are_not_asked_for(path: str, web: Site) -> None:
    web.serve("/v1/admin", "secret")
    with pytest.raises(WebRefused, match="in several ways"):
        reader()(web.url(path))
    assert not web.requests


@pytest.mark.parametrize("part", ["status", "headers", "body"])
def test_the_time_is_over_whatever_part_drips(part: str) -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    drips = {
        "status": head[:1],
        "headers": head + b"X-Long: ",
        "body": head + b"Content-Length: 100000\r\n\r\n",
    }
    with dripping(drips[part], b"a") as port:
        started = time.monotonic()
        with pytest.raises(WebError, match=r"within 0\.5 s"):
            reader(time=0.5)(f"http://127.0.0.1:{port}/")
        assert time.monotonic() - started < 5


def test_the_time_is_over_for_a_name_that_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answered.wait(30) and [])  # pyright: ignore[reportUnknownLambdaType]
    try:
        with pytest.raises(WebError, match=r"within 0\.2 s"):
            reader(time=0.2)("http://slow.example/")
    finally:
        answered.set()


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "a/b",
        "ftp://x/",
        "https://u:p@x/",
        "*.*.com",
        "https://x/?q=1",
        "a b",
        "https://x/a%5cb/",
    ],
)
def test_entries_that_allow_nothing_sensible(entry: str) -> None:
    with pytest.raises(ConfigurationError):
        AllowList([entry])


def test_an_empty_list_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="nothing could be fetched"):
        HttpFetch([])
