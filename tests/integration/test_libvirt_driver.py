"""The libvirt driver keeps the contract with real guests, and what only real guests can show."""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid as uuids
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.compute import config_drive, image_format
from nova_lite.compute.virt.libvirt import disks, domain_xml, domains, properties, volume_xml
from nova_lite.compute.virt.libvirt.bindings import libvirt as bindings
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.model import guest_documents
from nova_lite.model.guest import BaseImage, GuestSpec, PowerState, VolumeDisk
from nova_lite.model.instance import InjectedFile
from tests.contract.virt.connections import ISCSI, NBD, RBD
from tests.contract.virt.suite import GIB, DriverContract, MoveContract, a_spec, power_state, wait_until
from tests.contract.virt.volume_suite import VolumeContract
from tests.guests import INSTANCE, config_files
from tests.integration.stack.libvirt import Libvirt, guest_image, raw_volume
from tests.integration.stack.neighbours import Neighbours

#: A guest boots in ten seconds on a quiet machine, and some tests boot it four times.
pytestmark = pytest.mark.timeout(1500)


class LibvirtRig:
    """One host of a libvirtd, with directories of its own."""

    banner = b" login:"
    patience_s = 240.0

    def __init__(self, uri: str, directory: Path, image: BaseImage) -> None:
        self.uri = uri
        self.directory = directory
        self.image: BaseImage | None = image
        self.opened: list[LibvirtDriver] = []
        self.driver = self.connected("alpha", directory / "alpha")

    def connected(self, hostname: str, instances_path: Path) -> LibvirtDriver:
        driver = LibvirtDriver(hostname, self.uri, "qemu", instances_path)
        self.opened.append(driver)
        driver.connect()
        return driver

    def new_driver(self) -> LibvirtDriver:
        return self.connected("alpha", self.directory / "alpha")

    def neighbour(self) -> LibvirtDriver:
        return self.connected("beta", self.directory / "alpha")

    def leave_half_made(self, spec: GuestSpec) -> None:
        assert self.image is not None
        disks = self.driver._disks.make(spec, self.image)
        setting = domain_xml.Setting("alpha", "qemu", self.driver._disks.console_path(spec.uuid))
        xml = domain_xml.domain(spec, properties.Hardware(), disks, setting)
        self.driver._on_libvirt(lambda connection: connection.defineXML(xml), "defining")

    def fail_next_start(self) -> None:
        disks = self.driver._disks
        make = disks.make

        def make_and_lose(spec: GuestSpec, image: BaseImage | None) -> list[domain_xml.Disk]:
            made = make(spec, image)
            Path(made[0].path).unlink()
            disks.make = make  # type: ignore[method-assign]
            return made

        disks.make = make_and_lose  # type: ignore[method-assign]

    def leftovers(self, uuid: str) -> list[str]:
        files = [str(path) for path in (self.directory / "alpha").rglob("*") if uuid in str(path)]
        names = self.driver._on_libvirt(lambda conn: [dom.name() for dom in conn.listAllDomains(0)], "listing")
        return files + [name for name in names if uuid in name]

    def volume(self, device_name: str = "/dev/vdb") -> VolumeDisk:
        return raw_volume(self.directory, device_name)

    def bootable(self) -> VolumeDisk:
        assert self.image is not None
        volume = replace(self.volume("/dev/vda"), boot_index=0)
        path = str(volume.connection["device_path"])
        convert = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.image.path, path]
        subprocess.run(convert, check=True, timeout=240)
        return volume

    def is_there(self, uuid: str, volume: VolumeDisk) -> bool:
        def sources(domain: Any) -> set[str | None]:
            lasting = domains.definition(domain)
            found = [lasting, domain.XMLDesc(0)] if domain.isActive() else [lasting]
            disks = [volume_xml.of_volume(xml, volume.volume_id) for xml in found]
            places = [None if disk is None else disk.findall("source")[0] for disk in disks]
            return {None if place is None else place.get("file") or place.get("dev") for place in places}

        return self.driver._on_guest(uuid, sources, "reading") == {str(volume.connection["device_path"])}

    def clean(self) -> None:
        for hostname in ("alpha", "beta"):
            driver = self.connected(hostname, self.directory / "alpha")
            for guest in driver.guests():
                driver.destroy(guest.uuid)
        for driver in self.opened:
            driver.close()


@pytest.fixture(scope="session")
def base_image(neighbours: Neighbours) -> BaseImage:
    path = guest_image(neighbours.site)
    inspected = image_format.inspect(path)
    return BaseImage("tiny", str(path), inspected.disk_format, inspected.virtual_size)


