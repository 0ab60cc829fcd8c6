"""Cards of what a run and a stream of runs have given: fates, times and shapes, no values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rxorch.draw.aftermath import counted
from rxorch.draw.cards_html import (
    Html,
    and_more,
    bar,
    card,
    chip,
    chips,
    code,
    cut,
    details,
    joined,
    line,
    muted,
    strong,
    table,
)
from rxorch.draw.facts import shown_name
from rxorch.draw.masking import masked, named_error, shape_of
from rxorch.flow import OrchestrationResult, Outcome, OutcomeStatus
from rxorch.observe.histogram import Histogram
from rxorch.stream import Run, Runs, RunStream
from rxorch_operators._seconds import seconds_words

__all__ = ["fates", "outcome_table", "result_card", "run_card", "runs_card", "stream_card"]

_MOST_ENDPOINTS: Final = 40
_MOST_RUNS: Final = 5
_MOST_KINDS: Final = 8
_MOST_PLACES: Final = 12

_SIGNS: Final = {
    OutcomeStatus.OK: ("✓", "ok"),
    OutcomeStatus.FAILED: ("✗", "failed"),
    OutcomeStatus.SKIPPED: ("·", "muted"),
    OutcomeStatus.CANCELLED: ("-", "warned"),
    OutcomeStatus.UNKNOWN: ("?", "warned"),
}


def fates(counts: Mapping[str, int], whole: str = "") -> Html:
    """How many there were of each fate, those with none left out."""
    kinds = {"ok": "ok", "failed": "failed", "cancelled": "warned", "cut off": "warned", "unknown": "warned"}
    said = [
        strong(f"{number:,} {name}", kind=kinds.get(name, "muted"))
        for name, number in counts.items()
        if number
    ]
    return joined([joined(said or [strong("nothing yet")], ", "), muted(whole) if whole else ""], " ")


def result_card(result: OrchestrationResult) -> Html:
    """How each endpoint of a run ended."""
    outcomes = result.outcomes
    return card(
        line(_head(outcomes.values(), result.duration)),
        _bar(outcomes.values()),
        outcome_table(outcomes),
        _told(_errors(outcomes)),
    )


def run_card(run: Run) -> Html:
    """What became of one input."""
    error, errors = named_error(run.error), _errors(run.outcomes)
    return card(
        line(
            strong(f"Run {_place(run)}"),
            _status(run),
            muted(f"{seconds_words(run.duration)} · input {shape_of(run.input)}"),
        ),
        line(error) if error not in [*errors.values()][:_MOST_ENDPOINTS] else "",
        outcome_table(run.outcomes),
        _told(errors),
    )


def runs_card(runs: Runs) -> Html:
    """What became of many inputs: in numbers, the first of them, and the failures by kind."""
    cut_off = sum(run.cut_off for run in runs)
    failed = [run for run in runs if not run.ok and not run.cut_off]
    good = len(runs) - len(failed) - cut_off
    durations = Histogram()
    for run in runs:
        durations.add(run.duration)
    attempts = sum(run.attempts for run in runs)
    calls = sum(1 for run in runs for outcome in run.outcomes.values() if outcome.attempts)
    said = [f"of {len(runs):,}"]
    if runs:
        ended = max(run.started + run.duration for run in runs)
        said += [seconds_words(ended), counted(attempts, "request"), _retries(attempts - calls)]
        said.append(f"p95 {seconds_words(durations.percentile(0.95))}")
    more = len(runs) - _MOST_RUNS
    shown = [
        (_place(run), code(_given(run)), _status(run), f"{run.attempts}", seconds_words(run.duration))
        for run in runs[:_MOST_RUNS]
    ]
    return card(
        line(fates({"ok": good, "failed": len(failed), "cut off": cut_off}, " · ".join(said))),
        bar([(good, "ok"), (len(failed), "failed"), (cut_off, "warned")]),
        table(("#", "gave", "status", "requests", "took"), shown, (3, 4)) if shown else "",
        line(and_more(more)),
        details(f"{len(failed):,} failures by kind", _by_kind(failed), is_open=True) if failed else "",
    )


def stream_card(stream: RunStream) -> Html:
    """How far a stream is."""
    figures = stream.statistics()
    counts = {"ok": figures.ok, "failed": figures.failed, "cut off": figures.cancelled}
    whole = f"of {figures.read:,} read" if stream.total is None else f"of {stream.total:,}"
    shown = [f"at most {figures.max_concurrent} at once"]
    if figures.in_flight:
        shown.append(f"{figures.in_flight:,} in flight")
    if figures.skipped:
        shown.append(f"{figures.skipped:,} in the ledger already")
    if figures.repeated:
        shown.append(f"{figures.repeated:,} repeated")
    return card(
        line(strong("RunStream"), fates(counts, whole)),
        bar([(figures.ok, "ok"), (figures.failed, "failed"), (figures.cancelled, "warned")]),
        line(chips(shown)),
        "" if figures.read else line(muted("Nothing was read yet: "), code("async for run in stream: ...")),
    )


def outcome_table(outcomes: Mapping[str, Outcome]) -> Html:
    """A row for each endpoint."""
    if not outcomes:
        return Html("")
    shown = [*outcomes.items()][:_MOST_ENDPOINTS]
    rows = [
        (
            strong(cut(shown_name(name), 60)),
            _sign(outcome),
            code(_gave(outcome)),
            outcome.attempts or "",
            _time(outcome),
        )
        for name, outcome in shown
    ]
    more = len(outcomes) - len(shown)
    made = table(("endpoint", "status", "gave", "tries", "took"), rows, (3, 4))
    return Html(made + line(and_more(more)))


def _head(outcomes: Iterable[Outcome], duration: float) -> Html:
    found = list(outcomes)
    counts = {str(status): 0 for status in OutcomeStatus}
    for outcome in found:
        counts[str(outcome.status)] += 1
    attempts = sum(outcome.attempts for outcome in found)
    retries = sum(max(0, outcome.attempts - 1) for outcome in found)
    whole = f"of {len(found)} · {seconds_words(duration)} · {counted(attempts, 'request')}"
    return fates(counts, f"{whole} · {_retries(retries)}" if retries else whole)


def _retries(number: int) -> str:
    return "1 retry" if number == 1 else f"{number:,} retries"


def _bar(outcomes: Iterable[Outcome]) -> Html:
    counts = Counter(_SIGNS[outcome.status][1] for outcome in outcomes)
    return bar([(counts[kind], kind) for kind in ("ok", "failed", "warned", "muted")])


def _sign(outcome: Outcome) -> Html:
    sign, kind = _SIGNS[outcome.status]
    origins = {"stale": outcome.stale, "substitute": outcome.degraded, "cache": outcome.cached}
    more = next((f" · {origin}" for origin, holds in origins.items() if holds), "")
    code_ = getattr(outcome.error, "status_code", None)
    number = f" · {code_}" if isinstance(code_, int) else ""
    return chip(f"{sign} {outcome.status}{number}{more}", "warned" if outcome.degraded else kind)


def _gave(outcome: Outcome) -> str:
    if outcome.status is OutcomeStatus.OK:
        return shape_of(outcome.value)
    return masked(outcome.reason, 80) if outcome.reason else ""


def _time(outcome: Outcome) -> str:
    return "" if outcome.started is None and not outcome.duration else seconds_words(outcome.duration)


def _errors(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """What went wrong at each endpoint that called."""
    return {
        name: named_error(outcome.error)
        for name, outcome in outcomes.items()
        if outcome.error is not None and outcome.status is not OutcomeStatus.SKIPPED
    }


def _told(errors: Mapping[str, str]) -> Html:
    if not errors:
        return Html("")
    noun = "error" if len(errors) == 1 else "errors"
    rows = [(strong(cut(shown_name(name), 60)), why) for name, why in [*errors.items()][:_MOST_ENDPOINTS]]
    return details(f"{len(errors)} {noun}", table((), rows), is_open=True)


def _given(run: Run) -> str:
    """The shape of what a run gave; of one endpoint alone, of what that gave; nothing, if it failed."""
    result = run.result
    given = result
    if isinstance(result, OrchestrationResult):
        good = {name: each.value for name, each in result.outcomes.items() if each.status is OutcomeStatus.OK}
        given = (next(iter(good.values())) if len(result) == 1 else good) if good else None
    return "" if given is None and not run.ok else shape_of(given)


def _place(run: Run) -> str:
    key = "" if run.key is None or str(run.key) == str(run.index) else f" {masked(str(run.key), 40)}"
    return f"{run.index}{key}"


def _status(run: Run) -> Html:
    if run.cut_off:
        return chip("- cut off", "warned")
    return chip("✓ ok", "ok") if run.ok else chip(f"✗ {_kind(run.error)}", "failed")


def _kind(error: BaseException | None) -> str:
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return f"HTTP {status}"
    return "failed" if error is None else type(error).__name__.removeprefix("Api").removesuffix("Error")


def _by_kind(failed: Sequence[Run]) -> Html:
    kinds: dict[str, list[Any]] = {}
    for run in failed:
        kinds.setdefault(_kind(run.error), []).append(run)
    most = sorted(kinds.items(), key=lambda each: -len(each[1]))
    rows = [(kind, f"{len(runs):,}", code(_places(runs))) for kind, runs in most[:_MOST_KINDS]]
    more = len(most) - len(rows)
    return Html(table((), rows, (1,)) + line(and_more(more, "more kinds")))


def _places(runs: Sequence[Run]) -> str:
    shown = " ".join(f"#{run.index}" for run in runs[:_MOST_PLACES])
    return f"{shown} …" if len(runs) > _MOST_PLACES else shown
