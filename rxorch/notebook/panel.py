"""Panel: shows how a handle stands, again and again: in notebooks as HTML, else on the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import Context
from typing import Any, Final
from uuid import uuid4

from rxorch.interrupts import kernel_shell
from rxorch.notebook.cards import status_bundle
from rxorch.notebook.status import HandleState, Status
from rxorch.terminal.boards import Board, board_for
from rxorch.terminal.ink import Ink

__all__ = ["Panel"]

_LOG: Final = logging.getLogger("rxorch")

_EVERY: Final = 0.25
"""Seconds between two looks in a notebook."""


class Panel:
    """Shows a status until it is over, at most four times a second. It never waits for who looks at it."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._shell: Any = kernel_shell()
        self._display_id = uuid4().hex
        self._cells: set[Any] = set()
        self._board: Board | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shown = ""

    @property
    def is_seen(self) -> bool:
        """Whether a notebook shows it."""
        return bool(self._cells)

    def place(self) -> None:
        """Puts it into the cell that is running, once."""
        if self._shell is None:
            return
        cell = getattr(self._shell, "execution_count", None)
        if cell in self._cells:
            return
        self._cells.add(cell)
        self._publish(self._bundle(), update=False)

    def begin(self, *, in_background: bool = False) -> None:
        """Looks from now on. In the background, its cell has it already, and may be over."""
        if self._shell is not None:
            if not (in_background and self.is_seen):
                self.place()
        else:
            self._board = board_for(sys.stderr, Ink.of(sys.stderr))
        self._arm()

    def end(self) -> None:
        """Shows how it ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._unharmed():
            self._update()
            board, self._board = self._board, None
            if board is not None:
                board.close(self._status.figures)

    def _arm(self) -> None:
        every = _EVERY if self._board is None else self._board.every
        self._timer = asyncio.get_running_loop().call_later(every, self._look)

    def _look(self) -> None:
        if self._status.state is not HandleState.RUNNING:
            return
        with self._unharmed():
            if self._board is not None:
                self._board.show(self._status.figures)
            self._update()
            self._arm()

    @contextlib.contextmanager
    def _unharmed(self) -> Iterator[None]:
        """What is shown must not break what runs: a pipe without a reader, a terminal that is gone."""
        try:
            yield
        except Exception:
            self._board = None
            self._cells.clear()
            _LOG.exception("the panel of %r failed and was removed", self._status.name)

    def _update(self) -> None:
        if not self._cells:
            return
        bundle = self._bundle()
        if bundle["text/html"] == self._shown:
            return
        self._publish(bundle, update=True)

    def _publish(self, bundle: dict[str, Any], *, update: bool) -> None:
        self._shown = bundle["text/html"]
        publish, transient = self._shell.display_pub.publish, {"display_id": self._display_id}
        if not update:
            publish(bundle, transient=transient)
            return
        # In the name of the cell that runs now, which this may not be of: programs that run notebooks hear no
        # other. Outside of all contexts, a kernel takes that cell.
        Context().run(publish, bundle, transient=transient, update=True)

    def _bundle(self) -> dict[str, Any]:
        return status_bundle(self._status)
