from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from yarl import URL

from rxorch.endpoint.template import ParamsTemplate, Template, TextTemplate, encode_query
from rxorch.errors import ApiConfigurationError, ApiValidationError
from tests.support.loopback import Loopback

CANARY = "canary-f00d"
NASTY = [
    "../admin", "a/b", "?x", "%2e%2e", "%2E%2E/", "..%2f", "#top", "a b", "a+b", "&a=b", ";x", "\\", "..\\",
    "...", "@evil.example", "//evil.example", "http://evil.example", ":80", "ü", "\U0001f600", "%", "%%",
    "%zz", "{id}", "~", "'", '"', "<>", "*", "\u202e", "\uff0e\uff0e", "\u2028", "zq0x0z", "[::1]", "|",
    "`", "^", "=",
]  # fmt: skip


class Tier(Enum):
    GOLD = "gold/plus"


# --- what a template is


@pytest.mark.parametrize(
    ("text", "data", "url"),
    [
        ("https://h", {}, "https://h"),
        ("HTTPS://H.Example:443/a", {}, "https://h.example/a"),
        ("http://127.0.0.1:8080/x?y=1", {}, "http://127.0.0.1:8080/x?y=1"),
        ("http://[::1]:8080/{id}", {"id": 1}, "http://[::1]:8080/1"),
        ("https://h/users/{id}", {"id": 7}, "https://h/users/7"),
        ("https://h/{a}/{a}", {"a": "x"}, "https://h/x/x"),
        ("https://h/{a}{b}-{c}.json", {"a": 1, "b": 2, "c": 3}, "https://h/12-3.json"),
        ("https://h/{user.items.1}", {"user": {"items": ["a", "b"]}}, "https://h/b"),
        ("https://h/s?q={q}&page=2", {"q": "a b"}, "https://h/s?q=a%20b&page=2"),
        ("https://h?{name}={value}", {"name": "a&b", "value": "c=d"}, "https://h/?a%26b=c%3Dd"),
        ("https://h/?q={q}", {"q": ""}, "https://h/?q="),
        ("https://h/{{id}}", {}, "https://h/%7Bid%7D"),
        ("https://h/{{{id}}}", {"id": 1}, "https://h/%7B1%7D"),
        ("https://h/a b/ü", {}, "https://h/a%20b/%C3%BC"),
        ("https://h/100%{x}", {"x": "2e2e"}, "https://h/100%252e2e"),
        ("https://h/%2{x}", {"x": "e"}, "https://h/%252e"),
        ("https://h/zq0x0z/zq1x{a}", {"a": "v"}, "https://h/zq0x0z/zq1xv"),
        ("https://{region}.example.com/x", {"region": "EU-1"}, "https://eu-1.example.com/x"),
        ("https://api-{region}.example.com:8443/", {"region": 7}, "https://api-7.example.com:8443/"),
        ("http://{service}:8080/health", {"service": "auth"}, "http://auth:8080/health"),
        (
            "https://{a}.{b}.example/{id}?q={q}",
            {"a": "x", "b": "y", "id": 1, "q": 2},
            "https://x.y.example/1?q=2",
        ),
    ],
)
def test_expand(text: str, data: Any, url: str) -> None:
    assert str(Template(text).expand(data)) == url


def test_fields_are_named_once_in_their_order() -> None:
    assert Template("https://{c}.h/{a.b}/{a.b}?x={z}").fields == ("c", "a.b", "z")


def test_a_fixed_url_is_made_once() -> None:
    template = Template("https://h/users?page=1")

    assert template.expand({}) is template.expand(None)


def test_more_query_is_appended() -> None:
    assert str(Template("https://h/x").expand({}, query="a=1")) == "https://h/x?a=1"
    assert str(Template("https://h/{x}?b=2").expand({"x": "y"}, query="a=1")) == "https://h/y?b=2&a=1"


