"""Success and Failure: what they carry, and that they are values."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from rxorch_operators.results import Failure, Success
from tests.operators.support import Boom


def test_a_success_gives_its_value() -> None:
    result = Success("seven", 7)
    assert (result.ok, result.value, result.input, result.unwrap()) == (True, "seven", 7, "seven")
    assert result == Success(value="seven", input=7)
    assert repr(result) == "Success(value='seven', input=7)"


def test_a_failure_raises_its_error() -> None:
    error = Boom("seven")
    result = Failure(error, 7)
    assert (result.ok, result.error, result.input) == (False, error, 7)
    with pytest.raises(Boom) as caught:
        result.unwrap()
    assert caught.value is error


@pytest.mark.parametrize("result", [Success("seven", 7), Failure(Boom("seven"), 7)])
def test_they_are_frozen_and_travel(result: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        result.input = 8
    assert not hasattr(result, "__dict__")
    for twin in (copy.copy(result), pickle.loads(pickle.dumps(result))):
        assert type(twin) is type(result)
        assert twin.input == 7
        assert twin.ok is result.ok
