"""What is shown of a stream while it runs."""

from __future__ import annotations

import pytest

from rxorch.cli.progress import StreamProgress
from rxorch.cli.run import share_of
from rxorch.errors import ApiConfigurationError
from rxorch.terminal.boards import LiveBoard, PlainBoard
from rxorch.terminal.ink import Ink
from tests.support.fake_transport import FakeTransport
from tests.support.streams import Source, streaming
from tests.terminal.test_ink import Stream


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_shown_of_a_stream() -> None:
    clock = Clock()
    transport = FakeTransport({"item": lambda request: 404 if request.url.path == "/1" else {}})
    orchestrator = streaming(transport)
    stream = orchestrator.stream(Source(4), max_concurrent=1)
    progress = StreamProgress(stream, orchestrator, 8, clock)
    assert (progress.done, progress.rate, progress.open_breakers) == (0, 0.0, [])
    for _ in range(4):
        clock.now += 0.5
        progress.on_run(await anext(stream))
    facts = dict(progress.facts())
    assert list(facts) == ["ok", "failed", "retried", "in flight", "rate", "p50", "p95", "ETA"]
    assert (progress.done, facts["ok"], facts["failed"], facts["in flight"]) == (4, "3", "1", "0/1")
    assert (facts["rate"], facts["ETA"]) == ("2.0/s", "2 s")
    clock.now += 100
    progress.facts()
    clock.now += 1
    assert dict(progress.facts())["rate"] == "0.0/s"  # of the last seconds
    await stream.aclose()


async def test_boards_of_a_stream_without_a_known_end() -> None:
    orchestrator = streaming(FakeTransport())
    stream = orchestrator.stream(Source(3))
    progress = StreamProgress(stream, orchestrator)
    async for run in stream:
        progress.on_run(run)
    plain = Stream()
    PlainBoard(plain).show(progress)
    assert plain.getvalue().startswith("  3  ok 3  failed 0")
    live = LiveBoard(Stream(), Ink())
    assert live.lines(progress)[0].startswith("  3   ok 3")
    progress.total = 6
    assert "━" in live.lines(progress)[0] and "3/6" in live.lines(progress)[0]
    live.close(progress)


@pytest.mark.parametrize(("text", "share"), [(None, None), ("5", 5), ("5%", 0.05), ("0.5", 0.5)])
def test_failures_that_are_tolerated(text: str | None, share: float | None) -> None:
    assert share_of(text) == share and type(share_of(text)) is type(share)


def test_or_are_no_number() -> None:
    with pytest.raises(ApiConfigurationError, match="give a number, or a share"):
        share_of("a few")
