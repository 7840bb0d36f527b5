"""Reads by one worker of what others write: never old, never half, whatever is under way."""

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.integration.races.client import Answer, Client, at_once, meanwhile
from tests.integration.races.cloud import claim, generation, inventory_body, is_full, new_uuid, provider
from tests.integration.races.conftest import Size
from tests.integration.races.histories import Held, bounds
from tests.integration.races.writes import KINDS


def test_the_servers_of_the_stage_are_as_many_workers(client: Client) -> None:
    shown = [client.call("GET", "/", at=number).worker for number in range(3) for _ in range(5)]

    assert len(set(shown)) == 3
    assert len({shown[0], shown[5], shown[10]}) == 3


def test_what_one_worker_answered_every_worker_shows(client: Client, size: Size) -> None:
    """Every kind of write at once, so that numbers of the change log are committed in any order."""

    def tell(kind: str) -> int:
        pairs = 0
        writes = KINDS[kind](client)
        for writer in [0, 1, 2] * size(8):
            check = next(writes)(writer)
            for reader in ((writer + 1) % 3, (writer + 2) % 3, writer):
                try:
                    check(reader)
                except AssertionError as exc:
                    raise AssertionError(f"{kind}: written at worker {writer}, not seen at {reader}: {exc}") from exc
                pairs += 1
        return pairs

    pairs = at_once([partial(tell, kind) for kind in [*KINDS, "allocations", "inventories", "moves"]])

    assert sum(pairs) == len(pairs) * size(8) * 9


