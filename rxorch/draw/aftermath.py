"""What has happened, put on the nodes and arrows of a scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rxorch.draw.facts import printable
from rxorch.draw.results import Fate, NodeResult, Share
from rxorch.draw.scene import Frame, Node, Part, Scene
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.totals import EndpointTotal
from rxorch.http.redaction import redact_url
from rxorch_operators._seconds import seconds_words

__all__ = ["counted", "share_words", "with_results"]

_WORDS: Final[dict[Fate, str]] = {
    "failed": "failed",
    "unknown": "nobody knows",
    "degraded": "fallback",
    "cached": "from the cache",
    "skipped": "skipped",
    "cancelled": "cancelled",
}


_NOT_REACHED: Final = NodeResult("skipped", ("not reached",))


def with_results(scene: Scene, chronicle: Chronicle) -> Scene:
    """A scene with the results of its endpoints; arrows to what did not run are not taken."""
    results = {name: _result(total) for name, total in chronicle.totals.endpoints.items()}
    root, whole = _part(scene.root, results), _part(scene.whole, results)
    assert isinstance(whole, Frame)
    return replace(scene, root=root, whole=whole, settings=tuple(_summary(chronicle)), ended=True)


def _part(part: Part, results: dict[str, NodeResult]) -> Part:
    if isinstance(part, Node):
        if part.facts is None:
            return part
        return replace(part, result=results.get(printable(redact_url(part.facts.name)), _NOT_REACHED))
    members = tuple(_part(member, results) for member in part.members)
    arrows = tuple(replace(arrow, taken=_is_reached(members[arrow.end])) for arrow in part.arrows)
    return replace(part, members=members, arrows=arrows)


def _is_reached(part: Part) -> bool:
    if isinstance(part, Node):
        return part.result is None or part.result.is_reached
    calls = [member for member in part.members if isinstance(member, Frame) or member.facts is not None]
    return not calls or any(map(_is_reached, calls))


def _result(total: EndpointTotal) -> NodeResult:
    fate = _fate(total)
    return NodeResult(fate, _single(total, fate)) if total.is_single else _many(total, fate)


def _fate(total: EndpointTotal) -> Fate:
    counts = total.counts
    if counts["failed"] or counts["unknown"]:
        return "failed" if counts["failed"] else "unknown"
    if total.degraded:
        return "degraded"
    if counts["running"]:
        return "running"
    if counts["ok"]:
        return "cached" if total.cached == counts["ok"] else "ok"
    return "cancelled" if total.cancelled else "skipped"


def _single(total: EndpointTotal, fate: Fate) -> tuple[str, ...]:
    if fate == "skipped":
        return ("skipped", total.note) if total.note else ("skipped",)
    word = _WORDS.get(fate, "")
    if fate in ("failed", "unknown", "degraded") and total.note:
        word = f"{total.note} → {word}" if fate == "degraded" else total.note
    tries = f"{total.attempts} tries" if total.attempts > 1 else ""
    hedged = "hedged" if total.hedges else ""
    took = seconds_words(total.durations.max) if total.durations.count else ""
    return (" · ".join(filter(None, (word, tries, hedged, took))),)


def _many(total: EndpointTotal, fate: Fate) -> NodeResult:
    counts, calls = total.counts, total.calls
    skipped = counts["skipped"]
    head = [counted(calls, "call")] if calls else []
    head += [f"{skipped:,} skipped"] if skipped else []
    lines = [" · ".join(head)]
    lost = [f"{share_words(total.lost, calls)} failed"] if total.lost else []
    lost += [f"{share_words(total.degraded, calls)} fallback"] if total.degraded else []
    lost += [f"{share_words(total.cached, calls)} cache"] if total.cached else []
    lost += [f"{total.cancelled:,} cancelled"] if total.cancelled else []
    lost += [counted(total.retries, "repeat")] if total.retries else []
    lines += [" · ".join(lost[:3])] if lost else []
    if calls:
        p50, p95 = total.took(0.5), total.took(0.95)
        lines.append(f"p50 {seconds_words(p50)} · p95 {seconds_words(p95)}")
    return NodeResult(fate, tuple(lines), _shares(total))


def _shares(total: EndpointTotal) -> tuple[Share, ...]:
    counts, whole = total.counts, total.calls + total.counts["skipped"]
    good = counts["ok"] - total.degraded
    parts: list[tuple[Fate, int]] = [
        ("ok", good),
        ("degraded", total.degraded),
        ("failed", total.lost),
        ("cancelled", total.cancelled + counts["running"]),
        ("skipped", counts["skipped"]),
    ]
    return tuple((fate, number / whole) for fate, number in parts if number)


def share_words(part: int, whole: int) -> str:
    """A part of a whole in percent, never rounded to nothing or to all.

    >>> share_words(12, 2000), share_words(1, 100_000), share_words(99_999, 100_000)
    ('0.6 %', '< 0.1 %', '> 99.9 %')
    """
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.3g} %"


def _summary(chronicle: Chronicle) -> list[str]:
    totals, runs = chronicle.totals, chronicle.statuses.total()
    words = []
    if runs == 1:
        words.append("ok" if chronicle.statuses["ok"] else next(iter(chronicle.statuses)))
    elif runs:
        failed = chronicle.statuses["failed"]
        words += [f"{runs:,} runs", f"{failed:,} failed" if failed else "none failed"]
    attempts, retries = totals.attempts, totals.retries
    words.append(counted(attempts, "request"))
    words += [counted(retries, "repeat")] if retries else []
    words.append(seconds_words(chronicle.duration))
    return words


def counted(number: int, noun: str) -> str:
    """A number of things: `1 call`, `1,200 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
