"""Rebuilding servers, as far as the API decides; the rest: ``tests/functional/workflows/test_rebuilds.py``."""

import base64
import itertools
from dataclasses import replace
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.cells import rebuilds
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS, TaskState, VmState
from tests.functional.compute_api.cloud import BIG_IMAGE_ID, CELL1, GIB, IMAGE_ID, QUEUED_IMAGE_ID, Client, Cloud

OTHER_IMAGE_ID = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Vu5qoyq4cE6dXb3l0o3Y5GmWkqV4Y0yqf0nZ5p2sG alice"
NOWHERE = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def server(cloud: Cloud) -> Instance:
    return add_server(cloud)


def add_server(cloud: Cloud, **values: Any) -> Instance:
    return cloud.add_server(CELL1, **{"host": "h1", "node": NOWHERE, "image_id": IMAGE_ID, **values})


def add_image(cloud: Cloud, **values: Any) -> None:
    image = Image(OTHER_IMAGE_ID, "other", "active", "raw", size=GIB, properties={"hw_machine_type": "pc"})
    cloud.images.images[OTHER_IMAGE_ID] = replace(image, **values)


def rebuild(client: Client, server: Instance, image_id: str = IMAGE_ID, **more: Any) -> Any:
    return client.post(f"/servers/{server.uuid}/action", {"rebuild": {"imageRef": image_id, **more}})


