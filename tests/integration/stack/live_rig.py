"""Two real hosts beside each other with a driver each, and no cloud above them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nova_lite.compute import image_format
from nova_lite.compute.virt.libvirt.consoles import Offer
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.compute.virt.libvirt.migration import Reach
from nova_lite.model.guest import BaseImage, GuestSpec, VolumeDisk
from nova_lite.model.live_migration import Patience
from tests.integration.stack.libvirt import guest_image, raw_volume
from tests.integration.stack.libvirt_hosts import LibvirtHosts
from tests.integration.stack.neighbours import Neighbours

HERE, THERE = "live-a", "live-b"
#: How long a guest may take for anything on a slow machine.
PATIENCE_S = 600.0


class Rig:
    """A host, and another beside it that sees the same directories."""

    banner = b" login:"
    patience_s = PATIENCE_S

    def __init__(self, hosts: LibvirtHosts, image: BaseImage) -> None:
        self.hosts = hosts
        self.image: BaseImage | None = image
        self.directory = Path(tempfile.mkdtemp(prefix="nova-lite-live-"))
        self.opened: list[LibvirtDriver] = []
        self.patience = Patience()
        self.driver = self.connected(HERE)

    def connected(self, name: str, folder: str = "shared") -> LibvirtDriver:
        """Return a driver of a host, with its files in a folder of that name."""
        address = self.hosts.address(name)
        reach, offer = Reach(address, patience=lambda: self.patience), Offer(vnc=address, serial=address)
        path = self.directory / folder
        driver = LibvirtDriver(name, self.hosts.uri(name), "qemu", path, reach=reach, offer=offer)
        self.opened.append(driver)
        driver.connect()
        return driver

    def be(self, patience: Patience) -> None:
        """Have guests leave in another way."""
        self.patience = patience
        self.driver = self.connected(HERE)

    def new_driver(self) -> LibvirtDriver:
        return self.connected(HERE)

    def neighbour(self) -> LibvirtDriver:
        return self.connected(THERE)

    def leave_half_made(self, spec: GuestSpec) -> None:
        raise NotImplementedError

    def fail_next_start(self) -> None:
        raise NotImplementedError

    def leftovers(self, uuid: str) -> list[str]:
        return [uuid for host in (HERE,) if uuid in self.hosts.domains(host)]

    def volume(self, device_name: str = "/dev/vdb") -> VolumeDisk:
        return raw_volume(self.directory, device_name)

    def clean(self) -> None:
        for driver in (self.connected(HERE), self.connected(THERE)):
            for guest in driver.guests():
                driver.destroy(guest.uuid)
        for driver in self.opened:
            driver.close()
        shutil.rmtree(self.directory)


def hosts_of(neighbours: Neighbours) -> LibvirtHosts:
    """Return the two hosts, not started."""
    return LibvirtHosts(neighbours.site, (HERE, THERE))


def rig_on(hosts: LibvirtHosts) -> Iterator[Rig]:
    """Yield a rig with directories of its own; no guest is left of it."""
    path = guest_image(hosts.site)
    inspected = image_format.inspect(path)
    rig = Rig(hosts, BaseImage("tiny", str(path), inspected.disk_format, inspected.virtual_size))
    yield rig
    rig.clean()
