"""From the data of a call to what its request is made of, checked against the description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, NamedTuple

from pydantic import ValidationError

from rxorch.endpoint.values import ABSENT, MISSING, UnfitValueError
from rxorch.errors import ApiValidationError
from rxorch.http.body import StreamedBody
from rxorch.openapi.bodies import RequestBody
from rxorch.openapi.choices import plain
from rxorch.openapi.parameters import Parameter

__all__ = ["BODY", "CONTENT_TYPE", "COOKIE", "CallInput", "Prepared", "content_of", "query_of"]

BODY: Final = "body"
"""Key of the body in the data of a call."""

CONTENT_TYPE: Final = "content-type"
COOKIE: Final = "cookie"


_INTERNAL: Final = re.compile(r"(?:function-\w+|constrained-\w+|nullable|union|literal|lax-or-strict)\[")
"""Names that pydantic gives to the alternatives of its own unions: they tell nobody a place."""


class Fault(NamedTuple):
    """What is wrong with the data of a call."""

    place: tuple[Any, ...]
    message: str
    kind: str


class Prepared(dict[str, Any]):
    """What fills the templates of an endpoint, by placeholder; with query and body beside it."""

    query: dict[str, Any]
    content: bytes | StreamedBody | None

    def __init__(self) -> None:
        super().__init__()
        self.query = {}
        self.content = None


class CallInput:
    """The ``transform_input`` of an operation: checks the data of a call and prepares it.

    The data is a mapping of the names of parameters to their values, with the body under ``body``. None
    stands for what is left out. An operation without parameters takes the body itself.

    Args:
        endpoint: name of the endpoint.
        parameters: of the operation.
        body: of the operation; None without one.
        extra: ``"forbid"``: unknown keys are a fault; ``"ignore"``: they are left alone.
    """

    def __init__(
        self,
        endpoint: str,
        parameters: Sequence[Parameter],
        body: RequestBody | None,
        extra: Literal["forbid", "ignore"],
    ) -> None:
        self._endpoint = endpoint
        self._parameters = tuple(parameters)
        self._body = body
        self._extra = extra
        self._in_query = {each.name for each in parameters if each.place == "query"}
        self._keys = [*(each.key for each in parameters), *([BODY] if body is not None else ())]

    def __call__(self, data: Any) -> Prepared:
        """Return what the request is made of.

        Raises:
            ApiValidationError: names endpoint, place and parameter, and what is wrong; never a value.
        """
        given, body = self._split(data)
        prepared = Prepared()
        cookies: list[str] = []
        faults = list(self._unknown(given))
        for parameter in self._parameters:
            try:
                self._add(parameter, given.get(parameter.key), prepared, cookies)
            except ValidationError as error:
                faults += _faults(error, (parameter.place, parameter.name))
            except UnfitValueError as reason:
                faults.append(Fault((parameter.place, parameter.name), f"the value {reason}", "unfit_value"))
            except RecursionError:
                faults.append(Fault((parameter.place, parameter.name), "nested too deeply", "recursion"))
        if any(each.place == COOKIE for each in self._parameters):
            prepared[COOKIE] = "; ".join(cookies) if cookies else ABSENT
        if self._body is not None:
            faults += self._add_body(self._body, body, prepared)
        if faults:
            raise self._error(faults)
        return prepared

    def _split(self, data: Any) -> tuple[Mapping[str, Any], Any]:
        """The parameters and the body that the data has."""
        if not self._parameters and self._body is not None:
            return {}, MISSING if data is None else data
        if data is None:
            return {}, MISSING
        data = plain(data)
        if not isinstance(data, Mapping):
            if not self._parameters and self._extra == "ignore":
                return {}, MISSING
            fault = Fault(
                (), f"the data is a mapping of parameters to values, not {type(data).__name__}", "mapping"
            )
            raise self._error([fault])
        return data, data.get(BODY, MISSING)

    def _unknown(self, given: Mapping[str, Any]) -> Iterator[Fault]:
        if self._extra == "ignore":
            return
        for key in given:
            if key not in self._keys:
                near = get_close_matches(str(key), self._keys, n=1)
                hint = (
                    f"; did you mean {near[0]!r}?"
                    if near
                    else f"; there are {', '.join(self._keys) or 'none'}"
                )
                yield Fault((str(key)[:40],), f"no such parameter{hint}", "extra_forbidden")

    def _add(self, parameter: Parameter, value: Any, prepared: Prepared, cookies: list[str]) -> None:
        if value is None:
            value = parameter.stand_in
        if value is MISSING:
            if parameter.required:
                raise UnfitValueError("is missing")
            if parameter.place == "header":
                prepared[parameter.placeholder] = ABSENT
            return
        adapter = parameter.adapter
        written = adapter.dump_python(
            adapter.validate_python(plain(value)), mode="json", by_alias=True, exclude_unset=True
        )
        if parameter.place == "query":
            pairs = dict(parameter.pairs(written))
            # The keys of an exploded object may be anything: none may stand for another parameter.
            others = self._in_query - {parameter.name}
            if any(name in others or name in prepared.query for name in pairs):
                raise UnfitValueError("has a key that is the name of another parameter")
            prepared.query.update(pairs)
        elif parameter.place == "cookie":
            cookies.append(f"{parameter.name}={_cookie_text(parameter.text(written))}")
        else:
            prepared[parameter.placeholder] = parameter.text(written)

    def _add_body(self, body: RequestBody, value: Any, prepared: Prepared) -> list[Fault]:
        prepared[CONTENT_TYPE] = ABSENT
        if value is MISSING or value is None:
            return [Fault((BODY,), "is missing", "missing")] if body.required else []
        try:
            prepared.content, prepared[CONTENT_TYPE] = body.encode(value, self._endpoint)
        except ValidationError as error:
            return list(_faults(error, (BODY,)))
        except UnfitValueError as reason:
            return [Fault((BODY,), f"the value {reason}", "unfit_value")]
        except RecursionError:
            return [Fault((BODY,), "nested too deeply", "recursion")]
        return []

    def _error(self, faults: list[Fault]) -> ApiValidationError:
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return ApiValidationError(
            f"{_place(first.place)}{first.message}{more}",
            endpoint=self._endpoint,
            errors=[{"loc": fault.place, "msg": fault.message, "type": fault.kind} for fault in faults],
        )


def _faults(error: ValidationError, place: tuple[Any, ...]) -> Iterator[Fault]:
    for fault in ApiValidationError.from_pydantic(error).errors:  # which leaves out what pydantic quotes
        inside = [key for key in fault["loc"] if not (isinstance(key, str) and _INTERNAL.match(key))]
        yield Fault((*place, *inside), fault["msg"], fault["type"])


def _place(place: tuple[Any, ...]) -> str:
    if not place:
        return ""
    if place[0] in ("path", "query", "header", "cookie") and len(place) > 1:
        rest = "".join(f".{key}" for key in place[2:])
        return f"{place[0]} parameter {place[1]!r}{rest}: "
    return f"{'.'.join(map(str, place))}: "


def _cookie_text(text: str) -> str:
    if not text.isascii() or not text.isprintable() or any(each in text for each in ' ",;\\'):
        raise UnfitValueError("has characters that a cookie cannot have")
    return text


def query_of(prepared: Prepared) -> dict[str, Any]:
    """The ``params`` of an operation."""
    return prepared.query


def content_of(prepared: Prepared) -> bytes | StreamedBody | None:
    """The ``body`` of an operation."""
    return prepared.content
