"""``adminPass``: what answers tell of it where ``[api] enable_instance_password`` is false: nothing."""

from collections.abc import Callable

import pytest

from nova_lite.model.instance import Instance
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud
from tests.functional.compute_api.machines import add_machines


@pytest.fixture
def silent(make_cloud: Callable[..., Cloud]) -> Cloud:
    cloud = make_cloud(api={"enable_instance_password": False})
    add_machines(cloud)
    return cloud


def server(cloud: Cloud) -> Instance:
    return cloud.add_server(CELL1, host="h1", node_name="h1.lan", availability_zone="nova")


def test_no_answer_tells_a_password(silent: Cloud) -> None:
    client = silent.client("alice:demo", "2.1")
    wanted = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "adminPass": "opensesame"}
    made = client.post("/servers", {"server": wanted})
    assert (made.status_code, "adminPass" in made.json["server"]) == (202, False)
    rebuilt = client.post(
        f"/servers/{server(silent).uuid}/action", {"rebuild": {"imageRef": IMAGE_ID, "adminPass": "opensesame"}}
    )
    assert (rebuilt.status_code, "adminPass" in rebuilt.json["server"]) == (202, False)
    rescued = client.post(f"/servers/{server(silent).uuid}/action", {"rescue": {"adminPass": "opensesame"}})
    assert (rescued.status_code, rescued.json) == (200, {})
