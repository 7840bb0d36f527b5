"""Claims by many writers at once: all the room there is, never more, and no refusal without a reason."""

import random
import threading
from collections import Counter
from functools import partial

from tests.integration.races.client import Answer, Client, at_once, flat, meanwhile
from tests.integration.races.cloud import (
    STALE,
    claim,
    generation,
    held,
    holding,
    is_full,
    new_uuid,
    provider,
    set_inventories,
)
from tests.integration.races.conftest import Size, Stage
from tests.integration.races.histories import Held, Resized, most_at_once, overdrawn

WRITERS = 64
#: What some consumers were to hold, and the answer to that.
Told = tuple[dict[str, dict[str, dict[str, int]]], Answer]


def test_one_provider_is_filled_to_the_last_unit_and_no_further(client: Client, stage: Stage, size: Size) -> None:
    each = size(3)
    room = WRITERS * each - size(50)
    uuid = provider(client, {"VCPU": room, "MEMORY_MB": {"total": room * 10, "allocation_ratio": 2.0}})
    amounts = {uuid: {"VCPU": 1, "MEMORY_MB": 16}}

    answers = flat(at_once([lambda: [claim(client, amounts) for _ in range(each)]] * WRITERS))

    granted = [answer for answer in answers if answer.status == 204]
    refused = [answer for answer in answers if answer.status != 204]
    assert len(granted) == room
    assert [answer for answer in refused if not is_full(answer)] == []
    for answer in refused:
        asked_before = sum(other.began < answer.ended for other in granted)
        assert asked_before == room, f"refused while there was room: {answer}"
    assert stage.truth.state().providers[uuid].inventories == {
        "VCPU": (room, room),
        "MEMORY_MB": (room * 20, room * 16),
    }


def test_nobody_is_refused_while_there_is_room(client: Client, stage: Stage, size: Size) -> None:
    each = size(3)
    uuid = provider(client, {"VCPU": WRITERS * each, "DISK_GB": WRITERS * each * 5})

    answers = flat(at_once([lambda: [claim(client, {uuid: {"VCPU": 1, "DISK_GB": 5}}) for _ in range(each)]] * WRITERS))

    assert Counter(str(answer.status) for answer in answers) == {"204": WRITERS * each}, _others(answers, 204)
    assert stage.truth.state().used(uuid, "DISK_GB") == WRITERS * each * 5


def test_claims_of_several_providers_in_any_order_neither_lock_each_other_out_nor_are_refused(
    client: Client, stage: Stage, size: Size
) -> None:
    each = size(3)
    uuids = [provider(client, {"VCPU": WRITERS * each, "CUSTOM_RACE_NET": 100_000}) for _ in _classes(client, 4)]
    deadlocks = stage.truth.deadlocks()

    def writer(number: int) -> list[Answer]:
        dice = size.random("several", number)
        return [claim(client, _spread(dice, uuids)) for _ in range(each)]

    answers = flat(at_once([partial(writer, number) for number in range(WRITERS)]))

    assert Counter(answer.status for answer in answers) == {204: WRITERS * each}, _others(answers, 204)
    state = stage.truth.state()
    assert sum(state.used(uuid, "CUSTOM_RACE_NET") for uuid in uuids) == WRITERS * each * 30
    assert stage.truth.deadlocks() == deadlocks, "claims must lock in one order"


def _classes(client: Client, count: int) -> range:
    client.must("PUT", "/resource_classes/CUSTOM_RACE_NET")
    return range(count)


def _spread(dice: random.Random, uuids: list[str]) -> dict[str, dict[str, int]]:
    """Return a claim of three providers, in an order of its own, classes too."""
    spread = {}
    for uuid in dice.sample(uuids, 3):
        classes = [("VCPU", 1), ("CUSTOM_RACE_NET", 10)]
        dice.shuffle(classes)
        spread[uuid] = dict(classes)
    return spread


