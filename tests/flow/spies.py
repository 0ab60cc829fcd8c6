"""Running flows over a fake transport, and writing down what each endpoint is given."""

from __future__ import annotations

from typing import Any

from rxorch import APIEndpoint, APIOrchestrator, OrchestrationResult
from rxorch.flow import Flow
from tests.support.fake_transport import FakeTransport, api

__all__ = ["Spy", "run"]


class Spy:
    """Makes endpoints that note their data in ``spy.saw[name]``; ``spy("a", "b")`` depends on b."""

    def __init__(self) -> None:
        self.saw: dict[str, Any] = {}
        self.context: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, *depends_on: str, **fields: Any) -> APIEndpoint:
        def note(data: Any, context: Any) -> Any:
            self.saw[name] = data
            self.context[name] = dict(context)
            return data

        return api(name, depends_on=depends_on, transform_input=note, **fields)


async def run(
    flow: Flow, data: Any = None, script: dict[str, Any] | None = None, **settings: Any
) -> OrchestrationResult:
    """One run; endpoints without a script answer with their name."""
    transport = FakeTransport(script, otherwise=lambda request: f"<{request.endpoint}>")
    result = await APIOrchestrator(flow, transport=transport, **settings).execute(data)
    assert isinstance(result, OrchestrationResult)
    return result
