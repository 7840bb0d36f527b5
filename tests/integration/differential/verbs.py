"""What the teller of a story can do next: each function returns one request, good unless the servers think otherwise.

Pure. Versions are random among those at which the shape of the request is right.
"""

import random
from typing import Any

from tests.integration.differential.names import TYPES, Names
from tests.integration.differential.queries import at
from tests.integration.differential.requests import NOTHING, ConsumerGeneration, ProviderGeneration, Request
from tests.integration.differential.worlds import amounts, inventory


def _minor(rng: random.Random, since: int = 0, until: int = 39) -> int:
    return min(rng.randint(since, until + 1), until)


def _generation(rng: random.Random, provider: str) -> ProviderGeneration:
    return ProviderGeneration(provider, rng.choice((0,) * 12 + (1, -1)))


def _provider(rng: random.Random, names: Names) -> str:
    return rng.choice((*names.providers * 3, names.nobody))


def post_provider(rng: random.Random, names: Names) -> Request:
    """Create a provider, perhaps below another."""
    provider = rng.choice(names.providers)
    minor = _minor(rng)
    body: dict[str, Any] = {"name": names.provider_name(provider), "uuid": provider}
    if rng.random() < 0.1:
        body["name"] = names.provider_name(rng.choice(names.providers))
    if minor >= 14 and rng.random() < 0.5:
        body["parent_provider_uuid"] = rng.choice((*names.providers, None, names.nobody))
    return Request("POST", "/resource_providers", at(minor), body)


def put_provider(rng: random.Random, names: Names) -> Request:
    """Rename a provider, perhaps move it."""
    provider = _provider(rng, names)
    minor = _minor(rng)
    body: dict[str, Any] = {"name": rng.choice((names.provider_name(provider), f"other-{provider[:6]}"))}
    if rng.random() < 0.1:
        body["name"] = names.provider_name(rng.choice(names.providers))
    if minor >= 14 and rng.random() < 0.6:
        body["parent_provider_uuid"] = rng.choice((*names.providers, None, names.nobody))
    return Request("PUT", f"/resource_providers/{provider}", at(minor), body)


def delete_provider(rng: random.Random, names: Names) -> Request:
    """Delete a provider."""
    return Request("DELETE", f"/resource_providers/{_provider(rng, names)}", at(_minor(rng)))


def put_inventories(rng: random.Random, names: Names) -> Request:
    """Replace a provider's inventories."""
    provider = _provider(rng, names)
    inventories = {name: inventory(rng) for name in rng.sample(names.classes, rng.choice((0, 1, 2, 3)))}
    body = {"resource_provider_generation": _generation(rng, provider), "inventories": inventories}
    return Request("PUT", f"/resource_providers/{provider}/inventories", at(_minor(rng)), body)


def post_inventory(rng: random.Random, names: Names) -> Request:
    """Add an inventory."""
    provider = _provider(rng, names)
    body = {"resource_class": rng.choice(names.classes), **inventory(rng)}
    if rng.random() < 0.5:
        body["resource_provider_generation"] = _generation(rng, provider)
    return Request("POST", f"/resource_providers/{provider}/inventories", at(_minor(rng)), body)


def put_inventory(rng: random.Random, names: Names) -> Request:
    """Replace one inventory."""
    provider = _provider(rng, names)
    body = {"resource_provider_generation": _generation(rng, provider), **inventory(rng)}
    name = rng.choice(names.classes)
    return Request("PUT", f"/resource_providers/{provider}/inventories/{name}", at(_minor(rng)), body)


def delete_inventories(rng: random.Random, names: Names) -> Request:
    """Remove one inventory, or all."""
    url = f"/resource_providers/{_provider(rng, names)}/inventories"
    if rng.random() < 0.8:
        url += f"/{rng.choice(names.classes)}"
    return Request("DELETE", url, at(_minor(rng)))


def put_traits(rng: random.Random, names: Names) -> Request:
    """Give a provider traits, or take them all."""
    provider = _provider(rng, names)
    url = f"/resource_providers/{provider}/traits"
    if rng.random() < 0.2:
        return Request("DELETE", url, at(_minor(rng, 6)))
    traits = rng.sample(names.traits, rng.randint(0, 3))
    return Request(
        "PUT",
        url,
        at(_minor(rng, 6)),
        {"resource_provider_generation": _generation(rng, provider), "traits": traits},
    )


def put_aggregates(rng: random.Random, names: Names) -> Request:
    """Put a provider into aggregates."""
    provider = _provider(rng, names)
    minor = _minor(rng, 1)
    aggregates = rng.sample(names.aggregates, rng.randint(0, 3))
    body: Any = aggregates
    if minor >= 19:
        body = {"resource_provider_generation": _generation(rng, provider), "aggregates": aggregates}
    return Request("PUT", f"/resource_providers/{provider}/aggregates", at(minor), body)


def change_class(rng: random.Random, names: Names) -> Request:
    """Create, find, rename or remove a resource class."""
    name = rng.choice((*names.custom_classes * 4, "VCPU", "CUSTOM_NEW"))
    method = rng.choice(("PUT", "PUT", "POST", "DELETE", "GET"))
    if method == "POST":
        return Request(method, "/resource_classes", at(_minor(rng, 2)), {"name": name})
    minor = _minor(rng, 2)
    body = {"name": rng.choice(names.custom_classes)} if method == "PUT" and minor < 7 else NOTHING
    return Request(method, f"/resource_classes/{name}", at(minor), body)


