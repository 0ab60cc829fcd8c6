"""The recorder notes what came, and what should not have come."""

from __future__ import annotations

import threading

import reactivex

from rxorch_operators.testing import Event, Recorder


def test_it_notes_events_with_their_times() -> None:
    times = iter([1.0, 2.0, 3.5])
    recorder = Recorder(lambda: next(times))
    recorder.on_next("a")
    recorder.on_next("b")
    recorder.on_completed()
    assert recorder.events == [Event(1.0, "next", "a"), Event(2.0, "next", "b"), Event(3.5, "completed")]
    assert (recorder.values, recorder.completed, recorder.error) == (["a", "b"], True, None)
    assert recorder.offences == []


def test_it_draws_what_it_saw() -> None:
    times = iter([1.0, 2.0])
    recorder = Recorder(lambda: next(times))
    recorder.on_next("a")
    recorder.on_error(KeyError("b"))
    assert recorder.marbles == "-a#"
    assert isinstance(recorder.error, KeyError)


def test_it_names_what_comes_after_the_end() -> None:
    recorder = Recorder()
    recorder.on_completed()
    recorder.on_next("a")
    recorder.on_error(KeyError("b"))
    assert recorder.offences == ["grammar: a came after the end", "grammar: # came after the end"]


def test_it_names_what_comes_inside_of_another() -> None:
    recorder = Recorder(on_event=lambda event: recorder.on_completed() if event.kind == "next" else None)
    recorder.on_next("a")
    assert recorder.offences == ["serial: | came inside of a"]


def test_it_names_what_comes_after_the_disposal() -> None:
    recorder = Recorder()
    recorder.on_next("a")
    recorder.cut()
    recorder.on_next("b")
    assert recorder.offences == ["disposal: b came after the disposal"]


def test_it_is_an_observer() -> None:
    recorder = Recorder()
    reactivex.of(1, 2).subscribe(recorder)
    assert recorder.values == [1, 2]


def test_asking_for_more_as_the_last_act_may_bring_it_at_once() -> None:
    def on_event(event: Event) -> None:
        if len(recorder.events) < 3:
            recorder.ask(lambda: recorder.on_next(event.value + 1))

    recorder = Recorder(on_event=on_event)
    recorder.on_next(0)
    assert recorder.values == [0, 1, 2]
    assert recorder.offences == []


def test_but_not_ever_deeper() -> None:
    def on_event(event: Event) -> None:
        if event.value < 20:
            recorder.ask(lambda: recorder.on_next(event.value + 1))

    recorder = Recorder(on_event=on_event)
    recorder.on_next(0)
    assert recorder.offences == ["serial: notifications nest 5 deep"]


def test_it_names_what_comes_on_another_thread() -> None:
    recorder = Recorder()
    thread = threading.Thread(target=recorder.on_next, args=("a",))
    thread.start()
    thread.join()
    assert recorder.offences == ["serial: a came on another thread"]
