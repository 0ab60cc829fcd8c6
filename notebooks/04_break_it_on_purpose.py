# %% [markdown]
# # Break it on purpose
#
# Which policies does a service need? Nobody can tell by looking. So let it fail, always in the same way,
# and race the policies on the same failures.
#
# The service here is a function on a virtual clock: twenty seconds of traffic take no time, and the numbers
# are the same in every run.

# %%
import asyncio
from collections import Counter
from random import Random
from statistics import quantiles

from rxorch import ApiClient, APIEndpoint, ApiError, APIOrchestrationConfig, sequential
from rxorch import operators as rxo
from rxorch.draw import record
from rxorch.lab import Policy, whatif
from rxorch.testing import MockTransport
from rxorch.worst_case import worst_case
from rxorch_operators.testing import run_virtual

# %% [markdown]
# ## A service with moods
#
# One answer in ten is a 503. One in twenty takes two seconds. And from second 8 to second 12 it is out of
# order: it thinks for 0.3 s, and then says 503. What an attempt meets depends on the item and on the number
# of the attempt, so every policy meets the same.


# %%
def service():
    tries = Counter()

    async def answer(request):
        item = request.parameters["item"]
        tries[item] += 1
        chance = Random(f"{item}, attempt {tries[item]}")
        if 8 <= request.at < 12:
            await asyncio.sleep(0.3)
            return 503
        is_late, is_down = chance.random() < 0.05, chance.random() < 0.1
        await asyncio.sleep(2.0 if is_late else chance.uniform(0.03, 0.09))
        return 503 if is_down else {"item": item, "cents": chance.randrange(100, 900)}

    return MockTransport({"/prices/{item}": answer})


# %% [markdown]
# ## A race
#
# Four hundred calls, twenty in a second, under one set of policies. A hedge is an operator; the others are
# fields.

# %%
URL = "https://shop.example.com/prices/{item}"


async def race(hedge=None, breaker=None, **policies):
    """Seconds of each call (None: it failed), requests, those while it was out of order, and a recording."""
    endpoint = APIEndpoint(name="price", url=URL, timeout=5, retry_jitter="none", **policies)
    shop = service()
    settings = {"breaker_threshold": breaker, "breaker_timeout": 1, "retry_budget": False}
    async with ApiClient(shop, **settings) as client:
        observe, clock = client.observe(endpoint), asyncio.get_running_loop()

        async def call(item):
            began, asked = clock.time(), observe({"item": item})
            try:
                await rxo.last_of(asked if hedge is None else asked.pipe(rxo.hedge(delay=hedge)))
            except ApiError:
                return None
            return clock.time() - began

        with record(client) as recording:
            calls = []
            for item in range(400):
                calls.append(asyncio.create_task(call(item)))
                await asyncio.sleep(0.05)
            seconds = await asyncio.gather(*calls)
        in_vain = sum(8 <= sent.at < 12 for sent in shop.calls)
        return seconds, client.sends, in_vain, recording


racers = {
    "none": {"retry_count": 0},
    "retry": {"retry_count": 3, "retry_delay": 0.2},
    "retry, breaker": {"retry_count": 3, "retry_delay": 0.2, "breaker": 5},
    "retry, breaker, hedge": {"retry_count": 3, "retry_delay": 0.2, "breaker": 5, "hedge": 0.15},
    "patient retry": {"retry_count": 5, "retry_delay": 0.4},
    "retry, rate limit": {
        "retry_count": 3,
        "retry_delay": 0.2,
        "rate_limit": 25,
        "rate_limit_window": 1,
        "burst_limit": 5,
    },
}
races = {name: run_virtual(race(**policies)) for name, policies in racers.items()}

# %% tags=["same"]
print(f"{'':22}{'ok':>8}{'requests':>10}{'in vain':>9}{'p50':>9}{'p95':>9}{'longest':>10}")
for name, (seconds, requests, in_vain, _) in races.items():
    good = [each for each in seconds if each is not None]
    p50, p95 = (quantiles(good, n=100)[share - 1] for share in (50, 95))
    share = len(good) / len(seconds)
    print(f"{name:22}{share:8.1%}{requests:10}{in_vain:9}{p50:7.2f} s{p95:7.2f} s{max(good):8.2f} s")

