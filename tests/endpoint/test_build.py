from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_serializer
from yarl import URL

from rxorch.endpoint.build import RequestBuilder, again, cache_key
from rxorch.endpoint.model import APIEndpoint
from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http import Request, check_headers
from rxorch.http.headers import FrozenHeaders
from rxorch_operators import RetryPolicy

CANARY = "canary-f00d"


def endpoint(url: str = "https://h/x", **fields: Any) -> APIEndpoint:
    return APIEndpoint(name="user", url=url, **fields)


def build(data: Any = None, context: Any = None, **fields: Any) -> Request:
    return RequestBuilder(endpoint(**fields)).build(data, context)


# --- url and params


def test_a_plain_get() -> None:
    request = build({"id": 7}, url="https://h/users/{id}")

    assert (request.method, str(request.url), request.body) == ("GET", "https://h/users/7", None)
    assert (request.endpoint, request.max_response_bytes, request.sent) == ("user", 10 * 1024 * 1024, False)
    assert request.headers["Accept"] == "application/json, */*;q=0.5"
    assert re.fullmatch(r"rxorch(/\S+)?", request.headers["User-Agent"])
    assert set(request.headers) == {"Accept", "User-Agent"}
    check_headers(request.headers)


@pytest.mark.parametrize(
    ("fields", "data", "query"),
    [
        ({"params": {"limit": 100, "q": "a b", "no": None}}, None, "limit=100&q=a%20b"),
        ({"params": {"ids": "{ids}"}}, {"ids": [1, 2]}, "ids=1&ids=2"),
        ({"params": {"id": "{user.id}", "lang": "{lang}"}}, {"user": {"id": 7}, "lang": None}, "id=7"),
        ({"params": lambda data: {"q": data["q"]}}, {"q": "{raw}"}, "q=%7Braw%7D"),
        ({"params": lambda data, context: context}, {}, "auth=t"),
        ({"params": lambda data: None}, {}, ""),
        ({"params": {}}, {}, ""),
        ({"url": "https://h/x?v=1", "params": {"limit": 2}}, {}, "v=1&limit=2"),
        ({"url": "https://h/x?v={v}", "params": {"q": "{q}"}}, {"v": "a", "q": "b"}, "v=a&q=b"),
    ],
)
def test_params(fields: dict[str, Any], data: Any, query: str) -> None:
    assert build(data, {"auth": "t"}, **fields).url.raw_query_string == query


def test_params_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(ApiValidationError, match="params returned list, not a mapping") as caught:
        build(params=lambda data: [CANARY])
    assert caught.value.endpoint == "user"
    assert CANARY not in repr(caught.value)


# --- transform_input


def test_transform_input_replaces_the_data() -> None:
    builder = RequestBuilder(
        endpoint(
            "https://h/{key}",
            method="POST",
            params={"q": "{q}"},
            headers={"X-Q": "{q}"},
            transform_input=lambda data, context: {"key": data["id"], "q": context["auth"]},
        )
    )
    request, seen = builder.build_with_data({"id": 7}, {"auth": "t"})

    assert seen == {"key": 7, "q": "t"}
    assert str(request.url) == "https://h/7?q=t"
    assert request.headers["X-Q"] == "t"
    assert json.loads(request.body or b"") == seen


def test_what_transform_input_dropped_is_missing() -> None:
    with pytest.raises(ApiValidationError, match=r"nothing supplies \{id\}: the input has keys 'other'"):
        build({"id": 1}, url="https://h/{id}", transform_input=lambda data: {"other": 1})


@pytest.mark.parametrize("field", ["transform_input", "params", "body", "idempotency_key"])
def test_an_error_of_a_callable_is_its_own_with_a_note(field: str) -> None:
    def broken(data: Any) -> Any:
        raise KeyError("user")

    with pytest.raises(KeyError) as caught:
        build({}, method="POST", **{field: broken})
    assert caught.value.__notes__ == [f"in {field} of endpoint 'user'"]


# --- bodies


