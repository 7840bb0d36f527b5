"""Providers and names that come, go and move while they are being claimed, and reshapes: all of it or nothing."""

import threading
from collections import Counter
from functools import partial

import pytest

from tests.integration.races.client import Client, at_once, flat, meanwhile
from tests.integration.races.cloud import (
    STALE,
    Amounts,
    claim,
    generation,
    held,
    holding,
    inventory_body,
    is_full,
    new_uuid,
    provider,
    set_inventories,
)
from tests.integration.races.conftest import Size, Stage

#: What a claim may be told whose provider or inventory is being removed.
_GONE = (204, 400, 409)


@pytest.mark.parametrize("what", ["provider", "inventory", "inventories"])
def test_what_is_claimed_is_not_removed_and_what_is_removed_is_not_claimed(
    client: Client, stage: Stage, size: Size, what: str
) -> None:
    ends: Counter[bool] = Counter()
    for number in range(size(12)):
        uuid = provider(client, {"VCPU": 8})
        paths = {"provider": "", "inventory": "/inventories/VCPU", "inventories": "/inventories"}
        consumers = [new_uuid() for _ in range(3)]

        remove = partial(client.call, "DELETE", f"/resource_providers/{uuid}{paths[what]}")
        works = [partial(claim, client, {uuid: {"VCPU": 1}}, c) for c in consumers]
        works.insert(number % 4, remove)
        answers = at_once(works)
        removed = answers.pop(number % 4)

        state = stage.truth.state()
        assert removed.status in (204, 409), removed
        assert [answer for answer in answers if answer.status not in _GONE] == []
        granted = {c for c, answer in zip(consumers, answers, strict=True) if answer.status == 204}
        assert granted == {c for c in consumers if c in state.allocations}
        if removed.status == 204:
            assert granted == set()
            there = state.providers.get(uuid)
            assert there is None if what == "provider" else there is not None and there.inventories == {}
        else:
            assert granted or removed.code == STALE, removed
        ends[removed.status == 204] += 1


def test_a_name_that_is_used_is_not_removed_and_one_that_is_removed_is_not_used(
    client: Client, stage: Stage, size: Size
) -> None:
    for _ in range(size(10)):
        uuid, name = provider(client), "CUSTOM_" + new_uuid().replace("-", "").upper()
        client.must("PUT", f"/traits/{name}")
        client.must("PUT", f"/resource_classes/{name}")
        other = provider(client)

        inventory = inventory_body({name: 1}, 0)
        labels = {"traits": [name], "resource_provider_generation": 0}

        labelled, stocked, trait_gone, class_gone = at_once(
            [
                partial(client.call, "PUT", f"/resource_providers/{uuid}/traits", labels),
                partial(client.call, "PUT", f"/resource_providers/{other}/inventories", inventory),
                partial(client.call, "DELETE", f"/traits/{name}"),
                partial(client.call, "DELETE", f"/resource_classes/{name}"),
            ]
        )

        state = stage.truth.state()
        for used, gone, there in (
            (labelled, trait_gone, name in state.providers[uuid].traits),
            (stocked, class_gone, name in state.providers[other].inventories),
        ):
            assert (used.status, gone.status) in ((200, 409), (400, 204), (409, 204)), f"{used}; {gone}"
            assert there == (used.status == 200)


def test_one_name_is_made_once_however_many_ask_for_it(client: Client, size: Size) -> None:
    for _ in range(size(4)):
        name = "CUSTOM_" + new_uuid().replace("-", "").upper()
        wanted: list[tuple[str, str, object, dict[int, int]]] = [
            ("PUT", f"/traits/{name}", None, {201: 1, 204: 7}),
            ("PUT", f"/resource_classes/{name}", None, {201: 1, 204: 7}),
            ("POST", "/resource_classes", {"name": f"{name}_P"}, {201: 1, 409: 7}),
            ("POST", "/resource_providers", {"name": name, "uuid": new_uuid()}, {200: 1, 409: 7}),
        ]
        for method, path, body, expected in wanted:
            answers = at_once([partial(client.call, method, path, body)] * 8)
            assert Counter(answer.status for answer in answers) == expected, [str(answer) for answer in answers]


