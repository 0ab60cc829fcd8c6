"""``record_of``: a run as plain data, to be written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from rxorch.stream import Run
from rxorch.stream.plain import described, place_of

__all__ = ["json_line", "record_of"]


def record_of(run: Run) -> dict[str, Any]:
    """A run as what JSON can hold.

    Args:
        run: Of a stream.

    Returns:
        `index`, `key`, `ok`, `input`, `result`, `error` (`type` and `message`, or None), `outcomes` (by
        endpoint `status`, `attempts`, `duration`), `attempts`, `started` and `duration` in seconds. An input
        that could not be read is its `source` and `line`. A result that JSON cannot hold is None, and then
        there is `result_kept`, False.

    >>> from rxorch import OrchestrationResult
    >>> record = record_of(Run(0, {"id": 7}, True, OrchestrationResult({}), duration=0.5))
    >>> record["ok"], record["input"], record["result"], record["duration"]
    (True, {'id': 7}, {}, 0.5)
    """
    record: dict[str, Any] = {
        "index": run.index,
        "key": run.key if isinstance(run.key, str | int | None) else str(run.key),
        "ok": run.ok,
        "input": _kept(place_of(run.input))[0],
    }
    record["result"], is_kept = _kept(run.result)
    if not is_kept:
        record["result_kept"] = False
    record["error"] = described(run.error)
    record["outcomes"] = {
        name: {"status": str(outcome.status), "attempts": outcome.attempts, "duration": outcome.duration}
        for name, outcome in run.outcomes.items()
    }
    record["attempts"] = run.attempts
    record["started"] = run.started
    record["duration"] = run.duration
    return record


def json_line(record: Mapping[str, Any]) -> bytes:
    """A record as one line. Numbers that JSON has not, such as infinity, are null."""
    try:
        return to_json(record, inf_nan_mode="null") + b"\n"
    except PydanticSerializationError:  # half a pair of surrogates, which UTF-8 lacks and JSON can escape
        return json.dumps(to_jsonable_python(record, inf_nan_mode="null")).encode() + b"\n"


def _kept(value: Any) -> tuple[Any, bool]:
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        return to_jsonable_python(value, fallback=_plain), True
    except (PydanticSerializationError, ValueError, TypeError, RecursionError):
        return None, False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("no JSON")
