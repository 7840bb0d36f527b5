"""Small random clouds, as the requests that make them: flat, nested, sharing, and all of it at once. Pure."""

import random
from dataclasses import replace
from typing import Any

from tests.integration.differential.names import SHARING, Names
from tests.integration.differential.requests import ConsumerGeneration, ProviderGeneration, Request

SHAPES = ("flat", "nested", "sharing", "mixed")


def inventory(rng: random.Random) -> dict[str, Any]:
    """Return a random good inventory; the amounts are small, so that claims often just fit or just not."""
    fields: dict[str, Any] = {"total": rng.choice((1, 2, 4, 4, 8, 8, 16, 100))}
    if rng.random() < 0.25:
        fields["reserved"] = rng.randint(0, fields["total"])
    if rng.random() < 0.3:
        fields["allocation_ratio"] = rng.choice((0.5, 1.0, 1.5, 2.0, 2, 4.0, 16.0))
    if rng.random() < 0.2:
        fields["min_unit"] = rng.choice((1, 2, 3))
    if rng.random() < 0.2:
        fields["max_unit"] = rng.choice((1, 2, 4, 8))
    if rng.random() < 0.2:
        fields["step_size"] = rng.choice((1, 2, 3))
    return fields


def build(rng: random.Random, names: Names, shape: str) -> tuple[Names, list[Request]]:
    """Return the requests that make a cloud of one ``shape``, all of them good, and the names with what is made."""
    requests = [Request("PUT", f"/resource_classes/{name}") for name in names.custom_classes]
    requests += [Request("PUT", f"/traits/{name}") for name in names.custom_traits]
    parents = _tree(rng, names, shape)
    sharers = list(parents)[-2:] if shape in ("sharing", "mixed") else []
    for provider, parent in parents.items():
        body: dict[str, Any] = {"name": names.provider_name(provider), "uuid": provider}
        if parent is not None:
            body["parent_provider_uuid"] = parent
        requests.append(Request("POST", "/resource_providers", body=body))
        requests += _furnished(rng, names, provider, shares=provider in sharers)
    for consumer in names.consumers[: rng.randint(0, 4)]:
        requests.append(claim(rng, names, consumer, list(parents)))
    return replace(names, made=tuple(parents)), requests


def _tree(rng: random.Random, names: Names, shape: str) -> dict[str, str | None]:
    """Return provider → parent, parents first."""
    count = rng.randint(2, 5 if shape == "flat" else 7)
    parents: dict[str, str | None] = {}
    for provider in names.providers[:count]:
        is_child = shape in ("nested", "mixed") and parents and rng.random() < 0.7
        parents[provider] = rng.choice(list(parents)) if is_child else None
    if shape in ("sharing", "mixed"):
        for provider in names.providers[count - 2 : count]:
            parents[provider] = None
    return parents


def _furnished(rng: random.Random, names: Names, provider: str, *, shares: bool) -> list[Request]:
    """Return what gives a provider its inventories, traits and aggregates."""
    url = f"/resource_providers/{provider}"
    classes = ("DISK_GB", "SRIOV_NET_VF") if shares else names.classes
    held = rng.sample(classes, rng.randint(1, min(3, len(classes))))
    requests = []
    if rng.random() < 0.9:
        inventories = {name: inventory(rng) for name in held}
        body = {"resource_provider_generation": ProviderGeneration(provider), "inventories": inventories}
        requests.append(Request("PUT", f"{url}/inventories", body=body))
    traits = rng.sample(names.traits[:-1], rng.randint(0, 3)) + ([SHARING] if shares and rng.random() < 0.9 else [])
    if traits:
        body = {"resource_provider_generation": ProviderGeneration(provider), "traits": traits}
        requests.append(Request("PUT", f"{url}/traits", body=body))
    aggregates = rng.sample(names.aggregates, rng.choice((0, 1, 1, 2)))
    if aggregates:
        body = {"resource_provider_generation": ProviderGeneration(provider), "aggregates": aggregates}
        requests.append(Request("PUT", f"{url}/aggregates", body=body))
    return requests


def claim(rng: random.Random, names: Names, consumer: str, providers: list[str]) -> Request:
    """Return a claim at the youngest version; whether it fits is the servers' to say."""
    body = {
        "allocations": {
            provider: {"resources": amounts(rng, names.classes)}
            for provider in rng.sample(providers, min(len(providers), rng.choice((1, 1, 1, 2))))
        },
        "project_id": rng.choice(names.projects),
        "user_id": rng.choice(names.users),
        "consumer_generation": ConsumerGeneration(consumer),
        "consumer_type": "INSTANCE",
    }
    return Request("PUT", f"/allocations/{consumer}", body=body)


def amounts(rng: random.Random, classes: tuple[str, ...]) -> dict[str, int]:
    """Return class → a small amount, of one or two classes."""
    return {name: rng.choice((1, 1, 2, 2, 3, 4)) for name in rng.sample(classes, rng.choice((1, 1, 2)))}
