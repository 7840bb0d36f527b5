"""Servers' topologies."""

from tests.functional.compute_api.cloud import Client, Cloud

_NOWHERE = "99999999-9999-4999-8999-999999999999"


def test_a_server_is_bound_to_no_node(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server()
    assert client.get(f"/servers/{server.uuid}/topology").json == {"nodes": [], "pagesize_kb": None}
    assert client.get(f"/servers/{_NOWHERE}/topology").status_code == 404
    assert client.get(f"/servers/{server.uuid}/topology", any="thing").status_code == 400
    assert cloud.client(version="2.101").get(f"/servers/{server.uuid}/topology", any="thing").status_code == 200
    assert cloud.client(version="2.77").get(f"/servers/{server.uuid}/topology").status_code == 404
