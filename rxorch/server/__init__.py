"""Orchestrations behind HTTP: `create_app` makes an aiohttp application of flows, `Serving` listens for it.

>>> from rxorch import APIEndpoint, parallel
>>> from rxorch.server import create_app
>>> user = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
>>> app = create_app({"profile": parallel(user)}, readable=["profile"])
"""

from rxorch.server.app import create_app
from rxorch.server.served import Served
from rxorch.server.serving import Serving
from rxorch.server.settings import ServerLimits

__all__ = ["Served", "ServerLimits", "Serving", "create_app"]