@pytest.fixture
def rig(libvirt: Libvirt, base_image: BaseImage) -> Iterator[LibvirtRig]:
    directory = Path(tempfile.mkdtemp(prefix="nova-lite-guests-"))
    rig = LibvirtRig(libvirt.uri, directory, base_image)
    yield rig
    rig.clean()
    shutil.rmtree(directory)


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


def console(rig: LibvirtRig, uuid: str) -> str:
    return rig.driver.console_output(uuid, lines=None).decode(errors="replace")


def seen_on_console(rig: LibvirtRig, uuid: str, pattern: str) -> None:
    wait_until(lambda: re.search(pattern, console(rig, uuid)) is not None, rig.patience_s, f"{pattern} on the console")


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


#: Tells of each disk that comes, grows and goes, and writes on it. (What copies its words to the console keeps each
#: line back until the next one.)
_WATCHES = b"""#!/bin/sh
tell() { echo "$*"; echo; }
while :; do
    until [ -b /dev/vdb ]; do sleep 0.2; done
    size=$(cat /sys/block/vdb/size)
    tell "disk $(cat /sys/block/vdb/serial) of $size sectors began with <$(head -c 5 /dev/vdb)>"
    printf hello >/dev/vdb
    sync
    tell "disk written"
    while [ -b /dev/vdb ]; do
        now=$(cat /sys/block/vdb/size 2>/dev/null)
        [ "${now:-$size}" = "$size" ] || tell "disk grew to $now sectors"
        size=${now:-$size}
        sleep 0.2
    done
    tell "disk gone"
done
"""


def test_a_guest_sees_volumes_come_grow_and_go(rig: LibvirtRig) -> None:
    spec = a_spec(
        has_config_drive=True, config_files=config_files(_WATCHES), image_properties={"hw_machine_type": "q35"}
    )
    rig.driver.spawn(spec, rig.image)
    volume = rig.volume()
    path = Path(str(volume.connection["device_path"]))
    rig.driver.attach_volume(spec.uuid, volume)
    rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=rig.patience_s)  # the guest has hardly begun
    path.write_bytes(b"first" + path.read_bytes()[5:])
    rig.driver.attach_volume(spec.uuid, volume)
    seen_on_console(rig, spec.uuid, rf"disk {volume.volume_id[:20]} of 32768 sectors began with <first>")
    seen_on_console(rig, spec.uuid, "disk written")
    os.truncate(path, GIB)
    rig.driver.extend_volume(spec.uuid, volume.volume_id, 1)
    seen_on_console(rig, spec.uuid, f"disk grew to {GIB // 512} sectors")
    rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=rig.patience_s)
    seen_on_console(rig, spec.uuid, "disk gone")
    assert path.read_bytes()[:5] == b"hello"
    rig.driver.extend_volume(spec.uuid, volume.volume_id, 1)


def test_what_a_guest_wrote_is_where_it_went(rig: LibvirtRig) -> None:
    spec = a_spec(
        has_config_drive=True, config_files=config_files(_WATCHES), image_properties={"hw_machine_type": "q35"}
    )
    rig.driver.spawn(spec, rig.image)
    volume = rig.volume()
    other, larger = (replace(rig.volume(), volume_id=volume.volume_id) for _ in range(2))
    here, there, elsewhere = (Path(str(each.connection["device_path"])) for each in (volume, other, larger))
    rig.driver.attach_volume(spec.uuid, volume)
    seen_on_console(rig, spec.uuid, "disk written")
    os.truncate(elsewhere, GIB)
    with pytest.raises(errors.GuestFailed, match="as large"):
        rig.driver.swap_volume(spec.uuid, larger, timeout_s=rig.patience_s, goes_on=lambda: True)
    assert rig.is_there(spec.uuid, volume)
    assert there.read_bytes()[:5] == bytes(5)
    rig.driver.swap_volume(spec.uuid, other, timeout_s=rig.patience_s, goes_on=lambda: True)
    assert there.read_bytes()[:5] == b"hello"
    here.unlink()
    os.truncate(there, GIB)
    rig.driver.extend_volume(spec.uuid, volume.volume_id, 1)
    seen_on_console(rig, spec.uuid, f"disk grew to {GIB // 512} sectors")
    rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=rig.patience_s)
    seen_on_console(rig, spec.uuid, "disk gone")


