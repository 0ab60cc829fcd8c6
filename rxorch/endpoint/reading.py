"""From an answer to a value: status, parser, response_key, model, transform_output."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.values import call_with_context, extract
from rxorch.errors import ApiHttpError, ApiRateLimitError, ApiValidationError
from rxorch.http import Response, default_parse, retry_hint

__all__ = ["AnswerReader", "Attempted"]


@dataclass(frozen=True, slots=True)
class Attempted:
    """What `retry_if` is given: the answer of an attempt that succeeded.

    Attributes:
        status: HTTP status.
        headers: Headers of the answer, case-insensitive.
        value: The value as the endpoint would return it.
    """

    status: int | None
    headers: Mapping[str, str]
    value: Any


class AnswerReader:
    """Reads the answers of one endpoint; every step that it does not ask for is absent."""

    __slots__ = ("_name", "_parse", "_steps")

    def __init__(self, endpoint: APIEndpoint) -> None:
        self._name = endpoint.name
        self._parse: Callable[[Response], Any] = endpoint.response_parser or default_parse
        steps: list[Callable[[Any, Any], Any]] = []
        if endpoint.response_key is not None:
            key = endpoint.response_key
            steps.append(lambda value, _: extract(value, key, endpoint=endpoint.name))
        if endpoint.adapter is not None:
            steps.append(self._validator(endpoint.adapter))
        if endpoint.transform_output is not None:
            steps.append(call_with_context(endpoint.transform_output, label="transform_output"))
        self._steps = tuple(steps)

    def _validator(self, adapter: TypeAdapter[Any]) -> Callable[[Any, Any], Any]:
        validate = adapter.validate_python

        def step(value: Any, _: Any) -> Any:
            try:
                return validate(value)
            except ValidationError as error:
                raise ApiValidationError.from_pydantic(error, endpoint=self._name) from None

        return step

    def read(self, response: Response, context: Any = None) -> Any:
        """The value of an answer; an answer that is not a success is an `ApiHttpError`.

        Args:
            response: The answer.
            context: For a `transform_output` of two parameters: earlier results by name.
        """
        status = response.status
        if not 200 <= status < 300:
            raise self._refused(response)
        value = self._parse(response)
        for step in self._steps:
            value = step(value, context)
        return value

    def _refused(self, response: Response) -> ApiHttpError:
        status = response.status
        kind = ApiRateLimitError if status == 429 else ApiHttpError
        message = None
        if 300 <= status < 400 and status != 304:
            message = f"HTTP {status}: redirects are not followed; call the new address itself"
        return kind(
            status,
            response.text,
            response.headers,
            message=message,
            endpoint=self._name,
            retry_after=retry_hint(status, response.headers, time.time()),
        )
