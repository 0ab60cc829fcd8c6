"""The body of an operation: which media type is sent, and how a value is written in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pydantic import TypeAdapter

from rxorch.endpoint.encoding import encode_body
from rxorch.endpoint.template import encode_query
from rxorch.endpoint.values import text_of
from rxorch.errors import ApiValidationError
from rxorch.http.body import StreamedBody
from rxorch.http.multipart import FilePart, multipart
from rxorch.openapi.choices import adapter_of, plain
from rxorch.openapi.document import Raw
from rxorch.openapi.parameters import query_pairs
from rxorch.openapi.schemas import SchemaTypes

__all__ = ["RequestBody", "body_of", "is_json"]

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"


def is_json(media_type: str) -> bool:
    """Whether a media type is JSON.

    Example:
        >>> is_json("application/problem+json; charset=utf-8"), is_json("text/json5")
        (True, False)
    """
    media = media_type.partition(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


@dataclass(frozen=True)
class RequestBody:
    """The body of an operation.

    Attributes:
        media_type: what is sent.
        required: whether a call must have one.
        make: makes the type of its values.
        encoding: of the properties of a form.
    """

    media_type: str
    required: bool
    make: Callable[[], Any]
    encoding: Raw

    @cached_property
    def form(self) -> str:
        """How it is written: ``"json"``, ``"form"``, ``"multipart"`` or ``"as given"``."""
        if is_json(self.media_type):
            return "json"
        media = self.media_type.partition(";")[0].strip().lower()
        return {FORM: "form", MULTIPART: "multipart"}.get(media, "as given")

    @cached_property
    def kind(self) -> Any:
        """The type of its values; ``Any`` for what is sent as it is given."""
        return Any if self.form == "as given" else self.make()

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The compiled type of its values."""
        return adapter_of(self.kind)

    def encode(self, value: Any, endpoint: str) -> tuple[bytes | StreamedBody, str]:
        """Check a value and write it: the body and its content type.

        Raises:
            pydantic.ValidationError: the value does not fit the schema.
            ApiValidationError: it cannot be written.
        """
        if self.form == "as given":
            return self._as_given(value, endpoint), self.media_type
        value, files = _without_files(plain(value)) if self.form == "multipart" else (plain(value), {})
        valid = self.adapter.validate_python(value)
        dumped = self.adapter.dump_python(valid, by_alias=True, exclude_unset=True)
        if self.form == "json":
            return _json(dumped, endpoint), self.media_type
        if not isinstance(dumped, Mapping):
            raise ApiValidationError("body: a form is a mapping of names to values", endpoint=endpoint)
        if self.form == "form":
            return self._urlencoded(dumped, endpoint), self.media_type
        form = multipart(_fields({**dumped, **files}, endpoint))
        return form, form.content_type

    def _as_given(self, value: Any, endpoint: str) -> bytes | StreamedBody:
        if isinstance(value, StreamedBody | bytes):
            return value
        if isinstance(value, str | bytearray | memoryview):
            content = encode_body(value, endpoint=endpoint).content
            assert isinstance(content, bytes)
            return content
        message = f"body: {self.media_type} is sent as given: bytes, text or a StreamedBody"
        raise ApiValidationError(f"{message}, not {type(value).__name__}", endpoint=endpoint)

    def _urlencoded(self, value: Mapping[str, Any], endpoint: str) -> bytes:
        pairs: dict[str, Any] = {}
        for name, each in value.items():
            how = self.encoding.get(name)
            given = how if isinstance(how, Mapping) else {}
            nested = isinstance(each, Mapping) or (
                isinstance(each, list) and any(isinstance(i, Mapping) for i in each)
            )
            style = "deepObject" if nested or given.get("style") == "deepObject" else "form"
            pairs.update(query_pairs(name, each, style, explode=given.get("explode") is not False))
        return encode_query(pairs, endpoint=endpoint, label="body").encode()


def body_of(raw: Raw, types: SchemaTypes, model_name: str) -> RequestBody | None:
    """Pick the media type to send: JSON before forms before all others; None where there is none."""
    content = raw.get("content")
    if not isinstance(content, Mapping) or not content:
        return None
    media_type = min(content, key=_rank)
    media = content[media_type] if isinstance(content[media_type], Mapping) else {}
    encoding = media.get("encoding")
    return RequestBody(
        media_type="application/octet-stream" if "*" in media_type else media_type,
        required=raw.get("required") is True,
        make=lambda: types.type_of(media.get("schema"), "request", model_name),
        encoding=encoding if isinstance(encoding, Mapping) else {},
    )


def _rank(media_type: str) -> int:
    media = media_type.partition(";")[0].strip().lower()
    order = ("application/json", FORM, MULTIPART)
    if media in order:
        return 10 * order.index(media)
    return 5 if is_json(media) else 40 if "*" in media else 30


def _json(value: Any, endpoint: str) -> bytes:
    content = encode_body(value, endpoint=endpoint, as_json=True).content
    assert isinstance(content, bytes)
    return content


def _without_files(value: Any) -> tuple[Any, dict[str, Any]]:
    """A form without its files, for which bytes stand that a schema knows; and the files."""
    if not isinstance(value, Mapping):
        return value, {}
    files = {name: each for name, each in value.items() if _has_file(each)}
    stand_ins = {name: [b""] * len(each) if isinstance(each, list) else b"" for name, each in files.items()}
    return {**value, **stand_ins}, files


def _has_file(value: Any) -> bool:
    return isinstance(value, FilePart) or (isinstance(value, list) and any(map(_has_file, value)))


def _fields(form: Mapping[str, Any], endpoint: str) -> Iterator[tuple[str, str | bytes | FilePart]]:
    """The parts of a form: texts as they are, bytes as files, objects as JSON; a list is several parts."""
    for name, value in form.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bytes | bytearray | memoryview):
                yield name, FilePart(bytes(one), filename=name)
            elif isinstance(one, FilePart):
                yield name, one
            elif isinstance(one, Mapping | list):
                yield name, _json(one, endpoint)
            elif one is not None:
                yield name, text_of(one)
