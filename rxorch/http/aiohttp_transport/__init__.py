"""HTTP/1.1 on aiohttp's connector and parser, without its session."""

from rxorch.http.aiohttp_transport.transport import AioHttpTransport

__all__ = ["AioHttpTransport"]
