"""Sections of a report on what happened: figures, runs, errors, endpoints, breakers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rxorch.draw.aftermath import counted, share_words
from rxorch.draw.cards_html import Html, and_more, details, joined, muted, strong, table
from rxorch.draw.reporting.page import Figure, Verdict, picture, wide_table
from rxorch.draw.timeline.chronicle import Chronicle, RunRecord
from rxorch.draw.timeline.picture import Waterfall
from rxorch.draw.timeline.records import Timeline
from rxorch.draw.timeline.totals import EndpointTotal
from rxorch.stream import StreamStatistics
from rxorch_operators._seconds import seconds_words

__all__ = [
    "breakers",
    "endpoints",
    "error_counts",
    "errors",
    "numbers",
    "pictures",
    "sample_note",
    "summary_of",
    "verdict",
]

_MOST_ROWS: Final = 50
_HEAD: Final = (
    "endpoint", "calls", "failed", "fallback", "cached", "skipped", "requests", "repeats", "p50", "p95",
    "longest",
)  # fmt: skip


def verdict(chronicle: Chronicle, inputs: StreamStatistics | None, *, interrupted: bool) -> Verdict:
    """How it went, in a line."""
    sign, words = _judged(chronicle, inputs)
    words = f"stopped before its end; {words}" if interrupted else words
    kind = {"✓": "ok", "✗": "failed"}.get(sign, "degraded")
    degraded = chronicle.totals.degraded
    more = f", {counted(degraded, 'call')} answered by an error handler" if degraded else ""
    return sign, kind, f"{words}{more}, in {seconds_words(chronicle.duration)}"


def _judged(chronicle: Chronicle, inputs: StreamStatistics | None) -> tuple[str, str]:
    statuses = chronicle.statuses
    ok, failed, whole = statuses["ok"], statuses["failed"], statuses.total()
    noun = "run"
    if inputs is not None:
        ok, failed, whole, noun = inputs.ok, inputs.failed, inputs.read - inputs.skipped, "input"
    elif not whole:
        lost, whole, noun = chronicle.totals.lost, _calls(chronicle), "call"
        ok, failed = whole - lost, lost
    if not whole:
        return "–", f"no {noun} was made" if noun != "input" else "there was nothing to do"  # noqa: RUF001 - a dash
    if whole == 1 and noun == "run":
        return ("✓", "it went well") if ok else ("✗", _why(chronicle))
    if failed:
        return "✗", f"{failed:,} of {counted(whole, noun)} failed ({share_words(failed, whole)})"
    if ok == whole:
        return "✓", f"all {counted(whole, noun)} went well" if whole > 1 else f"the {noun} went well"
    return "–", f"{ok:,} of {counted(whole, noun)} went well, none failed"  # noqa: RUF001 - a dash


def _why(chronicle: Chronicle) -> str:
    if chronicle.statuses["cancelled"]:
        return "it was cancelled"
    return f"it failed: {next(iter(chronicle.run_kinds), '') or 'see below'}"


def _calls(chronicle: Chronicle) -> int:
    return sum(each.calls for each in chronicle.totals.endpoints.values())


def numbers(chronicle: Chronicle, inputs: StreamStatistics | None) -> Iterator[Figure]:
    """The figures of all together."""
    totals, statuses, runs = chronicle.totals, chronicle.statuses, chronicle.statuses.total()
    if inputs is not None:
        yield from _of_inputs(inputs)
    elif runs > 1:
        yield f"{runs:,}", "runs", ""
        yield f"{statuses['ok']:,}", "ok", "ok"
        yield f"{statuses['failed']:,}", "failed", "failed" if statuses["failed"] else ""
        if statuses["cancelled"]:
            yield f"{statuses['cancelled']:,}", "cancelled", "degraded"
    else:
        lost = totals.lost
        yield f"{_calls(chronicle):,}", "calls", ""
        yield f"{lost:,}", "failed", "failed" if lost else ""
    yield f"{totals.attempts:,}", "requests", ""
    yield f"{totals.retries:,}", "repeats", ""
    if chronicle.durations.count > 1:
        yield seconds_words(chronicle.durations.percentile(0.5)), "p50 of a run", ""
        yield seconds_words(chronicle.durations.percentile(0.95)), "p95", ""
        yield seconds_words(chronicle.durations.max), "longest", ""
    yield seconds_words(chronicle.duration), "in all", ""
    if runs > 1 and chronicle.duration > 0:
        rate = runs / chronicle.duration
        yield f"{rate:,.0f}/s" if rate >= 999.5 else f"{rate:.3g}/s", "runs", ""


def _of_inputs(inputs: StreamStatistics) -> Iterator[Figure]:
    cut_off = inputs.read - inputs.ok - inputs.failed - inputs.skipped
    yield f"{inputs.read:,}", "inputs", ""
    yield f"{inputs.ok:,}", "ok", "ok"
    yield f"{inputs.failed:,}", "failed", "failed" if inputs.failed else ""
    if cut_off:
        yield f"{cut_off:,}", "cut off", "degraded"
    if inputs.skipped:
        yield f"{inputs.skipped:,}", "done before", ""
    if inputs.repeated:
        yield f"{inputs.repeated:,}", "repeated", ""


def pictures(chronicle: Chronicle) -> Html:
    """The waterfall: of one run, or of many together, and of those that are worth a look."""
    timeline = chronicle.timeline()
    if not timeline.calls:
        return Html("")
    if chronicle.begun <= 1:
        return picture(Waterfall(timeline).svg(), "waterfall")
    shown = picture(Waterfall(timeline).svg(), "waterfall")
    failed, slowest = list(chronicle.failed.values()), chronicle.slowest
    slow = [_run(run, f"slow-{run.number}") for run in slowest if run not in failed]
    lost = [_run(run, f"failed-{run.number}", is_open=place == 0) for place, run in enumerate(failed)]
    heading = f"The first run that failed by each kind (of {counted(len(chronicle.run_kinds), 'kind')})"
    return joined(
        [
            sample_note(timeline),
            shown,
            Html(f"<h3>{heading}</h3>") if lost else "",
            *lost,
            Html("<h3>The slowest runs</h3>") if slow else "",
            *slow,
        ]
    )


def sample_note(timeline: Timeline) -> Html:
    """Which share of the runs is drawn; nothing where all are."""
    if timeline.stride <= 1:
        return Html("")
    return muted(f"Drawn is one of {timeline.stride:,} runs, evenly spread; all are in the numbers.")


def _run(run: RunRecord, name: str, *, is_open: bool = False) -> Html:
    svg = Waterfall(run.timeline, f"run {run.number:,}").svg()
    return details(summary_of(run), picture(svg, name), is_open=is_open)


def summary_of(run: RunRecord) -> str:
    """A run in a line."""
    word = f" · {run.word}" if run.word else ""
    return f"run {run.number:,} · {run.status} · {seconds_words(run.duration)}{word}"


def error_counts(chronicle: Chronicle) -> list[tuple[str, str, int, int]]:
    """Kind, endpoint, calls and attempts that failed so; the most calls first."""
    rows = [
        (kind, name, total.lost_kinds[kind], total.failed_kinds[kind])
        for name, total in chronicle.totals.endpoints.items()
        for kind in dict.fromkeys([*total.lost_kinds, *total.failed_kinds])
    ]
    return sorted(rows, key=lambda row: (-row[2], -row[3], row[1], row[0]))


def errors(chronicle: Chronicle) -> Html:
    """What went wrong: of runs, of calls and of attempts, by endpoint and kind."""
    rows = error_counts(chronicle)
    shown = [
        (strong(kind), name, f"{lost:,}" if lost else "", f"{attempts:,}" if attempts else "")
        for kind, name, lost, attempts in rows[:_MOST_ROWS]
    ]
    head = ("kind", "endpoint", "calls that failed", "attempts that failed")
    calls = table(head, shown, (2, 3)) if shown else Html("")
    return joined([_run_kinds(chronicle), wide_table(calls) if calls else "", _more(len(rows))])


def _run_kinds(chronicle: Chronicle) -> Html:
    if chronicle.begun <= 1 or not chronicle.run_kinds:
        return Html("")
    kinds = chronicle.run_kinds.most_common()
    rows = [(strong(kind or "unknown"), f"{number:,}") for kind, number in kinds[:_MOST_ROWS]]
    return joined([wide_table(table(("what failed runs", "runs"), rows, (1,))), _more(len(kinds))])


def endpoints(chronicle: Chronicle, names: Sequence[str]) -> Html:
    """A row for each endpoint.

    Args:
        chronicle: What happened.
        names: In which order they come; others follow.
    """
    totals = chronicle.totals.endpoints
    found = [totals[name] for name in dict.fromkeys([*names, *totals]) if name in totals]
    if not found:
        return Html("")
    rows = [_endpoint(total) for total in found[:_MOST_ROWS]]
    return joined([wide_table(table(_HEAD, rows, range(1, len(_HEAD)))), _more(len(found))])


def _endpoint(total: EndpointTotal) -> tuple[object, ...]:
    some = (total.degraded, total.cached, total.counts["skipped"], total.attempts, total.retries)
    times = (total.took(0.5), total.took(0.95), total.durations.max) if total.durations.count else ()
    return (
        strong(total.name),
        f"{total.calls:,}",
        strong(f"{total.lost:,}", kind="failed") if total.lost else "",
        *(f"{number:,}" if number else "" for number in some),
        *map(seconds_words, times),
    )


def breakers(chronicle: Chronicle) -> Html:
    """When circuit breakers went from which state to which."""
    changes = list(chronicle.changes)
    if not changes:
        return Html("")
    rows = [
        (f"+ {seconds_words(each.at - chronicle.start)}", each.endpoint, f"{each.old} → {each.new}")
        for each in changes
    ]
    whole = chronicle.changed.total()
    said = ", ".join(f"{name} {number:,}" for name, number in chronicle.changed.most_common(8))
    last = f", the last {len(changes)}" if whole > len(changes) else ""
    summary = f"{counted(whole, 'change')} ({said}){last}"
    return details(summary, table(("at", "endpoint", "circuit"), rows), is_open=len(rows) <= 8)


def _more(rows: int) -> Html:
    return and_more(rows - _MOST_ROWS)