class Item(BaseModel):
    number: int = Field(alias="no")
    price: float = 1.0


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("body", "content", "kind"),
    [
        ({"a": "{not.a.template}"}, b'{"a":"{not.a.template}"}', "application/json"),
        ([], b"[]", "application/json"),
        ({}, b"{}", "application/json"),
        (0, b"0", "application/json"),
        (False, b"false", "application/json"),
        (Item(no=3), b'{"no":3,"price":1.0}', "application/json"),
        ([Item(no=3)], b'[{"no":3,"price":1.0}]', "application/json"),
        (Point(1), b'{"x":1}', "application/json"),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), b'{"a":{"b":1}}', "application/json"),
        ({"d": date(2025, 1, 2), "n": Decimal("1.5")}, b'{"d":"2025-01-02","n":"1.5"}', "application/json"),
        ({"t": "NaN Infinity null"}, b'{"t":"NaN Infinity null"}', "application/json"),
        ({"t": None}, b'{"t":null}', "application/json"),
        ("grün {x}", "grün {x}".encode(), "text/plain; charset=utf-8"),
        ("", b"", "text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (bytearray(b"ab"), b"ab", "application/octet-stream"),
        (memoryview(b"ab"), b"ab", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("made", [False, True], ids=["literal", "callable"])
def test_bodies(body: Any, content: bytes, kind: str, made: bool) -> None:
    request = build({"x": 1}, method="POST", body=(lambda data: body) if made else body)

    assert request.body == content
    assert request.headers["Content-Type"] == kind


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_methods_that_take_a_body_send_the_data(method: str) -> None:
    request = build({"id": 7, "auth": {"token": "t"}}, method=method)

    assert json.loads(request.body or b"") == {"id": 7, "auth": {"token": "t"}}
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("data", "content"),
    [("text", b'"text"'), (7, b"7"), ([1], b"[1]"), (Item(no=1), b'{"no":1,"price":1.0}')],
)
def test_data_is_always_sent_as_json(data: Any, content: bytes) -> None:
    assert build(data, method="POST").body == content


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PURGE"])
def test_other_methods_do_not_send_the_data(method: str) -> None:
    request = build({"id": 7}, method=method)

    assert request.body is None
    assert "Content-Type" not in request.headers
    assert build({}, method=method, body={"a": 1}).body == b'{"a":1}'


def test_without_data_there_is_no_body() -> None:
    request = build(None, method="POST")

    assert request.body is None
    assert "Content-Type" not in request.headers
    assert build({"a": 1}, method="POST", body=lambda data: None).body is None


def test_a_body_function_sees_data_and_context() -> None:
    assert build(1, 2, method="PUT", body=lambda data, context: [data, context]).body == b"[1,2]"


def test_the_users_content_type_wins() -> None:
    request = build({"a": 1}, method="POST", headers={"content-type": "application/vnd.api+json"})

    assert request.headers["content-type"] == "application/vnd.api+json"
    assert "Content-Type" not in request.headers
    templated = build({"a": 1, "kind": "x/y"}, method="POST", headers={"Content-Type": "{kind}"})
    assert templated.headers["Content-Type"] == "x/y"


@pytest.mark.parametrize("made", [False, True])
def test_a_mapping_is_a_form_when_the_header_says_so(made: bool) -> None:
    form = {"grant_type": "password", "scope": ["a b", "c&d"]}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = build({}, method="POST", body=(lambda data: form) if made else form, headers=headers)

    assert request.body == b"grant_type=password&scope=a%20b&scope=c%26d"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_literal_body_is_written_once_and_cannot_be_changed_later() -> None:
    body = {"a": [1]}
    builder = RequestBuilder(endpoint(method="PUT", body=body))
    body["a"].append(2)

    assert builder.build({}).body == b'{"a":[1]}'
    assert builder.build({}).body is builder.build({}).body


class Broken(BaseModel):
    id: int

    @field_serializer("id")
    def write(self, value: int) -> int:
        raise ValueError(CANARY)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"a": float("nan"), "b": CANARY}, "a number that is not finite"),
        ({"a": [float("inf")], "b": CANARY}, "a number that is not finite"),
        ({"a": [Item(no=1, price=float("nan"))], "b": CANARY}, "a number that is not finite"),
        ([Item(no=1, price=float("-inf"))], "a number that is not finite"),
        ({"a": object(), "b": CANARY}, "a value of type object"),
        ({"a": Item}, "a value of type ModelMetaclass"),
        ({"a": "\ud800", "b": CANARY}, "a value that JSON cannot hold"),
        ({"a": b"\xff", "b": CANARY}, "a value that JSON cannot hold"),
        (Broken(id=1), "a value that JSON cannot hold"),
        ("\ud800" + CANARY, "a lone surrogate"),
    ],
)
@pytest.mark.parametrize("made", [False, True], ids=["literal", "callable"])
def test_bodies_that_cannot_be_written(body: Any, why: str, made: bool) -> None:
    with pytest.raises(ApiValidationError, match=f"the body has {why}") as caught:
        build({}, method="POST", body=(lambda data: body) if made else body)

    assert caught.value.endpoint == "user"
    assert CANARY not in repr(caught.value) + str(caught.value.errors)


