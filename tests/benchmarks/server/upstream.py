"""The services behind every server that is measured: two small JSON answers, as little work as can be.

    python -m tests.benchmarks.server.upstream PORT

No HTTP library: with one it would be the slowest part of what is measured.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import uvloop

__all__ = ["ORDERS", "USER"]

USER: Final = b'{"id": %s, "name": "Ada Lovelace", "email": "ada@example.com", "active": true}'
ORDERS: Final = (
    b'[{"order": 1, "user": %s, "item": "engine", "price": 12.5},'
    b' {"order": 2, "user": %s, "item": "punched cards", "price": 0.75}]'
)
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Services(asyncio.Protocol):
    """Answers `GET /users/{id}` and `GET /orders/{id}`."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.left = b""

    def data_received(self, data: bytes) -> None:
        *heads, self.left = (self.left + data).split(b"\r\n\r\n")
        for head in heads:
            number = head[: head.index(b" HTTP")].rpartition(b"/")[2]
            body = USER % number if head.startswith(b"GET /users/") else ORDERS % (number, number)
            self.transport.write(_HEAD % (len(body), body))


async def main(port: int) -> None:
    """Answers until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Services, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
