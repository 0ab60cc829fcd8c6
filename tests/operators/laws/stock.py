"""Operators of stock RxPY in the law book: what is written with them in one pipeline with ours."""

from __future__ import annotations

import reactivex
from reactivex import operators as ops

from rxorch_operators.testing import Subject
from tests.operators.laws.subjects import TRANSPARENT

STOCK = [
    Subject(
        name="stock map", build=lambda lab: ops.map(lab.callback(lambda n: n)), tells=False, **TRANSPARENT
    ),
    Subject(
        name="stock filter",
        build=lambda lab: ops.filter(lab.callback(lambda n: True)),
        tells=False,
        **TRANSPARENT,
    ),
    Subject(
        name="stock scan",
        build=lambda lab: ops.scan(lab.callback(lambda _, n: n), None),
        tells=False,
        **TRANSPARENT,
    ),
    Subject(name="stock take", build=lambda lab: ops.take(2), max_ahead=0, tells=False),
    Subject(
        name="stock take_while",
        build=lambda lab: ops.take_while(lab.callback(lambda n: True)),
        tells=False,
        **TRANSPARENT,
    ),
    Subject(name="stock skip", build=lambda lab: ops.skip(1), max_ahead=1, tells=False),
    Subject(name="stock pairwise", build=lambda lab: ops.pairwise(), max_ahead=1, tells=False),
    Subject(name="stock buffer_with_count", build=lambda lab: ops.buffer_with_count(2), tells=False),
    Subject(name="stock debounce", build=lambda lab: ops.debounce(1.5), tells=False),
    Subject(name="stock concat", build=lambda lab: ops.concat(reactivex.empty()), tells=False, **TRANSPARENT),
    Subject(name="stock start_with", build=lambda lab: ops.start_with(99), max_ahead=0, tells=False),
    Subject(
        name="stock distinct_until_changed",
        build=lambda lab: ops.distinct_until_changed(),
        tells=False,
        **TRANSPARENT,
    ),
    Subject(name="stock flat_map", build=lambda lab: ops.flat_map(lab.callback(lab.inner)), tells=False),
    Subject(
        name="stock merge(max_concurrent)",
        build=lambda lab: lambda source: source.pipe(ops.map(lab.inner), ops.merge(max_concurrent=2)),
        tells=False,
    ),
]
