"""Two requests for one server at the same moment: one wins, the other is refused, nothing is half-done.

The second comes where it hurts most: when the first has looked at the server, and before a transaction of its own.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.clients.volumes import Volumes
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceActionRow
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.storage import Database
from nova_lite.testing.block_storage import BlockStorage
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Client, Cloud
from tests.functional.compute_api.machines import NODES, add_machines
from tests.functional.compute_api.stored_volumes import volume

#: What begins work in a server's cell, and keeps any other out of it.
EXCLUSIVE: dict[str, dict[str, Any]] = {
    "stop": {"os-stop": None},
    "pause": {"pause": None},
    "suspend": {"suspend": None},
    "reboot": {"reboot": {"type": "SOFT"}},
    "resize": {"resize": {"flavorRef": "2"}},
    "rebuild": {"rebuild": {"imageRef": IMAGE_ID}},
    "migrate": {"migrate": None},
    "live": {"os-migrateLive": {"host": None, "block_migration": "auto"}},
    "rescue": {"rescue": {}},
    "shelve": {"shelve": None},
    "image": {"createImage": {"name": "image"}},
}
#: Each with the next ones: every kind is first and second, against several others.
PAIRS = [
    (first, second)
    for place, first in enumerate(EXCLUSIVE)
    for second in [(list(EXCLUSIVE) * 2)[place + step] for step in (0, 1, 4, 8)]
]

Ask = Callable[[], Any]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, running: BlockStorage) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("cloud"), volumes=Volumes(running.configuration(http_retries=0)))
    add_machines(made)
    for resource in ("instances", "cores", "ram"):
        made.conf.set_override(resource, -1, group="quota")
    yield made
    made.close()


def add_server(cloud: Cloud) -> Instance:
    _, node = NODES["h1"]
    return cloud.add_server(
        CELL1, host="h1", node=node, node_name="h1.lan", vm_state=VmState.ACTIVE, availability_zone="nova"
    )


@pytest.fixture
def server(cloud: Cloud) -> Instance:
    return add_server(cloud)


def meet(first: Ask, second: Ask, before: int) -> tuple[Any, Any] | None:
    """Return both answers; ``second`` comes before the ``before``-th transaction of ``first``. None without one."""
    begun, answers = 0, []
    write = Database.writer

    @contextlib.contextmanager
    def writer(database: Database) -> Iterator[Any]:
        nonlocal begun
        begun += 1
        if begun == before:
            answers.append(second())
        with write(database) as session:
            yield session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "writer", writer)
        answer = first()
    return (answer, *answers) if answers else None


def act(client: Client, server: Instance, body: dict[str, Any]) -> Ask:
    return lambda: client.post(f"/servers/{server.uuid}/action", body)


def work(cloud: Cloud, server: Instance) -> list[str]:
    """Return the kinds of what is to be done in a server's cell."""
    with cloud.cells.get(CELL1).db.reader() as session:
        rows = session.execute(sa.select(CellWorkflowRow.kind, CellWorkflowRow.status).filter_by(subject=server.uuid))
        return [kind for kind, status in rows if status == "pending"]


def noted(cloud: Cloud, server: Instance) -> list[str]:
    """Return a server's actions."""
    with cloud.cells.get(CELL1).db.reader() as session:
        return list(session.scalars(sa.select(InstanceActionRow.action).filter_by(instance_uuid=server.uuid)))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_operation_wins(cloud: Cloud, admin: Client, one: str, other: str) -> None:
    for before in range(1, 6):
        server = add_server(cloud)
        found = meet(act(admin, server, EXCLUSIVE[one]), act(admin, server, EXCLUSIVE[other]), before)
        if found is None:
            break
        codes = sorted(answer.status_code for answer in found)
        assert (codes[0] in (200, 202), codes[1]) == (True, 409), [answer.text for answer in found]
        assert (len(noted(cloud, server)), len(work(cloud, server)) < 2) == (1, True)
        assert cloud.instance(server.uuid).task_state is not None
    assert before > 1


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_deleting_wins_over_all(cloud: Cloud, admin: Client, name: str) -> None:
    """What had begun is superseded; what has not is refused. Deleting twice is deleting."""

    def delete(server: Instance) -> Ask:
        return lambda: admin.delete(f"/servers/{server.uuid}")

    servers = [add_server(cloud) for _ in range(3)]
    later = meet(act(admin, servers[0], EXCLUSIVE[name]), delete(servers[0]), 1)
    earlier = meet(delete(servers[1]), act(admin, servers[1], EXCLUSIVE[name]), 1)
    twice = meet(delete(servers[2]), delete(servers[2]), 1)
    assert later is not None
    assert earlier is not None
    assert twice is not None
    assert (later[0].status_code, later[1].status_code) == (409, 204)
    assert earlier[0].status_code in (204, 409), earlier[0].text
    assert [answer.status_code for answer in twice] == [204, 204]
    assert work(cloud, servers[0]) == work(cloud, servers[2]) == ["delete"]
    assert (work(cloud, servers[1]) == ["delete"]) == (earlier[0].status_code == 204)


@pytest.mark.parametrize("before", [1, 2])
def test_protecting_and_deleting(cloud: Cloud, client: Client, server: Instance, before: int) -> None:
    """Who protected it was told so, or who deleted it: never both."""
    path = f"/servers/{server.uuid}"

    def protect() -> Any:
        return client.put(f"{path}/deletion-protection", {"deletion_protection": True})

    found = meet(lambda: client.delete(path), protect, before)
    assert found is not None
    deleted, protected = (int(answer.status_code) for answer in found)
    assert (deleted, protected) in {(409, 200), (204, 409)}
    assert client.get(f"{path}/deletion-protection").json == {"deletion_protection": protected == 200}
    with cloud.api_db.reader() as session:
        deletes = session.scalars(sa.select(ApiWorkflowRow.kind).filter_by(subject=server.uuid)).all()
    assert (list(deletes), work(cloud, server)) == ((["delete"], ["delete"]) if deleted == 204 else ([], []))


def test_a_volume_is_attached_once(cloud: Cloud, client: Client, server: Instance, storage: BlockStorage) -> None:
    path = f"/servers/{server.uuid}/os-volume_attachments"
    for before in range(1, 6):
        volume_id = volume(storage)

        def attach(volume_id: str = volume_id) -> Any:
            return client.post(path, {"volumeAttachment": {"volumeId": volume_id}})

        found = meet(attach, attach, before)
        if found is None:
            break
        codes = sorted(answer.status_code for answer in found)
        assert (codes[0], codes[1] in (400, 409)) == (202, True), [answer.text for answer in found]
        assert [each.volume_id for each in cloud.instance(server.uuid).volumes].count(volume_id) == 1
    assert before > 1
