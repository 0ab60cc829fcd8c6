"""Which failures are worth another attempt, and which count against a service."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import ApiClient
from rxorch.endpoint import Call
from rxorch.endpoint.call import LOOSE
from rxorch.endpoint.retry_rules import RETRYABLE_STATUSES, THROTTLED_BASE, RetryRules, classify, hint
from rxorch.errors import (
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiRateLimitError,
    ApiResponseTooLargeError,
    ApiValidationError,
)
from rxorch_operators import (
    BulkheadFullError,
    CircuitOpenError,
    Outcome3,
    RateLimitExceededError,
    RetryPolicy,
    TimeoutExceededError,
)
from tests.support.fake_transport import FakeTransport, api

CURABLE = (408, 429, 500, 502, 503, 504)
FINAL = (300, 301, 400, 401, 403, 404, 409, 410, 422, 501, 505, 507)


def retried(error: BaseException, *, sent: bool = True, **fields: Any) -> bool:
    """Whether a call of such an endpoint is repeated after this error."""
    endpoint = api(**fields)
    runtime = ApiClient(FakeTransport()).runtime(endpoint)
    call = Call(runtime, {}, LOOSE)
    call.request = runtime.builder.build({})
    call.request.sent = sent
    return RetryRules(endpoint).retryable(call, error)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_an_idempotent_method_is_repeated_after_whatever_may_pass(method: str) -> None:
    assert set(CURABLE) == RETRYABLE_STATUSES
    assert all(retried(ApiHttpError(status), method=method) for status in CURABLE)
    assert not any(retried(ApiHttpError(status), method=method) for status in FINAL)
    assert retried(ApiNetworkError(sent=True), method=method)
    assert retried(ApiNetworkError(sent=False), method=method)
    assert retried(ApiProtocolError(sent=True), method=method)
    assert retried(TimeoutExceededError(kind="attempt"), method=method)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_unsafe_method_is_repeated_only_where_nothing_was_done(method: str) -> None:
    repeated = {status for status in (*CURABLE, *FINAL) if retried(ApiHttpError(status), method=method)}
    assert repeated == {429, 503}
    assert retried(ApiNetworkError(sent=False), sent=False, method=method)
    assert not retried(ApiNetworkError(sent=True), method=method)
    assert not retried(ApiProtocolError(sent=True), method=method)
    assert retried(TimeoutExceededError(kind="attempt"), sent=False, method=method)
    assert not retried(TimeoutExceededError(kind="attempt"), sent=True, method=method)


@pytest.mark.parametrize(
    "fields",
    [{"idempotent": True}, {"idempotency_key": "order-7"}, {"idempotency_key": lambda data: "order-7"}],
    ids=["declared", "key", "callable key"],
)
def test_an_unsafe_method_that_is_harmless_to_repeat_is_repeated_like_a_safe_one(fields: Any) -> None:
    assert all(retried(ApiHttpError(status), method="POST", **fields) for status in CURABLE)
    assert not any(retried(ApiHttpError(status), method="POST", **fields) for status in FINAL)
    assert retried(ApiNetworkError(sent=True), method="POST", **fields)
    assert retried(TimeoutExceededError(kind="attempt"), method="POST", **fields)


def test_a_key_of_our_own_making_does_not_make_a_post_harmless() -> None:
    """The automatic key is for servers that know it; whether this one does, nobody said."""
    assert not retried(ApiNetworkError(sent=True), method="POST", idempotency_key="auto")
    assert not retried(ApiNetworkError(sent=True), method="POST", idempotency_key=None)


def test_a_callable_key_that_gives_none_makes_nothing_harmless() -> None:
    assert not retried(ApiNetworkError(sent=True), method="POST", idempotency_key=lambda data: None)
    assert not retried(ApiHttpError(500), method="POST", idempotency_key=lambda data: None)
    assert retried(ApiHttpError(503), method="POST", idempotency_key=lambda data: None)


def test_what_is_declared_harmful_stays_so_whatever_key_it_has() -> None:
    assert not retried(ApiNetworkError(sent=True), method="POST", idempotency_key="k", idempotent=False)
    assert not retried(ApiNetworkError(sent=True), method="PUT", idempotent=False)
    assert not retried(ApiHttpError(500), method="GET", idempotent=False)
    assert retried(ApiHttpError(503), method="GET", idempotent=False)


def test_retry_on_takes_the_place_of_the_statuses() -> None:
    assert {
        status for status in (*CURABLE, *FINAL) if retried(ApiHttpError(status), retry_on=[404, 502])
    } == {
        404,
        502,
    }
    assert not retried(ApiHttpError(503), retry_on=[])
    assert retried(ApiNetworkError(sent=True), retry_on=[])


def test_retry_on_says_that_an_unsafe_method_may_be_repeated_after_these() -> None:
    assert retried(ApiHttpError(500), method="POST", retry_on=[500])
    assert not retried(ApiHttpError(503), method="POST", retry_on=[500])
    assert not retried(ApiNetworkError(sent=True), method="POST", retry_on=[500])


@pytest.mark.parametrize(
    "error",
    [
        ApiValidationError("wrong shape"),
        ApiResponseTooLargeError(10),
        ApiRateLimitError(retry_after=1.0),
        RateLimitExceededError(retry_after=1.0),
        CircuitOpenError(),
        BulkheadFullError(),
        LookupError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_repetition_cannot_cure_is_not_repeated(error: Exception) -> None:
    assert not retried(error)
    assert not retried(error, idempotent=True, retry_on=[503])


def base(error: Exception, **fields: Any) -> float | None:
    return RetryRules(api(**fields)).base(error)


def test_the_first_wait_is_longer_where_the_server_is_overloaded() -> None:
    assert THROTTLED_BASE == 1.0
    assert base(ApiHttpError(503)) == base(ApiRateLimitError(429)) == 1.0
    assert base(ApiHttpError(500)) is base(ApiNetworkError()) is base(ApiHttpError(408)) is None


@pytest.mark.parametrize(
    "fields", [{"retry_delay": 0.0}, {"retry_delay": 5.0}, {"retry": RetryPolicy(base=0.2)}]
)
def test_a_wait_that_the_endpoint_names_is_kept_everywhere(fields: Any) -> None:
    assert base(ApiHttpError(503), **fields) is None
    assert base(ApiRateLimitError(429), **fields) is None


def test_the_hint_is_the_answers_own() -> None:
    assert hint(ApiHttpError(503, retry_after=7.0)) == 7.0
    assert hint(ApiHttpError(503)) is None
    assert hint(CircuitOpenError(retry_after=7.0)) is None
    assert hint(TimeoutExceededError()) is None


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"fine": True}, Outcome3.SUCCESS),
        (None, Outcome3.SUCCESS),
        (ApiHttpError(500), Outcome3.FAILURE),
        (ApiHttpError(501), Outcome3.FAILURE),
        (ApiHttpError(503), Outcome3.FAILURE),
        (ApiHttpError(408), Outcome3.FAILURE),
        (ApiNetworkError(), Outcome3.FAILURE),
        (ApiProtocolError(), Outcome3.FAILURE),
        (TimeoutExceededError(), Outcome3.FAILURE),
        (ApiHttpError(302), Outcome3.IGNORED),
        (ApiHttpError(400), Outcome3.IGNORED),
        (ApiHttpError(404), Outcome3.IGNORED),
        (ApiRateLimitError(429), Outcome3.IGNORED),
        (ApiRateLimitError(retry_after=1.0), Outcome3.IGNORED),
        (RateLimitExceededError(), Outcome3.IGNORED),
        (BulkheadFullError(), Outcome3.IGNORED),
        (ApiValidationError(), Outcome3.IGNORED),
        (ApiResponseTooLargeError(10), Outcome3.IGNORED),
        (KeyError("a parser's own mistake"), Outcome3.IGNORED),
    ],
    ids=repr,
)
def test_what_counts_against_a_service(result: Any, outcome: Outcome3) -> None:
    assert classify(result) is outcome
