"""Decoders of streamed bodies: lines, NDJSON and server-sent events, however the bytes are cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.errors import ApiConfigurationError, ApiResponseTooLargeError, ApiValidationError
from rxorch.http.elements import (
    Decoder,
    EventDecoder,
    LineDecoder,
    NdjsonDecoder,
    ServerSentEvent,
    decoder_of,
    elements,
)


def decoded(decoder: Decoder, *pieces: bytes) -> list[Any]:
    return [each for piece in pieces for each in decoder.feed(piece)] + decoder.end()


def event(data: str, **fields: Any) -> ServerSentEvent:
    return ServerSentEvent(data, **fields)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\n", ["a\rb"]),
        (b"\n\n", ["", ""]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", ["a", "\ufeffb"]),
        ("ä\n€".encode(), ["ä", "€"]),
        (b"\xff\n", ["\ufffd"]),
    ],
)
def test_lines(body: bytes, lines: list[str]) -> None:
    assert decoded(LineDecoder(), body) == lines


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"", []),
        (b"\n \r\n", []),
        (b"1\n2\n", [1, 2]),
        (b'{"a": [1]}\r\nnull\n"x"', [{"a": [1]}, None, "x"]),
        (b"\xef\xbb\xbf1\n", [1]),
        (b"123456789012345678901234567890\n", [123456789012345678901234567890]),
    ],
)
def test_ndjson(body: bytes, values: list[Any]) -> None:
    assert decoded(NdjsonDecoder(), body) == values


@pytest.mark.parametrize("line", [b"{", b"\x0b", b"NaN", b"s3cret", b"1 2", b"\xff"])
def test_a_line_that_is_no_json_is_named_and_not_quoted(line: bytes) -> None:
    decoder = NdjsonDecoder()
    assert decoder.feed(b"1\n\n2\n") == [1, 2]
    with pytest.raises(ApiValidationError, match="line 4 is not valid JSON") as caught:
        decoder.feed(line + b"\n")
    assert "s3cret" not in str(caught.value) and caught.value.errors[0]["loc"] == (4,)
    with pytest.raises(ApiValidationError, match="line 1 "):
        decoded(NdjsonDecoder(), line)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"", []),
        (b"data: a\n\n", [event("a")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"data:a\ndata: b\ndata:  c\n\n", [event("a\nb\n c")]),
        (b"data\n\n", [event("")]),
        (b"data\ndata\n\n", [event("\n")]),
        (b"event: add\ndata: 1\n\ndata: 2\n\n", [event("1", event="add"), event("2")]),
        (b"event: add\n\ndata: 2\n\n", [event("2")]),
        (b"id: 1\ndata: a\n\ndata: b\n\n", [event("a", id="1"), event("b", id="1")]),
        (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [event("a", id="1"), event("b")]),
        (b"id: 1\n\ndata: b\n\n", [event("b", id="1")]),
        (b"id: 1\nid: 2\0\ndata: b\n\n", [event("b", id="1")]),
        (b"retry: 5000\ndata: a\n\n", [event("a", retry=5000)]),
        (b"retry: 5000\n\ndata: a\n\ndata: b\n\n", [event("a", retry=5000), event("b")]),
        (b"retry: -5\nretry: 1x\nretry:\ndata: a\n\n", [event("a")]),
        (": c\n:\ndata: ä\n\n".encode(), [event("ä")]),
        (b"unknown: x\nDATA: x\n data: x\ndata: a\n\n", [event("a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [event("a")]),
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [event("a"), event("b"), event("c")]),
        (b"data: a: b\n\n", [event("a: b")]),
        (b"data: \xff\n\n", [event("\ufffd")]),
    ],
)
def test_server_sent_events(body: bytes, events: list[ServerSentEvent]) -> None:
    """HTML standard, sections 9.2.5 and 9.2.6."""
    assert decoded(EventDecoder(), body) == events


def test_the_data_of_an_event_may_be_json() -> None:
    assert event('{"a": 1}').json() == {"a": 1}
    with pytest.raises(ApiValidationError, match="not valid JSON") as caught:
        event("s3cret").json()
    assert "s3cret" not in str(caught.value)


BODIES = st.lists(
    st.sampled_from(
        [b"data: a", b"data:", b"id: 7", b": c", b"1", b'{"a":"\xc3\xa4"}', b"", b"\n", b"\r", b"\r\n"]
    ),
    max_size=20,
).map(b"".join)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("make", [LineDecoder, EventDecoder])
@given(body=BODIES, places=st.lists(st.integers(0, 1000), max_size=12))
def test_how_the_bytes_are_cut_makes_no_difference(
    make: Callable[[], Decoder], body: bytes, places: list[int]
) -> None:
    assert decoded(make(), *cut(body, places)) == decoded(make(), body)


@given(
    values=st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), max_size=8),
    places=st.lists(st.integers(0, 1000), max_size=12),
)
def test_json_lines_come_back(values: list[Any], places: list[int]) -> None:
    body = "".join(json.dumps(value) + "\n" for value in values).encode()
    assert decoded(NdjsonDecoder(), *cut(body, places)) == values


@pytest.mark.parametrize("kind", ["lines", "ndjson", "sse"])
def test_an_element_has_a_limit_and_is_refused_before_it_is_whole(kind: str) -> None:
    decoder = decoder_of(kind, max_element_bytes=100)
    decoder.feed(b" " * 60)
    with pytest.raises(ApiResponseTooLargeError):
        decoder.feed(b" " * 60)


@pytest.mark.parametrize("line", [b"data: 0123456789\n", b"data\n", "data: äöü€€\n".encode()])
def test_an_event_of_many_lines_has_a_limit_too(line: bytes) -> None:
    """In bytes, and lines without text fill the memory too."""
    decoder = EventDecoder(max_element_bytes=100)
    assert decoder.feed(b"data: " + b"x" * 94 + b"\n\n") != []
    with pytest.raises(ApiResponseTooLargeError, match="event 2 is larger than 100 bytes"):
        decoder.feed(line * (101 // (len(line) - 6) + 1 if len(line) > 6 else 102))


def outcome(decoder: Decoder, *pieces: bytes) -> tuple[list[Any], str]:
    """All elements that come out, and the error behind them."""
    found: list[Any] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.end()
    except (ApiValidationError, ApiResponseTooLargeError) as error:
        return found, str(error)
    return found, ""


FAULTY = st.lists(
    st.sampled_from([b"1\n", b"data: a\n\n", b"{", b"\r", b"\n", b"x" * 30, b"\xff"]), max_size=12
)


@pytest.mark.parametrize("kind", ["lines", "ndjson", "sse"])
@given(body=FAULTY.map(b"".join), places=st.lists(st.integers(0, 1000), max_size=12))
def test_nor_does_it_where_something_is_wrong(kind: str, body: bytes, places: list[int]) -> None:
    """What stands before the fault comes out, though it may have come in one piece with it."""
    assert outcome(decoder_of(kind, 40), *cut(body, places)) == outcome(decoder_of(kind, 40), body)


async def test_what_is_wrong_is_told_at_once_and_behind_what_is_right() -> None:
    """Not only when another piece comes: a quiet stream may send none for hours."""
    found: list[Any] = []

    async def pieces() -> Any:
        yield b"1\n2\n{\n"
        raise AssertionError("nobody asks for more")

    with pytest.raises(ApiValidationError, match="line 3 "):
        async for each in elements(pieces(), NdjsonDecoder()):
            found.append(each)  # noqa: PERF401 - what came before the error is to be kept
    assert found == [1, 2]


def test_an_empty_piece_does_not_part_a_cr_from_its_lf() -> None:
    assert decoded(EventDecoder(), b"data: a\r", b"", b"\ndata: b\n\n") == [event("a\nb")]
    assert decoder_of("bytes").feed(b"") == []


def test_time_is_linear() -> None:
    """A line in a million pieces: each is touched once, not once for each that follows."""
    decoder = LineDecoder(max_element_bytes=2_000_000)
    for _ in range(1_000_000):
        decoder.feed(b"x")
    assert len(decoder.feed(b"\n")[0]) == 1_000_000


def test_another_kind_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="a stream is"):
        decoder_of("xml")


async def test_elements_of_pieces() -> None:
    async def pieces() -> Any:
        for piece in (b"1\n2", b"3\n", b"4"):
            yield piece

    assert [each async for each in elements(pieces(), NdjsonDecoder())] == [1, 23, 4]
    assert [each async for each in elements(pieces(), decoder_of("bytes"))] == [b"1\n2", b"3\n", b"4"]
