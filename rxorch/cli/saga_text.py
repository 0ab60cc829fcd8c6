"""What ``rxorch saga`` says of runs: lines for people, and plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rxorch.draw.facts import printable
from rxorch.saga import AuditEvent, RunPicture, RunRecord, StepRecord
from rxorch.saga.picture import STATE_COLOURS, plight_of, state_word
from rxorch.terminal.ink import Ink, columns
from rxorch_operators._seconds import seconds_words

__all__ = ["run_document", "run_facts", "run_lines", "table"]

_LONGEST = 60
"""Characters of a reason in a table."""


def table(runs: Sequence[RunRecord], ink: Ink, now: float) -> list[str]:
    """A line for each run, with a heading; nothing without runs."""
    if not runs:
        return []
    rows = [[ink(cell, "dim") for cell in ("RUN", "SAGA", "STATE", "BEGAN", "TIME", "")]]
    for run in runs:
        why = _driver(run, now) if not run.state.is_over else _reason(run)
        cells = [printable(run.run_id), printable(run.saga), _coloured(run, ink), _clock(run.began)]
        rows.append([*cells, seconds_words(run.changed - run.began), ink(why, "dim")])
    return columns(rows, "<<<<><")


def run_lines(
    run: RunRecord,
    steps: Sequence[StepRecord],
    history: Sequence[AuditEvent],
    ink: Ink,
    now: float,
    *,
    values: bool,
) -> Iterator[str]:
    """All there is to say of a run; inputs and results only with `values`."""
    yield RunPicture(run, steps, history=history).text(ascii=not ink.unicode, paint=ink)
    yield ""
    facts = [["began", _clock(run.began)], ["driven", _driven(run, now)], ["trace", printable(run.trace_id)]]
    yield from columns([[ink(label, "dim"), value] for label, value in facts if value], "<<")
    yield ""
    yield ink("History", "bold")
    rows = [[f"+{seconds_words(event.at - run.began)}", *_event(event, ink)] for event in history]
    yield from (f"  {line}" for line in columns(rows, "><<<<"))
    if values:
        yield ""
        yield ink("Values", "bold")
        yield from (f"  {line}" for line in columns(_values(run, steps), "<<"))


def _event(event: AuditEvent, ink: Ink) -> list[str]:
    data = event.data
    kind = event.kind
    last = kind.rpartition(".")[2]
    colour = {"completed": "green", "failed": "red", "unknown": "yellow", "compensated": "yellow"}.get(last)
    attempt = f"{data['attempt']}x" if data.get("attempt") else ""
    told = []
    if "error" in data:
        told.append(plight_of(data["error"]))
    told += [printable(str(data[key])) for key in ("name", "reason") if data.get(key)]
    if kind == "run.resumed":
        told.append(f"lease {data.get('generation', '')}")
    return [ink(kind, colour) if colour else kind, printable(data.get("step", "")), attempt, ", ".join(told)]


def _values(run: RunRecord, steps: Sequence[StepRecord]) -> Iterator[list[str]]:
    yield ["input", _compact(run.input)]
    for step in steps:
        name = printable(f"undo {step.step}" if step.undo else step.step)
        if step.input_json is not None:
            yield [f"{name}, input", _compact(step.input)]
        if step.output_json is not None:
            yield [f"{name}, result", _compact(step.output)]
    if run.result_json is not None:
        yield ["result", _compact(run.result)]


def _compact(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def _coloured(run: RunRecord, ink: Ink) -> str:
    return ink(state_word(run), STATE_COLOURS.get(run.state, "cyan"))


def _reason(run: RunRecord) -> str:
    told = plight_of(run.error or {})
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 3]}..."


def _driver(run: RunRecord, now: float) -> str:
    if run.owner is None or run.leased_until <= now:
        return "nobody drives it"
    return f"driven by {printable(run.owner)}"


def _driven(run: RunRecord, now: float) -> str:
    times = "once" if run.generation == 1 else f"{run.generation} times"
    if run.state.is_over:
        return times
    if run.owner is None or run.leased_until <= now:
        return f"{times}, now by nobody: 'rxorch saga resume' goes on with it"
    return f"{times}, now by {printable(run.owner)} (lease: {seconds_words(run.leased_until - now)} more)"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


# -- plain data ----------------------------------------------------------------------------------------


def run_facts(run: RunRecord) -> dict[str, Any]:
    """A run as plain data, without its input and result."""
    return {
        "run_id": run.run_id,
        "saga": run.saga,
        "state": str(run.state),
        "began": _iso(run.began),
        "changed": _iso(run.changed),
        "seconds": round(run.changed - run.began, 6),
        "error": run.error,
        "owner": run.owner,
        "leased_until": _iso(run.leased_until) if run.owner is not None else None,
        "generation": run.generation,
        "fingerprint": run.fingerprint,
        "trace_id": run.trace_id,
    }


def run_document(
    run: RunRecord, steps: Sequence[StepRecord], history: Sequence[AuditEvent], *, values: bool
) -> dict[str, Any]:
    """A run with its steps and its history as plain data; inputs and results only with `values`."""
    document = run_facts(run)
    if values:
        document |= {"input": run.input, "result": run.result}
    document["steps"] = [_step_facts(step, values=values) for step in steps]
    document["history"] = [
        {"number": event.number, "at": _iso(event.at), "kind": event.kind, **event.data} for event in history
    ]
    return document


def _step_facts(step: StepRecord, *, values: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "step": step.step,
        "undo": step.undo,
        "status": str(step.status),
        "attempt": step.attempt,
        "key": step.key,
        "began": _iso(step.began_at),
        "ended": None if step.ended_at is None else _iso(step.ended_at),
        "due": None if step.due is None else _iso(step.due),
        "error": step.error,
    }
    return {**facts, "input": step.input, "result": step.output} if values else facts


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