def test_several_providers_are_claimed_whole_or_not_at_all(client: Client, stage: Stage, size: Size) -> None:
    each, room = size(3), size(20)
    _classes(client, 0)
    uuids = [provider(client, {"VCPU": room, "CUSTOM_RACE_NET": 100_000}) for _ in range(4)]

    def writer(number: int) -> list[tuple[str, dict[str, dict[str, int]], Answer]]:
        dice = size.random("scarce", number)
        told = []
        for _ in range(each):
            consumer, amounts = new_uuid(), _spread(dice, uuids)
            told.append((consumer, amounts, claim(client, amounts, consumer)))
        return told

    answers = flat(at_once([partial(writer, number) for number in range(WRITERS)]))

    state = stage.truth.state()
    for consumer, amounts, answer in answers:
        assert answer.status == 204 or is_full(answer), answer
        assert state.allocations.get(consumer) == (amounts if answer.status == 204 else None), answer
    # Whoever was refused met a provider that was full, and claims never free anything.
    full = {uuid for uuid in uuids if state.used(uuid, "VCPU") == room}
    assert [answer for _, amounts, answer in answers if answer.status != 204 and not full & set(amounts)] == []


def test_capacity_is_a_bound_at_every_instant_of_a_history(client: Client, stage: Stage, size: Size) -> None:
    room = 5
    uuids = [provider(client, {"VCPU": room}) for _ in range(4)]
    histories: dict[str, list[Held]] = {uuid: [] for uuid in uuids}

    def life(number: int) -> int:
        dice = size.random("history", number)
        refused = 0
        mine: list[tuple[str, Held]] = []
        for _ in range(size(20)):
            if mine and dice.random() < 0.45:
                consumer, entry = mine.pop(dice.randrange(len(mine)))
                _release(client, consumer, entry)
                continue
            consumer, uuid, amount = new_uuid(), dice.choice(uuids), dice.choice((1, 1, 2))
            answer = claim(client, {uuid: {"VCPU": amount}}, consumer)
            if answer.status == 204:
                mine.append((consumer, Held(amount, answer.began, answer.ended)))
                histories[uuid].append(mine[-1][1])
            else:
                assert is_full(answer), answer
                refused += 1
        return refused

    refused = at_once([partial(life, number) for number in range(24)])

    assert sum(refused) > 0, "nobody was refused: the history shows nothing"
    assert {uuid: most_at_once(history) for uuid, history in histories.items() if most_at_once(history) > room} == {}
    state = stage.truth.state()
    for uuid, history in histories.items():
        assert state.used(uuid, "VCPU") == sum(entry.amount for entry in history if entry.freed == float("inf"))


def test_claims_race_changes_of_total_ratio_and_reserve(client: Client, stage: Stage, size: Size) -> None:
    uuid = provider(client, {"VCPU": 24})
    sizes = [Resized(24, 0.0, 0.0)]
    # Each step changes one field; the capacities are 36, 12, 8, 48, 6, 24.
    steps = [(24, 0, 1.5), (8, 0, 1.5), (8, 3, 1.6), (33, 3, 1.6), (9, 3, 1.0), (24, 0, 1.0)] * size(2)
    claims: list[Held] = []

    def resize() -> None:
        for total, reserved, ratio in steps:
            inventory = {"total": total, "reserved": reserved, "allocation_ratio": ratio}
            answer = set_inventories(client, uuid, {"VCPU": inventory})
            sizes.append(Resized((total - reserved) * ratio, answer.began, answer.ended))

    def life(over: threading.Event, number: int) -> None:
        dice = size.random("resize", number)
        mine: list[tuple[str, Held]] = []
        while not over.is_set():
            if mine and dice.random() < 0.5:
                consumer, entry = mine.pop()
                _release(client, consumer, entry)
                continue
            consumer = new_uuid()
            answer = claim(client, {uuid: {"VCPU": 2}}, consumer)
            assert answer.status == 204 or is_full(answer), answer
            if answer.status == 204:
                mine.append((consumer, Held(2, answer.began, answer.ended)))
                claims.append(mine[-1][1])
        for consumer, entry in mine:
            _release(client, consumer, entry)

    with meanwhile(*(partial(life, number=number) for number in range(8))):
        resize()

    assert len(claims) > len(steps)
    assert list(overdrawn(claims, sizes)) == []
    assert stage.truth.state().used(uuid, "VCPU") == 0


