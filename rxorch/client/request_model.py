"""``ApiRequestModel``: one request as its caller put it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from rxorch.http.redaction import REDACTED, redact_url

__all__ = ["ApiRequestModel"]


class _Hidden:
    def __repr__(self) -> str:
        return REDACTED


class ApiRequestModel(BaseModel):
    """One request as its caller put it: mutable, so that hooks can change it.

    Args:
        url: absolute, or a path for a client with ``base_url``.
        method: HTTP method, in any case.
        headers: names to values.
        params: query parameters, added to those in ``url``. A list gives several of a name, None leaves
            it out.
        data: body as it is: bytes, text, a ``StreamedBody``, or a mapping that is sent as a form.
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

    @classmethod
    def unchecked(cls, **fields: Any) -> ApiRequestModel:
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

    def copied(self) -> ApiRequestModel:
        """A copy for one attempt: what hooks change on it, the next attempt does not see."""
        copy = self.model_copy()
        copy.headers = None if self.headers is None else dict(self.headers)
        copy.params = None if self.params is None else dict(self.params)
        return copy

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


_ALL_FIELDS = set(ApiRequestModel.model_fields)
