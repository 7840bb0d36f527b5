"""Servers asked for with block device mappings: what is written down and held, and all that is refused."""

import json
import uuid as uuids
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.api_tables import ApiWorkflowRow, BuildRequestRow, FlavorRow, InstanceMappingRow, RequestSpecRow
from nova_lite.embedded.volume_records import StoredAttachment, StoredSnapshot, StoredType, StoredVolume
from nova_lite.model.workflow import OPEN
from nova_lite.testing.block_storage import BlockStorage, Fault
from tests.functional.compute_api import stored_volumes
from tests.functional.compute_api.cloud import IMAGE_ID, QUEUED_IMAGE_ID, Client, Cloud

NOBODY = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def cloud(volume_cloud: Cloud) -> Cloud:
    return volume_cloud


def volume(storage: BlockStorage, **values: Any) -> str:
    """Have a volume that a server can boot from, unless ``values`` say otherwise."""
    return stored_volumes.volume(storage, **({"is_bootable": True} | values))


def snapshot(storage: BlockStorage, volume_id: str, **values: Any) -> str:
    facts: dict[str, Any] = {
        "id": str(uuids.uuid4()),
        "volume_id": volume_id,
        "project_id": "demo",
        "user_id": "alice",
        "size_gib": 2,
        "status": "available",
        "created_at": "2026-01-01T00:00:00.000000",
    }
    made = StoredSnapshot(**(facts | values))
    with storage.store.records.changing():
        storage.store.records.put(made)
    return made.id


def known(storage: BlockStorage) -> tuple[dict[str, str], set[str]]:
    """Return the status of every volume, and every attachment."""
    records = storage.store.records
    volumes = {each.id: each.status for each in records.all(StoredVolume) if each.status != "deleting"}
    return volumes, {each.id for each in records.all(StoredAttachment)}


def body(*devices: dict[str, Any], **values: Any) -> dict[str, Any]:
    server = {"name": "vm", "flavorRef": "1", "networks": "none", "block_device_mapping_v2": list(devices), **values}
    return {"server": {name: value for name, value in server.items() if value is not None}}


def root(volume_id: str, source: str = "volume", **more: Any) -> dict[str, Any]:
    return {"source_type": source, "destination_type": "volume", "uuid": volume_id, "boot_index": 0, **more}


def data(volume_id: str, **more: Any) -> dict[str, Any]:
    return root(volume_id, **{"boot_index": None, **more})


def blank(**more: Any) -> dict[str, Any]:
    return {"source_type": "blank", "destination_type": "volume", "volume_size": 1, **more}


IMAGE_DISK = {"source_type": "image", "destination_type": "local", "uuid": IMAGE_ID, "boot_index": 0}


def waiting(cloud: Cloud) -> list[Any]:
    return [row.instance for row in cloud.rows(cloud.api_db, BuildRequestRow)]


def refused(
    cloud: Cloud, storage: BlockStorage, asked: dict[str, Any], status: int = 400, version: str = "2.104"
) -> str:
    """Ask, and see that it is refused and nothing is left behind; return what is said."""
    before = known(storage)
    answer = cloud.client(version=version).post("/servers", asked)
    assert answer.status_code == status, answer.text
    assert known(storage) == before
    for row in (BuildRequestRow, RequestSpecRow, InstanceMappingRow):
        assert cloud.rows(cloud.api_db, row) == []
    [fault] = answer.json.values()
    return str(fault["message"])