def said(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    (fault,) = answer.json.values()
    return str(fault["message"])


def begun_in_cell(cloud: Cloud, server: Instance) -> list[Any]:
    with cloud.cells.get(CELL1).db.reader() as session:
        return list(workflows.about(session, CellWorkflowRow, server.uuid))


def test_with_its_own_image_the_cell_begins_at_once(cloud: Cloud, client: Client, server: Instance) -> None:
    answer = rebuild(client, server)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"http://falconframework.org/v2.1/servers/{server.uuid}"
    shown = answer.json["server"]
    assert (shown["id"], shown["status"], shown["image"]["id"]) == (server.uuid, "REBUILD", IMAGE_ID)
    assert (shown["OS-EXT-STS:task_state"], len(shown["adminPass"])) == ("rebuilding", 12)
    (begun,) = begun_in_cell(cloud, server)
    assert (begun.kind, begun.inputs["rebuild"]["image_id"], begun.inputs["vm_state"]) == (
        "rebuild",
        IMAGE_ID,
        "active",
    )
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []
    (done,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert done["action"] == "rebuild"
    assert client.get(f"/servers/{server.uuid}").json["server"]["status"] == "REBUILD"


def test_another_image_is_checked_first(cloud: Cloud, client: Client, server: Instance) -> None:
    add_image(cloud)
    shown = rebuild(client, server, OTHER_IMAGE_ID, adminPass="opensesame").json["server"]
    assert (shown["image"]["id"], shown["image"]["properties"]) == (OTHER_IMAGE_ID, {"hw_machine_type": "pc"})
    assert shown["adminPass"] == "opensesame"
    (above,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert (above.kind, above.subject, above.inputs["cell_uuid"]) == ("rebuild", server.uuid, CELL1)
    assert above.inputs["rebuild"]["image_disk_format"] == "raw"
    assert begun_in_cell(cloud, server) == []
    kept = cloud.instance(server.uuid)
    assert (kept.task_state, kept.image_id) == (TaskState.REBUILDING, IMAGE_ID)


def test_everything_that_can_be_changed(cloud: Cloud, client: Client) -> None:
    server = add_server(cloud, metadata={"old": "1"}, key_name="k", key_data="old")
    added = client.post("/os-keypairs", {"keypair": {"name": "mine", "public_key": KEY}})
    assert added.status_code in (200, 201), added.text
    user_data = base64.b64encode(b"#!/bin/sh").decode()
    shown = rebuild(
        client,
        server,
        name="anew",
        description="second",
        metadata={"new": "2"},
        accessIPv4="192.0.2.9",
        accessIPv6="2001:DB8::0:9",
        key_name="mine",
        user_data=user_data,
        hostname="anew.example.org",
        trusted_image_certificates=None,
        **{"OS-DCF:diskConfig": "AUTO"},
    ).json["server"]
    assert (shown["name"], shown["description"], shown["metadata"]) == ("anew", "second", {"new": "2"})
    assert (shown["key_name"], shown["user_data"], shown["OS-DCF:diskConfig"]) == ("mine", user_data, "AUTO")
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("192.0.2.9", "2001:db8::9")
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "anew.example.org"
    (begun,) = begun_in_cell(cloud, server)
    assert begun.inputs["rebuild"]["columns"] == {
        "display_name": "anew",
        "description": "second",
        "user_metadata": {"new": "2"},
        "access_ip_v4": "192.0.2.9",
        "access_ip_v6": "2001:db8::9",
        "key_name": "mine",
        "key_data": KEY,
        "user_data": user_data,
        "hostname": "anew.example.org",
        "disk_config": "AUTO",
    }
    assert cloud.instance(server.uuid).display_name == server.display_name


def test_a_key_and_user_data_can_be_taken_away(cloud: Cloud, client: Client) -> None:
    server = add_server(cloud, key_name="k", key_data="old", user_data="aGk=")
    shown = rebuild(client, server, key_name=None, user_data=None).json["server"]
    assert (shown["key_name"], shown["user_data"]) == (None, None)
    (begun,) = begun_in_cell(cloud, server)
    assert begun.inputs["rebuild"]["columns"] == {"key_name": None, "key_data": None, "user_data": None}


@pytest.mark.parametrize(
    ("version", "field", "value"),
    [
        ("2.18", "description", "x"),
        ("2.53", "key_name", None),
        ("2.56", "user_data", None),
        ("2.57", "personality", []),
        ("2.62", "trusted_image_certificates", None),
        ("2.89", "hostname", "name"),
        ("2.93", "hostname", "name.example.org"),
        ("2.104", "flavorRef", "1"),
        ("2.104", "imageRef", "not-an-id"),
        ("2.104", "name", ""),
        ("2.104", "metadata", {"a": 1}),
        ("2.104", "accessIPv4", "x"),
        ("2.104", "preserve_ephemeral", "maybe"),
        ("2.104", "user_data", "no base64!"),
        ("2.104", "key_name", "unknown"),
        ("2.104", "trusted_image_certificates", ["one"]),
    ],
)
def test_what_is_not_in_a_version_or_cannot_be_is_refused(
    cloud: Cloud, server: Instance, version: str, field: str, value: object
) -> None:
    body = {"rebuild": {"imageRef": IMAGE_ID, field: value}}
    assert said(cloud.client(version=version).post(f"/servers/{server.uuid}/action", body), 400)
    assert cloud.instance(server.uuid).task_state is None


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("2.1", {"adminPass", "progress"}, {"description", "key_name", "user_data", "OS-EXT-STS:task_state"}),
        ("2.54", {"key_name", "description"}, {"user_data", "OS-EXT-STS:task_state"}),
        ("2.57", {"key_name", "user_data"}, {"trusted_image_certificates", "OS-EXT-STS:task_state"}),
        ("2.71", {"server_groups"}, {"OS-EXT-STS:task_state", "config_drive"}),
        ("2.75", {"OS-EXT-STS:task_state", "config_drive", "key_name", "user_data"}, {"scheduler_hints"}),
        ("2.100", {"scheduler_hints"}, set()),
    ],
)
def test_each_version_answers_what_it_knows(
    cloud: Cloud, server: Instance, version: str, has: set[str], has_not: set[str]
) -> None:
    shown = rebuild(cloud.client(version=version), server).json["server"]
    assert has <= set(shown)
    assert not has_not & set(shown)


def test_user_data_is_answered_once(admin: Client, server: Instance) -> None:
    shown = rebuild(admin, server).json["server"]
    assert "user_data" in shown
    assert "OS-EXT-SRV-ATTR:root_device_name" in shown
    assert "OS-EXT-SRV-ATTR:user_data" not in shown


def test_operators_see_the_state_of_the_host(cloud: Cloud, admin: Client, server: Instance) -> None:
    assert rebuild(admin, server).json["server"]["host_status"] == "UNKNOWN"


def test_images_that_cannot_be_are_refused(cloud: Cloud, client: Client, server: Instance) -> None:
    assert said(rebuild(client, server, NOWHERE), 400) == "Cannot find image for rebuild"
    assert "not active" in said(rebuild(client, server, QUEUED_IMAGE_ID), 400)
    assert "disk is too small" in said(rebuild(client, server, BIG_IMAGE_ID), 400)
    add_image(cloud, min_ram_mib=4096)
    assert "memory is too small" in said(rebuild(client, server, OTHER_IMAGE_ID), 400)
    add_image(cloud, min_disk_gib=4096)
    assert "disk is too small" in said(rebuild(client, server, OTHER_IMAGE_ID), 400)
    assert cloud.instance(server.uuid).task_state is None
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []


@pytest.mark.parametrize("image_id", [IMAGE_ID, OTHER_IMAGE_ID], ids=["own image", "other image"])
def test_every_wrong_state_refuses(cloud: Cloud, client: Client, image_id: str) -> None:
    add_image(cloud)
    starts = ACTIONS["rebuild"].starts_in
    assert starts == {VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}
    rest = [(vm_state, None) for vm_state in VmState if vm_state not in (VmState.DELETED, *starts)]
    busy = [(VmState.ACTIVE, task_state) for task_state in TaskState]
    for vm_state, task_state in itertools.chain(rest, busy):
        server = add_server(cloud, vm_state=vm_state, task_state=task_state)
        attribute = f"vm_state {vm_state}" if task_state is None else f"task_state {task_state}"
        expected = f"Cannot 'rebuild' instance {server.uuid} while it is in {attribute}"
        assert said(rebuild(client, server, image_id), 409) == expected
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []
    for vm_state in starts:
        server = add_server(cloud, vm_state=vm_state)
        assert rebuild(client, server, image_id).json["server"]["status"] == "REBUILD"


def test_who_may_not_and_what_is_not_ready(cloud: Cloud, client: Client) -> None:
    assert said(rebuild(client, add_server(cloud, is_locked=True)), 409).endswith("is locked")
    assert rebuild(cloud.client("bob:other"), add_server(cloud)).status_code == 404
    assert "not ready" in said(rebuild(client, cloud.add_server(CELL1, vm_state=VmState.ERROR)), 409)


def test_too_much_metadata_is_refused(cloud: Cloud, client: Client, server: Instance) -> None:
    assert said(rebuild(client, server, metadata={f"k{number}": "x" for number in range(200)}), 403)
    assert cloud.instance(server.uuid).task_state is None


def test_a_cell_that_does_not_answer_hears_of_it_later(
    cloud: Cloud, client: Client, server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workflow above begins what could not begin at once."""
    add_image(cloud)

    def silent(*args: object) -> None:
        raise errors.Unavailable("The cell does not answer.")

    monkeypatch.setattr(rebuilds, "begin_check", silent)
    assert rebuild(client, server, OTHER_IMAGE_ID).status_code == 202
    assert len(cloud.rows(cloud.api_db, ApiWorkflowRow)) == 1
    assert cloud.instance(server.uuid).task_state is None
