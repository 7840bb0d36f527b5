"""What guests are told in EC2's layout, by version."""

from dataclasses import replace

import orjson
import pytest

from nova_lite.model import ec2_documents
from nova_lite.model.block_device import BlockDevice
from tests.guests import INSTANCE, told

FULL = replace(
    INSTANCE,
    key_name="mine",
    key_data="ssh-rsa AAAA",
    launch_index=3,
    user_data="d29yZHM=",
    image_properties={"kernel_id": "0000beef-1111-4222-8333-444455556666", "ramdisk_id": "unknown"},
    flavor=replace(INSTANCE.flavor, ephemeral_gib=1, swap_mib=64),
    volumes=(BlockDevice("two", "v2", "/dev/vdc"), BlockDevice("one", "v1", "/dev/vdb")),
)


def at(path: str) -> str | None:
    found = ec2_documents.found_at(
        told(FULL, address="10.0.0.4", domain="novalocal"), [p for p in path.split("/") if p]
    )
    return None if found is None else found.decode()


_FIRST = "ami-id ami-launch-index ami-manifest-path hostname instance-id local-ipv4 public-keys/ reservation-id"


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("1.0", ""),
        ("2007-01-19", "local-hostname public-hostname public-ipv4"),
        ("2007-08-29", "local-hostname public-hostname public-ipv4 instance-type"),
        (
            "2007-12-15",
            "local-hostname public-hostname public-ipv4 instance-type block-device-mapping/ kernel-id ramdisk-id",
        ),
        (
            "2009-04-04",
            "local-hostname public-hostname public-ipv4 instance-type block-device-mapping/ kernel-id ramdisk-id "
            "placement/ instance-action",
        ),
    ],
)
def test_each_version_lists_what_it_has(version: str, more: str) -> None:
    names = sorted([*_FIRST.split(), "security-groups", *more.split()])
    assert at(f"{version}/meta-data") == "\n".join(names)


def test_what_is_at_the_leaves() -> None:
    found = {name: at(f"latest/meta-data/{name}") for name in (at("latest/meta-data") or "").split()}
    assert found == {
        "ami-id": "ami-0cafe000",
        "ami-launch-index": "3",
        "ami-manifest-path": "FIXME",
        "block-device-mapping/": "ami\nebs0\nebs1\nephemeral0\nroot\nswap",
        "hostname": "vm-one.novalocal",
        "instance-action": "none",
        "instance-id": "i-6f1ba2a1",
        "instance-type": "m1.tiny",
        "kernel-id": "aki-0000beef",
        "local-hostname": "vm-one.novalocal",
        "local-ipv4": "10.0.0.4",
        "placement/": "availability-zone",
        "public-hostname": "vm-one.novalocal",
        "public-ipv4": "",
        "public-keys/": "0=mine",
        "ramdisk-id": "ari-00000000",
        "reservation-id": "r-abcdefgh",
        "security-groups": "",
    }
    assert at("latest/meta-data/placement/availability-zone") == "nova"
    assert at("latest/meta-data/public-keys/0") == "openssh-key"
    assert at("latest/meta-data/public-keys/0/openssh-key") == "ssh-rsa AAAA"


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("ami", "vda"),
        ("root", "/dev/vda"),
        ("ebs0", "/dev/vdb"),
        ("ebs1", "/dev/vdc"),
        ("ephemeral0", "/dev/vdd"),
        ("swap", "/dev/vde"),
    ],
)
def test_block_devices(name: str, device: str) -> None:
    assert at(f"latest/meta-data/block-device-mapping/{name}") == device


def test_listings_above() -> None:
    assert (at("") or "").split() == [*ec2_documents.VERSIONS, "latest"]
    assert at("latest") == "meta-data/\nuser-data"
    assert at("latest/user-data") == "words"
    plain = told()
    assert ec2_documents.found_at(plain, ["latest"]) == b"meta-data/"
    assert ec2_documents.found_at(plain, ["latest", "user-data"]) is None


@pytest.mark.parametrize(
    "path", ["2006-01-01", "latest/x", "latest/meta-data/hostname/x", "latest/meta-data/public-keys/1"]
)
def test_there_is_nothing_elsewhere(path: str) -> None:
    assert at(path) is None


def test_a_drive_skips_versions() -> None:
    files = dict(ec2_documents.drive_files(told(FULL), skipped=ec2_documents.VERSIONS[:-1]))
    assert sorted(files) == [
        f"ec2/{v}/{name}" for v in ("2009-04-04", "latest") for name in ("meta-data.json", "user-data")
    ]


def test_a_drive_names_its_key_as_the_service_lists_it() -> None:
    files = dict(ec2_documents.drive_files(told(FULL), ()))
    for version in (*ec2_documents.VERSIONS, "latest"):
        found = orjson.loads(files[f"ec2/{version}/meta-data.json"])
        assert found["public-keys"] == {"0": {"_name": "0=mine", "openssh-key": "ssh-rsa AAAA"}}
    without = dict(ec2_documents.drive_files(told(), ()))
    assert "public-keys" not in orjson.loads(without["ec2/latest/meta-data.json"])
