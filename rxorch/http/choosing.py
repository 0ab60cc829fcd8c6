"""The transport that a name stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from rxorch.errors import ApiConfigurationError
from rxorch.http.aiohttp_transport import AioHttpTransport
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.transport import Transport

__all__ = ["TransportKind", "chosen", "make_transport"]

TransportKind = Literal["aiohttp", "pyreqwest"]


def make_transport(kind: TransportKind, **options: Any) -> Transport:
    """Make the transport called ``kind``.

    Args:
        kind: ``"aiohttp"`` for ``AioHttpTransport``, ``"pyreqwest"`` for ``PyreqwestTransport``, which wants
            ``pip install "rxorch[fast]"``.
        options: what its class takes.

    Raises:
        ApiConfigurationError: no such transport, an option that it does not have, or pyreqwest is missing.

    Example:
        >>> make_transport("aiohttp", limit=10).sends
        0
        >>> make_transport("pigeon")
        Traceback (most recent call last):
        ...
        rxorch.errors.ApiConfigurationError: no transport 'pigeon'; there are 'aiohttp' and 'pyreqwest'
    """
    if kind == "aiohttp":
        _check_options(kind, AioHttpTransport, options)
        return AioHttpTransport(**options)
    if kind == "pyreqwest":
        _check_options(kind, PyreqwestTransport, options)
        return PyreqwestTransport(**options)
    raise ApiConfigurationError(f"no transport {kind!r}; there are 'aiohttp' and 'pyreqwest'")


def chosen(transport: Transport | TransportKind | None) -> tuple[Transport | None, Callable[[], Transport]]:
    """What a user chose: a transport of his own, or else what makes one for each event loop.

    A transport that is made has no limit of connections: how much is in flight is what `max_concurrent` and
    bulkheads say.

    Raises:
        ApiConfigurationError: neither a transport nor the name of one, or pyreqwest is missing.
    """
    if transport is None or isinstance(transport, str):
        kind: TransportKind = transport or "aiohttp"
        make_transport(kind)  # what is wrong with it is said here; it opens nothing yet
        return None, partial(make_transport, kind, limit=0)
    if not isinstance(transport, Transport):
        raise ApiConfigurationError(
            f"transport: give a Transport, or the name of one; not {type(transport).__name__}"
        )
    return transport, partial(make_transport, "aiohttp", limit=0)


def _check_options(kind: str, make: type[Any], options: dict[str, Any]) -> None:
    known = make.__init__.__kwdefaults__ or {}
    for name in options:
        if name not in known:
            raise ApiConfigurationError(
                f"the transport {kind!r} has no option {name!r}; it has {', '.join(sorted(known))}"
            )
