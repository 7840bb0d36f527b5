"""``db archive_deleted_rows`` in a running cloud, where servers come and go meanwhile."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from nova_lite.cmd import manage
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import SHADOWS, CellBase, InstanceRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.storage import Database
from nova_lite.testing import audit
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser

SERVERS = 8


@pytest.fixture
def user(cloud: Cloud) -> Iterator[ComputeUser]:
    made = ComputeUser(cloud.compute_url)
    yield made
    made.close()


def archive(cloud: Cloud, *words: str) -> int:
    file = str(cloud.settings.config_file("nova-lite"))
    return manage.main(["--config-file", file, "db", "archive_deleted_rows", "--all-cells", *words])


def boot(cloud: Cloud, user: ComputeUser, number: int) -> str:
    image = ImageDirectory(cloud.settings.image_dir).images()[0].id
    return user.boot(f"vm{number}", image)


def archived(cloud: Cloud) -> set[str]:
    found: set[str] = set()
    for name in ("cell0", *cloud.settings.cell_names):
        database = Database(cloud.settings.database(name))
        with database.reader() as session:
            found |= set(session.scalars(sa.select(SHADOWS[InstanceRow].c.uuid)))
        database.close()
    return found


def left(database: Database, base: type[DeclarativeBase], uuids: set[str]) -> set[str]:
    """Return the tables in use that still name one of the servers."""
    named: set[str] = set()
    with database.reader() as session:
        for table in base.metadata.sorted_tables:
            for key in {"instance_uuid", "subject"} & set(table.columns.keys()):
                if not table.name.startswith("shadow_"):
                    found = session.scalars(sa.select(table.c[key]).where(table.c[key].in_(uuids)))
                    named |= {table.name} if found.all() else set()
    return named


def test_servers_come_and_go_while_others_are_archived(cloud: Cloud, user: ComputeUser) -> None:
    stop = threading.Event()
    codes: set[int] = set()

    def clean() -> None:
        while not stop.is_set():
            codes.add(archive(cloud))

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        uuids = [boot(cloud, user, number) for number in range(SERVERS)]
        for uuid in uuids:
            user.wait(uuid, "ACTIVE")
        dead, alive = set(uuids[::2]), set(uuids[1::2])
        for uuid in dead:
            assert user.ask("DELETE", f"/servers/{uuid}").status == 204
        for uuid in dead:
            user.wait_gone(uuid)
            listed = {server["id"] for server in user.ask("GET", "/servers").json["servers"]}
            assert alive <= listed
        clouds.eventually(lambda: dead <= archived(cloud), "all dead servers archived")
    finally:
        stop.set()
        cleaner.join(timeout=480)
    assert codes <= {0, 1}
    assert archived(cloud) == dead
    assert {uuid for uuid in alive if user.server(uuid)["status"] == "ACTIVE"} == alive
    for name, base in (("api", ApiBase), *((cell, CellBase) for cell in cloud.settings.cell_names)):
        database = Database(cloud.settings.database(name))
        assert left(database, base, dead) == set()
        database.close()
    with audit.Watch(cloud) as watch:
        assert watch.audit() == []


def test_a_server_is_not_archived_before_its_delete_has_ended(
    cloud: Cloud, user: ComputeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = boot(cloud, user, 99)
    host = user.wait(uuid, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    may_go_on = threading.Event()
    destroy = FakeDriver.destroy

    def slow(driver: FakeDriver, guest: str) -> None:
        assert may_go_on.wait(timeout=480)
        destroy(driver, guest)

    monkeypatch.setattr(FakeDriver, "destroy", slow)
    assert user.ask("DELETE", f"/servers/{uuid}").status == 204
    assert archive(cloud) == 0, host
    assert uuid not in archived(cloud)
    may_go_on.set()
    user.wait_gone(uuid)
    clouds.eventually(lambda: archive(cloud) == 1, "archived once its workflows have ended")
    assert uuid in archived(cloud)
    assert user.ask("GET", f"/servers/{uuid}").status == 404
