"""Where what is held goes when an inventory moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.clients.placement import Holding
from nova_lite.compute.reshaping import NoRoom, Room, moved

Amounts = dict[str, dict[str, int]]


def _holding(allocations: Amounts) -> Holding:
    return Holding(allocations, "demo", "alice", 3, "INSTANCE")


def _after(holdings: dict[str, Amounts], room: dict[tuple[str, str], Room]) -> dict[str, Amounts]:
    classes = {name for _, name in room}
    targets = {("root", name): sorted(uuid for uuid, one in room if one == name) for name in classes}
    found = moved({consumer: _holding(held) for consumer, held in holdings.items()}, targets, room)
    assert all((one.project_id, one.generation) == ("demo", 3) for one in found.values())
    return {consumer: dict(one.allocations) for consumer, one in found.items()}


def _cells(vcpus: int = 4, ram: int = 100, **limits: int) -> dict[tuple[str, str], Room]:
    return {
        (cell, name): Room(free, **limits) for cell in ("a", "b") for name, free in (("VCPU", vcpus), ("MEMORY", ram))
    }


@pytest.mark.parametrize(
    ("holdings", "after"),
    [
        pytest.param({}, {}, id="nobody"),
        pytest.param(
            {"x": {"root": {"VCPU": 2, "MEMORY": 50, "DISK": 9}, "pool": {"VCPU": 1}}},
            {"x": {"root": {"DISK": 9}, "pool": {"VCPU": 1}, "a": {"VCPU": 2, "MEMORY": 50}}},
            id="together, and no more than moves",
        ),
        pytest.param(
            {"x": {"root": {"VCPU": 2}}, "y": {"root": {"VCPU": 3}}, "z": {"root": {"VCPU": 3}}},
            None,
            id="no room for the last",
        ),
        pytest.param(
            {"x": {"root": {"VCPU": 1}}, "y": {"root": {"VCPU": 3}}, "z": {"root": {"VCPU": 4}}},
            {"z": {"a": {"VCPU": 4}}, "y": {"b": {"VCPU": 3}}, "x": {"b": {"VCPU": 1}}},
            id="big ones first",
        ),
        pytest.param(
            {"x": {"root": {"VCPU": 6, "MEMORY": 50}}},
            {"x": {"a": {"VCPU": 4, "MEMORY": 50}, "b": {"VCPU": 2}}},
            id="divided where it must be",
        ),
    ],
)
def test_what_moves(holdings: dict[str, Amounts], after: dict[str, Amounts] | None) -> None:
    if after is None:
        holdings |= {"w": {"root": {"VCPU": 1}}}
        with pytest.raises(NoRoom):
            _after(holdings, _cells())
    else:
        assert _after(holdings, _cells()) == after


@pytest.mark.parametrize(
    ("room", "fits"),
    [
        pytest.param(Room(8, min_unit=4), True, id="at least"),
        pytest.param(Room(8, min_unit=6), False, id="less than the least"),
        pytest.param(Room(8, max_unit=3), False, id="more than the most"),
        pytest.param(Room(8, step_size=4), True, id="in steps"),
        pytest.param(Room(8, step_size=3), False, id="between steps"),
    ],
)
def test_limits_hold(room: Room, fits: bool) -> None:
    if fits:
        assert _after({"x": {"root": {"VCPU": 4}}}, {("a", "VCPU"): room}) == {"x": {"a": {"VCPU": 4}}}
    else:
        with pytest.raises(NoRoom, match="x"):
            _after({"x": {"root": {"VCPU": 4}}}, {("a", "VCPU"): room})


def test_room_is_what_an_inventory_leaves() -> None:
    inventory = {"total": 10, "reserved": 2, "min_unit": 1, "max_unit": 5, "step_size": 1, "allocation_ratio": 1.5}
    assert Room.of(inventory) == Room(12, 1, 5, 1)


@given(
    held=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any),
        min_size=1,
        max_size=12,
    ),
    free=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=4),
)
def test_nothing_is_lost_or_added_and_no_room_exceeded(
    held: list[tuple[int, int]], free: list[tuple[int, int]]
) -> None:
    holdings: dict[str, Amounts] = {
        str(number): {"root": {name: n for name, n in zip(("VCPU", "MEMORY"), amounts, strict=True) if n}}
        for number, amounts in enumerate(held)
    }
    room = {
        (f"cell{number}", name): Room(n)
        for number, amounts in enumerate(free)
        for name, n in zip(("VCPU", "MEMORY"), amounts, strict=True)
    }
    before = {place: one.free for place, one in room.items()}
    fits = all(sum(one[kind] for one in held) <= sum(one[kind] for one in free) for kind in (0, 1))
    try:
        after = _after(holdings, room)
    except NoRoom:
        assert not fits, "what can be divided at will fits wherever there is room in all"
        return
    assert fits
    for consumer, allocations in after.items():
        for name in ("VCPU", "MEMORY"):
            found = sum(amounts.get(name, 0) for amounts in allocations.values())
            assert found == holdings[consumer]["root"].get(name, 0)
    for (cell, name), capacity in before.items():
        assert (
            sum(one.get(cell, {}).get(name, 0) for one in after.values())
            == capacity - room[cell, name].free
            <= capacity
        )
