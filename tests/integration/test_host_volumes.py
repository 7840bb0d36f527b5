"""Volumes that a real os-brick connects, on real guests: loop devices, for which no machine lacks anything."""

import shutil
import subprocess
import tempfile
import uuid as uuids
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute import image_format
from nova_lite.compute.virt.libvirt.brick import Brick
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes
from nova_lite.model.guest import BaseImage, VolumeDisk
from tests.contract.virt.host_volumes_suite import HostVolumesContract
from tests.contract.virt.rig import a_spec
from tests.contract.virt.volume_suite import VolumeContract
from tests.integration.conftest import started
from tests.integration.libvirt_rig import LibvirtRig
from tests.integration.stack.libvirt import Libvirt, guest_image
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.processes import Missing
from tests.integration.stack.site import tool

pytestmark = pytest.mark.timeout(1500)

_MIB = 1 << 20


class Loops:
    """Volumes that are loop devices."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: dict[str, Path] = {}

    def volume(self, device_name: str = "/dev/vdb") -> VolumeDisk:
        """Return a new one of 16 MiB."""
        volume_id = str(uuids.uuid4())
        path = self.directory / f"behind-{volume_id}"
        with path.open("xb") as file:
            file.truncate(16 * _MIB)
        device = losetup("--find", "--show", str(path))
        self._made[device] = path
        return VolumeDisk(volume_id, device_name, {"driver_volume_type": "local", "device_path": device})

    def grow(self, volume: VolumeDisk, size: int) -> None:
        """Make a volume larger; ``size`` is in bytes."""
        device = str(volume.connection["device_path"])
        with self._made[device].open("r+b") as file:
            file.truncate(size)
        losetup("--set-capacity", device)

    def clean(self) -> None:
        for device in self._made:
            losetup("--detach", device)


def require_loops() -> None:
    """Raise Missing where there are no loop devices."""
    tool("losetup", package="mount")
    if not Path("/dev/loop-control").exists():
        raise Missing("this machine's kernel has no loop devices")


def losetup(*arguments: str) -> str:
    command = [tool("losetup", package="mount"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout.strip()


def by_host(directory: Path) -> HostVolumes:
    """Return what an agent has whose host connects volumes that lie on it, too."""
    brick = Brick("alpha", "127.0.0.1", directory / "locks", has_multipath=False, needs_multipath=False, attempts=1)
    return HostVolumes(("local",), directory / "notes", brick)


class LoopSite:
    """A host with loop devices."""

    def __init__(self, directory: Path) -> None:
        self.loops = Loops(directory)
        self._directory = directory
        self.volumes = self.after_a_death()

    def volume(self) -> VolumeDisk:
        return self.loops.volume()

    def no_device(self) -> VolumeDisk:
        path = self._directory / "file"
        path.write_bytes(bytes(512))
        return VolumeDisk("none", "/dev/vdb", {"driver_volume_type": "local", "device_path": str(path)})

    def after_a_death(self) -> HostVolumes:
        return by_host(self._directory)

    def noted(self) -> int:
        return len(list((self._directory / "notes").glob("*")))


class TestBrick(HostVolumesContract):
    """Every promise of the host's own volumes."""

    @pytest.fixture
    def site(self, libvirt: Libvirt, tmp_path: Path) -> Iterator[LoopSite]:
        """Have what needs root where the tests of libvirt have it."""
        started(require_loops)
        site = LoopSite(tmp_path)
        yield site
        site.loops.clean()


class HostRig(LibvirtRig):
    """A host whose guests' volumes are devices that it connects."""

    def __init__(self, uri: str, directory: Path, image: BaseImage) -> None:
        self.loops = Loops(directory)
        super().__init__(uri, directory, image)

    def connected(self, hostname: str, instances_path: Path) -> LibvirtDriver:
        driver = LibvirtDriver(
            hostname, self.uri, "qemu", instances_path, host_volumes=by_host(self.directory / hostname)
        )
        self.opened.append(driver)
        driver.connect()
        return driver

    def volume(self, device_name: str = "/dev/vdb") -> VolumeDisk:
        return self.loops.volume(device_name)

    def bootable(self) -> VolumeDisk:
        volume = replace(self.volume("/dev/vda"), boot_index=0)
        self.loops.grow(volume, 256 * _MIB)
        assert self.image is not None
        target = str(volume.connection["device_path"])
        convert = ["qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", self.image.path, target]
        subprocess.run(convert, check=True, timeout=240)
        return volume

    def noted(self) -> int:
        return len(list((self.directory / "alpha" / "notes").glob("*")))


class TestGuestsWithDevicesOfTheHost(VolumeContract):
    """Every promise about volumes, and what is told of devices alone."""

    @pytest.fixture
    def rig(self, libvirt: Libvirt, neighbours: Neighbours) -> Iterator[HostRig]:
        started(require_loops)
        path = guest_image(neighbours.site)
        inspected = image_format.inspect(path)
        image = BaseImage("tiny", str(path), inspected.disk_format, inspected.virtual_size)
        directory = Path(tempfile.mkdtemp(prefix="nova-lite-guests-"))
        rig = HostRig(libvirt.uri, directory, image)
        yield rig
        rig.clean()
        rig.loops.clean()
        shutil.rmtree(directory)

    def test_a_device_is_the_guests_until_the_last_guest_lets_go(self, rig: HostRig) -> None:
        volume = replace(rig.volume(), is_shareable=True)
        one, other = a_spec(ram_mib=96, volumes=(volume,)), a_spec(ram_mib=96)
        for spec in (one, other):
            rig.driver.spawn(spec, rig.image, start=False)
        rig.driver.attach_volume(other.uuid, volume)
        xml = rig.driver._on_guest(one.uuid, lambda domain: str(domain.XMLDesc()), "looking at")
        assert f"<source dev='{volume.connection['device_path']}'" in xml
        assert rig.noted() == 1
        rig.driver.detach_volume(one.uuid, volume.volume_id, timeout_s=0)
        rig.driver.release_volume(volume.connection)
        assert rig.noted() == 1
        rig.driver.destroy(other.uuid)
        assert rig.noted() == 0

    def test_a_running_guest_sees_its_device_grow(self, rig: HostRig) -> None:
        volume, spec = rig.volume(), a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.attach_volume(spec.uuid, volume)
        rig.loops.grow(volume, 1 << 30)
        rig.driver.extend_volume(spec.uuid, volume.volume_id, 1)
        assert rig.driver._on_guest(spec.uuid, lambda domain: domain.blockInfo("vdb")[0], "looking at") == 1 << 30

    def test_what_was_connected_for_a_guest_that_did_not_get_it_is_given_up(self, rig: HostRig) -> None:
        """By another agent, for the one that did it died."""
        volume, spec = rig.volume(), a_spec()
        rig.driver.spawn(spec, rig.image, start=False)
        for is_undone in (True, False):
            with by_host(rig.directory / "alpha").coming(volume):
                assert rig.noted() == 1
            if is_undone:
                rig.driver.release_volume(volume.connection)
            else:
                rig.driver.connect()
            assert rig.noted() == 0

    def test_a_volume_that_has_no_place_in_the_guest_is_given_up(self, rig: HostRig) -> None:
        spec = a_spec(volumes=(rig.volume(),))
        rig.driver.spawn(spec, rig.image, start=False)
        with pytest.raises(errors.GuestFailed):
            rig.driver.attach_volume(spec.uuid, rig.volume())
        assert rig.noted() == 1
