"""``APIEndpoint``: what to call, and how carefully."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from rxorch.endpoint import _checks
from rxorch.endpoint._show import show
from rxorch.endpoint.auth import Auth
from rxorch.endpoint.redirects import RedirectPolicy, redirects_from
from rxorch.endpoint.template import ParamsTemplate, Template, TextTemplate, absolute_url
from rxorch.http import DEFAULT_MAX_RESPONSE_BYTES, Response
from rxorch.showing import Shown
from rxorch_operators import CircuitBreaker, RateLimiter, RetryPolicy

__all__ = ["IDEMPOTENT_METHODS", "APIEndpoint"]

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be repeated without asking (RFC 9110, section 9.2.2)."""

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]
_OfData = Callable[[Any], Any] | Callable[[Any, Any], Any]
_DataFunction = Annotated[_OfData | None, PlainValidator(_checks.data_field)]


def _one_of(kind: type, *also: object) -> PlainValidator:
    return PlainValidator(lambda value: _checks.instance(value, kind, also))


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What is made of the fields once, for all calls."""

    template: Template
    fields: tuple[str, ...]
    adapter: TypeAdapter[Any] | None


class APIEndpoint(Shown, BaseModel, frozen=True):
    """One endpoint of an API: what to call, with what, how often, how long, and what to make of the answer.

    Frozen, and checked when it is made. Texts in ``url``, ``headers`` and ``params`` are templates: ``{id}``
    and ``{user.profile.id}`` are filled from the data of each call (``{{`` and ``}}`` are braces). A callable
    of the data may take one parameter (the data) or two (data and context: the earlier results by name);
    none may be ``async``.

    Args:
        name: unique in an orchestration; letters, digits, ``_``, ``-``, ``.``.
        url: template of an absolute http or https url, without user info and fragment; or of its path, which
            the client puts behind its ``base_url``. Placeholders may stand in the path, in the query and for
            (a part of) one label of the host.
        method: HTTP method in any case; CONNECT and TRACE are refused.
        headers: names to templates. Framing headers (Host, Content-Length ...) are refused.
        params: query parameters: names to templates or values, or a callable of the data that makes such a
            mapping (its texts are taken as they are). A list gives several parameters of a name, None leaves
            it out. A text that is exactly one placeholder keeps the type of its value.
        body: the body as it is (nothing in it is a template), or a callable of the data that makes it.
            Mappings, lists, numbers and models are sent as JSON (as a form, when the content-type header says
            so), text as text/plain, bytes as application/octet-stream. Without it, POST, PUT and PATCH send
            the data as JSON.
        timeout: seconds for one attempt; None for no limit.
        total_timeout: seconds for the call with all attempts and waits; None for no limit of its own.
        retry_count: attempts after the first one.
        retry_delay: base of the waits in seconds; None for the default (0.2 s, after 429 and 503 1 s).
        retry_jitter: ``"full"``, ``"equal"``, ``"decorrelated"`` or ``"none"``.
        retry_on: HTTP statuses to retry, in the place of 408, 429, 500, 502, 503, 504.
        retry_if: sees each answer (status, headers, value); True retries it.
        idempotent: whether a repetition is harmless; None: by method (GET, HEAD, OPTIONS, PUT, DELETE are).
        rate_limit: calls in ``rate_limit_window``.
        burst_limit: how many of them may go at once; needs ``rate_limit``.
        rate_limit_window: seconds; None for the window of the client (60 s).
        rate_cost: units of its own limit that each attempt takes, such as the tokens of a prompt: a whole
            number, or a callable of the data as it is before ``transform_input``. Of limits that it shares
            with other endpoints of a client it takes 1.
        response_parser: makes a value of the response; default: by content type.
        transform_input: makes the data of this call: for templates, and for the body when there is none.
        transform_output: makes the result of the parsed and validated value.
        error_handler: makes a value of an error; the result then counts as degraded.
        condition: whether the endpoint is called at all in an orchestration.
        depends_on: names of endpoints whose results it needs.
        skip_propagates: whether those that depend on it are skipped too when its condition does not hold.
        response_key: what is taken from the parsed answer: a dotted path such as ``data.items.0.id``, or
            JMESPath such as ``data.items[?active].id``.
        model: pydantic type that the value is validated against: ``User``, ``list[User]``, a union ...
        each: whether a list is emitted item by item.
        stream: reads the answer piece by piece and emits what it is made of: ``"ndjson"`` (a JSON value for
            each line), ``"sse"`` (a ``ServerSentEvent`` each), ``"lines"`` or ``"bytes"``. ``response_key``,
            ``model`` and ``transform_output`` then apply to each element, and ``timeout`` to the wait for
            each.
        max_element_bytes: limit for one element of a stream.
        idempotency_key: ``"auto"`` (a fresh key for each call of an unsafe method that may be retried, the
            same in all its attempts), None (no key), a template, or a callable of the data.
        max_response_bytes: limit for the body of an answer, on the wire and after decompression; None
            only with ``stream``, where it is the default.
        cache_ttl: seconds that answers are kept; 0: never; None: as the client says.
        http_cache: False: the client's HTTP cache is not asked.
        auth: credentials; they go to the origin that ``url`` names and to no other. None: those of the
            client, where they are meant for this origin; False: none.
        follow_redirects: how far redirects are followed; False: not at all; None: as the client says.
        circuit_breaker: one to share; None: one of its own; False: none.
        rate_limiter: one to share, in the place of ``rate_limit``.
        retry: all settings of the repetition, in the place of ``retry_count``, ``retry_delay`` and
            ``retry_jitter``.
        compensate_with: what undoes it in a saga (see ``rxorch.saga.Step``): an endpoint, or a function.

    Raises:
        pydantic.ValidationError: names endpoint and field, and what is wrong; never holds an input value.

    Example:
        >>> user = APIEndpoint(name="user", url="https://api.example.com/users/{id}", retry_on=[502, 503])
        >>> user.method, user.template_fields, user.max_attempts
        ('GET', ('id',), 3)
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_checks.name)]
    url: Annotated[str, AfterValidator(_checks.url)]
    method: Annotated[str, AfterValidator(_checks.method)] = "GET"
    headers: Annotated[Mapping[str, str] | None, PlainValidator(_checks.headers)] = None
    params: Annotated[Mapping[str, Any] | _OfData | None, PlainValidator(_checks.params)] = None
    body: Annotated[Any, PlainValidator(_checks.body)] = None
    timeout: _Positive | None = 30.0
    total_timeout: _Positive | None = None
    retry_count: Annotated[int, Field(ge=0)] = 2
    retry_delay: _NotNegative | None = None
    retry_jitter: Literal["full", "equal", "decorrelated", "none"] = "full"
    retry_on: Annotated[Collection[int] | None, PlainValidator(_checks.retry_on)] = None
    retry_if: Annotated[Callable[[Any], Any] | None, PlainValidator(_checks.parser_field)] = None
    idempotent: bool | None = None
    rate_limit: _Count | None = None
    burst_limit: _Count | None = None
    rate_limit_window: _Positive | None = None
    rate_cost: Annotated[int | _OfData, PlainValidator(_checks.rate_cost)] = 1
    response_parser: Annotated[Callable[[Response], Any] | None, PlainValidator(_checks.parser_field)] = None
    transform_input: _DataFunction = None
    transform_output: _DataFunction = None
    error_handler: _DataFunction = None
    condition: _DataFunction = None
    depends_on: Annotated[Sequence[str], PlainValidator(_checks.depends_on)] = ()
    skip_propagates: bool = False
    response_key: Annotated[str, AfterValidator(_checks.response_key)] | None = None
    model: Annotated[Any, PlainValidator(_checks.model)] = None
    each: bool = False
    stream: Literal["ndjson", "sse", "lines", "bytes"] | None = None
    max_element_bytes: _Count = 1024 * 1024
    idempotency_key: Annotated[str | _OfData | None, PlainValidator(_checks.idempotency_key)] = "auto"
    max_response_bytes: _Count | None = DEFAULT_MAX_RESPONSE_BYTES
    cache_ttl: _NotNegative | None = None
    http_cache: bool | None = None
    auth: Annotated[Auth | Literal[False] | None, PlainValidator(_checks.auth)] = None
    follow_redirects: Annotated[RedirectPolicy | Literal[False] | None, PlainValidator(redirects_from)] = None
    circuit_breaker: Annotated[CircuitBreaker | Literal[False] | None, _one_of(CircuitBreaker, False)] = None
    rate_limiter: Annotated[RateLimiter | None, _one_of(RateLimiter)] = None
    retry: Annotated[RetryPolicy | None, _one_of(RetryPolicy)] = None
    compensate_with: Annotated[Any, PlainValidator(_checks.as_it_is)] = None

    _compiled: _Compiled = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data
        _checks.refuse_unknown(cls, data)
        try:
            endpoint = handler(data)
        except ValidationError as error:
            _checks.hide_inputs(cls, data, error)
        faults = list(endpoint._contradictions())
        if faults:
            _checks.refuse(cls, data, faults)
        return endpoint

    def _contradictions(self) -> Iterator[_checks.Fault]:
        yield from self._contradictions_of_limits()
        yield from self._contradictions_of_streams()
        if self.retry is not None:
            for field in ("retry_count", "retry_delay", "retry_jitter"):
                if field in self.model_fields_set:
                    yield field, "stands in retry already; give one of the two"
        undone = self.compensate_with
        if undone is not None and not isinstance(undone, APIEndpoint) and not callable(undone):
            yield "compensate_with", "is an APIEndpoint or a function"
        if self.name in self.depends_on:
            yield "depends_on", "an endpoint cannot depend on itself"
        if self.idempotency_key not in ("auto", None) and self.header("idempotency-key") is not None:
            yield "idempotency_key", "stands in headers already; give one of the two"

    def _contradictions_of_limits(self) -> Iterator[_checks.Fault]:
        if self.rate_limit is None:
            for field in ("burst_limit", "rate_limit_window"):
                if getattr(self, field) is not None:
                    yield field, "means nothing without rate_limit"
        elif self.rate_limiter is not None:
            yield "rate_limiter", "stands in the place of rate_limit; give one of the two"
        if self.rate_cost != 1 and self.rate_limit is None and self.rate_limiter is None:
            yield "rate_cost", "means nothing without rate_limit or rate_limiter"

    def _contradictions_of_streams(self) -> Iterator[_checks.Fault]:
        if self.stream is None:
            if self.max_response_bytes is None:
                yield "max_response_bytes", "may be None for a stream only: other answers are held in memory"
            return
        for field in ("response_parser", "cache_ttl", "retry_if", "each"):
            if getattr(self, field):
                yield field, "is for whole answers; an endpoint with stream emits elements"

    def model_post_init(self, context: Any, /) -> None:
        """Compile what is used for every call."""
        template = Template(absolute_url(self.url), endpoint=self.name)
        self._compiled = _Compiled(  # type: ignore[misc] # set once, here
            template=template,
            fields=tuple(dict.fromkeys((*template.fields, *self._other_fields()))),
            adapter=None if self.model is None else TypeAdapter(self.model),
        )

    def _other_fields(self) -> Iterator[str]:
        for name, text in (self.headers or {}).items():
            yield from TextTemplate(text, label=name).fields
        if isinstance(self.params, Mapping):
            yield from ParamsTemplate(self.params).fields
        if isinstance(self.idempotency_key, str):
            yield from TextTemplate(self.idempotency_key, label="idempotency_key").fields

    @property
    def template(self) -> Template:
        """The compiled url."""
        return self._compiled.template

    @property
    def template_fields(self) -> tuple[str, ...]:
        """Dotted paths of all placeholders in url, headers, params and idempotency key."""
        return self._compiled.fields

    @property
    def adapter(self) -> TypeAdapter[Any] | None:
        """The compiled ``model``; None without one."""
        return self._compiled.adapter

    @property
    def max_attempts(self) -> int:
        """Attempts of one call at most, the first included."""
        return self.retry_count + 1 if self.retry is None else self.retry.max_attempts

    @property
    def is_idempotent(self) -> bool:
        """Whether a repetition of the request has the effect of one."""
        return self.method in IDEMPOTENT_METHODS if self.idempotent is None else self.idempotent

    def header(self, name: str) -> str | None:
        """Return the template of a header, whatever the case of its name; None if it is not set."""
        wanted = name.lower()
        return next((text for title, text in (self.headers or {}).items() if title.lower() == wanted), None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy. Unlike pydantic's own, it checks what is updated.

        Example:
            >>> endpoint = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
            >>> endpoint.model_copy(update={"url": "https://test.example.com/u/{key}"}).template_fields
            ('key',)
        """
        if not update:
            return super().model_copy(deep=deep)
        given = {field: getattr(self, field) for field in self.model_fields_set}
        return type(self)(**given | dict(update))

    if not TYPE_CHECKING:  # a type checker must still see that fields cannot be set

        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_"):  # pydantic's own error would quote the value
                frozen = "Instance is frozen; model_copy(update=...) makes a changed one"
                _checks.refuse(type(self), {"name": self.name}, [(name, frozen)])
            super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.url, self.method))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # All of pydantic's representations (repr, str, rich, devtools) are made of these pairs.
        given = ((field, getattr(self, field)) for field in type(self).model_fields)
        return ((field, show(field, value)) for field, value in given if self._is_shown(field, value))

    def _is_shown(self, field: str, value: Any) -> bool:
        return field == "method" or (field in self.model_fields_set and value is not None)
