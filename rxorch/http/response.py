"""What a transport brings back: a buffered answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aiohttp.hdrs import CONTENT_TYPE
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic_core import from_json
from yarl import URL

from rxorch.errors import ApiValidationError
from rxorch.http.redaction import redact_url

__all__ = ["AnswerHead", "Response", "default_parse"]

_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_UTF8_BOM = b"\xef\xbb\xbf"


class AnswerHead:
    """What every answer has before its body: the status and the headers.

    Attributes:
        status: the HTTP status.
        reason: the text beside it, often empty.
        headers: case-insensitive; ``headers.getall(name)`` for repeated ones.
    """

    __slots__ = ("_url", "headers", "reason", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] | CIMultiDictProxy[str] | None,
        reason: str,
        url: URL | str,
    ) -> None:
        self.status = status
        if not isinstance(headers, CIMultiDictProxy):
            headers = CIMultiDictProxy(CIMultiDict(headers or {}))
        self.headers: CIMultiDictProxy[str] = headers
        self.reason = reason
        self._url = url

    @property
    def url(self) -> str:
        """The url that was called, as sent."""
        return str(self._url)

    @property
    def ok(self) -> bool:
        """True for a status from 200 to 299. A redirect is not: it is not followed."""
        return 200 <= self.status < 300


class Response(AnswerHead):
    """One HTTP answer, its body read in full. Everything on it is synchronous.

    Attributes:
        status: the HTTP status.
        reason: the text beside it, often empty.
        headers: case-insensitive; ``headers.getall(name)`` for repeated ones.
        content: the body's bytes, after decompression.

    Example:
        >>> response = Response(200, b'{"id": 7}', {"Content-Type": "application/json"})
        >>> response.ok, response.json(), response.headers["content-type"]
        (True, {'id': 7}, 'application/json')
    """

    __slots__ = ("content",)

    def __init__(
        self,
        status: int,
        content: bytes = b"",
        headers: Mapping[str, str] | CIMultiDictProxy[str] | None = None,
        *,
        reason: str = "",
        url: URL | str = "",
    ) -> None:
        super().__init__(status, headers, reason, url)
        self.content = content

    @property
    def text(self) -> str:
        """The body as text: in the declared charset, else UTF-8; what cannot be decoded becomes U+FFFD."""
        _, charset = _media_type(self.headers.get(CONTENT_TYPE, ""))
        try:
            return self.content.decode(charset or "utf-8", "replace")
        except (LookupError, ValueError):  # unknown to Python, or no charset at all ("zip", "idna")
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as a JSON value. Integers of any size are exact.

        Raises:
            ApiValidationError: empty body, invalid JSON, NaN or Infinity, text that is not in its charset, or
                nesting deeper than the parser goes (about 200).
        """
        content = self.content
        try:
            return from_json(content, allow_inf_nan=False)
        except ValueError as error:
            first = error
        # The rare cases cost nothing on the way above: a byte order mark, and a charset other than UTF-8.
        _, charset = _media_type(self.headers.get(CONTENT_TYPE, ""))
        if content.startswith(_UTF8_BOM):
            content = content[len(_UTF8_BOM) :]
        elif charset not in _UTF8:
            content = _recode(content, charset)
        elif not content.strip():
            raise _json_error("the body is empty", "json_empty")
        else:
            raise _json_error(str(first), "json_invalid") from None
        try:
            return from_json(content, allow_inf_nan=False)
        except ValueError as error:
            raise _json_error(str(error), "json_invalid") from None

    def __repr__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        return f"<Response {self.status}{reason}, {len(self.content)} bytes, {redact_url(self._url)}>"


def default_parse(response: Response) -> Any:
    """Give the body as its content type says: a JSON value, a ``str`` for ``text/*``, else ``bytes``.

    An empty body, and the statuses 204, 205 and 304, give None.

    Raises:
        ApiValidationError: it says it is JSON, and is not.
    """
    if not response.content or response.status in (204, 205, 304):
        return None
    kind, _ = _media_type(response.headers.get(CONTENT_TYPE, ""))
    if kind == "json":
        return response.json()
    return response.text if kind == "text" else response.content


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> tuple[str, str]:
    """Split a Content-Type into what it means to us ("json", "text" or "bytes") and its charset."""
    media, *parameters = content_type.lower().split(";")
    charset = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            charset = value.strip().strip("\"'")
    main, _, sub = media.strip().partition("/")
    if sub == "json" or sub.endswith("+json"):
        return "json", charset
    return ("text" if main == "text" else "bytes"), charset


def _recode(content: bytes, charset: str) -> bytes:
    try:
        return content.decode(charset).encode()
    except UnicodeError:
        raise _json_error(f"the body is not {charset} text", "json_charset") from None
    except (LookupError, ValueError):  # what Python does not know is not quoted: it is the server's text
        raise _json_error("the body has an unknown charset", "json_charset") from None


def _json_error(reason: str, kind: str) -> ApiValidationError:
    message = f"the answer is not valid JSON: {reason}"
    return ApiValidationError(message, errors=[{"loc": (), "msg": reason, "type": kind}])
