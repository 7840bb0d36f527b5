"""Deleted servers are archived on real servers: by several at once, through kills, beside whoever lists and shows."""

import itertools
import subprocess
import sys
import threading
import uuid as uuids
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import config
from nova_lite.api import app
from nova_lite.cells import archiving, setup
from nova_lite.cells.archiving import Archived, Archiver
from nova_lite.cells.instance_mapping import map_instances
from nova_lite.cells.offline import CellDatabases
from nova_lite.cells.registry import Cells
from nova_lite.clients.images import Images
from nova_lite.db import migrate
from nova_lite.db.api_tables import ApiBase, InstanceMappingRow
from nova_lite.db.cell_tables import SHADOWS, CellBase, InstanceActionRow, InstanceRow
from nova_lite.db.repositories import archive, instances, unmapped
from nova_lite.db.repositories.unmapped import FoundInstance
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from tests.functional.commands.dead_servers import (
    ROWS_IN_API,
    ROWS_IN_CELL,
    archived_rows,
    bury_many,
    rows,
    times,
)
from tests.integration.stack.processes import wait_until

DEAD, LIVE = 150, 40
AT_ONCE = 4
KILLS = 5


@dataclass
class Installation:
    """An API database and two cells, cell0 the first, each with dead and live servers in turn."""

    api_db: Database
    cell_dbs: list[Database]
    cells: list[Cell]
    live: list[str]
    config_file: Path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "nova_lite.cmd.manage", "--config-file", str(self.config_file), *words]

    def archived(self) -> Counter[str]:
        return sum((archived_rows(database) for database in self.cell_dbs), Counter())

    def left(self) -> Counter[str]:
        return sum((rows(database, CellBase) for database in self.cell_dbs), Counter())