def test_endless_bodies_are_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for body in (circle, deep):
        with pytest.raises(ApiValidationError, match="the body"):
            build({}, method="POST", body=lambda data, body=body: body)
    while deep:  # a chain this long must not be freed by recursion
        deep = deep.pop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def holds_what_json_cannot(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return True
    return False


@settings(deadline=None)
@given(JSON)
def test_json_is_read_back_exactly_or_refused(value: Any) -> None:
    try:
        request = build(value, method="POST")
    except ApiValidationError:
        assert holds_what_json_cannot(value)
        return
    assert not holds_what_json_cannot(value)
    assert value is None or json.loads(request.body or b"") == value


# --- headers


def test_headers_are_filled() -> None:
    request = build(
        {"id": 7, "t": "tok"}, headers={"Authorization": "Bearer {t}", "X-Id": "{id}", "Accept": "text/csv"}
    )

    assert request.headers["Authorization"] == "Bearer tok"
    assert request.headers["X-Id"] == "7"
    assert request.headers["Accept"] == "text/csv"


def test_defaults_are_left_out_whatever_the_case() -> None:
    headers = build(headers={"accept": "a/b", "USER-AGENT": "mine"}).headers

    assert dict(headers) == {"accept": "a/b", "USER-AGENT": "mine"}


def test_a_value_cannot_end_its_header() -> None:
    with pytest.raises(ApiValidationError, match=r"header 'X-Id': the value of \{id\} has control") as caught:
        build({"id": f"1\r\nX-Admin: {CANARY}"}, headers={"X-Id": "{id}"})
    assert CANARY not in repr(caught.value)


@settings(deadline=None)
@given(st.text())
def test_every_header_that_is_built_passes_the_check_of_the_transport(value: str) -> None:
    try:
        request = build({"v": value}, headers={"X-V": "<{v}>"}, method="POST", idempotency_key="k-{v}")
    except ApiValidationError:
        assert not value.isprintable()
        return
    check_headers(request.headers)
    assert request.headers["X-V"] == f"<{value}>"


def test_equal_requests_share_their_headers_and_nobody_can_change_them() -> None:
    builder = RequestBuilder(endpoint("https://h/{id}", headers={"Authorization": "Bearer x"}))
    headers = builder.build({"id": 1}).headers

    assert headers is builder.build({"id": 2}).headers
    for change in (
        lambda: headers.__setitem__("A", "b"),
        lambda: headers.pop("Accept"),
        lambda: headers.update(A="b"),
        lambda: headers.setdefault("A", "b"),
        lambda: headers.clear(),
        lambda: headers.__delitem__("Accept"),
        lambda: headers.__ior__({"A": "b"}),
        lambda: headers.popitem(),
    ):
        with pytest.raises(TypeError, match="these headers are shared"):
            change()
    assert builder.build({"id": 3}).headers["Authorization"] == "Bearer x"


def test_copies_of_shared_headers_belong_to_their_owner() -> None:
    shared = FrozenHeaders({"A": "b"})

    for own in (
        copy.copy(shared),
        copy.deepcopy(shared),
        pickle.loads(pickle.dumps(shared)),
        shared.copy(),
        shared | {},
    ):
        assert type(own) is dict
        assert own == {"A": "b"}


def test_filled_headers_belong_to_their_request() -> None:
    builder = RequestBuilder(endpoint(headers={"X-Id": "{id}"}))
    first = builder.build({"id": 1})
    first.headers["X-Id"] = "changed"

    assert builder.build({"id": 2}).headers["X-Id"] == "2"


# --- idempotency keys


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
def test_unsafe_calls_that_may_be_retried_carry_a_fresh_key(method: str) -> None:
    builder = RequestBuilder(endpoint(method=method))
    keys = {builder.build({}).headers["Idempotency-Key"] for _ in range(100)}

    assert len(keys) == 100
    assert all(UUID(hex=key).version == 4 for key in keys)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "GET"},
        {"method": "PUT"},
        {"method": "DELETE"},
        {"method": "POST", "retry_count": 0},
        {"method": "POST", "retry": RetryPolicy(max_attempts=1)},
        {"method": "POST", "idempotent": True},
        {"method": "POST", "idempotency_key": None},
        {"method": "POST", "idempotency_key": lambda data: None},
    ],
)
def test_other_calls_carry_none(fields: dict[str, Any]) -> None:
    assert "Idempotency-Key" not in build({}, **fields).headers


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("order-{id}", "order-7"),
        ("fixed", "fixed"),
        (lambda data: data["id"], "7"),
        (lambda data, context: f"{context}-{data['id']}", "c-7"),
        (lambda: UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_key_of_the_users_own(key: Any, text: str, method: str) -> None:
    assert build({"id": 7}, "c", method=method, idempotency_key=key).headers["Idempotency-Key"] == text


def test_a_key_in_the_headers_stays_alone() -> None:
    headers = build({"id": 7}, method="POST", headers={"idempotency-key": "own-{id}"}).headers

    assert [text for name, text in headers.items() if name.lower() == "idempotency-key"] == ["own-7"]


@pytest.mark.parametrize("key", ["a\r\nb: canary-f00d", ["canary-f00d"], b"canary-f00d"])
def test_keys_that_are_no_header_are_refused(key: Any) -> None:
    with pytest.raises(ApiValidationError, match="the value of idempotency_key") as caught:
        build({}, method="POST", idempotency_key=lambda data: key)
    assert CANARY not in repr(caught.value)


# --- attempts


def test_every_attempt_has_its_own_request_with_the_same_key() -> None:
    first = build({"id": 7}, method="POST", max_response_bytes=5)
    first.sent = True
    second = again(first)

    assert second is not first
    assert (first.sent, second.sent) == (True, False)
    for part in ("method", "url", "headers", "body", "max_response_bytes", "endpoint"):
        assert getattr(second, part) == getattr(first, part)


# --- cache keys


def key(data: Any = None, identity: Mapping[str, str] | None = None, **fields: Any) -> Any:
    declared = endpoint(**fields)
    request = RequestBuilder(declared).build(data)
    return cache_key(declared, request, data=data, identity=identity)


def test_equal_requests_have_equal_keys() -> None:
    fields: dict[str, Any] = {"url": "https://h/{id}", "headers": {"Authorization": "Bearer {t}"}}

    assert key({"id": 1, "t": "x"}, **fields) == key({"id": "1", "t": "x", "more": 2}, **fields)
    assert hash(key({"id": 1, "t": "x"}, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://h/y"},
        {"url": "http://h/x"},
        {"url": "https://h:8443/x"},
        {"url": "https://other/x"},
        {"method": "HEAD"},
        {"params": {"a": 1}},
        {"params": {"a": 2}},
        {"params": {"a": [1, 2]}},
        {"params": {"a": [2, 1]}},
        {"body": {"a": 1}},
        {"body": {"a": 2}},
        {"body": ""},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"Authorization": "Bearer y"}},
        {"headers": {"Cookie": "x"}},
        {"headers": {"X-API-Key": "x"}},
        {"headers": {"API-Key": "x"}},
        {"headers": {"X-Tenant": "x"}},
        {"headers": {"X-Tenant": "x\u00fc"}},
        {"headers": {"Accept": "text/csv"}},
        {"headers": {"Accept-Language": "de"}},
    ],
)
def test_what_the_answer_depends_on_is_in_the_key(fields: dict[str, Any]) -> None:
    """Each differs from the bare request and, as no two rows are the same, from every other row."""
    mine = key({}, **fields)
    SEEN.setdefault(mine, fields)

    assert mine != key({})
    assert SEEN[mine] == fields


