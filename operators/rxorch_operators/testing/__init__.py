"""What one needs to test operators, ours or one's own: virtual time, marbles, and the laws.

Needs the extra `testing` (pytest and hypothesis). The pytest plugin is found by itself; it gives the fixture
`laws` and the option `--laws=short|long|N`.

>>> from reactivex import operators as ops
>>> from rxorch_operators.testing import LawBook, Subject
>>> subject = Subject(name="map", build=lambda lab: ops.map(lab.callback(lambda n: n)), tells=False)
>>> LawBook(size=20).check(subject)
"""

from __future__ import annotations

from .book import LawBook, cases
from .lab import Lab, Planned
from .laws import LawBroken, Subject, check_case
from .marbles import Event, Kind, MarbleError, as_list, read_marbles, write_marbles
from .recording import Recorder
from .script import Case, Consumer, Script
from .virtual_loop import VirtualLoop, run_virtual, virtual_time

__all__ = [
    "Case",
    "Consumer",
    "Event",
    "Kind",
    "Lab",
    "LawBook",
    "LawBroken",
    "MarbleError",
    "Planned",
    "Recorder",
    "Script",
    "Subject",
    "VirtualLoop",
    "as_list",
    "cases",
    "check_case",
    "read_marbles",
    "run_virtual",
    "virtual_time",
    "write_marbles",
]
