# %% [markdown]
# # Modes are operators
#
# A mode says in which order endpoints run, and what each of them sees. There are six. Each is a function
# that makes a flow; flows nest; and below them is nothing but operators over Observables, which you can
# write yourself.
#
# Each picture here is of the flow *after* it has run, on the small shop that the first cell starts.

# %%
import asyncio
from contextlib import AsyncExitStack

from reactivex import operators as ops

from rxorch import (
    ApiClient,
    APIEndpoint,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch import operators as rxo
from rxorch.demo.shop import Faults, Shop
from rxorch.draw import flow_picture, marbles
from rxorch_operators.testing import run_virtual

opened = AsyncExitStack()
shop = await opened.enter_async_context(Shop(faults=Faults.none(latency=0.01)))
client = await opened.enter_async_context(ApiClient())


def get(name, service, path, **more):
    return APIEndpoint(name=name, url=shop.urls[service] + path, **more)


def ask(name, service, path, body, **more):
    return get(name, service, path, method="POST", transform_input=body, idempotent=True, **more)


# %% [markdown]
# ## Sequential: one after another
#
# A later endpoint sees the input, and every earlier result under its name. It is `concat`.


# %%
def basket(data):
    return {"price_cents": data["product"]["price_cents"], "quantity": 2, "tier": data["user"]["tier"]}


user = get("user", "users", "/users/{user}")
product = get("product", "catalogue", "/products/{sku}")
quote = ask("quote", "pricing", "/quote", basket)

order = {"user": 42, "sku": "SKU-0042"}
flow = sequential(user, product, quote)
result = await flow.execute(order, client)

assert result.ok
assert list(result) == ["user", "product", "quote"]
flow_picture(flow, after=result, title="sequential", urls=False)

# %% [markdown]
# ## Parallel: all at once, under a cap
#
# It is `merge`. Here two at a time. One product is not sold any more: the others do not mind.

# %%
skus = {"lamp": "SKU-0008", "kettle": "SKU-0031", "gone": "SKU-0099", "desk": "SKU-0054"}
flow = parallel(*(get(name, "catalogue", f"/products/{sku}") for name, sku in skus.items()), max_concurrent=2)
result = await flow.execute({}, client)

assert not result.ok
assert result.errors["gone"].status_code == 404
assert result["gone"] is None
assert result["desk"]["sku"] == "SKU-0054"
flow_picture(flow, after=result, title="parallel", urls=False)


# %% [markdown]
# ## Fanout: one input to all
#
# Tell everybody. Nothing depends on anything.


# %%
def message_to(name):
    return lambda data: {"order": data["order"], "to": f"{name}@example.com", "text": data["text"]}


people = ("customer", "warehouse", "accounting")
flow = fanout(*(ask(name, "notification", "/messages", message_to(name)) for name in people))
result = await flow.execute({"order": "o-1", "text": "The parcel has left."}, client)

assert [result[name]["status"] for name in people] == ["queued"] * 3
flow_picture(flow, after=result, title="fanout", urls=False)

# %% [markdown]
# ## Pipeline: the output of one is the input of the next
#
# A chain of `flat_map`. What came first is gone, unless a step hands it on.

# %%
offer = ask("offer", "pricing", "/quote", lambda found: found | {"quantity": 3, "tier": "premium"})
flow = pipeline(
    product,
    offer,
    ask("check", "fraud", "/check", lambda offer: {"order": "o-1", "amount_cents": offer["amount_cents"]}),
)
result = await flow.execute({"sku": "SKU-0042"}, client)
offered = result["offer"]

assert result.value == result["check"]
assert result.value["approved"] is True
flow_picture(flow, after=result, title="pipeline", urls=False)


# %% [markdown]
# ## Conditional: one of two ways
#
# The way that was not taken is faded. A skip is no failure: the result is ok.


# %%
def is_premium(data):
    return data["user"]["tier"] == "premium"


gift = ask("gift", "notification", "/messages", lambda data: data | {"text": "A gift is in your parcel."})
thanks = ask("thanks", "notification", "/messages", lambda data: data | {"text": "Thank you."})

flow = sequential(user, conditional(is_premium, then=gift, otherwise=thanks))
result = await flow.execute({"user": 42, "order": "o-1", "to": "you@example.com"}, client)

assert result.ok
assert result["user"]["tier"] == "standard"
assert result["gift"] is None
assert result["thanks"]["status"] == "queued"
flow_picture(flow, after=result, title="conditional", urls=False)

# %% [markdown]
# ## Graph: each as soon as what it needs is done
#
# Say what depends on what; the order follows. This is the one that large flows end up with.

# %%
flow = graph(
    user,
    product,
    ask("price", "pricing", "/quote", basket, depends_on=["user", "product"]),
    get("related", "catalogue", "/products/{product.sku}", depends_on=["product"]),
    ask(
        "inspect",
        "fraud",
        "/check",
        lambda data: {"order": "o-1", "amount_cents": data["price"]["amount_cents"]},
        depends_on=["price"],
        condition=lambda data: data["price"]["amount_cents"] > 1_000_000,
    ),
)
result = await flow.execute(order, client)

assert result.ok
assert list(result.skipped) == ["inspect"]
flow_picture(flow, after=result, title="graph", urls=False)

# %% [markdown]
# ## The same, by hand
#
# `client.observe(endpoint)` is a function from data to an Observable: one call, under all its policies. So
# the first half of the pipeline above is two `flat_map`s. Written so, it takes many inputs as well as one.
#
# `flat_map_bounded` is `flat_map` with a cap and back-pressure: its source is read as fast as there is
# room, and no faster. Stock operators stand between ours as they like.

# %% tags=["same"]
offers = rxo.from_iterable(["SKU-0042", "SKU-0007", "SKU-0008", "SKU-0009"]).pipe(
    ops.map(lambda sku: {"sku": sku}),
    rxo.flat_map_bounded(client.observe(product), max_concurrent=2, ordered=True),
    ops.filter(lambda found: found["price_cents"] < 15_000),
    rxo.flat_map_bounded(client.observe(offer), max_concurrent=2, ordered=True),
)
found = [made["amount_cents"] async for made in rxo.to_async_iterable(offers)]
found

# %%
assert found[0] == offered["amount_cents"]  # what the mode said

# %% [markdown]
# ## What passes, and when
#
# `rxo.record` is an operator that changes nothing and remembers everything. Put one wherever you want to
# look, and draw the recording as marbles.
#
# This one runs on a virtual clock, on which three seconds take no time at all. So it looks the same each
# time, and tests are written in the same way.

# %%
seconds = {"tea": 2, "milk": 1, "salt": 1, "rice": 1}


async def price_of(item):
    await asyncio.sleep(seconds[item])
    return f"{item} {len(item)}€"


def watched(ordered):
    recording = rxo.Recording()
    prices = rxo.from_iterable(seconds).pipe(
        rxo.record(recording, "items"),
        rxo.flat_map_bounded(recording.inner(price_of), max_concurrent=2, ordered=ordered),
        rxo.record(recording, "prices", by=f"flat_map_bounded(price_of, 2, ordered={ordered})"),
    )

    async def collect():
        return [price async for price in rxo.to_async_iterable(prices)]

    return run_virtual(collect()), recording


as_they_come, recording = watched(ordered=False)
marbles(recording, title="as they come")

# %% [markdown]
# `tea` takes two seconds, so `milk` and `salt` overtake it. In the order of the items, they have to wait
# for it:

# %%
in_order, recording = watched(ordered=True)
marbles(recording, title="in order")

# %%
assert as_they_come == ["milk 4€", "tea 3€", "salt 4€", "rice 4€"]
assert in_order == ["tea 3€", "milk 4€", "salt 4€", "rice 4€"]

# %%
await opened.aclose()

# %% [markdown]
# Next: [a stream that never stops](03_a_stream_that_never_stops.ipynb). What each mode means exactly is in
# [modes](../docs/modes.md), and each operator has [a page](../docs/operators.md).
