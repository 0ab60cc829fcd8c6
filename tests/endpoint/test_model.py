from __future__ import annotations

import copy
import functools
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.pretty import pretty_repr

from rxorch.endpoint.model import APIEndpoint
from rxorch_operators import CircuitBreaker, RateLimiter, RetryPolicy

CANARY = "canary-f00d"
URL = "https://api.example.com/users/{id}"


class User(BaseModel):
    id: int


async def later(data: Any) -> Any: ...


def make(**fields: Any) -> APIEndpoint:
    return APIEndpoint(**({"name": "user", "url": URL} | fields))


def refused(**fields: Any) -> list[tuple[str, str]]:
    """Make what must not be made; return places and messages, after a look for leaks."""
    with pytest.raises(ValidationError) as caught:
        make(**fields)
    error = caught.value
    shown = f"{error}{error!r}{error.errors()}{error.json()}"
    assert CANARY not in shown + "".join(traceback.format_exception(error))
    return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]


# --- what it holds


def test_defaults() -> None:
    endpoint = make()

    assert (endpoint.method, endpoint.timeout, endpoint.total_timeout) == ("GET", 30.0, None)
    assert (endpoint.retry_count, endpoint.max_attempts, endpoint.retry_delay) == (2, 3, None)
    assert (endpoint.retry_on, endpoint.depends_on, endpoint.idempotency_key) == (None, (), "auto")
    assert (endpoint.max_response_bytes, endpoint.cache_ttl, endpoint.each) == (10 * 1024 * 1024, None, False)
    assert (endpoint.retry_jitter, endpoint.skip_propagates, endpoint.circuit_breaker) == (
        "full",
        False,
        None,
    )
    assert endpoint.is_idempotent


def test_every_field_is_kept() -> None:
    breaker, limiter = CircuitBreaker(), RateLimiter(10)

    def function(data: Any) -> Any:
        return data

    given: dict[str, Any] = {
        "name": "a.b-c_1",
        "url": "https://h/{x}",
        "headers": {"Authorization": "Bearer {auth.token}"},
        "params": {"limit": 100},
        "body": {"a": ["{not.a.template}"]},
        "timeout": 5.0,
        "total_timeout": 50.0,
        "retry_count": 4,
        "retry_delay": 0.0,
        "retry_jitter": "none",
        "retry_if": function,
        "idempotent": True,
        "response_parser": function,
        "transform_input": function,
        "transform_output": function,
        "error_handler": function,
        "condition": function,
        "skip_propagates": True,
        "response_key": "data.items.0.id",
        "model": list[User],
        "each": True,
        "idempotency_key": "order-{x}",
        "max_response_bytes": 1000,
        "cache_ttl": 0.0,
        "circuit_breaker": breaker,
        "rate_limiter": limiter,
    }
    endpoint = APIEndpoint(**given)

    assert {name: getattr(endpoint, name) for name in given} == given
    assert endpoint.template_fields == ("x", "auth.token")


def test_the_rate_limit_fields_go_together() -> None:
    endpoint = make(rate_limit=10, burst_limit=5, rate_limit_window=1.5)

    assert (endpoint.rate_limit, endpoint.burst_limit, endpoint.rate_limit_window) == (10, 5, 1.5)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("get", "GET"), ("Post", "POST"), ("DELETE", "DELETE"), ("purge", "PURGE"), ("m-search", "M-SEARCH")],
)
def test_methods_in_any_case(given: str, kept: str) -> None:
    assert make(method=given).method == kept


def test_lists_are_frozen() -> None:
    statuses, names, headers = [503, 502, 503], ["auth", "b"], {"A": "b"}
    endpoint = make(retry_on=statuses, depends_on=names, headers=headers)
    statuses.clear(), names.clear(), headers.clear()

    assert endpoint.retry_on == frozenset({502, 503})
    assert type(endpoint.retry_on) is frozenset
    assert endpoint.depends_on == ("auth", "b")
    assert endpoint.headers == {"A": "b"}