def test_changes_of_traits_and_aggregates_refuse_no_claim_and_each_generation_wins_once(
    client: Client, stage: Stage, size: Size
) -> None:
    uuid = provider(client, {"VCPU": 100_000})
    traits = [f"CUSTOM_RACE_{number}" for number in range(4)]
    for trait in traits:
        client.must("PUT", f"/traits/{trait}")

    won: list[tuple[int, int]] = []

    def label(number: int) -> None:
        """Change the provider, until all together have done so some times."""
        dice = size.random("label", number)
        for _ in range(1_000):
            if len(won) >= size(12):
                return
            known = generation(client, uuid)
            body: dict[str, object] = {"resource_provider_generation": known}
            what = "traits" if number % 2 else "aggregates"
            body[what] = dice.sample(traits, 2) if number % 2 else [new_uuid()]
            answer = client.call("PUT", f"/resource_providers/{uuid}/{what}", body)
            assert answer.status == 200 or answer.code == STALE, answer
            if answer.status == 200:
                won.append((known, answer.body["resource_provider_generation"]))
        raise AssertionError(f"changed {len(won)} times only")

    def life(over: threading.Event) -> None:
        """Claim; between two claims leave the time of some reads, in which a generation stays what it is."""
        while not over.is_set():
            answer = claim(client, {uuid: {"VCPU": 1}})
            assert answer.status == 204, answer
            for _ in range(4):
                client.get("/")

    with meanwhile(life, life):
        at_once([partial(label, number) for number in range(4)])

    assert [(known, after) for known, after in won if after not in (known, known + 1)] == []
    raised = sorted(known for known, after in won if after != known)
    assert raised == sorted(set(raised)), "two changes that knew the same generation were both made"
    assert len(raised) >= size(12) // 2


def test_of_writers_that_know_the_same_consumer_exactly_one_wins(client: Client, stage: Stage, size: Size) -> None:
    uuids = [provider(client, {"VCPU": 1000}) for _ in range(2)]
    for _ in range(size(6)):
        consumer, known = new_uuid(), None
        for _ in range(3):
            wanted = [{uuids[number % 2]: {"VCPU": number + 1}} for number in range(8)]
            answers = at_once([partial(claim, client, w, consumer, known) for w in wanted])
            winners = [number for number, answer in enumerate(answers) if answer.status == 204]
            assert len(winners) == 1, [str(answer) for answer in answers]
            assert {answer.code for answer in answers if answer.status != 204} == {STALE}
            state = stage.truth.state()
            assert state.allocations[consumer] == wanted[winners[0]]
            known = state.consumers[consumer]


def test_a_release_and_claims_that_know_the_consumer_have_some_order(client: Client, stage: Stage, size: Size) -> None:
    uuid = provider(client, {"VCPU": 1000})
    for _ in range(size(12)):
        consumer = new_uuid()
        # A consumer that comes back counts from the start: with two writes before, nobody takes it for the old one.
        client.must("PUT", f"/allocations/{consumer}", holding({uuid: {"VCPU": 1}}))
        client.must("PUT", f"/allocations/{consumer}", holding({uuid: {"VCPU": 1}}, 1))
        known = stage.truth.state().consumers[consumer]

        def put(amount: int, consumer: str = consumer, known: int | None = known) -> Answer:
            return claim(client, {uuid: {"VCPU": amount}}, consumer, known)

        release, again, *answers = at_once(
            [
                partial(client.call, "DELETE", f"/allocations/{consumer}"),
                partial(put, 9, known=None),
                partial(put, 2),
                partial(put, 3),
                partial(put, 4),
            ]
        )

        assert release.status == 204, release
        granted = [number for number, answer in enumerate(answers) if answer.status == 204]
        assert len(granted) <= 1, [str(answer) for answer in answers]
        assert {answer.code for answer in [again, *answers] if answer.status != 204} <= {STALE}
        # Only who took the consumer for a new one can have come after the release.
        expected = {uuid: {"VCPU": 9}} if again.status == 204 else None
        assert stage.truth.state().allocations.get(consumer) == expected, [str(answer) for answer in answers]


