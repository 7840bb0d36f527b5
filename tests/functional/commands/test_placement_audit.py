"""``placement audit``, as an operator sees it, on a running cloud."""

import json
import re
import subprocess
import sys
import threading
import time
import uuid as uuids
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from nova_lite.cells import orphans
from nova_lite.clients.placement import Holding, PlacementClient
from nova_lite.db.api_tables import ApiWorkflowRow, CellMappingRow, InstanceMappingRow
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.model.workflow import Status
from nova_lite.placement.tables import ConsumerRow, InventoryRow, ProviderRow
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser
from tests.functional.commands.placement_site import PlacementSite

COLUMNS = ["Finding", "Resource Provider UUID", "Consumer UUID", "Details", "Outcome"]


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[PlacementSite]:
    monkeypatch.setattr(orphans, "SECOND_LOOK_S", 0.05)
    made = PlacementSite(cloud, capsys)
    yield made
    made.close()


def test_an_orphan_is_found_and_deleted_and_servers_keep_what_they_hold(site: PlacementSite) -> None:
    server = site.boot()
    assert site.found("audit", code=0) == []
    before = site.held(server)
    one, other, *_ = site.providers()
    orphan = site.hold(one, {"VCPU": 1, "MEMORY_MB": 64})
    assert site.found("audit", "--resource_provider", other, code=0) == []

    row = {
        "Finding": "orphan",
        "Resource Provider UUID": one,
        "Consumer UUID": orphan,
        "Details": "MEMORY_MB 64, VCPU 1",
        "Outcome": "",
    }
    assert site.found("audit", code=3) == [row]
    assert site.found("audit", "--resource_provider", one, code=3) == [row]
    assert site.held(orphan), "to look is not to touch"

    assert site.found("audit", "--delete", code=4) == [{**row, "Outcome": "deleted"}]
    assert site.held(orphan) == {}
    assert site.held(server) == before
    assert site.found("audit", "--delete", code=0) == []
    site.delete(server)
    assert site.found("audit", code=0) == []


def test_a_server_that_a_lost_delete_left_is_an_orphan(site: PlacementSite) -> None:
    server = site.boot()
    home = site.cloud.settings.cell_names
    for cell in home:
        site.write(cell, sa.update(InstanceRow).where(InstanceRow.uuid == server).values(deleted=True))
    [found] = site.found("audit", code=3)
    assert found["Consumer UUID"] == server
    for cell in home:
        site.write(cell, sa.update(InstanceRow).where(InstanceRow.uuid == server).values(deleted=False))
    assert site.found("audit", code=0) == []
    site.delete(server)


def test_a_server_being_built_is_not_touched(site: PlacementSite) -> None:
    gates = {host: clouds.fake_driver(site.cloud, host).hold("spawn") for host in site.cloud.agents}
    try:
        server = site.user.boot("slow", site.image)
        clouds.eventually(lambda: site.held(server), "a claim for the server")
        assert site.found("audit", "--delete", code=0) == []
        assert site.held(server)
    finally:
        for host, gate in gates.items():
            gate.open()
            clouds.fake_driver(site.cloud, host).faults.clear("spawn")
    site.user.wait(server, "ACTIVE")
    site.delete(server)


def test_a_claim_for_a_server_in_no_cell_yet_is_not_touched(site: PlacementSite) -> None:
    """Between the claim and the mapping there is only the build request: the narrowest place of a boot."""
    server = str(uuids.uuid4())
    values = {"instance_uuid": server, "project_id": "p", "user_id": "u", "vcpus": 1, "ram_mib": 64}
    site.write("api", sa.insert(InstanceMappingRow).values(**values))
    site.hold(site.providers()[0], {"VCPU": 1}, server)
    assert site.found("audit", "--delete", code=0) == []
    site.write("api", sa.delete(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == server))
    [found] = site.found("audit", "--delete", code=4)
    assert found["Consumer UUID"] == server


@pytest.mark.parametrize("where", ["api", "cell"])
def test_what_unfinished_work_is_about_is_not_touched(site: PlacementSite, where: str) -> None:
    """A delete marks the server's row in one database and frees its claim from another."""
    server = site.boot()
    home = next(name for name in site.cloud.settings.cell_names if lives_in(site, server, name))
    table = ApiWorkflowRow if where == "api" else CellWorkflowRow
    database = where if where == "api" else home
    leased = {"lease_owner": "a test", "lease_until": time.time() + 3600, "deadline": time.time() + 3600}
    values = {"uuid": str(uuids.uuid4()), "kind": "delete", "subject": server, "status": Status.PENDING, **leased}
    values |= {"project_id": "p", "user_id": "u", "request_id": "r", "inputs": {}, "facts": {}}
    values |= {"step": 0, "attempt": 0}
    site.write(home, sa.update(InstanceRow).where(InstanceRow.uuid == server).values(deleted=True))
    site.write(database, sa.insert(table).values(**values))
    assert site.found("audit", "--delete", code=0) == []
    site.write(database, sa.delete(table).where(table.uuid == values["uuid"]))
    assert [row["Consumer UUID"] for row in site.found("audit", code=3)] == [server]
    site.write(home, sa.update(InstanceRow).where(InstanceRow.uuid == server).values(deleted=False))
    site.delete(server)


