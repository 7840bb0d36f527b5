"""``audit``, as an operator sees it: one row after the other is corrupted, found, explained, repaired or told."""

import json
import uuid as uuids
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.api_tables import (
    ApiWorkflowRow,
    BuildRequestRow,
    CellMappingRow,
    HostMappingRow,
    InstanceMappingRow,
    RequestSpecRow,
    ServerGroupMemberRow,
)
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow, MigrationRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
from tests.functional.commands.audit_site import COLUMNS, DONE, TOLD, WOULD, AuditSite


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Iterator[AuditSite]:
    made = AuditSite(cloud, capsys)
    yield made
    for database in made.opened:
        database.close()
    made.close()


@pytest.fixture
def server(site: AuditSite) -> Iterator[str]:
    uuid = site.boot()
    yield uuid
    site.delete(uuid)
    site.is_clean()


# -- mappings and instances


def test_nothing_is_wrong_with_a_cloud_that_works(site: AuditSite, server: str) -> None:
    site.is_clean()
    ran = site.audit()
    assert (ran.code, ran.out) == (0, "1 servers looked at. Nothing is wrong.\n")


def test_a_mapping_to_a_wrong_cell_is_pointed_at_the_right_one(site: AuditSite, server: str) -> None:
    home, elsewhere = site.cell_of(server), site.other_cell(server)
    site.map(server, cell_uuid=elsewhere[1])
    (row,) = site.findings(code=3)
    assert row["Details"] == f"it lives in cell {home[1]}, its mapping says {elsewhere[1]}"
    site.mends(("mapping-wrong-cell", server))
    assert site.cell_of(server) == home


def test_a_mapping_to_no_cell_is_pointed_at_the_one_that_has_the_server(site: AuditSite, server: str) -> None:
    home = site.cell_of(server)
    site.map(server, cell_uuid=None)
    site.mends(("mapping-wrong-cell", server))
    assert site.cell_of(server) == home


def test_a_server_that_is_mapped_nowhere_is_mapped(site: AuditSite, server: str) -> None:
    home = site.cell_of(server)
    site.write("api", sa.delete(InstanceMappingRow).filter_by(instance_uuid=server))
    assert site.user.ask("GET", f"/servers/{server}").status == 404
    site.mends(("instance-without-mapping", server))
    assert site.cell_of(server) == home
    assert site.user.server(server)["status"] == "ACTIVE"


def test_a_mapping_that_no_cell_fits_is_removed(site: AuditSite, server: str) -> None:
    ghost = str(uuids.uuid4())
    site.copy(InstanceMappingRow, "api", InstanceMappingRow.instance_uuid == server, "api", instance_uuid=ghost)
    site.copy(RequestSpecRow, "api", RequestSpecRow.instance_uuid == server, "api", instance_uuid=ghost)
    site.mends(("mapping-without-instance", ghost))


def test_a_deleted_server_that_counts_is_counted_no_more(site: AuditSite) -> None:
    gone = site.boot()
    site.delete(gone)
    site.map(gone, queued_for_delete=False)
    site.mends(("mapping-of-deleted", gone))


def test_a_row_that_scheduling_left_in_another_cell_is_removed(site: AuditSite, server: str) -> None:
    home, other = site.cell_of(server)[0], site.other_cell(server)[0]
    unborn = {"task_state": "scheduling", "vm_state": "building", "launched_at": None}
    site.copy(InstanceRow, home, InstanceRow.uuid == server, other, **unborn)
    site.mends(("instance-in-two-cells", server))


def test_a_server_that_lives_in_two_cells_is_only_told(site: AuditSite, server: str) -> None:
    home, other = site.cell_of(server)[0], site.other_cell(server)[0]
    site.copy(InstanceRow, home, InstanceRow.uuid == server, other)
    assert "mark the row deleted by hand" in site.tells("instance-in-two-cells", server)
    site.write(other, sa.delete(InstanceRow).where(InstanceRow.uuid == server))


# -- what was asked for, groups, counts


