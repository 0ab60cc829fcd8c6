"""What pydantic says is wrong with a value, without the value: short, and in words that are no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["faults_of"]

_QUOTING: Final = {
    "union_tag_invalid": "Input tag does not match any of the expected tags",
    "uuid_parsing": "Input should be a valid UUID",
}
"""pydantic's kinds of error whose message quotes the input, and what is said instead."""

_MOST_TEXT: Final = 300
"""Most characters of a message: it may list thousands of values that were expected."""

_MOST_TITLE: Final = 80


def faults_of(error: ValidationError) -> tuple[str, list[dict[str, Any]]]:
    """The error in one line, and its faults: ``loc``, ``msg`` and ``type`` of each.

    Example:
        >>> from pydantic import TypeAdapter, ValidationError
        >>> try:
        ...     TypeAdapter(dict[str, int]).validate_python({"id": "s3cret"})
        ... except ValidationError as error:
        ...     faults_of(error)[0]
        'id: Input should be a valid integer, unable to parse string as an integer'
    """
    faults: list[dict[str, Any]] = [
        dict(fault) for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    for fault in faults:
        message = _QUOTING.get(fault["type"], fault["msg"])
        fault["msg"] = message if len(message) <= _MOST_TEXT else f"{message[:_MOST_TEXT]}..."
    place = ".".join(map(str, faults[0]["loc"])) or _shown(error.title)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place}: {faults[0]['msg']}{more}", faults


def _shown(title: str) -> str:
    """pydantic's title of a type, unless it is long or one of its inner names (``function-after[...]``)."""
    inner = title.startswith(("function-", "constrained-"))
    return "the value" if inner or len(title) > _MOST_TITLE else title
