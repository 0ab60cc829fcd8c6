"""Origins: urls that are the same place, and urls that only look like it."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from rxorch.errors import ApiConfigurationError
from rxorch.http.origins import is_loopback, origin_of, origins_from, same_origin

HOME = "https://api.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/users?x=1#top",
        "https://API.Example.COM/",
        "HTTPS://api.example.com/",
        "https://api.example.com:443/",
        "https://api.example.com./",
        "https://me:pw@api.example.com/",  # user info names nobody's host
    ],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_the_same_place(url: str, encoded: bool) -> None:
    assert origin_of(URL(url, encoded=encoded)) in origins_from(HOME)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "http://api.example.com:443/",
        "https://api.example.com:444/",
        "https://api.example.com:0/",
        "https://api.example.com@evil.test/",
        "https://api.example.com:443@evil.test/",
        "https://evil.test/api.example.com",
        "https://evil.test#@api.example.com/",
        "https://evil.test?@api.example.com/",
        "https://api.example.com.evil.test/",
        "https://notapi.example.com/",
        "https://example.com/",
        "https://api.example.com../",
        "https://api%2eexample.com/",
        "//api.example.com/",
        "/users",
        "ftp://api.example.com/",
    ],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_another_place(url: str, encoded: bool) -> None:
    assert origin_of(URL(url, encoded=encoded)) not in origins_from(HOME)


def test_international_names_are_compared_as_they_are_sent() -> None:
    home = origins_from("https://münchen.example/")
    assert origin_of(URL("https://xn--mnchen-3ya.example/x", encoded=True)) in home
    assert origin_of(URL("https://MÜNCHEN.example/")) in home
    # Such a request is never sent; and a letter that looks like another is another.
    assert origin_of(URL("https://münchen.example/", encoded=True)) not in home
    assert origin_of(URL("https://аpi.example.com/")) not in origins_from(HOME)  # noqa: RUF001 - it is Cyrillic


def test_a_dot_after_a_single_label_is_another_name() -> None:
    assert not same_origin(URL("http://intranet./"), URL("http://intranet/"))
    assert same_origin(URL("http://intranet.test./"), URL("http://intranet.test/"))


def test_addresses_are_compared_by_what_they_mean() -> None:
    home = origins_from("http://[::1]:8080")
    assert origin_of(URL("http://[0:0:0:0:0:0:0:1]:8080/", encoded=True)) in home
    assert origin_of(URL("http://[::2]:8080/")) not in home
    assert origin_of(URL("http://127.1/")) not in origins_from("http://127.0.0.1")


@pytest.mark.parametrize(
    "given",
    [
        "",
        [],
        "api.example.com",
        "/users",
        "ftp://a.test",
        "https://",
        None,
        7,
        [None],
        "https://a.test:99999",
    ],
)
def test_what_is_no_origin(given: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="origins: give"):
        origins_from(given)


def test_user_info_is_refused_and_not_quoted() -> None:
    with pytest.raises(ApiConfigurationError, match="no user info") as caught:
        origins_from(["https://me:s3cret@a.test"])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("http://localhost:1/", True),
        ("http://LOCALHOST/", True),
        ("http://127.8.9.1/", True),
        ("http://[::1]/", True),
        ("http://localhost.evil.test/", False),
        ("http://127.0.0.1.evil.test/", False),
        ("http://localhost@evil.test/", False),
        ("http://10.0.0.1/", False),
        ("/x", False),
    ],
)
def test_loopback(url: str, is_it: bool) -> None:
    assert is_loopback(URL(url)) is is_it
