"""What real guests see of volumes that come, grow, are swapped and go."""

import os
import uuid as uuids
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt import domains
from nova_lite.model.guest import VolumeDisk
from tests.contract.virt.connections import ISCSI, NBD, RBD
from tests.contract.virt.rig import GIB, a_spec
from tests.guests import config_files
from tests.integration.libvirt_rig import LibvirtRig, base_image, rig, seen_on_console

__all__ = ["base_image", "rig"]


#: A guest boots in ten seconds on a quiet machine, and some tests boot it four times.
pytestmark = pytest.mark.timeout(1500)
#: Tells of each disk that comes, grows and goes, and writes on it. (What copies its words to the console keeps each
#: line back until the next one.) It writes by a name of its own: a disk that goes just then would leave a file of its
#: name behind, and the next disk no room for one.
_WATCHES = b"""#!/bin/sh
tell() { echo "$*"; echo; }
while :; do
    until [ -b /dev/vdb ]; do sleep 0.2; done
    size=$(cat /sys/block/vdb/size)
    tell "disk $(cat /sys/block/vdb/serial) of $size sectors began with <$(head -c 5 /dev/vdb)>"
    rm -f /run/vdb
    mknod /run/vdb b $(tr ':' ' ' </sys/block/vdb/dev)
    printf hello >/run/vdb
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
