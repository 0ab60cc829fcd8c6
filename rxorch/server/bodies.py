"""Reading what clients send: one JSON value, or lines of them, within limits."""

from __future__ import annotations

import asyncio
import math
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import from_json

from rxorch.errors import ApiValidationError
from rxorch.server.contracts import ANYTHING, Contract
from rxorch.server.problems import Problem
from rxorch.server.settings import ServerLimits
from rxorch.sources import BadInput
from rxorch_operators._seconds import seconds_words

__all__ = ["InputLines", "json_of", "query_of"]

_BROKEN: Final = (web.RequestPayloadError, ClientPayloadError, HttpProcessingError, zlib.error)
_MAYBE_INFINITE: Final = re.compile(rb"[eE]\+?\d\d|\d{300}")


async def json_of(request: web.Request, limits: ServerLimits, contract: Contract = ANYTHING) -> Any:
    """The input that is the body.

    Raises:
        Problem: There is none, or not within the limits, or it does not fit the contract.
    """
    _check_type(request, "application/json")
    if request.content_length is not None and request.content_length > limits.body_bytes:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for piece in request.content.iter_any():  # decompressed a piece at a time
                body += piece
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
        if not body:
            body += await request.read()  # what a middleware of the user's has read before
    except TimeoutError:
        raise Problem(
            408,
            f"the body did not arrive within {seconds_words(limits.body_seconds, exact=True)}",
            close=True,
        ) from None
    except _BROKEN:
        raise Problem(400, "the body is cut or wrongly encoded", close=True) from None
    text = bytes(body)
    try:
        value = _parsed(text)
    except ValueError:
        raise Problem(400, "the body is not valid JSON") from None
    try:
        return contract.of_json(text, value)
    except ApiValidationError as error:
        raise _unfit(error) from None


def query_of(request: web.Request, contract: Contract = ANYTHING) -> Any:
    """The query parameters as an input: texts, and lists of texts where a name comes several times.

    Raises:
        Problem: They do not fit the contract.
    """
    given = request.query
    try:
        return contract.of_query({name: given.getall(name) for name in given})
    except ApiValidationError as error:
        raise _unfit(error) from None


class InputLines:
    """The inputs of an NDJSON body, read as they are asked for. Bad lines are `BadInput`s.

    Args:
        request: Its body is read.
        limits: For each line, and for the silence of the client.
        contract: Of the flow that gets them.

    Attributes:
        ended: Whether the body was read to its end.
    """

    def __init__(self, request: web.Request, limits: ServerLimits, contract: Contract = ANYTHING) -> None:
        _check_type(request, "application/x-ndjson")
        self._contract = contract
        self._content = request.content
        self._limits = limits
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The inputs.

        Raises:
            Problem: The client is silent for too long, or the body is broken.
        """
        line, buffer, oversized = 0, bytearray(), False
        while piece := await self._piece():
            first, *others = piece.split(b"\n")
            buffer += first
            for start in others:
                line += 1
                if oversized or buffer.strip():
                    yield self._input(buffer, line, oversized=oversized)
                buffer, oversized = bytearray(start), False
            if len(buffer) > self._limits.body_bytes:
                buffer, oversized = bytearray(), True
        if oversized or buffer.strip():
            yield self._input(buffer, line + 1, oversized=oversized)
        self.ended = True

    async def _piece(self) -> bytes:
        seconds = self._limits.idle_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._content.readany()
        except TimeoutError:
            raise Problem(
                408, f"the client sent nothing for {seconds_words(seconds, exact=True)}", close=True
            ) from None
        except _BROKEN:
            raise Problem(400, "the body is cut or wrongly encoded", close=True) from None

    def _input(self, text: bytearray, line: int, *, oversized: bool) -> Any:
        if oversized or len(text) > self._limits.body_bytes:
            reason = f"longer than {self._limits.body_bytes} bytes"
        else:
            data = bytes(text)
            try:
                value = _parsed(data)
            except ValueError:
                reason = "not valid JSON"
            else:
                try:
                    return self._contract.of_json(data, value)
                except ApiValidationError as error:
                    return BadInput("request", line, error)
        return BadInput("request", line, ApiValidationError(f"line {line} is {reason}"))


def _parsed(text: bytes) -> Any:
    value = from_json(text, allow_inf_nan=False)
    if _MAYBE_INFINITE.search(text) is not None and not _is_finite(value):  # 1e999
        raise ValueError
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


def _check_type(request: web.Request, wanted: str) -> None:
    if request.content_type != wanted or (request.charset or "utf-8").lower() != "utf-8":
        raise Problem(415, f"send the input as {wanted}", headers={"Accept-Post": wanted}, close=True)


def _unfit(error: ApiValidationError) -> Problem:
    return Problem(422, "the input does not fit this flow", more={"errors": error.errors})


def _too_large(limits: ServerLimits) -> Problem:
    return Problem(413, f"the body is larger than {limits.body_bytes} bytes", close=True)
