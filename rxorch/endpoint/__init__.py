"""Floor 3: endpoints. What to call, the request that it makes, the policies around the call."""

from rxorch.endpoint.call import Call, IdempotencyKeys, Trail
from rxorch.endpoint.caller import Caller
from rxorch.endpoint.defaults import CallDefaults
from rxorch.endpoint.factory import EndpointFactory
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.notes import noted, uncancelled
from rxorch.endpoint.reading import Attempted
from rxorch.endpoint.session import InSession
from rxorch.endpoint.stack import EndpointCall
from rxorch.endpoint.values import call_with_context

__all__ = [
    "APIEndpoint",
    "Attempted",
    "Call",
    "CallDefaults",
    "Caller",
    "EndpointCall",
    "EndpointFactory",
    "IdempotencyKeys",
    "InSession",
    "Trail",
    "call_with_context",
    "noted",
    "uncancelled",
]
