"""What servers have of networks."""

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
