"""What of urls and headers may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from rxorch.http import redact_headers, redact_url

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example.com/users/7?page=2", "https://api.example.com/users/7?page=2"),
        ("https://me:hunter2@api.example.com/", "https://***@api.example.com/"),
        ("https://hunter2@api.example.com:8443/x", "https://***@api.example.com:8443/x"),
        ("https://h/?api_key=k&apikey=k&API-Key=k", "https://h/?api_key=***&apikey=***&API-Key=***"),
        ("https://h/?access_token=a&refresh_token=b", "https://h/?access_token=***&refresh_token=***"),
        ("https://h/?password=p&pwd=p&client_secret=s", "https://h/?password=***&pwd=***&client_secret=***"),
        ("https://h/?X-Amz-Signature=s&sig=s&key=k", "https://h/?X-Amz-Signature=***&sig=***&key=***"),
        ("https://h/?code=c&state=open&q=keyboard", "https://h/?code=***&state=open&q=keyboard"),
        ("https://h/?to%6ben=hunter2", "https://h/?to%6ben=***"),
        (f"https://h/?next={JWT}", "https://h/?next=***"),
        ("https://h/?x=aB3dE6gH9jK2mN5pQ8sT1vW4", "https://h/?x=***"),
        ("https://h/?hunter2hunter2hunter2hunter2", "https://h/?***"),
        (
            "https://h/?id=123e4567-e89b-12d3-a456-426614174000",
            "https://h/?id=123e4567-e89b-12d3-a456-426614174000",
        ),
        (f"https://h/reset/{JWT}/now", "https://h/reset/***/now"),
        ("https://h/bot/sk_live_abcdefgh12345678", "https://h/bot/***"),
        (
            "https://h/users/123e4567-e89b-12d3-a456-426614174000",
            "https://h/users/123e4567-e89b-12d3-a456-426614174000",
        ),
        ("https://h/#access_token=hunter2", "https://h/"),
        ("https://h/?token=", "https://h/?token="),
        ("https://h/a?b", "https://h/a?b"),
        ("/users/7?token=x", "/users/7?token=***"),
        ("", ""),
    ],
)
def test_urls(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_a_url_object() -> None:
    assert redact_url(URL("https://me:pw@h/x?token=a%26b", encoded=True)) == "https://***@h/x?token=***"


@given(st.text(max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    assert isinstance(redact_url(text), str)
    assert isinstance(redact_headers({text: text}), dict)


@given(
    st.sampled_from(["token", "api_key", "password", "X-Auth", "sessionid"]),
    st.from_regex(r"[A-Z]{6,20}", fullmatch=True),
)
def test_a_canary_under_a_telling_name_is_never_shown(name: str, canary: str) -> None:
    for url in (
        f"https://h/x?{name}={canary}",
        f"https://h/x?a=1&{name}={canary}&b=2",
        f"https://{canary}@h/",
        f"https://u:{canary}@h/x?a=1",
        f"https://h/x?a=1#{canary}",
    ):
        assert canary not in redact_url(url)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "PROXY-AUTHORIZATION",
        "Cookie",
        "set-cookie",
        "X-API-Key",
        "api-key",
        "X-Auth-Token",
        "X-Amz-Security-Token",
        "X-Csrf-Token",
        "Ocp-Apim-Subscription-Key",
        "X-Hub-Signature-256",
        "X-Functions-Key",
        "X-Client-Secret",
        "X-Session-Id",
        "Private-Token",
        "X-App-Key",
        "consumer_key",
        "passcode",
        "pass",
        "sas",
    ],
)
def test_secret_headers(name: str) -> None:
    assert redact_headers({name: "hunter2"}) == {name: "***"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Accept", "application/json"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("Idempotency-Key", "run-1:user"),
        ("X-Request-Id", "123e4567-e89b-12d3-a456-426614174000"),
        ("If-None-Match", '"abc"'),
    ],
)
def test_ordinary_headers(name: str, value: str) -> None:
    assert redact_headers({name: value}) == {name: value}


@pytest.mark.parametrize(
    "value", ["Bearer hunter2", "basic aHVudGVyMg==", JWT, f"x {JWT}", "ghp_0123456789abcdefghij"]
)
def test_a_secret_is_known_by_its_value_too(value: str) -> None:
    assert redact_headers({"X-Whatever": value}) == {"X-Whatever": "***"}
