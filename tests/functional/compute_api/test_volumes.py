"""Volumes, as old clients reach them here; the embedded block storage service has them."""

from typing import Any

import pytest

from nova_lite.embedded.volume_records import StoredAttachment
from tests.functional.compute_api.cloud import Client
from tests.functional.compute_api.old_volumes import OldVolumes, await_gone, reached

_NOWHERE = "99999999-9999-4999-8999-999999999999"
_SERVER = "12345678-1234-4234-8234-123456789abc"


def test_a_volume_is_made_listed_shown_and_deleted(old: Client) -> None:
    wanted = {"size": "1", "display_name": "data", "display_description": "mine", "metadata": {"a": "b"}}
    answer = old.post("/os-volumes", {"volume": wanted})
    assert answer.status_code == 200
    made = answer.json["volume"]
    path = f"/os-volumes/{made['id']}"
    assert answer.headers["Location"].endswith(f"/v2.1{path}")
    shown = reached(old, path, "available")
    created_at = shown.pop("createdAt")
    assert created_at.startswith("20")
    assert shown == {
        "id": made["id"],
        "status": "available",
        "size": 1,
        "availabilityZone": "nova",
        "attachments": [{}],
        "displayName": "data",
        "displayDescription": "mine",
        "volumeType": made["volumeType"],
        "snapshotId": None,
        "metadata": {"a": "b"},
    }
    for listing in ("/os-volumes", "/os-volumes/detail"):
        assert old.get(listing).json["volumes"] == [{**shown, "createdAt": created_at}]
    assert old.delete(path).status_code == 202
    await_gone(old, path)
    assert old.delete(path).status_code == 404


def test_a_volume_tells_which_server_has_it(volumes_of_old: OldVolumes, project: str, old: Client) -> None:
    made = old.post("/os-volumes", {"volume": {"size": 1}}).json["volume"]
    reached(old, f"/os-volumes/{made['id']}", "available")
    used = StoredAttachment(
        id=_NOWHERE,
        project_id=project,
        volume_id=made["id"],
        instance_uuid=_SERVER,
        status="attached",
        mountpoint="/dev/vdb",
    )
    with volumes_of_old.storage.store.records.changing():
        volumes_of_old.storage.store.records.put(used)
    [use] = old.get(f"/os-volumes/{made['id']}").json["volume"]["attachments"]
    assert use == {"id": made["id"], "volumeId": made["id"], "serverId": _SERVER, "device": "/dev/vdb"}


def test_lists_are_cut_by_offset_and_limit(old: Client) -> None:
    for number in range(3):
        old.post("/os-volumes", {"volume": {"size": 1, "display_name": f"v{number}"}})

    def names(**query: str) -> list[str]:
        return [each["displayName"] for each in old.get("/os-volumes/detail", **query).json["volumes"]]

    newest_first = names()
    assert sorted(newest_first) == ["v0", "v1", "v2"]
    assert names(limit="2") == newest_first[:2]
    assert names(offset="1") == newest_first[1:]
    assert names(limit="1", offset="1", other="ignored") == newest_first[1:2]
    assert names(limit="0") == newest_first
    assert names(offset="9" * 5000) == []
    for query in ({"limit": "-1"}, {"offset": "-1"}, {"limit": "many"}):
        assert old.get("/os-volumes", **query).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/os-volumes", {"volume": {}}),
        ("/os-volumes", {"volume": {"size": 0}}),
        ("/os-volumes", {"volume": {"size": "0"}}),
        ("/os-volumes", {"volume": {"size": "one"}}),
        ("/os-volumes", {"volume": {"size": 1, "imageRef": _NOWHERE}}),
        ("/os-volumes", {"volume": {"size": 1}, "more": 1}),
    ],
)
def test_bad_bodies_are_refused(old: Client, path: str, body: Any) -> None:
    assert old.post(path, body).status_code == 400


def test_what_is_not_there_is_not_found(old: Client) -> None:
    assert old.get(f"/os-volumes/{_NOWHERE}").status_code == 404
    assert old.get("/os-volumes/no-uuid").status_code == 404
    assert old.post("/os-volumes", {"volume": {"size": 1, "snapshot_id": _NOWHERE}}).status_code == 404
    assert old.post("/os-volumes", {"volume": {"size": 1, "volume_type": "none-such"}}).status_code == 404


def test_another_projects_volume_is_not_found(volumes_of_old: OldVolumes, old: Client) -> None:
    made = old.post("/os-volumes", {"volume": {"size": 1}}).json["volume"]
    stranger = volumes_of_old.cloud.client("mallory:elsewhere", version="2.35")
    assert stranger.get(f"/os-volumes/{made['id']}").status_code == 404
    assert stranger.delete(f"/os-volumes/{made['id']}").status_code == 404
    assert made["id"] not in {each["id"] for each in stranger.get("/os-volumes").json["volumes"]}


def test_from_2_36_on_clients_ask_block_storage(volumes_of_old: OldVolumes) -> None:
    new = volumes_of_old.cloud.client(version="2.36")
    for path in ("/os-volumes", "/os-volumes/detail", f"/os-volumes/{_NOWHERE}"):
        assert new.get(path).status_code == 404
    assert new.post("/os-volumes", {"volume": {"size": 1}}).status_code == 404
    assert new.delete(f"/os-volumes/{_NOWHERE}").status_code == 404