def test_context_supplies_what_the_data_lacks() -> None:
    template = Template("https://h/{auth.token}/{id}")

    assert template.expand({"id": 1}, {"auth": {"token": "t"}, "id": 2}).path == "/t/1"
    assert Template("https://h/{auth.token}").expand(7, {"auth": {"token": "t"}}).path == "/t"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("api.example.com/users", "url: missing scheme; write https://"),
        ("", "missing scheme"),
        ("/users", "missing scheme"),
        ("{scheme}://h/", "missing scheme"),
        ("{base}/users", "missing scheme"),
        ("ftp://h/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("https://", "host"),
        ("https:///users", "host"),
        ("https://h:99999/", "host or port"),
        ("https://h:port/", "host or port"),
        ("https://a\\b/", "host or port"),
        (" https://h/", "white space"),
        ("https://h/\n", "white space"),
        ("https://h/a\r\nb", "control characters"),
        ("https://me:canary-f00d@h/", "user info is refused"),
        ("https://{user}@h/", "user info is refused"),
        ("https://{user}:{canary}@h/", "user info is refused"),
        ("https://h:{port}/", "cannot stand for the port"),
        ("https://h/x#part", "fragment"),
        ("https://h/x#{part}", "fragment"),
        ("https://h/{", "single brace"),
        ("https://h/}", "single brace"),
        ("https://h/{a{b}}", "single brace"),
        ("https://h/{}", "placeholder is a name or a path"),
        ("https://h/{a b}", "placeholder is a name or a path"),
        ("https://h/{a..b}", "placeholder is a name or a path"),
        ("https://h/{.a}", "placeholder is a name or a path"),
        ("https://h/{a[0]}", "placeholder is a name or a path"),
        ("https://h/{a!r}", "no conversion and no format"),
        ("https://h/{a:>3}", "no conversion and no format"),
        ("https://h/{a}/../b", "'..' beside a placeholder"),
        ("https://[{a}]/", "host or port"),
        ("https://{a}.0.0.1/", "must end in a name"),
        ("https://{a}.0x7f/", "must end in a name"),
        ("https://{a}./", "must end in a name"),
    ],
)
def test_bad_urls_are_refused_and_not_quoted(text: str, told: str) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        Template(text)

    assert told in str(caught.value)
    assert "canary" not in str(caught.value)


# --- values in the path


def segments(url: URL) -> list[str]:
    return url.raw_path.split("/")[1:]


TEMPLATES = ["https://h/a/{x}", "https://h/a/{x}/b", "https://h/{x}", "https://h/a/{x}?q=1"]


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(st.text(), st.sampled_from(NASTY), st.text(alphabet="./\\%2eE5cC?#;:@&=+ \x00\n")),
    st.sampled_from(TEMPLATES),
)
@example("..", TEMPLATES[0])
@example("\ud800", TEMPLATES[1])
def test_a_value_is_one_segment_or_refused(value: str, text: str) -> None:
    """What is let in reaches the server as exactly this segment; all else is an error, never another path."""
    empty = Template(text).expand({"x": "x"})
    try:
        url = Template(text).expand({"x": value})
    except ApiValidationError:
        refused = value in ("", ".", "..") or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value)
        assert refused or not value.isprintable() or "\ud800" <= max(value) <= "\udfff"
        return
    place = text.partition("//h/")[2].partition("?")[0].split("/").index("{x}")
    assert len(segments(url)) == len(segments(empty))
    assert unquote(segments(url)[place]) == value
    assert url.parts[place + 1] == value
    assert [s for i, s in enumerate(segments(url)) if i != place] == [
        s for i, s in enumerate(segments(empty)) if i != place
    ]
    assert (url.scheme, url.raw_authority, url.raw_query_string, url.raw_fragment) == (
        empty.scheme, empty.raw_authority, empty.raw_query_string, empty.raw_fragment,
    )  # fmt: skip
    # Nobody who reads the url again (a proxy, a redirect, a log) may find another path in it.
    assert URL(str(url)).raw_path.count("/") == url.raw_path.count("/")
    assert segments(url)[place] == quote(value, safe="")


