"""``/servers/{id}/os-volume_attachments``: volumes reserved, listed, updated and detached, or refused with words."""

import uuid as uuids
from typing import Any

import pytest

from nova_lite.clients.volumes import Volumes
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import hosts, workflows
from nova_lite.embedded.volume_records import StoredVolume
from nova_lite.model.block_device import Phase
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.states import TaskState, VmState
from nova_lite.testing.block_storage import BlockStorage
from tests.functional.compute_api.attached_volumes import (
    NOBODY,
    attach,
    attachments,
    device,
    devices,
    message,
    path,
    server,
    status,
    work,
)
from tests.functional.compute_api.cloud import CELL1, Client, Cloud
from tests.functional.compute_api.stored_volumes import volume


@pytest.fixture
def cloud(volume_cloud: Cloud) -> Cloud:
    return volume_cloud


# -- what works -------------------------------------------------------------------------------------------------------


def test_a_volume_is_reserved_and_shown(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    instance, volume_id = server(cloud), volume(storage)
    assert client.get(path(instance)).json == {"volumeAttachments": []}
    answer = attach(client, instance, volume_id, tag="data", delete_on_termination="True")
    assert (answer.status_code, answer.text) == (202, "")
    [found] = devices(cloud, instance)
    [attachment] = attachments(storage, volume_id)
    assert (found.phase, found.attachment_id, found.size_gib) == (Phase.ATTACHING, attachment.id, 1)
    assert (attachment.instance_uuid, status(storage, volume_id)) == (instance.uuid, "reserved")
    assert work(cloud) == [("attach-volume", "pending")]
    shown = {
        "volumeId": volume_id,
        "serverId": instance.uuid,
        "device": "/dev/vdb",
        "tag": "data",
        "delete_on_termination": True,
        "attachment_id": attachment.id,
        "bdm_uuid": found.uuid,
    }
    assert client.get(path(instance)).json == {"volumeAttachments": [shown]}
    assert client.get(path(instance, volume_id)).json == {"volumeAttachment": shown}
    actions = client.get(f"/servers/{instance.uuid}/os-instance-actions").json["instanceActions"]
    assert [action["action"] for action in actions] == ["attach_volume"]
    on_server = client.get(f"/servers/{instance.uuid}").json["server"]["os-extended-volumes:volumes_attached"]
    assert on_server == [{"id": volume_id, "delete_on_termination": True}]
    [listed] = client.get("/servers/detail").json["servers"]
    assert listed["os-extended-volumes:volumes_attached"] == on_server
    old = cloud.client(version="2.2").get(f"/servers/{instance.uuid}").json["server"]
    assert old["os-extended-volumes:volumes_attached"] == [{"id": volume_id}]


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        pytest.param("2.1", {"id"}, id="2.1"),
        pytest.param("2.69", {"id"}, id="2.69"),
        pytest.param("2.70", {"id", "tag"}, id="tag"),
        pytest.param("2.79", {"id", "tag", "delete_on_termination"}, id="delete on termination"),
        pytest.param("2.89", {"tag", "delete_on_termination", "attachment_id", "bdm_uuid"}, id="attachment"),
    ],
)
def test_later_versions_show_more(cloud: Cloud, storage: BlockStorage, version: str, fields: set[str]) -> None:
    client = cloud.client(version=version)
    instance, volume_id = server(cloud), volume(storage)
    answer = attach(client, instance, volume_id)
    assert answer.status_code == 200
    begun = answer.json["volumeAttachment"]
    assert (begun["id"], begun["volumeId"], begun["serverId"]) == (volume_id, volume_id, instance.uuid)
    assert begun["device"] == "/dev/vdb"
    common = {"volumeId", "serverId", "device"}
    assert set(begun) == common | {"id"} | fields - {"attachment_id", "bdm_uuid"}
    assert set(client.get(path(instance, volume_id)).json["volumeAttachment"]) == common | fields
    assert set(client.get(path(instance)).json["volumeAttachments"][0]) == common | fields