def change_trait(rng: random.Random, names: Names) -> Request:
    """Create, find or remove a trait."""
    name = rng.choice((*names.custom_traits * 4, "HW_CPU_X86_AVX", "CUSTOM_NEW"))
    return Request(rng.choice(("PUT", "PUT", "DELETE", "GET")), f"/traits/{name}", at(_minor(rng, 6)))


def put_allocations(rng: random.Random, names: Names) -> Request:
    """Make a consumer hold something, in the shape of a version."""
    minor = _minor(rng)
    consumer = rng.choice(names.consumers)
    body = holding(rng, names, consumer, minor)
    return Request("PUT", f"/allocations/{consumer}", at(minor), body)


def post_allocations(rng: random.Random, names: Names) -> Request:
    """Make several consumers hold something at once."""
    minor = _minor(rng, 13)
    consumers = rng.sample(names.consumers, rng.choice((1, 2, 2, 3)))
    return Request("POST", "/allocations", at(minor), {one: holding(rng, names, one, minor) for one in consumers})


def delete_allocations(rng: random.Random, names: Names) -> Request:
    """Take everything from a consumer."""
    return Request("DELETE", f"/allocations/{rng.choice((*names.consumers, names.nobody))}", at(_minor(rng)))


def holding(rng: random.Random, names: Names, consumer: str, minor: int) -> dict[str, Any]:
    """Return what a consumer is to hold, as the body of 1.``minor`` tells it."""
    count = 0 if minor >= 13 and rng.random() < 0.06 else min(rng.choice((1, 1, 1, 2, 2, 3)), len(names.made))
    wanted = {provider: amounts(rng, names.classes) for provider in rng.sample(names.made, count)}
    if rng.random() < 0.02:
        wanted[names.nobody] = amounts(rng, names.classes)
    if minor < 12:
        body: dict[str, Any] = {
            "allocations": [
                {"resource_provider": {"uuid": provider}, "resources": resources}
                for provider, resources in wanted.items()
            ]
        }
    else:
        body = {"allocations": {provider: {"resources": resources} for provider, resources in wanted.items()}}
    if minor >= 12 and rng.random() < 0.1:  # as it was read before
        for entry in body["allocations"].values():
            entry["generation"] = rng.randint(0, 5)
    if minor >= 8:
        body |= {"project_id": rng.choice(names.projects), "user_id": rng.choice(names.users)}
    if minor >= 28:
        body["consumer_generation"] = rng.choice((ConsumerGeneration(consumer),) * 12 + (None, 0, 1, 7))
    if minor >= 34 and wanted and rng.random() < 0.2:
        body["mappings"] = {rng.choice(("", "1", "_A")): [rng.choice(list(wanted))]}
    if minor >= 38:
        body["consumer_type"] = rng.choice(TYPES)
    return body


def reshape(rng: random.Random, names: Names) -> Request:
    """Move inventories and allocations at once."""
    minor = _minor(rng, 30)
    inventories = {
        provider: {
            "resource_provider_generation": _generation(rng, provider),
            "inventories": {name: inventory(rng) for name in rng.sample(names.classes, rng.choice((0, 1, 2, 3)))},
        }
        for provider in rng.sample(names.made, min(len(names.made), rng.choice((1, 1, 2, 2, 3))))
    }
    if rng.random() < 0.05:
        inventories[names.nobody] = {"resource_provider_generation": 0, "inventories": {}}
    consumers = rng.sample(names.consumers, rng.choice((0, 1, 1, 2, 3)))
    allocations = {one: holding(rng, names, one, minor) for one in consumers}
    return Request("POST", "/reshaper", at(minor), {"inventories": inventories, "allocations": allocations})


def usages(rng: random.Random, names: Names) -> Request:
    """Ask what a project or user uses."""
    minor = _minor(rng, 9)
    query = f"project_id={rng.choice((*names.projects, 'nobody'))}"
    if rng.random() < 0.4:
        query += f"&user_id={rng.choice(names.users)}"
    if minor >= 38 and rng.random() < 0.6:
        query += f"&consumer_type={rng.choice((*TYPES, 'all', 'unknown', 'NOT_SEEN'))}"
    return Request("GET", f"/usages?{query}", at(minor), token=rng.choice(("admin",) * 5 + ("user-1:project-1",)))


def look(rng: random.Random, names: Names) -> Request:
    """Read something by its URL."""
    provider = f"/resource_providers/{_provider(rng, names)}"
    name = rng.choice(names.classes)
    urls = [f"{provider}{tail}" for tail in ("", "/inventories", "/usages", "/aggregates", "/traits", "/allocations")]
    urls += [f"{provider}/inventories/{name}", f"/resource_classes/{name}", "/resource_classes", "/"]
    urls += [f"/allocations/{rng.choice((*names.consumers, names.nobody))}"] * 2
    urls += [f"/traits/{rng.choice(names.traits)}", "/traits?name=startswith:CUSTOM_"]
    urls += ["/traits?name=startswith:HW_CPU_X86_A"]
    urls += [f"/traits?name=in:{','.join(rng.sample(names.traits, 2))}", "/traits?associated=true"]
    urls += ["/traits?associated=false&name=startswith:CUSTOM_"]
    return Request("GET", rng.choice(urls), at(_minor(rng)))
