"""A real kernel, driven as a notebook drives it: cells, their outputs, interrupts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, Self

from jupyter_client import BlockingKernelClient, KernelManager

__all__ = ["Cell", "Kernel"]

ROOT = Path(__file__).parents[2]

_PATIENCE = 60.0
"""Seconds after which a cell that does not end fails its test."""


@dataclass
class Cell:
    """What a cell left.

    Attributes:
        printed: Its standard output.
        warned: Its standard error.
        shown: The newest form of each thing that was displayed, by display id, else by its place.
        placed: How many things were displayed, forms that replaced others not counted.
        value: What stood in its last line, by kind of form.
        traceback: The lines of its error.
        error: The name of it; "" without one.
    """

    printed: str = ""
    warned: str = ""
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    placed: int = 0
    value: dict[str, Any] = field(default_factory=dict)
    traceback: list[str] = field(default_factory=list)
    error: str = ""


class Kernel:
    """`with Kernel(folder) as kernel: kernel.run("1 + 1").value`."""

    def __init__(self, folder: Path) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "operators")])
        self._environment = os.environ | {
            "PYTHONPATH": paths,
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTER_PLATFORM_DIRS": "1",
        }
        self._manager = KernelManager(connection_file=str(folder / "kernel.json"))
        self._client: BlockingKernelClient
        self._cells: dict[str, Cell] = {}
        self._idle: set[str] = set()

    def __enter__(self) -> Self:
        self._manager.start_kernel(env=self._environment)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def begin(self, code: str) -> str:
        """Begins a cell; returns its id."""
        cell: str = self._client.execute(code, stop_on_error=False)
        self._cells[cell] = Cell()
        return cell

    def run(self, code: str) -> Cell:
        """Runs a cell to its end."""
        return self.end(self.begin(code))

    def end(self, cell: str) -> Cell:
        """Waits for the end of a cell."""
        self.until(lambda: cell in self._idle)
        return self._cells[cell]

    @property
    def ended(self) -> set[str]:
        """Cells that have ended."""
        return self._idle

    def left(self, cell: str) -> Cell:
        """What a cell has left so far, also after its end."""
        return self._cells[cell]

    def interrupt(self) -> None:
        """As the button does."""
        self._manager.interrupt_kernel()

    def until(self, reached: Callable[[], bool]) -> None:
        """Takes messages until something holds."""
        end = time.monotonic() + _PATIENCE
        while not reached():
            if time.monotonic() > end:
                raise AssertionError(f"the kernel did not get there; it left {self._cells}")
            try:
                self._take(self._client.get_iopub_msg(timeout=0.2))
            except Empty:
                continue

    def _take(self, message: dict[str, Any]) -> None:
        parent = message["parent_header"].get("msg_id", "")
        cell = self._cells.setdefault(parent, Cell())
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            if content["name"] == "stdout":
                cell.printed += content["text"]
            else:
                cell.warned += content["text"]
        elif kind in ("display_data", "update_display_data"):
            cell.placed += kind == "display_data"
            place = content.get("transient", {}).get("display_id") or str(len(cell.shown))
            holders = [each for each in self._cells.values() if place in each.shown] or [cell]
            for each in holders:  # an update reaches every place where it stands
                each.shown[place] = content["data"]
            cell.shown.setdefault(place, content["data"]) if kind == "display_data" else None
        elif kind == "execute_result":
            cell.value = content["data"]
        elif kind == "error":
            cell.error, cell.traceback = content["ename"], content["traceback"]
        elif kind == "status" and content["execution_state"] == "idle":
            self._idle.add(parent)
