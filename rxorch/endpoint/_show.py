"""How the fields of an endpoint are shown: names, numbers and templates of urls, but no secrets.

Values of headers are always hidden, and so are bodies, keys and texts in params: whether
a text is a secret cannot be told from its look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rxorch.http.redaction import REDACTED, is_secret_name, redact_url

__all__ = ["show"]


class _Plain(str):
    """A text that stands in a representation without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _shown(value: Any) -> Any:
    if callable(value) and not isinstance(value, type):
        return _Plain(getattr(value, "__qualname__", type(value).__name__))
    return value


def _hidden(value: Any) -> Any:
    return _shown(value) if callable(value) else _Plain(REDACTED)


def _shown_params(value: Any) -> Any:
    if callable(value):
        return _shown(value)
    return {name: _shown_param(name, each) for name, each in value.items()}


def _shown_param(name: str, value: Any) -> Any:
    number = isinstance(value, int | float) and not is_secret_name(name)
    return value if number or value is None else _Plain(REDACTED)


_HOW: Final[Mapping[str, Callable[[Any], Any]]] = {
    "url": redact_url,
    "headers": lambda value: dict.fromkeys(value, _Plain(REDACTED)),
    "params": _shown_params,
    "body": _hidden,
    "model": lambda value: value,
    "idempotency_key": lambda value: value if value == "auto" else _hidden(value),
    "auth": lambda value: value and _Plain(f"<{type(value).__name__}>"),
    "circuit_breaker": lambda value: value and _Plain(f"<{type(value).__name__}>"),
    "rate_limiter": lambda value: _Plain(f"<{type(value).__name__}>"),
}


def show(field: str, value: Any) -> Any:
    """Return what a representation shows for the value of a field."""
    return _HOW.get(field, _shown)(value)