def test_what_is_left_of_the_gone_is_removed(site: AuditSite, server: str) -> None:
    gone = str(uuids.uuid4())
    site.copy(RequestSpecRow, "api", RequestSpecRow.instance_uuid == server, "api", instance_uuid=gone)
    request = {"instance_uuid": gone, "project_id": "p", "instance": {}}
    site.write("api", sa.insert(BuildRequestRow).values(**request))
    site.mends(("build-request-left", gone))


def test_a_build_request_of_a_server_in_its_cell_is_dropped(site: AuditSite, server: str) -> None:
    site.write("api", sa.insert(BuildRequestRow).values(instance_uuid=server, project_id="p", instance={}))
    site.mends(("build-request-left", server))


def test_a_server_that_nobody_schedules_is_scheduled_again(site: AuditSite) -> None:
    server = site.user.boot("lost", site.image)
    site.user.wait(server, "ACTIVE")
    site.rest()
    # As it was accepted: in no cell, with its build request, but without the workflow that goes with that.
    with site.reading("api") as session:
        done = session.scalars(sa.select(ApiWorkflowRow).filter_by(subject=server)).one()
    assert done.kind == "schedule"
    shown = site.cell_of(server)[0]
    instance = accepted(site, shown, server)
    site.delete(server)
    site.write(shown, sa.delete(CellWorkflowRow).where(CellWorkflowRow.subject == server))
    site.write(shown, sa.delete(InstanceRow).where(InstanceRow.uuid == server))
    site.map(server, cell_uuid=None, queued_for_delete=False)
    site.write(
        "api",
        sa.insert(BuildRequestRow).values(instance_uuid=server, project_id=instance["project_id"], instance=instance),
    )
    assert site.kinds("--repair", code=4) == {("build-without-work", server): DONE}
    site.user.wait(server, "ACTIVE")
    site.rest()
    site.is_clean()
    site.delete(server)


def test_a_failed_build_that_no_cell_takes_is_told(site: AuditSite) -> None:
    flavor = {"id": "no room", "name": "no room", "ram": 64, "vcpus": 1, "disk": 1 << 20}
    assert site.user.ask("POST", "/flavors", {"flavor": flavor}).status == 200
    server = site.user.boot("refused", site.image, flavor="no room")
    site.user.wait(server, "ERROR")
    site.rest()
    instance = accepted(site, "cell0", server) | {"vm_state": "error", "task_state": None}
    site.write("cell0", sa.delete(InstanceRow).where(InstanceRow.uuid == server))
    site.map(server, cell_uuid=None)
    request = {"instance_uuid": server, "project_id": instance["project_id"], "instance": instance}
    site.write("api", sa.insert(BuildRequestRow).values(**request))
    assert "Delete the server" in site.tells("build-not-kept", server)
    site.delete(server)
    site.is_clean()


def accepted(site: AuditSite, cell: str, server: str) -> dict[str, Any]:
    """Return what the build request of a server was."""
    import msgspec  # noqa: PLC0415

    from nova_lite.db.repositories import instances  # noqa: PLC0415

    with site.reading(cell) as session:
        plain: dict[str, Any] = msgspec.to_builtins(instances.get(session, server))
    unborn = {"vm_state": "building", "task_state": "scheduling", "host": None, "node": None, "node_name": None}
    return {**plain, **unborn, "launched_at": None, "power_state": 0}


