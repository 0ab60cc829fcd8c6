"""Content codings: undone whole, within a limit, or not at all."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.errors import ApiProtocolError, ApiResponseTooLargeError
from rxorch.http.decoding import decode_body

TEXT = b"hello world " * 100


def gzipped(data: bytes) -> bytes:
    """Compressed without the time of day, so that a case has one name in all processes of a run."""
    return gzip.compress(data, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


def bomb(inflated_mib: int) -> bytes:
    """A gzip stream that opens to so many MiB: one compressed MiB of zeros, repeated."""
    deflater = zlib.compressobj(9, wbits=31)
    start = deflater.compress(b"\0") + deflater.flush(zlib.Z_FULL_FLUSH)
    block = deflater.compress(bytes(1024 * 1024)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return start + block * inflated_mib


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzipped(TEXT), "gzip"),
        (gzipped(TEXT), " GZip "),
        (gzipped(TEXT), "x-gzip"),
        (gzipped(TEXT[:7]) + gzipped(b"") + gzipped(TEXT[7:]), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
    ],
)
def test_codings(body: bytes, coding: str) -> None:
    assert decode_body(body, coding, limit=len(TEXT)) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity"])
def test_nothing_stays_nothing(coding: str) -> None:
    assert decode_body(b"", coding, limit=0) == b""


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (gzipped(TEXT)[:-1], "gzip", "cut short"),
        (gzipped(TEXT)[:-9], "gzip", "cut short"),
        (gzipped(TEXT)[:5], "gzip", "cut short"),
        (gzipped(TEXT) + b"\x1f\x8b", "gzip", "cut short"),
        (gzipped(TEXT) + b"junk", "gzip", "damaged"),
        (TEXT, "gzip", "damaged"),
        (gzipped(TEXT)[:-8] + bytes(8), "gzip", "damaged"),
        (zlib.compress(TEXT)[:-1], "deflate", "cut short"),
        (zlib.compress(TEXT) + b"x", "deflate", "something follows"),
        (raw_deflate(TEXT) + b"x", "deflate", "something follows"),
        (b"x", "deflate", "cut short|damaged"),
        (TEXT, "br", "'br' is not supported"),
        (gzipped(TEXT), "gzip, gzip", "not supported"),
    ],
)
def test_broken_data_is_a_protocol_error(body: bytes, coding: str, reason: str) -> None:
    with pytest.raises(ApiProtocolError, match=reason) as caught:
        decode_body(body, coding, limit=10_000)
    assert caught.value.sent


@given(st.binary(max_size=500), st.data())
def test_no_cut_goes_unnoticed(content: bytes, data: st.DataObject) -> None:
    whole = gzipped(content)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ApiProtocolError):
        decode_body(whole[:cut], "gzip", limit=10_000)


def test_the_limit_is_exact() -> None:
    body = gzipped(TEXT)
    assert decode_body(body, "gzip", limit=len(TEXT)) == TEXT
    with pytest.raises(ApiResponseTooLargeError) as caught:
        decode_body(body, "gzip", limit=len(TEXT) - 1)
    assert caught.value.limit == len(TEXT) - 1


def test_the_limit_holds_over_several_members() -> None:
    with pytest.raises(ApiResponseTooLargeError):
        decode_body(gzipped(b"x" * 60) * 2, "gzip", limit=100)


def test_a_bomb_is_not_inflated_beyond_the_limit() -> None:
    body = bomb(2048)
    assert len(body) < 3_000_000
    tracemalloc.start()
    try:
        with pytest.raises(ApiResponseTooLargeError):
            decode_body(body, "gzip", limit=1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_members_without_end_are_refused() -> None:
    with pytest.raises(ApiProtocolError):
        decode_body(gzipped(b"") * 20_000, "gzip", limit=100)
