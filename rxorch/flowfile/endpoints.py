"""From the fields of a flow file to an `APIEndpoint`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from rxorch.endpoint import APIEndpoint
from rxorch.endpoint.redirects import RedirectPolicy
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

_NOT_DATA: Final = frozenset({"clock"})

_CODE: Final = {
    "response_parser": "it is code; leave it out, or write the flow in Python",
    "model": "it is a Python type; leave it out, or write the flow in Python",
    "compensate_with": "a flow file has no sagas; leave it out, or write the saga in Python",
}


def _expression(make: Callable[[Any, str], Any], tree: Tree, path: Path, given: Any) -> Any:
    return None if given is None else make(given, str(path[-1]))


def _value_or_expression(make: Callable[[Any, str], Any], tree: Tree, path: Path, given: Any) -> Any:
    if isinstance(given, Mapping) and list(given) == [JMESPATH]:
        try:
            return make(given[JMESPATH], str(path[-1]))
        except ApiConfigurationError as error:
            raise ApiConfigurationError(f"{JMESPATH}: {error.message}") from None
    return given


def _handler(tree: Tree, path: Path, given: Any) -> Any:
    made = _value_or_expression(expressions.of_error, tree, path, given)
    return made if callable(made) or made is None else lambda _: made


def _headers(tree: Tree, path: Path, given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    _refuse_secrets(tree, path, given)
    return {name: _as_written(tree, (*path, name), value) for name, value in given.items()}


def _params(tree: Tree, path: Path, given: Any) -> Any:
    made = _value_or_expression(expressions.of_value, tree, path, given)
    if not isinstance(made, Mapping):
        return made
    _refuse_secrets(tree, path, made)
    return {
        name: _as_written(tree, (*path, name), value) if is_secret_name(name) else value
        for name, value in made.items()
    }


def _as_written(tree: Tree, path: Path, value: Any) -> Any:
    """`1.10` and not 1.1; but null stays what it is where it stands in the file."""
    return value if value is None and path in tree.literals else tree.texts.get(path, value)


def _url(tree: Tree, path: Path, given: Any) -> Any:
    if path in tree.literals and isinstance(given, str):
        for part in given.partition("?")[2].split("&"):
            name, _, value = part.partition("=")
            if value and "{" not in value and is_secret_name(name):
                refuse_literal(tree, path)
    return given


def _refuse_secrets(tree: Tree, path: Path, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        is_filled = value is None or (isinstance(value, str) and "{" in value)
        if is_secret_name(name) and not is_filled:
            refuse_literal(tree, (*path, name))


def _redirects(tree: Tree, path: Path, given: Any) -> Any:
    return _made_of(RedirectPolicy, tree, path, given) if isinstance(given, Mapping) else given


def _made_of(make: Callable[..., Any], tree: Tree, path: Path, given: Any) -> Any:
    if given is None or given is False:
        return given
    if not isinstance(given, Mapping):
        raise ApiConfigurationError("give a mapping")
    _check_names(make, given)
    try:
        return make(**given)
    except ApiConfigurationError:
        raise
    except TypeError:
        raise ApiConfigurationError("a value is of the wrong kind") from None
    except ValueError as error:
        raise ApiConfigurationError(_without_value(str(error))) from None


def _without_value(text: str) -> str:
    """`base='x': give seconds` without the value, which may come from the environment."""
    name, _, rest = text.partition("=")
    return f"{name}: {rest.rpartition(': ')[2]}" if name.isidentifier() else "these values do not fit"


def _check_names(make: Callable[..., Any], given: Mapping[str, Any]) -> None:
    taken = signature(make).parameters
    names = frozenset(name for name in taken if name not in _NOT_DATA)
    for name in given:
        if name not in names:
            raise ApiConfigurationError(f"{name}: unknown field{closest(name, names)}")
    for name, parameter in taken.items():
        if parameter.default is parameter.empty and name not in given:
            raise ApiConfigurationError(f"{name} is missing")


def _breaker(tree: Tree, path: Path, given: Any) -> Any:
    policy = _made_of(CircuitPolicy, tree, path, given)
    return CircuitBreaker(policy=policy) if isinstance(policy, CircuitPolicy) else policy


def _limiter(tree: Tree, path: Path, given: Any) -> Any:
    if not isinstance(given, Mapping) or "rate" not in given:
        return _made_of(RateLimiter, tree, path, given)
    for name in ("rate_limit", "window"):
        if name in given:
            raise ApiConfigurationError(f"{name}: stands in rate already; give one of the two")
    try:
        number, window = parse_rate(given["rate"])
    except ApiConfigurationError as error:
        raise ApiConfigurationError(f"rate: {error.message}") from None
    fields = {name: value for name, value in given.items() if name != "rate"}
    return _made_of(RateLimiter, tree, path, {**fields, "rate_limit": number, "window": window})


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
    "circuit_breaker": _breaker,
    "rate_limiter": _limiter,
    "follow_redirects": _redirects,
    "url": _url,
}

_RATE: Final = frozenset({"rate_limit", "rate_limit_window"})
_REPEATS: Final = frozenset({"retry_count", "retry_delay", "retry_jitter"})
_LIMITS: Final = frozenset({"rate", *_RATE, "burst_limit"})

_RIVALS: Final[Mapping[str, frozenset[str]]] = {
    "retry": _REPEATS,
    **dict.fromkeys(_REPEATS, frozenset({"retry"})),
    "rate_limiter": _LIMITS,
    "rate": _RATE | {"rate_limiter"},
    "rate_limit": frozenset({"rate", "rate_limiter"}),
}
"""Fields of the defaults that a field of an endpoint replaces beside the one of its own name."""

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
        self._default_auth: Any = None
        self.paths: dict[str, Path] = {}

    def endpoint(self, path: Path, given: Mapping[str, Any]) -> APIEndpoint | None:
        """An endpoint, None if something is wrong with it."""
        tree, before = self._tree, len(self._tree.problems)
        fields: dict[str, Any] = {}
        replaced = set(given).union(*(_RIVALS.get(name, ()) for name in given))
        places: dict[str, Path] = {
            name: ("defaults", name) for name in self._defaults if name not in replaced
        }
        places |= {name: (*path, name) for name in given}
        if "rate" in places and not _RATE.isdisjoint(places):
            tree.fail(places["rate"], "stands in the place of rate_limit and its window; give one of the two")
        for field, place in places.items():
            self._read(field, place, given.get(field, self._defaults.get(field)), fields)
        self._note(given.get("name"), path)
        is_whole = len(tree.problems) == before
        try:
            made = APIEndpoint(**fields)
        except ValidationError as error:
            for fault in error.errors():
                name = str(fault["loc"][0]) if fault["loc"] else ""
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
                    fields[name] = self._made(name, path, given)
            except ApiConfigurationError as error:
                field, colon, rest = error.message.partition(": ")
                is_inside = colon and isinstance(given, Mapping) and field in given
                tree.fail((*path, field) if is_inside else path, rest if is_inside else error.message)
        if name == "url" and isinstance(given, str) and given.startswith("/"):
            if self._base_url is None:
                tree.fail(path, "it begins with a slash, and no base_url of the file stands before it")
            else:
                fields["url"] = self._base_url.rstrip("/") + given

    def _made(self, name: str, path: Path, given: Any) -> Any:
        reader = _READERS.get(name)
        if reader is None:
            return given
        if name != "auth" or path[0] != "defaults":
            return reader(self._tree, path, given)
        if self._default_auth is None:  # one for all: they share a token, and ask for it once
            self._default_auth = reader(self._tree, path, given)
        return self._default_auth


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
