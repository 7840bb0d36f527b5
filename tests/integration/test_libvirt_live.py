"""Real guests leave for another real host while they run; and disks come from a host whose directories are not seen.

What holds up guests that leave, on purpose or not, is in ``busy_guests.py``, which takes minutes.
"""

import operator
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.compute.virt.libvirt.moved_disks import FarDisks, Finder, MovedDisks, Whereabouts
from nova_lite.model.guest import PowerState
from nova_lite.model.live_migration import Stage
from tests.contract.virt.live_suite import LiveContract
from tests.contract.virt.rig import GIB, a_spec, power_state, wait_until
from tests.integration.conftest import started
from tests.integration.stack.libvirt_hosts import LibvirtHosts
from tests.integration.stack.live_rig import HERE, THERE, Rig, hosts_of, rig_on
from tests.integration.stack.neighbours import Neighbours

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def hosts(neighbours: Neighbours) -> Iterator[LibvirtHosts]:
    hosts = hosts_of(neighbours)
    try:
        started(hosts.start)
        yield hosts
    finally:
        hosts.stop()


@pytest.fixture
def rig(hosts: LibvirtHosts) -> Iterator[Rig]:
    yield from rig_on(hosts)


class TestLibvirtLive(LiveContract):
    """Every promise about guests that leave while they run, on real hosts."""


class Blind(Finder):
    """Sees no directory of the other host."""

    def find(self, disks_at: str) -> MovedDisks:
        return self._far(disks_at)

    def check(self, disks_at: str) -> None:
        aside = Whereabouts.read(disks_at)
        home = aside.directory.with_name(aside.directory.name.partition(".")[0])
        self._far(str(replace(aside, directory=home)))

    def _far(self, disks_at: str) -> FarDisks:
        far = FarDisks(Whereabouts.read(disks_at), self._cache)
        far.check_room(self._instances_path)
        return far


def test_disks_come_from_a_directory_that_is_not_seen(rig: Rig) -> None:
    there = rig.connected(THERE, "apart")
    there._moved = Blind(rig.directory / "apart", None)
    spec = a_spec(ephemeral_gib=1)
    rig.driver.spawn(spec, rig.image, start=False)
    home, away = (rig.directory / folder / spec.uuid for folder in ("shared", "apart"))
    for name, disk_format in (("disk", "qcow2"), ("disk.eph0", "raw")):
        qemu("qemu-io", "-f", disk_format, "-c", "write -P 7 900M 1M", home / name)
    disks_at = rig.driver.disks_at(spec.uuid)
    there.check_reach(disks_at)
    rig.driver.set_aside(spec.uuid, timeout_s=0)
    for start in (False, True):
        there.receive(replace(spec, epoch=2, root_gib=2), disks_at, start=start)
        if not start:
            aside = home.with_name(f"{spec.uuid}.aside-{HERE}")
            qemu("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", aside / "disk", away / "disk")
            qemu("qemu-img", "compare", "-q", "-f", "raw", "-F", "raw", aside / "disk.eph0", away / "disk.eph0")
    assert power_state(there, spec.uuid) is PowerState.RUNNING
    assert there._on_guest(spec.uuid, lambda domain: domain.blockInfo("vda")[0], "looking at") == 2 * GIB
    assert rig.hosts.virsh(HERE, "pool-list", "--all").strip() == ""
    there.destroy(spec.uuid)
    rig.driver.bring_back(spec.uuid, 3, start=True)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING


@pytest.mark.parametrize("ends_well", [True, False])
def test_disks_that_a_dead_host_left_in_a_directory_of_both_are_taken(rig: Rig, ends_well: bool) -> None:
    there = rig.connected(THERE, "shared")
    spec = a_spec(ephemeral_gib=1)
    rig.driver.spawn(spec, rig.image, start=False)
    assert there.sees_disks(spec.uuid)
    assert (rig.driver.sees_disks(spec.uuid), there.sees_disks(spec.uuid)) == (False, True)
    disk = rig.directory / "shared" / spec.uuid / "disk"
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 7 900M 1M", disk)
    for _ in range(2):
        there.spawn(replace(spec, epoch=1001), rig.image)
        assert power_state(there, spec.uuid) is PowerState.RUNNING
    if ends_well:
        there.keep_disks(spec.uuid)
        rig.driver.destroy(spec.uuid)
        assert rig.driver.guests() == []
        there.power_off(spec.uuid, timeout_s=0)
    else:
        there.destroy(spec.uuid)
        assert there.guests() == []
    qemu("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 7 900M 1M", disk)
    whose = there if ends_well else rig.driver
    whose.power_on(spec.uuid)
    whose.destroy(spec.uuid)
    assert not disk.parent.exists()


def test_disks_are_copied_and_volumes_are_not(rig: Rig) -> None:
    """The other host has the same volume elsewhere, and that is what the guest has there now and at its next start.

    So it is with its consoles, which listen at that host's address.
    """
    there = rig.connected(THERE, "apart")
    here, far = replace(rig.volume("/dev/vda"), boot_index=0), rig.directory / "volume there"
    path = Path(str(here.connection["device_path"]))
    far.hardlink_to(path)
    spec = a_spec(ephemeral_gib=1, root_gib=0, volumes=(here,))
    rig.driver.spawn(spec, None)
    connection = {**here.connection, "device_path": str(far)}
    leaving = rig.driver.leaving(spec.uuid)
    assert there.check_landing(spec.uuid, leaving, copies_disks=None)
    coming = replace(spec, epoch=2, volumes=(replace(here, connection=connection),))
    landing = there.prepare_landing(coming, leaving, copies_disks=True)
    assert [Path(disk).name for disk in landing.disks] == ["disk.eph0"]
    rig.driver.depart(spec.uuid, landing)
    wait_until(lambda: rig.driver.departure(spec.uuid).stage is not Stage.LEAVING, rig.patience_s, "the end")
    assert rig.driver.departure(spec.uuid).stage is Stage.GONE
    there.finish_landing(spec.uuid, 2)
    for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
        xml = there._on_guest(spec.uuid, operator.methodcaller("XMLDesc", flags), "reading")
        assert str(far) in xml
        assert str(path) not in xml
    for _ in range(2):
        for protocol, greeting in (("vnc", b"RFB"), ("serial", b"")):
            ports = there.console_ports(spec.uuid, protocol)
            assert ports is not None
            with socket.create_connection((rig.hosts.address(THERE), ports.port), timeout=480) as console:
                assert console.recv(len(greeting)) == greeting
        there.reboot(spec.uuid, hard=True, timeout_s=0)
    assert there.volumes_of(spec.uuid) == [here.volume_id]
    there.check_reach(there.disks_at(spec.uuid))
    there.destroy(spec.uuid)
    assert path.stat().st_nlink == 2


def qemu(*words: object) -> None:
    """Run a tool of QEMU; a difference it finds is a failure."""
    subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=480)