def lives_in(site: PlacementSite, server: str, name: str) -> bool:
    database = clouds.database(site.cloud, name)
    with database.reader() as session:
        found = session.scalar(sa.select(InstanceRow.id).where(InstanceRow.uuid == server))
    database.close()
    return found is not None


def test_a_server_without_a_mapping_is_looked_for_in_every_cell(site: PlacementSite) -> None:
    server = site.boot()
    mapped = sa.update(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == server)
    renamed = str(uuids.uuid4())
    site.write("api", mapped.values(instance_uuid=renamed))
    assert site.found("audit", "--delete", code=0) == []
    back = sa.update(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == renamed)
    site.write("api", back.values(instance_uuid=server))
    site.delete(server)


def test_what_a_silent_cell_may_know_is_not_judged(site: PlacementSite) -> None:
    orphan = site.hold(site.providers()[0], {"VCPU": 1})
    name = site.cloud.settings.cell_names[-1]
    away = sa.update(CellMappingRow).where(CellMappingRow.name == name)
    dead = "mysql+pymysql://nova:hunter2@127.0.0.1:9/nova"
    site.write("api", away.values(database_connection=dead))
    ran = site.run("audit", "--delete", "--verbose", "-f", "json")
    site.write("api", away.values(database_connection=site.cloud.settings.database(name)))
    assert (ran.code, json.loads(ran.out)) == (1, [])
    assert "does not answer" in ran.err
    assert f"Not judged: consumer {orphan}" in ran.err
    assert "hunter2" not in ran.out + ran.err
    assert site.held(orphan)
    [found] = site.found("audit", "--delete", code=4)
    assert found["Consumer UUID"] == orphan


def test_the_consumer_of_another_service_is_left_alone(site: PlacementSite) -> None:
    other = site.hold(site.providers()[0], {"VCPU": 1}, consumer_type="LEASE")
    ran = site.run("audit", "--delete", "--verbose")
    assert ran.code == 0
    assert f"Left alone: consumer {other}" in ran.err
    assert site.held(other)
    site.placement("DELETE", f"/allocations/{other}")


def test_an_orphan_that_changes_before_it_is_deleted_is_left_alone(
    site: PlacementSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = site.providers()[0]
    orphan = site.hold(provider, {"VCPU": 1})
    look = PlacementClient.holding
    looked: list[str] = []

    def look_and_change(client: PlacementClient, consumer: str) -> Holding | None:
        found = look(client, consumer)
        if consumer == orphan and not looked:
            looked.append(consumer)
            site.hold(provider, {"VCPU": 2}, orphan, consumer_generation=1)
        return found

    monkeypatch.setattr(PlacementClient, "holding", look_and_change)
    [found] = site.found("audit", "--delete", code=3)
    assert "changed meanwhile" in found["Outcome"]
    assert site.held(orphan) == {provider: {"VCPU": 2}}
    [found] = site.found("audit", "--delete", code=4)
    assert found["Outcome"] == "deleted"


def test_a_corrupted_counter_is_found_and_repaired(site: PlacementSite) -> None:
    server = site.boot()
    [(provider, amounts)] = site.held(server).items()
    row = sa.select(ProviderRow.id).where(ProviderRow.uuid == provider).scalar_subquery()
    spoil = sa.update(InventoryRow).where(InventoryRow.provider_id == row, InventoryRow.used == amounts["VCPU"])
    site.write("placement", spoil.values(used=InventoryRow.used + 5))

    wrong = site.found("audit", code=5)
    assert {found["Finding"] for found in wrong} == {"used"}
    assert {found["Resource Provider UUID"] for found in wrong} == {provider}
    assert site.found("audit", "--delete", code=5) == wrong, "--delete is about orphans"
    assert {found["Outcome"] for found in site.found("audit", "--repair", code=4)} == {"repaired"}
    assert site.found("audit", "--repair", code=0) == []
    usages = site.placement("GET", f"/resource_providers/{provider}/usages").json["usages"]
    assert {name: usages[name] for name in amounts} == amounts, "workers have seen the repair"
    site.delete(server)


def test_books_and_orphans_are_told_together(site: PlacementSite) -> None:
    provider = site.providers()[0]
    orphan = site.hold(provider, {"VCPU": 1})
    empty = str(uuids.uuid4())
    values = {"uuid": empty, "generation": 1, "project_id": "p", "user_id": "u", "updated_at": 0.0}
    site.write("placement", sa.insert(ConsumerRow).values(**values))
    found = site.found("audit", code=5)
    assert [(row["Finding"], row["Consumer UUID"]) for row in found] == [("consumer", empty), ("orphan", orphan)]
    assert [row["Finding"] for row in site.found("audit", "--repair", code=3)] == ["consumer", "orphan"]
    assert [row["Finding"] for row in site.found("audit", "--repair", "--delete", code=4)] == ["orphan"]


def test_shrunk_inventory_is_told_and_no_error(site: PlacementSite) -> None:
    provider = site.provider("shrinking", VCPU=10)
    lease = site.hold(provider, {"VCPU": 10}, consumer_type="LEASE")
    site.set_inventory(provider, VCPU=5)
    [found] = site.found("audit", code=0)
    assert (found["Finding"], found["Details"]) == ("over", "VCPU: 10 in use of 5")
    assert "1 inventories are smaller than what is in use of them." in site.run("audit").out
    site.placement("DELETE", f"/allocations/{lease}")
    site.placement("DELETE", f"/resource_providers/{provider}")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--resource_provider", "not-a-uuid"], id="no UUID"),
        pytest.param(["--resource_provider", str(uuids.uuid4())], id="no such provider"),
        pytest.param(["--resource_provider"], id="no value"),
        pytest.param(["--everything"], id="no such option"),
        pytest.param(["surplus"], id="a surplus word"),
        pytest.param(["-f", "yaml"], id="no such format"),
    ],
)
def test_a_wrong_command_line_is_127(site: PlacementSite, words: list[str]) -> None:
    ran = site.run("audit", *words)
    assert ran.code == 127
    assert ran.err