def test_a_generation_is_never_shown_with_the_inventory_or_traits_of_another(client: Client, size: Size) -> None:
    """Who writes with the generation that was shown overwrites nothing he has not seen."""
    path = f"/resource_providers/{provider(client, {'VCPU': 1001})}"
    traits = ("HW_CPU_X86_SSE", "HW_CPU_X86_SSE2")

    def set_traits(known: int) -> int:
        """Bring an even generation, and with it the trait that belongs to it."""
        body = {"traits": [traits[(known + 1) // 2 % 2]], "resource_provider_generation": known}
        return int(client.must("PUT", f"{path}/traits", body).body["resource_provider_generation"])

    def set_total(known: int) -> int:
        """Bring an odd generation, and with it the total that belongs to it."""
        body = inventory_body({"VCPU": 1000 + known + 1}, known)
        return int(client.must("PUT", f"{path}/inventories", body).body["resource_provider_generation"])

    def read(over: threading.Event, at: int) -> None:
        while not over.is_set():
            shown = client.get(f"{path}/inventories", at=at)
            number, total = shown["resource_provider_generation"], shown["inventories"]["VCPU"]["total"]
            expected = 1000 + (number if number % 2 else number - 1)
            assert total == expected, f"worker {at} shows total {total} with generation {number}"
            shown = client.get(f"{path}/traits", at=at)
            number = shown["resource_provider_generation"]
            assert shown["traits"] == [traits[number // 2 % 2]], f"worker {at} shows {shown}"

    known = set_traits(1)
    with meanwhile(*(partial(read, at=at) for at in (0, 1, 2, 0, 1, 2))):
        for _ in range(size(100)):
            known = set_traits(set_total(known))


def test_a_claim_of_two_providers_is_seen_on_both_or_on_none(client: Client, size: Size) -> None:
    class_name = "CUSTOM_RACE_PAIR"
    client.must("PUT", f"/resource_classes/{class_name}")
    pair = [provider(client, {class_name: 100_000, "VCPU": 100_000}) for _ in range(2)]

    def both(number: int) -> None:
        dice = size.random("pair", number)
        for _ in range(size(25)):
            consumer, amount = new_uuid(), dice.randint(1, 9)
            assert claim(client, {uuid: {class_name: amount} for uuid in pair}, consumer).status == 204
            if dice.random() < 0.5:
                client.must("DELETE", f"/allocations/{consumer}")

    def one(over: threading.Event, uuid: str) -> None:
        """Change one of them only, so that it is looked up while the other is being changed."""
        while not over.is_set():
            assert claim(client, {uuid: {"VCPU": 1}}).status == 204

    def read(over: threading.Event, at: int) -> None:
        while not over.is_set():
            found = client.get(f"/allocation_candidates?resources={class_name}:1", at=at)["provider_summaries"]
            used = [found[uuid]["resources"][class_name]["used"] for uuid in pair]
            assert used[0] == used[1], f"worker {at} shows half of a claim: {used}"

    with meanwhile(
        *(partial(one, uuid=uuid) for uuid in pair),
        *(partial(read, at=at) for at in range(3)),
    ):
        at_once([partial(both, number) for number in range(6)])


def test_candidates_show_the_use_of_some_moment_between_question_and_answer(client: Client, size: Size) -> None:
    room, class_name = 6, "CUSTOM_RACE_ROOM"
    client.must("PUT", f"/resource_classes/{class_name}")
    uuids = [provider(client, {class_name: room}) for _ in range(3)]
    histories: dict[str, list[Held]] = {uuid: [] for uuid in uuids}
    # Every request is in the history from its asking on: a read may show it before its answer is here.
    lock = threading.Lock()
    reads: list[Answer] = []

    def life(number: int) -> None:
        dice = size.random("candidates", number)
        for _ in range(size(14)):
            uuid, amount, consumer = dice.choice(uuids), dice.choice((1, 2)), new_uuid()
            answer = claim(client, {uuid: {class_name: amount}}, consumer)
            assert answer.status == 204 or is_full(answer), answer
            if answer.status == 204:
                gone = client.must("DELETE", f"/allocations/{consumer}")
                with lock:
                    histories[uuid].append(Held(amount, answer.began, answer.ended, gone.began, gone.ended))

    def read(over: threading.Event, at: int) -> None:
        while not over.is_set():
            answer = client.call("GET", f"/allocation_candidates?resources={class_name}:2", at=at)
            assert answer.status == 200, answer
            with lock:
                reads.append(answer)

    with meanwhile(*(partial(read, at=at) for at in range(3))):
        at_once([partial(life, number) for number in range(10)])

    wrong = [f"{line} in {answer}" for answer in reads for line in _lies(answer, histories, class_name, room)]
    assert wrong == []
    assert any(len(answer.body["allocation_requests"]) < 3 for answer in reads), "nothing was ever full"


def _lies(answer: Answer, histories: dict[str, list[Held]], class_name: str, room: int) -> Iterator[str]:
    """Yield what cannot have been so at any moment between question and answer."""
    offered = {uuid for request in answer.body["allocation_requests"] for uuid in request["allocations"]}
    summaries: dict[str, Any] = answer.body["provider_summaries"]
    for uuid, history in histories.items():
        least, most = bounds(history, answer.began, answer.ended)
        if uuid not in offered:
            if most + 2 <= room:
                yield f"{uuid} is left out, though at most {most} of {room} can be used"
            continue
        used = summaries[uuid]["resources"][class_name]["used"]
        if not least <= used <= most:
            yield f"{uuid} shows {used} used, which can only be from {least} to {most}"
        if used + 2 > room:
            yield f"{uuid} is offered with {used} of {room} used"


def test_the_list_of_providers_is_of_one_moment(client: Client, size: Size) -> None:
    """Children come and go below a root in an order that every list must keep."""
    root = provider(client)
    chains = itertools.count()

    def grow(number: int) -> None:
        for _ in range(size(6)):
            next(chains)
            first = provider(client, parent=root)
            second = provider(client, parent=first)
            third = provider(client, parent=second)
            for uuid in (third, second, first):
                client.must("DELETE", f"/resource_providers/{uuid}")

    def read(over: threading.Event, at: int) -> None:
        while not over.is_set():
            listed = client.get(f"/resource_providers?in_tree={root}", at=at)["resource_providers"]
            known = {entry["uuid"] for entry in listed}
            orphans = [entry for entry in listed if entry["parent_provider_uuid"] not in {None, *known}]
            assert orphans == [], f"worker {at} shows children without their parent"
            assert {entry["root_provider_uuid"] for entry in listed} == {root}

    with meanwhile(*(partial(read, at=at) for at in range(3))):
        at_once([partial(grow, number) for number in range(6)])

    assert generation(client, root) >= 0
