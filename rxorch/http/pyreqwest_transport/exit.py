"""The end of the interpreter, which pyreqwest's thread must not meet.

pyreqwest runs on a thread of its own that no Python code can end. It enters the interpreter to wake who waits
for an answer, and to ask for the next piece of a body. A thread that is inside when the interpreter is taken
down aborts the process ("PyGILState_Release: thread state must be current", exit code -6). That takes no
mistake: a program that ends right behind its last answer is enough, for the thread which woke it may not have
left yet.

So, when the interpreter begins to end, everybody who waits is let go (nobody is left to be woken) and then
one errand is sent through that thread and back. What it had begun in Python is behind it by then.
"""

from __future__ import annotations

import atexit
import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["is_exiting", "settle_at_exit"]


class _Abandonable(Protocol):
    def abandon(self) -> None: ...


class _End:
    """What is known about the end of this process."""

    def __init__(self) -> None:
        self.users: WeakSet[_Abandonable] = WeakSet()
        self.process: int | None = None
        self.begun = False


_end = _End()


def settle_at_exit(user: _Abandonable) -> None:
    """Have ``user.abandon()`` called when the interpreter ends: it must let go of whatever waits."""
    if _end.process is None:
        _end.process = os.getpid()
        atexit.register(_settle)
    _end.users.add(user)


def is_exiting() -> bool:
    """Tell whether the interpreter ends, and no request may begin any more."""
    return _end.begun


def _settle() -> None:
    _end.begun = True
    if os.getpid() != _end.process:  # a fork has the memory of the thread, not the thread
        return
    for user in list(_end.users):
        user.abandon()
    _send_an_errand()


def _send_an_errand() -> None:
    from pyreqwest.client import SyncClientBuilder

    builder = SyncClientBuilder().runtime_multithreaded(False).no_proxy().danger_accept_invalid_certs(True)
    with builder.build() as client:
        try:
            # pyreqwest refuses the scheme over there. Without a host it would do so here, and send nothing.
            client.get("nowhere://x/").build().send()
        except Exception:  # it cannot succeed; that it came back is all that matters
            pass
