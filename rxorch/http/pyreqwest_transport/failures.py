"""From what pyreqwest raises to the error tree."""

from __future__ import annotations

import os
import re
from typing import Any, Final

from rxorch.errors import ApiNetworkError, ApiProtocolError

__all__ = ["as_api_error", "is_unsent"]

# How hyper names, in words that are its own, the step at which a request failed.
_CONNECT: Final = "client error (Connect)"
_HANDED_BACK: Final = "client error (Canceled)"
"""The connection had ended before the request was written, and the request came back untouched."""

_NOT_HTTP: Final = {
    "invalid HTTP version parsed": "the version",
    "invalid HTTP status-code parsed": "the status",
    "invalid HTTP header parsed": "a header",
    "invalid content-length parsed": "the Content-Length",
    "invalid transfer-encoding parsed": "the Transfer-Encoding",
    "unexpected transfer-encoding parsed": "the Transfer-Encoding",
    "message head is too large": "a head that is too large",
}
_CUT_SHORT: Final = ("end of file before message length reached", "unexpected EOF")
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)\Z")


def is_unsent(failure: BaseException) -> bool:
    """Tell whether ``failure`` proves that no byte of the request left."""
    causes = _causes(failure)
    return _CONNECT in causes or _HANDED_BACK in causes


def as_api_error(failure: BaseException, sent: bool) -> ApiNetworkError:
    """Say in our words what happened. Texts are only compared, never quoted: they hold urls and more."""
    causes = _causes(failure)
    if _CONNECT in causes:
        return ApiNetworkError(_why_no_connection(causes), sent=False)
    if _HANDED_BACK in causes:
        return ApiNetworkError("the connection ended before the request left", sent=False)
    last = causes[-1] if causes else ""
    if (number := _os_error(last)) is not None:
        return ApiNetworkError(f"the connection was lost: {os.strerror(number)}", sent=sent)
    if last in _NOT_HTTP:
        return ApiProtocolError(f"the answer is not valid HTTP: {_NOT_HTTP[last]}", sent=sent)
    if last.lower().startswith("invalid chunk"):
        return ApiProtocolError("the answer is not valid HTTP: the framing of its chunks", sent=sent)
    if last.startswith(_CUT_SHORT):
        return ApiNetworkError("the answer was cut short", sent=sent)
    if last == "connection closed before message completed":
        return ApiNetworkError("the server closed the connection without an answer", sent=sent)
    if isinstance(failure, TimeoutError):
        return ApiNetworkError("the server was silent for too long", sent=sent)
    return ApiNetworkError(f"the connection failed: {type(failure).__name__}", sent=sent)


def _why_no_connection(causes: list[str]) -> str:
    if "dns error" in causes:
        return "cannot find the address of the host"
    if any("invalid peer certificate" in cause for cause in causes):
        return "the server's certificate is not trusted"
    if any(cause.startswith("tunnel error") for cause in causes):
        return "the proxy does not open a tunnel"
    number = _os_error(causes[-1])
    if number is not None:
        return f"cannot connect: {os.strerror(number)}"
    return "the TLS handshake failed"


def _causes(failure: BaseException) -> list[str]:
    details: Any = getattr(failure, "details", None)
    if not isinstance(details, dict):
        return []
    return [str(cause["message"]) for cause in details.get("causes") or ()]


def _os_error(text: str) -> int | None:
    match = _OS_ERROR.search(text)
    return int(match.group(1)) if match else None
