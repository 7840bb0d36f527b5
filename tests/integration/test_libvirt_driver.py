"""The libvirt driver keeps the contract with real guests, and what only real guests can show."""

import base64
import re
import subprocess
import threading
import time
import uuid as uuids
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute import config_drive, image_format
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.model import guest_documents
from nova_lite.model.guest import BaseImage, GuestSpec, PowerState
from nova_lite.model.instance import InjectedFile
from tests.contract.virt.move_suite import MoveContract
from tests.contract.virt.rig import GIB, a_spec, power_state, wait_until
from tests.contract.virt.suite import DriverContract
from tests.contract.virt.volume_suite import VolumeContract
from tests.guests import INSTANCE, config_files
from tests.integration.libvirt_rig import LibvirtRig, base_image, console, rig, seen_on_console

__all__ = ["base_image", "rig"]


#: A guest boots in ten seconds on a quiet machine, and some tests boot it four times.
pytestmark = pytest.mark.timeout(1500)


class TestLibvirtDriver(DriverContract, MoveContract, VolumeContract):
    """Every promise, on real guests."""


@pytest.mark.parametrize("is_on", [True, False], ids=["running", "stopped"])
def test_a_guest_boots_from_the_snapshot_of_another(rig: LibvirtRig, is_on: bool) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    wait_until(lambda: rig.banner in rig.driver.console_output(spec.uuid, lines=None), rig.patience_s, "the banner")
    if not is_on:
        rig.driver.power_off(spec.uuid, timeout_s=0)
    path = rig.directory / "snapshot"
    assert rig.driver.snapshot(spec.uuid, path, timeout_s=rig.patience_s) == "qcow2"
    found = image_format.inspect(path)
    assert (found.disk_format, found.virtual_size) == ("qcow2", GIB)
    rig.driver.destroy(spec.uuid)
    again = a_spec(root_gib=2)
    rig.driver.spawn(again, BaseImage("snapshot", str(path), found.disk_format, found.virtual_size))
    wait_until(lambda: rig.banner in rig.driver.console_output(again.uuid, lines=None), rig.patience_s, "the banner")


#: Shows what its drive says, in both layouts, and a file that was put into the server.
_READS_ITS_FILES = b"""#!/bin/sh
echo first words of user data
cd /run/config
echo "file $(cat openstack/content/0000) end, $(ls openstack | wc -l) folders, and $(ls /etc/planted 2>&1)"
echo "ec2 $(grep -o '"instance-id":"[^"]*"' ec2/latest/meta-data.json) end"
echo "seed $(grep -o '"random_seed":"[^"]*"' openstack/latest/meta_data.json | wc -c) end"
"""
_FILES = (InjectedFile("/../../etc/planted", base64.b64encode(b"words of a file").decode()),)


@pytest.mark.parametrize(
    ("machine", "bus", "prefix"), [("pc", "virtio", "vd"), ("q35", "virtio", "vd"), ("q35", "scsi", "sd")]
)
def test_guest_sees_its_config_drive_and_disks(rig: LibvirtRig, machine: str, bus: str, prefix: str) -> None:
    """The config drive is read by a kernel with few drivers, and every disk of the flavor is there."""
    spec = a_spec(
        ephemeral_gib=1,
        swap_mib=64,
        has_config_drive=True,
        config_files=config_files(_READS_ITS_FILES, hostname="proud-name", personality=_FILES),
        image_properties={"hw_machine_type": machine, "hw_disk_bus": bus},
    )
    rig.driver.spawn(spec, rig.image)
    seen_on_console(rig, spec.uuid, "proud-name login:")
    seen_on_console(rig, spec.uuid, "first words of user data")
    folders = len(guest_documents.VERSIONS) + 2
    seen_on_console(rig, spec.uuid, f"file words of a file end, {folders} folders, and .*No such file")
    seen_on_console(rig, spec.uuid, f'ec2 "instance-id":"i-{INSTANCE.uuid[:8]}" end')
    seen_on_console(rig, spec.uuid, "seed [1-9][0-9]{2} end")
    # Which name a guest gives to which disk is its own matter: it looks at them in no fixed order.
    disks = re.findall(rf"guest: disk {prefix}[a-z] (\d+) KiB", console(rig, spec.uuid))
    assert sorted(map(int, disks)) == [65536, 1048576, 1048576]
    rig.driver.destroy(spec.uuid)
    assert rig.leftovers(spec.uuid) == []


def test_guest_reads_a_config_drive_of_vfat(rig: LibvirtRig) -> None:
    """It is a disk that the guest cannot write to; and stays one, whatever the host makes later."""
    words = b"#!/bin/sh\necho words on $(grep /run/config /proc/mounts | cut -d ' ' -f 1,3) end\n"
    drive = {"has_config_drive": True, "config_files": config_files(words, hostname="fat-name")}
    spec = a_spec(**drive)
    driver = LibvirtDriver("alpha", rig.uri, "qemu", rig.directory / "alpha", drive_format="vfat")
    rig.opened.append(driver)
    driver.connect()
    driver.spawn(spec, rig.image)
    seen_on_console(rig, spec.uuid, "fat-name login:")
    seen_on_console(rig, spec.uuid, "words on /dev/vd[a-z] vfat end")
    path = rig.directory / "alpha" / spec.uuid / "disk.config"
    rig.driver._disks.renew_config_drive(spec)
    assert config_drive.format_of(path) == config_drive.VFAT
    rig.driver.destroy(spec.uuid)
    assert rig.leftovers(spec.uuid) == []