def test_a_new_agent_goes_on_with_a_copy(rig: LibvirtRig) -> None:
    """What was begun lives in QEMU; it is known by where it goes to."""
    spec, volume = a_spec(), rig.volume()
    other = replace(rig.volume(), volume_id=volume.volume_id)
    rig.driver.spawn(spec, rig.image)
    rig.driver.attach_volume(spec.uuid, volume)
    with pytest.raises(errors.Conflict):
        rig.driver.swap_volume(spec.uuid, other, timeout_s=rig.patience_s, goes_on=lambda: False)
    began = rig.driver._on_guest(spec.uuid, lambda domain: domain.blockJobInfo("vdb"), "looking")
    assert began["end"] == 16 << 20
    rig.new_driver().swap_volume(spec.uuid, other, timeout_s=rig.patience_s, goes_on=lambda: True)
    assert rig.is_there(spec.uuid, other)


def test_libvirt_takes_every_kind_of_connection(rig: LibvirtRig) -> None:
    """None of them is reached: the guest is never started."""
    attachment = str(uuids.uuid4())
    limits = {"read_iops_sec": "100", "write_bytes_sec": 1 << 20}
    connections: list[dict[str, object]] = [
        {**rig.volume().connection, "access_mode": "ro"},
        {**NBD, "qos_specs": limits},
        {**ISCSI, "attachment_id": attachment},
        RBD,
    ]
    volumes = [
        VolumeDisk(str(uuids.uuid4()), f"/dev/sd{letter}", connection, bus="scsi", is_shareable=True)
        for letter, connection in zip("abcd", connections, strict=True)
    ]
    spec = a_spec(volumes=tuple(volumes[:2]))
    rig.driver.spawn(spec, rig.image, start=False)
    for volume in volumes:
        rig.driver.attach_volume(spec.uuid, volume)
    assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id for volume in volumes]
    assert [attachment in usage for usage in secrets(rig)] == [True]
    rig.driver.set_aside(spec.uuid, timeout_s=0)
    assert len(secrets(rig)) == 1
    rig.driver.bring_back(spec.uuid, 2, start=False)
    rig.driver.detach_volume(spec.uuid, volumes[2].volume_id, timeout_s=0)
    assert secrets(rig) == []
    rig.driver.attach_volume(spec.uuid, volumes[2])
    rig.driver.destroy(spec.uuid)
    assert secrets(rig) == []


def secrets(rig: LibvirtRig) -> list[str]:
    """Return what libvirt's secrets are for."""
    return rig.driver._on_libvirt(lambda conn: [one.usageID() for one in conn.listAllSecrets(0)], "listing")


def test_a_guest_without_a_root_disk_moves_and_is_not_copied(rig: LibvirtRig) -> None:
    spec = a_spec(root_gib=0, ephemeral_gib=1, volumes=(replace(rig.volume("/dev/vda"), boot_index=0),))
    rig.driver.spawn(spec, None)
    for is_on in (True, False):
        with pytest.raises(errors.Conflict, match="boots from a volume"):
            rig.driver.snapshot(spec.uuid, rig.directory / "copy", timeout_s=rig.patience_s)
        if is_on:
            with pytest.raises(errors.GuestFailed, match="run"):
                rig.driver.attach_volume(spec.uuid, replace(rig.volume("/dev/sdb"), bus="sata"))
            rig.driver.power_off(spec.uuid, timeout_s=0)
    disks_at = rig.driver.disks_at(spec.uuid)
    rig.neighbour().check_reach(disks_at)
    rig.driver.set_aside(spec.uuid, timeout_s=0)
    rig.driver.receive(replace(spec, epoch=2), disks_at, start=True)
    assert rig.driver.volumes_of(spec.uuid) == [spec.volumes[0].volume_id]
    rig.driver.destroy(spec.uuid)
    rig.driver.drop_aside(spec.uuid)
    assert rig.leftovers(spec.uuid) == []


def test_a_guest_that_does_not_answer_keeps_its_volume(rig: LibvirtRig) -> None:
    """One that stands still hears nothing; the memory of one that is suspended is that of a guest with the volume."""
    spec, volume = a_spec(), rig.volume()
    rig.driver.spawn(spec, rig.image)
    rig.driver.attach_volume(spec.uuid, volume)
    rig.driver.pause(spec.uuid)
    with pytest.raises(errors.Timeout, match="let go"):
        rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=0)
    assert volume.volume_id in rig.driver._on_guest(spec.uuid, domains.definition, "reading")
    rig.driver.suspend(spec.uuid)
    with pytest.raises(errors.Conflict, match="suspended"):
        rig.driver.attach_volume(spec.uuid, rig.volume("/dev/vdc"))
    with pytest.raises(errors.Conflict, match="suspended"):
        rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=0)
    assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id]
    rig.driver.power_off(spec.uuid, timeout_s=0)
    rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=0)
    assert rig.driver.volumes_of(spec.uuid) == []


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