def test_writes_of_several_consumers_race_single_ones_whole_or_not_at_all(
    client: Client, stage: Stage, size: Size
) -> None:
    room = size(40)
    uuids = [provider(client, {"VCPU": room}) for _ in range(3)]

    def many(number: int) -> list[Told]:
        dice = size.random("many", number)
        told = []
        for _ in range(size(4)):
            wanted = {new_uuid(): {uuid: {"VCPU": 1}} for uuid in dice.sample(uuids, 3)}
            body = {consumer: holding(amounts) for consumer, amounts in wanted.items()}
            told.append((wanted, client.call("POST", "/allocations", body)))
        return told

    def single(number: int) -> list[Told]:
        dice = size.random("single", number)
        told = []
        for _ in range(size(4)):
            consumer, amounts = new_uuid(), {uuid: {"VCPU": 1} for uuid in dice.sample(uuids, 2)}
            told.append(({consumer: amounts}, claim(client, amounts, consumer)))
        return told

    works = [partial(work, number) for number in range(12) for work in (many, single)]
    told = flat(at_once(works))

    state = stage.truth.state()
    assert {answer.status for _, answer in told} == {204, 409}, "the room was too much or too little"
    for wanted, answer in told:
        assert answer.status == 204 or is_full(answer), answer
        found = {consumer: state.allocations[consumer] for consumer in wanted if consumer in state.allocations}
        assert found == (wanted if answer.status == 204 else {}), answer


def test_a_consumer_that_hands_over_to_another_is_never_seen_twice_or_not_at_all(
    client: Client, stage: Stage, size: Size
) -> None:
    source, target = (provider(client, {"VCPU": 8}) for _ in range(2))
    pairs = [(new_uuid(), new_uuid()) for _ in range(4)]

    def hand_over(server: str, migration: str) -> None:
        claim(client, {source: {"VCPU": 2}}, server)
        for _ in range(size(8)):
            there = {server: {target: {"VCPU": 2}}, migration: {source: {"VCPU": 2}}}
            back = {server: {source: {"VCPU": 2}}, migration: {}}
            for wanted in (there, back):
                known = stage.truth.state().consumers
                body = {uuid: holding(amounts, known.get(uuid)) for uuid, amounts in wanted.items()}
                client.must("POST", "/allocations", body)

    def watch(over: threading.Event) -> None:
        while not over.is_set():
            for uuid in (source, target):
                used = client.get(f"/resource_providers/{uuid}/usages")["usages"]["VCPU"]
                assert used <= 8, f"{used} of 8 shown"
            for server, _ in pairs:
                shown = held(client, server)
                assert shown in ({source: {"VCPU": 2}}, {target: {"VCPU": 2}}, {}), shown

    with meanwhile(watch, watch):
        at_once([partial(hand_over, *pair) for pair in pairs])

    state = stage.truth.state()
    assert (state.used(source, "VCPU"), state.used(target, "VCPU")) == (8, 0)


def _release(client: Client, consumer: str, entry: Held) -> None:
    answer = client.must("DELETE", f"/allocations/{consumer}")
    entry.released(answer.began, answer.ended)


def _others(answers: list[Answer], status: int) -> list[str]:
    return [str(answer) for answer in answers if answer.status != status][:5]
