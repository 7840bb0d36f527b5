"""What servers have of networks."""

from typing import Any

import pytest

from tests.functional.compute_api.cloud import IMAGE_ID, Client, Cloud


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("ips", {"addresses": {}}),
        ("os-interface", {"interfaceAttachments": []}),
        ("os-security-groups", {"security_groups": []}),
    ],
)
def test_a_server_has_nothing_of_networks(cloud: Cloud, client: Client, path: str, shown: object) -> None:
    server = cloud.add_server()
    assert client.get(f"/servers/{server.uuid}/{path}").json == shown
    assert client.get(f"/servers/{IMAGE_ID}/{path}").status_code == 404
    assert client.get(f"/servers/{server.uuid}/{path}", any="thing").status_code == 400
    assert cloud.client("mallory:elsewhere").get(f"/servers/{server.uuid}/{path}").status_code == 404


@pytest.mark.parametrize("path", ["ips/private", f"os-interface/{IMAGE_ID}"])
def test_nothing_of_them_is_found(cloud: Cloud, client: Client, path: str) -> None:
    server = cloud.add_server()
    assert client.get(f"/servers/{server.uuid}/{path}").status_code == 404


def test_no_interface_comes_or_goes(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server()
    path = f"/servers/{server.uuid}/os-interface"
    bodies: list[dict[str, object]] = [{}, {"interfaceAttachment": {}}, {"interfaceAttachment": {"net_id": IMAGE_ID}}]
    for body in bodies:
        answer = client.post(path, body)
        assert answer.status_code == 400
        assert "no networks" in answer.json["badRequest"]["message"]
    assert client.post(path, {"bogus": 1}).status_code == 400
    assert client.delete(f"{path}/{IMAGE_ID}").status_code == 404
    stranger = cloud.client("mallory:elsewhere")
    assert stranger.post(path, {}).status_code == 404
    assert stranger.delete(f"{path}/{IMAGE_ID}").status_code == 404


@pytest.mark.parametrize(
    ("action", "ends"),
    [
        ({"addFixedIp": {"networkId": IMAGE_ID}}, True),
        ({"removeFixedIp": {"address": "192.0.2.1"}}, True),
        ({"addFloatingIp": {"address": "192.0.2.1"}}, True),
        ({"removeFloatingIp": {"address": "192.0.2.1"}}, True),
        ({"addSecurityGroup": {"name": "default"}}, False),
        ({"removeSecurityGroup": {"name": "default"}}, False),
    ],
)
def test_actions_on_networks_are_refused(cloud: Cloud, action: dict[str, Any], ends: bool) -> None:
    path = f"/servers/{cloud.add_server().uuid}/action"
    answer = cloud.client(version="2.43").post(path, action)
    assert answer.status_code == 400
    assert "no networks" in answer.json["badRequest"]["message"]
    assert cloud.client(version="2.44").post(path, action).status_code == (404 if ends else 400)
    assert cloud.client(version="2.43").post(path, {name: {} for name in action}).status_code == 400
    assert cloud.client("mallory:elsewhere", "2.43").post(path, action).status_code == 404
