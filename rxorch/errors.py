"""The error tree of rxorch.

::

    ApiError                        everything that rxorch raises for a call or a run
    |-- ApiHttpError                an answer came, and its status is not a success
    |   `-- ApiRateLimitError       429, or our own limiter could not grant in time
    |-- ApiNetworkError             no (whole) answer came; ``sent`` tells whether the request left
    |   `-- ApiProtocolError        what came is not HTTP, or breaks its framing
    |-- ApiAddressRefusedError      the gate of the transport does not let requests go there
    |-- ApiResponseTooLargeError    the answer is larger than ``max_response_bytes``
    |-- ApiTimeoutError             a time limit passed (also a ``TimeoutError``)
    |-- ApiCircuitOpenError         the circuit breaker refused the call
    |-- ApiBulkheadFullError        no concurrency permit, and no room to wait for one
    |-- ApiValidationError          input or answer has the wrong shape (also a ``ValueError``)
    |-- ApiGraphQLError             a GraphQL server answered with errors
    |-- ApiDependencyError          a step was skipped because another one failed
    |-- ErrorThresholdExceeded      too many calls of a run failed
    `-- ApiConfigurationError       the declaration itself is wrong (also a ``ValueError``)

``ApiRateLimitError``, ``ApiTimeoutError``, ``ApiCircuitOpenError`` and ``ApiBulkheadFullError`` are
also the error of ``rxorch_operators`` that bears the same name without ``Api``: code that
catches the operator's error catches them too.

Every error survives pickling with its attributes, and ``str(error)`` is one line without secrets:
urls arrive here already redacted, bodies and headers are attributes and never part of the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, Unpack

from multidict import CIMultiDict

from rxorch.faults import faults_of
from rxorch.showing import Shown
from rxorch_operators._seconds import seconds_words
from rxorch_operators.errors import (
    BulkheadFullError,
    CircuitOpenError,
    RateLimitExceededError,
    TimeoutExceededError,
    TimeoutKind,
)

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "ApiAddressRefusedError",
    "ApiBulkheadFullError",
    "ApiCircuitOpenError",
    "ApiConfigurationError",
    "ApiDependencyError",
    "ApiError",
    "ApiGraphQLError",
    "ApiHttpError",
    "ApiNetworkError",
    "ApiProtocolError",
    "ApiRateLimitError",
    "ApiResponseTooLargeError",
    "ApiTimeoutError",
    "ApiValidationError",
    "ErrorDetails",
    "ErrorThresholdExceeded",
]

BODY_EXCERPT_CHARS = 500
"""How much of an error answer's body an ``ApiHttpError`` keeps, in characters."""

ErrorT = TypeVar("ErrorT", bound="ApiError")


class ErrorDetails(TypedDict, total=False):
    """The keyword arguments that every error of the tree accepts."""

    endpoint: str | None
    url: str | None
    attempts: int
    elapsed: float | None
    retry_after: float | None
    result: Any


class ApiError(Exception, Shown):
    """Base of all errors of rxorch.

    All attributes may be set after construction: the layer that knows the fact fills it in.

    Args:
        message: what happened, in one line and without secrets.
        endpoint: name of the endpoint that was called.
        url: its url, already redacted.
        attempts: how many attempts were made (0: none left the process).
        elapsed: seconds since the call began.
        retry_after: seconds after which a repetition makes sense, where known.
        result: the partial result of the run that this error ended.

    Example:
        >>> error = ApiError("no luck", endpoint="user", attempts=3)
        >>> str(error)
        "no luck [endpoint 'user', 3 attempts]"
    """

    def __init__(
        self,
        message: str = "",
        *,
        endpoint: str | None = None,
        url: str | None = None,
        attempts: int = 0,
        elapsed: float | None = None,
        retry_after: float | None = None,
        result: Any = None,
    ) -> None:
        # Not super().__init__: the next class in line may be an operator error with another signature.
        Exception.__init__(self, message)
        self.message = message
        self.endpoint = endpoint
        self.url = url
        self.attempts = attempts
        self.elapsed = elapsed
        self.retry_after = retry_after
        self.result = result

    def __str__(self) -> str:
        text = " ".join(self.message.split()) or type(self).__name__
        facts = []
        if self.endpoint:
            facts.append(f"endpoint {self.endpoint!r}")
        if self.url:
            facts.append(self.url)
        if self.attempts:
            facts.append(f"{self.attempts} attempt{'s' if self.attempts != 1 else ''}")
        if self.elapsed is not None:
            facts.append(seconds_words(self.elapsed))
        return f"{text} [{', '.join(facts)}]" if facts else text

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(cls: type[ErrorT], args: tuple[Any, ...], state: dict[str, Any]) -> ErrorT:
    """Rebuild an unpickled error without its ``__init__``, whose signature differs from class to class."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ApiHttpError(ApiError):
    """An answer came, and its status says that the call failed.

    Args:
        status_code: the HTTP status; None only where no server was asked (see ``ApiRateLimitError``).
        body: text of the answer's body; the first 500 characters are kept.
        headers: headers of the answer; kept case-insensitive.
        message: replaces the default text ``HTTP <status>``.

    Example:
        >>> error = ApiHttpError(503, body="busy", headers={"Retry-After": "2"}, endpoint="user")
        >>> str(error), error.status_code, error.headers["retry-after"]
        ("HTTP 503 [endpoint 'user']", 503, '2')
    """

    def __init__(
        self,
        status_code: int | None,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        message: str | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(f"HTTP {status_code}" if message is None else message, **details)
        self.status_code = status_code
        self.body = body[:BODY_EXCERPT_CHARS]
        self.headers: CIMultiDict[str] = CIMultiDict(headers or {})


class ApiRateLimitError(ApiHttpError, RateLimitExceededError):
    """Too many calls: the server said 429, or our own limiter could not grant in time.

    ``status_code`` is None when it was our own limiter. ``retry_after``: seconds until a permit.

    Args:
        name: name of the limiter, where it was ours.
    """

    def __init__(
        self,
        status_code: int | None = None,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        message: str | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        if message is None and status_code is None:
            message = str(RateLimitExceededError(name=name, retry_after=details.get("retry_after")))
        super().__init__(status_code, body, headers, message=message, **details)
        self.name = name


class ApiNetworkError(ApiError):
    """No whole answer came.

    Args:
        sent: True when the request was put on a connection, so that the server may have acted on it;
            False when it certainly did not leave (refused connection, unknown host).
    """

    def __init__(self, message: str = "", *, sent: bool = False, **details: Unpack[ErrorDetails]) -> None:
        super().__init__(message, **details)
        self.sent = sent


class ApiProtocolError(ApiNetworkError):
    """What came back is not valid HTTP (status line, headers, framing or encoding)."""


class ApiAddressRefusedError(ApiError):
    """The ``AddressGate`` of the transport does not let requests go to this host, port or address.

    Nothing was sent, and no repetition will be.
    """


class ApiResponseTooLargeError(ApiError):
    """The answer is larger than allowed, on the wire or after decompression; nothing of it is kept.

    Args:
        limit: the limit, in bytes (``max_response_bytes`` of the endpoint).
    """

    def __init__(self, limit: int, message: str | None = None, **details: Unpack[ErrorDetails]) -> None:
        super().__init__(f"response larger than {limit} bytes" if message is None else message, **details)
        self.limit = limit


class ApiTimeoutError(ApiError, TimeoutExceededError):
    """A time limit passed. Also a ``TimeoutError``.

    Args:
        limit: the limit, in seconds.
        kind: which one: ``"total"``, ``"attempt"``, ``"each"``, ``"first"`` or ``"queue"``.

    Example:
        >>> str(ApiTimeoutError(limit=2.5, kind="attempt", endpoint="user"))
        "the attempt did not end within 2.5 s (attempt) [endpoint 'user']"
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        limit: float | None = None,
        kind: TimeoutKind = "total",
        **details: Unpack[ErrorDetails],
    ) -> None:
        if message is None:
            message = str(TimeoutExceededError(limit=limit, kind=kind))
        super().__init__(message, **details)
        self.limit = limit
        self.kind = kind


