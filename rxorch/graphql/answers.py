"""From a GraphQL answer to its data, and from its errors to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from rxorch.endpoint.reading import AnswerReader
from rxorch.errors import ApiGraphQLError, ApiValidationError, GraphQLFault
from rxorch.http.redaction import is_secret_value
from rxorch.http.response import Response, default_parse

__all__ = ["DataParser", "GraphQLAnswer", "PartialParser", "answer_parts", "graphql_error"]

_SHOWN_FAULTS: Final = 5
_SHOWN_KEYS: Final = 8
_MESSAGE_CHARS: Final = 500
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,59}")
_KEY: Final = re.compile(r"[_A-Za-z]\w{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class GraphQLAnswer:
    """What an endpoint with ``partial=True`` gives: the data that there is, and why there is no more.

    Attributes:
        data: the data, or what ``response_key`` and ``model`` make of it.
        errors: of the answer; empty if all went well.
    """

    data: Any
    errors: tuple[GraphQLFault, ...] = ()

    @property
    def ok(self) -> bool:
        """True if the server reported no error."""
        return not self.errors


def answer_parts(answer: Any) -> tuple[Any, tuple[GraphQLFault, ...]]:
    """Split an answer into its data and its errors.

    Raises:
        ApiValidationError: it is not a GraphQL answer.
    """
    if not isinstance(answer, Mapping) or ("data" not in answer and not answer.get("errors")):
        raise ApiValidationError(
            "the answer is not a GraphQL answer: a JSON object with data or errors was expected"
        )
    errors = answer.get("errors") or ()
    if not isinstance(errors, list | tuple):
        errors = (errors,)
    return answer.get("data"), tuple(map(_fault, errors))


def _fault(error: Any) -> GraphQLFault:
    if not isinstance(error, Mapping):
        return GraphQLFault(error[:_MESSAGE_CHARS] if isinstance(error, str) else "")
    message, path, extensions = error.get("message"), error.get("path"), error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, Mapping) else None
    if code is None:
        code = error.get("type")  # GitHub's servers put it there
    return GraphQLFault(
        message[:_MESSAGE_CHARS] if isinstance(message, str) else "",
        tuple(key for key in path if isinstance(key, str | int)) if isinstance(path, list) else (),
        code[:_MESSAGE_CHARS] if isinstance(code, str) else None,
    )


def graphql_error(errors: Sequence[GraphQLFault], data: Any = None) -> ApiGraphQLError:
    """The error for these faults; its text names their codes and paths, as far as they are plain names.

    Example:
        >>> str(graphql_error([GraphQLFault("no user 7", ("users", 0), "NOT_FOUND"), GraphQLFault("?")]))
        'GraphQL: 2 errors (NOT_FOUND at users.0); what the server says is in error.errors'
    """
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    shown = list(dict.fromkeys(filter(None, map(_shown, errors))))
    more = "; ..." if len(shown) > _SHOWN_FAULTS else ""
    facts = f" ({'; '.join(shown[:_SHOWN_FAULTS])}{more})" if shown else ""
    message = f"GraphQL: {count}{facts}; what the server says is in error.errors"
    return ApiGraphQLError(message, errors, data)


def _shown(fault: GraphQLFault) -> str:
    code = fault.code or ""
    if _CODE.fullmatch(code) is None or is_secret_value(code):
        code = ""
    place = ".".join(map(_shown_key, fault.path[:_SHOWN_KEYS]))
    return " ".join(filter(None, (code, f"at {place}" if place else "")))


def _shown_key(key: str | int) -> str:
    # The keys are the fields of the query, unless the server makes them up.
    text = str(key)[:64]
    plain = isinstance(key, int) or (_KEY.fullmatch(text) is not None and not is_secret_value(text))
    return text if plain else "?"


@dataclass(frozen=True, slots=True)
class DataParser:
    """The parser of an endpoint whose value is the data; any error fails it."""

    def __call__(self, response: Response) -> Any:
        data, errors = answer_parts(default_parse(response))
        if errors:
            raise graphql_error(errors, data)
        return data


@dataclass(frozen=True, slots=True)
class PartialParser:
    """The parser of an endpoint whose value is a ``GraphQLAnswer``; it fails where there is no data at all.

    Args:
        name: of the endpoint.
        response_key: what is taken of the data.
        model: what that is validated against.
    """

    name: str
    response_key: str | None
    model: Any
    _reader: AnswerReader = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        adapter = None if self.model is None else TypeAdapter(self.model)
        reader = AnswerReader(self.name, response_key=self.response_key, adapter=adapter)
        object.__setattr__(self, "_reader", reader)

    def __call__(self, response: Response) -> GraphQLAnswer:
        data, errors = answer_parts(default_parse(response))
        if errors and data is None:
            raise graphql_error(errors)
        try:
            return GraphQLAnswer(self._reader.shaped(data), errors)
        except ApiValidationError as error:
            if not errors:
                raise
            raise graphql_error(errors, data) from error  # what is missing is so for the server's reasons
