"""The fake driver keeps the contract."""

import uuid as uuids
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.model.guest import BaseImage, GuestSpec, VolumeDisk
from tests.contract.virt.live_suite import LiveContract
from tests.contract.virt.move_suite import MoveContract
from tests.contract.virt.suite import DriverContract
from tests.contract.virt.volume_suite import VolumeContract


class FakeRig:
    """A fake host whose guests are kept in files."""

    image: BaseImage | None = None
    banner = b"login: "
    patience_s = 480.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.driver = self._connected("alpha")

    def _connected(self, hostname: str) -> FakeDriver:
        driver = FakeDriver(hostname, self._directory / hostname)
        driver.connect()
        return driver

    def new_driver(self) -> FakeDriver:
        return self._connected("alpha")

    def neighbour(self) -> FakeDriver:
        return self._connected("beta")

    def leave_half_made(self, spec: GuestSpec) -> None:
        half_written = self._directory / "alpha" / f"{spec.uuid}.tmp"
        half_written.write_bytes(b'{"uuid": ')
        self.driver = self._connected("alpha")

    def fail_next_start(self) -> None:
        self.driver.fail("spawn", errors.Unavailable("the host is out of luck"))

    def leftovers(self, uuid: str) -> list[str]:
        return [path.name for path in (self._directory / "alpha").iterdir() if uuid in path.name]

    def volume(self, device_name: str = "/dev/vdb") -> VolumeDisk:
        volume_id, attachment_id = str(uuids.uuid4()), str(uuids.uuid4())
        return VolumeDisk(volume_id, device_name, {"driver_volume_type": "fake", "attachment_id": attachment_id})

    def bootable(self) -> VolumeDisk:
        return replace(self.volume("/dev/vda"), boot_index=0)

    def is_there(self, uuid: str, volume: VolumeDisk) -> bool:
        plugged = {each.volume_id: each.attachment_id for each in self.driver.plugged(uuid)}
        return plugged[volume.volume_id] == volume.connection["attachment_id"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FakeRig]:
    rig = FakeRig(tmp_path)
    yield rig
    rig.driver.close()


class TestFakeDriver(DriverContract, MoveContract, LiveContract, VolumeContract):
    """Every promise, on the fake."""
