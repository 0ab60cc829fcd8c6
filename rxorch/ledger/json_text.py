"""From values to the JSON that a ledger keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from rxorch.errors import ApiValidationError

__all__ = ["input_json", "plain_json", "result_json"]

_DEEPEST = 50


def input_json(value: Any, label: str, place: str = "the ledger") -> bytes:
    """An input as JSON.

    Args:
        value: What JSON, or pydantic, can write.
        label: Of the input, for the message.
        place: Where it is to be kept, for the message.

    Raises:
        ApiValidationError: It cannot be written; says where in it, and shows nothing of it.
    """
    try:
        return to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError, TypeError) as error:
        path, kind = _culprit(value, "$", 0)
        raise ApiValidationError(
            f"{label} cannot be kept in {place}: {path} is {kind}, which JSON cannot hold"
        ) from error.with_traceback(None)


def result_json(value: Any) -> bytes | None:
    """A result as JSON, None if it cannot be."""
    try:
        return to_json(value, inf_nan_mode="constants", fallback=_plain)
    except (PydanticSerializationError, ValueError, RecursionError, TypeError):
        return None


def plain_json(value: Any) -> bytes:
    """Mappings of texts and numbers as JSON. Half a pair of surrogates, which UTF-8 lacks, becomes "?"."""
    try:
        return to_json(value)
    except PydanticSerializationError:
        return to_json(_encodable(value))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("no JSON")


def _culprit(value: Any, place: str, depth: int) -> tuple[str, str]:
    children: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        children = [
            (f"{place}.{key}" if isinstance(key, str) else f"{place}[...]", each)
            for key, each in value.items()
        ]
    elif isinstance(value, list | tuple):
        children = [(f"{place}[{index}]", each) for index, each in enumerate(value)]
    for path, child in children:
        try:
            to_json(child)
        except Exception:
            if depth < _DEEPEST:
                return _culprit(child, path, depth + 1)
    return place, f"a {type(value).__name__}"
