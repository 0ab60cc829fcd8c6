# %% [markdown]
# # A stream that never stops
#
# Orders come in and never stop coming. They are read as fast as they can be handled, and no faster; what is
# known of them so far can be looked at; and when you have seen enough, nothing is left running.

# %%
import asyncio
from contextlib import AsyncExitStack
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from rxorch import APIOrchestrator
from rxorch.demo.order_flow import order_flow
from rxorch.demo.shop import Faults, Shop
from rxorch.ledger import Ledger
from rxorch.notebook import background, backgrounds, live

opened = AsyncExitStack()
folder = Path(opened.enter_context(TemporaryDirectory()))
weather = Faults(unavailable=0.05, rate_limited=0, reset=0.02, timeout=0, slow=0, latency=0.005)
shop = await opened.enter_async_context(Shop(seed=7, faults=weather))
orchestrator = await opened.enter_async_context(APIOrchestrator(order_flow(shop.urls)))
orchestrator

# %% [markdown]
# ## An endless source
#
# Numbered orders without an end, and a count of how many have been read.


# %%
class Orders:
    def __init__(self, first=0):
        self.first, self.read = first, 0

    def __iter__(self):
        for number in count(self.first):
            self.read += 1
            yield {
                "order": f"order-{number:06d}",
                "user": 1 + number,
                "sku": f"SKU-{number:04d}",
                "quantity": 1,
            }


# %% [markdown]
# ## Back-pressure
#
# Each order calls up to eight services; five orders are under way at a time. We are slow, and look at how
# far the source was read ahead of us.

# %%
orders, ahead = Orders(), []

async with orchestrator.stream(orders, max_concurrent=5, ordered=True) as stream:
    async for run in stream:
        await asyncio.sleep(0.01)  # we are slow
        ahead.append(orders.read - run.index)
        if len(ahead) == 40:
            break

assert max(ahead) <= 2 * 5 + 1  # in order: as many again may wait for a slow one before them
print("read ahead of us:", *ahead)

# %% [markdown]
# Not forty thousand orders in memory, but a handful. The services saw the same: never more than five orders
# at once.

# %%
assert (await shop.stats()).orders_peak <= 5
stream

# %% [markdown]
# ## Watching
#
# `live` makes a handle of a stream. Whoever awaits or iterates it sees a panel, four times a second. Here
# the consumer leaves after 300 orders; the panel keeps its last form.

# %%
feed = live(orchestrator.stream(Orders(1_000), max_concurrent=25), name="orders")

async with feed:
    async for _ in feed:
        if len(feed.results) == 300:
            break

# %%
runs = feed.value
assert len(runs) >= 300
assert str(feed.state) == "closed"
runs

# %% [markdown]
# A failed order is a record like any other. It says what failed, and what had been done by then:

# %%
failed = runs.failed
failed[0] if failed else runs[0]

# %% [markdown]
# ## A ledger
#
# With a ledger, each input is in a file before its first call, and its record before you see it. Here the
# loop is left after 20 orders, as if the process had been killed.

# %%
path = folder / "orders.sqlite"


def fifty_orders(**options):
    return orchestrator.stream(
        islice(Orders(5_000), 50), key=lambda order: order["order"], ledger=path, max_concurrent=4, **options
    )


done = []
async with fifty_orders() as stream:
    async for run in stream:
        done.append(run.key)
        if len(done) == 20:
            break

print(Ledger(path).counts())

# %% [markdown]
# The same stream once more, with `resume=True`. What is done is not done again; what was in flight is, with
# the same idempotency keys, so that nobody pays twice.

# %%
async with fifty_orders(resume=True) as stream:
    rest = [run.key async for run in stream]

assert not set(done) & set(rest)
assert (await shop.stats()).charged_twice == 0

# %% tags=["same"]
counts = Ledger(path).counts()
print(f"{counts.inputs} orders in the ledger, {counts.in_flight} still in flight")

# %% [markdown]
# ## In the background
#
# A stream can run while you go on. It has a name, and if you run its cell again, the old one is ended
# first: a stream is never there twice because its cell was.

# %%
watch = background("orders", orchestrator.stream(Orders(10_000), max_concurrent=5), keep=100)

# %% [markdown]
# Meanwhile, any other cell can be run. This one follows the stream for thirty orders. That takes nothing
# from it, and to leave the loop does not end it.


# %%
async def follow(handle, number):
    seen = 0
    async for _ in handle:
        seen += 1
        if seen == number:
            return


await follow(watch, 30)
backgrounds()

# %%
first = watch
watch = background("orders", orchestrator.stream(Orders(20_000), max_concurrent=5), keep=100)

# %%
await follow(watch, 30)

assert list(backgrounds()) == ["orders"]
assert (str(first.state), str(watch.state)) == ("closed", "running")
assert all(run.input["order"] >= "order-020000" for run in watch.results)
backgrounds()

# %% [markdown]
# ## Stopping
#
# `aclose()` ends what is in flight, and returns when it is gone. To let it end well instead,
# `stream.drain()` reads no more and waits for the rest.

# %%
await watch.aclose()
assert str(watch.state) == "closed"

stream = orchestrator.stream(Orders(30_000), max_concurrent=5)
kept = []
async for run in stream:
    kept.append(run)
    if len(kept) == 10:
        stream.drain()

figures = stream.statistics()
assert len(kept) == figures.read  # everything that was read has its record
assert figures.in_flight == 0
stream

# %%
await opened.aclose()

# %% [markdown]
# Next: [break it on purpose](04_break_it_on_purpose.ipynb). More about [streams](../docs/streaming.md), and
# about [notebooks](../docs/jupyter.md).
