"""What a failed run does to a stream: `on_error`, `tolerated_failures`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from rxorch import ApiHttpError, APIOrchestrator, ErrorThresholdExceeded, Run
from rxorch.stream.judge import KEPT_ERRORS
from tests.support.fake_transport import FakeTransport, Hold
from tests.support.streams import Source, idle, streaming


def failing(*numbers: int) -> FakeTransport:
    """Answers 404 to these inputs."""
    return FakeTransport({"item": lambda request: 404 if int(request.url.path[1:]) in numbers else {}})


def inputs(count: int) -> Iterable[dict[str, int]]:
    return ({"n": n} for n in range(count))


async def until_the_end(stream: Any) -> tuple[list[Run], BaseException | None]:
    """The records, and with what it ended."""
    runs: list[Run] = []
    while True:
        try:
            runs.append(await anext(stream))
        except StopAsyncIteration:
            return runs, None
        except Exception as error:
            return runs, error


async def test_as_result_goes_on() -> None:
    runs, error = await until_the_end(streaming(failing(1, 3)).stream(inputs(5), ordered=True))
    assert ([run.ok for run in runs], error) == ([True, False, True, False, True], None)


# -- fail_fast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
async def test_fail_fast_ends_what_is_in_flight_and_gives_its_records(ordered: bool) -> None:
    hold, source = Hold(), Source()
    transport = FakeTransport({"item": lambda request: 404 if request.url.path == "/0" else hold})
    orchestrator = streaming(transport)
    runs, error = await until_the_end(
        orchestrator.stream(source, max_concurrent=3, ordered=ordered, on_error="fail_fast")
    )
    assert isinstance(error, ApiHttpError) and runs[0].error is error
    assert [run.index for run in runs] == list(range(source.read))
    assert len(runs) == 3
    assert all("another run failed" in str(run.error) for run in runs[1:])
    assert not any(run.ok for run in runs)
    await idle(orchestrator, transport)


async def test_fail_fast_with_nothing_failed_ends_well() -> None:
    runs, error = await until_the_end(streaming(failing()).stream(inputs(3), on_error="fail_fast"))
    assert (len(runs), error) == (3, None)


async def test_the_next_stream_starts_clean() -> None:
    orchestrator = streaming(failing(1))
    for _ in range(2):
        runs, error = await until_the_end(
            orchestrator.stream(inputs(3), max_concurrent=1, on_error="fail_fast")
        )
        assert (len(runs), isinstance(error, ApiHttpError)) == (2, True)


# -- delay ---------------------------------------------------------------------------------------------


async def test_delay_raises_the_only_error_at_the_end() -> None:
    runs, error = await until_the_end(streaming(failing(1)).stream(inputs(4), on_error="delay", ordered=True))
    assert [run.ok for run in runs] == [True, False, True, True]
    assert error is runs[1].error


async def test_delay_raises_several_as_a_group() -> None:
    runs, error = await until_the_end(streaming(failing(0, 2)).stream(inputs(4), on_error="delay"))
    assert isinstance(error, ExceptionGroup) and len(runs) == 4
    assert set(error.exceptions) == {run.error for run in runs if not run.ok}
    assert error.message == "2 of 4 inputs failed"


async def test_delay_keeps_a_bounded_number_of_errors() -> None:
    count = KEPT_ERRORS + 20
    orchestrator = streaming(
        FakeTransport(otherwise=404), circuit_breaker_threshold=None, metrics_enabled=False
    )
    runs, error = await until_the_end(orchestrator.stream(inputs(count), on_error="delay"))
    assert isinstance(error, ExceptionGroup) and len(error.exceptions) == KEPT_ERRORS
    assert error.message == f"{count} of {count} inputs failed; the first {KEPT_ERRORS} are here"
    assert len(runs) == count


# -- tolerated_failures --------------------------------------------------------------------------------


def one_by_one(orchestrator: APIOrchestrator, count: int, tolerated: float) -> Any:
    return orchestrator.stream(inputs(count), max_concurrent=1, tolerated_failures=tolerated)


@pytest.mark.parametrize(
    ("bad", "tolerated", "records"),
    [
        (range(3), 3, 40),
        (range(4), 3, 4),
        ([0], 0, 1),
        ([39], 0, 40),
        (range(10), 0.5, 40),
        (range(11), 0.5, 20),
        (range(20), 0.5, 20),
        ([30], 0.0, 31),
        (range(40), 1.0, 40),
    ],
)
async def test_how_many_may_fail(bad: Iterable[int], tolerated: float, records: int) -> None:
    orchestrator = streaming(failing(*bad), circuit_breaker_threshold=None)
    runs, error = await until_the_end(one_by_one(orchestrator, 40, tolerated))
    assert len(runs) == records
    if records == 40 and not (tolerated == 0 and not runs[-1].ok):
        assert error is None
    else:
        assert isinstance(error, ErrorThresholdExceeded)
        failed = sum(not run.ok for run in runs)
        assert error.counts == {"ok": records - failed, "failed": failed}
        assert f"tolerated_failures={tolerated}" in str(error)


async def test_the_records_of_what_was_cut_off_do_not_count_as_failures() -> None:
    hold, source = Hold(), Source()
    transport = FakeTransport({"item": lambda request: 404 if request.url.path == "/0" else hold})
    stream = streaming(transport).stream(source, max_concurrent=4, tolerated_failures=0)
    runs, error = await until_the_end(stream)
    assert isinstance(error, ErrorThresholdExceeded) and error.counts == {"ok": 0, "failed": 1}
    figures = stream.statistics()
    assert (figures.read, figures.failed, figures.cancelled, figures.in_flight) == (4, 1, 3, 0)
    assert len(runs) == 4
