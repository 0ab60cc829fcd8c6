"""JMESPath expressions in the place of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from rxorch.endpoint.extracting import Expression
from rxorch.errors import ApiConfigurationError, ApiError, ApiHttpError, ApiValidationError

__all__ = ["condition", "of_answer", "of_error", "of_key", "of_value"]


class _Search:
    """An expression that may find nothing."""

    __slots__ = ("_search", "_text", "label")

    def __init__(self, text: Any, label: str) -> None:
        if not isinstance(text, str) or not text.strip():
            raise ApiConfigurationError("give a JMESPath expression, as text")
        self._search = Expression(text)._search
        self._text = text
        self.label = label

    def __call__(self, value: Any) -> Any:
        from jmespath.exceptions import JMESPathError

        try:
            return self._search(_plain(value))
        except (JMESPathError, ValueError, TypeError, RecursionError):  # their texts quote the value
            raise ApiValidationError(
                f"{self.label}: {self._text!r} does not fit the types of its data"
            ) from None

    def __repr__(self) -> str:
        return f"<{self._text}>"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def condition(text: Any, label: str) -> Callable[[Any], bool]:
    """Whether an expression holds: null, false and an empty text, list or mapping do not, as in JMESPath."""
    search = _Search(text, label)

    def holds(data: Any) -> bool:
        found = search(data)
        return found is not None and found is not False and found != "" and found != [] and found != {}

    holds.__name__ = " ".join(text.split())  # what pictures show
    return holds


def of_value(text: Any, label: str) -> Callable[[Any], Any]:
    """What an expression makes of a value."""
    return _Search(text, label)


def of_answer(text: Any, label: str) -> Callable[[Any], bool]:
    """Whether an expression holds for `{status, headers, value}` of an answer."""
    holds = condition(text, label)
    return lambda answer: holds(
        {"status": answer.status, "headers": dict(answer.headers), "value": answer.value}
    )


def of_error(text: Any, label: str) -> Callable[[Any], Any]:
    """What an expression makes of `{type, message, status_code, retry_after}` of an error."""
    search = _Search(text, label)

    def handle(error: BaseException) -> Any:
        return search(
            {
                "type": type(error).__name__,
                "message": str(error),
                "status_code": error.status_code if isinstance(error, ApiHttpError) else None,
                "retry_after": error.retry_after if isinstance(error, ApiError) else None,
            }
        )

    return handle


def of_key(text: Any, label: str) -> Callable[[Any, Any], Any]:
    """What an expression makes of the data, as a `cache_key_generator`."""
    search = _Search(text, label)
    return lambda endpoint, data: search(data)