SEEN: dict[Any, Any] = {}


def test_callers_never_share() -> None:
    assert key({}, {"Authorization": "a"}) != key({}, {"Authorization": "b"})
    assert key({}, {"Authorization": "a"}) == key({}, {"authorization": "a"})
    assert key({}, {"X": "a", "Y": "b"}) == key({}, {"Y": "b", "X": "a"})
    assert key({}, {"X": "a', 'y"}) != key({}, {"X": "a", "Y": ""})


@settings(deadline=None)
@given(
    *[st.dictionaries(st.sampled_from(["X-A", "X-B", "Cookie"]), st.text(alphabet="ab'\", ()\\", max_size=4))]
    * 2
)
def test_different_identities_have_different_keys(first: dict[str, str], second: dict[str, str]) -> None:
    assert (key({}, first) == key({}, second)) is (first == second)


def test_what_says_nothing_about_the_answer_is_not_in_the_key() -> None:
    for name in ("User-Agent", "X-Request-ID", "traceparent", "Idempotency-Key"):
        assert key({}, headers={name: "a"}) == key({}, headers={name: "b"})
    assert key({}, params={"a": 1, "b": 2}) == key({}, params={"b": 2, "a": 1})
    assert key({"a": 1}, method="POST") == key({"a": 1}, method="POST")