def test_one_being_reserved_has_no_attachment_yet(cloud: Cloud, client: Client) -> None:
    coming = device(NOBODY, attachment_id=None, phase=Phase.RESERVING)
    instance = server(cloud, volumes=(coming,))
    assert client.get(path(instance)).json == {"volumeAttachments": []}
    assert client.get(path(instance, NOBODY)).status_code == 404
    old = cloud.client(version="2.88")
    assert [found["id"] for found in old.get(path(instance)).json["volumeAttachments"]] == [NOBODY]
    assert old.get(path(instance, NOBODY)).status_code == 200


def test_lists_have_pages(cloud: Cloud, client: Client) -> None:
    ids = [str(uuids.uuid4()) for _ in range(4)]
    names = ("/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde")
    blank = device(None, device_name="/dev/vdf")
    held = (*(device(each, device_name=name) for each, name in zip(ids, names, strict=True)), blank)
    instance = server(cloud, volumes=held)

    def listed(**query: object) -> list[str]:
        answer = client.get(path(instance), **query)
        assert answer.status_code == 200
        return [found["volumeId"] for found in answer.json["volumeAttachments"]]

    assert listed() == ids
    assert listed(limit=0) == ids
    assert listed(limit=2) == ids[:2]
    assert listed(limit=2, offset=1) == ids[1:3]
    assert listed(offset=9) == []
    assert listed(offset="9" * 40) == []
    for query in ({"limit": "-1"}, {"limit": "x"}, {"offset": "-1"}, {"marker": ids[0]}):
        assert client.get(path(instance), **query).status_code == 400, query
    old = cloud.client(version="2.74")
    assert len(old.get(path(instance), marker=ids[0]).json["volumeAttachments"]) == 4


@pytest.mark.parametrize(
    ("wanted", "bus", "given"),
    [
        pytest.param(None, None, "/dev/vdb", id="none"),
        pytest.param("/dev/vdf", None, "/dev/vdf", id="free"),
        pytest.param("/dev/sdb", None, "/dev/vdb", id="of another bus"),
        pytest.param("/dev/vdb1", None, "/dev/vdb", id="a partition"),
        pytest.param(None, "scsi", "/dev/sdb", id="on the image's bus"),
        pytest.param(None, "lxc", "/dev/vdb", id="on a bus nobody has"),
    ],
)
def test_a_device_name_is_followed_where_a_disk_can_have_it(
    cloud: Cloud, storage: BlockStorage, wanted: str | None, bus: str | None, given: str
) -> None:
    instance = server(cloud, image_properties={"hw_disk_bus": bus} if bus else {})
    answer = attach(cloud.client(version="2.100"), instance, volume(storage), device=wanted)
    assert (answer.status_code, answer.json["volumeAttachment"]["device"]) == (200, given)


