# %% [markdown]
# # From OpenAPI to production
#
# A description of an API goes in; a tested, limited, observable HTTP service comes out. Six steps, each one
# or two cells.

# %%
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from pydantic import BaseModel, Field

from rxorch import APIOrchestrationConfig, APIOrchestrator, ApiValidationError
from rxorch.demo.shop import Faults, Shop
from rxorch.draw import flow_picture, record, report
from rxorch.openapi import endpoints_from_openapi
from rxorch.server import Served, Serving, create_app
from rxorch.worst_case import worst_case

opened = AsyncExitStack()
weather = Faults(unavailable=0.1, rate_limited=0, reset=0, timeout=0, slow=0, latency=0.01)
shop = await opened.enter_async_context(Shop(seed=7, faults=weather))

# %% [markdown]
# ## 1 · The description
#
# Two services of the demo's shop, as they would describe themselves.

# %%
SHOP = """
openapi: 3.1.0
info: {title: Shop, version: "1"}
servers: [{url: USERS}]
paths:
  /users/{id}:
    get:
      operationId: getUser
      summary: A customer
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer, minimum: 1}}
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/User"}}}}
  /quote:
    servers: [{url: PRICING}]
    post:
      operationId: makeQuote
      summary: What some pieces cost somebody
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Basket"}}}
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/Quote"}}}}
components:
  schemas:
    Tier: {enum: [standard, premium]}
    User:
      type: object
      required: [id, name, tier]
      properties: {id: {type: integer}, name: {type: string}, tier: {$ref: "#/components/schemas/Tier"}}
    Basket:
      type: object
      required: [price_cents, quantity, tier]
      properties:
        price_cents: {type: integer, minimum: 1}
        quantity: {type: integer, minimum: 1, maximum: 20}
        tier: {$ref: "#/components/schemas/Tier"}
    Quote:
      type: object
      required: [amount_cents]
      properties: {amount_cents: {type: integer}, discount_cents: {type: integer}}
"""
text = SHOP.replace("USERS", shop.urls["users"]).replace("PRICING", shop.urls["pricing"])

# %% [markdown]
# ## 2 · Endpoints
#
# Each operation is an endpoint, with types of what is sent and what comes back. `settings` holds for all of
# them.

# %%
path = Path(opened.enter_context(TemporaryDirectory())) / "shop.yaml"
path.write_text(text, encoding="utf-8")

api = endpoints_from_openapi(
    path,
    settings={"timeout": 2, "retry_count": 3, "retry_delay": 0.05},
    extra="ignore",
)
api

# %% [markdown]
# A mistake is found before anything is sent:

# %% tags=["same"]
async with APIOrchestrator(api["getUser"]) as single:
    wrong = await single.execute({"id": 0})
print(wrong.errors["getUser"].message)

# %%
assert isinstance(wrong.errors["getUser"], ApiValidationError)


# %% [markdown]
# ## 3 · The flow
#
# A quote needs the customer's tier. `adapted` says where an operation gets its data from in this flow.
# Asking for a quote twice does no harm, so it may be repeated.


# %%
def basket(data):
    return {"price_cents": data["price_cents"], "quantity": data["quantity"], "tier": data["getUser"].tier}


quote = api.adapted("makeQuote", basket, name="quote", depends_on=["getUser"], idempotent=True)

config = APIOrchestrationConfig(
    endpoints=[api["getUser"], quote],
    mode="HYBRID",
    total_timeout=5,
    global_rate_limit=6_000,
    circuit_breaker_threshold=10,
)
config

# %% [markdown]
# ## 4 · What can it cost?
#
# Before it goes anywhere: the most that one input can cause.

# %% tags=["same"]
case = worst_case(config)
print(case.text())

# %%
assert case.requests == 8
assert case.seconds == 5
assert not [finding for finding in case.findings if str(finding.level) == "warning"]


# %% [markdown]
# ## 5 · Serve it
#
# The flow, and the types of what it takes. Everything else is there: an OpenAPI description of its own, a
# page to try it, runs, pictures, metrics. On the command line this is `rxorch serve shop.py:flows`.


# %%
class Asked(BaseModel):
    """What a quote is asked for."""

    id: int = Field(ge=1, description="Of the customer.")
    price_cents: int = Field(ge=1)
    quantity: int = Field(ge=1, le=20)


orchestrator = APIOrchestrator(config)
app = create_app({"quote": Served(orchestrator, input=Asked)})
server = await opened.enter_async_context(Serving(app, port=0))
http = await opened.enter_async_context(aiohttp.ClientSession(server.url))

async with http.post(
    "/orchestrations/quote", json={"id": 42, "price_cents": 1250, "quantity": 4}
) as response:
    status, answer = response.status, await response.json()

# %% tags=["same"]
print(status)
for name, outcome in answer["outcomes"].items():
    print(f"{name:8} {outcome['status']}  {outcome['provenance']}  requests: {outcome['attempts']}")
answer["result"]["quote"]

# %% [markdown]
# Who asks for nonsense is told which field is wrong, and no service is bothered.

# %% tags=["same"]
before = (await shop.stats()).requests
async with http.post(
    "/orchestrations/quote", json={"id": 42, "price_cents": 1250, "quantity": 99}
) as response:
    problem = await response.json()
print(problem["status"], problem["title"])
print(problem["errors"])

# %%
assert status == 200
assert problem["status"] == 422
assert (await shop.stats()).requests == before

# %% [markdown]
# ## 6 · Watch it
#
# Fifty lines of a stream, an answer for each as they end. Meanwhile a recording listens.

# %%
lines = "".join(f'{{"id": {number}, "price_cents": 990, "quantity": 2}}\n' for number in range(1, 51))
ndjson = {"Content-Type": "application/x-ndjson"}

with record(orchestrator) as recording:
    async with http.post("/orchestrations/quote/stream", data=lines, headers=ndjson) as response:
        records = [line async for line in response.content]

assert len(records) == 50
flow_picture(config, after=recording, title="fifty quotes")

# %% [markdown]
# The metrics are what Prometheus reads:

# %%
async with http.get("/metrics") as response:
    metrics = await response.text()

wanted = ("rxorch_calls_total", "rxorch_requests_total", "rxorch_retries_total")
print("\n".join(line for line in metrics.splitlines() if line.startswith(wanted)))

# %% [markdown]
# And a report is one HTML page for whoever was not there: figures, pictures, errors, settings, no values.

# %%
page = report(config, recording, title="fifty quotes").html()
assert "<script" not in page
print(f"report: {len(page) // 1000} kB of HTML, {page.count('<svg')} pictures")

# %%
await opened.aclose()

# %% [markdown]
# Next: [a saga that undoes itself](06_a_saga_that_undoes_itself.ipynb). More about
# [OpenAPI](../docs/openapi.md), [the server](../docs/server.md) and [the worst
# case](../docs/drawing.md#the-worst-case).