@pytest.mark.parametrize("statuses", [[500], (500,), {500}, frozenset({500}), [], range(500, 503)])
def test_collections_of_statuses(statuses: Any) -> None:
    assert make(retry_on=statuses).retry_on == frozenset(statuses)


@pytest.mark.parametrize(
    ("model", "value", "result"),
    [
        (User, {"id": 1}, User(id=1)),
        (list[User], [{"id": 1}], [User(id=1)]),
        (User | None, None, None),
        (dict[str, int], {"a": "1"}, {"a": 1}),
        (int, "7", 7),
    ],
)
def test_a_model_is_any_pydantic_type(model: Any, value: Any, result: Any) -> None:
    endpoint = make(model=model)

    assert isinstance(endpoint.adapter, TypeAdapter)
    assert endpoint.adapter is endpoint.adapter
    assert endpoint.adapter.validate_python(value) == result
    assert make().adapter is None


@pytest.mark.parametrize(
    ("fields", "safe"),
    [
        ({"method": "put"}, True),
        ({"method": "delete"}, True),
        ({"method": "post"}, False),
        ({"method": "patch"}, False),
        ({"method": "purge"}, False),
        ({"method": "post", "idempotent": True}, True),
        ({"method": "get", "idempotent": False}, False),
    ],
)
def test_idempotent_by_method_unless_said(fields: dict[str, Any], safe: bool) -> None:
    assert make(**fields).is_idempotent is safe


def test_a_retry_policy_takes_the_place_of_the_counts() -> None:
    assert make(retry=RetryPolicy(max_attempts=7)).max_attempts == 7
    assert make(retry_count=0).max_attempts == 1


# --- what it refuses


