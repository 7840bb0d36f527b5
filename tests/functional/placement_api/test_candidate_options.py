"""The operator's options for allocation candidates: how many, in which order, drawn by lot."""

from typing import Any

import pytest

from nova_lite.storage import Database
from tests.functional.placement_api.conftest import Client, new_worker

ASK = "/allocation_candidates?resources=VCPU:1&resources_V=VGPU:1"


@pytest.fixture
def cards(placement: Client) -> dict[str, str]:
    """Four hosts with three cards each: card → its host."""
    owner = {}
    for host in range(4):
        root = placement.provider(f"host-{host}", {"VCPU": 8})
        for card in range(3):
            owner[placement.provider(f"card-{host}-{card}", {"VGPU": 1}, parent=root)] = root
    return owner


def with_options(database: Database, **options: Any) -> Client:
    return Client(new_worker(database, placement=options))


def pairs(client: Client, query: str = ASK) -> list[tuple[str, str]]:
    """Return (host, card) of each candidate, in the order they come."""
    return [
        (request["mappings"][""][0], request["mappings"]["_V"][0])
        for request in client.get(query).json["allocation_requests"]
    ]


def test_hosts_take_turns(database: Database, cards: dict[str, str]) -> None:
    found = pairs(with_options(database))
    assert len(set(found)) == len(found) == 12
    assert len({host for host, _ in found[:4]}) == 4


def test_depth_first_uses_up_a_host_before_the_next(database: Database, cards: dict[str, str]) -> None:
    found = pairs(with_options(database, allocation_candidates_generation_strategy="depth-first"))
    assert len(set(found)) == 12
    assert [len({host for host, _ in found[n : n + 3]}) for n in (0, 3, 6, 9)] == [1, 1, 1, 1]


def test_no_answer_is_longer_than_the_operator_allows(database: Database, cards: dict[str, str]) -> None:
    client = with_options(database, max_allocation_candidates=5)
    assert len(pairs(client)) == 5
    assert len(pairs(client, f"{ASK}&limit=7")) == 5
    assert len(pairs(client, f"{ASK}&limit=2")) == 2
    assert len(pairs(with_options(database, max_allocation_candidates=-1))) == 12


def test_drawn_by_lot(database: Database, cards: dict[str, str]) -> None:
    """Of 64 limited answers some begin with another host; none holds what is not there."""
    client = with_options(database, randomize_allocation_candidates=True)
    first = {pairs(client, f"{ASK}&limit=1")[0] for _ in range(64)}
    assert len({host for host, _ in first}) > 1
    assert all(cards[card] == host for host, card in first)
    assert {card for _, card in pairs(client)} == set(cards)