class ApiCircuitOpenError(ApiError, CircuitOpenError):
    """The circuit breaker is open and refused the call; it lets a probe through in ``retry_after`` seconds.

    Args:
        name: name of the breaker.
    """

    def __init__(
        self, message: str | None = None, *, name: str | None = None, **details: Unpack[ErrorDetails]
    ) -> None:
        if message is None:
            message = str(CircuitOpenError(name=name, retry_after=details.get("retry_after")))
        super().__init__(message, **details)
        self.name = name


class ApiBulkheadFullError(ApiError, BulkheadFullError):
    """All concurrency permits are taken, and the queue of those who wait is full.

    Args:
        limit: permits of the bulkhead.
        queue: places in its queue; None if it has no bound.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        limit: int | None = None,
        queue: int | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        if message is None:
            message = str(BulkheadFullError(limit=limit, queue=queue))
        super().__init__(message, **details)
        self.limit = limit
        self.queue = queue


class ApiValidationError(ApiError, ValueError):
    """Input or answer does not have the shape that was asked for.

    Args:
        errors: one dict per fault with ``loc`` (tuple of keys), ``msg`` and ``type``. Never the input itself.
    """

    def __init__(
        self,
        message: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.errors: list[dict[str, Any]] = [
            {"loc": tuple(fault["loc"]), "msg": fault["msg"], "type": fault["type"]} for fault in errors
        ]

    @classmethod
    def from_pydantic(cls, error: ValidationError, **details: Unpack[ErrorDetails]) -> ApiValidationError:
        """Convert pydantic's error and leave out the input values that it quotes."""
        message, faults = faults_of(error)
        return cls(message, errors=faults, **details)


class GraphQLFault(NamedTuple):
    """One of the errors of a GraphQL answer: the server's words, the place in the data, its code."""

    message: str
    path: tuple[str | int, ...] = ()
    code: str | None = None


class ApiGraphQLError(ApiError):
    """A GraphQL server answered with errors. Their words are kept, and are no part of ``str(error)``.

    Args:
        errors: each a ``GraphQLFault``.
        data: the part of the data that came with them.
    """

    def __init__(
        self, message: str = "", errors: Sequence[Any] = (), data: Any = None, **details: Unpack[ErrorDetails]
    ) -> None:
        super().__init__(message, **details)
        self.errors, self.data = tuple[GraphQLFault, ...](errors), data


class ApiDependencyError(ApiError):
    """A step was not run because something that it depends on failed.

    Args:
        cause_endpoint: name of the step that failed first.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        cause_endpoint: str | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(f"{cause_endpoint!r} failed before" if message is None else message, **details)
        self.cause_endpoint = cause_endpoint


class ErrorThresholdExceeded(ApiError):
    """Too many calls of a run failed; the run was stopped.

    Args:
        counts: number of calls by outcome (``{"ok": 12, "failed": 9}``).
    """

    def __init__(
        self,
        message: str = "error threshold exceeded",
        *,
        counts: Mapping[str, int] | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.counts = dict(counts or {})


class ApiConfigurationError(ApiError, ValueError):
    """The declaration of an endpoint, a flow or a client is wrong."""
