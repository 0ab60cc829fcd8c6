# %% [markdown]
# # A saga that undoes itself
#
# An order is paid, its goods are reserved, a parcel is sent. Three services, and no transaction that spans
# them. A saga is such a run in which each step has an undo. If a step fails for good, those before it are
# undone. If the process dies, the run goes on in another one.

# %%
import asyncio
import json
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rxorch import RetryPolicy
from rxorch.demo.order_saga import order_saga
from rxorch.demo.shop import Faults, Shop
from rxorch.saga import Saga, SqliteJournal, Step

opened = AsyncExitStack()
path = Path(opened.enter_context(TemporaryDirectory())) / "orders.sqlite"
shop = await opened.enter_async_context(Shop(faults=Faults.none(latency=0.01)))

# %% [markdown]
# ## The steps
#
# Payment, stock, parcel, and how each is taken back. Everything is written into a journal, one file, before
# the next step begins.

# %%
saga = order_saga(shop.urls, SqliteJournal(path))
await opened.enter_async_context(saga)
saga

# %% [markdown]
# ## All is well

# %%
order = {"amount_cents": 4_200, "sku": "SKU-0042", "quantity": 2, "country": "NL", "weight_g": 800}

run = await saga.start({"order": "order-1", **order}, run_id="order-1")
result = await run
result

# %%
assert result.ok
assert str(result.state) == "completed"
await run.show()

# %% [markdown]
# ## Nobody delivers to Antarctica
#
# The customer has paid, the goods are put aside, and then no carrier goes there. So the goods go back on
# the shelf, and the money to the customer: in reverse.

# %%
run = await saga.start({"order": "order-2", **order, "country": "AQ"}, run_id="order-2")
result = await run
await run.show()

# %% tags=["same"]
for event in await saga.history("order-2"):
    print(event.kind, event.data.get("key", ""))

# %% [markdown]
# The services agree: only the first order holds anything.

# %%
held = (await shop.stats()).holdings
assert str(result.state) == "compensated"
assert result.error["step"] == "ship"
held

# %% [markdown]
# ## Pull the plug
#
# The same saga in another process, on the same journal. The process ends the moment the goods are reserved:
# no `finally`, no goodbye.

# %%
PROGRAM = """
import asyncio, json, os, sys
from rxorch.demo.order_saga import order_saga
from rxorch.saga import SqliteJournal

urls, path, order = map(json.loads, sys.argv[1:])

def pull_the_plug(event):
    if event.kind == "step.completed" and event.data["step"] == "reserve":
        os._exit(9)

async def main():
    async with order_saga(urls, SqliteJournal(path), lease=1.0) as saga:
        run = await saga.start(order, run_id="order-3")
        run.events.subscribe(pull_the_plug)
        await run

asyncio.run(main())
"""
arguments = (shop.urls, str(path), {"order": "order-3", **order})
ended = subprocess.run([sys.executable, "-c", PROGRAM, *map(json.dumps, arguments)], check=False)

# %% tags=["same"]
run = saga.run("order-3")
print("exit code", ended.returncode)
print("the journal says:", (await run.status()).state)

# %% [markdown]
# Nobody drives it any more, but its steps are in the journal, and the goods are still put aside:

# %%
assert ended.returncode == 9
await run.show()

# %% [markdown]
# ## Go on
#
# A run belongs to its process for a lease, here of one second. When that has passed without a word,
# `resume()` takes the run and goes on with the next step. What is done is not done again.

# %%
await asyncio.sleep(1.1)

(resumed,) = await saga.resume()
result = await resumed
await run.show()

# %%
stats = await shop.stats()
assert result.ok
assert stats.charged_twice == 0
assert [event.kind for event in await saga.history("order-3")].count("run.resumed") == 1
stats.holdings

# %% [markdown]
# ## Dead letters
#
# An undo is tried again and again. Now and then it fails for good, and then a person has to look. Steps may
# be plain functions, too. Here the bank is closed for refunds.

# %%
bank = {"open": False, "paid": 0}


def pay(order):
    bank["paid"] += order["cents"]


def pay_back(order):
    if not bank["open"]:
        raise RuntimeError("the bank is closed")
    bank["paid"] -= order["cents"]


def wrap(order):
    raise ValueError("no more paper")


gift = Saga(
    "gift", [Step(pay, compensation=pay_back), Step(wrap)], undo=RetryPolicy(max_attempts=2, base=0.01)
)
await opened.enter_async_context(gift)

stuck = await gift.start({"cents": 900}, run_id="gift-1")
await stuck
await stuck.show()

# %%
letters = await gift.dead_letters()
assert [letter.run_id for letter in letters] == ["gift-1"]
assert bank["paid"] == 900
letters[0]

# %% [markdown]
# On Monday the bank opens, and somebody has it tried again. It goes on where it stopped: backward.

# %%
bank["open"] = True
result = await (await gift.retry_dead_letter("gift-1"))
await stuck.show()

# %%
assert str(result.state) == "compensated"
assert bank["paid"] == 0
assert await gift.dead_letters() == []

# %%
await opened.aclose()

# %% [markdown]
# That is the last one. What a saga guarantees, what it does not, and what its services have to do for it is
# on [the page of sagas](../docs/saga.md). All pages: [the documentation](../docs/index.md).
