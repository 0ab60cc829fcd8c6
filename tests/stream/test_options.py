"""Settings of a stream that cannot work are refused when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import ApiConfigurationError
from tests.support.fake_transport import FakeTransport
from tests.support.streams import streaming


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_concurrent": 0}, "max_concurrent: give a whole number, 1 or more"),
        ({"max_concurrent": True}, "max_concurrent: give a whole number"),
        ({"max_concurrent": 2.0}, "max_concurrent: give a whole number"),
        ({"ordered": "keys"}, "ordered: give True, False or 'key'"),
        ({"ordered": 1}, "ordered: give True, False or 'key'"),
        ({"ordered": "key"}, "give key=, a function of the input, too"),
        ({"key": "id"}, "key: give a function of the input"),
        ({"on_error": "raise"}, "on_error: give one of 'as_result', 'fail_fast', 'delay'"),
        ({"tolerated_failures": -1}, "tolerated_failures: give a whole number of failures, or a fraction"),
        ({"tolerated_failures": 1.5}, "tolerated_failures"),
        ({"tolerated_failures": True}, "tolerated_failures"),
        ({"tolerated_failures": float("nan")}, "tolerated_failures"),
        ({"batch": 0}, "batch: give a number of inputs"),
        ({"batch": 1.5}, "batch: give a number of inputs"),
        ({"batch": (10, 0)}, "batch: give a number of inputs, or a pair"),
        ({"batch": (10, float("inf"))}, "batch: give"),
        ({"batch": (1, 2, 3)}, "batch: give"),
        ({"batch": (10, 1.0), "ledger": "x.sqlite"}, "batches by time differ from run to run"),
        ({"resume": True}, "resume: it needs a ledger"),
    ],
)
def test_what_cannot_work_is_refused_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiConfigurationError) as refusal:
        streaming(FakeTransport()).stream([], **fields)
    assert message in str(refusal.value)


@pytest.mark.parametrize("cap", [0, -1, 2.5, True, None])
def test_a_cap_is_checked_when_it_is_set_too(cap: Any) -> None:
    stream = streaming(FakeTransport()).stream([], max_concurrent=3)
    with pytest.raises(ApiConfigurationError, match="max_concurrent"):
        stream.max_concurrent = cap
    assert stream.max_concurrent == 3
