"""What becomes of a connection after an exchange, and what it reads at a time."""

from __future__ import annotations

from typing import Any, Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

__all__ = ["drop", "may_be_kept", "read_in_small_pieces"]

_READ_BYTES: Final = 120 * 1024
"""asyncio allocates a buffer for each read: 256 KiB, whatever comes. From 128 KiB on, the C library asks the
system for fresh pages each time, which costs a small request a fifth of its CPU; below, it does not. The
attribute that says so (``max_size``) exists on asyncio's own socket transports only."""


def read_in_small_pieces(transport: Any) -> None:
    """Have a fresh connection read into buffers that are cheap to make."""
    if hasattr(transport, "max_size"):
        transport.max_size = _READ_BYTES


def may_be_kept(protocol: ResponseHandler) -> bool:
    """Tell whether another request may go over a connection whose answer was read to its end."""
    if protocol.should_close:
        return False
    # An answer that came before the request was out: the rest of the request is still on its way.
    transport = protocol.transport
    return transport is not None and transport.get_write_buffer_size() == 0


def drop(connection: Connection) -> None:
    """Close a connection at once: not what is left of a request that nobody wants any more is sent."""
    protocol = connection.protocol
    if protocol is not None:
        protocol.abort()
    connection.close()
