"""Complete example 2: a payment on its way through validation, fraud check, processor and notification."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from rxorch import APIEndpoint, ApiHttpError, APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from tests.acceptance.witness import Witness
from tests.support.loopback import Loopback

LARGE = {"amount": 250, "card_token": "tok_1", "currency": "EUR"}
SMALL = {"amount": 40, "card_token": "tok_1", "currency": "EUR"}
FRAUD = {"risk": "low", "score": 3}
CHARGE = {"charge_id": "ch_1", "status": "charged"}


async def process_payment(payment_data: dict[str, Any], hosts: dict[str, str]) -> Any:
    validate_api = APIEndpoint(
        name="validate", url=f"{hosts['payment']}/validate", method="POST", body=payment_data, timeout=5.0
    )
    fraud_api = APIEndpoint(
        name="fraud_check",
        url=f"{hosts['fraud']}/check",
        method="POST",
        transform_input=lambda data: {"amount": data["amount"], "card_hash": data["card_token"]},
        condition=lambda data: data["amount"] > 100,
    )
    payment_api = APIEndpoint(
        name="process",
        url=f"{hosts['processor']}/charge",
        method="POST",
        retry_count=1,
        depends_on=["validate", "fraud_check"],
    )
    notify_api = APIEndpoint(
        name="notify", url=f"{hosts['notify']}/payment", method="POST", depends_on=["process"]
    )
    config = APIOrchestrationConfig(
        endpoints=[validate_api, fraud_api, payment_api, notify_api],
        mode=OrchestrationMode.PIPELINE,
        fail_fast=True,
        circuit_breaker_threshold=3,
        total_timeout=30.0,
    )
    orchestrator = APIOrchestrator(config)
    return await orchestrator.execute(payment_data)


async def paid(payment: dict[str, Any], witness: Witness, charge_status: int | list[int] = 200) -> Any:
    """Run the example against its four hosts; validation answers with the payment, marked as valid."""
    routes = {
        "payment": {"POST /validate": witness.answers("validate", lambda call: call.body | {"valid": True})},
        "fraud": {"POST /check": witness.answers("fraud_check", FRAUD)},
        "processor": {"POST /charge": witness.answers("process", CHARGE, status=charge_status)},
        "notify": {"POST /payment": witness.answers("notify", {"sent": True})},
    }
    async with AsyncExitStack() as stack:
        hosts = {
            host: (await stack.enter_async_context(Loopback(served))).url for host, served in routes.items()
        }
        return await process_payment(payment, hosts)


async def test_a_large_payment_passes_every_service() -> None:
    """Payment pipeline: four services in order, each with the body that the one before left for it."""
    witness = Witness()
    result = await paid(LARGE, witness)

    validated = LARGE | {"valid": True}
    assert witness.names() == ["validate", "fraud_check", "process", "notify"]
    assert witness.last("validate").body == LARGE
    assert witness.last("fraud_check").body == {"amount": 250, "card_hash": "tok_1"}
    assert witness.last("process").body == FRAUD | {"validate": validated, "fraud_check": FRAUD}
    assert witness.last("notify").body == CHARGE | {"process": CHARGE}
    assert result.ok
    assert dict(result) == {
        "validate": validated,
        "fraud_check": FRAUD,
        "process": CHARGE,
        "notify": {"sent": True},
    }
    assert result.value == {"sent": True}


async def test_a_small_payment_skips_the_fraud_check() -> None:
    """Payment pipeline: the skipped step hands its input on, and its dependant sees None for it."""
    witness = Witness()
    result = await paid(SMALL, witness)

    validated = SMALL | {"valid": True}
    assert witness.names() == ["validate", "process", "notify"]
    assert witness.last("process").body == validated | {"validate": validated, "fraud_check": None}
    assert witness.last("notify").body == CHARGE | {"process": CHARGE}
    assert list(result.skipped) == ["fraud_check"]
    assert result["fraud_check"] is None
    assert result.ok


async def test_a_charge_is_not_repeated_when_it_may_have_happened() -> None:
    """Payment pipeline: after a 500 the processor is not asked again, and nobody is notified."""
    witness = Witness()
    with pytest.raises(ApiHttpError) as caught:
        await paid(LARGE, witness, charge_status=500)

    assert witness.names() == ["validate", "fraud_check", "process"]
    assert caught.value.endpoint == "process"
    assert caught.value.result["fraud_check"] == FRAUD
    assert caught.value.result["notify"] is None


async def test_a_refused_payment_stops_the_pipeline() -> None:
    """Payment pipeline: fail_fast raises the failure of the step that refused."""
    witness = Witness()
    with pytest.raises(ApiHttpError) as caught:
        await paid(SMALL, witness, charge_status=402)

    assert caught.value.status_code == 402
    assert witness.count("notify") == 0
