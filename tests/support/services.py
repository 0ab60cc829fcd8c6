"""Servers and programs that some tests need: whether this machine has them, and what to do if not.

A test that needs one is skipped without it, and says how to start it. With ``RXORCH_REQUIRE_SERVICES=1``, as
in CI, it fails instead.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import pytest

__all__ = ["AMQP", "NATS", "REDIS", "Service", "is_running", "needs", "needs_program"]


@dataclass(frozen=True, slots=True)
class Service:
    """A server on loopback.

    Attributes:
        name: What it is called.
        port: Where it listens.
        url: What clients are given.
        start: Commands that install and start it on Debian.
    """

    name: str
    port: int
    url: str
    start: str


REDIS = Service(
    "Redis", 6379, "redis://127.0.0.1:6379", "apt-get install redis-server && redis-server --port 6379"
)
NATS = Service(
    "NATS with JetStream", 4222, "nats://127.0.0.1:4222", "apt-get install nats-server && nats-server -js"
)
AMQP = Service(
    "RabbitMQ",
    5672,
    "amqp://guest:guest@127.0.0.1:5672/",
    "apt-get install rabbitmq-server && rabbitmq-server",
)


@cache
def is_running(service: Service) -> bool:
    """Whether something listens there; asked once for each run of the tests."""
    try:
        with socket.create_connection(("127.0.0.1", service.port), timeout=1.0):
            return True
    except OSError:
        return False


def needs(service: Service) -> str:
    """The url of a service, for a fixture; skips or fails the test where it does not run."""
    if is_running(service):
        return service.url
    return _missing(f"{service.name} does not listen on port {service.port}; to start it: {service.start}")


def needs_program(names: Sequence[str], install: str) -> str:
    """The path of the first of these programs that is there; skips or fails the test without one."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    return _missing(f"{names[0]} is not installed; to install it: {install}")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("RXORCH_REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
