"""``placement heal_allocations``, as an operator sees it, on a running cloud."""

import json
import subprocess
import sys
import uuid as uuids
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.clients.placement import PlacementClient
from nova_lite.db.api_tables import CellMappingRow, InstanceMappingRow
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.model.host import CELL0_UUID
from nova_lite.testing import cloud as clouds
from tests.functional.commands.placement_site import PlacementSite

COLUMNS = ["Server UUID", "Resource Provider UUID", "Details", "Outcome"]
HEAL = "heal_allocations"


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Iterator[PlacementSite]:
    made = PlacementSite(cloud, capsys)
    yield made
    made.close()


@pytest.fixture
def server(site: PlacementSite) -> Iterator[str]:
    uuid = site.boot()
    yield uuid
    site.delete(uuid)


def lose(site: PlacementSite, server: str) -> None:
    """Take from a server what it holds, as a careless operator would."""
    assert site.placement("DELETE", f"/allocations/{server}").status == 204


def outcomes(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["Server UUID"]: row["Outcome"] for row in rows}


def set_instance(site: PlacementSite, server: str, **values: object) -> None:
    for cell in site.cloud.settings.cell_names:
        site.write(cell, sa.update(InstanceRow).where(InstanceRow.uuid == server).values(**values))


def test_a_lost_allocation_is_made_again(site: PlacementSite, server: str) -> None:
    before = site.held(server)
    assert site.found(HEAL, code=4) == []
    lose(site, server)
    [node] = before

    dry = site.found(HEAL, "--dry-run", code=4)
    assert dry == [
        {
            "Server UUID": server,
            "Resource Provider UUID": node,
            "Details": "DISK_GB 1, MEMORY_MB 96, VCPU 1 (not written)",
            "Outcome": "created",
        }
    ]
    assert site.held(server) == {}
    assert outcomes(site.found(HEAL, code=0)) == {server: "created"}
    assert site.held(server) == before
    shown = site.placement("GET", f"/allocations/{server}").json
    assert (shown["project_id"], shown["user_id"]) == tuple(
        site.user.server(server)[key] for key in ("tenant_id", "user_id")
    )
    assert site.found(HEAL, code=4) == []
    assert outcomes(site.found(HEAL, "--verbose", code=4)) == {server: "nothing to do"}


def test_allocations_in_a_wrong_name_are_put_into_the_servers(site: PlacementSite, server: str) -> None:
    before = site.placement("GET", f"/allocations/{server}").json
    [provider] = before["allocations"]
    lose(site, server)
    nobody = "00000000-0000-0000-0000-000000000000"
    amounts = before["allocations"][provider]["resources"]
    site.hold(provider, amounts, server, project_id=nobody, user_id=nobody)
    assert outcomes(site.found(HEAL, code=0)) == {server: "corrected"}
    after = site.placement("GET", f"/allocations/{server}").json
    assert (after["project_id"], after["user_id"]) == (before["project_id"], before["user_id"])
    assert site.held(server) == {provider: amounts}
    assert site.found(HEAL, code=4) == []


def test_wrong_amounts_are_corrected_only_by_force(site: PlacementSite, server: str) -> None:
    before = site.held(server)
    [provider] = before
    owner = {key: site.placement("GET", f"/allocations/{server}").json[key] for key in ("project_id", "user_id")}
    lose(site, server)
    site.hold(provider, {"VCPU": 2}, server, **owner)
    assert site.found(HEAL, "--instance", server, code=4) == []
    assert site.held(server) == {provider: {"VCPU": 2}}
    assert outcomes(site.found(HEAL, "--instance", server, "--force", code=0)) == {server: "corrected"}
    assert site.held(server) == before
    assert site.found(HEAL, "--instance", server, "--force", code=4) == []


def test_as_many_as_asked_for_are_healed_and_the_next_run_goes_on(site: PlacementSite) -> None:
    servers = [site.boot(f"vm{number}") for number in range(3)]
    before = {server: site.held(server) for server in servers}
    for server in servers:
        lose(site, server)
    first = site.found(HEAL, "--max-count", "2", code=1)
    second = site.found(HEAL, "--max-count", "2", code=0)
    assert {row["Server UUID"] for row in first + second} == set(servers)
    assert (len(first), len(second)) == (2, 1)
    assert {server: site.held(server) for server in servers} == before
    assert site.found(HEAL, "--max-count", "2", code=4) == []
    for server in servers:
        site.delete(server)


def test_a_server_being_built_is_skipped(site: PlacementSite) -> None:
    gates = {host: clouds.fake_driver(site.cloud, host).hold("spawn") for host in site.cloud.agents}
    server = site.user.boot("slow", site.image)
    try:
        clouds.eventually(lambda: site.user.server(server)["OS-EXT-STS:task_state"] == "spawning", "a build")
        lose(site, server)
        [row] = site.found(HEAL, code=4)
        assert (row["Outcome"], row["Details"]) == ("skipped", "it is being worked on: spawning")
        assert site.held(server) == {}
    finally:
        for host, gate in gates.items():
            gate.open()
            clouds.fake_driver(site.cloud, host).faults.clear("spawn")
    site.user.wait(server, "ACTIVE")
    assert outcomes(site.found(HEAL, code=0)) == {server: "created"}
    site.delete(server)


def test_a_server_whose_compute_node_is_unknown_does_not_keep_others_from_being_healed(
    site: PlacementSite, server: str
) -> None:
    other = site.boot("other")
    [node] = site.held(server)
    lose(site, server)
    lose(site, other)
    set_instance(site, server, node=str(uuids.uuid4()))
    assert outcomes(site.found(HEAL, code=2)) == {server: "no compute node", other: "created"}
    set_instance(site, server, node=node)
    assert outcomes(site.found(HEAL, code=0)) == {server: "created"}
    site.delete(other)


