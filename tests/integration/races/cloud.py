"""What the stories of races are told about: providers of their own, claims, and answers that are allowed."""

import uuid as uuids
from collections.abc import Mapping
from typing import Any

from tests.integration.races.client import Answer, Client

#: Code of a 409 that says that what the client knew is no longer so.
STALE = "placement.concurrent_update"
OWNER = {"project_id": "races", "user_id": "races", "consumer_type": "INSTANCE"}

Amounts = Mapping[str, Mapping[str, int]]


def new_uuid() -> str:
    """Return a UUID nobody has."""
    return str(uuids.uuid4())


def provider(client: Client, inventories: Mapping[str, Any] | None = None, parent: str | None = None) -> str:
    """Make a provider with ``inventories`` (class → total, or all fields) and return its UUID."""
    uuid = new_uuid()
    client.must("POST", "/resource_providers", {"name": uuid, "uuid": uuid, "parent_provider_uuid": parent})
    if inventories:
        client.must("PUT", f"/resource_providers/{uuid}/inventories", inventory_body(inventories, 0))
    return uuid


def inventory_body(inventories: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """Return the body that sets ``inventories``."""
    told = {name: {"total": what} if isinstance(what, int) else what for name, what in inventories.items()}
    return {"resource_provider_generation": generation, "inventories": told}


def generation(client: Client, uuid: str, *, at: int | None = None) -> int:
    """Return a provider's generation."""
    return int(client.get(f"/resource_providers/{uuid}", at=at)["generation"])


def holding(amounts: Amounts, consumer_generation: int | None = None) -> dict[str, Any]:
    """Return the body that makes a consumer hold ``amounts``: provider → class → amount."""
    allocations = {uuid: {"resources": dict(each)} for uuid, each in amounts.items()}
    return {"allocations": allocations, "consumer_generation": consumer_generation, **OWNER}


def claim(
    client: Client, amounts: Amounts, consumer: str | None = None, known: int | None = None, *, at: int | None = None
) -> Answer:
    """Make a consumer (a new one unless told) hold ``amounts``."""
    return client.call("PUT", f"/allocations/{consumer or new_uuid()}", holding(amounts, known), at=at)


def held(client: Client, consumer: str, *, at: int | None = None) -> dict[str, dict[str, int]]:
    """Return what a consumer holds, as a worker shows it."""
    shown = client.get(f"/allocations/{consumer}", at=at)["allocations"]
    return {uuid: entry["resources"] for uuid, entry in shown.items()}


def set_inventories(client: Client, uuid: str, inventories: Mapping[str, Any], *, attempts: int = 500) -> Answer:
    """Set inventories whatever else changes the provider: read its generation and try again while that is stale."""
    for _ in range(attempts):
        body = inventory_body(inventories, generation(client, uuid))
        answer = client.call("PUT", f"/resource_providers/{uuid}/inventories", body)
        if answer.status == 200:
            return answer
        assert answer.status == 409, answer
        assert answer.code == STALE, answer
    raise AssertionError(f"the inventories of {uuid} could not be set in {attempts} attempts: {answer}")


def is_full(answer: Answer) -> bool:
    """Return whether a refused claim was refused for want of room, and not for what somebody else did meanwhile."""
    return answer.status == 409 and answer.code != STALE and answer.detail.startswith("Unable to allocate inventory")
