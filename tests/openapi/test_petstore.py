"""The pet store, called on a real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rxorch import ApiClient, ApiValidationError
from rxorch.openapi import EndpointSet, endpoints_from_openapi
from tests.support.loopback import Loopback

PETSTORE = Path(__file__).parent / "specs" / "petstore.yaml"

PET = {
    "id": 7,
    "name": "Rex",
    "photoUrls": [],
    "status": "sold",
    "category": {"id": 1, "name": "dogs"},
    "new": 1,
}


def routes() -> dict[str, Any]:
    return {
        "GET /v2/pet/{id}": lambda request: {**PET, "id": int(request.match_info["id"])},
        "GET /v2/pet/findByStatus": [PET],
        "POST /v2/pet": lambda request: 200,
        "DELETE /v2/pet/{id}": lambda request: 204,
        "POST /v2/pet/{id}": lambda request: 204,
        "GET /v2/store/inventory": {"sold": 3},
        "POST /v2/store/order": lambda request: web.json_response({"id": 1, "quantity": "two"}),
        "GET /v2/user/login": lambda request: web.Response(text='"token"', content_type="application/json"),
        "POST /v2/user/createWithList": lambda request: 200,
    }


def petstore(server: Loopback, **options: Any) -> EndpointSet:
    return endpoints_from_openapi(PETSTORE, server=f"{server.url}/v2", **options)


async def test_calls_of_the_pet_store() -> None:
    async with Loopback(routes()) as server, ApiClient() as client:
        pets = petstore(server)

        pet = await client.call(pets["getPetById"], {"petId": 7})
        assert (pet.id, pet.name, pet.status, pet.category.name, pet.photoUrls) == (
            7,
            "Rex",
            "sold",
            "dogs",
            [],
        )
        assert isinstance(pet, pets.models["Pet"])
        assert pet.model_extra == {"new": 1}

        found = await client.call(pets["findPetsByStatus"], {"status": ["sold", "pending"]})
        assert [each.id for each in found] == [7]
        assert await client.call(pets["getInventory"]) == {"sold": 3}
        assert await client.call(pets["loginUser"], {"username": "a b", "password": "p&"}) == "token"

        await client.call(pets["addPet"], {"name": "Rex", "photoUrls": ["u"], "tags": [{"id": 1}]})
        await client.call(pets["addPet"], pets.input_models["Pet"](name="Rex", photoUrls=[]))
        await client.call(pets["deletePet"], {"petId": 7, "api_key": "k"})
        await client.call(pets["deletePet"], {"petId": 8})
        await client.call(pets["updatePetWithForm"], {"petId": 7, "body": {"name": "A & B"}})
        await client.call(pets["createUsersWithListInput"], [{"username": "ada"}])

    sent = [(each.method, each.path, each.body.decode()) for each in server.seen]
    assert sent == [
        ("GET", "/v2/pet/7", ""),
        ("GET", "/v2/pet/findByStatus?status=sold&status=pending", ""),
        ("GET", "/v2/store/inventory", ""),
        ("GET", "/v2/user/login?username=a%20b&password=p%26", ""),
        ("POST", "/v2/pet", '{"name":"Rex","photoUrls":["u"],"tags":[{"id":1}]}'),
        ("POST", "/v2/pet", '{"name":"Rex","photoUrls":[]}'),
        ("DELETE", "/v2/pet/7", ""),
        ("DELETE", "/v2/pet/8", ""),
        ("POST", "/v2/pet/7", "name=A%20%26%20B"),
        ("POST", "/v2/user/createWithList", '[{"username":"ada"}]'),
    ]
    headers = [each.headers for each in server.seen]
    assert (headers[6].get("api_key"), headers[7].get("api_key")) == ("k", None)
    assert headers[4]["Content-Type"] == "application/json"
    assert headers[8]["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Content-Type" not in headers[0]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("getPetById", {}, "path parameter 'petId': the value is missing"),
        ("getPetById", None, "path parameter 'petId': the value is missing"),
        ("getPetById", {"petId": "s3cret"}, "path parameter 'petId': Input should be a valid integer"),
        ("getPetById", {"petID": 7}, "petID: no such parameter; did you mean 'petId'? (and 1 more)"),
        (
            "findPetsByStatus",
            {"status": ["s3cret"]},
            "query parameter 'status'.0: Input should be 'available'",
        ),
        ("addPet", {"name": "s3cret"}, "body.photoUrls: Field required"),
        ("addPet", None, "body: is missing"),
        ("placeOrder", {"shipDate": "s3cret"}, "body.shipDate: Input should be a valid datetime"),
        ("getInventory", {"x": 1}, "x: no such parameter; there are none"),
    ],
)
async def test_wrong_data_is_refused_before_anything_is_sent(name: str, data: Any, message: str) -> None:
    async with Loopback(routes()) as server, ApiClient() as client:
        with pytest.raises(ApiValidationError) as caught:
            await client.call(petstore(server)[name], data)
    assert message in str(caught.value)
    assert f"endpoint {name!r}" in str(caught.value)
    assert "s3cret" not in str(caught.value) + repr(caught.value.errors)
    assert server.seen == []


async def test_a_wrong_answer_is_an_error() -> None:
    async with Loopback(routes()) as server, ApiClient() as client:
        order = petstore(server)["placeOrder"]
        with pytest.raises(ApiValidationError, match=r"quantity: Input should be a valid integer"):
            await client.call(order, {"petId": 1, "shipDate": datetime(2026, 1, 31, tzinfo=UTC)})
    assert json.loads(server.seen[0].body) == {"petId": 1, "shipDate": "2026-01-31T00:00:00Z"}
