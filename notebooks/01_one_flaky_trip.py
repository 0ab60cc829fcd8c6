# %% [markdown]
# # One flaky trip
#
# One order travels through a shop that is having a bad day. You will see what a retry, a `Retry-After`, a
# fallback and a hedge look like when they happen.
#
# The shop is real: eight small HTTP services on this machine, with faults drawn from a seed. The same order
# meets the same faults each time, so nothing here is up to luck, and no internet is needed.

# %%
from contextlib import AsyncExitStack

from rxorch import ApiClient, APIEndpoint, APIOrchestrator, graph
from rxorch import operators as rxo
from rxorch.demo.shop import ORDER_HEADER, Faults, Shop
from rxorch.draw import flow_picture, record, waterfall

bad_day = Faults(
    unavailable=0.25,
    rate_limited=0.15,
    reset=0,
    timeout=0.15,
    slow=0.15,
    latency=0.03,
    spread=0.4,
    slow_seconds=1.0,
    hold=3.0,
)
opened = AsyncExitStack()
shop = await opened.enter_async_context(Shop(seed=7, faults=bad_day))
order = {"order": "order-179992", "user": 42, "sku": "SKU-0042"}

# %% [markdown]
# ## What to call
#
# An endpoint is a value. It says what is called, and how carefully. Text in braces is filled from the data.

# %%
every = {"headers": {ORDER_HEADER: "{order}"}, "timeout": 1.2, "retry_delay": 0.05, "retry_jitter": "none"}

user = APIEndpoint(name="user", url=shop.urls["users"] + "/users/{user}", **every)
user


# %% [markdown]
# Three more. `quote` asks by POST, and says that asking twice does no harm. `fraud` may fail: then its
# handler decides, and the order goes on.


# %%
def basket(data):
    price, tier = data["product"]["price_cents"], data["user"]["tier"]
    return {"order": data["order"], "price_cents": price, "quantity": 3, "tier": tier}


def amount(data):
    return {"order": data["order"], "amount_cents": data["quote"]["amount_cents"]}


asked = {"method": "POST", "idempotent": True, **every}

product = APIEndpoint(name="product", url=shop.urls["catalogue"] + "/products/{sku}", **every)
quote = APIEndpoint(
    name="quote",
    url=shop.urls["pricing"] + "/quote",
    transform_input=basket,
    depends_on=["user", "product"],
    **asked,
)
fraud = APIEndpoint(
    name="fraud",
    url=shop.urls["fraud"] + "/check",
    transform_input=amount,
    depends_on=["quote"],
    retry_count=1,
    error_handler=lambda error: {"approved": True, "score": None},
    **asked,
)

trip = graph(user, product, quote, fraud)
flow_picture(trip, title="the trip")

# %% [markdown]
# ## One order
#
# `await` stands at the top level of a cell. What comes back is read like a mapping, and shows itself as a
# card. A card tells of which shape the values are, and not what is in them: notebooks are passed on.

# %%
orchestrator = await opened.enter_async_context(APIOrchestrator(trip, retry_budget=False))
result = await orchestrator.execute(order)
result

# %% [markdown]
# It went well. It was not easy, though: four calls took seven requests.

# %% tags=["same"]
for name, outcome in result.outcomes.items():
    print(
        f"{name:8} {outcome.status}  requests: {outcome.attempts}{'  fallback' if outcome.degraded else ''}"
    )

# %%
assert result.ok
assert result["fraud"] == {"approved": True, "score": None}
assert sum(outcome.attempts for outcome in result.outcomes.values()) == 7
assert (await shop.stats()).requests == 7  # the services counted the same

# %% [markdown]
# ## What really happened
#
# A row is a call, a bar an attempt, and what lies between them is why it waited.

# %%
waterfall(result, title="the trip")

# %% [markdown]
# - **Retry.** `user` was answered 503, waited 50 ms and asked again.
# - **Retry-After.** `quote` was told 429, *come back in one second*. That replaces the back-off: the server
#   knows best.
# - **Time limit.** `fraud` said nothing for 1.2 s, so that attempt was given up.
# - **Fallback.** Its second attempt failed too. The handler made a value, and the outcome says that it is a
#   substitute.
# - **The critical path** is what determined the end. Make something on it shorter, and the trip is shorter.
#
# The same on the flow:

# %%
flow_picture(trip, after=result, title="the trip, afterwards")

# %% [markdown]
# ## A hedge
#
# Some answers are late for no good reason. Order 7 is told about its product after a whole second. A hedge
# does not wait that long: after 0.2 s it asks once more, and whoever answers first wins. The other request
# is cancelled.

# %%
async with ApiClient() as client:
    with record(client) as recording:
        asked = client.observe(product)({"order": "order-000007", "sku": "SKU-0042"})
        found = await rxo.last_of(asked.pipe(rxo.hedge(delay=0.2)))

recording.waterfall(title="a hedge")

# %%
assert found["sku"] == "SKU-0042"
assert [call.status for call in recording.timeline().calls] == ["cancelled", "ok"]
assert (await shop.stats()).services["catalogue"].requests == 3

# %% [markdown]
# ## As numbers
#
# `result.events` has each event with its time, and `waterfall(result).to_dataframe()` the attempts and
# waits, if pandas or polars is installed. In a terminal, a picture is text:

# %%
print(waterfall(result, title="the trip").text(width=100))

# %%
await opened.aclose()

# %% [markdown]
# Next: [modes are operators](02_modes_are_operators.ipynb). More about [what each policy
# means](../docs/policies.md) and [the pictures](../docs/drawing.md).
