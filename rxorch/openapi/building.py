"""From an operation to its ``APIEndpoint``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from pydantic import ValidationError

from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.values import MISSING
from rxorch.errors import ApiConfigurationError
from rxorch.openapi.answers import accept_of, answer_type
from rxorch.openapi.bodies import RequestBody, body_of
from rxorch.openapi.declaring import declared
from rxorch.openapi.names import class_name
from rxorch.openapi.operations import Operation, ParameterPart
from rxorch.openapi.parameters import Parameter
from rxorch.openapi.schemas import SchemaTypes
from rxorch.openapi.security import Security

__all__ = ["EndpointMaker"]

_FROM_DESCRIPTION: Final = frozenset(
    {"name", "url", "method", "params", "body", "transform_input", "model", "auth"}
)


class EndpointMaker:
    """Makes endpoints of operations.

    Args:
        types: makes types of schemas.
        security: knows the credentials.
        extra: what to do about unknown keys in the data of a call.
        settings: fields that all endpoints get.

    Raises:
        ApiConfigurationError: settings for what the description says.
    """

    def __init__(
        self,
        types: SchemaTypes,
        security: Security,
        extra: Literal["forbid", "ignore"],
        settings: Mapping[str, Any],
    ) -> None:
        if extra not in ("forbid", "ignore"):
            raise ApiConfigurationError("extra is 'forbid' or 'ignore'")
        told = sorted(_FROM_DESCRIPTION & set(settings))
        if told:
            raise ApiConfigurationError(
                f"settings: {told[0]!r} comes from the description and cannot be given for all"
            )
        self._types = types
        self._security = security
        self._extra = extra
        self._settings = dict(settings)

    def body(self, operation: Operation) -> RequestBody | None:
        """Return the body that an operation takes; None without one."""
        if operation.body is None:
            return None
        return body_of(operation.body, self._types, f"{class_name(operation.name)}Body")

    def parameters(self, operation: Operation) -> list[Parameter]:
        """Return the parameters of an operation, with their types."""
        return [self._parameter(operation, part) for part in operation.parameters]

    def _parameter(self, operation: Operation, part: ParameterPart) -> Parameter:
        name = f"{class_name(operation.name)}{class_name(part.name)}"
        return Parameter(
            key=part.key,
            name=part.name,
            place=part.place,
            required=part.required,
            style=part.style,
            explode=part.explode,
            as_json=part.as_json,
            placeholder=part.placeholder,
            make=lambda: self._types.type_of(part.schema, "request", name),
            stand_in=_stand_in(self._types.document.resolve(part.schema)) if part.required else MISSING,
        )

    def answer(self, operation: Operation) -> Any:
        """Return the type of what an operation answers; None where it is not known."""
        return answer_type(self._types, operation.raw, f"{class_name(operation.name)}Result")

    def accept(self, operation: Operation) -> str | None:
        """Return the Accept header that an operation asks with; None for the usual one."""
        return accept_of(self._types, operation.raw)

    def endpoint(self, operation: Operation, before: Callable[..., Any] | None = None) -> APIEndpoint:
        """Return the endpoint of an operation.

        Args:
            operation: of the description.
            before: makes the data of the call, ahead of the checks.

        Raises:
            ApiConfigurationError: it cannot be made; names the operation.
        """
        try:
            return self._endpoint(operation, before)
        except RecursionError:
            raise ApiConfigurationError(
                f"operation {operation.title}: its schemas are nested too deeply"
            ) from None

    def _endpoint(self, operation: Operation, before: Callable[..., Any] | None) -> APIEndpoint:
        try:
            return declared(
                operation.name,
                operation.method,
                operation.url,
                self.parameters(operation),
                body=self.body(operation),
                accept=self.accept(operation),
                extra=self._extra,
                before=before,
                model=self.answer(operation),
                auth=self._security.auth(operation.raw, operation.name, operation.url),
                **self._settings,
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise ApiConfigurationError(f"operation {operation.title}: {field}: {first['msg']}") from None


def _stand_in(schema: Any) -> Any:
    """What a required parameter is when a call lacks it: its default or its only value."""
    if not isinstance(schema, Mapping):
        return MISSING
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    values = schema.get("enum")
    return values[0] if isinstance(values, list) and len(values) == 1 else MISSING