@pytest.mark.parametrize("value", NASTY)
def test_nasty_values_are_let_in_as_data(value: str) -> None:
    url = Template("https://h/users/{id}/posts").expand({"id": value})

    assert url.parts == ("/", "users", value, "posts")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is empty"),
        (".", "is '.'"),
        ("..", "is '..'"),
        ("a\nb", "has control characters"),
        ("a\x00", "has control characters"),
        ("\x7f", "has control characters"),
        ("\x85", "has control characters"),
        ("a\ud800", "has a lone surrogate"),
        (None, "is None"),
        (float("nan"), "is not a finite number"),
        (float("inf"), "is not a finite number"),
        ([CANARY], "is of type list"),
        ({"a": CANARY}, "is of type dict"),
        (b"canary-f00d", "is of type bytes"),
    ],
)
def test_values_that_cannot_be_a_segment(value: Any, why: str) -> None:
    with pytest.raises(ApiValidationError) as caught:
        Template("https://h/users/{user.id}", endpoint="user").expand({"user": {"id": value}})

    error = caught.value
    assert why in str(error)
    assert "{user.id}" in str(error) and "endpoint 'user'" in str(error)
    assert error.errors == [
        {"loc": ("url", "user", "id"), "msg": error.errors[0]["msg"], "type": "unfit_value"}
    ]
    assert CANARY not in repr(error) + str(error.errors)


@pytest.mark.parametrize(
    "text", ["https://h/a/.{x}", "https://h/a/{x}.", "https://h/a/%2e{x}/b", "https://h/a/{x}{y}/b"]
)
@pytest.mark.parametrize("x", ["", ".", "..", "a", "...", "%2e", "%2E"])
@pytest.mark.parametrize("y", ["", ".", "..", "b"])
def test_literal_text_and_values_never_make_a_dot_segment(text: str, x: str, y: str) -> None:
    try:
        url = Template(text).expand({"x": x, "y": y})
    except ApiValidationError:
        assert x in ("", ".", "..") or y in ("", ".", "..")
        return
    assert not {".", "..", ""} & {unquote(segment) for segment in segments(url)}
    assert url.parts[1] == "a"


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        (7, "7"),
        (-1, "-1"),
        (True, "true"),
        (1.5, "1.5"),
        (1e22, "1e%2B22"),
        (Decimal("2.50"), "2.50"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (date(2025, 1, 2), "2025-01-02"),
        (Tier.GOLD, "gold%2Fplus"),
    ],
)
def test_other_types_have_their_plain_text(value: Any, segment: str) -> None:
    assert segments(Template("https://h/{x}").expand({"x": value})) == [segment]


async def test_a_real_server_reads_the_values_back() -> None:
    """Not only yarl: the router of a server sees one segment, and decodes it to the value."""
    from aiohttp import ClientSession

    async with (
        Loopback({"GET /users/{id:[^/]+}/posts": lambda request: {"id": request.match_info["id"]}}) as server,
        ClientSession() as session,
    ):
        template = Template(server.url + "/users/{id}/posts")
        for value in NASTY:
            async with session.get(template.expand({"id": value})) as response:
                assert await response.json() == {"id": value}


# --- values elsewhere


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(), st.sampled_from(NASTY)))
def test_a_value_is_one_query_value(value: str) -> None:
    assume(not any("\ud800" <= c <= "\udfff" for c in value))
    url = Template("https://h/s?a=1&q={q}&b=2").expand({"q": value})

    assert parse_qsl(url.raw_query_string, keep_blank_values=True) == [("a", "1"), ("q", value), ("b", "2")]
    assert url.query["q"] == value
    assert (url.raw_path, url.raw_fragment) == ("/s", "")


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.text(), st.text(alphabet="aZ9-.:@/_x"), st.sampled_from([*NASTY, "a.b", "-a", "a-", "a" * 64])
    )
)
def test_a_value_in_the_host_is_one_label(value: str) -> None:
    template = Template("https://{tenant}.example.com/x")
    try:
        url = template.expand({"tenant": value})
    except ApiValidationError:
        return
    assert url.host == f"{value.lower()}.example.com"
    assert value.isascii() and value.replace("-", "a").isalnum() and len(value) < 64
    assert (url.raw_path, url.port, url.raw_user) == ("/x", 443, None)


@pytest.mark.parametrize(
    "value", ["", "a.b", "a b", "-a", "a-", "a" * 64, "ü", "a:80", "a@b", "a/b", "_", None, "\uff41"]
)
def test_values_that_are_no_label(value: Any) -> None:
    with pytest.raises(ApiValidationError, match=r"\{tenant\}.*endpoint 'x'"):
        Template("https://{tenant}.example.com/", endpoint="x").expand({"tenant": value})