@pytest.mark.parametrize(
    ("fields", "place", "told"),
    [
        ({"retry_cout": 3}, "retry_cout", "did you mean 'retry_count'?"),
        ({"Timeout": 3}, "Timeout", "did you mean 'timeout'?"),
        ({"retries": CANARY}, "retries", "did you mean 'retry_count'?"),
        ({"json": {CANARY: CANARY}}, "json", "did you mean 'body'?"),
        ({"quux": CANARY}, "quux", "unknown field"),
        ({"name": ""}, "name", "letters, digits"),
        ({"name": f"{CANARY} user"}, "name", "letters, digits"),
        ({"name": ".user"}, "name", "letters, digits"),
        ({"name": "user."}, "name", "letters, digits"),
        ({"name": "a..b"}, "name", "letters, digits"),
        ({"name": "user\n"}, "name", "letters, digits"),
        ({"name": 7}, "name", "string"),
        ({"url": f"{CANARY}.example.com"}, "url", "url: missing scheme; write https://"),
        ({"url": f"ftp://{CANARY}"}, "url", "only http and https"),
        ({"url": f"https://me:{CANARY}@h/"}, "url", "user info is refused"),
        ({"url": f"https://h/{{{CANARY}!r}}"}, "url", "no conversion and no format"),
        ({"url": 7}, "url", "string"),
        ({"method": "CONNECT"}, "method", "CONNECT"),
        ({"method": "trace"}, "method", "TRACE"),
        ({"method": ""}, "method", "not a valid HTTP method"),
        ({"method": "GET /"}, "method", "not a valid HTTP method"),
        ({"method": "GET\r\n"}, "method", "not a valid HTTP method"),
        ({"headers": {"X": 5}}, "headers", "header 'X' must be text"),
        ({"headers": [CANARY]}, "headers", "mapping of names to texts"),
        ({"headers": {"X": f"{CANARY}\r\nY: z"}}, "headers", "header 'X' has control characters"),
        ({"headers": {"X Y": CANARY}}, "headers", "not a valid header name"),
        ({"headers": {"Host": CANARY}}, "headers", "'Host' is set by the transport"),
        ({"headers": {"content-length": "1"}}, "headers", "set by the transport"),
        ({"headers": {"A": "1", "a": "2"}}, "headers", "given twice"),
        ({"headers": {"X": "{a!s}" + CANARY}}, "headers", "header 'X': a placeholder"),
        ({"params": CANARY}, "params", "mapping of names"),
        ({"params": {"a": {"b": CANARY}}}, "params", "the value of 'a' is of type dict"),
        ({"params": {7: CANARY}}, "params", "names of params are texts"),
        ({"params": {"a": "{" + CANARY}}, "params", "single brace"),
        ({"params": later}, "params", "not async"),
        ({"body": later}, "body", "not async"),
        ({"timeout": 0}, "timeout", "greater than 0"),
        ({"timeout": -1}, "timeout", "greater than 0"),
        ({"timeout": CANARY}, "timeout", "valid number"),
        ({"timeout": float("nan")}, "timeout", "finite"),
        ({"timeout": float("inf")}, "timeout", "finite"),
        ({"total_timeout": 0}, "total_timeout", "greater than 0"),
        ({"retry_count": -1}, "retry_count", "greater than or equal to 0"),
        ({"retry_count": 1.5}, "retry_count", "integer"),
        ({"retry_delay": -0.1}, "retry_delay", "greater than or equal to 0"),
        ({"retry_jitter": CANARY}, "retry_jitter", "'full', 'equal', 'decorrelated' or 'none'"),
        ({"retry_on": [99]}, "retry_on", "from 100 to 599"),
        ({"retry_on": [600]}, "retry_on", "from 100 to 599"),
        ({"retry_on": [CANARY]}, "retry_on", "from 100 to 599"),
        ({"retry_on": 503}, "retry_on", "list or set of HTTP statuses"),
        ({"retry_on": "503"}, "retry_on", "list or set of HTTP statuses"),
        ({"rate_limit": 0}, "rate_limit", "greater than or equal to 1"),
        ({"rate_limit": 1, "burst_limit": 0}, "burst_limit", "greater than or equal to 1"),
        ({"burst_limit": 5}, "burst_limit", "means nothing without rate_limit"),
        ({"rate_limit_window": 5}, "rate_limit_window", "means nothing without rate_limit"),
        ({"rate_limit": 1, "rate_limit_window": 0}, "rate_limit_window", "greater than 0"),
        ({"rate_limit": 1, "rate_limiter": RateLimiter(5)}, "rate_limiter", "give one of the two"),
        ({"rate_limiter": CANARY}, "rate_limiter", "object of class RateLimiter or None"),
        ({"rate_limiter": RateLimiter}, "rate_limiter", "object of class RateLimiter or None"),
        ({"circuit_breaker": True}, "circuit_breaker", "object of class CircuitBreaker, False or None"),
        ({"circuit_breaker": 0}, "circuit_breaker", "object of class CircuitBreaker, False or None"),
        ({"retry": {"max_attempts": CANARY}}, "retry", "object of class RetryPolicy or None"),
        ({"retry": RetryPolicy(), "retry_count": 2}, "retry_count", "stands in retry already"),
        ({"retry": RetryPolicy(), "retry_delay": 1}, "retry_delay", "stands in retry already"),
        ({"retry": RetryPolicy(), "retry_jitter": "none"}, "retry_jitter", "stands in retry already"),
        ({"depends_on": "auth"}, "depends_on", "list of names, such as ['auth']"),
        ({"depends_on": None}, "depends_on", "list of names"),
        ({"depends_on": ["a", "a"]}, "depends_on", "twice"),
        ({"depends_on": ["user"]}, "depends_on", "cannot depend on itself"),
        ({"depends_on": [f"{CANARY} x"]}, "depends_on", "no name of an endpoint"),
        ({"depends_on": [7]}, "depends_on", "no name of an endpoint"),
        ({"response_key": ""}, "response_key", "a path is keys"),
        ({"response_key": f"{CANARY}..a"}, "response_key", "a path is keys"),
        ({"model": {"a": CANARY}}, "model", "not a type that pydantic can validate"),
        ({"model": CANARY}, "model", "not a type"),
        ({"response_parser": CANARY}, "response_parser", "must be callable"),
        ({"response_parser": later}, "response_parser", "not async"),
        ({"response_parser": lambda a, b: a}, "response_parser", "exactly one parameter"),
        ({"retry_if": lambda: True}, "retry_if", "exactly one parameter"),
        ({"transform_input": later}, "transform_input", "not async"),
        ({"transform_output": functools.partial(later)}, "transform_output", "not async"),
        ({"error_handler": later}, "error_handler", "not async"),
        ({"condition": lambda a, b, c: a}, "condition", "must take (data) or (data, context)"),
        ({"idempotency_key": 7}, "idempotency_key", "a template such as"),
        ({"idempotency_key": ""}, "idempotency_key", "a template such as"),
        ({"idempotency_key": "{a!r}" + CANARY}, "idempotency_key", "no conversion"),
        ({"idempotency_key": CANARY + "\n"}, "idempotency_key", "control characters"),
        (
            {"idempotency_key": "{id}", "headers": {"idempotency-key": "x"}},
            "idempotency_key",
            "headers already",
        ),
        ({"max_response_bytes": 0}, "max_response_bytes", "greater than or equal to 1"),
        ({"cache_ttl": -1}, "cache_ttl", "greater than or equal to 0"),
    ],
)
def test_refused(fields: dict[str, Any], place: str, told: str) -> None:
    ((where, message),) = refused(**fields)

    assert where == place
    assert told in message
    assert "Value error" not in message
    if "name" not in fields:
        assert message.endswith("(endpoint 'user')")


