"""Behind proxies and below other paths: links and Location are what clients can reach."""

from collections.abc import Callable
from typing import Any

import falcon.testing
import pytest

from tests.functional.compute_api.cloud import IMAGE_ID, Cloud

CloudMaker = Callable[..., Cloud]
HOST = "falconframework.org"
BODY = {"server": {"name": "vm", "imageRef": IMAGE_ID, "flavorRef": "1", "networks": "none"}}
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cloud.example:8774", "X-Forwarded-Prefix": "/compute"}


def links(cloud: Cloud, headers: dict[str, str], root_path: str = "") -> list[str]:
    """Return where the version document, a new server's Location and its links point."""
    client = falcon.testing.TestClient(cloud.app)
    common: dict[str, Any] = {
        "headers": {"X-Auth-Token": "alice:demo", "OpenStack-API-Version": "compute 2.37"} | headers
    }
    if root_path:
        common["root_path"] = root_path
    version = client.simulate_get("/v2.1/", **common)
    made = client.simulate_post("/v2.1/servers", json=BODY, **common)
    assert (version.status_code, made.status_code) == (200, 202), made.text
    found = [version.json["version"]["links"][0]["href"], made.headers["location"]]
    return found + [link["href"].rpartition("/")[0] for link in made.json["server"]["links"]]


def all_at(prefix: str, found: list[str]) -> bool:
    version, location, self_link, bookmark = found
    return (
        version == f"{prefix}/v2.1/"
        and location.startswith(f"{prefix}/v2.1/servers/")
        and (self_link, bookmark) == (f"{prefix}/v2.1/servers", f"{prefix}/servers")
    )


@pytest.fixture
def proxied(make_cloud: CloudMaker) -> Cloud:
    return make_cloud(oslo_middleware={"enable_proxy_headers_parsing": True})


def test_nobody_is_believed_to_be_a_proxy_unless_told(cloud: Cloud) -> None:
    assert all_at(f"http://{HOST}", links(cloud, FORWARDED | {"Forwarded": "proto=https;host=evil.example"}))


def test_below_another_path(cloud: Cloud) -> None:
    assert all_at(f"http://{HOST}/compute", links(cloud, {}, "/compute"))


@pytest.mark.parametrize(
    ("headers", "prefix"),
    [
        ({"X-Forwarded-Proto": "https"}, f"https://{HOST}"),
        ({"X-Forwarded-Host": "cloud.example:8774"}, "http://cloud.example:8774"),
        ({"X-Forwarded-Prefix": "/compute/"}, f"http://{HOST}/compute"),
        (FORWARDED, "https://cloud.example:8774/compute"),
        ({"X-Forwarded-Host": "cloud.example, inner.example"}, "http://cloud.example"),
        ({"Forwarded": 'for=192.0.2.1;Proto=HTTPS;host="cloud.example:1", for=::1'}, "https://cloud.example:1"),
        ({"Forwarded": "proto=https", "X-Forwarded-Host": "other.example"}, f"https://{HOST}"),
        ({"X-Forwarded-Host": "[2001:db8::1]:8774"}, "http://[2001:db8::1]:8774"),
    ],
)
def test_the_proxy_is_believed(proxied: Cloud, headers: dict[str, str], prefix: str) -> None:
    found = links(proxied, headers)
    assert all_at(prefix, found), found


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "javascript"},
        {"X-Forwarded-Host": "cloud.example/evil?"},
        {"X-Forwarded-Host": "user@evil.example"},
        {"X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Prefix": "compute"},
        {"Forwarded": "nonsense;;=,,=;"},
    ],
)
def test_what_cannot_stand_in_a_link_is_not_believed(proxied: Cloud, headers: dict[str, str]) -> None:
    assert all_at(f"http://{HOST}", links(proxied, headers))


def test_a_configured_prefix_is_stronger(make_cloud: CloudMaker) -> None:
    cloud = make_cloud(
        api={"compute_link_prefix": "https://fixed.example/c"}, oslo_middleware={"enable_proxy_headers_parsing": True}
    )
    assert all_at("https://fixed.example/c", links(cloud, FORWARDED))