def test_subtrees_move_under_each_other_without_a_loop_and_with_their_right_roots(
    client: Client, stage: Stage, size: Size
) -> None:
    class_name = "CUSTOM_RACE_MOVE"
    client.must("PUT", f"/resource_classes/{class_name}")
    room = {class_name: 1, "VCPU": 100_000}
    nodes = [provider(client, room) for _ in range(3)]
    for parent in (0, 0, 1, 1, 2, 3, 5, 5, 6):
        nodes.append(provider(client, room, nodes[parent]))
    done: Counter[int] = Counter()

    def move(number: int) -> None:
        dice = size.random("move", number)
        for _ in range(size(20)):
            uuid, parent = dice.choice(nodes), dice.choice([*nodes, None])
            if uuid == parent:
                continue
            body = {"name": uuid, "parent_provider_uuid": parent}
            answer = client.call("PUT", f"/resource_providers/{uuid}", body)
            # 400 says that it would be a loop.
            assert answer.status in (200, 400) or answer.code == STALE, answer
            done[answer.status] += 1

    def read(over: threading.Event, at: int) -> None:
        while not over.is_set():
            listed = client.get("/resource_providers", at=at)["resource_providers"]
            _check_trees([entry for entry in listed if entry["uuid"] in nodes], f"worker {at}")
            found = client.get(f"/allocation_candidates?resources={class_name}:1", at=at)["provider_summaries"]
            shown = [{"uuid": uuid} | found[uuid] for uuid in found]
            assert {entry["uuid"] for entry in shown} == set(nodes)
            _check_trees(shown, f"candidates of worker {at}")

    def life(over: threading.Event) -> None:
        """Claim what is being moved: a move takes and refuses nothing."""
        dice = size.random("claims of what moves")
        while not over.is_set():
            amounts = {uuid: {"VCPU": 1} for uuid in dice.sample(nodes, 3)}
            answer = claim(client, amounts)
            assert answer.status == 204, answer

    with meanwhile(life, *(partial(read, at=at) for at in range(3))):
        at_once([partial(move, number) for number in range(8)])

    assert done[200] > size(20)
    assert stage.truth.problems() == []


def _check_trees(entries: list[dict[str, str | None]], who: str) -> None:
    parents = {entry["uuid"]: entry["parent_provider_uuid"] for entry in entries}
    for entry in entries:
        seen, top = {entry["uuid"]}, entry["uuid"]
        while parents[top] is not None:
            top = parents[top]
            assert top not in seen, f"{who} shows a loop at {top}"
            seen.add(top)
        assert entry["root_provider_uuid"] == top, f"{who} shows {entry} below {top}"


def test_children_are_born_into_trees_that_are_being_moved(client: Client, stage: Stage, size: Size) -> None:
    tops = [provider(client) for _ in range(2)]
    trunk = provider(client, parent=tops[0])
    branch = provider(client, parent=trunk)

    def move(over: threading.Event) -> None:
        number = 0
        while not over.is_set():
            number += 1
            parent = [*tops, None][number % 3]
            body = {"name": trunk, "parent_provider_uuid": parent}
            answer = client.call("PUT", f"/resource_providers/{trunk}", body)
            assert answer.status == 200 or answer.code == STALE, answer

    def bear(number: int) -> list[str]:
        return [provider(client, parent=branch) for _ in range(size(12))]

    with meanwhile(move, move):
        born = flat(at_once([partial(bear, number) for number in range(4)]))

    assert stage.truth.problems() == []
    state = stage.truth.state()
    for reader in range(3):
        listed = client.get(f"/resource_providers?in_tree={trunk}", at=reader)["resource_providers"]
        root = state.providers[trunk].root
        assert {entry["uuid"] for entry in listed} == {*born, trunk, branch, root}
        assert {entry["root_provider_uuid"] for entry in listed} == {root}


