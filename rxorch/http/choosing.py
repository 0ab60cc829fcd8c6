"""The transport that a name stands for."""

from __future__ import annotations

from typing import Any, Literal

from rxorch.errors import ApiConfigurationError
from rxorch.http.aiohttp_transport import AioHttpTransport
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.transport import Transport

__all__ = ["make_transport"]


def make_transport(kind: Literal["aiohttp", "pyreqwest"], **options: Any) -> Transport:
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


def _check_options(kind: str, make: type[Any], options: dict[str, Any]) -> None:
    known = make.__init__.__kwdefaults__ or {}
    for name in options:
        if name not in known:
            raise ApiConfigurationError(
                f"the transport {kind!r} has no option {name!r}; it has {', '.join(sorted(known))}"
            )
