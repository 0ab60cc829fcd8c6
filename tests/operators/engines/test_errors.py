"""The error tree of the operators: data, texts, pickling, and use as one half of another tree."""

from __future__ import annotations

import copy
import pickle

import pytest

from rxorch_operators.errors import (
    BulkheadFullError,
    CircuitOpenError,
    OperatorError,
    RateLimitExceededError,
    RetryBudgetExhaustedError,
    TimeoutExceededError,
    TimeoutKind,
    invalid,
    is_count,
)

FULL: list[OperatorError] = [
    OperatorError("nothing works"),
    CircuitOpenError(name="payment", retry_after=12.5),
    RateLimitExceededError(name="shop", retry_after=0.25),
    RetryBudgetExhaustedError(name="api.example.com"),
    BulkheadFullError(limit=20, queue=0),
    TimeoutExceededError(limit=2.5, kind="first"),
]
BARE = [type(error) for error in FULL]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_survives_pickling_with_all_it_carries(error, duplicate):
    error.add_note("seen in the night")
    twin = duplicate(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CircuitOpenError(), "circuit is open"),
        (
            CircuitOpenError(name="payment", retry_after=12.5),
            "circuit 'payment' is open; try again in 12.5 s",
        ),
        (RateLimitExceededError(retry_after=0.25), "rate limit is used up; try again in 250 ms"),
        (RetryBudgetExhaustedError(name="shop"), "retry budget 'shop' is spent"),
        (BulkheadFullError(), "bulkhead is full"),
        (BulkheadFullError(limit=2), "bulkhead is full: 2 in flight"),
        (BulkheadFullError(limit=2, queue=0), "bulkhead is full: 2 in flight, 0 waiting"),
        (TimeoutExceededError(), "did not end in time (total)"),
        (TimeoutExceededError(limit=1.5, kind="queue"), "still waiting in a queue within 1.5 s (queue)"),
        (TimeoutExceededError("my own words", limit=1.5), "my own words"),
    ],
)
def test_an_error_reads_as_one_line(error, text):
    assert str(error) == text


@pytest.mark.parametrize("kind", TimeoutKind.__args__)
def test_each_kind_of_timeout_has_a_text(kind):
    assert kind in str(TimeoutExceededError(limit=1.0, kind=kind))


@pytest.mark.parametrize("cls", BARE)
def test_every_error_can_be_made_without_arguments_and_caught_as_an_operator_error(cls):
    with pytest.raises(OperatorError):
        raise cls


def test_a_timeout_is_a_builtin_timeout_too():
    with pytest.raises(TimeoutError):
        raise TimeoutExceededError(limit=1.0)


class _Api(Exception):
    """A tree of its own, as the layer above has one."""

    def __init__(self, message=None, *, endpoint=None, retry_after=None):
        self.endpoint = endpoint
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(message)


class _ApiCircuitOpen(_Api, CircuitOpenError):
    pass


class _ApiTimeout(_Api, TimeoutExceededError):
    pass


def test_an_error_can_belong_to_a_second_tree_without_losing_what_it_was_given():
    error = _ApiCircuitOpen("closed for lunch", endpoint="payment", retry_after=3.0)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.endpoint, twin.retry_after, twin.name) == (
        "closed for lunch",
        "payment",
        3.0,
        None,
    )


def test_the_attributes_of_an_inherited_error_can_be_set_later_and_survive():
    error = _ApiTimeout("too late", endpoint="payment")
    error.limit, error.kind = 2.0, "attempt"
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.limit, twin.kind, twin.endpoint, isinstance(twin, TimeoutError)) == (
        2.0,
        "attempt",
        "payment",
        True,
    )


def test_a_bad_setting_is_named_with_its_value_and_the_fix():
    assert str(invalid("limit", "many", "give 1 or more")) == "limit='many': give 1 or more"


@pytest.mark.parametrize(
    ("value", "least", "counts"),
    [(1, 1, True), (0, 1, False), (0, 0, True), (True, 1, False), (1.0, 1, False), ("1", 1, False)],
)
def test_a_count_is_a_whole_number_and_no_truth_value(value, least, counts):
    assert is_count(value, least) is counts
