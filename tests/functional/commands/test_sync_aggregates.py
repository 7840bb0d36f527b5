"""``placement sync_aggregates``, as an operator sees it, on a running cloud."""

import uuid as uuids
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.db.api_tables import AggregateHostRow, AggregateRow, HostMappingRow
from nova_lite.db.cell_tables import ComputeNodeRow
from nova_lite.db.repositories import hosts
from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
from tests.functional.commands.placement_site import PlacementSite

SYNC = "sync_aggregates"


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Iterator[PlacementSite]:
    made = PlacementSite(cloud, capsys)
    yield made
    made.write("api", sa.delete(AggregateHostRow), sa.delete(AggregateRow))
    made.close()


def group(site: PlacementSite, name: str, *members: str) -> str:
    """Make an aggregate of hosts and return its UUID."""
    uuid = str(uuids.uuid4())
    database = clouds.database(site.cloud, "api")
    with database.writer() as session:
        row = AggregateRow(uuid=uuid, name=name, extra={})
        session.add(row)
        session.flush()
        session.add_all(AggregateHostRow(aggregate_id=row.id, host=host) for host in members)
    database.close()
    return uuid


def nodes(site: PlacementSite) -> dict[str, str]:
    """Return host → its provider."""
    found: dict[str, str] = {}
    for cell in site.cloud.settings.cell_names:
        database = clouds.database(site.cloud, cell)
        with database.reader() as session:
            found |= {host: uuid for uuid, host in hosts.node_hosts(session).items()}
        database.close()
    return found


def of_provider(site: PlacementSite, provider: str) -> set[str]:
    return set(site.placement("GET", f"/resource_providers/{provider}/aggregates").json["aggregates"])


def test_members_are_put_into_their_aggregates_and_stay_in_those_of_others(site: PlacementSite) -> None:
    assert site.run(SYNC).out == "0 hosts added to aggregates.\n"
    by_host = nodes(site)
    one, two, *_ = sorted(by_host)
    foreign = str(uuids.uuid4())
    generation = site.placement("GET", f"/resource_providers/{by_host[one]}").json["generation"]
    body = {"aggregates": [foreign], "resource_provider_generation": generation}
    assert site.placement("PUT", f"/resource_providers/{by_host[one]}/aggregates", body).status == 200
    red, blue = group(site, "red", one, two), group(site, "blue", one)

    rows = {row["Host"]: row for row in site.found(SYNC, code=0)}
    assert {host: set(row["Aggregates"].split()) for host, row in rows.items()} == {one: {red, blue}, two: {red}}
    assert {row["Outcome"] for row in rows.values()} == {"added"}
    assert of_provider(site, by_host[one]) == {foreign, red, blue}
    assert of_provider(site, by_host[two]) == {red}
    others = [provider for host, provider in by_host.items() if host not in (one, two)]
    assert not any(of_provider(site, provider) & {red, blue} for provider in others)

    assert site.found(SYNC, code=0) == []
    assert {row["Outcome"] for row in site.found(SYNC, "--verbose", code=0)} == {"nothing to do"}
    assert "| Host " in site.run(SYNC, "--verbose").out


def test_a_host_that_cannot_be_told_does_not_keep_the_others_from_being_told(site: PlacementSite) -> None:
    by_host = nodes(site)
    known, provider = min(by_host.items())
    cell = next(iter(site.cloud.settings.cell_names))
    database = clouds.database(site.cloud, "api")
    with database.reader() as session:
        cell_uuid = session.scalar(sa.select(HostMappingRow.cell_uuid).where(HostMappingRow.host == known))
    database.close()
    mapped = [{"host": host, "cell_uuid": cell_uuid} for host in ("z-bare", "z-strange", "z-twice")]
    site.write("api", sa.insert(HostMappingRow).values(mapped))
    more = {"z-strange": 1, "z-twice": 2}
    rows = [
        {
            "uuid": str(uuids.uuid4()),
            "host": host,
            "hypervisor_hostname": f"{host}-{number}",
            "hypervisor_type": "fake",
            "hypervisor_version": 1,
            "host_ip": "127.0.0.1",
            "vcpus": 1,
            "memory_mb": 1,
            "local_gb": 1,
            "cpu_info": {},
        }
        for host, count in more.items()
        for number in range(count)
    ]
    site.write(cell, sa.insert(ComputeNodeRow).values(rows))
    unknown = ["z-bare", "z-strange", "z-twice", "z-unmapped"]
    aggregate = group(site, "mixed", known, *unknown)
    try:
        found = {row["Host"]: row["Outcome"] for row in site.found(SYNC, code=1)}
        assert found == {
            known: "added",
            "z-bare": "has no compute node",
            "z-strange": "has no resource provider",
            "z-twice": "has several compute nodes",
            "z-unmapped": "is mapped to no cell",
        }
        assert aggregate in of_provider(site, provider)
        for gone, code in (("z-twice", 4), ("z-unmapped", 5), ("z-bare", 6), ("z-strange", 0)):
            site.write("api", sa.delete(AggregateHostRow).where(AggregateHostRow.host == gone))
            site.found(SYNC, code=code)
    finally:
        site.write("api", sa.delete(HostMappingRow).where(HostMappingRow.host.in_(unknown)))
        site.write(cell, sa.delete(ComputeNodeRow).where(ComputeNodeRow.host.in_(unknown)))


def test_a_provider_that_changes_meanwhile_is_told_again_and_not_for_ever(
    site: PlacementSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, provider = min(nodes(site).items())
    aggregate = group(site, "busy", host)
    write = PlacementClient.set_aggregates
    refusals = [5]

    def contended(client: PlacementClient, uuid: str, aggregates: set[str], generation: int) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise errors.Conflict("changed meanwhile")
        write(client, uuid, aggregates, generation)

    monkeypatch.setattr(PlacementClient, "set_aggregates", contended)
    [row] = site.found(SYNC, code=3)
    assert row["Outcome"] == "changes faster than it can be told"
    refusals[0] = 4
    [row] = site.found(SYNC, code=0)
    assert row["Outcome"] == "added"
    assert aggregate in of_provider(site, provider)


def test_without_placement_or_a_database_it_fails_and_says_so(site: PlacementSite) -> None:
    group(site, "some", min(nodes(site)))
    config = site.configured("alone", lambda text: text.replace(site.cloud.placement_url, "http://127.0.0.1:9"))
    ran = site.run(SYNC, config=config)
    assert ran.code == 2
    assert "Placement does not answer" in ran.err
    assert "Traceback" not in ran.err
    dead = site.configured(
        "dead", lambda text: text.replace(site.cloud.settings.database("api"), "mysql+pymysql://n:s@127.0.0.1:9/n")
    )
    ran = site.run(SYNC, config=dead)
    assert ran.code == 255
    assert "The API database" in ran.err


@pytest.mark.parametrize("words", [["--all"], ["surplus"], ["-f", "yaml"]], ids=" ".join)
def test_a_wrong_command_line_is_127(site: PlacementSite, words: list[str]) -> None:
    ran = site.run(SYNC, *words)
    assert ran.code == 127
    assert ran.err
