"""From the fields of a flow file to an `APIEndpoint`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.flowfile import expressions
from rxorch.flowfile.credentials import auth_of, refuse_literal
from rxorch.flowfile.rates import parse_rate
from rxorch.flowfile.tree import Path, Tree
from rxorch.http.redaction import is_secret_name
from rxorch_operators import CircuitBreaker, RateLimiter, RetryPolicy
from rxorch_operators.engines.circuit_model import CircuitPolicy

__all__ = ["ENDPOINT_FIELDS", "JMESPATH", "EndpointReader", "closest", "told"]

JMESPATH: Final = "jmespath"
"""`{jmespath: ...}` stands for a function where a value could stand too."""

Reader: TypeAlias = Callable[[Tree, Path, Any], Any]

_CODE: Final = {
    "response_parser": "it is code; leave it out, or write the flow in Python",
    "model": "it is a Python type; leave it out, or write the flow in Python",
}


def _expression(make: Callable[[Any, str], Any], tree: Tree, path: Path, given: Any) -> Any:
    return None if given is None else make(given, str(path[-1]))


def _value_or_expression(make: Callable[[Any, str], Any], tree: Tree, path: Path, given: Any) -> Any:
    if isinstance(given, Mapping) and list(given) == [JMESPATH]:
        return make(given[JMESPATH], str(path[-1]))
    return given


def _handler(tree: Tree, path: Path, given: Any) -> Any:
    made = _value_or_expression(expressions.of_error, tree, path, given)
    return made if callable(made) or made is None else lambda _: made


def _headers(tree: Tree, path: Path, given: Any) -> Any:
    for name in given if isinstance(given, Mapping) else ():
        if is_secret_name(name):
            refuse_literal(tree, (*path, name))
    return given


def _params(tree: Tree, path: Path, given: Any) -> Any:
    made = _value_or_expression(expressions.of_value, tree, path, given)
    return _headers(tree, path, made)


def _made_of(make: Callable[..., Any], tree: Tree, path: Path, given: Any) -> Any:
    if given is None or given is False:
        return given
    if not isinstance(given, Mapping):
        raise ApiConfigurationError("give a mapping")
    try:
        return make(**given)
    except TypeError as error:
        raise ApiConfigurationError(_argument(error)) from None
    except ValueError as error:
        raise ApiConfigurationError(_without_value(str(error))) from None


def _without_value(text: str) -> str:
    """`base='x': give seconds` without the value, which may come from the environment."""
    name, _, rest = text.partition("=")
    return f"{name}: {rest.rpartition(': ')[2]}" if name.isidentifier() else "these values do not fit"


def _argument(error: TypeError) -> str:
    text = str(error)
    _, found, name = text.partition("unexpected keyword argument ")
    return f"unknown field {name}" if found else "a field is missing, or of the wrong kind"


def _breaker(**fields: Any) -> CircuitBreaker:
    return CircuitBreaker(policy=CircuitPolicy(**fields))


def _limiter(*, rate: Any = None, **fields: Any) -> RateLimiter:
    if rate is not None:
        fields["rate_limit"], fields["window"] = parse_rate(rate)
    return RateLimiter(**fields)


_READERS: Final[dict[str, Reader]] = {
    "condition": partial(_expression, expressions.condition),
    "transform_input": partial(_expression, expressions.of_value),
    "transform_output": partial(_expression, expressions.of_value),
    "retry_if": partial(_expression, expressions.of_answer),
    "error_handler": _handler,
    "headers": _headers,
    "params": _params,
    "body": partial(_value_or_expression, expressions.of_value),
    "rate_cost": partial(_value_or_expression, expressions.of_value),
    "auth": auth_of,
    "retry": partial(_made_of, RetryPolicy),
    "circuit_breaker": partial(_made_of, _breaker),
    "rate_limiter": partial(_made_of, _limiter),
}

ENDPOINT_FIELDS: Final = frozenset(APIEndpoint.model_fields) - _CODE.keys() | {"rate"}


class EndpointReader:
    """Makes endpoints.

    Args:
        tree: The file.
        defaults: Fields of endpoints that do not set them, with their path.
        base_url: Stands before urls that begin with a slash.
    """

    def __init__(self, tree: Tree, defaults: Mapping[str, Any], base_url: str | None) -> None:
        self._tree = tree
        self._defaults = defaults
        self._base_url = base_url
        self.paths: dict[str, Path] = {}

    def endpoint(self, path: Path, given: Mapping[str, Any]) -> APIEndpoint | None:
        """An endpoint, None if something is wrong with it."""
        tree, before = self._tree, len(self._tree.problems)
        fields: dict[str, Any] = {}
        places: dict[str, Path] = {name: ("defaults", name) for name in self._defaults if name not in given}
        places |= {name: (*path, name) for name in given}
        for field, place in places.items():
            self._read(field, place, given.get(field, self._defaults.get(field)), fields)
        self._note(given.get("name"), path)
        is_whole = len(tree.problems) == before
        try:
            made = APIEndpoint(**fields)
        except ValidationError as error:
            for fault in error.errors():
                name = str(fault["loc"][0]) if fault["loc"] else ""
                if name in places and name not in fields:
                    continue  # it could not be read, and that was told already
                message = told(fault)
                message = f"{name} is missing" if message == "Field required" else message
                tree.fail((*places.get(name, path), *fault["loc"][1:]), message)
            return None
        return made if is_whole else None

    def _note(self, name: Any, path: Path) -> None:
        if not isinstance(name, str):
            return
        if name in self.paths:
            self._tree.fail((*path, "name"), f"two endpoints are called {name!r}")
        self.paths[name] = path

    def _read(self, name: str, path: Path, given: Any, fields: dict[str, Any]) -> None:
        tree = self._tree
        if name in _CODE:
            tree.fail(path, _CODE[name])
        elif name not in ENDPOINT_FIELDS:
            tree.fail(path, f"unknown field{closest(name, ENDPOINT_FIELDS)}")
        else:
            try:
                if name == "rate":
                    fields["rate_limit"], fields["rate_limit_window"] = _whole_rate(given)
                else:
                    reader = _READERS.get(name)
                    fields[name] = given if reader is None else reader(tree, path, given)
            except ApiConfigurationError as error:
                tree.fail(path, error.message)
        if name == "url" and isinstance(given, str) and given.startswith("/") and self._base_url is not None:
            fields["url"] = self._base_url.rstrip("/") + given


def _whole_rate(given: Any) -> tuple[int, float]:
    number, window = parse_rate(given)
    if number != int(number):
        raise ApiConfigurationError("the number is a whole one here: write 1/2s and not 0.5/s")
    return int(number), window


def closest(name: str, known: frozenset[str]) -> str:
    """What may have been meant."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def told(fault: Any) -> str:
    """A fault of pydantic's in the words of this file."""
    message: str = fault["msg"]
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    if message == "Extra inputs are not permitted":
        return "unknown field"
    head, _, rest = message.rpartition(" (endpoint ")
    message = head if head and rest.endswith("')") else message
    place = str(fault["loc"][0]) if fault["loc"] else ""
    return message.removeprefix(f"{place}: ").removeprefix("Input should be ")
