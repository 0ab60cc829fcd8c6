"""Placeholders in text: how they are written, and where their values come from.

A placeholder is ``{name}`` or a dotted path such as ``{user.profile.id}``, and nothing more: no conversion,
no format, no attribute access. ``{{`` and ``}}`` stand for the braces themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from rxorch.endpoint.values import ABSENT, CONTROL, MISSING, DottedPath, UnfitValueError, text_of
from rxorch.errors import ApiConfigurationError, ApiValidationError

__all__ = [
    "Chain",
    "Source",
    "TextTemplate",
    "chain",
    "header_text",
    "parse",
    "quote_text",
    "quoted",
]

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD: Final = re.compile(r"[^\s{}\[\]!:.]+(\.[^\s{}\[\]!:.]+)*")
Chain = tuple[str, tuple[tuple[DottedPath, str], ...]]
"""A template split up: the text at its head, then each placeholder with the text that follows it."""


def parse(text: str, label: str) -> list[str | DottedPath]:
    """Split a template into literal text and placeholders, in turn, with text at both ends.

    Raises:
        ApiConfigurationError: a malformed placeholder or a single brace.
    """
    parts: list[str | DottedPath] = []
    literal, end = "", 0
    for match in _BRACES.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        token = match.group()
        if token in ("{{", "}}"):
            literal += token[0]
        elif match.group(1) is None:
            raise ApiConfigurationError(
                f"{label}: a single brace; write {{{{ and }}}} for braces in the text"
            )
        else:
            parts += [literal, _placeholder(match.group(1), label)]
            literal = ""
    return [*parts, literal + text[end:]]


def _placeholder(name: str, label: str) -> DottedPath:
    if "!" in name or ":" in name:
        raise ApiConfigurationError(f"{label}: a placeholder takes no conversion and no format, only a path")
    if _FIELD.fullmatch(name) is None or CONTROL.search(name):
        raise ApiConfigurationError(
            f"{label}: a placeholder is a name or a path, such as {{id}} or {{user.0.id}}"
        )
    return DottedPath(name)


def chain(parts: list[str | DottedPath]) -> Chain:
    """Return the parts of a template as a chain."""
    fields = [part for part in parts if isinstance(part, DottedPath)]
    texts = [part for part in parts if isinstance(part, str)]
    return texts[0], tuple(zip(fields, texts[1:], strict=True))


class Source:
    """Where placeholders get their values from, and the errors when they cannot."""

    __slots__ = ("endpoint", "label")

    def __init__(self, label: str, endpoint: str | None) -> None:
        self.label = label
        self.endpoint = endpoint

    def find(self, field: DottedPath, data: Any, context: Any) -> Any:
        """Return the value of a placeholder: from the data, else from the context."""
        value = field.find(data)
        if value is MISSING:
            if context is not None:
                value = field.find(context)
            if value is MISSING:
                raise self._missing(field, data, context)
        return value

    def fill(self, template: Chain, write: Callable[[Any], str], data: Any, context: Any) -> str:
        """Return the text with ``write(value)`` in the place of each placeholder."""
        text, rest = template
        for field, after in rest:
            key = field.only
            value = data.get(key, MISSING) if key is not None and type(data) is dict else field.find(data)
            if value is MISSING:
                value = self.find(field, data, context)
            try:
                text += write(value) + after
            except UnfitValueError as reason:
                raise self.unfit(field, reason) from None
        return text

    def _missing(self, field: DottedPath, data: Any, context: Any) -> ApiValidationError:
        found = field.explain(data)
        if isinstance(context, Mapping) and context:
            found += f"; {field.explain(context, 'the context')}"
        return self._error(f"nothing supplies {{{field.text}}}: {found}", field, "missing")

    def unfit(self, field: DottedPath, reason: UnfitValueError) -> ApiValidationError:
        """Return the error for a value that may not stand where the placeholder is."""
        return self._error(f"the value of {{{field.text}}} {reason}", field, "unfit_value")

    def _error(self, message: str, field: DottedPath, kind: str) -> ApiValidationError:
        fault = {"loc": (self.label, *field.keys), "msg": message, "type": kind}
        return ApiValidationError(f"{self.label}: {message}", endpoint=self.endpoint, errors=[fault])


class TextTemplate:
    """The template of a header, a key or another short text, compiled once.

    Args:
        text: literal text with placeholders.
        label: what the text is called in errors, such as ``header 'X-Id'``.
        endpoint: name for the errors.
        write: turns a value into text; by default as a header may have it, without control characters.

    Raises:
        ApiConfigurationError: a malformed placeholder.

    Example:
        >>> template = TextTemplate("Bearer {auth.token}", label="header 'Authorization'")
        >>> template.expand({"auth": {"token": "t"}})
        'Bearer t'
    """

    __slots__ = ("_chain", "_source", "_write", "fields")

    def __init__(
        self, text: str, *, label: str, endpoint: str | None = None, write: Callable[[Any], str] | None = None
    ) -> None:
        self._chain = chain(parse(text, label))
        self._source = Source(label, endpoint)
        self._write = header_text if write is None else write
        self.fields = tuple(dict.fromkeys(field.text for field, _ in self._chain[1]))

    @property
    def literal(self) -> str | None:
        """The text, when it has no placeholder; else None."""
        return None if self.fields else self._chain[0]

    def expand_unless_absent(self, data: Any, context: Any = None) -> str | None:
        """Return the text for one call; None where its only placeholder has the value ``ABSENT``."""
        head, rest = self._chain
        if len(rest) == 1 and not head and not rest[0][1] and rest[0][0].find(data) is ABSENT:
            return None
        return self.expand(data, context)

    def expand(self, data: Any, context: Any = None) -> str:
        """Return the text for one call.

        Raises:
            ApiValidationError: a value is missing or has no text that may stand here.
        """
        return self._source.fill(self._chain, self._write, data, context)


def header_text(value: Any) -> str:
    """Return the text of a value for a header: nothing that ends the line or cannot be seen."""
    text = text_of(value)
    if not text.isprintable():
        raise UnfitValueError("has control or other characters that cannot be seen")
    return text


def quoted(value: Any) -> str:
    """Percent-encode a single value; what the server decodes is the value again."""
    text = value if type(value) is str else text_of(value)
    return text if text.isascii() and text.isalnum() else quote_text(text)


def quote_text(text: str) -> str:
    """Percent-encode everything but letters, digits and ``_.-~``."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise UnfitValueError("has a lone surrogate, which is no character") from None
