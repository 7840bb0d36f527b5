"""Snapshots of volumes, as old clients reach them here; the embedded block storage service has them."""

import uuid as uuids
from typing import Any

import pytest

from nova_lite.embedded.volume_records import StoredSnapshot, StoredVolume
from tests.functional.compute_api.cloud import Client
from tests.functional.compute_api.old_volumes import OldVolumes, await_gone, reached

_NOWHERE = "99999999-9999-4999-8999-999999999999"


def test_a_snapshot_is_made_listed_shown_and_deleted(old: Client) -> None:
    volume = old.post("/os-volumes", {"volume": {"size": 2}}).json["volume"]
    reached(old, f"/os-volumes/{volume['id']}", "available")
    wanted = {"volume_id": volume["id"], "display_name": "before", "display_description": "mine", "force": "False"}
    answer = old.post("/os-snapshots", {"snapshot": wanted})
    assert answer.status_code == 200
    path = f"/os-snapshots/{answer.json['snapshot']['id']}"
    shown = reached(old, path, "available")
    assert shown.pop("createdAt").startswith("20")
    assert shown == {
        "id": answer.json["snapshot"]["id"],
        "volumeId": volume["id"],
        "status": "available",
        "size": 2,
        "displayName": "before",
        "displayDescription": "mine",
    }
    for listing in ("/os-snapshots", "/os-snapshots/detail"):
        [listed] = old.get(listing, limit="1").json["snapshots"]
        assert listed["id"] == shown["id"]
        assert old.get(listing, offset="1").json["snapshots"] == []
    copied = old.post("/os-volumes", {"volume": {"size": 2, "snapshot_id": shown["id"]}}).json["volume"]
    assert copied["snapshotId"] == shown["id"]
    reached(old, f"/os-volumes/{copied['id']}", "available")
    assert old.delete(path).status_code == 202
    await_gone(old, path)
    assert old.delete(path).status_code == 404


def test_a_volume_in_use_is_snapshotted_only_by_force(volumes_of_old: OldVolumes, project: str, old: Client) -> None:
    volume_id = str(uuids.uuid4())
    used = StoredVolume(
        id=volume_id,
        project_id=project,
        user_id="alice",
        size_gib=1,
        status="in-use",
        type_id=volumes_of_old.storage.store.types.default().id,
        created_at="2026-01-01T00:00:00.000000",
    )
    with volumes_of_old.storage.store.records.changing():
        volumes_of_old.storage.store.records.put(used)
    refused = old.post("/os-snapshots", {"snapshot": {"volume_id": volume_id}})
    assert refused.status_code == 400
    assert "in-use" in refused.json["badRequest"]["message"]
    assert old.post("/os-snapshots", {"snapshot": {"volume_id": volume_id, "force": True}}).status_code == 200
    assert len(list(volumes_of_old.storage.store.records.of_volume(StoredSnapshot, volume_id))) == 1
    assert old.delete(f"/os-volumes/{volume_id}").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"snapshot": {}},
        {"snapshot": {"volume_id": _NOWHERE, "force": "perhaps"}},
        {"snapshot": {"volume_id": _NOWHERE, "name": "n"}},
    ],
)
def test_bad_bodies_are_refused(old: Client, body: Any) -> None:
    assert old.post("/os-snapshots", body).status_code == 400


def test_what_is_not_there_is_not_found(old: Client) -> None:
    assert old.get(f"/os-snapshots/{_NOWHERE}").status_code == 404
    assert old.delete(f"/os-snapshots/{_NOWHERE}").status_code == 404
    assert old.post("/os-snapshots", {"snapshot": {"volume_id": _NOWHERE}}).status_code == 404


def test_from_2_36_on_clients_ask_block_storage(volumes_of_old: OldVolumes) -> None:
    new = volumes_of_old.cloud.client(version="2.36")
    for path in ("/os-snapshots", "/os-snapshots/detail", f"/os-snapshots/{_NOWHERE}"):
        assert new.get(path).status_code == 404
    assert new.post("/os-snapshots", {"snapshot": {"volume_id": _NOWHERE}}).status_code == 404
    assert new.delete(f"/os-snapshots/{_NOWHERE}").status_code == 404
