"""The sections of a report on runs of sagas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rxorch.draw.aftermath import counted, share_words
from rxorch.draw.cards_html import Html, and_more, code, cut, details, joined, muted, strong, table
from rxorch.draw.facts import printable
from rxorch.draw.masking import masked
from rxorch.draw.reporting.page import Figure, Verdict, picture, wide_table
from rxorch.saga.picture import (
    COLOURS,
    SIGNS,
    WORDS,
    RunPicture,
    StepRow,
    plight_of,
    time_of,
    told_of,
    undo_colour,
    undo_word,
)
from rxorch.saga.records import AuditEvent, SagaState, StepRecord, StepStatus
from rxorch.saga.report_sums import RunSums, RunTold, StepSums, cause_word
from rxorch_operators._seconds import seconds_words

__all__ = ["causes", "numbers", "stories", "sums_of_steps", "verdict"]

_MOST_ROWS: Final = 50
_MOST_EVENTS: Final = 200
_KINDS: Final = {"green": "ok", "red": "failed", "yellow": "warned", "cyan": "busy", "dim": "muted"}
"""Colours of texts as kinds of HTML."""
_EVENT_KINDS: Final = {"completed": "ok", "failed": "failed", "unknown": "warned", "compensated": "warned"}
_SUM_HEAD: Final = (
    "step", "begun", "completed", "failed", "unknown", "attempts", "p50", "p95", "undone", "attempts to undo",
    "could not be undone",
)  # fmt: skip


def verdict(sums: RunSums) -> Verdict:
    """How it went, in a line."""
    states, runs = sums.states, sums.runs
    dead, undone, completed = (
        states[each] for each in (SagaState.FAILED, SagaState.COMPENSATED, SagaState.COMPLETED)
    )
    open_ = runs - dead - undone - completed
    if not runs:
        return _judged("–", "there is no run")  # noqa: RUF001 - a dash
    if runs == 1:
        sign = "✓" if completed else "✗" if dead else "–"  # noqa: RUF001 - a dash
        end = f", after {seconds_words(sums.durations.max)}" if not open_ else ""
        return _judged(sign, f"it is {_words(next(iter(states)))}{end}")
    parts = [f"{completed:,} completed", f"{undone:,} undone"]
    parts += [counted(dead, "dead letter")] if dead else []
    parts += [f"{open_:,} not over"] if open_ else []
    sign = "✗" if dead else "✓" if completed + undone == runs else "–"  # noqa: RUF001 - a dash
    return _judged(sign, f"of {counted(runs, 'run')} {', '.join(parts)}")


def _judged(sign: str, words: str) -> Verdict:
    return sign, {"✓": "ok", "✗": "failed"}.get(sign, "degraded"), words


def _words(state: SagaState) -> str:
    words = {SagaState.COMPENSATED: "undone", SagaState.FAILED: "a dead letter"}
    return words.get(state, str(state).replace("_", " "))


def numbers(sums: RunSums) -> Iterator[Figure]:
    """The figures of all together."""
    states, steps = sums.states, [*sums.steps.values()]
    if sums.runs > 1:
        dead = states[SagaState.FAILED]
        yield f"{sums.runs:,}", "runs", ""
        yield f"{states[SagaState.COMPLETED]:,}", "completed", "ok"
        yield (
            f"{states[SagaState.COMPENSATED]:,}",
            "undone",
            "",
        )
        yield f"{dead:,}", "dead letters", "failed" if dead else ""
    yield f"{sum(each.done.total() for each in steps):,}", "steps begun", ""
    yield f"{sum(each.undone[StepStatus.COMPLETED] for each in steps):,}", "steps undone", ""
    yield f"{sum(each.attempts + each.undo_attempts for each in steps):,}", "attempts", ""
    if sums.durations.count > 1:
        yield seconds_words(sums.durations.percentile(0.5)), "p50 of a run", ""
        yield seconds_words(sums.durations.percentile(0.95)), "p95", ""
        yield seconds_words(sums.durations.max), "longest", ""
    yield seconds_words(sums.ended - sums.began), "in all", ""


def causes(sums: RunSums) -> Html:
    """For what how many runs were undone, or could not be."""
    found = sums.causes.most_common()
    rows = [
        (strong(cut(cause or "unknown")), f"{number:,}", share_words(number, sums.runs))
        for cause, number in found[:_MOST_ROWS]
    ]
    return joined([table(("cause", "runs", "of all"), rows, (1, 2)), _more(len(found))]) if rows else Html("")


def sums_of_steps(sums: RunSums) -> Html:
    """A row for each step."""
    rows = [_summed(name, each) for name, each in [*sums.steps.items()][:_MOST_ROWS]]
    if not rows:
        return Html("")
    return joined([wide_table(table(_SUM_HEAD, rows, range(1, len(_SUM_HEAD)))), _more(len(sums.steps))])


def _summed(name: str, step: StepSums) -> tuple[object, ...]:
    done, undone = step.done, step.undone
    lost = undone.total() - undone[StepStatus.COMPLETED]
    times = [seconds_words(step.durations.percentile(share)) for share in (0.5, 0.95)]
    return (
        strong(cut(printable(name), 60)),
        f"{done.total():,}",
        _some(done[StepStatus.COMPLETED]),
        _some(done[StepStatus.FAILED], "failed"),
        _some(done[StepStatus.UNKNOWN], "warned"),
        _some(step.attempts),
        *(times if step.durations.count else ("", "")),
        _some(undone[StepStatus.COMPLETED], "warned"),
        _some(step.undo_attempts),
        _some(lost, "failed"),
    )


def _some(number: int, kind: str = "") -> object:
    return strong(f"{number:,}", kind=kind) if number and kind else f"{number:,}" if number else ""


def stories(chosen: Mapping[str, Sequence[RunTold]]) -> Iterator[tuple[str, Html]]:
    """Runs with their pictures, steps and events; by what they are shown for, and that may be nothing."""
    number = 0
    for heading, runs in chosen.items():
        if not heading:
            shown, steps, events = _story(runs[0], "run")
            yield from (("What happened", shown), ("Steps", steps), ("Events", events))
            continue
        names = [f"run-{number + place}" for place in range(len(runs))]
        number += len(runs)
        folded = [_folded(*each, is_open=each[1] == names[0]) for each in zip(runs, names, strict=True)]
        yield heading, joined(folded)


def _folded(told: RunTold, name: str, *, is_open: bool) -> Html:
    word = cause_word(told.run.error)
    summary = f"{told.picture.title}{f' · {word}' if word else ''}"
    return details(summary, *_story(told, name), is_open=is_open)


def _story(told: RunTold, name: str) -> tuple[Html, Html, Html]:
    drawn = told.picture
    return picture(drawn.svg(), name), _steps(drawn), _events(told)


def _steps(drawn: RunPicture) -> Html:
    rows = [_step(row, drawn.run.began) for row in drawn.rows[:_MOST_ROWS]]
    if not rows:
        return Html("")
    head = ("step", "", "at", "attempts", "took", "undoing", "at", "attempts", "took", "error")
    return joined([wide_table(table(head, rows, (2, 3, 4, 6, 7, 8))), _more(len(drawn.rows))])


def _step(row: StepRow, began: float) -> tuple[object, ...]:
    done, undone = row.done, row.undone
    how: object = muted(row.absence)
    if done is not None:
        words = f"{SIGNS[done.status]} {WORDS.get(done.status, 'done')}"
        how = strong(words, kind=_KINDS[COLOURS[done.status]])
    undoing = "" if undone is None else strong(undo_word(row), kind=_KINDS[undo_colour(undone)])
    errors = [told_of(each.error) for each in (done, undone) if each is not None and each.error]
    return (
        strong(cut(printable(row.name), 60)),
        how,
        *_facts(done, began),
        undoing,
        *_facts(undone, began),
        "; undoing: ".join(errors),
    )


def _facts(step: StepRecord | None, began: float) -> tuple[str, str, str]:
    if step is None:
        return "", "", ""
    return f"+ {seconds_words(step.began_at - began)}", f"{step.attempt or ''}", time_of(step)


def _events(told: RunTold) -> Html:
    shown = told.history[-_MOST_EVENTS:]
    if not shown:
        return Html("")
    rows = [_event(each, told.run.began) for each in shown]
    left_out = len(told.history) - len(shown)
    more = muted(f"{left_out:,} earlier events are left out") if left_out else ""
    body = table(("at", "event", "step", "attempt", ""), rows, (0, 3))
    return details(counted(len(told.history), "event"), more, wide_table(body), is_open=len(rows) <= 12)


def _event(event: AuditEvent, began: float) -> tuple[object, ...]:
    data: Mapping[str, Any] = event.data
    said = [plight_of(data["error"])] if data.get("error") else []
    said += [str(data[key]) for key in ("name", "reason") if data.get(key)]
    said += [f"lease {data['generation']}"] if data.get("generation") else []
    kind = _EVENT_KINDS.get(event.kind.rpartition(".")[2])
    return (
        f"+ {seconds_words(event.at - began)}",
        strong(event.kind, kind=kind) if kind else event.kind,
        cut(printable(str(data.get("step", ""))), 60),
        f"{data.get('attempt') or ''}",
        code(masked(", ".join(said))),
    )


def _more(rows: int) -> Html:
    return and_more(rows - _MOST_ROWS)
