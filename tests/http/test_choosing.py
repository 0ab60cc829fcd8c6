"""A transport by its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rxorch.errors import ApiConfigurationError
from rxorch.http import AioHttpTransport, Transport
from rxorch.http.choosing import make_transport
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.pyreqwest_transport.client import import_pyreqwest


def test_names() -> None:
    made = [make_transport("aiohttp", limit=3), make_transport("pyreqwest", silence=3)]
    assert [type(transport) for transport in made] == [AioHttpTransport, PyreqwestTransport]
    assert all(isinstance(transport, Transport) for transport in made)


def test_an_unknown_name() -> None:
    with pytest.raises(ApiConfigurationError, match="no transport 'httpx'; there are 'aiohttp' and 'pyre"):
        make_transport("httpx")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["aiohttp", "pyreqwest"])
def test_an_unknown_option(kind: str) -> None:
    with pytest.raises(
        ApiConfigurationError, match=f"transport '{kind}' has no option 'verify'; it has conn"
    ):
        make_transport(kind, verify=False)  # type: ignore[arg-type]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyreqwest.client", None)
    import_pyreqwest.cache_clear()
    with pytest.raises(ApiConfigurationError, match=r'pip install "rxorch\[fast\]"'):
        make_transport("pyreqwest")


def test_it_is_imported_when_it_is_used() -> None:
    program = "import sys, rxorch.http.choosing; sys.exit('pyreqwest' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
