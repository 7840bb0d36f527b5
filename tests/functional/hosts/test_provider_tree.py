"""A host's tree in Placement: what is told, what is left alone, and what moves with its allocations."""

import tempfile
import threading
import uuid as uuids
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_lite import errors
from nova_lite.compute.provider_tree import ProviderTree
from nova_lite.compute.told import Told
from nova_lite.model.provider import Inventory
from nova_lite.testing.cloud import eventually
from tests.contract.clients.placement import client_of
from tests.functional.hosts.conftest import OWNER, Home

NODE = frozenset({"COMPUTE_NODE", "HW_CPU_X86_AVX"})


def test_a_tree_is_told_once(home: Home) -> None:
    tree = (
        home.part("", NODE, VCPU=8, DISK_GB=100),
        home.part("gold", frozenset({"CUSTOM_RAID"}), CUSTOM_GOLD=1),
    )
    assert home.agree(*tree) == ()
    assert home.names() == {"", "_gold"}
    assert home.totals() == {"VCPU": (8, 0), "DISK_GB": (100, 0)}
    assert home.totals("gold") == {"CUSTOM_GOLD": (1, 0)}
    assert home.client.traits(home.uuid())[0] == NODE
    assert home.client.traits(home.uuid("gold"))[0] == {"CUSTOM_RAID"}
    assert home.writes
    home.restart()
    assert home.agree(*tree) == ()
    assert home.writes == []


def test_only_what_changed_is_written(home: Home) -> None:
    tree = [home.part("", NODE, VCPU=8), home.part("a", MEMORY_MB=100), home.part("b", MEMORY_MB=100)]
    home.agree(*tree)
    home.writes.clear()
    tree[2] = home.part("b", MEMORY_MB=200)
    home.agree(*tree)
    assert home.writes == [f"PUT /resource_providers/{home.uuid('b')}/inventories"]
    tree[0] = home.part("", NODE - {"HW_CPU_X86_AVX"}, VCPU=8)
    home.agree(*tree)
    assert home.writes == [f"PUT /resource_providers/{home.node}/traits"]


def test_what_others_said_stays(home: Home) -> None:
    home.agree(home.part("", NODE, VCPU=8))
    client, aggregate, neighbour = home.client, str(uuids.uuid4()), str(uuids.uuid4())
    client.ensure_class("CUSTOM_LICENSE")
    client.ensure_trait("CUSTOM_FAST")
    known, generation = client.inventories(home.node)
    known["VCPU"]["allocation_ratio"] = 2.5
    generation = client.set_inventories(home.node, known | {"CUSTOM_LICENSE": {"total": 3}}, generation)
    others = {"CUSTOM_FAST", "COMPUTE_STATUS_DISABLED", "MISC_SHARES_VIA_AGGREGATE", "HW_CPU_X86_SSE"}
    generation = client.set_traits(home.node, NODE | others, generation)
    client.set_aggregates(home.node, [aggregate], generation)
    client.add_provider(neighbour, f"bridge-{neighbour}", home.node)
    home.agree(home.part("", NODE, VCPU=16))
    known, _ = client.inventories(home.node)
    assert (known["VCPU"]["total"], known["VCPU"]["allocation_ratio"]) == (16, 2.5)
    assert known["CUSTOM_LICENSE"]["total"] == 3
    # A CPU that had SSE is gone: that is the host's to say.
    assert client.traits(home.node)[0] == NODE | others - {"HW_CPU_X86_SSE"}
    assert client.aggregates(home.node) == ({aggregate}, client.inventories(home.node)[1])
    assert home.names() == {"", f"bridge-{neighbour}"}
    home.agree(replace(home.part(""), inventories={"VCPU": Inventory(16, allocation_ratio=3.0)}))
    assert client.inventories(home.node)[0]["VCPU"]["allocation_ratio"] == 3.0


def test_the_hosts_own_custom_names_go_with_it_and_operators_do_not(home: Home) -> None:
    home.agree(home.part("", VCPU=8))
    home.client.ensure_trait("CUSTOM_SHARED")
    home.client.set_traits(home.node, {"CUSTOM_SHARED"}, home.client.traits(home.node)[1])
    home.agree(home.part("", frozenset({"CUSTOM_SHARED", "CUSTOM_MINE"}), VCPU=8, CUSTOM_COIN=2))
    assert home.client.traits(home.node)[0] == {"CUSTOM_SHARED", "CUSTOM_MINE"}
    home.restart()
    home.agree(home.part("", VCPU=8))
    assert home.client.traits(home.node)[0] == {"CUSTOM_SHARED"}
    assert set(home.totals()) == {"VCPU"}


