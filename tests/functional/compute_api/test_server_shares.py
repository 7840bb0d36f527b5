"""Shares of servers: there is no service of them, and whoever asks hears that as elsewhere."""

from typing import Any

import pytest

from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud

SHARE: dict[str, Any] = {"share": {"share_id": IMAGE_ID, "tag": "data"}}


def test_a_server_has_no_shares(cloud: Cloud) -> None:
    url = f"/servers/{cloud.add_server().uuid}/shares"
    client = cloud.client(version="2.97")
    assert client.get(url).json == {"shares": []}
    assert client.get(f"{url}/{IMAGE_ID}").status_code == 404
    assert client.get(url, color="red").status_code == 400
    assert cloud.client("bob:other", "2.97").get(url).status_code == 404
    assert cloud.client(version="2.96").get(url).status_code == 404
    assert client.get(f"/servers/{CELL1}/shares").status_code == 404


@pytest.mark.parametrize(
    ("state", "attached", "detached"),
    [(VmState.ACTIVE, 409, 409), (VmState.STOPPED, 403, 404), (VmState.ERROR, 409, 404)],
)
def test_none_is_attached_or_detached(cloud: Cloud, state: VmState, attached: int, detached: int) -> None:
    url = f"/servers/{cloud.add_server(vm_state=state).uuid}/shares"
    client = cloud.client(version="2.97")
    assert client.post(url, SHARE).status_code == attached
    assert client.delete(f"{url}/{IMAGE_ID}").status_code == detached
    assert cloud.client(version="2.96").post(url, SHARE).status_code == 404


@pytest.mark.parametrize(
    "share", [{}, {"share_id": "x"}, {"share_id": IMAGE_ID, "tag": ""}, {"share_id": IMAGE_ID, "color": "red"}]
)
def test_bad_bodies_are_refused(cloud: Cloud, share: dict[str, Any]) -> None:
    server = cloud.add_server(vm_state=VmState.STOPPED)
    answer = cloud.client(version="2.97").post(f"/servers/{server.uuid}/shares", {"share": share})
    assert answer.status_code == 400
