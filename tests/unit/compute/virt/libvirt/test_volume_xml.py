"""Volumes as disks of definitions: what each kind of connection becomes, and that no secret is in it."""

from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from nova_lite.compute.virt.libvirt import migration_xml, volume_xml
from nova_lite.compute.virt.libvirt.domain_xml import Disk, Setting, domain
from nova_lite.compute.virt.libvirt.properties import Hardware
from nova_lite.compute.virt.libvirt.volume_xml import Host, Local
from nova_lite.errors import GuestFailed
from nova_lite.model.guest import GuestSpec, VolumeDisk
from nova_lite.model.live_migration import Landing
from tests.contract.virt.connections import ISCSI, NBD, RBD

FIRST, SECOND = "11111111-83f3-4df4-bd4d-3f3f21ab3e52", "22222222-83f3-4df4-bd4d-3f3f21ab3e52"
HOST = Host("alpha", "iqn.2004-10.example:alpha")
LOCAL = Local("/v/one")


def a_volume(connection: dict[str, object] | None = None, name: str = "/dev/vdb", **changes: object) -> VolumeDisk:
    made = VolumeDisk(FIRST, name, {"driver_volume_type": "local"} if connection is None else connection)
    return replace(made, **changes)  # type: ignore[arg-type]


def disk(volume: VolumeDisk | None = None, local: Local | None = LOCAL) -> Element:
    wanted = volume or a_volume()
    return volume_xml.disk(wanted, HOST, local if wanted.connection["driver_volume_type"] == "local" else None)


def part(element: Element, path: str) -> Element:
    found = element.find(path)
    assert found is not None
    return found


def test_a_file_is_a_raw_disk_whatever_is_in_it() -> None:
    found = disk()
    assert found.attrib == {"type": "file", "device": "disk"}
    assert part(found, "driver").attrib == {"name": "qemu", "type": "raw", "cache": "none", "discard": "unmap"}
    assert part(found, "source").attrib == {"file": "/v/one"}
    assert part(found, "target").attrib == {"dev": "vdb", "bus": "virtio"}
    assert found.findtext("serial") == FIRST
    assert found.find("backingStore") is not None
    assert [found.find(name) for name in ("readonly", "shareable", "iotune")] == [None] * 3


def test_what_bears_no_direct_access_is_cached() -> None:
    assert part(disk(local=replace(LOCAL, is_direct=False)), "driver").get("cache") == "writeback"


def test_a_device_of_the_host() -> None:
    found = disk(local=Local("/dev/mapper/one", is_device=True))
    assert found.get("type") == "block"
    assert part(found, "source").attrib == {"dev": "/dev/mapper/one"}


def test_rbd() -> None:
    found = disk(a_volume(RBD))
    source = part(found, "source")
    assert source.attrib == {"protocol": "rbd", "name": "volumes/volume-1"}
    assert [host.attrib for host in source.findall("host")] == [
        {"name": "192.0.2.1", "port": "6789"},
        {"name": "2001:db8::2", "port": "6790"},
    ]
    assert part(source, "auth").get("username") == "cinder"
    assert part(source, "auth/secret").attrib == {"type": "ceph", "uuid": RBD["secret_uuid"]}
    assert part(found, "driver").get("discard") == "unmap"


def test_iscsi_keeps_its_password_out_of_the_definition() -> None:
    found = disk(a_volume(ISCSI))
    source = part(found, "source")
    assert source.attrib == {"protocol": "iscsi", "name": "iqn.2010-10.org.openstack:volume-1/1"}
    assert part(source, "host").attrib == {"name": "2001:db8::1", "port": "3260"}
    assert part(source, "initiator/iqn").get("name") == HOST.initiator
    kept = volume_xml.secret(ISCSI, HOST)
    assert kept is not None
    assert kept.value == b"very secret"
    assert part(source, "auth/secret").attrib == {"type": "iscsi", "uuid": kept.uuid}
    texts = (ElementTree.tostring(found, encoding="unicode"), kept.xml, repr(kept), repr(a_volume(ISCSI)))
    assert all("very secret" not in text for text in texts)


