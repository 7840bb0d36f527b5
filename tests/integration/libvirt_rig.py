"""A host of a real libvirtd for tests of the driver, with directories of its own."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nova_lite.compute import image_format
from nova_lite.compute.virt.libvirt import domain_xml, domains, properties, volume_xml
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.model.guest import BaseImage, GuestSpec, VolumeDisk
from tests.contract.virt.rig import wait_until
from tests.integration.stack.libvirt import Libvirt, guest_image, raw_volume
from tests.integration.stack.neighbours import Neighbours


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


def console(rig: LibvirtRig, uuid: str) -> str:
    return rig.driver.console_output(uuid, lines=None).decode(errors="replace")


def seen_on_console(rig: LibvirtRig, uuid: str, pattern: str) -> None:
    wait_until(lambda: re.search(pattern, console(rig, uuid)) is not None, rig.patience_s, f"{pattern} on the console")
