"""How schemathesis sends lines of JSON: every list is its lines, all else is one line."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """The body that a value is."""
    if isinstance(value, bytes):
        return value
    each = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in each)
