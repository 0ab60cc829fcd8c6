"""Content codings undone piece by piece: the same as undone whole, wherever the body was cut."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.errors import ApiError, ApiProtocolError, ApiResponseTooLargeError
from rxorch.http.decoding import BodyDecoder, decode_body
from tests.http.test_decoding import TEXT, bomb, gzipped, raw_deflate

CODINGS = {"gzip": gzipped, "deflate": zlib.compress, "identity": bytes}


def decoded(pieces: Iterable[bytes], coding: str, limit: int | None = None) -> bytes:
    decoder = BodyDecoder(coding, limit)
    parts = [part for piece in pieces for part in decoder.feed(piece)]
    decoder.finish()
    return b"".join(parts)


def one_by_one(body: bytes) -> list[bytes]:
    return [body[n : n + 1] for n in range(len(body))]


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, ""),
        (gzipped(TEXT), " GZip "),
        (gzipped(TEXT[:7]) + gzipped(b"") + gzipped(TEXT[7:]), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
    ],
)
def test_a_body_that_comes_byte_by_byte(body: bytes, coding: str) -> None:
    assert decoded(one_by_one(body), coding, limit=len(TEXT)) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity"])
def test_nothing_stays_nothing(coding: str) -> None:
    assert decoded([], coding, limit=0) == b""


@given(
    st.binary(max_size=300),
    st.sampled_from(sorted(CODINGS)),
    st.lists(st.integers(0, 400)),
    st.integers(0, 400),
)
def test_cuts_change_nothing(content: bytes, coding: str, cuts: list[int], limit: int) -> None:
    body = CODINGS[coding](content)
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]

    def outcome(decode: object) -> object:
        try:
            return decode()  # type: ignore[operator]
        except ApiError as error:
            return type(error)

    assert outcome(lambda: decoded(pieces, coding, limit)) == outcome(
        lambda: decode_body(body, coding, limit)
    )


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (gzipped(TEXT)[:-1], "gzip", "cut short"),
        (zlib.compress(TEXT)[:-1], "deflate", "cut short"),
        (b"x", "deflate", "cut short"),
        (gzipped(TEXT) + b"junk", "gzip", "damaged"),
        (zlib.compress(TEXT) + b"x", "deflate", "something follows"),
        (gzipped(b"") * 20_000, "gzip", "something follows"),
        (TEXT, "br", "'br' is not supported"),
    ],
)
def test_broken_data_is_a_protocol_error(body: bytes, coding: str, reason: str) -> None:
    with pytest.raises(ApiProtocolError, match=reason):
        decoded([body[:40], body[40:]], coding)


def test_the_limit_is_exact() -> None:
    pieces = one_by_one(gzipped(TEXT))
    assert decoded(pieces, "gzip", limit=len(TEXT)) == TEXT
    with pytest.raises(ApiResponseTooLargeError) as caught:
        decoded(pieces, "gzip", limit=len(TEXT) - 1)
    assert caught.value.limit == len(TEXT) - 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_without_a_limit_opens_in_parts(coding: str) -> None:
    body = bomb(100) if coding == "gzip" else zlib.compress(bytes(100 * 1024 * 1024))
    decoder = BodyDecoder(coding, None)
    total = 0
    tracemalloc.start()
    try:
        for part in decoder.feed(body):
            total += len(part)
            assert len(part) <= 256 * 1024
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total >= 100 * 1024 * 1024
    assert peak < 2_000_000


def test_a_bomb_is_not_inflated_beyond_the_limit() -> None:
    decoder = BodyDecoder("gzip", 1_000_000)
    opened = 0
    with pytest.raises(ApiResponseTooLargeError):
        for part in decoder.feed(bomb(2048)):
            opened += len(part)
    assert opened <= 1_000_000
