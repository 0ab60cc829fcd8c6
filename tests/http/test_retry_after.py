"""What servers say about when to come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.http import Response, retry_hint
from rxorch.http.retry_after import parse_rate_limit_reset, parse_retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("86400000", 86_400_000.0),
        ("999999999999999", 999_999_999_999_999.0),
        ("9" * 400, None),
        ("-1", None),
        ("+5", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("\u0667", None),
        ("soon", None),
        ("", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tuesday, 14-Nov-23 22:13:30 GMT", 10.0),
        ("Tue Nov 14 22:13:30 2023", 10.0),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 21:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Tue, 14 Nov 99999 22:13:30 GMT", None),
        ("Tue, 99 Nov 2023 22:13:30 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after({"Retry-After": value}, NOW) == seconds


def test_a_date_is_measured_against_the_servers_own_clock() -> None:
    headers = {"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT", "Date": "Tue, 14 Nov 2023 22:13:25 GMT"}
    for wrong_clock in (0.0, NOW, 4e9):
        assert parse_retry_after(headers, wrong_clock) == 5.0


def test_without_a_date_the_local_clock_serves() -> None:
    headers = {"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT", "Date": "yesterday"}
    assert parse_retry_after(headers, NOW) == 10.0


@pytest.mark.parametrize("name", ["RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("1700000030", 30.0),
        ("1700000030000", 30.0),
        ("1699999999", 0.0),
        ("-5", None),
        ("x", None),
    ],
)
def test_rate_limit_reset(name: str, value: str, seconds: float | None) -> None:
    assert parse_rate_limit_reset({name: value}, NOW) == seconds


def test_a_reset_as_a_point_in_time_is_measured_against_the_servers_own_clock() -> None:
    headers = {"X-RateLimit-Reset": "1700000030", "Date": "Tue, 14 Nov 2023 22:13:25 GMT"}
    assert parse_rate_limit_reset(headers, now=0.0) == 25.0


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, {"Retry-After": "7"}, 7.0),
        (429, {"Retry-After": "7", "RateLimit-Reset": "99"}, 7.0),
        (429, {"Retry-After": "soon", "RateLimit-Reset": "99"}, 99.0),
        (429, {"X-RateLimit-Reset": "30"}, 30.0),
        (429, {"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "0"}, 30.0),
        (403, {"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "0"}, 30.0),
        (429, {"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "12"}, None),
        (500, {"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "12"}, None),
        (500, {"X-RateLimit-Reset": "30"}, None),
        (429, {}, None),
    ],
)
def test_the_hint_of_an_answer(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert retry_hint(status, headers, NOW) == seconds
    lower = {name.lower(): value for name, value in headers.items()}
    assert retry_hint(status, Response(status, headers=lower).headers, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_nonsense_never_fails_and_never_gives_a_negative_wait(after: str, date: str) -> None:
    headers = {"Retry-After": after, "Date": date, "RateLimit-Reset": after, "RateLimit-Remaining": "0"}
    wait = retry_hint(429, headers, NOW)
    assert wait is None or 0 <= wait < float("inf")
