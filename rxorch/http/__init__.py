"""Request, response, and the transport between them."""

from rxorch.http.aiohttp_transport import AioHttpTransport
from rxorch.http.body import StreamedBody
from rxorch.http.elements import ServerSentEvent
from rxorch.http.gate import AddressGate
from rxorch.http.headers import check_headers, check_method
from rxorch.http.http_cache import HttpCache
from rxorch.http.logged import LoggedTransport
from rxorch.http.redaction import redact_headers, redact_url
from rxorch.http.request import DEFAULT_MAX_RESPONSE_BYTES, Request
from rxorch.http.response import Response, default_parse
from rxorch.http.retry_after import retry_hint
from rxorch.http.streamed import StreamedResponse
from rxorch.http.tls import TlsOptions
from rxorch.http.transport import StreamingTransport, Transport

__all__ = [
    "DEFAULT_MAX_RESPONSE_BYTES",
    "AddressGate",
    "AioHttpTransport",
    "HttpCache",
    "LoggedTransport",
    "Request",
    "Response",
    "ServerSentEvent",
    "StreamedBody",
    "StreamedResponse",
    "StreamingTransport",
    "TlsOptions",
    "Transport",
    "check_headers",
    "check_method",
    "default_parse",
    "redact_headers",
    "redact_url",
    "retry_hint",
]