def test_all_faults_are_told_at_once() -> None:
    assert [place for place, _ in refused(timeout=0, retry_count=-1, url="h")] == [
        "url",
        "timeout",
        "retry_count",
    ]
    assert [place for place, _ in refused(timeot=0, retry_cnt=-1)] == ["timeot", "retry_cnt"]
    assert [place for place, _ in refused(burst_limit=1, depends_on=["user"])] == [
        "burst_limit",
        "depends_on",
    ]


def test_name_and_url_are_needed() -> None:
    with pytest.raises(ValidationError) as caught:
        APIEndpoint()  # type: ignore[call-arg]
    assert [fault["loc"] for fault in caught.value.errors()] == [("name",), ("url",)]


def test_nothing_can_be_set() -> None:
    endpoint = make(body=CANARY)

    with pytest.raises(ValidationError, match="frozen") as caught:
        endpoint.body = CANARY + "2"  # type: ignore[misc]
    assert CANARY not in str(caught.value)
    with pytest.raises(ValidationError, match="frozen"):
        del endpoint.url
    with pytest.raises(ValidationError, match="frozen"):
        endpoint.other = 1  # type: ignore[attr-defined]
    assert (endpoint.body, endpoint.url) == (CANARY, URL)


# --- copies


def test_a_copy_is_checked_and_compiled_again() -> None:
    endpoint = make(depends_on=["auth"], headers={"A": "{a}"})
    changed = endpoint.model_copy(update={"url": "https://h/{other}", "retry_on": [500]})

    assert changed.template_fields == ("other", "a")
    assert (changed.depends_on, changed.retry_on) == (("auth",), {500})
    assert endpoint.template_fields == ("id", "a")
    assert endpoint.model_copy() == endpoint
    with pytest.raises(ValidationError, match="missing scheme"):
        endpoint.model_copy(update={"url": "h"})
    with pytest.raises(ValidationError, match="did you mean 'timeout'"):
        endpoint.model_copy(update={"timout": 1})


def test_copies_are_equal_and_hash_alike() -> None:
    endpoint = make(retry_on=[503], model=list[User])

    for twin in (copy.copy(endpoint), copy.deepcopy(make()), pickle.loads(pickle.dumps(make())), make()):
        assert twin == (endpoint if twin.model else make())
        assert hash(twin) == hash(endpoint)
    assert make(timeout=1) != make(timeout=2)
    assert make() != "user"
    assert len({make(), make(), make(name="b")}) == 2


def test_subclasses_may_add_fields() -> None:
    class Owned(APIEndpoint):
        owner: str = ""

    assert Owned(name="a", url=URL, owner="me").model_copy(update={"timeout": 1}).owner == "me"
    with pytest.raises(ValidationError, match="did you mean 'owner'"):
        Owned(name="a", url=URL, ownr="me")  # type: ignore[call-arg]