def test_stop_and_start_keep_the_disk_and_the_log(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    seen_on_console(rig, spec.uuid, " login:")
    disk = Path(rig.driver._disks._directory(spec.uuid) / "disk")
    before = disk.stat().st_ino
    rig.driver.power_off(spec.uuid, timeout_s=30)
    rig.driver.power_on(spec.uuid)
    seen_on_console(rig, spec.uuid, "(?s) login:.* login:")
    assert disk.stat().st_ino == before


def test_a_guest_that_does_not_listen_is_cut_off(rig: LibvirtRig) -> None:
    """Right after its start a guest has no driver for the power button yet."""
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    rig.driver.power_off(spec.uuid, timeout_s=0.5)
    assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN


def test_root_disk_has_the_flavors_size_and_the_base_is_untouched(rig: LibvirtRig) -> None:
    assert rig.image is not None
    base = Path(rig.image.path)
    before = (base.stat().st_mtime_ns, base.stat().st_size)
    spec = a_spec(root_gib=3)
    rig.driver.spawn(spec, rig.image)
    seen_on_console(rig, spec.uuid, " login:")
    info = rig.driver._on_guest(spec.uuid, lambda domain: domain.blockInfo("vda"), "looking at")
    assert info[0] == 3 * GIB
    assert (base.stat().st_mtime_ns, base.stat().st_size) == before


def test_a_raw_image_boots(rig: LibvirtRig) -> None:
    assert rig.image is not None
    raw = rig.directory / "base.raw"
    subprocess.run(
        ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", rig.image.path, str(raw)], check=True, timeout=480
    )
    inspected = image_format.inspect(raw)
    assert inspected.disk_format == "raw"
    spec = a_spec()
    rig.driver.spawn(spec, BaseImage("raw", str(raw), "raw", inspected.virtual_size))
    seen_on_console(rig, spec.uuid, " login:")


def test_a_raw_disk_stays_raw_whatever_its_guest_writes(rig: LibvirtRig) -> None:
    """A guest that writes another format's header on its raw disk must not have it read as such after a restart."""
    words = (
        b"#!/bin/sh\necho the disk began with $(head -c 3 /dev/vdb) end\n"
        b"printf 'QFI\\373\\0\\0\\0\\003' >/dev/vdb\nsync\necho header written\n"
    )
    spec = a_spec(ephemeral_gib=1, has_config_drive=True, config_files=config_files(words))
    rig.driver.spawn(spec, rig.image)
    seen_on_console(rig, spec.uuid, "header written")
    rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)
    seen_on_console(rig, spec.uuid, "the disk began with QFI end")
    size = rig.driver._on_guest(spec.uuid, lambda domain: domain.blockInfo("vdb")[0], "looking at")
    assert size == GIB


def test_a_paused_guest_is_cut_off_at_once(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    rig.driver._on_guest(spec.uuid, lambda domain: domain.suspend(), "pausing")
    assert power_state(rig.driver, spec.uuid) is PowerState.PAUSED
    began = time.monotonic()
    rig.driver.power_off(spec.uuid, timeout_s=600)
    assert time.monotonic() - began < 120
    assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN


def test_spawn_while_another_host_has_the_guest(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    with pytest.raises(errors.Unavailable, match="another host"):
        rig.neighbour().spawn(replace(spec, epoch=2), rig.image)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING


def test_foreign_domains_are_left_alone(rig: LibvirtRig) -> None:
    """What an operator defines by hand is none of ours, whatever its name."""
    uuid = str(uuids.uuid4())
    xml = f"<domain type='qemu'><name>instance-{uuid}</name><uuid>{uuid}</uuid><memory>65536</memory>"
    xml += "<os><type>hvm</type></os></domain>"
    domain = rig.driver._on_libvirt(lambda connection: connection.defineXML(xml), "defining")
    try:
        assert rig.driver.guests() == []
        rig.driver.destroy(uuid)
        with pytest.raises(errors.NotFound):
            rig.driver.power_on(uuid)
        assert domain.name() == f"instance-{uuid}"
    finally:
        domain.undefine()


def test_strange_names_and_texts_survive(rig: LibvirtRig) -> None:
    spec = a_spec(name="</nova-lite:name><x>&\x00\x1b\ud800é\U0001f600")
    rig.driver.spawn(spec, rig.image)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
    xml = rig.driver._on_guest(spec.uuid, lambda domain: domain.XMLDesc(0), "reading")
    assert "é\U0001f600" in xml


def test_many_guests_at_once(rig: LibvirtRig) -> None:
    specs = [a_spec(ram_mib=96) for _ in range(4)]
    failures: list[Exception] = []

    def live(spec: GuestSpec) -> None:
        try:
            rig.driver.spawn(spec, rig.image)
            rig.driver.power_off(spec.uuid, timeout_s=0)
            rig.driver.destroy(spec.uuid)
        except errors.NovaLiteError as error:
            failures.append(error)

    threads = [threading.Thread(target=live, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(rig.patience_s)
    assert failures == []
    assert [rig.leftovers(spec.uuid) for spec in specs] == [[], [], [], []]


def test_resources_are_the_machines(rig: LibvirtRig) -> None:
    resources = rig.driver.resources()
    total_kib = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))  # type: ignore[union-attr]
    assert resources.ram_mib == total_kib // 1024
    assert resources.hypervisor_type == "QEMU"
    assert resources.hypervisor_version >= 7_000_000
    assert resources.hypervisor_hostname == "alpha"
    assert resources.cpu_info["arch"] == "x86_64"
    assert {"COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_STORAGE_BUS_VIRTIO"} <= resources.traits
