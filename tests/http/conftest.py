"""A transport that ends with its test; both kinds, in the modules that ask for it by ``KINDS``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from rxorch.http import AioHttpTransport
from rxorch.http.choosing import make_transport as by_name
from rxorch.http.pyreqwest_transport import PyreqwestTransport

AnyTransport = AioHttpTransport | PyreqwestTransport
MakeTransport = Callable[..., Any]
TestT = TypeVar("TestT", bound=Callable[..., object])

BOTH = ("aiohttp", "pyreqwest")
"""``KINDS = BOTH`` in a module: its tests run on both transports."""


def make_by_name(kind: str, **options: Any) -> Any:
    """A transport of this kind, which the test closes by itself."""
    return by_name(kind, **options)  # type: ignore[arg-type]


def only(kind: str) -> Callable[[TestT], TestT]:
    """The decorated test is about something that this transport alone has, or does in this way."""

    def mark(test: TestT) -> TestT:
        test.kinds = (kind,)  # type: ignore[attr-defined]
        return test

    return mark


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each kind of transport that its module, or it itself, names."""
    if "kind" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "KINDS", ())
        kinds = getattr(metafunc.function, "kinds", kinds)
        if kinds:
            metafunc.parametrize("kind", kinds)


@pytest.fixture
def kind() -> str:
    """Which transport the test is about."""
    return "aiohttp"


@pytest.fixture
async def make_transport(kind: str) -> AsyncIterator[MakeTransport]:
    """``make_transport(limit=3)``: a transport with these options, closed after the test."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        options.setdefault("connection_reuse", True)  # not the default of both
        made.append(make_by_name(kind, **options))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()


@pytest.fixture
async def transport(make_transport: MakeTransport) -> Any:
    """A transport with the default options."""
    return make_transport()
