"""``python -m rxorch`` is ``rxorch``."""

from __future__ import annotations

from rxorch.cli import main

if __name__ == "__main__":
    main()