def test_one_that_others_have_may_be_shared(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    volume_id = volume(storage, is_multiattach=True, status="in-use", attach_status="attached")
    for instance in (server(cloud), server(cloud)):
        assert attach(client, instance, volume_id).status_code == 202
        with storage.store.records.changing():
            found = storage.store.records.get(StoredVolume, volume_id)
            assert found is not None
        [held] = devices(cloud, instance)
        assert held.is_multiattach
        Volumes(storage.configuration()).as_service().complete(str(held.attachment_id))
    assert len(attachments(storage, volume_id)) == 2


def test_a_server_on_no_host_gets_volumes(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    instance = server(cloud, host=None, vm_state=VmState.SHELVED_OFFLOADED)
    assert attach(client, instance, volume(storage)).status_code == 202
    assert attach(cloud.client(version="2.19"), instance, volume(storage)).status_code == 409
    tagged = attach(client, instance, volume(storage), tag="x")
    assert (tagged.status_code, "Tagged" in message(tagged)) == (400, True)
    shared = attach(client, instance, volume(storage, is_multiattach=True))
    assert (shared.status_code, "multiattach" in message(shared)) == (400, True)
    assert len(devices(cloud, instance)) == 1


def test_detaching_begins(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    volume_id = volume(storage, status="in-use", attach_status="attached")
    instance = server(cloud, volumes=(device(volume_id),))
    answer = client.delete(path(instance, volume_id))
    assert (answer.status_code, answer.text) == (202, "")
    assert (devices(cloud, instance)[0].phase, status(storage, volume_id)) == (Phase.DETACHING, "detaching")
    assert work(cloud) == [("detach-volume", "pending")]
    with cloud.cells.get(CELL1).db.reader() as session:
        assert len(workflows.claimable(session, CellWorkflowRow, limit=9)) == 1
    again = client.delete(path(instance, volume_id))
    assert (again.status_code, "'detaching'" in message(again)) == (400, True)
    assert work(cloud) == [("detach-volume", "pending")]


def test_a_shared_volume_may_be_asked_to_go_again(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    """It shows nothing of a server that lets it go: others have it."""
    volume_id = volume(storage, status="in-use", attach_status="attached", is_multiattach=True)
    instance = server(cloud, volumes=(device(volume_id, is_multiattach=True),))
    for _ in range(2):
        answer = client.delete(path(instance, volume_id))
        assert (answer.status_code, answer.text) == (202, "")
        assert work(cloud) == [("detach-volume", "pending")]


def test_while_its_host_is_down_a_server_keeps_its_volumes(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    volume_id = volume(storage, status="in-use", attach_status="attached")
    instance = server(cloud, volumes=(device(volume_id),))
    with cloud.cells.get(CELL1).db.writer() as session:
        hosts.register(session, HostReport("h1", NOBODY, HostResources(1, 1, 1, "fake", 1, "h1", "127.0.0.1", {})))
        agent = hosts.agent(session, "h1", down_after_s=60)
        assert agent is not None
        hosts.change_service(session, agent.uuid, forced_down=True)
    answer = client.delete(path(instance, volume_id))
    assert (answer.status_code, message(answer)) == (409, "Service is unavailable at this time.")
    assert (devices(cloud, instance)[0].phase, work(cloud)) == (Phase.ATTACHED, [])
    with cloud.cells.get(CELL1).db.writer() as session:
        hosts.change_service(session, agent.uuid, forced_down=False)
    assert client.delete(path(instance, volume_id)).status_code == 202


def test_one_that_is_gone_is_detached_all_the_same(cloud: Cloud, client: Client) -> None:
    instance = server(cloud, volumes=(device(NOBODY),))
    assert client.delete(path(instance, NOBODY)).status_code == 202


def test_what_becomes_of_it_may_be_changed(cloud: Cloud, client: Client) -> None:
    instance = server(cloud, volumes=(device(NOBODY, tag="data"),))

    def put(**values: object) -> Any:
        return client.put(path(instance, NOBODY), {"volumeAttachment": {"volumeId": NOBODY, **values}})

    same = {"id": NOBODY, "serverId": instance.uuid, "device": "/dev/vdb", "tag": "data"}
    answer = put(**same, delete_on_termination=True)
    assert (answer.status_code, answer.text) == (202, "")
    assert devices(cloud, instance)[0].delete_on_termination
    assert put().status_code == 202
    assert put(delete_on_termination="false").status_code == 202
    assert not devices(cloud, instance)[0].delete_on_termination
    for name, value in {"id": CELL1, "serverId": CELL1, "device": "/dev/vdc", "tag": "other"}.items():
        refused = put(**{name: value}, delete_on_termination=True)
        assert (refused.status_code, message(refused)) == (400, f"The {name} property is not mutable")
    assert not devices(cloud, instance)[0].delete_on_termination
    missing = client.put(path(instance, CELL1), {"volumeAttachment": {"volumeId": CELL1}})
    assert missing.status_code == 404


def test_a_server_booted_from_a_volume_shows_no_image(cloud: Cloud, client: Client) -> None:
    instance = server(cloud, volumes=(device(NOBODY, device_name="/dev/vda", boot_index=0),))
    assert client.get(f"/servers/{instance.uuid}").json["server"]["image"] == ""
    [listed] = client.get("/servers/detail").json["servers"]
    assert listed["image"] == ""


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "code", "words"),
    [
        pytest.param({"project_id": "others"}, 404, "could not be found", id="foreign"),
        pytest.param({"status": "creating"}, 400, "must be 'available'", id="not there yet"),
        pytest.param({"status": "error"}, 400, "Currently in 'error'", id="in error"),
        pytest.param({"status": "in-use"}, 400, "must be 'available'", id="somebody else's"),
        pytest.param({"status": "reserved", "is_multiattach": True}, 400, "available", id="shared, on its way"),
    ],
)
def test_a_volume_that_cannot_be_attached(
    cloud: Cloud, client: Client, storage: BlockStorage, facts: dict[str, Any], code: int, words: str
) -> None:
    instance = server(cloud)
    answer = attach(client, instance, volume(storage, **facts))
    assert (answer.status_code, words in message(answer)) == (code, True), answer.text
    assert (devices(cloud, instance), work(cloud)) == ((), [])


def test_a_volume_that_is_not_there(cloud: Cloud, client: Client) -> None:
    instance = server(cloud)
    answer = attach(client, instance, NOBODY)
    assert (answer.status_code, message(answer)) == (404, f"Volume {NOBODY} could not be found.")
    assert client.get(path(instance, NOBODY)).status_code == 404
    assert client.delete(path(instance, NOBODY)).status_code == 404
    assert work(cloud) == []


def test_a_volume_that_a_server_has_already(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    first, second = server(cloud), server(cloud)
    for is_multiattach in (False, True):
        volume_id = volume(storage, is_multiattach=is_multiattach)
        assert attach(client, first, volume_id).status_code == 202
        again = attach(client, first, volume_id)
        assert (again.status_code, "already attached" in message(again)) == (400, True)
    # Also when somebody said by hand that it is available.
    lone = attachments(storage, str(devices(cloud, first)[0].volume_id))[0]
    service = Volumes(storage.configuration()).as_service()
    service.connect(lone.id, {"host": "h1"})
    service.complete(lone.id)
    with storage.store.records.changing():
        found = storage.store.records.get(StoredVolume, lone.volume_id)
        assert found is not None
        storage.store.records.put(StoredVolume(**{**_facts(found), "status": "available"}))
    stolen = attach(client, second, lone.volume_id)
    assert (stolen.status_code, first.uuid in message(stolen)) == (400, True)
    assert devices(cloud, second) == ()


def _facts(found: StoredVolume) -> dict[str, Any]:
    return {name: getattr(found, name) for name in StoredVolume.__dataclass_fields__}


def test_sharing_was_unknown_before(cloud: Cloud, storage: BlockStorage) -> None:
    instance, volume_id = server(cloud), volume(storage, is_multiattach=True)
    answer = attach(cloud.client(version="2.59"), instance, volume_id)
    assert (answer.status_code, "2.60" in message(answer)) == (400, True)
    assert attach(cloud.client(version="2.60"), instance, volume_id).status_code == 200


def test_a_volume_of_another_zone(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    instance, volume_id = server(cloud), volume(storage, availability_zone="east")
    cloud.conf.set_override("cross_az_attach", False, group="cinder")
    answer = attach(client, instance, volume_id)
    assert (answer.status_code, "not in the same availability_zone" in message(answer)) == (400, True)
    assert attach(client, instance, volume(storage)).status_code == 202
    cloud.conf.set_override("cross_az_attach", True, group="cinder")
    assert attach(client, instance, volume_id).status_code == 202


def test_a_device_name_that_is_taken(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    instance = server(cloud, volumes=(device(NOBODY),))
    volume_id = volume(storage)
    for name in ("/dev/vda", "/dev/vdb"):
        answer = attach(client, instance, volume_id, device=name)
        assert (answer.status_code, message(answer)) == (409, f"The supplied device path ({name}) is in use.")
    assert (status(storage, volume_id), work(cloud)) == ("available", [])


def test_one_volume_too_many(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    letters = "bcdefghijklmnopqrstuvwxyz"
    instance = server(cloud, volumes=tuple(device(str(uuids.uuid4()), device_name=f"/dev/vd{x}") for x in letters))
    volume_id = volume(storage)
    answer = attach(client, instance, volume_id)
    assert (answer.status_code, "26" in message(answer)) == (403, True)
    assert (status(storage, volume_id), work(cloud)) == ("available", [])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"volumeAttachment": {}}, id="no volume"),
        pytest.param({"volumeAttachment": {"volumeId": "x"}}, id="no uuid"),
        pytest.param({"volumeAttachment": {"volumeId": NOBODY, "device": "vdb"}}, id="no device"),
        pytest.param({"volumeAttachment": {"volumeId": NOBODY, "device": "/dev/../vdb"}}, id="a way out"),
        pytest.param({"volumeAttachment": {"volumeId": NOBODY, "tag": "a,b"}}, id="no tag"),
        pytest.param({"volumeAttachment": {"volumeId": NOBODY, "delete_on_termination": "maybe"}}, id="no boolean"),
        pytest.param({"volumeAttachment": {"volumeId": NOBODY, "more": 1}}, id="more"),
    ],
)
def test_a_body_that_is_none(cloud: Cloud, client: Client, body: dict[str, Any]) -> None:
    assert client.post(path(server(cloud)), body).status_code == 400


@pytest.mark.parametrize(
    ("version", "more"),
    [("2.48", {"tag": "x"}), ("2.78", {"delete_on_termination": True})],
    ids=["tag", "delete on termination"],
)
def test_what_a_version_does_not_know(cloud: Cloud, version: str, more: dict[str, Any]) -> None:
    answer = attach(cloud.client(version=version), server(cloud), NOBODY, **more)
    assert answer.status_code == 400
    assert attach(cloud.client(version="2.79"), server(cloud), NOBODY, **more).status_code == 404


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"vm_state": VmState.SUSPENDED}, id="suspended"),
        pytest.param({"vm_state": VmState.RESCUED}, id="rescued"),
        pytest.param({"vm_state": VmState.ERROR}, id="in error"),
        pytest.param({"task_state": TaskState.REBOOTING}, id="busy"),
        pytest.param({"is_locked": True}, id="locked"),
    ],
)
def test_a_server_that_takes_none_now(
    cloud: Cloud, client: Client, storage: BlockStorage, values: dict[str, Any]
) -> None:
    volume_id = volume(storage)
    instance = server(cloud, **values)
    assert attach(client, instance, volume_id).status_code == 409
    assert (status(storage, volume_id), work(cloud)) == ("available", [])