def test_a_place_in_a_group_is_put_right(site: AuditSite) -> None:
    answer = site.user.ask("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "anti-affinity"}})
    group = answer.json["server_group"]["id"]
    asked = {"server": {"name": "m", "flavorRef": "1", "imageRef": site.image, "networks": "none"}}
    made = site.user.ask("POST", "/servers", {**asked, "os:scheduler_hints": {"group": group}})
    server = made.json["server"]["id"]
    host = site.user.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    site.rest()
    site.is_clean()
    member = sa.update(ServerGroupMemberRow).filter_by(instance_uuid=server)
    site.write("api", member.values(host="elsewhere", spares=None))
    site.mends(("group-place-wrong", server))
    with site.reading("api") as session:
        assert session.scalar(sa.select(ServerGroupMemberRow.host).filter_by(instance_uuid=server)) == host
    ghost = str(uuids.uuid4())
    site.copy(ServerGroupMemberRow, "api", ServerGroupMemberRow.instance_uuid == server, "api", instance_uuid=ghost)
    site.mends(("group-member-left", ghost))
    site.delete(server)
    assert site.user.ask("DELETE", f"/os-server-groups/{group}").status == 204


def test_a_server_counts_for_what_it_is(site: AuditSite, server: str) -> None:
    site.map(server, vcpus=7)
    site.mends(("usage-wrong", server))
    site.map(server, queued_for_delete=True)
    site.mends(("count-wrong", server))


# -- work


def test_a_task_that_nobody_works_on_is_ended(site: AuditSite, server: str) -> None:
    site.change(server, task_state="powering-off")
    (row,) = site.findings(code=3)
    assert row["Details"] == "it is active, busy with powering-off, and no workflow is about it"
    site.mends(("task-without-work", server))
    site.user.wait(server, "ACTIVE")
    site.change(server, task_state="rebuilding")
    site.mends(("task-without-work", server))
    assert "was lost" in site.user.wait(server, "ERROR")["fault"]["message"]


def test_a_delete_that_was_lost_is_begun_again(site: AuditSite) -> None:
    server = site.boot()
    site.change(server, task_state="deleting")
    assert site.kinds("--repair", code=4) == {("task-without-work", server): DONE}
    site.user.wait_gone(server)
    clouds.eventually(lambda: site.audit("--repair").code in (0, 4), "an end")
    site.is_clean()


def test_a_workflow_that_nobody_runs_is_told(site: AuditSite, server: str) -> None:
    cell = site.cell_of(server)[0]
    workflow = str(uuids.uuid4())
    held = {"status": "running", "lease_owner": "somebody", "deadline": 1.0}
    site.copy(
        CellWorkflowRow,
        cell,
        CellWorkflowRow.subject == server,
        cell,
        uuid=workflow,
        kind="start",
        **held,
        lease_until=4e9,
    )
    assert "conductor" in site.tells("work-overdue", workflow)
    site.write(cell, sa.delete(CellWorkflowRow).where(CellWorkflowRow.uuid == workflow))


# -- moves


def test_a_move_that_waits_is_as_it_should_be(site: AuditSite) -> None:
    server, _ = site.resized()
    site.is_clean()
    site.delete(server)
    site.is_clean()


def test_a_move_of_a_server_that_is_gone_is_ended(site: AuditSite, server: str) -> None:
    moved, move = site.resized()
    cell = site.cell_of(moved)[0]
    site.delete(moved)
    site.write(cell, sa.update(MigrationRow).where(MigrationRow.uuid == move).values(status="migrating"))
    site.mends(("move-without-work", move))


def test_a_move_of_a_server_that_knows_nothing_of_it_is_ended_and_its_claim_freed(site: AuditSite) -> None:
    server, move = site.resized()
    held = site.held(server)
    site.change(server, vm_state="active")
    assert site.kinds("--repair", code=4) == {("move-without-work", move): DONE}
    assert (site.held(server), site.held(move)) == (held, {})
    site.compare_guests()
    site.is_clean()
    site.delete(server)


def test_a_server_that_waits_for_a_move_that_is_over_is_told(site: AuditSite) -> None:
    server, move = site.resized()
    cell = site.cell_of(server)[0]
    site.write(cell, sa.update(MigrationRow).where(MigrationRow.uuid == move).values(status="confirmed"))
    rows = {row["Finding"]: row for row in site.findings("--no-hosts", code=3)}
    assert rows.keys() == {"resized-without-move", "claim-orphaned", "usage-wrong"} - {"usage-wrong"} | (
        rows.keys() & {"usage-wrong", "group-place-wrong"}
    )
    assert "--state active" in rows["resized-without-move"]["Advice"]
    site.write(cell, sa.update(MigrationRow).where(MigrationRow.uuid == move).values(status="finished"))
    site.delete(server)
    site.is_clean()


# -- claims


def test_a_lost_claim_is_made_again(site: AuditSite, server: str) -> None:
    held = site.held(server)
    assert site.placement("DELETE", f"/allocations/{server}").status == 204
    site.mends(("claim-missing", server))
    assert site.held(server) == held


def test_a_doubled_claim_is_halved(site: AuditSite, server: str) -> None:
    held = site.held(server)
    shown = site.placement("GET", f"/allocations/{server}").json
    other = next(uuid for uuid in site.providers() if uuid not in held)
    both = {**{node: {"resources": amounts} for node, amounts in held.items()}, other: {"resources": {"VCPU": 1}}}
    body = {
        "allocations": both,
        "project_id": shown["project_id"],
        "user_id": shown["user_id"],
        "consumer_generation": shown["consumer_generation"],
        "consumer_type": "INSTANCE",
    }
    assert site.placement("PUT", f"/allocations/{server}", body).status == 204
    site.mends(("claim-wrong", server))
    assert site.held(server) == held


def test_a_claim_on_a_wrong_host_or_of_wrong_amounts_is_moved(site: AuditSite, server: str) -> None:
    held = site.held(server)
    (node,) = held
    other = next(uuid for uuid in site.providers() if uuid != node)
    for wrong in ({other: held[node]}, {node: {"VCPU": 3}}):
        assert site.placement("DELETE", f"/allocations/{server}").status == 204
        ((provider, amounts),) = wrong.items()
        site.hold(provider, amounts, server)
        site.mends(("claim-wrong", server))
        assert site.held(server) == held


def test_claims_of_nobody_are_freed_and_those_of_other_services_are_not(site: AuditSite, server: str) -> None:
    node = site.providers()[0]
    orphan = site.hold(node, {"VCPU": 1})
    site.mends(("claim-orphaned", orphan))
    assert site.held(orphan) == {}


def test_a_moves_claim_that_was_lost_is_made_again(site: AuditSite) -> None:
    server, move = site.resized()
    held = site.held(move)
    assert site.placement("DELETE", f"/allocations/{move}").status == 204
    site.mends(("claim-missing", move))
    assert site.held(move) == held
    site.delete(server)
    site.is_clean()


# -- hosts


def test_a_guest_that_is_gone_is_told_and_nothing_is_done(site: AuditSite, server: str) -> None:
    host = site.user.server(server)["OS-EXT-SRV-ATTR:host"]
    clouds.fake_driver(site.cloud, host).destroy(server)
    assert "rebuild the server, or delete it" in site.tells("instance-without-guest", server)


def test_a_guest_of_nobody_and_one_on_two_hosts_live_on(site: AuditSite) -> None:
    server = site.boot()
    host = site.user.server(server)["OS-EXT-SRV-ATTR:host"]
    cell = site.cell_of(server)[0]
    site.change(server, host=next(other for other in site.cloud.settings.host_names(cell) if other != host))
    kinds = site.kinds("--repair", code=3)
    assert kinds[("guest-elsewhere", server)] == TOLD
    assert clouds.fake_driver(site.cloud, host).guest(server) is not None
    site.change(server, host=host)
    site.delete(server)
    site.is_clean()


def test_a_host_that_its_cell_does_not_know_is_unmapped(site: AuditSite, server: str) -> None:
    cell = site.cell_of(server)[1]
    site.write("api", sa.insert(HostMappingRow).values(host="ghost", cell_uuid=cell, created_at=sa.func.now()))
    site.mends(("host-mapping-left", "ghost"))


def test_a_host_whose_service_was_deleted_under_it_introduces_itself_again(site: AuditSite) -> None:
    host = next(iter(site.cloud.agents))
    listed = site.user.ask("GET", f"/os-services?host={host}&binary=nova-compute").json["services"]
    (node,) = [found for found in site.providers() if site.provider_name(found) == host]
    assert site.user.ask("DELETE", f"/os-services/{listed[0]['id']}").status == 204
    clouds.eventually(lambda: node not in site.providers(), "its provider gone")
    site.rest()

    site.compare_guests()

    assert node in site.providers()
    assert site.run_any("cell_v2", "discover_hosts").code == 0
    site.is_clean()
    nodes = site.user.ask("GET", f"/os-hypervisors?hypervisor_hostname_pattern={host}").json["hypervisors"]
    assert [found["id"] for found in nodes] == [node]


# -- the command


def test_what_is_in_a_silent_cell_is_not_judged(site: AuditSite, server: str) -> None:
    ghost, dead = str(uuids.uuid4()), str(uuids.uuid4())
    url = "mysql+pymysql://nova:hunter2@127.0.0.1:9/nova"
    mapping = {"uuid": dead, "name": "dead", "transport_url": "none:///", "database_connection": url, "disabled": True}
    site.write("api", sa.insert(CellMappingRow).values(created_at=sa.func.now(), **mapping))
    site.copy(InstanceMappingRow, "api", InstanceMappingRow.instance_uuid == server, "api", instance_uuid=ghost,
              cell_uuid=dead)  # fmt: skip
    orphan = site.hold(site.providers()[0], {"VCPU": 1})
    try:
        ran = site.audit("--repair", "--verbose", "-f", "json")
        assert (ran.code, json.loads(ran.out)) == (1, [])
        assert f"Cell {dead} was not judged" in ran.err
        assert "hunter2" not in ran.err
    finally:
        site.write("api", sa.delete(InstanceMappingRow).filter_by(instance_uuid=ghost))
        site.write("api", sa.delete(CellMappingRow).where(CellMappingRow.uuid == dead))
        assert site.placement("DELETE", f"/allocations/{orphan}").status == 204


def test_one_cell_alone_is_looked_into(site: AuditSite, server: str) -> None:
    home, other = site.cell_of(server)[1], site.other_cell(server)[1]
    site.map(server, vcpus=7)
    assert site.audit("--cell", other).code == 1
    ran = site.audit("--cell", home, "-f", "json")
    assert ran.code == 3
    assert [row["Finding"] for row in json.loads(ran.out)] == ["usage-wrong"]
    site.mends(("usage-wrong", server))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["--cell", "cell1"], 127, id="no UUID"),
        pytest.param(["--cell", str(uuids.uuid4())], 1, id="no such cell"),
        pytest.param(["--grace", "soon"], 127, id="no number"),
        pytest.param(["--grace", "-1"], 127, id="the past"),
        pytest.param(["--grace", "nan"], 127, id="no time"),
        pytest.param(["--grace", "inf"], 127, id="for ever"),
        pytest.param(["-f", "xml"], 127, id="no such format"),
        pytest.param(["--cell"], 127, id="a cell, but which"),
        pytest.param(["everything"], 127, id="a word too many"),
        pytest.param(["--no-such-option"], 127, id="no such option"),
    ],
)
def test_a_wrong_command_line_is_told(site: AuditSite, words: list[str], code: int) -> None:
    ran = site.run_any("audit", *words)
    assert ran.code == code
    assert ran.err


def test_a_dry_run_repairs_nothing(site: AuditSite, server: str) -> None:
    site.map(server, vcpus=7)
    for words in ([], ["--dry-run"], ["--repair", "--dry-run"]):
        assert site.kinds(*words, code=3) == {("usage-wrong", server): WOULD}
    site.mends(("usage-wrong", server))


def test_the_result_comes_as_table_and_csv(site: AuditSite, server: str) -> None:
    site.map(server, vcpus=7)
    assert site.audit("-f", "csv").out.splitlines()[0] == ",".join(COLUMNS)
    table = site.audit()
    assert [word.strip() for word in table.out.splitlines()[1].strip("|").split("|")] == COLUMNS
    assert table.out.endswith("1 servers looked at. 1 findings: would be repaired.\n")
    site.mends(("usage-wrong", server))
