"""The audit on real servers: one statement sees one moment there, too, and the command runs beside any load."""

import contextlib
import json
import random
import threading
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.cells import orphans, setup
from nova_lite.cmd import manage, progress
from nova_lite.db import migrate
from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances, mappings
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.storage import Database
from tests.contract.placement.audit import AuditSuite
from tests.integration.conftest import started
from tests.integration.races import cloud
from tests.integration.races.client import Client, meanwhile
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.placement import Placement
from tests.integration.stack.stock import Stock


@pytest.fixture(params=["mariadb", "postgresql"])
def placement_url(request: pytest.FixtureRequest, stock: Stock) -> Iterator[str]:
    with stock.lent(request.getfixturevalue(request.param), "placement") as url:
        yield url


@pytest.fixture
def placement_db(placement_url: str) -> Iterator[Database]:
    database = Database(placement_url, pool_size=20)
    standard_names(database)
    yield database
    database.close()


class TestAudit(AuditSuite):
    """On MariaDB and PostgreSQL."""


# -- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beside:
    """Placement workers under load, servers that hold something, and the command with its configuration."""

    client: Client
    config: Path
    servers: tuple[str, ...]

    def audit(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the command; return its code and what it found."""
        code = manage.main(["--config-file", str(self.config), "placement", "audit", *words, "-f", "json"])
        captured = capsys.readouterr()
        assert captured.err == ""
        return code, json.loads(captured.out)


@pytest.fixture
def beside(neighbours: Neighbours, placement_url: str, tmp_path: Path) -> Iterator[Beside]:
    placement = Placement(neighbours.site, f"audit-{uuids.uuid4().hex[:6]}", placement_url, servers=2, processes=2)
    placement.prepare()
    urls = {name: f"sqlite:///{tmp_path / name}.db" for name in ("api", "cell")}
    servers = tuple(str(uuids.uuid4()) for _ in range(6))
    with contextlib.closing(Database(urls["api"])) as api_db, contextlib.closing(Database(urls["cell"])) as cell_db:
        migrate.sync(api_db, "api")
        migrate.sync(cell_db, "cell")
        cell = setup.create_cell(api_db, name="one", transport_url="rabbit://h/one", connection=urls["cell"])
        for uuid in servers:
            add_server(api_db, cell_db, cell.uuid, uuid)
    config = tmp_path / "nova-lite.conf"
    config.write_text(
        f"[api_database]\nconnection = {urls['api']}\n[placement_database]\nconnection = {placement_url}\n"
        f"[placement]\nendpoint_override = http://127.0.0.1:{placement.ports[0]}\nnoauth_token = admin\n"
    )
    started(placement.start)
    try:
        yield Beside(Client(placement.ports), config, servers)
    finally:
        placement.stop()


def add_server(api_db: Database, cell_db: Database, cell_uuid: str, uuid: str) -> None:
    now = utcnow()
    flavor = Flavor("1", "tiny", vcpus=1, ram_mib=64, root_gib=1)
    server = Instance(uuid, "p", "u", "vm", "vm", VmState.ACTIVE, None, flavor, "", created_at=now, updated_at=now)
    with cell_db.writer() as session:
        instances.add(session, server)
    with api_db.writer() as session:
        mappings.add_instance(session, uuid, project_id="p", user_id="u", vcpus=1, ram_mib=64)
        session.flush()
        mapped = sa.update(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == uuid)
        session.execute(mapped.values(cell_uuid=cell_uuid))


def test_the_audit_raises_no_false_alarm_beside_claims_moves_and_shrinking(
    beside: Beside, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "SECOND_LOOK_S", 0.01)
    monkeypatch.setattr(progress, "_INTERVAL_S", 3600.0)  # on a busy machine it would say how far it is
    client = beside.client
    hosts = [cloud.provider(client, {"VCPU": 40, "MEMORY_MB": 4000}) for _ in range(4)]
    child = cloud.provider(client, {"SRIOV_NET_VF": 4}, hosts[0])
    rounds = dict.fromkeys(("claims", "moves", "ratios"), 0)

    def claims(number: int, over: threading.Event) -> None:
        source = random.Random(number)
        mine = beside.servers[number::2]
        while not over.is_set() or not rounds["claims"]:
            consumer = source.choice(mine)
            two = source.sample(hosts, 2)
            amounts = {host: {"VCPU": source.randint(1, 3), "MEMORY_MB": 64} for host in two}
            client.must("PUT", f"/allocations/{consumer}", cloud.holding(amounts))
            client.must("DELETE", f"/allocations/{consumer}")
            rounds["claims"] += 1

    def moves(over: threading.Event) -> None:
        while not over.is_set() or not rounds["moves"]:
            for parent in (hosts[1], None, hosts[0]):
                name = client.get(f"/resource_providers/{child}")["name"]
                client.must("PUT", f"/resource_providers/{child}", {"name": name, "parent_provider_uuid": parent})
            rounds["moves"] += 1

    def ratios(over: threading.Event) -> None:
        while not over.is_set() or not rounds["ratios"]:
            for total in (50, 40):
                cloud.set_inventories(client, hosts[2], {"VCPU": total, "MEMORY_MB": 4000})
            rounds["ratios"] += 1

    with meanwhile(lambda over: claims(0, over), lambda over: claims(1, over), moves, ratios):
        for run in range(20):
            assert beside.audit(capsys, "--delete", "--repair") == (0, []), f"in run {run}"
        lost = str(uuids.uuid4())
        client.must("PUT", f"/allocations/{lost}", cloud.holding({hosts[3]: {"VCPU": 1}}))
        code, found = beside.audit(capsys, "--delete")
        assert (code, [(row["Consumer UUID"], row["Outcome"]) for row in found]) == (4, [(lost, "deleted")])
    assert all(rounds.values()), rounds
    assert not client.failures
    assert beside.audit(capsys) == (0, [])