def test_a_server_without_a_cell(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    waiting = cloud.add_server(None, vm_state=VmState.BUILDING)
    failed = cloud.add_server(CELL0_UUID, vm_state=VmState.ERROR)
    for instance in (waiting, failed):
        assert attach(client, instance, volume(storage)).status_code == 409
        assert client.get(path(instance)).json == {"volumeAttachments": []}
        assert client.delete(path(instance, NOBODY)).status_code == 404


def test_what_is_not_detached(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    root, moving, foreign = volume(storage, status="in-use"), volume(storage, status="detaching"), volume(storage)
    with storage.store.records.changing():
        found = storage.store.records.get(StoredVolume, foreign)
        assert found is not None
        storage.store.records.put(StoredVolume(**{**_facts(found), "project_id": "others", "status": "in-use"}))
    held = (
        device(root, device_name="/dev/vda", boot_index=0),
        device(moving, device_name="/dev/vdb"),
        device(foreign, device_name="/dev/vdc"),
    )
    instance = server(cloud, volumes=held)
    answer = client.delete(path(instance, root))
    assert (answer.status_code, message(answer)) == (400, "Cannot detach a root device volume")
    answer = client.delete(path(instance, moving))
    assert (answer.status_code, "'in-use'" in message(answer)) == (400, True)
    assert client.delete(path(instance, foreign)).status_code == 404
    assert client.delete(path(instance, NOBODY)).status_code == 404
    for values in (
        {"task_state": TaskState.REBOOTING},
        {"vm_state": VmState.ERROR},
        {"vm_state": VmState.SUSPENDED},
        {"is_locked": True},
    ):
        other = server(cloud, volumes=(device(foreign),), **values)
        assert client.delete(path(other, foreign)).status_code == 409, values
    shelved = server(cloud, host=None, vm_state=VmState.SHELVED_OFFLOADED, volumes=(device(foreign),))
    assert cloud.client(version="2.19").delete(path(shelved, foreign)).status_code == 409
    assert work(cloud) == []


def test_who_may(cloud: Cloud, storage: BlockStorage) -> None:
    instance = server(cloud, volumes=(device(NOBODY),))
    stranger = cloud.client("mallory:others")
    for method, where in (("GET", ""), ("GET", NOBODY), ("DELETE", NOBODY)):
        assert stranger.request(method, path(instance, where)).status_code == 404
    assert attach(stranger, instance, volume(storage)).status_code == 404
    assert cloud.client("admin:ops").get(path(instance, NOBODY)).status_code == 200
