"""A program that is killed: posts orders to a server, with a ledger.

    python -m tests.crash.shop_program URL LEDGER COUNT

Its only line of output are the statistics of the stream that came to its end, as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys

from rxorch import APIEndpoint, APIOrchestrator, sequential


async def main(url: str, ledger: str, count: int) -> None:
    """Run what is left of the orders."""
    order = APIEndpoint(name="order", url=f"{url}/orders/{{n}}", method="POST", retry_delay=0.01)
    check = APIEndpoint(name="check", url=f"{url}/checks/{{n}}", retry_delay=0.01)
    async with APIOrchestrator(sequential(check, order)) as orchestrator:
        stream = orchestrator.stream(
            ({"n": n} for n in range(count)), max_concurrent=20, ledger=ledger, resume=True
        )
        async for _ in stream:
            pass
    print(json.dumps(dataclasses.asdict(stream.statistics())))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
