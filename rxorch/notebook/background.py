"""Runs in the background by name: a cell that is run again replaces what it had begun before."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

from rxorch.draw.bundle import chosen_forms
from rxorch.errors import ApiConfigurationError
from rxorch.notebook.cards import backgrounds_card, status_line
from rxorch.notebook.handle import KEPT, RunHandle
from rxorch.notebook.sources import Watchable

__all__ = ["Backgrounds", "background", "backgrounds"]

_BY_LOOP: Final[dict[asyncio.AbstractEventLoop, dict[str, RunHandle]]] = {}


class Backgrounds(dict[str, RunHandle]):
    """The background runs by name, as `backgrounds` found them; a notebook shows how each stands."""

    def __repr__(self) -> str:
        lines = [status_line(handle.status) for handle in self.values()]
        return "\n".join(lines) or "nothing runs in the background"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        forms = {"text/plain": repr(self), "text/html": backgrounds_card(self)}
        return chosen_forms(forms, include, exclude)


def background(name: str, what: Watchable, *, keep: int = KEPT, show: bool = True) -> RunHandle:
    """Runs something in the background, so that other cells can be used meanwhile.

    The one of the same name is ended first: run a cell again, and it replaces what it had begun. An error is
    kept, and shown in the cell that began it; without a notebook it is logged.

    Args:
        name: Its name.
        what: As of `live`.
        keep: How many items `results` has, the newest: an endless stream stays within bounds.
        show: Whether the cell shows how it stands.

    Returns:
        A `RunHandle` that runs: `await` it for its end, iterate it for what it gives, end it with `aclose()`.

    Raises:
        ApiConfigurationError: The name is no text.
        RuntimeError: No event loop runs.
    """
    if not isinstance(name, str) or not name:
        raise ApiConfigurationError(f"name: give the background run a text for a name, not {name!r}")
    by_name = _by_name()
    handle = RunHandle(what, name=name, keep=keep, show=show)
    handle.start(after=by_name.get(name))
    by_name[name] = handle
    return handle


def backgrounds() -> Backgrounds:
    """All background runs of the running event loop by name, those that have ended included.

    Raises:
        RuntimeError: No event loop runs.
    """
    return Backgrounds(_by_name())


def _by_name() -> dict[str, RunHandle]:
    """Those of the running loop; what loops that are closed have left is forgotten."""
    loop = asyncio.get_running_loop()
    for other in [each for each in _BY_LOOP if each.is_closed()]:
        del _BY_LOOP[other]
    return _BY_LOOP.setdefault(loop, {})
