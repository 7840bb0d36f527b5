"""What the clouds are made of."""

import configparser

import pytest

from benchmarks.scheduling.cloud import RAM_MIB, Fleet, ini


@pytest.mark.parametrize(
    ("fleet", "sizes"),
    [
        pytest.param(Fleet(4), [1, 1, 1, 1], id="a process each, as shipped"),
        pytest.param(Fleet(10, 4), [3, 3, 2, 2], id="carried"),
        pytest.param(Fleet(2, 4), [1, 1], id="fewer hosts than processes"),
    ],
)
def test_every_host_is_in_one_process(fleet: Fleet, sizes: list[int]) -> None:
    shares = fleet.shares
    assert [len(share) for share in shares] == sizes
    assert sorted(name for share in shares for name in share) == fleet.names


def test_slots_are_bounded_by_memory() -> None:
    assert Fleet(4, slots=6).room[1] == 6 * RAM_MIB
    assert Fleet(4).room == (1000, 800_000, 600_000)


def test_packing_turns_the_weights_round() -> None:
    assert set(Fleet(4).weights.values()) == {1.0}
    assert set(Fleet(4, packs=True).weights.values()) == {-1.0}


def test_what_comes_later_in_a_configuration_holds() -> None:
    text = ini({"DEFAULT": {"host": "a", "pause": 1}}, {"fake": {"ram": 2}}, {"DEFAULT": {"host": "b"}})
    found = configparser.ConfigParser(default_section="\0")
    found.read_string(text)
    assert {name: dict(found[name]) for name in found.sections()} == {
        "DEFAULT": {"host": "b", "pause": "1"},
        "fake": {"ram": "2"},
    }
