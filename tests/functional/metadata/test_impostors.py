"""Requests that are not what they say: no server tells anything to another's guest, and no path leaves the tree."""

import random

import pytest

from nova_lite.metadata import askers
from tests.functional.compute_api.cloud import CELL1, CELL2, Cloud
from tests.functional.metadata.conftest import Proxy, over, signed

_PATH = "/openstack/latest/meta_data.json"
_SECRETS = "canary-of-the-victim"


@pytest.mark.parametrize("name", ["x_instance_id", "x_instance_id_signature", "x_tenant_id"])
def test_what_is_missing_is_missed(cloud: Cloud, proxy: Proxy, name: str) -> None:
    answer = proxy.send(_PATH, signed(cloud.add_server(), **{name: None}))
    assert answer.status_code == 400
    assert "missing" in answer.text


def test_no_header_at_all_and_the_address_alone(proxy: Proxy) -> None:
    assert proxy.send(_PATH, {}).status_code == 400
    assert proxy.send(_PATH, {"X-Forwarded-For": "10.0.0.4"}).status_code == 400
    assert proxy.send(_PATH, {"X-Metadata-Provider": "p", "X-Forwarded-For": "10.0.0.4"}).status_code == 400


def test_signatures_of_others_are_refused(cloud: Cloud, proxy: Proxy) -> None:
    victim, mine = cloud.add_server(CELL1, display_name=_SECRETS), cloud.add_server(CELL2)
    right = askers.signature("of the proxies", victim.uuid)
    wrong = [
        askers.signature("another secret", victim.uuid),
        askers.signature("", victim.uuid),
        askers.signature("of the proxies", mine.uuid),
        *("", "0" * 64, right[:-1], right + "0", right.upper(), f" {right} x", f"{right},{right}", "é" * 64),
    ]
    for signature in wrong:
        answer = proxy.send(_PATH, signed(victim, x_instance_id_signature=signature))
        assert answer.status_code == 403, signature
        assert _SECRETS not in answer.text
        assert right not in answer.text
    assert proxy.send(_PATH, signed(victim)).status_code == 200, "not even what is remembered is told"
    for signature in wrong:
        assert proxy.send(_PATH, signed(victim, x_instance_id_signature=signature)).status_code == 403


def test_a_project_sees_its_own_servers_only(cloud: Cloud, proxy: Proxy) -> None:
    victim = cloud.add_server(display_name=_SECRETS)
    for _ in range(2):
        for project in ("mallory", "", f"{victim.project_id} x", f"{victim.project_id},mallory"):
            answer = proxy.send(_PATH, signed(victim, x_tenant_id=project))
            assert (answer.status_code, answer.text) == (404, "")
            posted = proxy.send(
                "/openstack/latest/password", signed(victim, x_tenant_id=project), "POST", body=b"planted"
            )
            assert posted.status_code == 404
        assert proxy.send(_PATH, signed(victim)).status_code == 200
    assert proxy.ask(victim, "/openstack/latest/password").text == ""


@pytest.mark.parametrize("name", ["X-Instance-ID", "X-Instance-ID-Signature", "X-Tenant-ID"])
def test_one_who_says_two_things_is_not_believed(cloud: Cloud, proxy: Proxy, name: str) -> None:
    victim, mine = cloud.add_server(CELL1, display_name=_SECRETS), cloud.add_server(CELL2, project_id="mallory")
    for first, second in ((victim, mine), (mine, victim)):
        headers = [*signed(first).items(), (name, signed(second)[name])]
        answer = proxy.send(_PATH, headers)
        assert answer.status_code in (403, 404)
        assert _SECRETS not in answer.text


def test_well_signed_names_that_no_server_has(proxy: Proxy, cloud: Cloud) -> None:
    server = cloud.add_server()
    for uuid in ("", "x", "../etc/passwd", "' OR 1=1 --", "a" * 50_000, server.uuid.upper(), "%00"):
        headers = signed(server, x_instance_id=uuid, x_instance_id_signature=askers.signature("of the proxies", uuid))
        assert proxy.send(_PATH, headers).status_code == 404, uuid[:50]


def test_huge_headers_are_refused_like_others(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.add_server()
    huge = "a" * 1_000_000
    assert proxy.send(_PATH, signed(server, x_instance_id=huge)).status_code == 403
    assert proxy.send(_PATH, signed(server, x_instance_id_signature=huge)).status_code == 403
    assert proxy.send(_PATH, signed(server, x_tenant_id=huge)).status_code == 404
    assert proxy.send(_PATH, signed(server, x_forwarded_for=huge)).status_code == 200


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, ""),
        ("", ""),
        ("10.0.0.4", "10.0.0.4"),
        ("10.0.0.4, 192.0.2.1", "10.0.0.4"),
        ("2001:DB8::1", "2001:db8::1"),
        ("<script>", ""),
        ("10.0.0.4\n", "10.0.0.4"),
        ("999.1.1.1", ""),
    ],
)
def test_an_address_is_an_address_or_nothing(cloud: Cloud, proxy: Proxy, forwarded: str | None, address: str) -> None:
    answer = proxy.send("/latest/meta-data/local-ipv4", signed(cloud.add_server(), x_forwarded_for=forwarded))
    assert answer.text == address


def test_no_path_leaves_the_tree(cloud: Cloud) -> None:
    """Whatever is asked is a document, a listing or 404: never a file of the machine, never an error."""
    proxy = over(cloud, metadata_cache_expiration=3600)
    server = cloud.add_server(user_data="d29yZHM=")
    chosen = random.Random(24)
    pieces = [
        *("..", ".", "", "%2e%2e", "%2f", "%00", "\\", "etc", "passwd", "openstack", "ec2", "latest", "content"),
        *("0000", "meta_data.json", "meta-data", "public-keys", "0", "user_data", "password", "é", "~", "a" * 500),
        *("2012-08-10", "1.0", "vendor_data.json", "*", "?", "#", ";", "{}"),
    ]
    seen = set()
    for _ in range(400):
        path = "/" + "/".join(chosen.choices(pieces, k=chosen.randrange(1, 9)))
        answer = proxy.ask(server, path.replace("?", "%3f"))
        assert answer.status_code in (200, 404), path
        assert b"root:" not in answer.content
        seen.add(answer.status_code)
    assert seen == {200, 404}


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, cloud: Cloud, proxy: Proxy) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("nova_lite.metadata.askers.hmac.compare_digest", compare)
    server = cloud.add_server()
    assert proxy.send(_PATH, signed(server)).status_code == 200
    assert proxy.send(_PATH, signed(server, x_instance_id_signature="0")).status_code == 403
    assert [other for _, other in compared] == [signed(server)["X-Instance-ID-Signature"].encode(), b"0"]