def test_a_volume_is_reserved_before_the_server_is_accepted(
    cloud: Cloud, client: Client, storage: BlockStorage
) -> None:
    facts = {"hw_machine_type": "q35", "image_id": IMAGE_ID, "min_ram": "128", "min_disk": "0"}
    system, more = volume(storage, size_gib=7, image_metadata=facts), volume(storage, is_bootable=False)
    answer = client.post("/servers", body(root(system, delete_on_termination=True, tag="os"), data(more)))
    assert answer.status_code == 202, answer.text
    [written] = waiting(cloud)
    assert (written["image_id"], written["image_properties"]) == ("", {"hw_machine_type": "q35"})
    first, second = written["volumes"]
    assert (first["volume_id"], first["device_name"], first["boot_index"], first["tag"], first["size_gib"]) == (
        *(system, "/dev/vda", 0),
        *("os", 7),
    )
    assert (first["delete_on_termination"], second["delete_on_termination"]) == (True, False)
    assert (second["volume_id"], second["device_name"], second["boot_index"]) == (more, "/dev/vdb", None)
    volumes, attachments = known(storage)
    assert (volumes[system], volumes[more]) == ("reserved", "reserved")
    assert {first["attachment_id"], second["attachment_id"]} <= attachments
    [spec] = [row.spec for row in cloud.rows(cloud.api_db, RequestSpecRow)]
    assert (spec["boots_from_volume"], spec["image_id"], spec["shares_volumes"]) == (True, "", False)
    with cloud.api_db.reader() as session:
        assert session.scalars(sa.select(ApiWorkflowRow.kind).where(ApiWorkflowRow.status.in_(OPEN))).all() == [
            "schedule"
        ]

    server = answer.json["server"]["id"]
    assert client.delete(f"/servers/{server}").status_code == 204
    with cloud.api_db.reader() as session:
        kinds = session.scalars(sa.select(ApiWorkflowRow.kind).where(ApiWorkflowRow.status.in_(OPEN))).all()
    assert sorted(kinds) == ["free-volumes", "schedule"]


def test_an_empty_volume_may_be_booted_from_as_an_image_says(
    cloud: Cloud, client: Client, storage: BlockStorage
) -> None:
    """Its user fills it, over the network or by a rescue disk."""
    asked = body(blank(boot_index="0", delete_on_termination="true"), imageRef=IMAGE_ID)
    answer = client.post("/servers", asked)
    assert answer.status_code == 202, answer.text
    [written] = waiting(cloud)
    [device] = written["volumes"]
    assert (device["source_type"], device["boot_index"], device["size_gib"]) == ("blank", 0, 1)
    assert written["image_id"] == ""
    assert client.get(f"/servers/{answer.json['server']['id']}").json["server"]["image"] == ""


