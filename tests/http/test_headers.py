"""Which request headers pass, and the bytes that a request becomes."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http import Request, check_headers, check_method
from rxorch.http._wire import DefaultHeaders, Origin, encode_head
from rxorch.http.headers import FORBIDDEN_HEADERS

DEFAULTS = DefaultHeaders("agent")


def head(request: Request, *, close: bool = False) -> bytes:
    origin = Origin.__new__(Origin)
    origin.host_line, origin.authorization, origin.prefix = "Host: h\r\n", "", ""
    return encode_head(request, origin, DEFAULTS, close=close)


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\r\n" for text in (*texts, "")).encode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"X-Empty": ""},
        {"!#$%&'*+-.^_`|~09": "x"},
        {"X": "gr\u00fcn \u2713"},
        {"Cookie": "a=b"},
    ],
)
def test_ordinary_headers_pass(headers: dict[str, str]) -> None:
    check_headers(headers)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\r\nb", "\u00fc", "a\x00", "(x)", "X\n", "a/b"])
def test_names_must_be_tokens(name: str) -> None:
    with pytest.raises(ApiConfigurationError, match="not a valid header name"):
        check_headers({name: "x"})
    with pytest.raises(ApiConfigurationError):
        head(Request("GET", URL("http://h/"), {name: "x"}))


@pytest.mark.parametrize("name", sorted(FORBIDDEN_HEADERS))
def test_framing_and_hop_by_hop_headers_are_refused_in_any_case(name: str) -> None:
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(ApiConfigurationError, match="cannot be given"):
            check_headers({spelling: "x"})
        with pytest.raises(ApiConfigurationError):
            head(Request("GET", URL("http://h/"), {spelling: "x"}))


@pytest.mark.parametrize(
    "value", ["a\r\nX-Admin: yes", "a\nb", "a\rb", "a\x00b", "a\tb", "\x7f", "\x85", "\u2028", "\ud800"]
)
def test_values_without_control_characters_only(value: str) -> None:
    with pytest.raises(ApiConfigurationError, match="'X-Id'") as caught:
        check_headers({"X-Id": value})
    assert "Admin" not in str(caught.value)
    with pytest.raises(ApiValidationError):
        head(Request("GET", URL("http://h/"), {"X-Id": value}))


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="twice"):
        check_headers({"X-Id": "1", "x-id": "2"})
    with pytest.raises(ApiValidationError):
        head(Request("GET", URL("http://h/"), {"X-Id": "1", "x-id": "2"}))


@pytest.mark.parametrize("value", [None, 7, b"x"])
def test_values_must_be_text(value: object) -> None:
    with pytest.raises(ApiConfigurationError, match="must be text"):
        check_headers({"X-Id": value})  # type: ignore[dict-item]
    with pytest.raises(ApiValidationError):
        head(Request("GET", URL("http://h/"), {"X-Id": value}))  # type: ignore[dict-item]


@pytest.mark.parametrize("method", ["", "get", "GET /x", "GET\r\n", "G\u00cbT", "CONNECT"])
def test_methods_that_do_not_go_out(method: str) -> None:
    with pytest.raises(ApiConfigurationError):
        check_method(method)
    with pytest.raises(ApiConfigurationError):
        head(Request(method, URL("http://h/")))


@pytest.mark.parametrize(
    "url", ["http://h/a b", "http://h/a?b\r\nX: y", "http://h/\u00fc", "http://h/a\x00", "http://h/\x7f"]
)
def test_a_url_that_is_not_encoded_does_not_go_out(url: str) -> None:
    with pytest.raises(ApiValidationError, match="percent-encoded"):
        head(Request("GET", URL(url, encoded=True)))


def test_the_head_of_a_plain_request() -> None:
    expected = lines(
        "GET /a%20b?c=%26 HTTP/1.1",
        "Host: h",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate",
        "User-Agent: agent",
    )
    assert head(Request("GET", URL("http://h/a%20b?c=%26#top", encoded=True))) == expected


def test_given_headers_replace_the_defaults_and_keep_their_order() -> None:
    given = {"user-agent": "me", "X-B": "2", "X-A": "\u00fc", "ACCEPT": "text/html"}
    expected = lines(
        "GET / HTTP/1.1",
        "Host: h",
        "user-agent: me",
        "X-B: 2",
        "X-A: \u00fc",
        "ACCEPT: text/html",
        "Accept-Encoding: gzip, deflate",
    )
    assert head(Request("GET", URL("http://h/"), given)) == expected


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", None, None),
        ("DELETE", None, None),
        ("POST", None, b"0"),
        ("PUT", None, b"0"),
        ("PATCH", None, b"0"),
        ("POST", b"", b"0"),
        ("POST", b"abc", b"3"),
        ("GET", b"abc", b"3"),
    ],
)
def test_content_length(method: str, body: bytes | None, length: bytes | None) -> None:
    sent = head(Request(method, URL("http://h/"), body=body)).split(b"\r\n")
    found = [line.partition(b": ")[2] for line in sent if line.startswith(b"Content-Length")]
    assert found == ([] if length is None else [length])


def test_a_single_use_connection_says_so() -> None:
    assert head(Request("GET", URL("http://h/")), close=True).endswith(b"\r\nConnection: close\r\n\r\n")


@hypothesis.given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4),
    st.text(max_size=30),
)
def test_nothing_given_can_add_a_line_or_a_second_request(headers: dict[str, str], path: str) -> None:
    try:
        url = URL(f"http://h/{path}", encoded=True)
        data = head(Request("GET", url, headers))
    except (ApiConfigurationError, ApiValidationError, ValueError):
        return
    assert data.count(b"\r\n\r\n") == 1
    parts = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert b"\n" not in b"".join(parts)
    assert b"\r" not in b"".join(parts)
    assert len(parts[0].split(b" ")) == 3
    assert len(parts) == 2 + len(headers) + len(DEFAULTS.keys - {name.lower() for name in headers})


async def test_an_origin_is_checked() -> None:
    for bad in ("ftp://h/", "/relative", "http://.h/", "http://h\u00fc/"):
        with pytest.raises(ApiConfigurationError):
            Origin(URL(bad, encoded=True))


@pytest.mark.parametrize(
    ("url", "host", "authorization"),
    [
        ("http://h/x", "Host: h\r\n", ""),
        ("http://h:80/x", "Host: h\r\n", ""),
        ("http://h:8080/x", "Host: h:8080\r\n", ""),
        ("https://h:80/x", "Host: h:80\r\n", ""),
        ("http://[::1]:8080/", "Host: [::1]:8080\r\n", ""),
        ("http://me:p%40ss@h/", "Host: h\r\n", "Authorization: Basic bWU6cEBzcw==\r\n"),
    ],
)
async def test_host_and_user_info(url: str, host: str, authorization: str) -> None:
    origin = Origin(URL(url, encoded=True))
    assert (origin.host_line, origin.authorization) == (host, authorization)
    plain = encode_head(Request("GET", URL(url, encoded=True)), origin, DEFAULTS, close=False)
    assert authorization.encode() in plain
    own = encode_head(
        Request("GET", URL(url, encoded=True), {"authorization": "Bearer x"}), origin, DEFAULTS, close=False
    )
    assert own.lower().count(b"authorization") == 1