def test_parts_that_are_gone_are_removed(home: Home) -> None:
    home.agree(home.part("", VCPU=8), home.part("a", SRIOV_NET_VF=4), home.part("b", CUSTOM_CARD=1))
    home.restart()
    assert home.agree(home.part("", VCPU=8)) == ()
    assert home.names() == {""}


def test_a_part_that_is_gone_and_held_stays_with_nothing_free(home: Home) -> None:
    home.agree(home.part("", VCPU=8), home.part("card", SRIOV_NET_VF=4), home.part("other", SRIOV_NET_VF=4))
    holder = home.claim(card={"SRIOV_NET_VF": 1}, host={"VCPU": 1})
    (complaint,) = home.agree(home.part("", VCPU=16), home.part("other", SRIOV_NET_VF=4))
    assert f"{home.name}_card no longer has SRIOV_NET_VF, still held by {holder}" == complaint
    assert home.totals("card") == {"SRIOV_NET_VF": (4, 4)}
    assert home.totals() == {"VCPU": (16, 0)}
    assert home.held(holder) == {"card": {"SRIOV_NET_VF": 1}, "": {"VCPU": 1}}
    home.writes.clear()
    assert home.agree(home.part("", VCPU=16), home.part("other", SRIOV_NET_VF=4)) == (complaint,)
    assert home.writes == []
    # It comes back; then it goes, and so does its user.
    assert home.agree(home.part("", VCPU=16), home.part("card", SRIOV_NET_VF=4)) == ()
    assert home.totals("card") == {"SRIOV_NET_VF": (4, 0)}
    home.client.release(holder)
    assert home.agree(home.part("", VCPU=16)) == ()
    assert home.names() == {""}


def test_a_neighbours_part_below_ours_keeps_ours(home: Home) -> None:
    home.agree(home.part("", VCPU=8), home.part("card", SRIOV_NET_VF=4))
    home.client.add_provider(str(uuids.uuid4()), f"bandwidth-{home.node}", home.uuid("card"))
    (complaint,) = home.agree(home.part("", VCPU=8))
    assert "_card" in complaint
    assert "children" in complaint


