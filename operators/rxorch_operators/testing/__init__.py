"""What one needs to test operators, ours or one's own: virtual time, marbles, and the laws.

Needs the extra `testing` (pytest and hypothesis). The pytest plugin is found by itself; it gives the fixture
`laws` and the option `--laws=short|long|N`. Names are loaded when they are first used, so that the plugin
does no harm where hypothesis is not installed.

>>> from reactivex import operators as ops
>>> from rxorch_operators.testing import LawBook, Subject
>>> subject = Subject(name="map", build=lambda lab: ops.map(lab.callback(lambda n: n)), tells=False)
>>> LawBook(size=20).check(subject)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .book import LawBook, cases
    from .lab import Lab, Planned
    from .laws import LawBroken, Subject, check_case
    from .marbles import Event, Kind, MarbleError, as_list, read_marbles, write_marbles
    from .recording import Recorder
    from .script import Case, Consumer, Script
    from .virtual_loop import VirtualLoop, VirtualScheduler, run_virtual, virtual_time

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
    "VirtualScheduler",
    "as_list",
    "cases",
    "check_case",
    "read_marbles",
    "run_virtual",
    "virtual_time",
    "write_marbles",
]

_ROOMS = ("book", "lab", "laws", "marbles", "recording", "script", "virtual_loop")
_NEEDS_HYPOTHESIS = ("LawBook", "cases")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for room in _ROOMS[:1] if name in _NEEDS_HYPOTHESIS else _ROOMS[1:]:
        module = import_module(f".{room}", __name__)
        if name in module.__all__:
            value = globals()[name] = getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} lists {name!r}, and no module of it has that")
