"""The body of a request: values to bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from rxorch.endpoint.template import encode_query
from rxorch.errors import ApiValidationError
from rxorch.http.body import StreamedBody

__all__ = ["Body", "encode_body"]

_FORM: Final = "application/x-www-form-urlencoded"
_CANNOT: Final = "rxorch cannot write as JSON: "


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a body, or what makes them, and their media type."""

    content: bytes | StreamedBody
    content_type: str

    def described(self, headers: dict[str, str]) -> dict[str, str]:
        """Return the headers with a content type, unless they have one."""
        if any(name.lower() == "content-type" for name in headers):
            return headers
        return {**headers, "Content-Type": self.content_type}


def encode_body(
    value: Any, content_type: str = "", *, endpoint: str | None = None, as_json: bool = False
) -> Body:
    """Write a value as a body: bytes and text as they are, everything else as JSON.

    Args:
        value: bytes, text, a ``StreamedBody``, or what JSON can hold: mappings, lists, numbers, dates,
            dataclasses, pydantic models (written with their aliases) ...
        content_type: what the endpoint says it is; a mapping under ``application/x-www-form-urlencoded``
            is written as a form.
        endpoint: name for the error.
        as_json: write text and bytes as JSON too.

    Raises:
        ApiValidationError: not to be written as JSON (an unknown type, NaN, infinity, a lone surrogate).

    Example:
        >>> encode_body({"id": 7}).content
        b'{"id":7}'
        >>> encode_body({"grant_type": "password"}, "application/x-www-form-urlencoded").content
        b'grant_type=password'
    """
    if isinstance(value, StreamedBody):
        return Body(value, value.content_type)
    if isinstance(value, Mapping) and content_type.lower().startswith(_FORM):
        return Body(encode_query(value, endpoint=endpoint, label="body").encode(), _FORM)
    if not as_json:
        if isinstance(value, bytes | bytearray | memoryview):
            return Body(bytes(value), "application/octet-stream")
        if isinstance(value, str):
            return Body(_utf8(value, endpoint), "text/plain; charset=utf-8")
    return Body(_json(value, endpoint), "application/json")


def _utf8(text: str, endpoint: str | None) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _refused("has a lone surrogate, which is no character", endpoint) from None


def _json(value: Any, endpoint: str | None) -> bytes:
    fast = _fast_json(value)
    if fast is not None:
        return fast
    try:
        content = to_json(value, fallback=_as_dict)
        if b"NaN" in content or b"Infinity" in content:
            from_json(content, allow_inf_nan=False)  # tells a number from the same letters in a text
    except PydanticSerializationError as error:
        raise _refused(_reason(error), endpoint) from None
    except ValueError:
        raise _refused("has a number that is not finite", endpoint) from None
    except RecursionError:
        raise _refused("is nested too deeply", endpoint) from None
    # pydantic writes the NaN of a model's field as null: only then is it worth looking.
    if b"null" in content and _has_endless(value):
        raise _refused("has a number that is not finite", endpoint)
    return content


@cache
def _orjson_dumps() -> Callable[[Any], bytes] | None:
    """What writes JSON with orjson; None where it is not installed. Loaded at the first body."""
    if find_spec("orjson") is None:
        return None
    orjson = import_module("orjson")
    plain = (
        orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
    )
    return partial(orjson.dumps, option=plain)


def _fast_json(value: Any) -> bytes | None:
    """The JSON text by orjson, where that is installed and writes what pydantic would; else None.

    Answers are not read with it: it makes a float of an integer beyond 64 bits without a word.
    """
    dumps = _orjson_dumps()
    if dumps is None or type(value) not in (dict, list):
        return None
    try:
        content = dumps(value)
    except TypeError:  # a type that it leaves to us, an integer beyond 64 bits, a lone surrogate
        return None
    return None if b"null" in content else content  # None and NaN look the same there


def _as_dict(value: Any) -> Any:
    """Let mappings that are no dict be written like one."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{_CANNOT}{type(value).__name__}")


def _reason(error: PydanticSerializationError) -> str:
    # Of the text only our own part is used: serializers of the user's models may quote values.
    _, found, kind = str(error).partition(_CANNOT)
    return f"has a value of type {kind}" if found else "has a value that JSON cannot hold"


def _has_endless(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, BaseModel):
        return any(map(_has_endless, value.__dict__.values()))
    if isinstance(value, Mapping):
        return any(map(_has_endless, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_has_endless, value))


def _refused(reason: str, endpoint: str | None) -> ApiValidationError:
    fault = {"loc": ("body",), "msg": reason, "type": "unfit_body"}
    return ApiValidationError(f"the body {reason}", endpoint=endpoint, errors=[fault])
