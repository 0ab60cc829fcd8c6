"""When messages are settled, without a broker."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from rxorch import ApiConfigurationError
from rxorch.brokers import BadMessage, Message, acknowledged
from rxorch.brokers.message import Delivery, message_of, parse_json


@dataclass
class Ended:
    input: Any
    ok: bool


class Notes:
    """Takes deliveries back."""

    def __init__(self) -> None:
        self.settled: list[tuple[str, bool, bool]] = []

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        self.settled.append((delivery.id, done, requeue))
        return True


def message(notes: Notes, number: int, body: bytes = b"{}", attempts: int = 1) -> Message | BadMessage:
    delivery = Delivery(number, str(number), attempts, {}, None, notes)
    return message_of("orders", body, delivery, parse_json)


class Runs(AsyncIterator[Ended]):
    def __init__(self, *runs: Ended) -> None:
        self.left = list(runs)
        self.closed = False

    async def __anext__(self) -> Ended:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)

    async def aclose(self) -> None:
        self.closed = True


async def test_each_is_settled_when_the_next_is_asked_for() -> None:
    notes = Notes()
    runs = acknowledged(Runs(Ended(message(notes, 1), True), Ended(message(notes, 2), False)))
    await anext(runs)
    assert notes.settled == []
    await anext(runs)
    assert notes.settled == [("1", True, False)]
    with pytest.raises(StopAsyncIteration):
        await anext(runs)
    assert notes.settled == [("1", True, False), ("2", False, True)]
    with pytest.raises(StopAsyncIteration):
        await anext(runs)
    assert len(notes.settled) == 2


async def test_what_was_only_handed_out_is_not_settled() -> None:
    notes = Notes()
    inner = Runs(Ended(message(notes, 1), True))
    async with acknowledged(inner) as runs:
        async for _ in runs:
            break
    assert notes.settled == [] and inner.closed


async def test_what_fails_again_and_again_is_rejected_for_good() -> None:
    notes = Notes()
    failed = [Ended(message(notes, n, attempts=n), False) for n in (1, 2, 3)]
    bad = Ended(message(notes, 4, b"{"), False)
    async for _ in acknowledged(Runs(*failed, bad), max_attempts=3):
        pass
    assert [requeue for _, _, requeue in notes.settled] == [True, True, False, False]


async def test_the_messages_of_a_batch_are_settled_alike() -> None:
    notes = Notes()
    async for _ in acknowledged(Runs(Ended([message(notes, 1), message(notes, 2)], True))):
        pass
    assert notes.settled == [("1", True, False), ("2", True, False)]


async def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="an input is no message of a broker, but dict"):
        async for _ in acknowledged(Runs(Ended({"n": 1}, True))):
            pass


@pytest.mark.parametrize("value", [0, True, 1.5])
def test_attempts_are_a_whole_number(value: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="max_attempts: give a whole number"):
        acknowledged(Runs(), max_attempts=value)


def test_a_message_is_a_dict_that_shows_nothing() -> None:
    given = message(Notes(), 7, b'{"card": "4711"}')
    assert given == {"card": "4711"} and isinstance(given, Message)
    assert repr(given) == "Message(id='7', attempts=1)"
    assert pickle.loads(pickle.dumps(given)) == {"card": "4711"}
    assert type(deepcopy(given)) is dict


def test_a_bad_message_tells_where_it_is() -> None:
    given = message(Notes(), 7, b"\xff4711")
    assert isinstance(given, BadMessage)
    assert str(given) == "orders:7" and "4711" not in repr(given)
    missing = message_of("orders", None, given.delivery, parse_json)
    assert isinstance(missing, BadMessage) and str(missing.error) == "orders, message 7: it has no body"