def test_a_parent_is_not_deleted_under_a_child_that_is_being_born(client: Client, stage: Stage, size: Size) -> None:
    for _ in range(size(10)):
        parent, child = provider(client), new_uuid()
        body = {"name": child, "uuid": child, "parent_provider_uuid": parent}
        born, gone = at_once(
            [
                partial(client.call, "POST", "/resource_providers", body),
                partial(client.call, "DELETE", f"/resource_providers/{parent}"),
            ]
        )
        assert (born.status, gone.status) in ((200, 409), (400, 204)), f"{born}; {gone}"
        there = stage.truth.state().providers
        assert (child in there, parent in there) == ((True, True) if born.status == 200 else (False, False))


_MOVED, _OTHER = "CUSTOM_RACE_MOVED", "CUSTOM_RACE_OTHER"
_ROOM = 12


class _Host:
    """A host with a device below; bandwidth belongs to either of them, with all that is held of it."""

    def __init__(self, client: Client, stage: Stage) -> None:
        for name in (_MOVED, _OTHER):
            client.must("PUT", f"/resource_classes/{name}")
        self._client, self._truth = client, stage.truth
        #: Cleared while claims shall pause, so that a reshape they have outrun too often gets its turn.
        self.go = threading.Event()
        self.go.set()
        own = {"VCPU": 10_000, "MEMORY_MB": 10_000}
        self.host = provider(client, own | {_MOVED: _ROOM})
        self.device = provider(client, {_OTHER: 1}, self.host)
        self._fixed = {self.host: own, self.device: {_OTHER: 1}}
        self.consumers = [new_uuid() for _ in range(4)]
        for consumer in self.consumers:
            assert claim(client, {self.host: {"VCPU": 1, _MOVED: 2}}, consumer).status == 204

    def reshape(self, source: str, target: str) -> None:
        """Move the bandwidth, whoever claims meanwhile: look and try again until nobody was faster."""
        for attempt in range(300):
            if attempt == 20:
                self.go.clear()
            state = self._truth.state()
            wanted = {source: self._fixed[source], target: self._fixed[target] | {_MOVED: _ROOM}}
            body = {
                "inventories": {
                    uuid: inventory_body(each, state.providers[uuid].generation) for uuid, each in wanted.items()
                },
                "allocations": {
                    consumer: holding(_moved(amounts, source, target), state.consumers[consumer])
                    for consumer, amounts in state.allocations.items()
                    if _MOVED in amounts.get(source, {})
                },
            }
            answer = self._client.call("POST", "/reshaper", body)
            if answer.status == 204:
                self.go.set()
                return
            assert answer.status == 409, answer
        raise AssertionError(f"no reshape in 300 attempts: {answer}")

    def check(self, at: int) -> None:
        """Assert that a worker shows the bandwidth in one place."""
        for consumer in self.consumers:
            shown = held(self._client, consumer, at=at)
            assert sum(each.get(_MOVED, 0) for each in shown.values()) == 2, f"half of a reshape: {shown}"
        found = self._client.get(f"/allocation_candidates?resources={_MOVED}:1", at=at)["provider_summaries"]
        rooms = [found[uuid]["resources"][_MOVED]["capacity"] for uuid in found if _MOVED in found[uuid]["resources"]]
        assert rooms in ([_ROOM], []), f"worker {at} shows half of a reshape: {found}"


def _moved(amounts: Amounts, source: str, target: str) -> Amounts:
    after = {uuid: dict(each) for uuid, each in amounts.items()}
    after.setdefault(target, {})[_MOVED] = after[source].pop(_MOVED)
    return {uuid: each for uuid, each in after.items() if each}