def test_a_guest_whose_process_dies_is_off_and_starts_again(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    processes = Path("/proc").glob("[0-9]*/cmdline")
    [pid] = [int(path.parent.name) for path in processes if f"guest=instance-{spec.uuid}".encode() in _read(path)]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: power_state(rig.driver, spec.uuid) in (PowerState.SHUTDOWN, PowerState.CRASHED), 120, "off")
    rig.driver.power_on(spec.uuid)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


KILLED_AT = {
    "before the disks": disks.Disks.make,
    "among the disks": disks.Disks._make_swap,
    "before the definition": domain_xml.domain,
    "before the start": domains.start,
    "after the start": disks.Disks.finish,
}


@pytest.mark.parametrize("death", KILLED_AT.values(), ids=KILLED_AT.keys())
@pytest.mark.parametrize("then", ["spawn", "destroy"])
def test_an_agent_killed_while_it_spawns(rig: LibvirtRig, death: Callable[..., object], then: str) -> None:
    """Wherever a process dies, the next attempt has a running guest, and its removal leaves nothing."""
    assert rig.image is not None
    spec = a_spec(swap_mib=16, has_config_drive=True)
    module = death.__module__.rpartition(".")[2]
    program = f"""if True:
        import os, pathlib
        from nova_lite.compute.virt.libvirt import disks, domain_xml, domains, driver
        from nova_lite.model.guest import BaseImage, GuestSpec
        die = lambda *args: os._exit(9)
        {module}.{death.__qualname__} = die
        agent = driver.LibvirtDriver("alpha", {rig.uri!r}, "qemu", pathlib.Path({str(rig.directory / "alpha")!r}))
        agent.connect()
        agent.spawn({spec!r}, {rig.image!r})
    """
    done = subprocess.run([sys.executable, "-c", program], timeout=480, check=False)
    assert done.returncode == 9
    if then == "spawn":
        rig.driver.spawn(spec, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        assert not rig.driver._disks.is_unfinished(spec.uuid)
        assert len(rig.driver.guests()) == 1
    rig.driver.destroy(spec.uuid)
    assert rig.leftovers(spec.uuid) == []


def test_a_killed_spawn_that_left_only_files_is_replaced(rig: LibvirtRig) -> None:
    assert rig.image is not None
    spec = a_spec()
    rig.driver._disks.make(spec, rig.image)
    rig.driver.spawn(spec, rig.image)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
    assert not rig.driver._disks.is_unfinished(spec.uuid)


def test_a_spawn_killed_after_the_start_is_taken_as_done(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    marker = rig.driver._disks._directory(spec.uuid) / "unfinished"
    marker.touch()
    rig.driver.spawn(spec, rig.image)
    assert not marker.exists()
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING


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


def test_libvirtd_may_restart_under_a_running_guest(rig: LibvirtRig, libvirt: Libvirt) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    subprocess.run(
        [str(Path("tools/libvirtd").resolve()), "stop", "--keep-guests", "--state-dir", str(libvirt._state)],
        check=True, timeout=480, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with pytest.raises(errors.Unavailable, match="hypervisor does not answer"):
            rig.driver.guests()
    finally:
        libvirt.start()
    assert [guest.power_state for guest in rig.driver.guests()] == [PowerState.RUNNING]
    rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)


def test_a_libvirtd_that_hangs_holds_nobody(rig: LibvirtRig, libvirt: Libvirt) -> None:
    driver = LibvirtDriver("alpha", rig.uri, "qemu", rig.directory / "alpha", call_timeout_s=1.0)
    rig.opened.append(driver)
    driver.connect()
    pid = int((libvirt._state / "run" / "libvirtd.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(errors.Timeout):
                driver.guests()
        assert time.monotonic() - began < 60
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: driver.guests() == [], 120, "an answer")


def test_no_libvirtd_says_what_to_do(tmp_path: Path) -> None:
    if bindings is None:
        pytest.skip("libvirt-python is not installed")
    driver = LibvirtDriver("alpha", "qemu+unix:///system?socket=/nowhere/sock", "qemu", tmp_path / "instances")
    with pytest.raises(errors.Unavailable, match=r"/nowhere/sock.*systemctl start libvirtd.*connection_uri"):
        driver.connect()
    driver.close()