def test_the_result_comes_as_table_json_and_csv(site: PlacementSite) -> None:
    assert site.run("audit").out == "Nothing is wrong.\n"
    assert site.run("audit", "-f", "csv").out == ",".join(COLUMNS) + "\n"
    orphan = site.hold(site.providers()[0], {"VCPU": 1})
    table = site.run("audit")
    assert table.code == 3
    assert [word.strip() for word in table.out.splitlines()[1].strip("|").split("|")] == COLUMNS
    assert table.out.endswith("1 consumers hold orphaned allocations.\n")
    assert orphan in site.run("audit", "-f", "csv").out
    site.found("audit", "--delete", code=4)


def _without(group: str, text: str) -> str:
    return re.sub(rf"(?s)\[{group}\].*?(?=\n\[|\Z)", "", text)


def test_what_is_not_configured_is_left_out_and_said(site: PlacementSite) -> None:
    orphan = site.hold(site.providers()[0], {"VCPU": 1})
    books = site.configured("books", lambda text: _without("api_database", text))
    ran = site.run("audit", config=books)
    assert (ran.code, ran.out) == (0, "Nothing is wrong.\n")
    assert "Orphaned allocations were not looked for: connection in [api_database] is not set here." in ran.err
    others = site.configured("others", lambda text: _without("placement_database", text))
    ran = site.run("audit", "--delete", config=others)
    assert ran.code == 4
    assert "Placement's books were not checked" in ran.err
    assert site.held(orphan) == {}
    neither = site.configured("neither", lambda text: _without("api_database", _without("placement_database", text)))
    assert site.run("audit", config=neither).code == 1


def test_without_placement_it_fails_and_says_so(site: PlacementSite) -> None:
    config = site.configured("alone", lambda text: text.replace(site.cloud.placement_url, "http://127.0.0.1:9"))
    ran = site.run("audit", config=config)
    assert ran.code == 1
    assert "Placement does not answer" in ran.err


def test_there_is_no_false_alarm_while_servers_come_and_go(site: PlacementSite) -> None:
    over = threading.Event()
    lived: list[str] = []
    raised: list[BaseException] = []

    def come_and_go(number: int) -> None:
        user = ComputeUser(site.cloud.compute_url)
        try:
            while not over.is_set():
                uuid = user.boot(f"mayfly{number}", site.image)
                if number % 2:
                    user.wait(uuid, "ACTIVE")
                assert user.ask("DELETE", f"/servers/{uuid}").status == 204
                user.wait_gone(uuid)
                lived.append(uuid)
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the test's own thread
            raised.append(exc)
        finally:
            user.close()

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        clouds.eventually(lambda: lived, "servers that come and go")
        for _ in range(20):
            assert site.found("audit", "--delete", "--repair", code=0) == []
    finally:
        over.set()
        for thread in threads:
            thread.join(480)
    if raised:
        raise raised[0]
    assert len(lived) >= 3
    assert site.found("audit", code=0) == []


def test_two_that_delete_at_once_both_end_well(site: PlacementSite) -> None:
    provider = site.providers()[0]
    consumers = [site.hold(provider, {"VCPU": 1}) for _ in range(4)]
    config = str(site.cloud.settings.config_file("nova-lite"))
    command = [sys.executable, "-W", "ignore", "-m", "nova_lite.cmd.manage", "--config-file", config]
    command += ["placement", "audit", "--delete", "-f", "json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=480) for process in both]
    assert {process.returncode for process in both} <= {0, 4}, said
    rows = [row for out, _ in said for row in json.loads(out)]
    assert {row["Consumer UUID"] for row in rows} == set(consumers)
    assert {row["Outcome"] for row in rows} == {"deleted"}
    assert [site.held(consumer) for consumer in consumers] == [{}] * 4