# --- secrets


def secret_function(secret: str, data: Any) -> Any:
    return secret


def test_no_representation_shows_a_secret() -> None:
    endpoint = APIEndpoint(
        name="user",
        url=f"https://h/users/{{id}}?api_key={CANARY}&page=2",
        headers={"Authorization": f"Bearer {CANARY}", "X-Own": CANARY, "X-T": f"{CANARY}{{token}}"},
        params={"q": CANARY, "many": [CANARY], "limit": 100, "token": 123456},
        body={"password": CANARY},
        idempotency_key=f"{CANARY}-{{id}}",
        transform_input=functools.partial(secret_function, CANARY),
        circuit_breaker=CircuitBreaker(name=CANARY),
        rate_limiter=RateLimiter(7, name=CANARY),
        timeout=4.5,
        model=list[User],
    )
    texts = [
        repr(endpoint),
        str(endpoint),
        pretty_repr(endpoint),
        f"{endpoint}",
        pretty_repr(endpoint, expand_all=True),
    ]

    for text in texts:
        assert CANARY not in text
        assert "123456" not in text
        for told in (
            "user",
            "https://h/users/{id}",
            "page=2",
            "X-Own",
            "limit",
            "100",
            "4.5",
            "body=***",
            "list[",
        ):
            assert told in text
    for body in (CANARY, CANARY.encode(), [CANARY], functools.partial(secret_function, CANARY)):
        assert CANARY not in repr(make(body=body, params=functools.partial(secret_function, CANARY)))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(APIEndpoint.model_fields)),
    st.sampled_from(
        [CANARY, [CANARY], {CANARY: CANARY}, {"x": CANARY}, (CANARY,), b"canary-f00d", {"X": [CANARY, None]}]
    ),
)
def test_no_input_of_any_field_is_ever_quoted(field: str, value: Any) -> None:
    """Whatever is put wherever: the error does not quote it. (A name, a method, a path are no secrets.)"""
    try:
        endpoint = make(**{field: value})
    except ValidationError as error:
        shown = f"{error}{error!r}{error.errors()}"
    else:
        shown = repr(endpoint)
    if not (
        field in ("name", "method", "depends_on", "response_key")
        or (field == "params" and isinstance(value, dict))
    ):
        assert CANARY not in shown.replace(f"'{CANARY}': ***", "")


# --- types


TYPED = """
from __future__ import annotations
from typing import Any
from pydantic import BaseModel
from rxorch.endpoint.model import APIEndpoint

class User(BaseModel):
    id: int

statuses: list[int] = [500, 503]
names: list[str] = ["auth"]
endpoint = APIEndpoint(
    name="user",
    url="https://h/{id}",
    depends_on=names,
    retry_on=statuses,
    model=User,
    headers={"A": "b"},
    params={"limit": 100, "q": "{q}"},
    transform_input=lambda data: data,
    condition=lambda data, context: True,
    response_parser=lambda r: r.json()["data"],
    error_handler=lambda e: {"error": str(e)},
    circuit_breaker=False,
    retry_jitter="none",
)
APIEndpoint(name="a", url="u", retry_on={500}, depends_on=("a",), model=list[User], params=lambda data: {})
"""


def check_types(path: Path, text: str) -> str:
    path.write_text(text)
    root = Path(__file__).parents[2]
    options = ["--strict", "--explicit-package-bases", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--cache-dir", str(path.parent / "cache"), str(path)],
        cwd=root,
        env=os.environ | {"MYPYPATH": f"{root}{os.pathsep}{root / 'operators'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_type_checkers_accept_what_users_write(tmp_path: Path) -> None:
    assert "Success" in check_types(tmp_path / "good.py", TYPED)
    wrong = check_types(
        tmp_path / "bad.py", TYPED + "APIEndpoint(name='a', url='u', timout=1)\nendpoint.timeout = 1\n"
    )
    assert 'Unexpected keyword argument "timout"' in wrong
    assert 'Property "timeout" defined in "APIEndpoint" is read-only' in wrong
