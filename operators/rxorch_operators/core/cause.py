"""Which error led to which."""

from __future__ import annotations

__all__ = ["caused_by"]


def caused_by(error: Exception, first: Exception | None) -> Exception:
    """The error, with an earlier one as its `__cause__` unless they are linked already.

    A function that raises the error it was given, or one of its causes, must not close a ring.
    """
    if first is not None and not _leads_to(error, first) and not _leads_to(first, error):
        error.__cause__ = first
    return error


def _leads_to(error: BaseException, cause: BaseException) -> bool:
    step: BaseException | None = error
    for _ in range(100):  # a ring that was made elsewhere
        if step is cause:
            return True
        if step is None:
            return False
        step = step.__cause__
    return False
