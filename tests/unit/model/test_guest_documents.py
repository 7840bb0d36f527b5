"""What guests are told in OpenStack's layout, by version; and that the drive and the service tell the same."""

import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_lite import errors
from nova_lite.model import ec2_documents, guest_documents
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest_documents import Vendordata
from nova_lite.model.instance import InjectedFile, Instance
from tests.guests import INSTANCE, told


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


FULL = replace(
    INSTANCE,
    key_name="mine",
    key_data="ssh-rsa AAAA",
    metadata={"role": "web"},
    user_data=encoded(b"\x00\xffwords"),
    launch_index=3,
    personality=(InjectedFile("/etc/motd", encoded(b"hi")), InjectedFile("../../etc/shadow", encoded(b"\0"))),
    volumes=(BlockDevice("one", "v1", "/dev/vdb", tag="data"), BlockDevice("two", "v2", "/dev/vdc")),
)


def meta_data(version: str, instance: Instance = FULL) -> Any:
    body = guest_documents.document(told(instance), version, "meta_data.json")
    return orjson.loads(body or b"")


_FIRST_KEYS = {
    *("uuid", "name", "hostname", "launch_index", "availability_zone"),
    *("meta", "files", "public_keys", "keys"),
}


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("2012-08-10", set()),
        ("2013-04-04", {"random_seed"}),
        ("2013-10-17", {"random_seed"}),
        ("2015-10-15", {"random_seed", "project_id"}),
        ("2016-06-30", {"random_seed", "project_id", "devices"}),
        ("2018-08-27", {"random_seed", "project_id", "devices"}),
        ("2020-10-14", {"random_seed", "project_id", "devices", "dedicated_cpus"}),
        ("2025-04-04", {"random_seed", "project_id", "devices", "dedicated_cpus"}),
    ],
)
def test_each_version_has_its_keys(version: str, more: set[str]) -> None:
    assert meta_data(version).keys() == _FIRST_KEYS | more


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("2012-08-10", "meta_data.json user_data"),
        ("2013-04-04", "meta_data.json user_data password"),
        ("2013-10-17", "meta_data.json user_data password vendor_data.json"),
        ("2015-10-15", "meta_data.json user_data password vendor_data.json network_data.json"),
        ("2016-10-06", "meta_data.json user_data password vendor_data.json network_data.json vendor_data2.json"),
    ],
)
def test_each_version_has_its_documents(version: str, names: str) -> None:
    assert guest_documents.names(told(FULL), version) == names.split()
    others = {"meta_data.json", "vendor_data.json", "vendor_data2.json", "network_data.json"} - set(names.split())
    assert all(guest_documents.document(told(FULL), version, name) is None for name in (*others, "", "x"))


def test_what_the_newest_says() -> None:
    found = meta_data("2025-04-04")
    assert (found["uuid"], found["name"], found["hostname"], found["launch_index"]) == (
        FULL.uuid,
        "vm one",
        "vm-one",
        3,
    )
    assert (found["availability_zone"], found["project_id"], found["meta"]) == ("nova", "demo", {"role": "web"})
    assert found["public_keys"] == {"mine": "ssh-rsa AAAA"}
    assert found["keys"] == [{"name": "mine", "type": "ssh", "data": "ssh-rsa AAAA"}]
    assert len(base64.b64decode(found["random_seed"])) == 512
    assert found["devices"] == [
        {"type": "disk", "bus": "none", "address": "none", "serial": "v1", "path": "/dev/vdb", "tags": ["data"]}
    ]
    assert found["dedicated_cpus"] == []
    assert found["files"] == [
        {"path": "/etc/motd", "content_path": "/content/0000"},
        {"path": "../../etc/shadow", "content_path": "/content/0001"},
    ]


def test_what_a_plain_server_is_not_told() -> None:
    assert meta_data("2012-08-10", INSTANCE).keys() == {
        *("uuid", "name", "hostname", "launch_index", "availability_zone")
    }
    assert guest_documents.document(told(), "2025-04-04", "user_data") is None
    assert guest_documents.document(told(replace(INSTANCE, user_data="")), "2025-04-04", "user_data") == b""


def test_a_certificate_is_a_key_of_its_own_kind() -> None:
    certified = replace(INSTANCE, key_name="win", key_data="-----BEGIN CERTIFICATE-----\nAA")
    assert meta_data("2012-08-10", certified)["keys"][0]["type"] == "x509"


def test_the_domain_is_put_behind_the_name() -> None:
    body = guest_documents.document(told(domain="novalocal"), "2012-08-10", "meta_data.json")
    assert orjson.loads(body or b"")["hostname"] == "vm-one.novalocal"


def test_vendordata() -> None:
    newest = guest_documents.VERSIONS[-1]
    assert orjson.loads(guest_documents.document(told(), newest, "vendor_data.json") or b"") == {"motd": "hello"}
    found = orjson.loads(guest_documents.document(told(), newest, "vendor_data2.json") or b"")
    assert found == {"static": {"motd": "hello"}, "inventory": {"rack": 4}}
    without = told(vendordata=Vendordata(None, dict))
    assert guest_documents.document(without, newest, "vendor_data.json") is None
    assert guest_documents.document(without, newest, "vendor_data2.json") == b"{}"
    assert "openstack/latest/vendor_data.json" not in guest_documents.drive_files(without)


