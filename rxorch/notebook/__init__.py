"""Manners for notebooks: runs that are shown while they run, end in one line, and replace themselves.

Loaded by who asks for it; `import rxorch` does not.
"""

from __future__ import annotations

from rxorch.interrupts import RunInterrupted
from rxorch.notebook.background import Backgrounds, background, backgrounds
from rxorch.notebook.handle import RunHandle, live

__all__ = ["Backgrounds", "RunHandle", "RunInterrupted", "background", "backgrounds", "live"]