def test_without_room_placements_reason_is_told(site: PlacementSite, server: str) -> None:
    [node] = site.held(server)
    lose(site, server)
    inventory = site.placement("GET", f"/resource_providers/{node}/inventories").json["inventories"]["VCPU"]
    used = site.placement("GET", f"/resource_providers/{node}/usages").json["usages"]["VCPU"]
    free = int((inventory["total"] - inventory["reserved"]) * inventory["allocation_ratio"]) - used
    greedy = [site.hold(node, {"VCPU": min(free - taken, inventory["max_unit"])})
              for taken in range(0, free, inventory["max_unit"])]  # fmt: skip
    [row] = site.found(HEAL, code=3)
    assert row["Outcome"] == "failed"
    assert "VCPU" in row["Details"]
    for consumer in greedy:
        lose(site, consumer)
    assert outcomes(site.found(HEAL, code=0)) == {server: "created"}


def test_a_server_deleted_while_it_is_healed_leaves_nothing_behind(
    site: PlacementSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = site.boot()
    lose(site, server)
    write = PlacementClient.hold

    def delete_then_write(client: PlacementClient, consumer: str, *args: Any, **owner: Any) -> None:
        if consumer == server:
            monkeypatch.setattr(PlacementClient, "hold", write)
            site.delete(server)
        write(client, consumer, *args, **owner)

    monkeypatch.setattr(PlacementClient, "hold", delete_then_write)
    assert outcomes(site.found(HEAL, code=4)) == {server: "deleted meanwhile"}
    assert site.held(server) == {}


def test_two_that_heal_at_once_both_end_well(site: PlacementSite) -> None:
    servers = [site.boot(f"vm{number}") for number in range(3)]
    before = {server: site.held(server) for server in servers}
    for server in servers:
        lose(site, server)
    config = str(site.cloud.settings.config_file("nova-lite"))
    command = [sys.executable, "-W", "ignore", "-m", "nova_lite.cmd.manage", "--config-file", config]
    command += ["placement", HEAL, "-f", "json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=480) for process in both]
    assert {process.returncode for process in both} <= {0, 4}, said
    created = [row["Server UUID"] for out, _ in said for row in json.loads(out)]
    assert sorted(created) == sorted(servers), "each was healed by one of them"
    assert {server: site.held(server) for server in servers} == before
    for server in servers:
        site.delete(server)


def test_one_cell_alone_is_healed(site: PlacementSite, server: str) -> None:
    database = clouds.database(site.cloud, "api")
    with database.reader() as session:
        home = session.scalar(sa.select(InstanceMappingRow.cell_uuid).where(InstanceMappingRow.instance_uuid == server))
        others = session.scalars(
            sa.select(CellMappingRow.uuid).where(CellMappingRow.uuid.not_in([home, CELL0_UUID]))
        ).all()
    database.close()
    lose(site, server)
    for other in others:
        assert site.found(HEAL, "--cell", other, code=4) == []
    assert outcomes(site.found(HEAL, "--cell", str(home), code=0)) == {server: "created"}


def test_a_silent_cell_is_told_and_the_others_are_healed(site: PlacementSite, server: str) -> None:
    lose(site, server)
    url = "mysql+pymysql://nova:hunter2@127.0.0.1:9/nova"
    dead = CellMappingRow(uuid=str(uuids.uuid4()), name="dead", transport_url="none:///", database_connection=url)
    values = {column.name: getattr(dead, column.name) for column in CellMappingRow.__table__.columns}
    site.write("api", sa.insert(CellMappingRow).values({**values, "disabled": True, "created_at": sa.func.now()}))
    ran = site.run(HEAL, "-f", "json")
    site.write("api", sa.delete(CellMappingRow).where(CellMappingRow.uuid == dead.uuid))
    assert ran.code == 255
    assert outcomes(json.loads(ran.out)) == {server: "created"}
    assert f"Cell {dead.uuid} does not answer" in ran.err
    assert "hunter2" not in ran.err


def test_without_placement_it_fails_and_says_so(site: PlacementSite, server: str) -> None:
    config = site.configured("alone", lambda text: text.replace(site.cloud.placement_url, "http://127.0.0.1:9"))
    ran = site.run(HEAL, config=config)
    assert ran.code == 255
    assert "Placement does not answer" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--max-count", "0"], id="a count of none"),
        pytest.param(["--max-count", "-1"], id="a negative count"),
        pytest.param(["--max-count", "many"], id="no number"),
        pytest.param(["--instance", "vm1"], id="no UUID"),
        pytest.param(["--instance", str(uuids.uuid4())], id="no such server"),
        pytest.param(["--cell", str(uuids.uuid4())], id="no such cell"),
        pytest.param(["--cell", CELL0_UUID], id="cell0 has no hosts"),
        pytest.param(["--instance", str(uuids.uuid4()), "--cell", str(uuids.uuid4())], id="a server and a cell"),
        pytest.param(["--force"], id="force without a server"),
        pytest.param(["--no-such-option"], id="no such option"),
    ],
)
def test_a_wrong_command_line_is_127(site: PlacementSite, words: list[str]) -> None:
    ran = site.run(HEAL, *words)
    assert ran.code == 127
    assert ran.err


def test_the_result_comes_as_table_json_and_csv(site: PlacementSite, server: str) -> None:
    assert site.run(HEAL, "--skip-port-allocations").out == "0 servers healed.\n"
    lose(site, server)
    assert site.run(HEAL, "--dry-run", "-f", "csv").out.splitlines()[0] == ",".join(COLUMNS)
    table = site.run(HEAL)
    assert [word.strip() for word in table.out.splitlines()[1].strip("|").split("|")] == COLUMNS
    assert table.out.endswith("1 servers healed.\n")
