"""Each check on what was seen: what is wrong is told, what is in flight or unknown is not."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from nova_lite.conductor.spanning.auditing import checks
from nova_lite.conductor.spanning.auditing.findings import RULES, Kind
from nova_lite.conductor.spanning.auditing.repairs import REPAIRS
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import Guest, PowerState
from nova_lite.model.sightings import (
    Seen,
    SeenClaim,
    SeenHost,
    SeenMapping,
    SeenMember,
    SeenMove,
    SeenServer,
    SeenWork,
)
from nova_lite.model.states import TaskState, VmState

NOW = datetime.fromisoformat("2026-01-01")
SMALL, LARGE = Flavor("1", "small", 1, 512, 1), Flavor("2", "large", 2, 1024, 1)
HELD = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
HELD_LARGE = {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 1}


def server(uuid: str = "vm", **values: Any) -> SeenServer:
    known: dict[str, Any] = {
        "cell": "c1",
        "project_id": "p",
        "user_id": "u",
        "vm_state": VmState.ACTIVE,
        "task_state": None,
        "host": "h1",
        "node": "n1",
        "epoch": 0,
        "flavor": SMALL,
        "image_properties": {},
        "has_launched": True,
        "updated_at": NOW,
    }
    return SeenServer(uuid=uuid, **{**known, **values})


def move(status: str = "finished", **values: Any) -> SeenMove:
    known: dict[str, Any] = {
        "uuid": "mv",
        "instance_uuid": "vm",
        "cell": "c1",
        "kind": "resize",
        "project_id": "p",
        "user_id": "u",
        "source_host": "h2",
        "source_node": "n2",
        "dest_host": "h1",
        "dest_node": "n1",
        "old_flavor": SMALL,
        "new_flavor": SMALL,
        "updated_at": NOW,
    }
    return SeenMove(status=status, **{**known, **values})


def guest(uuid: str = "vm", epoch: int = 0) -> Guest:
    return Guest(uuid, epoch, PowerState.RUNNING)


def work(subject: str = "vm", **values: Any) -> SeenWork:
    known: dict[str, Any] = {"cell": "c1", "status": "running", "step": 1, "idle_s": -5.0, "late_s": -5.0}
    return SeenWork("wf", "stop", (subject,), **{**known, **values})


def seen(*rows: SeenServer) -> Seen:
    """Return a cloud of two cells in which all is well: one server, or those given."""
    found = Seen(cells={"c1", "c2"}, claims={})
    for row in rows or (server(),):
        found.servers[row.uuid].append(row)
        found.mappings[row.uuid] = SeenMapping(row.uuid, row.cell, False, row.flavor.vcpus, row.flavor.ram_mib)
        if row.host is not None:
            found.claims = {**(found.claims or {}), row.uuid: SeenClaim(row.uuid, {row.node or "": HELD})}
    found.roots = {"n1": "n1", "n2": "n2", "part": "n1"}
    found.hosts["h1"] = SeenHost("h1", "c1", tuple(guest(uuid) for uuid in found.servers), ())
    found.hosts["h2"] = SeenHost("h2", "c1", (), ())
    found.registered = {"h1": {"c1"}, "h2": {"c1"}}
    found.host_mappings = {"h1": "c1", "h2": "c1"}
    return found


def resized() -> Seen:
    """Return a cloud with a server that waits to be confirmed."""
    found = seen(server(vm_state=VmState.RESIZED))
    found.moves["mv"] = move()
    found.claims = {**(found.claims or {}), "mv": SeenClaim("mv", {"n2": HELD})}
    found.hosts["h2"] = SeenHost("h2", "c1", (), ("vm",))
    return found


def claims_of(found: Seen) -> dict[str, SeenClaim]:
    assert found.claims is not None
    return found.claims


def kinds(found: Seen) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in checks.findings(found)}


def test_every_kind_is_explained_and_repaired_or_has_advice() -> None:
    assert set(RULES) == set(Kind)
    assert set(REPAIRS) == {kind for kind, rule in RULES.items() if rule.repair is not None}
    assert all(rule.what and rule.invariant and rule.advice for rule in RULES.values())


@pytest.mark.parametrize("well", [seen, resized])
def test_nothing_is_told_where_all_is_well(well: Callable[[], Seen]) -> None:
    assert kinds(well()) == set()


def _broken() -> dict[str, tuple[Callable[[Seen], object], set[tuple[str, str]]]]:
    """Return what is done to a cloud in which all is well, and what is told then."""

    def holds(consumer: str, held: dict[str, dict[str, int]]) -> Callable[[Seen], object]:
        return lambda found: claims_of(found).__setitem__(consumer, SeenClaim(consumer, held))

    def maps(cell: str | None, **values: Any) -> Callable[[Seen], object]:
        known = {"is_queued_for_delete": False, "vcpus": 1, "ram_mib": 512, **values}
        return lambda found: found.mappings.__setitem__("vm", SeenMapping("vm", cell, **known))

    def lives(row: SeenServer) -> Callable[[Seen], object]:
        return lambda found: found.servers.__setitem__("vm", [row])

    def has(host: str, *guests: Guest, asides: tuple[str, ...] = ()) -> Callable[[Seen], object]:
        return lambda found: found.hosts.__setitem__(host, SeenHost(host, "c1", guests, asides))

    return {
        "wrong cell": (maps("c2"), {("mapping-wrong-cell", "vm")}),
        "no cell": (maps(None), {("mapping-wrong-cell", "vm")}),
        "unmapped": (lambda found: found.mappings.clear(), {("instance-without-mapping", "vm")}),
        "twice": (
            lambda found: found.servers["vm"].append(server(cell="c2")),
            {("instance-in-two-cells", "vm")},
        ),
        "gone": (
            lambda found: found.mappings.__setitem__("x", SeenMapping("x", "c1", False, 1, 1)),
            {("mapping-without-instance", "x")},
        ),
        "request left": (lambda found: found.build_requests.add("vm"), {("build-request-left", "vm")}),
        "spec left": (lambda found: found.lone_specs.add("x"), {("request-spec-left", "x")}),
        "member left": (
            lambda found: found.members.__setitem__("x", SeenMember("x", "g", None, None, None)),
            {("group-member-left", "x")},
        ),
        "place": (
            lambda found: found.members.__setitem__("vm", SeenMember("vm", "g", "h2", None, None)),
            {("group-place-wrong", "vm")},
        ),
        "way back": (
            lambda found: found.members.__setitem__("vm", SeenMember("vm", "g", "h1", None, "h2")),
            {("group-place-wrong", "vm")},
        ),
        "usage": (maps("c1", vcpus=2), {("usage-wrong", "vm")}),
        "count": (maps("c1", is_queued_for_delete=True), {("count-wrong", "vm")}),
        "task": (lives(server(task_state=TaskState.POWERING_OFF)), {("task-without-work", "vm")}),
        "building": (lives(server(vm_state=VmState.BUILDING)), {("task-without-work", "vm")}),
        "stray move": (lambda found: found.moves.__setitem__("mv", move("migrating")), {("move-without-work", "mv")}),
        "idle": (lambda found: found.works.append(work("x", idle_s=500.0)), {("work-idle", "wf")}),
        "late": (lambda found: found.works.append(work("x", late_s=500.0)), {("work-overdue", "wf")}),
        "no claim": (lambda found: claims_of(found).clear(), {("claim-missing", "vm")}),
        "other host's claim": (holds("vm", {"n2": HELD}), {("claim-wrong", "vm")}),
        "two claims": (holds("vm", {"n1": HELD, "n2": HELD}), {("claim-wrong", "vm")}),
        "too much": (holds("vm", {"n1": HELD_LARGE}), {("claim-wrong", "vm")}),
        "orphan": (holds("x", {"n1": HELD}), {("claim-orphaned", "x")}),
        "guest of nobody": (has("h2", guest("x")), {("guest-without-instance", "x")}),
        "two guests": (has("h2", guest()), {("guest-on-two-hosts", "vm")}),
        "elsewhere": (
            lives(server(host="h2", node="n1")),
            {("guest-elsewhere", "vm"), ("instance-without-guest", "vm")},
        ),
        "stale": (lives(server(epoch=1)), {("guest-stale", "vm")}),
        "no guest": (has("h1"), {("instance-without-guest", "vm")}),
        "aside": (has("h2", asides=("vm",)), {("aside-left", "vm")}),
        "host left": (lambda found: found.registered.pop("h2"), {("host-mapping-left", "h2")}),
        "host elsewhere": (
            lambda found: found.registered.__setitem__("h2", {"c2"}),
            {("host-mapping-wrong", "h2")},
        ),
    }


@pytest.mark.parametrize("name", list(_broken()))
def test_what_is_wrong_is_told_and_nothing_else(name: str) -> None:
    spoil, told = _broken()[name]
    found = seen()
    spoil(found)
    assert kinds(found) == told


@pytest.mark.parametrize("name", [name for name, (_, told) in _broken().items() if ("vm") in {who for _, who in told}])
def test_what_work_is_about_is_not_judged(name: str) -> None:
    found = seen()
    _broken()[name][0](found)
    found.busy.add("vm")
    assert kinds(found) == set()


def test_what_may_be_in_a_silent_cell_is_not_told_to_be_nowhere() -> None:
    for name in ("spec left", "member left", "orphan", "guest of nobody"):
        found = seen()
        _broken()[name][0](found)
        found.cells, found.silent = {"c1"}, {"c2": "It does not answer."}
        assert kinds(found) == set(), name
    gone = seen()
    gone.mappings["x"] = SeenMapping("x", "c1", False, 1, 1)
    gone.silent = {"c2": "It does not answer."}
    (finding,) = checks.findings(gone)
    assert not finding.is_repairable
    theirs = seen(server(cell="c2"))
    theirs.servers.clear()
    theirs.hosts.clear()
    theirs.cells, theirs.silent = {"c1"}, {"c2": "It does not answer."}
    assert kinds(theirs) == set()


def test_a_host_that_says_nothing_has_what_it_should_have() -> None:
    found = seen()
    del found.hosts["h1"]
    found.unknown["h1"] = "Its agent is down."
    assert kinds(found) == set()


def test_claims_that_were_not_looked_at_are_not_judged() -> None:
    found = seen()
    found.claims = None
    assert kinds(found) == set()


def test_what_lies_in_parts_of_the_host_is_there() -> None:
    found = seen()
    split = {"n1": {"DISK_GB": 1}, "part": {"VCPU": 1, "MEMORY_MB": 512}}
    found.claims = {"vm": SeenClaim("vm", split)}
    assert kinds(found) == set()


def test_amounts_of_special_flavors_are_not_judged_unless_somebody_knows_them() -> None:
    special = Flavor("3", "gold", 1, 512, 1, extra_specs={"resources:CUSTOM_GOLD": "1"})
    found = seen(server(flavor=special))
    found.claims = {"vm": SeenClaim("vm", {"n1": {"CUSTOM_GOLD": 1}})}
    assert kinds(found) == set()
    told = list(checks.findings(found, lambda flavor, properties: {"CUSTOM_GOLD": 2}))
    assert [finding.kind for finding in told] == [Kind.CLAIM_WRONG]


def test_a_place_that_may_yet_be_noted_is_left_alone() -> None:
    found = seen()
    found.members["vm"] = SeenMember("vm", "g", "h2", ("h1",), None)
    assert kinds(found) == set()


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_a_move_is_ended_where_the_server_is_known_to_be(host: str) -> None:
    found = seen(server(host=host, node=f"n{host[1]}"))
    found.hosts = {}
    found.moves["mv"] = move()
    (finding,) = [each for each in checks.findings(found) if each.kind is Kind.MOVE_WITHOUT_WORK]
    assert finding.is_repairable


@pytest.mark.parametrize("kind", ["live-migration", "evacuation"])
def test_nobody_ends_from_above_what_moves_a_running_guest(kind: str) -> None:
    found = seen(server(task_state=TaskState.MIGRATING))
    found.moves["mv"] = move("running", kind=kind)
    assert [finding.is_repairable for finding in checks.findings(found)] == [False]
    found = seen()
    found.moves["mv"] = move("running", kind=kind)
    assert [(each.kind, each.is_repairable) for each in checks.findings(found)] == [(Kind.MOVE_WITHOUT_WORK, False)]


def test_an_evacuation_that_its_old_host_has_yet_to_clean_up_behind_is_well() -> None:
    found = seen()
    found.moves["mv"] = move("done", kind="evacuation")
    found.claims = {**claims_of(found), "mv": SeenClaim("mv", {"n2": HELD})}
    found.members["vm"] = SeenMember("vm", "g", "h1", None, None)
    assert kinds(found) == set()


def test_a_moves_own_claim_is_looked_at() -> None:
    found = resized()
    found.claims = {"vm": SeenClaim("vm", {"n1": HELD})}
    assert kinds(found) == {("claim-missing", "mv")}


def test_a_server_that_waits_for_no_move_is_told() -> None:
    found = resized()
    found.moves.clear()
    assert ("resized-without-move", "vm") in kinds(found)


def test_a_server_on_no_host_holds_nothing() -> None:
    found = seen(server(vm_state=VmState.SHELVED_OFFLOADED, host=None, node=None))
    found.hosts = {}
    assert kinds(found) == set()
    found.claims = {"vm": SeenClaim("vm", {"n1": HELD})}
    assert kinds(found) == {("claim-wrong", "vm")}
