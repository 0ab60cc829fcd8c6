"""The checks behind the fields of an endpoint: each returns the value to keep, or says what is wrong.

No message quotes a value that was given: headers, bodies, urls and keys may be secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from pydantic import BaseModel, TypeAdapter, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from rxorch.endpoint.auth import Auth
from rxorch.endpoint.extracting import path_or_expression
from rxorch.endpoint.template import ParamsTemplate, Template, TextTemplate, absolute_url
from rxorch.endpoint.values import call_with_context, check_parser
from rxorch.http.headers import check_headers, check_method

_NAME: Final = re.compile(r"\w([\w.-]*[\w-])?")
_MEANT: Final = {
    "backoff": "retry_delay",
    "data": "body",
    "json": "body",
    "key": "response_key",
    "max_retries": "retry_count",
    "parser": "response_parser",
    "query": "params",
    "retries": "retry_count",
    "ttl": "cache_ttl",
}
"""Names of other libraries for what an endpoint has too."""

Fault = tuple[str, str]
"""Name of a field, and what is wrong with it."""


def name(value: str) -> str:
    """A name: what templates, events and metrics call the endpoint."""
    if _NAME.fullmatch(value) is None or ".." in value:
        raise ValueError(
            "a name has letters, digits, '_', '-' and '.' only, and does not begin or end with a dot"
        )
    return value


def url(value: str) -> str:
    """A url template that compiles, or the path of one."""
    Template(absolute_url(value))
    return value


def method(value: str) -> str:
    """A method that may be sent, in capitals."""
    upper = value.upper()
    if upper == "TRACE":
        raise ValueError("TRACE echoes the request with its credentials and is not supported")
    return check_method(upper)


def headers(value: Any) -> dict[str, str] | None:
    """Names and templates of headers, copied."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("headers are a mapping of names to texts")
    given = dict(value)
    check_headers(given)
    for title, text in given.items():
        TextTemplate(text, label=f"header {title!r}")
    return given


def params(value: Any) -> Any:
    """A mapping of names to templates and values, copied; or a callable."""
    if value is None or callable(value):
        return None if value is None else data_function(value, "params")
    if not isinstance(value, Mapping):
        raise ValueError("params are a mapping of names to values, or a callable that makes one")
    given = dict(value)
    if not all(isinstance(title, str) for title in given):
        raise ValueError("the names of params are texts")
    ParamsTemplate(given)
    return given


def body(value: Any) -> Any:
    """Anything; a callable must take what bodies are made of."""
    if callable(value) and not isinstance(value, BaseModel):
        return data_function(value, "body")
    return value


def data_function(value: Any, label: str) -> Callable[..., Any]:
    """A function of the data, or of data and context."""
    call_with_context(value, label=label)
    return value  # type: ignore[no-any-return]


def as_it_is(value: Any) -> Any:
    """Anything; pydantic makes no copy of it."""
    return value


def data_field(value: Any, info: ValidationInfo) -> Any:
    """An optional function of the data, or of data and context."""
    return None if value is None else data_function(value, info.field_name or "callable")


def parser_field(value: Any, info: ValidationInfo) -> Any:
    """An optional function of one value."""
    if value is not None:
        check_parser(value, label=info.field_name or "callable")
    return value


def rate_cost(value: Any) -> Any:
    """A whole number, or a function of the data, or of data and context."""
    if callable(value):
        return data_function(value, "rate_cost")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("rate_cost is a whole number, 0 or more, or a callable of the data")
    return value


def idempotency_key(value: Any) -> Any:
    """``"auto"``, None, a template, or a callable."""
    if callable(value):
        return data_function(value, "idempotency_key")
    if value is None or value == "auto":
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("idempotency_key is 'auto', None, a template such as 'order-{id}', or a callable")
    check_headers({"Idempotency-Key": value})
    TextTemplate(value, label="idempotency_key")
    return value


def retry_on(value: Any) -> frozenset[int] | None:
    """HTTP statuses, frozen."""
    if value is None:
        return None
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
        raise ValueError("retry_on is a list or set of HTTP statuses, such as [502, 503]")
    statuses = list(value)
    if not all(isinstance(status, int) and 100 <= status <= 599 for status in statuses):
        raise ValueError("an HTTP status is a whole number from 100 to 599")
    return frozenset(int(status) for status in statuses)


def depends_on(value: Any) -> tuple[str, ...]:
    """Names of endpoints, frozen; each once."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError("depends_on is a list of names, such as ['auth']")
    names = tuple(value)
    if not all(isinstance(each, str) and _NAME.fullmatch(each) for each in names):
        raise ValueError("depends_on has something in it that is no name of an endpoint")
    if len(set(names)) != len(names):
        raise ValueError("a name stands in depends_on twice")
    return names


def auth(value: Any) -> Any:
    """Credentials, or False for none."""
    if value is None or value is False or isinstance(value, Auth):
        return value
    raise ValueError(f"give credentials such as BearerAuth(token), or False; not {type(value).__name__}")


def response_key(value: str) -> str:
    """A dotted path or a JMESPath expression."""
    path_or_expression(value)
    return value


def model(value: Any) -> Any:
    """A type that pydantic can validate against."""
    if value is not None:
        try:
            if isinstance(value, str | bytes):  # pydantic would look for a type of this name later
                raise TypeError
            TypeAdapter(value)
        except Exception:  # pydantic has several errors for this, with inputs in their texts
            raise ValueError(
                "not a type that pydantic can validate against, such as User or list[User]"
            ) from None
    return value


def instance(value: Any, kind: type, also: tuple[object, ...]) -> Any:
    """An object of a class, None, or one of a few other values."""
    if value is None or isinstance(value, kind) or any(value is other for other in also):
        return value
    others = "".join(f", {other!r}" for other in also)
    raise ValueError(f"give an object of class {kind.__name__}{others} or None")


def refuse_unknown(cls: type[BaseModel], data: Any) -> None:
    """Name unknown fields, each with the field that was probably meant."""
    if isinstance(data, Mapping):
        unknown = [str(field) for field in data if field not in cls.model_fields]
        if unknown:
            refuse(cls, data, [(field, _did_you_mean(cls, field)) for field in unknown])


def _did_you_mean(cls: type[BaseModel], field: str) -> str:
    low = field.lower()
    meant = _MEANT.get(low) or next(iter(get_close_matches(low, cls.model_fields, n=1)), None)
    return "unknown field" if meant is None else f"unknown field; did you mean '{meant}'?"


def hide_inputs(cls: type[BaseModel], data: Any, error: ValidationError) -> NoReturn:
    """Raise pydantic's error again, without the inputs that it carries."""
    faults = error.errors(include_url=False, include_input=False)
    refuse(cls, data, [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults])


def refuse(cls: type[BaseModel], data: Any, faults: Iterable[Fault]) -> NoReturn:
    """Raise a ``pydantic.ValidationError`` that names endpoint and fields, and holds no input."""
    given = data.get("name") if isinstance(data, Mapping) else None
    of = f" (endpoint {given!r})" if isinstance(given, str) and _NAME.fullmatch(given) else ""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(
                "endpoint", "{fault}", {"fault": text.removeprefix("Value error, ") + of}
            ),
            loc=(field,),
            input=None,
        )
        for field, text in faults
    ]
    raise ValidationError.from_exception_data(cls.__name__, lines, hide_input=True) from None
