"""From an answer to a value: status, parser, response_key, model, transform_output."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rxorch.endpoint.extracting import extractor
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.values import call_with_context
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
    """Reads answers; every step that nobody asks for is absent.

    Args:
        name: Of the endpoint, for errors.
        parser: Makes a value of the answer; by content type by default.
        response_key: Path of what is taken of it.
        adapter: What that is validated against.
        transform: Makes the result of it, of one parameter or two (the value, earlier results by name).
    """

    __slots__ = ("_name", "_parse", "_steps")

    def __init__(
        self,
        name: str,
        *,
        parser: Callable[[Response], Any] | None = None,
        response_key: str | None = None,
        adapter: TypeAdapter[Any] | None = None,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        self._name = name
        self._parse: Callable[[Response], Any] = parser or default_parse
        steps: list[Callable[[Any, Any], Any]] = []
        if response_key is not None:
            find = extractor(response_key, endpoint=name)
            steps.append(lambda value, _: find(value))
        if adapter is not None:
            steps.append(self._validator(adapter))
        if transform is not None:
            steps.append(call_with_context(transform, label="transform_output"))
        self._steps = tuple(steps)

    @classmethod
    def of(cls, endpoint: APIEndpoint) -> AnswerReader:
        """The reader that an endpoint asks for."""
        return cls(
            endpoint.name,
            parser=endpoint.response_parser,
            response_key=endpoint.response_key,
            adapter=endpoint.adapter,
            transform=endpoint.transform_output,
        )

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
        if not 200 <= response.status < 300:
            raise self.refusal(response)
        value = self._parse(response)
        for step in self._steps:
            value = step(value, context)
        return value

    def parsed(self, response: Response) -> Any:
        """What the parser makes of an answer; one that is not a success is an `ApiHttpError`."""
        if not 200 <= response.status < 300:
            raise self.refusal(response)
        return self._parse(response)

    def shaped(self, value: Any, context: Any = None) -> Any:
        """What `response_key`, `model` and `transform_output` make of a parsed value."""
        for step in self._steps:
            value = step(value, context)
        return value

    def refusal(self, response: Response) -> ApiHttpError:
        """The error that an answer is which is not a success."""
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
