"""Every kind of write there is, each with what any worker must show once it was answered.

A kind makes what it needs, then writes round by round at the worker it is told, and returns how to check that write.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.integration.races.client import Client
from tests.integration.races.cloud import OWNER, holding, inventory_body, new_uuid, provider

#: Asks the worker of that number, and asserts what it shows.
Check = Callable[[int], None]
#: Writes once at the worker of that number.
Write = Callable[[int], Check]
#: Makes what it needs and yields its writes, over and over.
Kind = Callable[[Client], Iterator[Write]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Short names for what most checks ask."""

    client: Client

    def status(self, path: str, at: int) -> int:
        return self.client.call("GET", path, at=at).status

    def uuids(self, query: str, at: int) -> set[str]:
        shown = self.client.get(f"/resource_providers?{query}", at=at)["resource_providers"]
        return {entry["uuid"] for entry in shown}

    def traits(self, uuid: str, at: int) -> tuple[set[str], int]:
        shown = self.client.get(f"/resource_providers/{uuid}/traits", at=at)
        return set(shown["traits"]), shown["resource_provider_generation"]


def providers_come_change_and_go(client: Client) -> Iterator[Write]:
    seen = _Seen(client)
    while True:
        uuid = new_uuid()

        def create(writer: int, uuid: str = uuid) -> Check:
            client.must("POST", "/resource_providers", {"name": f"first-{uuid}", "uuid": uuid}, at=writer)

            def check(at: int) -> None:
                shown = client.get(f"/resource_providers/{uuid}", at=at)
                assert (shown["name"], shown["root_provider_uuid"]) == (f"first-{uuid}", uuid)
                assert seen.uuids(f"name=first-{uuid}", at) == {uuid}

            return check

        def rename(writer: int, uuid: str = uuid) -> Check:
            client.must("PUT", f"/resource_providers/{uuid}", {"name": f"second-{uuid}"}, at=writer)

            def check(at: int) -> None:
                assert client.get(f"/resource_providers/{uuid}", at=at)["name"] == f"second-{uuid}"
                assert seen.uuids(f"name=first-{uuid}", at) == set()

            return check

        def delete(writer: int, uuid: str = uuid) -> Check:
            client.must("DELETE", f"/resource_providers/{uuid}", at=writer)

            def check(at: int) -> None:
                assert seen.status(f"/resource_providers/{uuid}", at) == 404
                assert seen.uuids(f"uuid={uuid}", at) == set()

            return check

        yield from (create, rename, delete)


def inventories(client: Client) -> Iterator[Write]:
    uuid = provider(client)
    path = f"/resource_providers/{uuid}/inventories"
    known = total = 0

    def shows(expected: dict[str, int], generation: int) -> Check:
        def check(at: int) -> None:
            shown = client.get(path, at=at)
            assert {name: entry["total"] for name, entry in shown["inventories"].items()} == expected
            assert shown["resource_provider_generation"] == generation

        return check

    def replace(writer: int) -> Check:
        nonlocal known, total
        total += 1
        wanted = {"VCPU": total, "MEMORY_MB": total}
        known = client.must("PUT", path, inventory_body(wanted, known), at=writer).body["resource_provider_generation"]
        return shows(wanted, known)

    def change_one(writer: int) -> Check:
        nonlocal known
        body = {"resource_provider_generation": known, "total": total + 1000}
        known = client.must("PUT", f"{path}/VCPU", body, at=writer).body["resource_provider_generation"]
        return shows({"VCPU": total + 1000, "MEMORY_MB": total}, known)

    def remove_one(writer: int) -> Check:
        nonlocal known
        client.must("DELETE", f"{path}/VCPU", at=writer)
        known = client.get(path, at=writer)["resource_provider_generation"]
        return shows({"MEMORY_MB": total}, known)

    while True:
        yield from (replace, change_one, remove_one)


def traits_of_a_provider(client: Client) -> Iterator[Write]:
    seen = _Seen(client)
    uuid = provider(client)
    path = f"/resource_providers/{uuid}/traits"
    known = 0

    def replace(trait: str) -> Write:
        def write(writer: int) -> Check:
            nonlocal known
            body = {"traits": [trait, "STORAGE_DISK_SSD"], "resource_provider_generation": known}
            known = generation = client.must("PUT", path, body, at=writer).body["resource_provider_generation"]

            def check(at: int) -> None:
                assert seen.traits(uuid, at) == ({trait, "STORAGE_DISK_SSD"}, generation)
                assert uuid in seen.uuids(f"required={trait}", at)

            return check

        return write

    def clear(writer: int) -> Check:
        nonlocal known
        client.must("DELETE", path, at=writer)
        known = seen.traits(uuid, writer)[1]

        def check(at: int) -> None:
            assert seen.traits(uuid, at)[0] == set()
            assert uuid not in seen.uuids("required=STORAGE_DISK_SSD", at)

        return check

    while True:
        yield from (replace("HW_CPU_X86_AVX"), replace("HW_CPU_X86_AVX2"), clear)