_CLASSES = st.dictionaries(
    st.sampled_from(["VCPU", "MEMORY_MB", "SRIOV_NET_VF", "PGPU", "CUSTOM_A", "CUSTOM_B"]),
    st.builds(Inventory, st.integers(1, 99), allocation_ratio=st.sampled_from([None, 1.0, 2.5])),
    max_size=3,
)
_TRAITS = st.frozensets(st.sampled_from(["COMPUTE_NODE", "HW_NUMA_ROOT", "STORAGE_DISK_SSD", "CUSTOM_T", "CUSTOM_U"]))
_TREES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(_CLASSES, _TRAITS))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(shapes=st.lists(st.tuples(_CLASSES, _TRAITS, _TREES), min_size=2, max_size=4))
def test_any_tree_follows_any_other(placement_url: str, shapes: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        home = Home(placement_url, Path(directory))
        for classes, traits, parts in shapes:
            tree = [home.part("", traits, **classes)]
            tree += [home.part(name, tags, **amounts) for name, (amounts, tags) in parts.items()]
            home.restart()
            assert home.agree(*tree) == ()
            assert home.names() == {"", *(f"_{name}" for name in parts)}
            for name, (amounts, tags) in {"": (classes, traits), **parts}.items():
                known, _ = home.client.inventories(home.uuid(name))
                assert {key: entry["total"] for key, entry in known.items()} == {
                    key: one.total for key, one in amounts.items()
                }
                assert all(
                    known[key]["allocation_ratio"] == one.allocation_ratio
                    for key, one in amounts.items()
                    if one.allocation_ratio is not None
                )
                assert home.client.traits(home.uuid(name))[0] == tags
            home.writes.clear()
            assert home.agree(*tree) == ()
            assert home.writes == []


# -- reshaping --------------------------------------------------------------------------------------------------------


def _cells(home: Home, cells: int = 2, vcpus: int = 8, ram: int = 4096) -> tuple[Any, ...]:
    parts = [home.part(f"numa{n}", VCPU=vcpus, MEMORY_MB=ram) for n in range(cells)]
    return (home.part("", NODE, DISK_GB=100), *parts)


def test_inventory_that_moves_to_parts_takes_along_what_is_held_of_it(home: Home) -> None:
    flat = home.part("", NODE, VCPU=16, MEMORY_MB=8192, DISK_GB=100)
    home.agree(flat)
    known, generation = home.client.inventories(home.node)
    known["VCPU"]["allocation_ratio"] = 1.5
    home.client.set_inventories(home.node, known, generation)
    small = [home.claim(host={"VCPU": 3, "MEMORY_MB": 1024, "DISK_GB": 10}) for _ in range(4)]
    assert home.agree(*_cells(home)) == ()
    assert home.totals() == {"DISK_GB": (100, 0)}
    assert home.client.inventories(home.uuid("numa0"))[0]["VCPU"]["allocation_ratio"] == 1.5
    for consumer in small:
        held = home.held(consumer)
        (cell,) = held.keys() - {""}
        assert held == {"": {"DISK_GB": 10}, cell: {"VCPU": 3, "MEMORY_MB": 1024}}
        owner = home.client.holding(consumer)
        assert owner is not None
        assert (owner.project_id, owner.user_id) == (OWNER["project_id"], OWNER["user_id"])
    home.writes.clear()
    home.restart()
    assert home.agree(*_cells(home)) == ()
    assert home.writes == []
    # And back.
    assert home.agree(flat) == ()
    assert home.names() == {""}
    assert [home.held(consumer) for consumer in small] == [{"": {"VCPU": 3, "MEMORY_MB": 1024, "DISK_GB": 10}}] * 4


def test_what_fits_in_no_part_is_divided(home: Home) -> None:
    home.agree(home.part("", NODE, VCPU=16, MEMORY_MB=8192, DISK_GB=100))
    big = home.claim(host={"VCPU": 12, "MEMORY_MB": 1024})
    assert home.agree(*_cells(home)) == ()
    held = home.held(big)
    assert sum(amounts.get("VCPU", 0) for amounts in held.values()) == 12
    assert max(amounts.get("VCPU", 0) for amounts in held.values()) <= 8


def test_what_fits_nowhere_leaves_the_tree_as_it_was(home: Home) -> None:
    home.agree(home.part("", NODE, VCPU=16, MEMORY_MB=8192, DISK_GB=100))
    home.claim(host={"VCPU": 16, "MEMORY_MB": 1024})
    (complaint,) = home.agree(*_cells(home, vcpus=4))
    assert "keeps its inventories" in complaint
    assert home.totals()["VCPU"] == (16, 0)
    assert "VCPU" not in home.totals("numa0")


def test_a_disk_that_becomes_a_pools_stays_until_nobody_holds_it(home: Home) -> None:
    home.agree(home.part("", VCPU=8, DISK_GB=100))
    holder = home.claim(host={"VCPU": 1, "DISK_GB": 10})
    (complaint,) = home.agree(home.part("", VCPU=8))
    assert holder in complaint
    assert home.totals() == {"VCPU": (8, 0), "DISK_GB": (100, 100)}
    home.client.release(holder)
    assert home.agree(home.part("", VCPU=8)) == ()
    assert home.totals() == {"VCPU": (8, 0)}


# -- races, and who the host is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "times", "told"),
    [
        pytest.param("set_inventories", 3, True, id="inventories"),
        pytest.param("set_traits", 3, True, id="traits"),
        pytest.param("reshape", 3, True, id="reshape"),
        pytest.param("set_inventories", 100, False, id="without end"),
    ],
)
def test_changes_by_others(home: Home, monkeypatch: pytest.MonkeyPatch, write: str, times: int, told: bool) -> None:
    home.agree(home.part("", VCPU=16, MEMORY_MB=8192, DISK_GB=100))
    consumer = home.claim(host={"VCPU": 1, "MEMORY_MB": 1024})
    disturbances = iter(range(times))
    real = getattr(home.client, write)

    def disturbed(*args: Any) -> Any:
        if next(disturbances, None) is not None:
            aggregates = home.client.aggregates(home.node)
            assert aggregates is not None
            home.client.set_aggregates(home.node, [str(uuids.uuid4())], aggregates[1])
        return real(*args)

    monkeypatch.setattr(home.client, write, disturbed)
    if not told:
        with pytest.raises(errors.Unavailable):
            home.agree(home.part("", VCPU=32, MEMORY_MB=8192, DISK_GB=100))
        return
    assert home.agree(*_cells(home)) == ()
    assert "numa0" in home.held(consumer)
    assert home.client.traits(home.node)[0] == NODE