def test_each_attachment_and_host_has_a_secret_of_its_own_that_is_found_again() -> None:
    known = volume_xml.secret(ISCSI, HOST)
    assert known == volume_xml.secret(ISCSI, Host("alpha"))
    assert known is not None
    for other in (
        volume_xml.secret({**ISCSI, "attachment_id": "a-2"}, HOST),
        volume_xml.secret(ISCSI, Host("beta")),
        volume_xml.secret({**ISCSI, "attachment_id": None}, HOST),
    ):
        assert other is not None
        assert other.uuid != known.uuid
        assert volume_xml.is_ours(other.usage)
    assert volume_xml.secret(RBD, HOST) is None
    assert volume_xml.secret({**ISCSI, "auth_password": None}, HOST) is None
    assert not volume_xml.is_ours("client.cinder secret")


def test_nbd() -> None:
    source = part(disk(a_volume(NBD)), "source")
    assert source.attrib == {"protocol": "nbd", "name": "one"}
    assert part(source, "host").attrib == {"name": "192.0.2.7", "port": "10809"}


def test_how_a_volume_may_be_used() -> None:
    limits = {"total_iops_sec": "100", "read_bytes_sec": 7, "minIOPS": "1", "write_iops_sec": "1; x"}
    connection: dict[str, object] = {"driver_volume_type": "local", "access_mode": "ro", "qos_specs": limits}
    found = disk(a_volume(connection, name="/dev/sdc", bus="scsi", is_shareable=True))
    assert found.find("readonly") is not None
    assert found.find("shareable") is not None
    assert part(found, "target").attrib == {"dev": "sdc", "bus": "scsi"}
    assert {each.tag: each.text for each in part(found, "iotune")} == {"total_iops_sec": "100", "read_bytes_sec": "7"}


@pytest.mark.parametrize(
    ("volume", "match"),
    [
        pytest.param(
            a_volume({"driver_volume_type": "fibre_channel"}), "'fibre_channel'.*local, rbd, iscsi", id="kind"
        ),
        pytest.param(a_volume({"driver_volume_type": None}), "nothing", id="no kind"),
        pytest.param(a_volume({**RBD, "encrypted": True}), "Encrypted", id="encrypted"),
        pytest.param(a_volume({**RBD, "name": ""}), "rbd.*name", id="no image"),
        pytest.param(a_volume({**RBD, "secret_uuid": None}), "secret_uuid", id="no secret"),
        pytest.param(a_volume({**ISCSI, "target_iqn": None}), "target_iqn", id="no target"),
        pytest.param(a_volume({"driver_volume_type": "nbd", "host": "x"}), "port", id="no port"),
        pytest.param(a_volume(name="/dev/../x"), "no name", id="name"),
        pytest.param(a_volume(name=""), "no name", id="no name"),
    ],
)
def test_what_cannot_be_is_refused(volume: VolumeDisk, match: str) -> None:
    with pytest.raises(GuestFailed, match=match):
        disk(volume)


SPEC = GuestSpec(uuid="6f1ba2a1-83f3-4df4-bd4d-3f3f21ab3e52", name="vm", epoch=4, vcpus=2, ram_mib=512, root_gib=1)
OWN = [Disk("/i/disk", "qcow2", backing=("/b/base", "raw")), Disk("/i/disk.eph0", "raw")]


def definition(volumes: list[VolumeDisk], own: list[Disk], hardware: Hardware | None = None) -> str:
    spec = replace(SPEC, volumes=tuple(volumes))
    setting = Setting("alpha", "qemu", "/i/console.log")
    return domain(spec, hardware or Hardware(), own, setting, [disk(each) for each in volumes])


def names(xml: str) -> list[tuple[str, str | None]]:
    found = ElementTree.fromstring(xml).findall("devices/disk")
    return [(part(each, "target").get("dev", ""), each.findtext("serial")) for each in found]


def test_own_disks_take_the_names_that_volumes_leave() -> None:
    xml = definition([a_volume(), a_volume(RBD, name="/dev/vdd", volume_id=SECOND)], OWN)
    assert names(xml) == [("vda", None), ("vdc", None), ("vdb", FIRST), ("vdd", SECOND)]
    assert volume_xml.volume_ids(xml) == [FIRST, SECOND]


