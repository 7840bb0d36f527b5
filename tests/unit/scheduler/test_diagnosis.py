"""What is found out of refusals."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from nova_lite import concurrency
from nova_lite.clients.placement import PlacementClient
from nova_lite.errors import Invalid
from nova_lite.model.candidates import Stocks
from nova_lite.model.flavor import Flavor
from nova_lite.scheduler import diagnosis, request
from nova_lite.scheduler.diagnosis import Diagnosis, Looked
from nova_lite.scheduler.request import Needs, Restriction

FLAVOR = Flavor("1", "f", 2, 1024, 10, extra_specs={"trait:CUSTOM_A": "required", "trait:CUSTOM_B": "forbidden"})
NEEDS = request.needs(FLAVOR)


class Hosts:
    """A Placement of single hosts: name → class → (free, most to one), traits, aggregates."""

    def __init__(
        self,
        hosts: Mapping[str, Mapping[str, tuple[int, int]]],
        traits: Mapping[str, set[str]],
        members: Mapping[str, set[str]] | None = None,
    ) -> None:
        self.names = list(hosts)
        self._hosts = hosts
        self._traits = traits
        self._members = members or {}
        self.asked: list[dict[str, Any]] = []

    def stocks(self, query: dict[str, Any]) -> Stocks:
        self.asked.append(query)
        name, _, amount = query["resources"].partition(":")
        if name == "CUSTOM_UNKNOWN":
            raise Invalid("No such resource class: CUSTOM_UNKNOWN.")
        fits = [
            host
            for host, room in self._hosts.items()
            if int(amount) <= min(room.get(name, (0, 0))) and self._is_member(host, query.get("member_of", ()))
        ][: query["limit"]]
        summaries = {
            host: {
                "root_provider_uuid": host,
                "traits": sorted(self._traits.get(host, ())),
                "resources": {cls: {"capacity": free + 1, "used": 1} for cls, (free, _) in self._hosts[host].items()},
            }
            for host in fits
        }
        requests = [{"allocations": {host: {"resources": {name: int(amount)}}}} for host in fits]
        return msgspec.convert({"allocation_requests": requests, "provider_summaries": summaries}, Stocks)

    def _is_member(self, host: str, members: Iterable[str]) -> bool:
        aggregates = self._members.get(host, set())
        return all(
            bool(aggregates & set(each.removeprefix("!").removeprefix("in:").split(","))) != each.startswith("!")
            for each in members
        )


@pytest.fixture
def placement() -> Hosts:
    room = {"VCPU": (8, 8), "MEMORY_MB": (4096, 4096), "DISK_GB": (100, 100)}
    return Hosts(
        {
            "fine": room,
            "short": {**room, "MEMORY_MB": (512, 4096)},
            "full": {**room, "VCPU": (0, 8)},
            "small": {**room, "VCPU": (8, 1)},
            "plain": room,
        },
        {name: {"CUSTOM_A"} for name in ("fine", "short", "full", "small")} | {"plain": {"CUSTOM_B"}},
    )


def look(placement: Hosts, needs: Needs, limit: int = 10) -> Looked:
    return Diagnosis(cast(PlacementClient, placement), limit=limit).look(needs, placement.names)


def told(looked: Looked) -> dict[str, list[str]]:
    """Return host → what it falls short of, in words."""
    return {host: [miss.one for miss in each] for host, each in looked.misses.items()}


def test_each_host_is_told_apart_by_what_it_falls_short_of(placement: Hosts) -> None:
    found = look(placement, NEEDS)
    assert told(found) == {
        "fine": ["has all of it, but not together as asked"],
        "short": ["lacks 512 MiB of memory"],
        "full": ["has no VCPU free"],
        "small": ["gives no 2 VCPU to one server"],
        "plain": ["has not the trait CUSTOM_A", "has the trait CUSTOM_B"],
    }
    assert found.is_all
    assert diagnosis.nearest(found.misses)[0] == "1 host lacks 512 MiB of memory"


def test_what_is_nearest_comes_first_and_alike_hosts_are_counted() -> None:
    little, much = (diagnosis.Miss(f"lacks {n} VCPU", f"lack {n} VCPU", n / 10) for n in (1, 9))
    away = diagnosis.Miss("is not in zone east", "are not in zone east", is_elsewhere=True)
    misses = {
        "a": (much,),
        "b": (little,),
        "c": (little,),
        "d": (little, much),
        "e": (much,),
        "f": (much,),
        "g": (away,),
    }
    assert diagnosis.nearest(misses) == [
        "2 hosts lack 1 VCPU", "3 hosts lack 9 VCPU", "1 host lacks 1 VCPU and 9 VCPU",
    ]  # fmt: skip
    assert diagnosis.nearest({}) == []


def test_what_pre_filters_ask_is_told_apart_too(placement: Hosts) -> None:
    placement._members = {"fine": {"east", "closed"}, "short": {"east"}}
    placement._traits = {**placement._traits, "small": {"CUSTOM_A", "COMPUTE_STATUS_DISABLED"}}
    restrictions = {
        "Enabled": Restriction("", "is disabled", "are disabled", forbidden=frozenset({"COMPUTE_STATUS_DISABLED"})),
        "TenantAggregates": Restriction("", "is elsewhere", "are elsewhere", one_of=frozenset({"east"})),
        "IsolatedAggregates": Restriction("", "is closed", "are closed", none_of=frozenset({"closed"})),
        "WantedHost": Restriction("", "is not full", "are not full", node="full"),
    }
    found = look(placement, replace(request.needs(Flavor("1", "f", 1, 1024, 1)), restrictions=restrictions))
    assert told(found) == {
        "fine": ["is closed", "is not full"],
        "short": ["lacks 512 MiB of memory", "is not full"],
        # Whether it is where it should be nobody knows, for it has nothing free by which to ask.
        "full": ["has no VCPU free", "is elsewhere"],
        "small": ["is disabled", "is elsewhere", "is not full"],
        "plain": ["is elsewhere", "is not full"],
    }
    assert diagnosis.nearest(found.misses) == ["1 host has no VCPU free and is elsewhere"]


def test_a_pool_gives_what_its_hosts_have_not() -> None:
    host = {"VCPU": (8, 8), "MEMORY_MB": (4096, 4096)}
    placement = Hosts({"host": host, "pool": {"DISK_GB": (5, 5)}}, {"pool": {"MISC_SHARES_VIA_AGGREGATE"}})
    placement.names.remove("pool")
    assert told(look(placement, request.needs(Flavor("1", "f", 1, 1, 8)))) == {"host": ["lacks 3 GiB of disk"]}
    apart = ["has all of it, but not together as asked"]
    assert told(look(placement, request.needs(Flavor("1", "f", 1, 1, 1)))) == {"host": apart}


def test_a_crowd_of_refusals_asks_once(placement: Hosts) -> None:
    looker = Diagnosis(cast(PlacementClient, placement), limit=10)
    needs = [request.needs(Flavor("1", "f", 16 + number, 8192, 500)) for number in range(20)]

    def refuse(wanted: Needs) -> None:
        looker.look(wanted, placement.names)

    crowd = [threading.Thread(target=refuse, args=(each,)) for each in needs]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(480)
    # Whatever they need: what hosts have is the same for all.
    assert len(placement.asked) == 3


def test_whole_amounts_are_asked_only_when_they_may_tell(placement: Hosts) -> None:
    looker = Diagnosis(cast(PlacementClient, placement), limit=10)
    looker.look(NEEDS, ["short"])
    assert [query["resources"] for query in placement.asked] == ["DISK_GB:1", "MEMORY_MB:1", "VCPU:1"]
    looker.look(NEEDS, ["small"])
    assert [query["resources"] for query in placement.asked[3:]] == ["VCPU:2", "MEMORY_MB:1024", "DISK_GB:10"]


def test_what_was_said_a_moment_ago_is_doubted_when_it_does_not_tell_why(
    placement: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(concurrency, "monotonic", lambda: now)
    looker = Diagnosis(cast(PlacementClient, placement), limit=10)
    looker.look(NEEDS, ["fine"])
    placement._hosts = {**placement._hosts, "fine": {"VCPU": (8, 8), "MEMORY_MB": (1000, 1000), "DISK_GB": (100, 100)}}
    now += 1.5
    assert told(looker.look(NEEDS, ["fine"])) == {"fine": ["lacks 24 MiB of memory"]}
    asked = len(placement.asked)
    now += 1.5
    looker.look(NEEDS, ["fine"])
    assert len(placement.asked) == asked


def test_what_is_missing_altogether_is_called_by_its_name() -> None:
    placement = Hosts({"full": {"VCPU": (8, 8)}}, {})
    found = look(placement, request.needs(Flavor("1", "f", 1, 1, 1)))
    assert told(found) == {"full": ["has no memory free", "has no disk free"]}


def test_groups_may_be_given_by_several(placement: Hosts) -> None:
    specs = {"resources:VCPU": "0", "resources1:VCPU": "3", "resources2:VCPU": "4", "group_policy": "isolate"}
    found = look(placement, request.needs(Flavor("1", "f", 1, 1, 1, extra_specs=specs)))
    assert told(found)["fine"] == ["has all of it, but not together as asked"]
    assert told(found)["small"] == ["gives no 4 VCPU to one server"]


def test_only_so_many_hosts_are_looked_at() -> None:
    names = [f"host{number}" for number in range(3000)]
    placement = Hosts({name: {"VCPU": (1, 1)} for name in names}, {})
    found = look(placement, request.needs(Flavor("1", "f", 2, 0, 0)), limit=5000)
    assert len(found.misses) == 1000
    assert not found.is_all
    assert max(query["limit"] for query in placement.asked) == 1000


def test_what_nobody_knows_is_what_nobody_has(placement: Hosts) -> None:
    trait = request.needs(Flavor("1", "f", 1, 1, 1, extra_specs={"trait:CUSTOM_UNKNOWN": "required"}))
    assert told(look(placement, trait))["fine"] == ["has not the trait CUSTOM_UNKNOWN"]
    resource = request.needs(Flavor("1", "f", 1, 1, 1, extra_specs={"resources:CUSTOM_UNKNOWN": "1"}))
    assert told(look(placement, resource))["fine"] == ["has no CUSTOM_UNKNOWN free"]


def test_nobody_is_slandered_for_what_placement_tells_only_of_those_that_have_something() -> None:
    placement = Hosts({"full": {"VCPU": (0, 8)}}, {"full": {"CUSTOM_A"}})
    needs = request.needs(Flavor("1", "f", 1, 0, 0, extra_specs={"trait:CUSTOM_A": "required"}))
    assert told(look(placement, needs)) == {"full": ["has no VCPU free"]}


@pytest.mark.parametrize("limit", [1, 2])
def test_hosts_that_placement_had_no_room_to_name_are_not_slandered(placement: Hosts, limit: int) -> None:
    found = look(placement, NEEDS, limit)
    assert not found.is_all
    known = {"fine": ["has all of it, but not together as asked"], "short": ["lacks 512 MiB of memory"]}
    assert told(found) == {name: known[name] for name in ("fine", "short")[:limit]}


def test_what_one_host_falls_short_of_is_told_in_one_sentence() -> None:
    misses = (
        diagnosis.Miss("lacks 1 VCPU", ""),
        diagnosis.Miss("has no disk free", ""),
        diagnosis.Miss("lacks 512 MiB of memory", ""),
        diagnosis.Miss("has not the trait CUSTOM_A", ""),
    )
    told = "1 host lacks 1 VCPU and 512 MiB of memory and has no disk free and not the trait CUSTOM_A"
    assert diagnosis.nearest({"a": misses}) == [told]
