"""A small shop to try things on: eight real aiohttp services with faults that can be repeated.

    async with Shop(seed=7) as shop:
        ...                                # call shop.urls["users"] + "/users/42"
        stats = await shop.stats()         # what the services counted

====================  ==========================  ========================================================
service               request                     answers
====================  ==========================  ========================================================
``users``             ``GET /users/{id}``         id, name, email, tier, country; 404 beyond 100000
``catalogue``         ``GET /products/{sku}``     sku, title, price_cents, weight_g; 404 for ``SKU-..99``
``pricing``           ``POST /quote``             amount_cents, discount_cents, currency
``fraud``             ``POST /check``             approved, score
``payment``           ``POST /charges``           charge, amount_cents; 402 for a declined card
``inventory``         ``POST /reservations``      reservation, warehouse
``shipping``          ``POST /shipments``         id, tracking, days; 422 for unknown countries
``notification``      ``POST /messages``          message, status
====================  ==========================  ========================================================

Three of them can take back what they made, for orders that are sagas; `id` is the ``Idempotency-Key`` of the
request that made it:

==============================================  =================================================
request                                         what
==============================================  =================================================
``POST /payments/charge``                       402 above the card's limit
``POST /payments/{id}/refund?reason=...``       takes it back
``POST /inventory/reservations``                409 where there is too little in stock
``POST /inventory/reservations/{id}/release``   takes it back
``POST /shipments/{id}/cancel``                 takes it back
==============================================  =================================================

Charges, reservations, shipments and messages take effect once per ``Idempotency-Key``. Each service has
``GET /health``, which never fails. The header ``X-Order-Id`` names the order that a request belongs to.
"""

from __future__ import annotations

from rxorch.demo.shop.faults import ORDER_HEADER, Faults, Outage
from rxorch.demo.shop.process import Shop, ShopError
from rxorch.demo.shop.services import SERVICES
from rxorch.demo.shop.stats import ServiceStats, ShopStats

__all__ = ["ORDER_HEADER", "SERVICES", "Faults", "Outage", "ServiceStats", "Shop", "ShopError", "ShopStats"]