def test_a_rehearsal_holds_nothing(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    before = known(storage)
    # Nobody answers for the scheduler here; what comes before it is judged.
    assert client.post("/servers?dry_run=true", body(root(NOBODY))).status_code == 400
    assert known(storage) == before
    assert waiting(cloud) == []


@pytest.mark.parametrize(
    ("special", "words"),
    [
        pytest.param({"project_id": "others"}, "failed to get volume", id="of another project"),
        pytest.param({"status": "in-use"}, "status must be", id="attached"),
        pytest.param({"status": "reserved"}, "status must be", id="reserved"),
        pytest.param({"status": "creating"}, "status must be", id="being made"),
        pytest.param({"status": "error"}, "status must be", id="broken"),
        pytest.param({"is_bootable": False}, "not bootable", id="not bootable"),
        pytest.param({"image_metadata": {"min_ram": "100000"}}, "memory is too small", id="flavor too small"),
    ],
)
def test_a_volume_that_will_not_do_is_refused(
    cloud: Cloud, storage: BlockStorage, special: dict[str, Any], words: str
) -> None:
    assert words in refused(cloud, storage, body(root(volume(storage, **special))))


@pytest.mark.parametrize(
    ("special", "asked", "words"),
    [
        pytest.param({"status": "error"}, {}, "not available", id="broken"),
        pytest.param({"project_id": "others"}, {}, "failed to get snapshot", id="of another project"),
        pytest.param({}, {"volume_size": 1}, "smaller than the snapshot", id="volume too small"),
    ],
)
def test_a_snapshot_that_will_not_do_is_refused(
    cloud: Cloud, storage: BlockStorage, special: dict[str, Any], asked: dict[str, Any], words: str
) -> None:
    taken = snapshot(storage, volume(storage), **special)
    assert words in refused(cloud, storage, body(root(taken, "snapshot", **asked)))


def test_a_snapshot_of_a_volume_that_does_not_boot_is_refused(cloud: Cloud, storage: BlockStorage) -> None:
    taken = snapshot(storage, volume(storage, is_bootable=False))
    assert "not bootable" in refused(cloud, storage, body(root(taken, "snapshot")))


@pytest.mark.parametrize(
    ("devices", "values"),
    [
        pytest.param([root(NOBODY)], {}, id="no such volume"),
        pytest.param([root("v")], {}, id="no volume's name"),
        pytest.param([root(NOBODY, "snapshot")], {}, id="no such snapshot"),
        pytest.param([root(NOBODY, "image", volume_size=1)], {}, id="no such image"),
        pytest.param([root(QUEUED_IMAGE_ID, "image", volume_size=1)], {}, id="image without data"),
        pytest.param([root(IMAGE_ID, "image")], {}, id="image without a size"),
        pytest.param([root(IMAGE_ID, "image", volume_size=0)], {}, id="size of nothing"),
        pytest.param([root(IMAGE_ID, "image", volume_size="big")], {}, id="size in words"),
        pytest.param([IMAGE_DISK], {}, id="image not named by imageRef"),
        pytest.param([IMAGE_DISK, blank(volume_size=None)], {"imageRef": IMAGE_ID}, id="no number"),
        pytest.param([blank()], {"imageRef": IMAGE_ID}, id="nothing to boot from"),
        pytest.param([blank(boot_index=0)], {}, id="nothing on what is booted from, and no image"),
        pytest.param(
            [{**blank(boot_index=0), "destination_type": "local"}], {"imageRef": IMAGE_ID}, id="empty disk to boot from"
        ),
        pytest.param([IMAGE_DISK, blank(boot_index=0)], {"imageRef": IMAGE_ID}, id="two to boot from"),
        pytest.param([IMAGE_DISK, blank(boot_index=2)], {"imageRef": IMAGE_ID}, id="gap"),
        pytest.param([IMAGE_DISK, blank(boot_index="one")], {"imageRef": IMAGE_ID}, id="order in words"),
        pytest.param([IMAGE_DISK, blank(device_name="vda")], {"imageRef": IMAGE_ID}, id="the root's name"),
        pytest.param([IMAGE_DISK, blank(device_name="a b")], {"imageRef": IMAGE_ID}, id="bad name"),
        pytest.param([IMAGE_DISK, blank(device_name="")], {"imageRef": IMAGE_ID}, id="empty name"),
        pytest.param(
            [IMAGE_DISK, blank(device_name="vdb"), blank(device_name="/dev/vdb")],
            {"imageRef": IMAGE_ID},
            id="name twice",
        ),
        pytest.param([IMAGE_DISK, blank(disk_bus="nvme")], {"imageRef": IMAGE_ID}, id="bus"),
        pytest.param([IMAGE_DISK, blank(tag="a/b")], {"imageRef": IMAGE_ID}, id="tag"),
        pytest.param([IMAGE_DISK, blank(volume_type="gold")], {"imageRef": IMAGE_ID}, id="no such volume type"),
        pytest.param([IMAGE_DISK, blank(virtual_name="swap")], {"imageRef": IMAGE_ID}, id="word of the old syntax"),
        pytest.param([IMAGE_DISK, blank(destination_type="local")], {"imageRef": IMAGE_ID}, id="no ephemeral disks"),
        pytest.param([IMAGE_DISK, data("x" * 256)], {"imageRef": IMAGE_ID}, id="long id"),
        pytest.param(
            [root(NOBODY)], {"block_device_mapping": [{"device_name": "vda", "volume_id": NOBODY}]}, id="both syntaxes"
        ),
    ],
)
def test_what_cannot_work_is_refused(
    cloud: Cloud, storage: BlockStorage, devices: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    assert refused(cloud, storage, body(*devices, **values))


@pytest.mark.parametrize(
    "devices",
    [
        pytest.param([{"device_name": "vdb", "volume_id": NOBODY}], id="no root"),
        pytest.param([{"device_name": "vda", "volume_id": "v"}], id="no volume's name"),
        pytest.param([{"device_name": "vda", "volume_id": NOBODY}], id="no such volume"),
        pytest.param([{"device_name": "vda", "virtual_name": "thing"}], id="nothing known"),
        pytest.param([{"device_name": "vda", "volume_id": NOBODY, "boot_index": 0}], id="word of the new syntax"),
    ],
)
def test_the_old_syntax_has_its_refusals(cloud: Cloud, storage: BlockStorage, devices: list[dict[str, Any]]) -> None:
    assert refused(cloud, storage, body(block_device_mapping_v2=None, block_device_mapping=devices))


def test_an_image_must_fit_into_its_volume(cloud: Cloud, storage: BlockStorage) -> None:
    tiny = cloud.images.images[IMAGE_ID]
    asked = body(root(IMAGE_ID, "image", volume_size=2))
    cloud.images.images[IMAGE_ID] = replace(tiny, min_disk_gib=3)
    assert "minimum size" in refused(cloud, storage, asked)
    cloud.images.images[IMAGE_ID] = replace(tiny, virtual_size=3 << 30)
    assert "cannot be smaller" in refused(cloud, storage, asked)


def test_an_image_that_names_snapshots_must_fit(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    taken = snapshot(storage, volume(storage))
    mapping = {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": taken, "boot_index": 0}
    tiny = cloud.images.images[IMAGE_ID]

    def say(*mappings: dict[str, Any], **values: Any) -> None:
        facts = {"block_device_mapping": json.dumps(mappings), "bdm_v2": "True", "hw_machine_type": "q35"}
        cloud.images.images[IMAGE_ID] = replace(tiny, size=0, properties=facts, **values)

    asked = body(block_device_mapping_v2=None, imageRef=IMAGE_ID)
    say(mapping | {"volume_size": 2}, min_disk_gib=3)
    assert "minimum size" in refused(cloud, storage, asked)
    say(mapping | {"volume_size": 1})
    assert "smaller than the snapshot" in refused(cloud, storage, asked)
    say(mapping, min_ram_mib=10**6)
    assert "memory is too small" in refused(cloud, storage, asked)
    say(mapping | {"snapshot_id": NOBODY})
    assert "failed to get snapshot" in refused(cloud, storage, asked)
    say({"source_type": "tape"})
    assert "Block Device Mapping is Invalid" in refused(cloud, storage, asked)
    say(mapping)
    assert "Boot sequence" in refused(cloud, storage, body(root(volume(storage)), imageRef=IMAGE_ID))
    assert client.post("/servers", asked).status_code == 202
    [written] = waiting(cloud)
    assert (written["image_id"], written["image_properties"]) == ("", {"hw_machine_type": "q35"})
    [device] = written["volumes"]
    assert (device["device_name"], device["boot_index"], device["size_gib"]) == ("/dev/vda", 0, 2)


@pytest.mark.parametrize(
    ("most", "devices", "flavor", "status"),
    [
        pytest.param(0, 1, "1", 400, id="no local disks"),
        pytest.param(1, 1, "1", 202, id="image alone"),
        pytest.param(2, 1, "roomy", 400, id="those of the flavor"),
        pytest.param(3, 1, "roomy", 202, id="enough for those of the flavor"),
        pytest.param(3, 3, "roomy", 400, id="more than one ephemeral disk"),
        pytest.param(4, 3, "roomy", 202, id="room for them"),
        pytest.param(-1, 3, "roomy", 202, id="no limit"),
        pytest.param(0, 0, "1", 202, id="volumes do not count"),
    ],
)
def test_local_disks_are_limited(
    cloud: Cloud, client: Client, storage: BlockStorage, most: int, devices: int, flavor: str, status: int
) -> None:
    with cloud.api_db.writer() as session:
        session.add(
            FlavorRow(flavorid="roomy", name="roomy", vcpus=1, memory_mb=512, root_gb=1, ephemeral_gb=2, swap=64)
        )
    cloud.conf.set_override("max_local_block_devices", most)
    ephemeral = {"source_type": "blank", "destination_type": "local", "volume_size": 1}
    asked = [IMAGE_DISK, ephemeral, ephemeral][:devices] or [root(volume(storage))]
    wanted = body(*asked, flavorRef=flavor, imageRef=IMAGE_ID if devices else None)
    if status == 202:
        assert client.post("/servers", wanted).status_code == 202
    else:
        assert "more local devices than the limit" in refused(cloud, storage, wanted)


def test_a_volume_is_not_for_many_servers(cloud: Cloud, storage: BlockStorage) -> None:
    assert "multiple instances" in refused(cloud, storage, body(root(volume(storage)), max_count=2))


def test_shared_volumes_are_of_later_versions(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    shared = StoredType(id=str(uuids.uuid4()), name="shared", extra_specs={"multiattach": "<is> True"})
    storage.store.records.put(shared)
    system = volume(storage, is_multiattach=True, type_id=shared.id)
    assert "2.60" in refused(cloud, storage, body(root(system)), version="2.59")
    for _ in range(2):
        assert client.post("/servers", body(root(system))).status_code == 202
        with storage.store.records.changing():  # As when the server runs: only then others may have it.
            found = storage.store.records.get(StoredVolume, system)
            assert found is not None
            storage.store.records.put(replace(found, status="in-use"))
    assert [row.spec["shares_volumes"] for row in cloud.rows(cloud.api_db, RequestSpecRow)] == [True, True]


def test_each_version_knows_its_own_words(cloud: Cloud, storage: BlockStorage) -> None:
    for version, word in (("2.31", "tag"), ("2.33", "tag"), ("2.41", "tag"), ("2.66", "volume_type")):
        refused(cloud, storage, body(root(NOBODY, **{word: "x"}), networks=None), version=version)
    for version in ("2.32", "2.42"):
        asked = body(root(volume(storage), tag="x"), networks=None if version == "2.32" else "none")
        assert cloud.client(version=version).post("/servers", asked).status_code == 202


def test_zones_of_volumes_count_when_they_shall(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    cloud.conf.set_override("cross_az_attach", False, group="cinder")
    here, there = volume(storage), volume(storage, availability_zone="far")
    assert "different availability zones" in refused(cloud, storage, body(root(here), data(there)))
    assert "same availability zone" in refused(cloud, storage, body(root(there)))
    assert client.post("/servers", body(root(here))).status_code == 202
    assert [row.spec["availability_zone"] for row in cloud.rows(cloud.api_db, RequestSpecRow)] == ["nova"]


def test_what_was_held_for_a_refused_server_is_given_back(cloud: Cloud, storage: BlockStorage) -> None:
    first, second = volume(storage), volume(storage)
    storage.faults.add(Fault("POST", "/attachments$", status=400))
    refused(cloud, storage, body(data(second), root(first)))
    made = blank(volume_size=10**6)  # More than anybody may have.
    assert "quota" in refused(cloud, storage, body(root(first), made), status=403)
    cloud.conf.set_override("instances", 0, group="quota")
    refused(cloud, storage, body(root(first), data(second)), status=403)


def test_a_silent_service_is_503(cloud: Cloud, storage: BlockStorage) -> None:
    system = volume(storage)
    storage.faults.add(Fault("GET", "/volumes/", status=503))
    refused(cloud, storage, body(root(system)), status=503)
    storage.faults.add(Fault("POST", "/attachments$", status=503))
    refused(cloud, storage, body(root(system)), status=503)
