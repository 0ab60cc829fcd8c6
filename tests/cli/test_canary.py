"""What the commands print holds no secret of what they are given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hardening.canary import FORMS, KEY, NAMED, SAFE

SPEC = {
    "openapi": "3.0.3",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": f"https://api.example.com/v1?token={SAFE}"}],
    "paths": {
        "/users": {
            "get": {
                "operationId": "users",
                "parameters": [
                    {
                        "name": "api_key",
                        "in": "query",
                        "schema": {"type": "string", "example": KEY},
                        "example": NAMED,
                    }
                ],
                "responses": {
                    "200": {"description": "fine", "content": {"application/json": {"example": KEY}}}
                },
            }
        }
    },
}


@pytest.mark.parametrize("spec", [SPEC, {**SPEC, "servers": [{"url": f"https://me:{SAFE}@api.example.com"}]}])
@pytest.mark.parametrize("damaged", [False, True])
def test_import_openapi(tmp_path: Path, spec: object, damaged: bool) -> None:
    path = tmp_path / "spec.json"
    text = json.dumps(spec)
    path.write_text(text[:-3] + f' "{NAMED}' if damaged else text)
    done = subprocess.run(
        [sys.executable, "-m", "rxorch", "import-openapi", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert shown.strip()
    assert "Traceback" not in shown
    assert not any(form in shown for form in FORMS)
