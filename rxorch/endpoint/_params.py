"""Query parameters: a mapping with placeholders in it, and how it is written into a url."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxorch.endpoint._placeholders import Source, TextTemplate, chain, parse, quoted
from rxorch.endpoint.values import DottedPath, UnfitValueError, text_of
from rxorch.errors import ApiValidationError

__all__ = ["ParamsTemplate", "encode_query"]


class ParamsTemplate:
    """The template of a mapping of query parameters, compiled once.

    A text that is exactly one placeholder keeps the type of its value: a list becomes several parameters of
    that name, None leaves the parameter out. Other texts are filled like a header. Everything that is no
    text is taken as it is, lists item by item.

    Args:
        params: names to values.
        endpoint: name for the errors.

    Raises:
        ApiConfigurationError: a malformed placeholder.
        ApiValidationError: without any placeholder, a value that has no plain text.

    Example:
        >>> template = ParamsTemplate({"tag": "{tags}", "page": 2, "lang": "{lang}"})
        >>> template.resolve({"tags": ["a", "b"], "lang": None})
        {'tag': ['a', 'b'], 'page': 2, 'lang': None}
        >>> encode_query(_)
        'tag=a&tag=b&page=2'
    """

    __slots__ = ("_source", "_values", "fields")

    def __init__(self, params: Mapping[str, Any], *, endpoint: str | None = None) -> None:
        fields: dict[str, None] = {}
        self._source = Source("params", endpoint)
        self._values = {name: self._compile(value, fields) for name, value in params.items()}
        self.fields = tuple(fields)
        if not fields:
            encode_query(self.resolve(None))

    def _compile(self, value: Any, fields: dict[str, None]) -> Any:
        if isinstance(value, list | tuple):
            return [self._compile(item, fields) for item in value]
        if not isinstance(value, str):
            return value
        head, rest = chain(parse(value, "params"))
        fields.update((field.text, None) for field, _ in rest)
        if len(rest) == 1 and not head and not rest[0][1]:
            return rest[0][0]
        if not rest:
            return head
        return TextTemplate(value, label="params", endpoint=self._source.endpoint, write=text_of)

    def resolve(self, data: Any, context: Any = None) -> dict[str, Any]:
        """Return the parameters of one call, not yet encoded.

        Raises:
            ApiValidationError: a value is missing.
        """
        return {name: self._resolve(value, data, context) for name, value in self._values.items()}

    def _resolve(self, value: Any, data: Any, context: Any) -> Any:
        if isinstance(value, DottedPath):
            return self._source.find(value, data, context)
        if isinstance(value, TextTemplate):
            return value.expand(data, context)
        if isinstance(value, list):
            return [self._resolve(item, data, context) for item in value]
        return value


def encode_query(params: Mapping[str, Any], *, endpoint: str | None = None, label: str = "params") -> str:
    """Write a mapping as a query: lists as several parameters, None left out, ``True`` as ``true``.

    Args:
        params: names to single values, or to lists, tuples and sets of them.
        endpoint: name for the error.
        label: what the mapping is called in the error.

    Raises:
        ApiValidationError: a value has no plain text; names the parameter, not the value.

    Example:
        >>> encode_query({"q": "a b&c", "id": [1, 2], "off": None, "deep": True})
        'q=a%20b%26c&id=1&id=2&deep=true'
    """
    pairs = []
    for name, value in params.items():
        try:
            key = quoted(name)
            many = value if isinstance(value, list | tuple | set | frozenset) else (value,)
            texts = [quoted(item) for item in many if item is not None]
            # A set has no order: sorted, it gives the same url each time, and so the same cache key.
            pairs += [
                f"{key}={text}" for text in (sorted(texts) if isinstance(value, set | frozenset) else texts)
            ]
        except UnfitValueError as reason:
            message = f"the value of {str(name)[:40]!r} {reason}"
            fault = {"loc": (label, name), "msg": message, "type": "unfit_value"}
            raise ApiValidationError(f"{label}: {message}", endpoint=endpoint, errors=[fault]) from None
    return "&".join(pairs)