def test_what_a_guest_boots_from_comes_first() -> None:
    xml = definition([a_volume(name="/dev/vda", boot_index=0), a_volume(RBD, volume_id=SECOND)], OWN[1:])
    assert names(xml) == [("vda", FIRST), ("vdc", None), ("vdb", SECOND)]


def test_a_volume_on_scsi_has_a_controller() -> None:
    wanted = a_volume(name="/dev/sda", bus="scsi")
    with_controller, without = definition([wanted], OWN), definition([], OWN)
    assert ElementTree.fromstring(with_controller).find("devices/controller[@model='virtio-scsi']") is not None
    assert [each.get("model") for each in volume_xml.lacking(without, disk(wanted))] == ["virtio-scsi"]
    assert volume_xml.lacking(with_controller, disk(wanted)) == []
    assert volume_xml.lacking(without, disk()) == []


def test_a_name_or_a_source_that_another_disk_has_is_told() -> None:
    xml = definition([a_volume()], OWN)
    assert volume_xml.rival(xml, disk()) is None
    elsewhere = Local("/v/two")
    other = a_volume(volume_id=SECOND)
    assert "another disk at /dev/vdb" in str(volume_xml.rival(xml, disk(other, elsewhere)))
    assert "another disk at /dev/vda" in str(volume_xml.rival(xml, disk(replace(other, device_name="/dev/vda"))))
    assert "is the server's disk /dev/vdb" in str(volume_xml.rival(xml, disk(replace(other, device_name="/dev/vdd"))))
    free = disk(replace(other, device_name="/dev/vdd"), elsewhere)
    assert volume_xml.rival(xml, free) is None


def test_sources_are_the_same_whatever_libvirt_adds() -> None:
    given = disk(a_volume(RBD))
    part(given, "source").set("index", "3")
    assert volume_xml.is_same_source(given, disk(a_volume(RBD)))
    assert not volume_xml.is_same_source(given, disk(a_volume({**RBD, "hosts": ["192.0.2.9"]})))
    assert not volume_xml.is_same_source(disk(a_volume(ISCSI)), disk(a_volume({**ISCSI, "attachment_id": "a-2"})))


def test_a_volume_goes_from_a_definition_and_nothing_else_does() -> None:
    xml = definition([a_volume(), a_volume(ISCSI, name="/dev/vdd", volume_id=SECOND)], OWN)
    kept = volume_xml.secret(ISCSI, HOST)
    assert kept is not None
    assert volume_xml.secrets_in(xml) == [kept.uuid]
    assert names(volume_xml.without(xml, SECOND)) == [("vda", None), ("vdc", None), ("vdb", FIRST)]
    assert volume_xml.of_volume(volume_xml.without(xml, SECOND), SECOND) is None
    assert volume_xml.of_volume(xml, SECOND) is not None


def test_a_guest_that_lands_has_its_volumes_as_they_are_there() -> None:
    xml = definition([a_volume(), a_volume(ISCSI, name="/dev/vdd", volume_id=SECOND)], OWN)
    assert [each.path for each in migration_xml.disks(xml)] == ["/i/disk", "/i/disk.eph0"]
    there = {
        FIRST: ElementTree.tostring(disk(a_volume(NBD)), encoding="unicode"),
        SECOND: ElementTree.tostring(disk(a_volume({**ISCSI, "attachment_id": "a-2"})), encoding="unicode"),
    }
    landing = Landing("", "", "beta", 5, directory="/there", volumes=there)
    moved = migration_xml.on_other_host(xml, landing, "/i")
    assert names(moved) == names(xml)
    first, second = volume_xml.of_volume(moved, FIRST), volume_xml.of_volume(moved, SECOND)
    assert first is not None
    assert second is not None
    assert (first.get("type"), part(first, "source").get("protocol")) == ("network", "nbd")
    own = volume_xml.secret(ISCSI, HOST)
    assert own is not None
    assert part(second, "source/auth/secret").get("uuid") != own.uuid
