"""Domain definitions: what is in them, and that no input gets out of its place."""

from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from nova_lite.compute.virt.libvirt import migration_xml
from nova_lite.compute.virt.libvirt.domain_xml import Disk, Mark, Setting, domain, read_mark
from nova_lite.compute.virt.libvirt.properties import Hardware
from nova_lite.model.guest import GuestSpec

UUID = "6f1ba2a1-83f3-4df4-bd4d-3f3f21ab3e52"
SPEC = GuestSpec(uuid=UUID, name="vm", epoch=4, vcpus=2, ram_mib=512, root_gib=1)
SETTING = Setting("alpha", "qemu", "/i/console.log")
ROOT = Disk("/i/disk", "qcow2", backing=("/b/base", "raw"))
EPHEMERAL = Disk("/i/disk.eph0", "raw")
SWAP = Disk("/i/disk.swap", "raw")
CONFIG = Disk("/i/disk.config", "raw", is_config_drive=True)
ALL = [ROOT, EPHEMERAL, SWAP, CONFIG]


def built(
    spec: GuestSpec = SPEC,
    hardware: Hardware | None = None,
    disks: list[Disk] | None = None,
    setting: Setting = SETTING,
) -> Element:
    return ElementTree.fromstring(domain(spec, hardware or Hardware(), disks or ALL, setting))


def targets(root: Element) -> list[tuple[str, str, str]]:
    disks = root.findall("devices/disk")
    found = [(disk.get("device"), disk.find("target")) for disk in disks]
    return [
        (device or "", target.get("dev", ""), target.get("bus", "")) for device, target in found if target is not None
    ]


def test_size_and_identity() -> None:
    root = built()
    assert root.get("type") == "qemu"
    assert root.findtext("name") == f"instance-{UUID}"
    assert root.findtext("uuid") == UUID
    memory = root.find("memory")
    assert memory is not None
    assert (memory.text, memory.get("unit")) == ("512", "MiB")
    assert root.findtext("vcpu") == "2"
    log = root.find("devices/serial/log")
    assert log is not None
    assert log.attrib == {"file": "/i/console.log", "append": "on"}


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        pytest.param(
            Hardware("pc", "virtio", "ide"),
            [("disk", "vda", "virtio"), ("disk", "vdb", "virtio"), ("disk", "vdc", "virtio"), ("cdrom", "hda", "ide")],
            id="pc",
        ),
        pytest.param(
            Hardware("q35", "virtio", "scsi"),
            [("disk", "vda", "virtio"), ("disk", "vdb", "virtio"), ("disk", "vdc", "virtio"), ("cdrom", "sda", "scsi")],
            id="q35",
        ),
        pytest.param(
            Hardware("pc", "ide", "ide"),
            [("disk", "hda", "ide"), ("disk", "hdb", "ide"), ("disk", "hdc", "ide"), ("cdrom", "hdd", "ide")],
            id="all on ide",
        ),
        pytest.param(
            Hardware("q35", "sata", "scsi"),
            [("disk", "sda", "sata"), ("disk", "sdb", "sata"), ("disk", "sdc", "sata"), ("cdrom", "sdd", "scsi")],
            id="two buses, one prefix",
        ),
    ],
)
def test_disks_have_names_of_their_own(hardware: Hardware, expected: list[tuple[str, str, str]]) -> None:
    assert targets(built(hardware=hardware)) == expected


def test_scsi_disks_sit_on_virtio_scsi() -> None:
    controller = built(hardware=Hardware("q35", "virtio", "scsi")).find("devices/controller[@type='scsi']")
    assert controller is not None
    assert controller.get("model") == "virtio-scsi"
    assert built().find("devices/controller[@type='scsi']") is None


def test_every_format_is_spelled_out_down_to_the_bottom() -> None:
    """A raw disk into which its guest wrote another format's header stays raw, and so does all below an overlay."""
    for disk in built().findall("devices/disk"):
        driver = disk.find("driver")
        assert driver is not None
        assert driver.get("type") in ("raw", "qcow2")
        bottom = disk.find("backingStore")
        while bottom is not None and len(bottom):
            below_format = bottom.find("format")
            assert below_format is not None
            assert below_format.get("type") in ("raw", "qcow2")
            bottom = bottom.find("backingStore")
        assert bottom is not None


def test_config_drive_is_read_only() -> None:
    cdrom = built().find("devices/disk[@device='cdrom']")
    assert cdrom is not None
    assert cdrom.find("readonly") is not None
    assert all(disk.find("readonly") is None for disk in built().findall("devices/disk[@device='disk']"))


def test_config_drive_of_vfat_is_a_disk_that_is_read_only_and_stays_one_where_it_goes() -> None:
    xml = domain(SPEC, Hardware(), [ROOT, replace(CONFIG, is_cdrom=False)], SETTING)
    assert targets(ElementTree.fromstring(xml)) == [("disk", "vda", "virtio"), ("disk", "vdb", "virtio")]
    assert [(disk.is_read_only, disk.is_cdrom) for disk in migration_xml.disks(xml)] == [(False, False), (True, False)]
    usual = migration_xml.disks(domain(SPEC, Hardware(), [ROOT, CONFIG], SETTING))
    assert [(disk.is_read_only, disk.is_cdrom) for disk in usual] == [(False, False), (True, True)]


@pytest.mark.parametrize(("virt_type", "mode"), [("qemu", None), ("kvm", "host-model")])
def test_cpu_follows_the_configured_type(virt_type: str, mode: str | None) -> None:
    root = built(setting=replace(SETTING, virt_type=virt_type))
    cpu = root.find("cpu")
    assert cpu is not None
    assert (root.get("type"), cpu.get("mode")) == (virt_type, mode)


EVIL = ["</nova-lite:name><evil/>", "a&b<c>\"d'", "]]><!--", "&xxe;", "\x00\x01\x1b\ufffe\ud800", "é\U0001f600", ""]


@pytest.mark.parametrize("text", EVIL)
def test_texts_stay_in_their_place(text: str) -> None:
    spec = replace(SPEC, name=text)
    disk = replace(ROOT, path=f"/i/{text}", backing=(f"/b/{text}", "raw"))
    safe = "".join(letter for letter in text if letter.isprintable())
    root = built(spec, disks=[replace(disk, path=f"/i/{safe}", backing=(f"/b/{safe}", "raw"))])
    plain = built()
    assert [child.tag for child in root] == [child.tag for child in plain]
    mark = root.find("metadata/*")
    assert mark is not None
    assert len(mark) == 4
    source = root.find("devices/disk/source")
    assert source is not None
    assert source.get("file") == f"/i/{safe}"


def test_the_mark_is_read_back() -> None:
    element = built().find("metadata/*")
    assert element is not None
    for part in element.iter():  # libvirt hands the element out without its namespace
        part.tag = part.tag.rpartition("}")[2]
    assert read_mark(ElementTree.tostring(element, encoding="unicode")) == Mark("alpha", 4)


@pytest.mark.parametrize(
    "text", ["", "<", "<instance/>", "<instance><host>a</host></instance>", "<i><host>a</host><epoch>x</epoch></i>"]
)
def test_a_foreign_mark_is_none(text: str) -> None:
    assert read_mark(text) is None
