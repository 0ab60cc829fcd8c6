"""Lines out of blocks, wherever the blocks are cut."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from rxorch.sources.splitting import Lines, LineSplitter


def split(blocks: list[bytes], max_line: int) -> Lines:
    splitter = LineSplitter(max_line)
    return [line for block in blocks for line in splitter.feed(block)] + splitter.finish()


@given(st.lists(st.binary(max_size=12)), st.integers(1, 8))
def test_the_cuts_make_no_difference(blocks: list[bytes], max_line: int) -> None:
    whole = b"".join(blocks)
    found = split(blocks, max_line)
    assert found == split([whole], max_line)
    plain = whole.split(b"\n")
    if not plain[-1]:
        plain.pop()
    assert [number for number, _ in found] == list(range(1, len(plain) + 1))
    for (_, line), raw in zip(found, plain, strict=True):
        expected = raw.removesuffix(b"\r")
        assert line == (expected if len(expected) <= max_line else None)


def test_an_endless_line_is_not_kept() -> None:
    splitter, block = LineSplitter(1000), b"x" * 100_000
    tracemalloc.start()
    for _ in range(500):
        assert splitter.feed(block) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
    assert splitter.feed(b"\nok\n") == [(1, None), (2, b"ok")]
