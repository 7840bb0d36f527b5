"""What our client gets from any Placement, ours or the real one. Subclass and give it a fixture ``client``."""

import uuid as uuids
from dataclasses import replace
from typing import Any

import pytest

from nova_lite import config, errors
from nova_lite.clients.placement import NEEDED_VERSION, PlacementClient
from nova_lite.model.candidates import Candidates, Stock

OWNER = {"project_id": "demo", "user_id": "alice"}


def client_of(url: str) -> PlacementClient:
    """Return a client of the Placement at ``url``, which takes the token ``admin``."""
    conf = config.load(files=[])
    conf.set_override("noauth_token", "admin", group="placement")
    conf.set_override("endpoint_override", url, group="placement")
    return PlacementClient(conf)


def _inventory(total: int) -> dict[str, Any]:
    return {"total": total, "reserved": 0, "min_unit": 1, "max_unit": total, "step_size": 1, "allocation_ratio": 1.0}


def _host(client: PlacementClient, vcpus: int) -> str:
    uuid = _uuid()
    client.add_provider(uuid, f"host-{uuid}")
    client.set_inventories(uuid, {"VCPU": _inventory(vcpus)}, 0)
    return uuid


def _uuid() -> str:
    return str(uuids.uuid4())


class PlacementSuite:
    """Everything that we ask of Placement."""

    def test_it_speaks_the_versions_we_need(self, client: PlacementClient) -> None:
        newest, needed = (tuple(map(int, one.split("."))) for one in (client.newest_version(), NEEDED_VERSION))
        assert newest >= needed

    def test_a_provider_is_made_once(self, client: PlacementClient) -> None:
        uuid, name = _uuid(), f"host-{_uuid()}"
        client.add_provider(uuid, name)
        for taken in ((_uuid(), name), (uuid, f"host-{_uuid()}")):
            with pytest.raises(errors.Conflict, match=taken[1]):
                client.add_provider(*taken)
        assert client.provider_called(name) == uuid
        assert client.provider_called(f"host-{_uuid()}") is None

    def test_a_tree_grows_and_shrinks(self, client: PlacementClient) -> None:
        host, part = _host(client, 4), _uuid()
        client.add_provider(part, f"part-{part}", host)
        assert {one["uuid"]: one["parent_provider_uuid"] for one in client.tree(host)} == {host: None, part: host}
        assert not client.remove_provider(host)
        assert client.remove_provider(part)
        assert client.remove_provider(host)
        assert client.tree(host) == []

    def test_custom_names_are_made_as_often_as_asked(self, client: PlacementClient) -> None:
        host, name = _host(client, 4), f"CUSTOM_{_uuid().replace('-', '_').upper()}"
        for _ in range(2):
            client.ensure_class(name)
            client.ensure_trait(name)
        generation = client.set_inventories(host, {name: _inventory(1)}, client.inventories(host)[1])
        assert client.set_traits(host, {name}, generation) > generation

    def test_a_reshape_moves_inventory_and_what_is_held_of_it(self, client: PlacementClient) -> None:
        host, part, consumer = _host(client, 4), _uuid(), _uuid()
        client.add_provider(part, f"part-{part}", host)
        assert client.claim(consumer, {host: {"VCPU": 3}}, **OWNER)
        assert client.held(host) == {consumer: {"VCPU": 3}}
        before = client.holding(consumer)
        assert before is not None
        after = {consumer: replace(before, allocations={part: {"VCPU": 3}})}
        parts: dict[str, tuple[int, dict[str, Any]]] = {
            host: (client.inventories(host)[1], {}),
            part: (client.inventories(part)[1], {"VCPU": _inventory(4)}),
        }
        with pytest.raises(errors.Conflict):
            client.reshape(parts | {host: (99, {})}, after)
        with pytest.raises(errors.Conflict):
            client.reshape(parts, {})
        assert client.allocations(consumer) == {host: {"VCPU": 3}}
        client.reshape(parts, after)
        assert client.allocations(consumer) == {part: {"VCPU": 3}}
        moved = client.holding(consumer)
        assert moved is not None
        assert (moved.project_id, moved.user_id) == ("demo", "alice")
        assert (client.inventories(host)[0], set(client.inventories(part)[0])) == ({}, {"VCPU"})

    def test_inventories_and_traits_are_replaced_from_a_known_generation(self, client: PlacementClient) -> None:
        host = _host(client, 4)
        held, generation = client.inventories(host)
        assert held["VCPU"]["total"] == 4
        client.set_traits(host, {"COMPUTE_NODE"}, generation)
        with pytest.raises(errors.Conflict):
            client.set_traits(host, set(), generation)
        with pytest.raises(errors.Conflict):
            client.set_inventories(host, {"VCPU": _inventory(8)}, generation)
        traits, generation = client.traits(host)
        assert traits == {"COMPUTE_NODE"}
        client.set_inventories(host, {"VCPU": _inventory(8)}, generation)
        assert client.inventories(host)[0]["VCPU"]["total"] == 8

    def test_a_claim_is_made_for_who_has_none_where_there_is_room(self, client: PlacementClient) -> None:
        host = _host(client, 4)
        first, second = _uuid(), _uuid()
        assert client.claim(first, {host: {"VCPU": 3}}, **OWNER)
        assert not client.claim(first, {host: {"VCPU": 1}}, **OWNER)
        assert not client.claim(second, {host: {"VCPU": 2}}, **OWNER)
        assert not client.claim(second, {str(uuids.uuid4()): {"VCPU": 1}}, **OWNER)
        assert client.allocations(first) == {host: {"VCPU": 3}}
        assert client.allocations(second) == {}
        client.release(first)
        client.release(first)
        assert client.claim(second, {host: {"VCPU": 2}}, **OWNER)

    def test_what_a_consumer_holds_changes_from_a_known_generation(self, client: PlacementClient) -> None:
        host, consumer = _host(client, 4), _uuid()
        assert client.holding(consumer) is None
        client.hold(consumer, {host: {"VCPU": 1}}, None, **OWNER)
        held = client.holding(consumer)
        assert held is not None
        assert (held.allocations, held.project_id, held.user_id) == ({host: {"VCPU": 1}}, "demo", "alice")
        assert held.consumer_type == "unknown"

        client.hold(consumer, {host: {"VCPU": 2}}, held.generation, **OWNER)
        with pytest.raises(errors.Conflict) as stale:
            client.hold(consumer, {}, held.generation, **OWNER)
        assert stale.value.code == "placement.concurrent_update"
        with pytest.raises(errors.Conflict) as full:
            client.hold(consumer, {host: {"VCPU": 5}}, held.generation + 1, **OWNER)
        assert full.value.code != "placement.concurrent_update"
        with pytest.raises(errors.Invalid):
            client.hold(consumer, {_uuid(): {"VCPU": 1}}, held.generation + 1, **OWNER)
        assert client.consumers(host) == [consumer]
        client.hold(consumer, {}, held.generation + 1, **OWNER)
        assert client.holding(consumer) is None
        assert client.consumers(host) == []

    def test_providers_are_listed_with_their_aggregates(self, client: PlacementClient) -> None:
        hosts = {_host(client, 4) for _ in range(2)}
        assert set(client.providers()) >= hosts
        one, wanted = min(hosts), {_uuid(), _uuid()}
        known = client.aggregates(one)
        assert known is not None
        client.set_aggregates(one, wanted, known[1])
        assert client.aggregates(one) == (wanted, known[1] + 1)
        with pytest.raises(errors.Conflict):
            client.set_aggregates(one, set(), known[1])
        assert client.aggregates(_uuid()) is None
        assert client.consumers(_uuid()) is None

    def test_candidates_have_room(self, client: PlacementClient) -> None:
        small, big = _host(client, 1), _host(client, 8)
        found = client.candidates({"resources": "VCPU:4", "limit": 100})
        offered = [list(candidate.allocations) for candidate in found.allocation_requests]
        assert [big] in offered
        assert [small] not in offered
        assert found.provider_summaries[big].resources["VCPU"] == Stock(capacity=8, used=0)
        assert small not in found.provider_summaries
        assert client.candidates({"resources": "VCPU:400"}) == Candidates([], {})

    def test_placement_says_what_it_does_not_understand(self, client: PlacementClient) -> None:
        with pytest.raises(errors.Invalid, match="nonsense"):
            client.candidates({"resources": "nonsense"})
        with pytest.raises(errors.NovaLiteError) as told:
            client.set_inventories(_host(client, 1), {"nonsense": _inventory(1)}, 1)
        assert not told.value.will_pass
        assert told.value.facts["status"] == 400
