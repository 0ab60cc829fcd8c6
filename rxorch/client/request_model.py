"""``ApiRequestModel``: one request as its caller put it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, field_validator

from rxorch.client.arguments import are_pairs, named_params, plain_url
from rxorch.http.redaction import REDACTED, redact_url
from rxorch.http.request import DEFAULT_MAX_RESPONSE_BYTES

__all__ = ["ApiRequestModel", "WholeAnswerRequest"]


class _Hidden:
    def __repr__(self) -> str:
        return REDACTED


class ApiRequestModel(BaseModel):
    """One request as its caller put it: mutable, so that hooks can change it.

    Args:
        url: absolute, or a path for a client with ``base_url``: text, or a ``yarl.URL``, kept as text.
        method: HTTP method, in any case.
        headers: names to values.
        params: query parameters, added to those in ``url``: a mapping, or pairs, kept as a mapping. A list
            gives several of a name, None leaves it out.
        data: body as it is: bytes, text, a ``StreamedBody``, or a mapping or pairs that are sent as a form.
        json_payload: body that is sent as JSON; None for none.
        timeout: seconds for one attempt; None for the default of the HTTP client.
        response_key: what is taken of the answer: a dotted path or JMESPath.
        model: pydantic type that it is validated against.

    Raises:
        pydantic.ValidationError: a field of the wrong type; shows no input.

    Example:
        >>> ApiRequestModel(url="https://api.example.com/users?token=s3cret", headers={"X-Key": "s3cret"})
        ApiRequestModel(url='https://api.example.com/users?token=***', method='GET', headers={'X-Key': ***})
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=()
    )

    url: str
    method: str = "GET"
    headers: dict[str, str] | None = None
    params: dict[str, Any] | None = None
    data: Any = None
    json_payload: Any = None
    timeout: float | None = None
    response_key: str | None = None
    model: Any = None

    @field_validator("url", mode="before")
    @classmethod
    def _url_as_text(cls, url: Any) -> Any:
        return plain_url(url)

    @field_validator("params", mode="before")
    @classmethod
    def _params_by_name(cls, params: Any) -> Any:
        return named_params(params) if are_pairs(params) else params

    @classmethod
    def unchecked(cls, **fields: Any) -> Self:
        """A request with these fields as they are: all of them are looked at where the request is written.

        As ``model_construct``, for a fifth of its time; every field must be given.
        """
        made = cls.__new__(cls)
        set_slot = object.__setattr__
        set_slot(made, "__dict__", fields)
        set_slot(made, "__pydantic_fields_set__", _ALL_FIELDS)
        set_slot(made, "__pydantic_extra__", None)
        set_slot(made, "__pydantic_private__", None)
        return made

    def copied(self) -> Self:
        """A copy for one attempt: what hooks change on it, the next attempt does not see, nor the caller.

        Headers, and all dicts, lists and tuples within parameters and body are copied; other objects are not.
        """
        other = self.model_copy()
        other.headers = dict(self.headers) if isinstance(self.headers, Mapping) else self.headers
        other.params = _tree(self.params)
        other.data = _tree(self.data)
        other.json_payload = _tree(self.json_payload)
        return other

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "url", redact_url(self.url)
        yield "method", self.method
        if self.headers is not None:
            yield "headers", dict.fromkeys(self.headers, _Hidden())
        if self.params is not None:
            yield "params", dict.fromkeys(self.params, _Hidden())
        for name in ("data", "json_payload"):
            if getattr(self, name) is not None:
                yield name, _Hidden()
        for name in ("timeout", "response_key", "model"):
            if getattr(self, name) is not None:
                yield name, getattr(self, name)


class WholeAnswerRequest(ApiRequestModel):
    """A request whose caller wants the answer itself, a ``Response``, and not what it holds.

    Args:
        max_response_bytes: limit for its body.
    """

    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES


def _tree(value: Any) -> Any:
    if isinstance(value, dict):
        made = copy(value)
        for key, each in value.items():
            made[key] = _tree(each)
        return made
    if isinstance(value, list):
        items = copy(value)
        items[:] = map(_tree, value)
        return items
    return tuple(map(_tree, value)) if type(value) is tuple else value


_ALL_FIELDS = set(ApiRequestModel.model_fields)
