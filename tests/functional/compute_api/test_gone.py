"""URLs that were taken out of the API."""

import re

import pytest

from nova_lite.api.handlers.gone import GONE
from tests.functional.compute_api.cloud import Client, Cloud


@pytest.mark.parametrize("version", ["2.1", "2.104"])
def test_what_is_gone_is_gone_in_every_version(cloud: Cloud, version: str) -> None:
    client = cloud.client(version=version)
    for path, methods in GONE.items():
        for method in methods:
            answer = client.request(method, re.sub(r"\{\w+\}", "one", path))
            assert answer.status_code == 410, f"{method} {path}"
            assert answer.json["computeFault"]["code"] == 410


def test_who_has_no_token_does_not_hear_of_it(cloud: Cloud) -> None:
    assert cloud.client(token="").get("/os-agents").status_code == 401


def test_a_url_of_which_some_is_gone_is_not_found_otherwise(client: Client) -> None:
    assert client.get("/os-networks/add").status_code == 404
    assert client.post("/os-networks/add", {"network": {}}).status_code == 410
    assert client.request("PATCH", "/os-networks/add").status_code == 404


def test_the_urls_may_name_the_callers_project(cloud: Cloud) -> None:
    assert cloud.client(root="/v2.1/demo").get("/os-agents").status_code == 410
    assert cloud.client(root="/v2.1/another").get("/os-agents").status_code == 400


@pytest.mark.parametrize(
    ("action", "version", "status"),
    [
        ("resetNetwork", "2.1", 410),
        ("resetNetwork", "2.104", 410),
        ("os-getRDPConsole", "2.5", 410),
        ("os-getRDPConsole", "2.6", 404),
    ],
)
def test_actions_that_are_gone(cloud: Cloud, action: str, version: str, status: int) -> None:
    server = cloud.add_server()
    answer = cloud.client(version=version).post(f"/servers/{server.uuid}/action", {action: None})
    assert answer.status_code == status