@pytest.mark.parametrize("value", ["2130706433", 127, "0x7f000001", "0X7F"])
def test_a_value_cannot_turn_the_host_into_an_address(value: Any) -> None:
    with pytest.raises(ApiValidationError, match="turns the host into an IP address"):
        Template("http://{service}:8080/").expand({"service": value})


# --- missing fields


def test_a_missing_field_is_named_with_the_keys_that_exist() -> None:
    template = Template("https://h/users/{user.id}", endpoint="user")

    with pytest.raises(ApiValidationError) as caught:
        template.expand({"user": {"name": CANARY}}, {"auth": CANARY})

    assert caught.value.message == (
        "url: nothing supplies {user.id}: 'user' has keys 'name'; the context has keys 'auth'"
    )
    assert caught.value.endpoint == "user"
    assert caught.value.errors[0]["type"] == "missing"


@pytest.mark.parametrize("data", [None, 7, CANARY, [CANARY], {"other": CANARY}, {}])
def test_no_value_is_ever_told(data: Any) -> None:
    with pytest.raises(ApiValidationError, match=r"nothing supplies \{id\}") as caught:
        Template("https://h/{id}").expand(data)
    assert CANARY not in repr(caught.value) + str(caught.value.errors)


# --- other texts


def test_text_template() -> None:
    template = TextTemplate("Bearer {auth.token}", label="header 'Authorization'")

    assert template.fields == ("auth.token",)
    assert template.literal is None
    assert template.expand({"auth": {"token": "t"}}) == "Bearer t"
    assert TextTemplate("{{x}}", label="x").literal == "{x}"


@pytest.mark.parametrize(
    "value", ["a\r\nX-Admin: yes", "a\n", "\x00", "\t", "\x7f", "\u2028", "\ud800", None, ["a"]]
)
def test_a_header_gets_no_value_that_ends_its_line(value: Any) -> None:
    template = TextTemplate("Bearer {token}", label="header 'Authorization'", endpoint="user")

    with pytest.raises(
        ApiValidationError, match=r"header 'Authorization': the value of \{token\}.*endpoint 'user'"
    ):
        template.expand({"token": value})


def test_params_keep_types_where_the_text_is_one_placeholder() -> None:
    template = ParamsTemplate(
        {
            "ids": "{ids}",
            "none": "{none}",
            "text": "<{id}>",
            "n": 2,
            "on": True,
            "l": ["{id}", "x"],
            "b": "{{b}}",
        }
    )
    resolved = template.resolve({"ids": [1, 2], "none": None, "id": 7})

    assert template.fields == ("ids", "none", "id")
    assert resolved == {
        "ids": [1, 2], "none": None, "text": "<7>", "n": 2, "on": True, "l": [7, "x"], "b": "{b}",
    }  # fmt: skip
    assert encode_query(resolved) == "ids=1&ids=2&text=%3C7%3E&n=2&on=true&l=7&l=x&b=%7Bb%7D"


def test_params_take_line_ends_as_data() -> None:
    assert encode_query(ParamsTemplate({"q": "a{x}"}).resolve({"x": "\r\n"})) == "q=a%0D%0A"


def test_a_missing_param_is_an_error_and_not_left_out() -> None:
    with pytest.raises(
        ApiValidationError, match=r"params: nothing supplies \{id\}: the input has no keys.*'user'"
    ):
        ParamsTemplate({"id": "{id}"}, endpoint="user").resolve({})


@pytest.mark.parametrize("value", [{"a": CANARY}, b"canary-f00d", [[CANARY]], float("nan"), "\ud800"])
def test_params_without_plain_text_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ApiValidationError, match=r"params: the value of 'q' .*endpoint 'user'") as caught:
        encode_query({"q": value}, endpoint="user")
    assert CANARY not in repr(caught.value) + str(caught.value.errors)


def test_a_set_gives_the_same_query_each_time() -> None:
    assert encode_query({"id": {"c", "a", "b"}}) == "id=a&id=b&id=c"


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.lists(st.text())))
def test_a_query_is_read_back_exactly(params: dict[str, list[str]]) -> None:
    everything = "".join(params) + "".join("".join(values) for values in params.values())
    assume(not any("\ud800" <= c <= "\udfff" for c in everything))
    pairs = [(name, value) for name, values in params.items() for value in values]

    assert parse_qsl(encode_query(params), keep_blank_values=True) == pairs