def test_a_claim_made_while_the_tree_is_reshaped_is_not_lost(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.agree(home.part("", VCPU=16, MEMORY_MB=8192, DISK_GB=100))
    consumers = [home.claim(host={"VCPU": 1, "MEMORY_MB": 1024})]
    reshape = home.client.reshape

    def late(*args: Any) -> None:
        if len(consumers) == 1:
            consumers.append(home.claim(host={"VCPU": 1, "MEMORY_MB": 1024}))
        reshape(*args)

    monkeypatch.setattr(home.client, "reshape", late)
    assert home.agree(*_cells(home)) == ()
    assert ["numa0" in home.held(consumer) for consumer in consumers] == [True, True]


def test_what_no_longer_fits_is_offered_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.agree(home.part("", NODE, VCPU=16, MEMORY_MB=8192, DISK_GB=100))
    consumers = [home.claim(host={"VCPU": 1, "MEMORY_MB": 1024})]
    reshape = home.client.reshape

    def late(*args: Any) -> None:
        consumers.append(home.claim(host={"VCPU": 15, "MEMORY_MB": 1024}))
        reshape(*args)

    monkeypatch.setattr(home.client, "reshape", late)
    (complaint,) = home.agree(*_cells(home, vcpus=4))
    assert f"{consumers[1]} fits nowhere" in complaint
    assert home.totals() == {"VCPU": (16, 0), "MEMORY_MB": (8192, 0), "DISK_GB": (100, 0)}


def test_nothing_is_lost_while_servers_come_and_go_in_a_tree_that_changes(home: Home) -> None:
    flat = (home.part("", NODE, VCPU=16, MEMORY_MB=8192, DISK_GB=100),)
    home.agree(*flat)
    wanted = {"VCPU": 1, "MEMORY_MB": 128, "DISK_GB": 1}
    kept: list[str] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def come_and_go() -> None:
        client, mine = client_of(home.url), list[str]()
        try:
            while not stop.is_set():
                query = {"resources": ",".join(f"{name}:{n}" for name, n in wanted.items()), "in_tree": home.node}
                offers = client.candidates(query).allocation_requests
                consumer = str(uuids.uuid4())
                offer = {uuid: one.resources for uuid, one in offers[0].allocations.items()} if offers else {}
                if offer and client.claim(consumer, offer, **OWNER):
                    mine.append(consumer)
                if len(mine) > 4:
                    client.release(mine.pop(0))
        except Exception as exc:  # noqa: BLE001 - told below
            failures.append(exc)
        kept.extend(mine)

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for shape in (_cells(home), flat, _cells(home), flat, _cells(home)):
            _settled(home, *shape)
    finally:
        stop.set()
        for thread in threads:
            thread.join(480)
    assert failures == []
    assert kept
    _settled(home, *_cells(home))
    for consumer in kept:
        sums: Counter[str] = Counter()
        for part, amounts in home.held(consumer).items():
            assert (part == "") is (set(amounts) == {"DISK_GB"}), "what moved is where its inventory is"
            sums.update(amounts)
        assert sums == wanted


def _settled(home: Home, *shape: Any) -> None:
    """Tell until all is as wanted, as an agent does."""

    def look() -> bool:
        try:
            return home.agree(*shape) == ()
        except errors.Unavailable:
            return False

    eventually(look, "the tree as told")


def test_a_host_that_is_called_otherwise_is_refused(home: Home) -> None:
    home.agree(home.part("", VCPU=8))
    with pytest.raises(errors.Misconfigured, match=f"called other, but .* is that of {home.name}"):
        home.tree.check("other")
    with pytest.raises(errors.Misconfigured, match="keeps its name"):
        home.agree(replace(home.part(""), name="other"))
    assert home.names() == {""}


def test_a_host_that_lost_its_identity_is_refused(home: Home) -> None:
    home.agree(home.part("", VCPU=8))
    lost = ProviderTree(home.client, str(uuids.uuid4()), Told(home._state_dir / "told.json"))
    for act in (lambda: lost.check(home.name), lambda: lost.agree([home.part("", VCPU=8)])):
        with pytest.raises(errors.Misconfigured, match=f"{home.node}, and this host would make it .* restore"):
            act()
