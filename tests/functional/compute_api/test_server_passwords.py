"""``/servers/{id}/os-server-password``: set, looked at, read by its user alone, forgotten."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from nova_lite.api.services.key_material import generated
from nova_lite.api.services.server_passwords import sealed_with
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, Client, Cloud

_PASSWORD = "opensesame"
_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/"


class Agent:
    """Takes every password."""

    def set_password(self, instance_uuid: str, user: str, password: str) -> None:
        assert password == _PASSWORD


@pytest.fixture(autouse=True)
def agent(cloud: Cloud) -> Iterator[None]:
    serving = cloud.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", Agent())
    serving.start()
    yield
    serving.stop()


def change(client: Client, uuid: str) -> None:
    answer = client.post(f"/servers/{uuid}/action", {"changePassword": {"adminPass": _PASSWORD}})
    assert answer.status_code == 202, answer.text


def shown(client: Client, uuid: str) -> Any:
    answer = client.get(f"/servers/{uuid}/os-server-password")
    assert answer.status_code == 200
    return answer.json


def test_a_password_is_read_with_the_key_it_was_sealed_with(cloud: Cloud, client: Client) -> None:
    pair = generated("ssh", "alice")
    server = cloud.add_server(CELL1, host="h1", key_name="mine", key_data=pair.public_key)
    assert shown(client, server.uuid) == {"password": ""}
    change(client, server.uuid)
    sealed = base64.b64decode(shown(client, server.uuid)["password"])
    key = serialization.load_pem_private_key((pair.private_key or "").encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.decrypt(sealed, padding.PKCS1v15()) == _PASSWORD.encode()
    answer = client.delete(f"/servers/{server.uuid}/os-server-password")
    assert (answer.status_code, answer.text) == (204, "")
    assert shown(client, server.uuid) == {"password": ""}
    assert client.delete(f"/servers/{server.uuid}/os-server-password").status_code == 204


@pytest.mark.parametrize("key", [None, _OTHER_KEY], ids=["none", "of another kind"])
def test_without_an_rsa_key_none_is_kept(cloud: Cloud, client: Client, key: str | None) -> None:
    server = cloud.add_server(CELL1, host="h1", key_data=key)
    change(client, server.uuid)
    assert shown(client, server.uuid) == {"password": ""}


def test_unknown_parameters_are_refused_from_2_102_on(cloud: Cloud) -> None:
    path = f"/servers/{cloud.add_server().uuid}/os-server-password"
    for version, status in (("2.101", 204), ("2.102", 400)):
        answer = cloud.client(version=version).request("DELETE", path, params={"any": "thing"})
        assert answer.status_code == status


def test_a_server_without_cell_has_none(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(None)
    assert shown(client, server.uuid) == {"password": ""}
    assert client.delete(f"/servers/{server.uuid}/os-server-password").status_code == 204


def test_who_may(cloud: Cloud) -> None:
    server = cloud.add_server(CELL1, host="h1")
    path = f"/servers/{server.uuid}/os-server-password"
    for method in ("GET", "DELETE"):
        assert cloud.client("mallory:others").request(method, path).status_code == 404
    assert cloud.client("admin:ops").delete(path).status_code == 204
    assert cloud.client().get("/servers/99999999-9999-4999-8999-999999999999/os-server-password").status_code == 404


def test_what_cannot_be_sealed_is_not_kept() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    text = short.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    assert sealed_with(text, "x" * 200) is None
    assert sealed_with("ssh-rsa nonsense", "x") is None
    assert sealed_with(text, "x") is not None