def test_a_reshape_races_claims_and_nobody_sees_the_half(client: Client, stage: Stage, size: Size) -> None:
    place = _Host(client, stage)

    def life(over: threading.Event, number: int) -> None:
        """Claim what is being moved, where it was a moment ago: it may be refused there."""
        dice = size.random("reshape", number)
        while not over.is_set():
            if not place.go.wait(timeout=1):
                continue
            consumer = new_uuid()
            amounts: dict[str, dict[str, int]] = {place.host: {"VCPU": 1}}
            amounts.setdefault(dice.choice((place.host, place.device)), {})[_MOVED] = 1
            answer = claim(client, amounts, consumer)
            assert answer.status in (204, 409), answer
            if answer.status == 204:
                shown = held(client, consumer)
                assert sum(each.get(_MOVED, 0) for each in shown.values()) == 1, shown
                client.must("DELETE", f"/allocations/{consumer}")

    def read(over: threading.Event, at: int) -> None:
        while not over.is_set():
            place.check(at)

    lives = [partial(life, number=number) for number in range(2)]
    with meanwhile(*lives, *(partial(read, at=at) for at in range(3))):
        for _ in range(size(5)):
            place.reshape(place.host, place.device)
            place.reshape(place.device, place.host)

    state = stage.truth.state()
    for consumer in place.consumers:
        assert state.allocations[consumer] == {place.host: {"VCPU": 1, _MOVED: 2}}
    assert (state.used(place.host, _MOVED), state.used(place.device, _MOVED)) == (8, 0)


def test_a_reshape_that_is_refused_changes_nothing(client: Client, stage: Stage, size: Size) -> None:
    """The last of its consumers has just been changed by another: none of the others may have moved."""
    host = provider(client, {"VCPU": 100, "DISK_GB": 100})
    device = provider(client, parent=host)
    consumers = [new_uuid() for _ in range(5)]
    for consumer in consumers:
        assert claim(client, {host: {"VCPU": 1, "DISK_GB": 1}}, consumer).status == 204
    for _ in range(size(6)):
        before = stage.truth.state()
        body = {
            "inventories": {
                host: inventory_body({"VCPU": 100}, before.providers[host].generation),
                device: inventory_body({"DISK_GB": 100}, before.providers[device].generation),
            },
            "allocations": {
                c: holding({host: {"VCPU": 1}, device: {"DISK_GB": 1}}, before.consumers[c]) for c in consumers
            },
        }
        body["allocations"][consumers[-1]]["consumer_generation"] += 1
        answers = at_once([partial(client.call, "POST", "/reshaper", body)] * 4)

        assert {(answer.status, answer.code) for answer in answers} == {(409, STALE)}
        after = stage.truth.state()
        assert after.allocations == before.allocations
        assert {u: row.inventories for u, row in after.providers.items() if u in (host, device)} == {
            u: row.inventories for u, row in before.providers.items() if u in (host, device)
        }


def test_a_claim_is_refused_where_its_inventory_was_replaced_by_less(client: Client, stage: Stage, size: Size) -> None:
    """Shrinking below what is used is an operator's right; then nothing more is granted until there is room again."""
    uuid = provider(client, {"VCPU": 10})
    consumers = [new_uuid() for _ in range(10)]
    answers = at_once([partial(claim, client, {uuid: {"VCPU": 1}}, c) for c in consumers])
    assert {answer.status for answer in answers} == {204}
    set_inventories(client, uuid, {"VCPU": 5})

    freed = at_once([partial(client.call, "DELETE", f"/allocations/{c}") for c in consumers[:5]])
    answers = at_once([partial(claim, client, {uuid: {"VCPU": 1}})] * 8)

    assert {answer.status for answer in freed} == {204}
    assert [answer for answer in answers if not is_full(answer)] == []
    assert generation(client, uuid) > 0
    assert stage.truth.state().used(uuid, "VCPU") == 5
