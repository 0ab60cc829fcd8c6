"""A token is fetched once for all who need it, kept while it is good, and forgotten when it is refused."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest
from yarl import URL

from rxorch import ApiClient
from rxorch.endpoint.auth import BearerAuth
from rxorch.endpoint.caller import Caller
from rxorch.endpoint.tokens import Token, TokenSource
from rxorch.errors import ApiConfigurationError, ApiError
from rxorch.http import Request
from rxorch_operators.testing import run_virtual, virtual_time
from tests.support.fake_transport import FakeTransport, api, turns
from tests.support.virtual_time import now

CALLER = Caller(FakeTransport())


class Provider:
    """Gives t0, t1 ... after ``takes`` seconds, or raises."""

    def __init__(self, takes: float = 1.0, expires_in: float | None = None, error: Any = None) -> None:
        self.takes = takes
        self.expires_in = expires_in
        self.error = error
        self.asked = 0
        self.cancelled = 0

    async def __call__(self) -> Token:
        number, self.asked = self.asked, self.asked + 1
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return Token(f"t{number}", self.expires_in)


def request() -> Request:
    return Request("GET", URL("https://api.example.com/"))


async def token(auth: BearerAuth, caller: Caller = CALLER) -> str:
    return (await sent(auth, caller)).headers["Authorization"].removeprefix("Bearer ")


async def sent(auth: BearerAuth, caller: Caller = CALLER) -> Request:
    made = request()
    await auth.authorize(made, caller)
    return made


@virtual_time
async def test_a_hundred_wait_for_one_fetch() -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    assert set(await asyncio.gather(*(token(auth) for _ in range(100)))) == {"t0"}
    assert (provider.asked, now()) == (1, 1.0)
    assert await token(auth) == "t0"
    assert (provider.asked, now()) == (1, 1.0)


@pytest.mark.parametrize("leaver", [0, 1, 99])
@virtual_time
async def test_who_leaves_takes_nobody_along(leaver: int) -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    tasks = [asyncio.create_task(token(auth)) for _ in range(100)]
    await asyncio.sleep(0.5)
    tasks[leaver].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results.pop(leaver), asyncio.CancelledError)
    assert (set(results), provider.asked, provider.cancelled) == ({"t0"}, 1, 0)


@virtual_time
async def test_when_all_have_left_it_is_cancelled_and_the_next_one_begins_anew() -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    tasks = [asyncio.create_task(token(auth)) for _ in range(100)]
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert (provider.cancelled, now()) == (1, 0.5)
    assert (await token(auth), provider.asked) == ("t1", 2)


@pytest.mark.parametrize("gap", [0, 1, 2, 3])
@virtual_time
async def test_who_comes_while_the_last_one_leaves_gets_a_token(gap: int) -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    task = asyncio.create_task(token(auth))
    await asyncio.sleep(0.5)
    task.cancel()
    await turns(gap)  # with none, it is there before the other has heard that it must go
    assert await token(auth) == ("t1" if gap else "t0")
    assert task.cancelled() and provider.cancelled == bool(gap)


@virtual_time
async def test_an_error_is_told_to_all_who_wait_and_not_kept() -> None:
    provider = Provider(error=KeyError("s3cret"))
    auth = BearerAuth(provider)
    errors = await asyncio.gather(*(token(auth) for _ in range(100)), return_exceptions=True)
    assert provider.asked == 1
    assert {str(error) for error in errors} == {"no token: what gets it raised KeyError"}
    assert all(isinstance(error, ApiError) and error.__cause__ is provider.error for error in errors)
    assert len({id(error) for error in errors}) == 100  # the facts of a call are written on each
    assert len(traceback.format_exception(errors[-1])) < 60  # it did not grow with each who waited
    provider.error = None
    assert await token(auth) == "t1"


@virtual_time
async def test_an_error_of_the_tree_stays_what_it_is() -> None:
    provider = Provider(error=ApiError("the vault is closed", endpoint="vault", attempts=3))
    auth = BearerAuth(provider)
    errors = await asyncio.gather(token(auth), token(auth), return_exceptions=True)
    assert [str(error) for error in errors] == ["the vault is closed [endpoint 'vault', 3 attempts]"] * 2
    assert errors[0] is not errors[1]


@virtual_time
async def test_a_provider_that_says_cancelled_cancels_nobody() -> None:
    auth = BearerAuth(Provider(error=asyncio.CancelledError()))
    with pytest.raises(ApiError, match="CancelledError"):
        await token(auth)


@virtual_time
async def test_a_provider_may_raise_what_a_coroutine_cannot() -> None:
    auth = BearerAuth(lambda: next(iter(())))
    with pytest.raises(ApiError, match=r"no token: what gets it raised (StopIteration|RuntimeError)"):
        await token(auth)


@pytest.mark.parametrize(
    ("expires_in", "leeway", "good_for"),
    [(3600, 30, 3570), (3600, 0, 3600), (3600, 3600, 3240), (100, 30, 90), (10.0, 1, 9)],
)
@virtual_time
async def test_it_is_kept_until_shortly_before_its_end(
    expires_in: float, leeway: float, good_for: float
) -> None:
    provider = Provider(takes=1.0, expires_in=expires_in)
    auth = BearerAuth(provider, leeway=leeway)
    assert await token(auth) == "t0"  # and one second of its life has passed
    await asyncio.sleep(good_for - 1.0 - 0.001)
    assert await token(auth) == "t0"
    await asyncio.sleep(0.002)
    assert await token(auth) == "t1"


@virtual_time
async def test_when_it_has_expired_a_hundred_fetch_one() -> None:
    provider = Provider(expires_in=60)
    auth = BearerAuth(provider)
    await token(auth)
    await asyncio.sleep(60)
    assert set(await asyncio.gather(*(token(auth) for _ in range(100)))) == {"t1"}
    assert provider.asked == 2


@pytest.mark.parametrize("expires_in", [0, -5])
@virtual_time
async def test_one_that_is_past_already_serves_who_waited_and_nobody_else(expires_in: float) -> None:
    provider = Provider(expires_in=expires_in)
    auth = BearerAuth(provider)
    assert await asyncio.gather(token(auth), token(auth)) == ["t0", "t0"]
    assert await token(auth) == "t1"


@virtual_time
async def test_without_an_end_it_is_kept_until_it_is_refused() -> None:
    auth = BearerAuth(Provider())
    await token(auth)
    await asyncio.sleep(10 * 365 * 86_400)
    kept = await sent(auth)
    assert kept.headers["Authorization"] == "Bearer t0"
    assert auth.refused(kept) is True
    assert await token(auth) == "t1"


@virtual_time
async def test_a_hundred_refusals_are_one_refresh() -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    await token(auth)
    requests = [await sent(auth) for _ in range(100)]

    async def again(old: Request, after: float) -> str:
        await asyncio.sleep(after)  # some before, some during, some after the refresh
        assert auth.refused(old) is True
        return await token(auth)

    tokens = await asyncio.gather(*(again(old, number / 25) for number, old in enumerate(requests)))
    assert (set(tokens), provider.asked) == ({"t1"}, 2)


@virtual_time
async def test_a_late_refusal_of_an_old_token_does_not_cost_the_new_one() -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    await token(auth)
    first, late = await sent(auth), await sent(auth)
    assert auth.refused(first) is True
    assert await token(auth) == "t1"
    assert auth.refused(late) is True  # there is another one for it: it is there already
    assert (await token(auth), provider.asked) == ("t1", 2)


@virtual_time
async def test_a_token_that_was_fetched_for_a_request_is_not_fetched_again_for_it() -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    waiting = await asyncio.gather(*(sent(auth) for _ in range(10)))
    assert [auth.refused(each) for each in waiting] == [False] * 10
    assert (await token(auth), provider.asked) == ("t1", 2)  # but it is not kept


@virtual_time
async def test_a_server_that_refuses_everything_ends_the_loop() -> None:
    provider = Provider()
    auth = BearerAuth(provider)
    await token(auth)
    attempts = 1
    while auth.refused(await sent(auth)):
        attempts += 1
    assert (attempts, provider.asked) == (2, 2)


def test_a_refusal_before_the_first_token() -> None:
    async def main() -> None:
        stranger = Request("GET", URL("https://a.test"), {"Authorization": "Bearer x"})
        assert BearerAuth(Provider()).refused(stranger) is False

    run_virtual(main())


def test_each_loop_has_a_token_of_its_own() -> None:
    provider = Provider(expires_in=100)
    auth = BearerAuth(provider)
    assert run_virtual(token(auth), start=1_000_000.0) == "t0"
    assert run_virtual(token(auth)) == "t1"  # the clock of another loop says nothing about the first


def test_a_loop_that_was_thrown_away_while_it_fetched_is_no_hindrance() -> None:
    provider = Provider()
    auth = BearerAuth(provider)

    async def give_up() -> None:
        task = asyncio.create_task(token(auth))
        await turns(3)
        task.cancel()
        await asyncio.wait([task])

    run_virtual(give_up())
    assert run_virtual(token(auth)) == "t1"


@virtual_time
async def test_a_provider_that_needs_its_own_token_is_told_so() -> None:
    client: ApiClient
    auth: BearerAuth

    async def provider() -> str:
        value: str = await client.call(api("vault", "https://a.test/vault", auth=auth))
        return value

    auth = BearerAuth(provider)
    client = ApiClient(FakeTransport(otherwise="t"))
    with pytest.raises(ApiError, match="auth=False"):
        await client.call(api("user", "https://a.test/user", auth=auth, total_timeout=60.0))
    assert now() == 0.0


@virtual_time
async def test_who_was_begun_by_a_provider_may_use_the_token_later() -> None:
    later: list[asyncio.Task[str]] = []

    async def use() -> str:
        await asyncio.sleep(5.0)
        return await token(auth)

    async def provider() -> Token:
        if not later:
            later.append(asyncio.create_task(use()))
        return Token("t", expires_in=1.0)

    auth = BearerAuth(provider)
    await token(auth)
    assert await later[0] == "t"


@virtual_time
async def test_who_waits_with_another_client_tries_for_itself() -> None:
    asked: list[Caller] = []

    async def fetch(caller: Any) -> str:
        asked.append(caller)
        await asyncio.sleep(1.0)
        if caller is first:
            raise ApiError("the client was closed while this call was under way")
        return "t"

    first, second = Caller(FakeTransport()), Caller(FakeTransport())
    auth = BearerAuth(TokenSource(fetch))
    results = await asyncio.gather(
        token(auth, first), token(auth, second), token(auth, first), token(auth, second),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(each) for each in results] == [ApiError, str, ApiError, str]
    assert asked == [first, second]


@pytest.mark.parametrize("leeway", [True, "30", float("inf")])
def test_a_leeway_is_seconds(leeway: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="leeway"):
        BearerAuth(Provider(), leeway=leeway)
