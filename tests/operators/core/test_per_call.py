"""The key of a guarded call: the function, and all its arguments with their types."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch_operators.core.per_call import call_key


async def pay(*args: Any, **kwargs: Any) -> None:
    """Something that is called."""


async def refund(*args: Any, **kwargs: Any) -> None:
    """Something else."""


def key(*args: Any, **kwargs: Any) -> object:
    return call_key(pay, args, kwargs)


def test_equal_calls_have_equal_keys() -> None:
    assert key(1, "a", b=2, c=True) == key(1, "a", c=True, b=2)
    assert hash(key(1, b=2, c=True)) == hash(key(1, c=True, b=2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key(1), key(2)),
        (key(1), key(True)),
        (key(1), key(1.0)),
        (key(1), key(b=1)),
        (key(dry_run=True, amount=1), key(amount=True, dry_run=1)),
        (key(), call_key(refund, (), {})),
    ],
)
def test_different_calls_have_different_keys(one: object, other: object) -> None:
    assert one != other


def test_what_cannot_be_hashed_is_named_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"the arguments of pay cannot be hashed .*: give key="):
        key([1])
