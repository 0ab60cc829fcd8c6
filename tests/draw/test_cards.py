"""Cards: what they say, and that they are safe to show and to store: escaped, bounded, without secrets."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import (
    APIEndpoint,
    ApiError,
    ApiGraphQLError,
    ApiHttpError,
    ApiNetworkError,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiTimeoutError,
    ApiValidationError,
    OrchestrationResult,
    Outcome,
    OutcomeStatus,
    Run,
)
from rxorch.draw.cards import card_of
from rxorch.draw.cards_html import COLOURS, address, bar, markup
from rxorch.draw.masking import error_text, masked, shape_of
from rxorch.endpoint.auth import BearerAuth
from rxorch.errors import GraphQLFault
from rxorch.saga import MemoryJournal, Saga, SagaResult, SagaRun, SagaState, Step
from rxorch.saga.cards import saga_card_of
from rxorch.stream import Runs
from tests.draw.checked import Checked
from tests.support.fake_transport import FakeTransport, api

CANARY = "s3cretCANARY"
TOKEN = "sk-CANARY0123456789abcdef"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m"
LARGEST = 40_000
"""Characters of a card without a picture in it."""


def secretive(name: str = "pay") -> APIEndpoint:
    return APIEndpoint(
        name=name,
        url=f"https://api.example.com/pay/{{id}}?api_key={CANARY}",
        method="POST",
        headers={"X-Note": CANARY},
        params={"note": CANARY, "page": 2},
        body={"note": CANARY},
        auth=BearerAuth(CANARY),
        timeout=2.0,
        retry_count=1,
        condition=lambda data: True,
        error_handler=lambda error: None,
    )


def failed() -> ApiHttpError:
    error = ApiHttpError(
        503,
        body=CANARY,
        headers={"Set-Cookie": CANARY, "Retry-After": "2"},
        endpoint="pay",
        url=f"https://api.example.com/pay?token={CANARY}",
        attempts=3,
        elapsed=0.42,
        retry_after=2.0,
    )
    error.__cause__ = ValueError(f"refused: token={CANARY} {TOKEN}")
    return error


def a_result(endpoints: int = 2) -> OrchestrationResult:
    outcomes = {
        "user": Outcome(OutcomeStatus.OK, {"id": 7, "note": CANARY}, attempts=1, started=0.0, duration=0.12),
        "pay": Outcome(OutcomeStatus.FAILED, None, failed(), 3, 0.1, 0.42),
        "mail": Outcome(OutcomeStatus.SKIPPED, reason="its condition does not hold"),
        "lost": Outcome(OutcomeStatus.UNKNOWN, attempts=1, started=0.2, duration=0.1),
        "rate": Outcome(OutcomeStatus.OK, CANARY, failed(), 2, 0.1, 0.2, degraded=True),
        "kept": Outcome(OutcomeStatus.OK, [{"id": 1}], started=0.1, cached=True),
        "old": Outcome(OutcomeStatus.OK, started=0.1, cached=True, degraded=True, stale=True),
    }
    outcomes |= {f"e{number}": outcomes["user"] for number in range(endpoints)}
    return OrchestrationResult(outcomes, duration=0.65)


def a_run(index: int = 0, *, ok: bool = True, error: BaseException | None = None) -> Run:
    result = a_result(0) if not ok else OrchestrationResult({"user": a_result(0).outcomes["user"]})
    return Run(index, {"note": CANARY}, ok, result, error, 0.1, result.outcomes, f"key{index}", 0.01 * index)


def many(count: int) -> Runs:
    return Runs(
        a_run(number, ok=number % 3 > 0, error=None if number % 3 else failed()) for number in range(count)
    )


def orchestrators() -> Iterator[APIOrchestrator]:
    for endpoints in ([], [secretive()], [secretive(), api("user", depends_on=["pay"])]):
        yield APIOrchestrator(APIOrchestrationConfig(endpoints=endpoints, mode="hybrid"))


def charge(order: Any) -> None:
    """A step."""


def subjects() -> list[Any]:
    shop = [*orchestrators()]
    saga = Saga(
        "order",
        [Step(charge, compensation=charge), Step(secretive().model_copy(update={"error_handler": None}))],
        journal=MemoryJournal(),
    )
    error = {"step": "pay", "type": "ValueError", "message": f"token={CANARY} {TOKEN}"}
    partial = ApiTimeoutError("too late", limit=2.0, result=a_result())
    return [
        secretive(), *shop, *(each.config for each in shop), a_result(), OrchestrationResult({}),
        a_run(), a_run(3, ok=False, error=failed()), many(9), Runs(), shop[1].stream([{"note": CANARY}]),
        shop[1].stream({} for _ in range(2)), failed(), partial, ApiNetworkError(f"no: password={CANARY}"),
        ApiGraphQLError("2 errors", [GraphQLFault(f"bad token={CANARY}", ("user", 0))]),
        ApiValidationError("bad", errors=[{"loc": ("id", 0), "msg": "is no number", "type": "int"}]),
        saga, SagaRun(saga, "order-7"), SagaResult("order-7", SagaState.COMPLETED, {"note": CANARY}),
        SagaResult("order-7", SagaState.COMPENSATED, None, error),
    ]  # fmt: skip


@pytest.mark.parametrize("what", subjects(), ids=lambda what: type(what).__name__)
def test_a_card_can_be_shown_anywhere_and_holds_no_secret(what: Any) -> None:
    forms = what._repr_mimebundle_()
    assert list(forms) == ["text/plain", "text/html"]
    card = forms["text/html"]
    checked = Checked(card)
    assert (checked.wrong, checked.open) == ([], [])
    assert "background" not in card[: card.index(">")]  # of its own
    without_pictures = re.sub(r'src="[^"]*"', "", card)
    assert CANARY not in without_pictures and TOKEN not in without_pictures
    assert CANARY not in forms["text/plain"]
    assert len(without_pictures) < LARGEST


def test_a_notebook_chooses_the_form() -> None:
    endpoint = secretive()
    assert list(endpoint._repr_mimebundle_(include=["text/html"])) == ["text/html"]
    assert list(endpoint._repr_mimebundle_(exclude=["text/html"])) == ["text/plain"]


def test_names_cannot_break_out() -> None:
    outcome = Outcome(OutcomeStatus.SKIPPED, reason=HOSTILE)
    cards = [
        card_of(OrchestrationResult({HOSTILE: outcome})),
        card_of(ApiError(HOSTILE, endpoint=HOSTILE, url=HOSTILE)),
        card_of(Run(0, {HOSTILE: 1}, True, {HOSTILE: 2}, key=HOSTILE)),
        saga_card_of(SagaResult(HOSTILE, SagaState.FAILED, {HOSTILE: 1}, {"step": HOSTILE})),
    ]
    for card in cards:
        assert Checked(card).wrong == []
        assert "\x1b" not in card and "script&gt;" in card


def test_large_things_make_small_cards() -> None:
    deep = ApiValidationError("bad", errors=[{"loc": ("a" * 500,), "msg": "b" * 5000, "type": "t"}] * 500)
    huge = ApiHttpError(500, headers={f"x-{n}": "v" * 5000 for n in range(500)}, message="m" * 100_000)
    cause: BaseException = huge
    for _ in range(50):
        cause.__cause__ = ValueError("c" * 10_000)
        cause = cause.__cause__
    config = APIOrchestrationConfig(endpoints=[api(f"e{n}", depends_on=[]) for n in range(300)])
    wide = Run(0, {f"k{n}": n for n in range(10_000)}, True, {f"k{n}": n for n in range(10_000)})
    for what in (many(5_000), a_result(1_000), deep, huge, config, wide):
        card = card_of(what)
        assert len(card) < LARGEST
        assert "more" in card or "…" in card
    assert "… 4,995 more" in card_of(many(5_000))


def test_a_picture_of_the_flow_is_in_the_card_of_a_small_one() -> None:
    few = APIOrchestrationConfig(endpoints=[api("a"), api("b")])
    many_ = APIOrchestrationConfig(endpoints=[api(f"e{n}") for n in range(41)])
    assert "<img" in card_of(few) and "<img" not in card_of(many_)
    assert card_of(few).index("</table></div><details") < card_of(few).index("<img")  # where more room is
    assert "<img" not in card_of(APIOrchestrationConfig(endpoints=[api("a")]))


def test_the_picture_in_a_card_has_the_settings_of_the_card() -> None:
    config = APIOrchestrationConfig(endpoints=[api("a"), api("b")], max_concurrent=3, total_timeout=7)
    for what in (config, APIOrchestrator(config)):
        image = re.search(r'base64,([^"]+)"', card_of(what))
        assert image is not None
        assert "at most 3 at once · total timeout 7 s" in base64.b64decode(image[1]).decode()


def texts(what: Any) -> str:
    return " ".join(Checked(card_of(what)).text.split()).replace(" ,", ",")


def test_what_the_card_of_an_endpoint_says() -> None:
    said = texts(secretive())
    for part in ("pay", "POST", "api_key=***", "timeout 2 s", "retry 1x", "auth", "fallback", "{id}"):
        assert part in said


def test_a_long_url_may_go_on_in_the_next_line() -> None:
    url = "https://api.example.com/v2/rates/{base}/against/{quote}?day={day}&note=<b>"
    broken = "https://<wbr>api.example.com/<wbr>v2/<wbr>rates/<wbr>{base}/<wbr>against/<wbr>{quote}?<wbr>"
    assert address(url).count(f"{broken}day={{day}}&amp;<wbr>note=&lt;b&gt;</code>") == 1
    rates = APIEndpoint(name="rates", url=url)
    saga = Saga("order", [Step(rates, compensation=rates)])
    config = APIOrchestrationConfig(endpoints=[rates])
    asked = ApiHttpError(404, url="https://api.example.com/v2/rates")
    for what in (rates, config, asked):
        assert card_of(what).count("v2/<wbr>rates") == 1
    assert saga_card_of(saga).count("v2/<wbr>rates") == 2


def test_who_gave_nothing_has_an_empty_cell() -> None:
    outcomes = {"user": Outcome(OutcomeStatus.FAILED, error=failed(), attempts=1)}
    run = Run(0, {}, False, OrchestrationResult(outcomes), failed(), outcomes=outcomes)
    for what in (OrchestrationResult(outcomes), run, Runs([run])):
        said = card_of(what)
        assert "></code>" not in said and ">None<" not in said
        assert "1 requests" not in said


def test_a_run_that_failed_says_why_once_and_what_was_there_by_then() -> None:
    why = failed()
    outcomes = {
        "user": Outcome(OutcomeStatus.OK, {"id": 7}, attempts=1),
        "posts": Outcome(OutcomeStatus.FAILED, error=why, attempts=1),
    }
    run = Run(0, {}, False, OrchestrationResult(outcomes), why, outcomes=outcomes)
    assert texts(run).count(error_text(why)) == 1
    assert "{user}" in texts(Runs([run])) and "posts" not in texts(Runs([run]))
    other = Run(0, {}, False, OrchestrationResult(outcomes), ApiError("over"), outcomes=outcomes)
    assert texts(other).count(error_text(why)) == 1 and "1 error" in texts(other)


def test_the_card_of_a_run_says_its_error_once() -> None:
    error, other = failed(), ApiError("too many have failed")
    outcomes = {"pay": Outcome(OutcomeStatus.FAILED, error=error, attempts=3)}
    for ended_by, said in ((error, 1), (failed(), 1), (other, 1)):
        shown = texts(Run(0, {}, False, OrchestrationResult(outcomes), ended_by, outcomes=outcomes))
        assert (shown.count("HTTP 503 ["), shown.count("too many")) == (1, int(ended_by is other))
        assert shown.count(f"{type(ended_by).__name__}: ") == said
    many = {f"e{n}": Outcome(OutcomeStatus.FAILED, error=ApiError(f"no {n}")) for n in range(99)}
    last = many["e98"].error
    assert texts(Run(0, {}, False, OrchestrationResult(many), last, outcomes=many)).count("no 98") == 1


def test_one_is_not_many() -> None:
    again = OrchestrationResult({"user": Outcome(OutcomeStatus.OK, attempts=2)})
    assert "2 requests · 1 retry " in f"{texts(again)} "
    once = {"user": Outcome(OutcomeStatus.OK, attempts=1)}
    run = Run(0, {}, True, OrchestrationResult(once), outcomes=once)
    assert "1 request · 0 retries" in texts(Runs([run]))


def test_what_the_card_of_a_result_says() -> None:
    said = texts(a_result(0))
    assert said.startswith("4 ok, 1 failed, 1 skipped, 1 unknown of 7 · 650 ms · 7 requests")
    for part in ("✗ failed · 503", "substitute", "cache", "stale", "{id, note}", "1 of {id}", "text of 12"):
        assert part in said


def test_what_the_card_of_many_runs_says() -> None:
    cut = a_run(9, ok=False)
    outcomes = {"user": Outcome(OutcomeStatus.CANCELLED)}
    cut = Run(9, {}, False, OrchestrationResult(outcomes), ApiError("interrupted"), outcomes=outcomes)
    said = texts(Runs([*many(9), cut]))
    assert "6 ok, 3 failed, 1 cut off of 10" in said
    assert "HTTP 503 3 #0 #3 #6" in said


async def test_what_the_cards_say_after_calls() -> None:
    shop = APIOrchestrator(
        APIOrchestrationConfig(endpoints=[api("user", retry_count=0)], circuit_breaker_threshold=1),
        transport=FakeTransport({"user": 503}),
    )
    stream = shop.stream([{}, {}])
    assert "Nothing was read yet" in texts(stream)
    async with stream:
        assert len([run async for run in stream]) == 2
    assert "2 failed of 2" in texts(stream)
    assert "2 calls · 0 % ok" in texts(shop) and "user: circuit open" in texts(shop)


class User(BaseModel):
    """A value with fields."""

    id: int
    note: str


class Broken(list[int]):
    """A list that cannot be counted."""

    def __len__(self) -> int:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (None, "None"),
        (7, "int"),
        (CANARY, "text of 12"),
        (b"abc", "3 bytes"),
        ({"id": 1, 2: 3}, "{id, int}"),
        ({TOKEN: 1}, "{***}"),
        (User(id=1, note=CANARY), "User{id, note}"),
        ([User(id=1, note=CANARY)], "1 of User{id, note}"),
        ([CANARY, CANARY], "2 of text"),
        ([[1], [2]], "2 of list"),
        ((), "empty"),
        (Broken(), "Broken"),
    ],
)
def test_values_are_shown_by_their_shape(value: Any, shape: str) -> None:
    assert shape_of(value) == shape


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("all is well", "all is well"),
        (f"Authorization: Bearer {CANARY}", "Authorization: ***"),
        (f"password={CANARY}; page=2", "password=***; page=2"),
        (f"{{'api_key': '{CANARY}'}}", "{'api_key': '***'}"),
        (f"see https://me:{CANARY}@h/x?token={CANARY}", "see https://***@h/x?token=***"),
        (f"it said ({TOKEN})", "it said (***)"),
        ("two\nlines", "two lines"),
    ],
)
def test_texts_are_shown_without_secrets(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_an_error_that_cannot_say_what_it_is_has_a_card_all_the_same() -> None:
    class Mute(ValueError):
        def __str__(self) -> str:
            raise RuntimeError

    assert error_text(Mute()) == "Mute"


def test_there_is_no_card_of_anything_else() -> None:
    with pytest.raises(TypeError, match="no card of int"):
        card_of(7)
    with pytest.raises(TypeError, match="no card of int"):
        saga_card_of(7)  # type: ignore[arg-type]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize("kind", [kind for kind in COLOURS if kind != "rest"])
def test_texts_can_be_read_on_light_and_dark_pages(kind: str, page: str) -> None:
    darker, lighter = sorted((luminance(COLOURS[kind]), luminance(page)))
    assert (lighter + 0.05) / (darker + 0.05) >= 3.9


def test_bars_are_as_long_as_their_shares() -> None:
    assert re.findall(r"width:([\d.]+)%", bar([(3, "ok"), (0, "warned"), (1, "failed")])) == [
        "75.00",
        "25.00",
    ]
    assert bar([]) == "" and bar([(0, "ok")]) == ""
    assert markup(markup("<")) == "&lt;"


def test_a_long_name_is_no_secret() -> None:
    name = "fetch_customer_orders_v2_by_id"
    lost = Outcome(OutcomeStatus.FAILED, error=ApiHttpError(503, endpoint=name))
    assert card_of(OrchestrationResult({name: lost})).count(name) == 2
    assert name in card_of(ApiHttpError(503, endpoint=name))
    whole = "https://me:hunter2@api.example.com/users"
    assert "hunter2" not in card_of(ApiHttpError(503, endpoint=whole))