def aggregates(client: Client) -> Iterator[Write]:
    seen = _Seen(client)
    uuid = provider(client)
    path = f"/resource_providers/{uuid}/aggregates"
    known, last = 0, new_uuid()

    def replace(writer: int) -> Check:
        nonlocal known, last
        before, last = last, new_uuid()
        now = last
        body = {"aggregates": [now], "resource_provider_generation": known}
        known = client.must("PUT", path, body, at=writer).body["resource_provider_generation"]

        def check(at: int) -> None:
            assert client.get(path, at=at)["aggregates"] == [now]
            assert seen.uuids(f"member_of=in:{before},{now}", at) == {uuid}
            assert seen.uuids(f"member_of={before}", at) == set()

        return check

    while True:
        yield replace


def names(client: Client) -> Iterator[Write]:
    """Classes and traits."""
    seen = _Seen(client)
    while True:
        name = "CUSTOM_" + new_uuid().replace("-", "").upper()

        def add(writer: int, name: str = name) -> Check:
            client.must("PUT", f"/traits/{name}", at=writer)
            client.must("POST", "/resource_classes", {"name": name}, at=writer)

            def check(at: int) -> None:
                assert seen.status(f"/traits/{name}", at) == 204
                assert seen.status(f"/resource_classes/{name}", at) == 200
                assert seen.status(f"/allocation_candidates?resources={name}:1&required={name}", at) == 200

            return check

        def remove(writer: int, name: str = name) -> Check:
            client.must("DELETE", f"/traits/{name}", at=writer)
            client.must("DELETE", f"/resource_classes/{name}", at=writer)

            def check(at: int) -> None:
                assert seen.status(f"/traits/{name}", at) == 404
                assert seen.status(f"/resource_classes/{name}", at) == 404

            return check

        yield from (add, remove)


def allocations(client: Client) -> Iterator[Write]:
    aggregate = new_uuid()
    uuid = provider(client, {"VCPU": 64, "MEMORY_MB": 64_000})
    body = {"aggregates": [aggregate], "resource_provider_generation": 1}
    client.must("PUT", f"/resource_providers/{uuid}/aggregates", body)
    project = new_uuid()

    def shows(consumer: str, vcpus: int) -> Check:
        def check(at: int) -> None:
            shown = client.get(f"/allocations/{consumer}", at=at)["allocations"]
            expected = {uuid: {"VCPU": vcpus, "MEMORY_MB": 16}} if vcpus else {}
            assert {key: entry["resources"] for key, entry in shown.items()} == expected
            used = client.get(f"/resource_providers/{uuid}/usages", at=at)["usages"]
            assert used == {"VCPU": vcpus, "MEMORY_MB": 16 if vcpus else 0}
            found = client.get(f"/allocation_candidates?resources=VCPU:1&member_of={aggregate}", at=at)
            assert found["provider_summaries"][uuid]["resources"]["VCPU"] == {"capacity": 64, "used": vcpus}
            total = client.get(f"/usages?project_id={project}", at=at)["usages"]
            assert (total.get("INSTANCE") or {}).get("VCPU", 0) == vcpus

        return check

    def put(consumer: str, vcpus: int, known: int | None) -> Write:
        def write(writer: int) -> Check:
            told = holding({uuid: {"VCPU": vcpus, "MEMORY_MB": 16}}, known) | {"project_id": project}
            client.must("PUT", f"/allocations/{consumer}", told, at=writer)
            return shows(consumer, vcpus)

        return write

    def hand_over(giver: str, taker: str) -> Write:
        def write(writer: int) -> Check:
            owner = OWNER | {"project_id": project}
            taken = {"allocations": {uuid: {"resources": {"VCPU": 3, "MEMORY_MB": 16}}}, "consumer_generation": None}
            given = {"allocations": {}, "consumer_generation": 2}
            client.must("POST", "/allocations", {giver: given | owner, taker: taken | owner}, at=writer)
            return shows(taker, 3)

        return write

    def release(consumer: str) -> Write:
        def write(writer: int) -> Check:
            client.must("DELETE", f"/allocations/{consumer}", at=writer)
            return shows(consumer, 0)

        return write

    while True:
        first, second = new_uuid(), new_uuid()
        yield from (put(first, 1, None), put(first, 2, 1), hand_over(first, second), release(second))


def moves(client: Client) -> Iterator[Write]:
    seen = _Seen(client)
    one, other = provider(client), provider(client)
    child = provider(client, parent=one)
    leaf = provider(client, parent=child)

    def move(parent: str | None) -> Write:
        def write(writer: int) -> Check:
            told = {"name": child, "parent_provider_uuid": parent}
            client.must("PUT", f"/resource_providers/{child}", told, at=writer)
            root = parent or child

            def check(at: int) -> None:
                shown = client.get(f"/resource_providers/{child}", at=at)
                assert (shown["parent_provider_uuid"], shown["root_provider_uuid"]) == (parent, root)
                assert client.get(f"/resource_providers/{leaf}", at=at)["root_provider_uuid"] == root
                assert seen.uuids(f"in_tree={leaf}", at) == {root, child, leaf}

            return check

        return write

    while True:
        yield from (move(other), move(None), move(one))


