"""From what aiohttp and the system raise to the error tree."""

from __future__ import annotations

import asyncio
import os
from typing import NoReturn

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ClientSSLError,
    InvalidURL,
    ServerDisconnectedError,
)
from aiohttp.http import HttpProcessingError

from rxorch.errors import ApiAddressRefusedError, ApiError, ApiNetworkError, ApiProtocolError
from rxorch.http.aiohttp_transport.session_route import REPLACED, is_replaced
from rxorch.http.gate import AddressRefused
from rxorch.http.request import Request

__all__ = ["TRANSPORT_FAILURES", "as_api_error", "error_of", "raise_instead"]

TRANSPORT_FAILURES = (ClientError, HttpProcessingError, OSError)
"""What may come out of aiohttp's connector, protocol and parser."""


def error_of(
    failure: BaseException, request: Request, source_error: BaseException | None = None, *, closed: bool
) -> BaseException:
    """Return what ``failure`` is raised as: itself, where it says all that there is to say.

    Args:
        failure: what ended an exchange.
        request: of that exchange; its endpoint and its url go into an error of ours.
        source_error: what the source of its body raised. It is the error of the call, whatever came of it.
        closed: True when the transport was closed meanwhile.
    """
    failure = source_error or failure
    of_the_wire = isinstance(failure, TRANSPORT_FAILURES) or _unasked(failure, closed)
    error: ApiError
    if isinstance(failure, ApiError):  # first, for a few of them are an OSError too
        error = failure
    elif failure is source_error or not of_the_wire:
        return failure
    elif closed:
        error = ApiNetworkError("the transport was closed", sent=request.sent)
    else:
        error = as_api_error(failure, request.sent)
    if error is not failure and is_replaced():
        error.add_note(REPLACED)
    error.endpoint = error.endpoint or request.endpoint
    error.url = error.url or request.shown_url
    return error


def _unasked(failure: BaseException, closed: bool) -> bool:
    # When the connector closes it cancels those who wait for a connection: nobody asked for that.
    task = asyncio.current_task()
    return isinstance(failure, asyncio.CancelledError) and closed and not (task and task.cancelling())


def as_api_error(failure: BaseException, sent: bool) -> ApiError:
    """Say in our words what happened. The failure's own text stays out: it may quote what the server sent."""
    failure = _unwrapped(failure)
    match failure:
        case HttpProcessingError():
            return ApiProtocolError(f"the answer is not valid HTTP: {_fault(failure)}", sent=sent)
        case ClientPayloadError():
            return ApiNetworkError("the answer was cut short", sent=sent)
        case ServerDisconnectedError():
            return ApiNetworkError("the server closed the connection without an answer", sent=sent)
        case ClientConnectorDNSError():
            return ApiNetworkError("cannot find the address of the host", sent=sent)
        case ClientConnectorCertificateError():
            return ApiNetworkError("the server's certificate is not trusted", sent=sent)
        case ClientSSLError():
            return ApiNetworkError("the TLS handshake failed", sent=sent)
        case ClientConnectorError() | ClientHttpProxyError():
            return _unconnected(failure)
        case InvalidURL():
            return ApiNetworkError("not a valid host", sent=sent)
        case OSError():
            return ApiNetworkError(f"the connection was lost: {_reason(failure)}", sent=sent)
        case _:
            return ApiNetworkError(f"the connection failed: {type(failure).__name__}", sent=sent)


def _unconnected(failure: ClientConnectorError | ClientHttpProxyError) -> ApiError:
    if isinstance(failure, ClientHttpProxyError):
        refuses = "wants other credentials" if failure.status == 407 else "refused the connection"
        return ApiNetworkError(f"the proxy {refuses}: HTTP {failure.status}", sent=False)
    if isinstance(failure.os_error, AddressRefused):
        return ApiAddressRefusedError("the address of the host is not allowed")
    where = " to the proxy" if isinstance(failure, ClientProxyConnectionError) else ""
    return ApiNetworkError(f"cannot connect{where}: {_reason(failure.os_error)}", sent=False)


def raise_instead(error: BaseException, failure: BaseException) -> NoReturn:
    """Raise ``error`` in the place of ``failure``, which is being handled and may be the same.

    A new error gets ``failure`` as its context, unseen: its text may quote what the server sent. One that was
    raised before (by the source of a body) keeps the story that it has.
    """
    raised = error.__traceback__ is not None
    # In its repr are the headers that were sent, with the credentials for server or proxy.
    keep = raised or isinstance(failure, ClientResponseError)
    context = error.__context__
    try:
        if raised:
            raise error
        raise error from None
    finally:
        if keep:
            error.__context__ = context
        del error, failure, context


def _unwrapped(failure: BaseException) -> BaseException:
    # A session wraps what the parser says; the transport's own way meets it bare.
    return failure.__cause__ or failure if isinstance(failure, ClientResponseError) else failure


def _reason(failure: OSError) -> str:
    # By number, for strerror may hold an address or a text of somebody else's.
    return os.strerror(failure.errno) if failure.errno is not None else type(failure).__name__


def _fault(failure: HttpProcessingError) -> str:
    # Up to the colon, after which the parser quotes the bytes that it stumbled over.
    return failure.message.partition(":")[0].strip()[:80] or "unreadable"
