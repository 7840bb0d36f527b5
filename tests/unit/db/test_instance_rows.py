"""How rows become instances."""

from dataclasses import fields
from datetime import datetime
from pathlib import Path

import pytest

from nova_lite.db.cell_tables import CellBase
from nova_lite.db.repositories import instances
from nova_lite.errors import NotFound
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.storage import Database

_NOW = datetime.fromisoformat("2026-11-21T09:10:11.000012")
#: Every field differs from its default, so that none can be mixed up with another.
WHOLE = Instance(
    uuid="5b0f8a1e-0000-4000-8000-000000000001",
    project_id="project",
    user_id="user",
    display_name="name",
    hostname="hostname",
    vm_state=VmState.ERROR,
    task_state=TaskState.DELETING,
    flavor=Flavor("id", "small", 1, 512, 10, extra_specs={"a": "b"}),
    image_id="image",
    created_at=_NOW,
    updated_at=_NOW.replace(second=12),
    power_state=PowerState.CRASHED,
    host="host",
    node="5b0f8a1e-0000-4000-8000-000000000002",
    node_name="node",
    epoch=3,
    metadata={"m": "1"},
    image_properties={"i": "2"},
    description="description",
    key_name="key",
    key_data="ssh-rsa",
    user_data="data",
    has_config_drive=True,
    availability_zone="zone",
    requested_zone="wanted",
    launch_index=4,
    reservation_id="r-1",
    root_device_name="/dev/sda",
    access_ip_v4="1.2.3.4",
    access_ip_v6="::1",
    disk_config="AUTO",
    is_locked=True,
    locked_reason="reason",
    tags=("t", "u"),
    scheduling={"s": 1},
    launched_at=_NOW.replace(second=13),
    terminated_at=_NOW.replace(second=14),
    deleted_at=_NOW.replace(second=15),
    fault=Fault(500, "message", _NOW.replace(second=16), "details"),
)


@pytest.fixture
def cell(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/cell.sqlite")
    CellBase.metadata.create_all(database.engine)
    return database


def test_an_instance_comes_back_as_it_was_written(cell: Database) -> None:
    defaults = Instance("", "", "", "", "", VmState.ACTIVE, None, WHOLE.flavor, "", _NOW, _NOW)
    alike = [each.name for each in fields(Instance) if getattr(WHOLE, each.name) == getattr(defaults, each.name)]
    assert alike in (["flavor", "created_at"], ["flavor", "created_at", "updated_at"])
    with cell.writer() as session:
        instances.add(session, WHOLE)
        assert instances.lock(session, WHOLE.uuid) == WHOLE
    with cell.reader() as session:
        assert instances.get(session, WHOLE.uuid) == WHOLE
    with cell.reading() as connection:
        assert instances.get(connection, WHOLE.uuid) == WHOLE
    cell.close()


def test_a_deleted_instance_is_found_only_when_asked_for(cell: Database) -> None:
    with cell.writer() as session:
        instances.add(session, WHOLE)
        assert instances.mark_deleted(session, WHOLE.uuid)
    with cell.reading() as connection:
        with pytest.raises(NotFound):
            instances.get(connection, WHOLE.uuid)
        assert instances.get(connection, WHOLE.uuid, with_deleted=True).is_deleted
    cell.close()
