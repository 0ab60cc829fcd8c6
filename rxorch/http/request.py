"""What a transport sends."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarl import URL

from rxorch.http.body import StreamedBody
from rxorch.http.redaction import redact_url

__all__ = ["DEFAULT_MAX_RESPONSE_BYTES", "Request"]

DEFAULT_MAX_RESPONSE_BYTES = 10 * 1024 * 1024
"""The largest body that is read, on the wire and after decompression, unless a request says otherwise."""


@dataclass(slots=True, eq=False, repr=False, weakref_slot=True)
class Request:
    """One HTTP request, ready to go. Mutable: a hook may still change it before it is sent.

    Args:
        method: HTTP method, in capitals.
        url: absolute url, every part already percent-encoded (``URL(text, encoded=True)``).
        headers: header names and values; see ``check_headers`` for what is refused.
        body: the body's bytes, a ``StreamedBody``, or None for none.
        max_response_bytes: limit for the answer's body, in bytes, on the wire and after decompression; None
            for no limit, which only a body that is read piece by piece may have.
        endpoint: name of the endpoint, for errors.
        sent: set to True by the transport at the moment the request goes to a connection.
        hidden: names of parameters whose values are never shown, beyond those that look secret.

    Example:
        >>> Request("GET", URL("https://api.example.com/users/7?token=abc"))
        <Request GET https://api.example.com/users/7?token=***>
    """

    method: str
    url: URL
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | StreamedBody | None = None
    max_response_bytes: int | None = DEFAULT_MAX_RESPONSE_BYTES
    endpoint: str | None = None
    sent: bool = False
    hidden: frozenset[str] = frozenset()

    @property
    def repeatable(self) -> bool:
        """Whether its body can be sent again, once it was begun."""
        return not isinstance(self.body, StreamedBody) or self.body.repeatable

    @property
    def shown_url(self) -> str:
        """The url without its secrets, for messages and logs."""
        return redact_url(self.url, self.hidden)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.shown_url}>"
