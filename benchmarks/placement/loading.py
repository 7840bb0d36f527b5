"""Loads a cloud into a server through its REST API, as an operator's deployment would."""

import itertools
from collections.abc import Iterator, Sequence

from benchmarks.placement.clouds import Cloud, Provider, uuid_of
from benchmarks.placement.figures import Block
from benchmarks.placement.peers import Peer
from benchmarks.placement.wire import BadAnswer, Client, Step, request

CLIENTS = 4
_FOREVER_S = 3600.0


def requests_of(provider: Provider) -> list[bytes]:
    """Return the requests that make one provider; each knows the generation that the one before it left."""
    url = f"/resource_providers/{provider.uuid}"
    body = {"name": provider.name, "uuid": provider.uuid}
    if provider.parent is not None:
        body["parent_provider_uuid"] = uuid_of(provider.parent)
    made = [request("POST", "/resource_providers", body)]
    parts: list[tuple[str, dict[str, object]]] = []
    if provider.inventories:
        parts.append(("inventories", {"inventories": provider.inventories}))
    if provider.traits:
        parts.append(("traits", {"traits": provider.traits}))
    if provider.aggregates:
        parts.append(("aggregates", {"aggregates": provider.aggregates}))
    for generation, (noun, content) in enumerate(parts):
        made.append(request("PUT", f"{url}/{noun}", content | {"resource_provider_generation": generation}))
    return made


def load(peer: Peer, cloud: Cloud) -> Block:
    """Make the cloud's names and providers; return what the largest level of providers took."""
    client = peer.client()
    names = [("traits", name) for name in cloud.traits] + [("resource_classes", name) for name in cloud.classes]
    for noun, name in names:
        _must(client, request("PUT", f"/{noun}/{name}"))
    client.close()
    by_level = itertools.groupby(sorted(cloud.providers, key=_level), key=_level)
    blocks = [peer.block(_steps(list(level)), clients=CLIENTS, budget_s=_FOREVER_S) for _, level in by_level]
    return max(blocks, key=lambda block: len(block.waits_s))


def _level(provider: Provider) -> int:
    return provider.level


def _steps(providers: Sequence[Provider]) -> Iterator[Step]:
    for provider in providers:
        yield _make(requests_of(provider))


def _make(requests: Sequence[bytes]) -> Step:
    def step(client: Client) -> tuple[float, int]:
        return sum(_must(client, data) for data in requests), 200

    return step


def _must(client: Client, data: bytes) -> float:
    answer = client.send(data)
    if answer.status >= 300:
        raise BadAnswer(f"{data[:200]!r}: {answer.status} {answer.body[:500]!r}")
    return answer.wait_s
