"""Taking a part of an answer: by a dotted path, or by a JMESPath expression where that is not enough."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any, Final

from rxorch.endpoint.values import DottedPath, extract
from rxorch.errors import ApiConfigurationError, ApiValidationError

__all__ = ["Expression", "extractor", "path_or_expression"]

_MEANT_AS_EXPRESSION: Final = re.compile(r"[\[\]|(){}`]")
_MAYBE: Final = re.compile(r"[*&@?'\"]")
MAX_EXPRESSION: Final = 1_000
MAX_DEPTH: Final = 64


class Expression:
    """A JMESPath expression (jmespath.org), compiled once.

    Args:
        text: such as ``items[?active].id`` or ``{id: id, tags: tags[*].name}``.

    Raises:
        ApiConfigurationError: not a valid expression, longer than 1,000 characters or nested more than 64
            deep.

    Example:
        >>> Expression("items[?active].id").find({"items": [{"id": 1, "active": True}, {"id": 2}]})
        [1]
    """

    __slots__ = ("_search", "text")

    def __init__(self, text: str) -> None:
        from jmespath import (
            compile as parse,  # costs as much as all of rxorch to import, and is rarely needed
        )
        from jmespath.exceptions import JMESPathError

        if len(text) > MAX_EXPRESSION:
            raise ApiConfigurationError(f"a JMESPath expression has at most {MAX_EXPRESSION} characters")
        try:
            with warnings.catch_warnings():  # of texts in backticks without quotes, which work all the same
                warnings.simplefilter("ignore", PendingDeprecationWarning)
                compiled = parse(text)
        except (JMESPathError, RecursionError, ValueError):
            message = f"{text[:60]!r} is neither a dotted path nor a valid JMESPath expression"
            raise ApiConfigurationError(message) from None
        if _depth(compiled.parsed) > MAX_DEPTH:
            raise ApiConfigurationError(f"a JMESPath expression is nested at most {MAX_DEPTH} deep")
        _check_functions(compiled.parsed)
        self.text = text
        self._search = compiled.search

    def find(self, value: Any, *, endpoint: str | None = None, label: str = "response_key") -> Any:
        """What the expression makes of ``value``.

        Raises:
            ApiValidationError: it found nothing (or null, which JMESPath does not tell apart), or
                ``value`` has another type than one of its functions wants.
        """
        from jmespath.exceptions import JMESPathError

        try:
            found = self._search(value)
        except (JMESPathError, ValueError, TypeError, RecursionError):  # their texts quote the value
            raise self._fault("does not fit the types of the answer", "unfit", endpoint, label) from None
        if found is None:
            raise self._fault("finds nothing in the answer", "missing", endpoint, label)
        return found

    def _fault(self, reason: str, kind: str, endpoint: str | None, label: str) -> ApiValidationError:
        message = f"{label} {self.text!r} {reason}"
        fault = {"loc": (self.text,), "msg": message, "type": kind}
        return ApiValidationError(message, endpoint=endpoint, errors=[fault])

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _nodes(node: Any) -> Iterator[Any]:
    """All nodes of an expression."""
    rest = [node]
    while rest:
        each = rest.pop()
        yield each
        rest += [child for child in each.get("children", ()) if isinstance(child, dict)]


def _depth(node: Any) -> int:
    deepest, rest = 0, [(node, 1)]
    while rest:
        each, depth = rest.pop()
        deepest = max(deepest, depth)
        rest += [(child, depth + 1) for child in each.get("children", ()) if isinstance(child, dict)]
    return deepest


def _check_functions(parsed: Any) -> None:
    """Refuses functions that there are not, and calls with too few or too many arguments."""
    from jmespath.functions import Functions

    for node in _nodes(parsed):
        if node["type"] != "function_expression":
            continue
        name, given = node["value"], len(node["children"])
        known = Functions.FUNCTION_TABLE.get(name)
        if known is None:
            meant = next(iter(get_close_matches(name, Functions.FUNCTION_TABLE, n=1)), None)
            hint = "" if meant is None else f"; did you mean {meant}()?"
            raise ApiConfigurationError(f"JMESPath has no function {name}(){hint}")
        wanted = known["signature"]
        is_open = bool(wanted) and bool(wanted[-1].get("variadic"))
        if given < len(wanted) or (given > len(wanted) and not is_open):
            least = "at least " if is_open else ""
            raise ApiConfigurationError(f"{name}() takes {least}{len(wanted)} arguments, not {given}")


@lru_cache(maxsize=512)
def path_or_expression(text: str) -> DottedPath | Expression:
    """A text as what it is: keys with dots between them, or else JMESPath.

    A key such as ``@id`` or ``$ref``, which no expression begins with, stays a key.

    Raises:
        ApiConfigurationError: it is neither.
    """
    if _MEANT_AS_EXPRESSION.search(text):
        return Expression(text)
    if _MAYBE.search(text):
        try:
            return Expression(text)
        except ApiConfigurationError:
            pass
    return DottedPath(text)


def extractor(text: str, *, endpoint: str | None = None, label: str = "response_key") -> Callable[[Any], Any]:
    """Return what takes the part at ``text`` out of an answer.

    Args:
        text: ``"data.items.0.id"`` or JMESPath, such as ``"data.items[*].id"``.
        endpoint: name for the errors.
        label: what the path is called in the errors.

    Raises:
        ApiConfigurationError: neither of the two.
        ApiValidationError: from what is returned: nothing is there.

    Example:
        >>> ids = extractor("items[*].id")
        >>> ids({"items": [{"id": 1}, {"id": 2}]})
        [1, 2]
        >>> extractor("items.1.id")({"items": [{"id": 1}, {"id": 2}]})
        2
    """
    path = path_or_expression(text)
    if isinstance(path, Expression):
        return partial(path.find, endpoint=endpoint, label=label)
    return partial(extract, path=path, endpoint=endpoint, label=label)