# %% [markdown]
# Each has its price:
#
# - **Retry** saves most calls, and sends more than twice as many requests to a service that is on its
#   knees.
# - **A breaker** is for the service, not for the call: it hardly sends anything in vain, and says no at
#   once instead.
# - **A hedge** asks again when an answer is late. The slow twentieth is gone: look at p95.
# - **Patience** outlasts the outage. Nobody who waits for a page would.
# - **A rate limit** makes everybody wait, good times and bad.

# %%
share = {name: sum(each is not None for each in seconds) / 400 for name, (seconds, *_) in races.items()}
in_vain = {name: vain for name, (_, _, vain, _) in races.items()}
assert share["none"] < share["retry"] < share["patient retry"] == 1
assert in_vain["retry, breaker"] < in_vain["none"] < in_vain["retry"]

# %% [markdown]
# What the second race looked like. There are too many calls for a row each, so they are folded into one:
# how many were in flight, failed and waited. A few stand for themselves.

# %%
races["retry"][-1].waterfall(title="retry")

# %% [markdown]
# ## What if
#
# A race needs a service that can be broken. For one that cannot, record what happens anyway, and ask the
# recording. `whatif` makes the same calls again under other policies. What an attempt met is known; what an
# attempt that was never made would have met is guessed from its neighbours, and counted as a guess.

# %%
price = APIEndpoint(
    name="price",
    url=URL,
    timeout=5,
    retry_jitter="none",
    retry_count=3,
    retry_delay=0.2,
    circuit_breaker=False,
)
flow = APIOrchestrationConfig(endpoints=[price], retry_budget=False)
tries = {
    "one try": Policy(retry_count=0),
    "six tries": Policy(retry_count=5, retry_delay=0.4),
    "hasty": Policy(timeout=0.25),
}

answer = whatif(races["retry"][-1], tries, flow=flow)
answer

# %% [markdown]
# How good are the guesses? *One try* and *six tries* have really been raced, above.

# %% tags=["same"]
for guessed, raced in (("one try", "none"), ("six tries", "patient retry")):
    print(f"{guessed:10} what if: {answer[guessed].figures.success:.1%}   raced: {share[raced]:.1%}")

# %%
assert abs(answer["one try"].figures.success - share["none"]) < 0.01
assert abs(answer["as it was"].figures.success - answer.recorded.success) < 0.01

# %% [markdown]
# ## Chaos
#
# `chaos` is an operator as well: it puts faults into a share of the calls, next to the source, so that all
# the policies around it are tested. It has a seed, and it is off unless switched on.

# %% tags=["same"]
faults = rxo.FaultInjector(rxo.ChaosPolicy(error_rate=0.3, reset_rate=0.2), random=Random(3))


@rxo.guard(rxo.chaos(injector=faults), rxo.retry_backoff(max_attempts=6, base=0.01))
async def price_of(item):
    return f"{item}: {len(item)} €"


faults.enabled = True
print([await price_of(item) for item in ("tea", "milk", "salt")])
print(faults.statistics())

# %%
assert faults.statistics().calls > 3

# %% [markdown]
# ## The worst case
#
# Nothing has to break for this one. It reads a flow, and says what one input can cost at worst, and what is
# dangerous about it.

# %% tags=["same"]
careless = sequential(
    price,
    APIEndpoint(
        name="pay",
        url="https://shop.example.com/payments",
        method="POST",
        timeout=None,
        retry_count=9,
        retry_on=[500, 503],
        idempotency_key=None,
    ),
)
print(worst_case(careless).text())

# %%
codes = {finding.code for finding in worst_case(careless).findings}
assert {"no-timeout", "unsafe-retry"} <= codes

# %% [markdown]
# Next: [from OpenAPI to production](05_from_openapi_to_production.ipynb). More about [the policy
# lab](../docs/policy_lab.md), and [which operator to choose](../docs/choose_an_operator.md).
