"""Request and Response as values, and what is made of a body."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from rxorch.errors import ApiValidationError
from rxorch.http import Request, Response, default_parse

JSON = {"Content-Type": "application/json"}


def test_a_request_shows_no_secret() -> None:
    url = URL("https://me:hunter2@api.example.com/x?token=hunter2")
    request = Request("GET", url, {"Authorization": "hunter2"}, b"hunter2")
    assert repr(request) == "<Request GET https://***@api.example.com/x?token=***>"


def test_a_response_shows_no_secret_and_no_body() -> None:
    response = Response(200, b"hunter2", reason="OK", url="https://api.example.com/?token=hunter2")
    assert repr(response) == "<Response 200 OK, 7 bytes, https://api.example.com/?token=***>"


def test_headers_are_case_insensitive_and_keep_repetitions() -> None:
    response = Response(200, headers={"X-Id": "1"})
    assert response.headers["x-ID"] == "1"
    assert response.headers.getall("X-Id") == ["1"]


@pytest.mark.parametrize(
    ("status", "ok"), [(199, False), (200, True), (299, True), (302, False), (500, False)]
)
def test_ok(status: int, ok: bool) -> None:
    assert Response(status).ok is ok


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "x"]}', {"a": [1, 2.5, None, True, "x"]}),
        (b" \n 7 ", 7),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"\xef\xbb\xbf[1]", [1]),
        ('"gr\u00fcn"'.encode(), "gr\u00fcn"),
    ],
)
def test_json(content: bytes, value: Any) -> None:
    assert Response(200, content, JSON).json() == value


def test_json_in_another_charset() -> None:
    headers = {"Content-Type": 'application/json; charset="ISO-8859-1"'}
    assert Response(200, '"gr\u00fcn"'.encode("latin-1"), headers).json() == "gr\u00fcn"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "EOF"),
        (b'{"a": 1', "EOF"),
        (b"{} x", "trailing"),
        (b"[1,]", "trailing comma"),
        (b"NaN", "not valid JSON"),
        (b"[Infinity]", "not valid JSON"),
        (b"-Infinity", "not valid JSON"),
        (b'"\xff"', "unicode"),
        (b'"\\ud800"', "not valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "recursion"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "recursion"),
        (b"<html>hunter2</html>", "not valid JSON"),
        (b"\xef\xbb\xbf", "EOF"),
    ],
)
def test_what_is_no_json_is_a_clear_error(content: bytes, reason: str) -> None:
    with pytest.raises(ApiValidationError, match=reason) as caught:
        Response(200, content, JSON).json()
    assert len(str(caught.value)) < 200
    assert "hunter2" not in str(caught.value)
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    "charset", ["nonsense", "utf-16", "ascii-and-more", "hex", "idna", "undefined", "a\x00b"]
)
def test_json_that_is_not_in_its_charset(charset: str) -> None:
    with pytest.raises(ApiValidationError, match=f"not {charset} text|not valid JSON"):
        Response(200, b"[1", {"Content-Type": f"application/json; charset={charset}"}).json()


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("text/plain", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("text/plain; charset=iso-8859-1", "gr\u00fcn".encode("latin-1"), "gr\u00fcn"),
        ("text/plain; charset='utf-16'", "gr\u00fcn".encode("utf-16"), "gr\u00fcn"),
        ("text/plain; charset=unheard-of", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("text/plain; charset=zip", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("text/plain; charset=idna", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("text/plain; charset=undefined", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("text/plain; charset=a\x00b", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("text/plain", b"a\xffb", "a\ufffdb"),
        ("", b"abc", "abc"),
    ],
)
def test_text(content_type: str, content: bytes, text: str) -> None:
    assert Response(200, content, {"Content-Type": content_type}).text == text


@pytest.mark.parametrize(
    ("content_type", "content", "value"),
    [
        ("application/json", b"[1]", [1]),
        ("Application/JSON; charset=utf-8", b"[1]", [1]),
        ("application/problem+json", b'{"title": "no"}', {"title": "no"}),
        ("text/json", b"[1]", [1]),
        ("text/html; charset=utf-8", b"<p>", "<p>"),
        ("application/octet-stream", b"[1]", b"[1]"),
        ("image/png", b"\x89", b"\x89"),
        ("", b"[1]", b"[1]"),
        ("nonsense", b"x", b"x"),
        ("application/json", b"", None),
        ("text/plain", b"", None),
    ],
)
def test_default_parse_goes_by_the_content_type(content_type: str, content: bytes, value: Any) -> None:
    assert default_parse(Response(200, content, {"Content-Type": content_type})) == value


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body_give_none(status: int) -> None:
    assert default_parse(Response(status, b"junk", JSON)) is None


def test_default_parse_of_a_cut_json_is_an_error() -> None:
    with pytest.raises(ApiValidationError):
        default_parse(Response(200, b'{"a": [1, 2', JSON))