@pytest.fixture(params=["mariadb", "postgresql"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    server = request.getfixturevalue(request.param)
    names = [f"nl_{uuids.uuid4().hex[:12]}" for _ in range(3)]
    server.create(names)
    api_db, *cell_dbs = (Database(server.url(name)) for name in names)
    migrate.sync(api_db, "api")
    setup.map_cell0(api_db, server.url(names[1]))
    cell1 = setup.create_cell(api_db, name="one", transport_url="rabbit://h/one", connection=server.url(names[2]))
    cells = [setup.cells(api_db, CELL0_UUID)[0], cell1]
    live: list[str] = []
    for cell, cell_db in zip(cells, cell_dbs, strict=True):
        migrate.sync(cell_db, "cell")
        for number, is_dead in ((DEAD // 2, True), (LIVE, False), (DEAD // 2, True)):
            new = [str(uuids.uuid4()) for _ in range(number)]
            bury_many(api_db, cell_db, cell.uuid, new, is_dead=is_dead)
            live += [] if is_dead else new
    file = tmp_path / "nova-lite.conf"
    file.write_text(
        f"[cells]\ntimeout = 60\n[api]\nauth_strategy = noauth2\n[api_database]\nconnection = {server.url(names[0])}\n"
        f"[database]\nconnection = {server.url(names[1])}\n[DEFAULT]\ntransport_url = kombu+memory:///\n"
    )
    yield Installation(api_db, cell_dbs, cells, live, file)
    for database in (api_db, *cell_dbs):
        database.close()
    server.drop(names)


def check_all_is_there(installation: Installation) -> None:
    """Check that no row is lost, none is there twice, and each server is archived whole or not at all.

    A database may still do what somebody sent it who was killed then: rows that move meanwhile are counted again.
    """
    everything = times(DEAD + LIVE, ROWS_IN_CELL)
    for cell_db in installation.cell_dbs:
        wait_until(
            lambda: rows(cell_db, CellBase) + archived_rows(cell_db) == everything,  # noqa: B023
            "every row in one place",
            timeout_s=30,
        )
        with cell_db.reader() as session:
            for row, shadow in SHADOWS.items():
                table = CellBase.metadata.tables[row.__tablename__]
                twice = sa.select(sa.func.count()).select_from(table.join(shadow, table.c.id == shadow.c.id))
                assert session.scalar(twice) == 0
            actions, put_away = SHADOWS[InstanceActionRow], SHADOWS[InstanceRow]
            torn = sa.select(sa.func.count()).where(actions.c.instance_uuid.not_in(sa.select(put_away.c.uuid)))
            assert session.scalar(torn) == 0


def check_all_is_archived(installation: Installation) -> None:
    check_all_is_there(installation)
    assert installation.archived() == times(2 * DEAD, ROWS_IN_CELL)
    assert rows(installation.api_db, ApiBase) == times(2 * LIVE, ROWS_IN_API)


def test_several_at_once_archive_everything_once(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "SERVERS", 7)
    start = threading.Barrier(AT_ONCE)

    def run(_: int) -> Counter[str]:
        with CellDatabases(installation.api_db) as others:
            start.wait(timeout=480)
            moved: Counter[str] = Counter()
            for cell, cell_db in zip(installation.cells, installation.cell_dbs, strict=True):
                moved += Archiver(installation.api_db, cell_db, cell, others).run(None).moved
            return moved

    with ThreadPoolExecutor(AT_ONCE) as pool:
        moved = list(pool.map(run, range(AT_ONCE)))
    assert sum(moved, Counter()) == times(2 * DEAD, ROWS_IN_CELL)
    check_all_is_archived(installation)


def test_kills_lose_nothing(installation: Installation) -> None:
    command = installation.command("db", "archive_deleted_rows", "--all-cells", "--until-complete", "--max_rows", "20")
    for number in range(1, KILLS + 1):
        enough = number * 2 * DEAD // (KILLS + 1)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: installation.archived()["instances"] >= enough, "archiving", timeout_s=200)  # noqa: B023
        finally:
            process.kill()
            process.wait(timeout=480)
        check_all_is_there(installation)
    done = subprocess.run(command, capture_output=True, text=True, timeout=480, check=False)
    assert done.returncode in (0, 1), done.stderr
    check_all_is_archived(installation)


def test_a_server_that_dies_while_it_is_mapped_does_not_stay_mapped(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would count against its project for ever."""
    cell, cell_db = installation.cells[1], installation.cell_dbs[1]
    with cell_db.reader() as session:
        dying = list(session.scalars(sa.select(InstanceRow.uuid).where(InstanceRow.deleted.is_(False))))
    with installation.api_db.writer() as session:
        archive.forget(session, dying)
    found_alive = unmapped.page
    pool = ThreadPoolExecutor(1)
    archiving_them: list[Future[Archived]] = []

    def die_just_then(session: Session, *, after: int, limit: int) -> list[FoundInstance]:
        found = found_alive(session, after=after, limit=limit)
        if not archiving_them:
            with cell_db.writer() as writing:
                for one in found:
                    instances.mark_deleted(writing, one.uuid)
            archiving_them.append(pool.submit(Archiver(installation.api_db, cell_db, cell, others).run, None))
            # It has to wait for whoever maps, and goes on afterwards.
            wait(archiving_them, timeout=1)
        return found

    monkeypatch.setattr(unmapped, "page", die_just_then)
    with pool, CellDatabases(installation.api_db) as others:
        assert map_instances(installation.api_db, cell_db, cell).mapped == LIVE
        assert archiving_them[0].result(timeout=480).moved == times(DEAD + LIVE, ROWS_IN_CELL)
    with installation.api_db.reader() as session:
        left = session.scalars(sa.select(InstanceMappingRow.instance_uuid).filter_by(cell_uuid=cell.uuid))
        assert left.all() == []


def test_lists_and_shows_beside_it_see_what_they_saw(installation: Installation) -> None:
    conf = config.load(["--config-file", str(installation.config_file)])
    cells = Cells(conf, installation.api_db)
    bus = Bus(conf, "kombu+memory:///archiving")
    client = falcon.testing.TestClient(
        app.build(conf, api_db=installation.api_db, cells=cells, api_bus=bus, images=Images(conf)),
        headers={"X-Auth-Token": "u:p", "OpenStack-API-Version": "compute 2.79"},
    )
    done = threading.Event()
    seen: list[Exception | None] = []

    def look() -> None:
        try:
            for number in itertools.count():
                is_last = done.is_set()
                assert sorted(_listed(client)) == sorted(installation.live)
                uuid = installation.live[number % len(installation.live)]
                assert client.simulate_get(f"/v2.1/servers/{uuid}").status_code == 200
                assert client.simulate_get(f"/v2.1/servers/{uuid}/os-instance-actions").status_code == 200
                seen.append(None)
                if is_last:
                    return
        except AssertionError as exc:
            seen.append(exc)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        with CellDatabases(installation.api_db) as others:
            archivers = [
                Archiver(installation.api_db, cell_db, cell, others)
                for cell, cell_db in zip(installation.cells, installation.cell_dbs, strict=True)
            ]
            for archiver in archivers:
                while archiver.run(20).is_cut:
                    if seen and isinstance(seen[-1], Exception):
                        break
    finally:
        done.set()
        looker.join(timeout=480)
        cells.close()
        bus.close()
    assert not looker.is_alive()
    assert [found for found in seen if found is not None] == []
    assert len(seen) > 1
    check_all_is_archived(installation)


def _listed(client: falcon.testing.TestClient) -> list[str]:
    """Return the UUIDs of all servers, page by page."""
    found: list[str] = []
    for _ in range(2 * LIVE):
        marker = {"marker": found[-1]} if found else {}
        answer: Any = client.simulate_get("/v2.1/servers/detail", params={"limit": "9", **marker})
        assert answer.status_code == 200, answer.text
        page = [server["id"] for server in answer.json["servers"]]
        if not page:
            break
        found += page
    return found