def test_a_key_names_its_endpoint_and_holds_no_secret() -> None:
    made = key(
        {"c": CANARY}, headers={"Authorization": CANARY}, params={"q": "{c}"}, method="PUT", body=CANARY
    )

    assert made[0] == "user"
    assert CANARY not in repr(made)
    other = APIEndpoint(name="other", url="https://h/x")
    assert cache_key(other, RequestBuilder(other).build({})) != key({})


@pytest.mark.parametrize(
    ("params", "seen"),
    [
        ({"limit": 100}, {"limit": 100}),
        ({"q": "{q}", "no": "{no}"}, {"q": "{x}&"}),
        ({"ids": "{ids}"}, {"ids": ["1", "2"]}),
        (lambda data: {"q": data["q"]}, {"q": "{x}&"}),
        (None, None),
    ],
)
def test_a_generator_sees_the_endpoint_as_it_is_sent(params: Any, seen: Any) -> None:
    copies = []
    declared = endpoint("https://h/users/{id}", params=params, depends_on=["auth"])
    data = {"id": "a/b", "q": "{x}&", "no": None, "ids": [1, 2]}
    request = RequestBuilder(declared).build(data)
    made = cache_key(declared, request, data=data, generator=lambda ep, data: copies.append((ep, data)) or 7)

    ((shown, given_data),) = copies
    assert shown.params == seen
    assert shown.url == str(request.url)
    assert URL(shown.url).parts == ("/", "users", "a/b")
    assert (shown.name, shown.depends_on, given_data) == ("user", ("auth",), data)
    assert declared.url == "https://h/users/{id}"
    assert hash(made)


def generated(generator: Any, data: Any = None, **fields: Any) -> Any:
    declared = endpoint(**fields)
    return cache_key(declared, RequestBuilder(declared).build(data), data=data, generator=generator)


def test_a_generator_replaces_url_params_and_body_but_never_the_caller() -> None:
    def by_name(ep: APIEndpoint) -> str:
        return f"{ep.name}:{ep.params}"

    same = generated(by_name, url="https://h/1")
    assert generated(by_name, url="https://h/2", body={"a": 1}) == same
    assert generated(by_name, url="https://h/1", params={"a": 1}) != same
    assert generated(by_name, url="https://h/1", method="HEAD") != same
    assert generated(by_name, url="https://h/1", headers={"Authorization": "a"}) != same
    assert generated(by_name, headers={"Cookie": "a"}) != generated(by_name, headers={"Cookie": "b"})


def test_a_generator_may_take_the_data() -> None:
    assert generated(lambda ep, data: data["id"], {"id": 1}) != generated(
        lambda ep, data: data["id"], {"id": 2}
    )


def test_a_generator_must_return_a_key() -> None:
    with pytest.raises(ApiConfigurationError, match="cache_key_generator returned list") as caught:
        generated(lambda ep: [CANARY])
    assert CANARY not in repr(caught.value)
