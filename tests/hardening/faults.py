"""The faults, and what has to come of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from pydantic import BaseModel

from rxorch.errors import (
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiRateLimitError,
    ApiResponseTooLargeError,
    ApiTimeoutError,
    ApiValidationError,
)
from tests.hardening.shop import HERE, HOLE, NOBODY, NOWHERE
from tests.http.raw import Peer, ok
from tests.http.test_decoding import bomb
from tests.http.test_faults import CHUNKED, GZIP, LENGTH_10, NO_LENGTH, OK, ZIPPED, Talk, saying

__all__ = ["BRIEF", "FAULTS", "GOOD", "JSON", "MOST_BYTES", "Fault", "Item", "lost"]

MOST_BYTES = 100_000
BRIEF = 0.3
"""Seconds that an attempt may take when the server is slow on purpose; a good answer comes far sooner."""
JSON = "Content-Type: application/json"
CLOSE = "Connection: close"
"""Or a client may be quick enough to send the next request before the server ends the connection."""
NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Item(BaseModel):
    id: int


def answer(status: int, *lines: str) -> Talk:
    head = ok(b"{}", JSON, CLOSE, *lines).replace(b"200 OK", f"{status} X".encode())
    return saying(head)


def later(**delta: float) -> tuple[str, str]:
    return f"Date: {http_date(NOW)}", f"Retry-After: {http_date(NOW + timedelta(**delta))}"


def http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def dripping(start: bytes, drop: bytes) -> Talk:
    """A server that always has one more drop, so that no limit on silence would ever fire."""

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        while True:
            await asyncio.sleep(0.01)
            await peer.send(drop)

    return talk


async def endless(peer: Peer) -> None:
    await peer.request()
    await peer.send(NO_LENGTH)
    while True:
        await peer.send(bytes(65536))


GOOD = saying(ok(b'{"id": 7}', JSON, CLOSE))


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and what has to come of it.

    Attributes:
        cured: the methods that a retry is made for.
        unanswered: whether nobody knows if the server acted on the request.
        unsure: transports that cannot tell at once that nothing left, and never for a request without a body.
    """

    talk: Talk
    error: type[ApiError]
    cured: tuple[str, ...] = ()
    unanswered: bool = False
    lookups: tuple[str, ...] = (HERE,)
    timeout: float = 20.0
    facts: tuple[tuple[str, Any], ...] = ()
    unsure: tuple[str, ...] = ()

    def on(self, kind: str) -> Fault:
        """The same fault, met by this transport."""
        if kind not in self.unsure:
            return self
        return replace(self, cured=("GET",), unanswered=True)

    @property
    def counts(self) -> bool:
        """Whether it says something about the health of the service."""
        status = dict(self.facts).get("status_code") or 0
        return self.unanswered or not self.sent or status >= 500 or status == 408

    @property
    def sent(self) -> bool:
        return self.lookups == (HERE,)

    def status(self, method: str) -> str:
        return "unknown" if self.unanswered and method == "POST" else "failed"


def lost(talk: Talk, error: type[ApiError] = ApiNetworkError) -> Fault:
    """No whole answer came: safe to ask again for a GET, and a POST may have happened."""
    return Fault(talk, error, cured=("GET",), unanswered=True, facts=(("sent", True),))


def unreachable(lookup: str) -> Fault:
    return Fault(GOOD, ApiNetworkError, cured=("GET", "POST"), lookups=(lookup,), facts=(("sent", False),))


def slow(talk: Talk) -> Fault:
    fault = lost(talk, ApiTimeoutError)
    return replace(fault, timeout=BRIEF, facts=(("kind", "attempt"), ("limit", BRIEF)))


def refused(status: int, *lines: str, cured: tuple[str, ...] = (), retry_after: float | None = None) -> Fault:
    kind = ApiRateLimitError if status == 429 else ApiHttpError
    facts = (("status_code", status), ("retry_after", retry_after))
    return Fault(answer(status, *lines), kind, cured=cured, facts=facts)


def unusable(body: bytes, *lines: str) -> Fault:
    return Fault(saying(ok(body, CLOSE, *lines)), ApiValidationError)


FAULTS: Mapping[str, Fault] = {
    "connection refused": unreachable(NOWHERE),
    "unknown host": unreachable(NOBODY),
    "blackhole": replace(
        unreachable(HOLE),
        error=ApiTimeoutError,
        timeout=BRIEF,
        facts=(("kind", "attempt"), ("limit", BRIEF)),
        unsure=("pyreqwest",),  # it goes on by itself when nobody waits any more
    ),
    "RST instead of an answer": lost(saying(end="reset")),
    "FIN instead of an answer": lost(saying()),
    "RST in the body": lost(saying(LENGTH_10, b"abc", end="reset")),
    "truncated length": lost(saying(LENGTH_10 + b"abc")),
    "truncated chunks": lost(saying(CHUNKED, b"5\r\nhe")),
    "truncated gzip": lost(saying(ok(ZIPPED[:-5], GZIP, CLOSE)), ApiProtocolError),
    "not HTTP": lost(saying(b"SSH-2.0-OpenSSH_9.6\r\n", end="wait"), ApiProtocolError),
    "head drips": slow(dripping(OK, b"A: b\r\n")),
    "body drips": slow(dripping(CHUNKED, b"1\r\nx\r\n")),
    "endless body": Fault(endless, ApiResponseTooLargeError, facts=(("limit", MOST_BYTES),)),
    "gzip bomb": Fault(saying(ok(bomb(16), GZIP, CLOSE)), ApiResponseTooLargeError),
    "404": refused(404),
    "408": refused(408, cured=("GET",)),
    "429": refused(429, cured=("GET", "POST")),
    "500": refused(500, cured=("GET",)),
    "501": refused(501),
    "502": refused(502, cured=("GET",)),
    "503": refused(503, cured=("GET", "POST")),
    "504": refused(504, cured=("GET",)),
    "Retry-After: 0": refused(503, "Retry-After: 0", cured=("GET", "POST"), retry_after=0.0),
    "Retry-After: huge": refused(503, "Retry-After: 999999999", retry_after=999999999.0),
    "Retry-After: negative": refused(429, "Retry-After: -5", cured=("GET", "POST")),
    "Retry-After: nonsense": refused(429, "Retry-After: soon", cured=("GET", "POST")),
    "Retry-After: a date to come": refused(503, *later(hours=1), retry_after=3600.0),
    "Retry-After: a date gone by": refused(429, *later(hours=-1), cured=("GET", "POST"), retry_after=0.0),
    "redirect": refused(302, "Location: http://shop.test/elsewhere"),
    "wrong content type": unusable(b'{"id": 7}', "Content-Type: text/html"),
    "no body": unusable(b"", JSON),
    "bad JSON": unusable(b'{"id": 7', JSON),
    "NaN": unusable(b'{"id": NaN}', JSON),
    "deep JSON": unusable(b"[" * 50_000 + b"]" * 50_000, JSON),
    "wrong schema": unusable(b'{"id": "seven"}', JSON),
}
