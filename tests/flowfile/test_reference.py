"""From references to orchestrators."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiConfigurationError, APIOrchestrator
from rxorch.flowfile import parse_rate, resolve_flow

ENDPOINT = 'APIEndpoint(name="a", url="http://x.test/{id}")'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path  # type: ignore[misc]
    for name in set(sys.modules) - before:
        if name.startswith(("rxorch_flow_", "flows_")):
            del sys.modules[name]


def write(folder: Path, text: str, name: str = "flows_here.py") -> str:
    (folder / name).write_text(f"from rxorch import *\n{text}\n")
    return name


@pytest.mark.parametrize(
    "made",
    [
        ENDPOINT,
        f"sequential({ENDPOINT})",
        f"APIOrchestrationConfig(endpoints=[{ENDPOINT}])",
        f"APIOrchestrator({ENDPOINT})",
        f"lambda: {ENDPOINT}",
    ],
)
@pytest.mark.parametrize("reference", ["flows_here.py:flow", "flows_here:flow", "./flows_here.py:flow"])
def test_what_can_be_run(folder: Path, made: str, reference: str) -> None:
    write(folder, f"flow = {made}")
    found = resolve_flow(reference)
    assert isinstance(found, APIOrchestrator)
    assert [endpoint.name for endpoint in found.flow.endpoints()] == ["a"]


def test_a_file_with_one_flow_needs_no_attribute(folder: Path) -> None:
    name = write(folder, f"one = {ENDPOINT}\nflow = sequential(one)")
    assert resolve_flow(name).flow.endpoints()
    assert resolve_flow(
        write(folder, f"class Holder:\n    flow = {ENDPOINT}", "flows_in.py") + ":Holder.flow"
    )


@pytest.mark.parametrize(
    ("reference", "text", "message"),
    [
        ("", "", "a flow is named by"),
        ("flow", "", "'flow' names no flow"),
        ("no_such_module:flow", "", "there is no module 'no_such_module'"),
        ("no_such.package:flow", "", "there is no module 'no_such.package'"),
        ("none.py", "", "there is no file 'none.py'"),
        ("flows_here.py:none", f"flow = {ENDPOINT}", "there is no 'none'; there are 'flow'"),
        ("flows_here.py:number", "number = 7", "is a int; what can be run is"),
        ("flows_here.py", "x = 1", "there is no flow in it"),
        (
            "flows_here.py",
            f"a = sequential({ENDPOINT})\nb = sequential({ENDPOINT})",
            "which one? There are 'a', 'b'",
        ),
        ("flows_here.py", "x = 1 / 0", "ZeroDivisionError: division by zero (.*flows_here.py:2)"),
        ("flows_here.py", "x = (", "SyntaxError: .*flows_here.py:2"),
        (
            "flows_here:flow",
            "import no_such_dependency",
            "it needs 'no_such_dependency', which is not installed",
        ),
        (
            "flows_here.py",
            "import no_such_dependency",
            "it needs 'no_such_dependency', which is not installed",
        ),
        (
            "flows_here.py:make",
            "def make():\n    import no_such",
            "it needs 'no_such', which is not installed",
        ),
        ("flows_here.py", "raise SystemExit('bye')", "cannot be loaded: it leaves the program"),
        ("flows_here.py:make", "async def make(): ...", "is an async function"),
        ("flows_here.py:make", "def make(x): ...", "is a function with arguments"),
        ("flow.yaml:flow", "", "a flow file is one flow; leave out ':flow'"),
        (".flows:flow", "", "'.flows:flow' names no flow"),
        ("a..b:flow", "", "'a..b:flow' names no flow"),
        (":flow", "", "':flow' names no flow"),
        ("C:\\flows\\flow.py:flow", "", "there is no file"),
        ("flows_here.py:make", "def make():\n    raise KeyError('x')", "KeyError: 'x' (.*flows_here.py:3)"),
        ("flows_here.py:flow", "flow = APIEndpoint(name='a', url='no url')", "cannot be loaded"),
    ],
)
def test_what_leads_nowhere(folder: Path, reference: str, text: str, message: str) -> None:
    write(folder, text)
    pattern = message.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")
    with pytest.raises(ApiConfigurationError, match=pattern):
        resolve_flow(reference)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", (100, 1)),
        ("6000/min", (6000, 60)),
        ("5/2s", (5, 2)),
        ("0.5 / second", (0.5, 1)),
        ("10 per hour", (10, 3600)),
        ("7/500ms", (7, 0.5)),
        ("3/2 days", (3, 172800)),
    ],
)
def test_rates(text: str, rate: tuple[float, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "100", "100/", "/s", "-1/s", "1/x", "0/s", "1/0s", "nan/s", 7])
def test_no_rates(text: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="a rate is"):
        parse_rate(text)