def reshapes(client: Client) -> Iterator[Write]:
    """A class moves from a root to its child and back, with what is held of it."""
    root = provider(client, {"VCPU": 8, "DISK_GB": 100})
    child = provider(client, {"MEMORY_MB": 100}, root)
    consumer = new_uuid()
    client.must("PUT", f"/allocations/{consumer}", holding({root: {"VCPU": 2}}))
    fixed = {root: {"DISK_GB": 100}, child: {"MEMORY_MB": 100}}

    def reshape(target: str, source: str) -> Write:
        def write(writer: int) -> Check:
            known = client.get(f"/allocations/{consumer}", at=writer)["consumer_generation"]
            generations = {
                uuid: client.get(f"/resource_providers/{uuid}", at=writer)["generation"] for uuid in (root, child)
            }
            wanted = {target: fixed[target] | {"VCPU": 8}, source: fixed[source]}
            body = {
                "inventories": {uuid: inventory_body(wanted[uuid], generations[uuid]) for uuid in (root, child)},
                "allocations": {consumer: holding({target: {"VCPU": 2}}, known)},
            }
            client.must("POST", "/reshaper", body, at=writer)

            def check(at: int) -> None:
                assert client.get(f"/resource_providers/{target}/usages", at=at)["usages"]["VCPU"] == 2
                assert "VCPU" not in client.get(f"/resource_providers/{source}/inventories", at=at)["inventories"]
                assert set(client.get(f"/allocations/{consumer}", at=at)["allocations"]) == {target}

            return check

        return write

    while True:
        yield from (reshape(child, root), reshape(root, child))


def old_clients(client: Client) -> Iterator[Write]:
    """What clients write that are too old to know generations, and what only they can."""
    seen = _Seen(client)
    uuid = provider(client)
    while True:
        name = "CUSTOM_" + new_uuid().replace("-", "").upper()
        aggregate, consumer = new_uuid(), new_uuid()

        def join(writer: int, aggregate: str = aggregate) -> Check:
            client.must("PUT", f"/resource_providers/{uuid}/aggregates", [aggregate], at=writer, version="1.10")

            def check(at: int) -> None:
                assert client.get(f"/resource_providers/{uuid}/aggregates", at=at)["aggregates"] == [aggregate]
                assert seen.uuids(f"member_of={aggregate}", at) == {uuid}

            return check

        def stock(writer: int, name: str = name) -> Check:
            client.must("POST", "/resource_classes", {"name": name}, at=writer)
            known = client.get(f"/resource_providers/{uuid}", at=writer)["generation"]
            body = inventory_body({name: 8}, known)
            client.must("PUT", f"/resource_providers/{uuid}/inventories", body, at=writer)
            return partial(_has_class, client, uuid, name)

        def rename(writer: int, name: str = name) -> Check:
            client.must("PUT", f"/resource_classes/{name}", {"name": f"{name}_N"}, at=writer, version="1.6")
            return partial(_has_class, client, uuid, f"{name}_N")

        def hold(writer: int, name: str = name, consumer: str = consumer) -> Check:
            held = {"resource_provider": {"uuid": uuid}, "resources": {f"{name}_N": 2}}
            client.must("PUT", f"/allocations/{consumer}", {"allocations": [held]}, at=writer, version="1.7")

            def check(at: int) -> None:
                assert client.get(f"/resource_providers/{uuid}/usages", at=at)["usages"] == {f"{name}_N": 2}
                shown = client.get(f"/resource_providers/{uuid}/allocations", at=at)["allocations"]
                assert set(shown) == {consumer}

            return check

        def let_go(writer: int, consumer: str = consumer) -> Check:
            client.must("DELETE", f"/allocations/{consumer}", at=writer, version="1.0")
            client.must("DELETE", f"/resource_providers/{uuid}/inventories", at=writer, version="1.5")

            def check(at: int) -> None:
                assert client.get(f"/resource_providers/{uuid}/usages", at=at)["usages"] == {}

            return check

        yield from (join, stock, rename, hold, let_go)


def _has_class(client: Client, uuid: str, name: str, at: int) -> None:
    assert set(client.get(f"/resource_providers/{uuid}/inventories", at=at)["inventories"]) == {name}
    assert client.get(f"/resource_classes/{name}", at=at)["name"] == name


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        providers_come_change_and_go,
        inventories,
        traits_of_a_provider,
        aggregates,
        names,
        allocations,
        moves,
        reshapes,
        old_clients,
    )
}