def test_a_vendor_is_asked_for_its_own_document_only() -> None:
    asked: list[str] = []

    def asking() -> dict[str, object]:
        asked.append("asked")
        return {}

    mute = told(FULL, vendordata=Vendordata(None, asking))
    for path in ("/openstack", "/openstack/latest", "/openstack/latest/meta_data.json", "/latest/meta-data"):
        guest_documents.found_at(mute, guest_documents.parts_of(path))
    assert asked == []
    guest_documents.drive_files(mute)
    assert asked == ["asked"], "once for all versions"


def test_there_are_no_networks() -> None:
    body = guest_documents.document(told(), "2015-10-15", "network_data.json")
    assert orjson.loads(body or b"") == {"links": [], "networks": [], "services": []}


def test_the_drive_and_the_service_tell_the_same() -> None:
    """Every file of the drive is what the service answers at its path."""
    seen = told(FULL, domain="novalocal")
    files = guest_documents.drive_files(seen)
    assert len(files) == 67
    for path, body in files.items():
        if path.startswith("openstack/"):
            found = guest_documents.found_at(seen, guest_documents.parts_of(path))
            assert found is not None, path
            assert found.body == body, path
    for version in (*ec2_documents.VERSIONS, "latest"):
        tree = orjson.loads(files[f"ec2/{version}/meta-data.json"])
        for name, value in tree.items():
            if isinstance(value, str | int):
                assert answer(seen, f"/{version}/meta-data/{name}") == str(value)
        assert answer(seen, f"/{version}/user-data").encode("utf-8", "surrogateescape") == b"\x00\xffwords"


def answer(seen: guest_documents.Told, path: str) -> str:
    found = guest_documents.found_at(seen, guest_documents.parts_of(path))
    assert found is not None, path
    return found.body.decode("utf-8", "surrogateescape")


def test_the_service_has_what_no_drive_can_have() -> None:
    seen = told(FULL, password="sealed")
    assert answer(seen, "/openstack/latest/password") == "sealed"
    assert answer(told(FULL), "/openstack/latest/password") == ""
    assert not [path for path in guest_documents.drive_files(seen) if path.endswith("password")]


def test_listings_and_types() -> None:
    seen = told(FULL)
    assert answer(seen, "/openstack").split() == [*guest_documents.VERSIONS, "latest"]
    assert answer(seen, "/openstack/latest/") == answer(seen, f"/openstack/{guest_documents.VERSIONS[-1]}")
    assert answer(seen, "/openstack/2012-08-10").split() == ["meta_data.json", "user_data"]
    for path, media_type in (("meta_data.json", "application/json"), ("user_data", "text/plain")):
        found = guest_documents.found_at(seen, ["openstack", "latest", path])
        assert found is not None
        assert found.media_type == media_type
    assert answer(seen, "/openstack/content/0001") == "\0"


_NOTHING = (
    "/openstack/2011-01-01 /openstack/2011-01-01/meta_data.json /openstack/latest/x /openstack/content "
    "/openstack/content/0002 /openstack/content/0/0 /openstack/content/0000/x /openstack/latest/user_data/x "
    "/openstack/2012-08-10/password /openstack/latest/content/0000 /OPENSTACK /nothing"
)


@pytest.mark.parametrize("path", _NOTHING.split())
def test_there_is_nothing_elsewhere(path: str) -> None:
    assert guest_documents.found_at(told(FULL), guest_documents.parts_of(path)) is None


@pytest.mark.parametrize(
    ("path", "is_so"),
    [
        ("/openstack/latest/password", True),
        ("/openstack//latest/./password/", True),
        ("/openstack/2013-04-04/password", True),
        ("/openstack/2012-08-10/password", False),
        ("/openstack/2011-01-01/password", False),
        ("/openstack/latest/password/x", False),
        ("/latest/password", False),
    ],
)
def test_where_passwords_are_posted(path: str, is_so: bool) -> None:
    assert guest_documents.is_password(guest_documents.parts_of(path)) is is_so


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60))
def test_whatever_path_is_asked_is_somewhere_in_the_tree(path: str) -> None:
    parts = guest_documents.parts_of(path)
    assert parts[0] in ("openstack", "ec2")
    assert ".." not in parts
    guest_documents.found_at(told(FULL), parts)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=40)), max_size=5))
def test_whatever_path_a_file_is_for_it_is_called_by_a_number(files: list[tuple[str, bytes]]) -> None:
    injected = tuple(InjectedFile(path, encoded(body)) for path, body in files)
    held = guest_documents.drive_files(told(replace(INSTANCE, personality=injected)))
    contents = {path: body for path, body in held.items() if "/content/" in path}
    assert contents == {f"openstack/content/{number:04}": body for number, (_, body) in enumerate(files)}


def test_user_data_that_is_no_base64_is_told() -> None:
    with pytest.raises(errors.GuestFailed, match="user_data"):
        guest_documents.drive_files(told(replace(INSTANCE, user_data="a")))
