"""What one may pass to a request, in the shape that it is kept in: urls as text, parameters by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from yarl import URL

from rxorch.errors import ApiValidationError

__all__ = ["Pairs", "are_pairs", "named_params", "plain_url", "unfit"]

Pairs = Mapping[str, Any] | Sequence[tuple[str, Any]]
"""Names and values: a mapping, or pairs where a name stands several times."""


def plain_url(url: Any) -> Any:
    """A ``yarl.URL`` as text; everything else as it is."""
    return str(url) if isinstance(url, URL) else url


def named_params(params: Any) -> Mapping[str, Any] | None:
    """Query parameters as a mapping: of pairs, the values of one name become a list.

    Raises:
        ApiValidationError: neither a mapping nor pairs.

    Example:
        >>> named_params([("tag", "a"), ("page", 2), ("tag", "b")])
        {'tag': ['a', 'b'], 'page': [2]}
    """
    if params is None or isinstance(params, Mapping):
        return params
    if not are_pairs(params):
        raise unfit("params", "give a mapping of names to values, or pairs of them", params)
    named: dict[str, list[Any]] = {}
    for name, value in params:
        many = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        named.setdefault(name, []).extend(many)
    return named


def are_pairs(value: object) -> TypeGuard[Sequence[tuple[str, Any]]]:
    """Tell whether a value is a list of names with their values."""
    return isinstance(value, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    )


def unfit(field: str, wanted: str, given: object) -> ApiValidationError:
    """The error that names an argument and what it should be, and shows nothing of what was given."""
    reason = f"{wanted}; not {type(given).__name__}"
    fault = {"loc": (field,), "msg": reason, "type": "unfit_argument"}
    return ApiValidationError(f"{field}: {reason}", errors=[fault])
