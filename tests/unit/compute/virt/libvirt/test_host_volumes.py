"""What a host connects itself, with an imitated connector: its devices are files, each with names of its own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes
from nova_lite.model.guest import VolumeDisk
from tests.contract.virt.host_volumes_suite import HostVolumesContract

WWN = "600140512345678abcdef0123456789a"


@dataclass
class FakeConnector:
    """A host on which volume N becomes the file ``N``; a target number says another one."""

    directory: Path
    calls: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)

    def properties(self) -> Mapping[str, object]:
        return {"wwpns": ["50014380242b9750"], "multipath": True}

    def connect(self, connection: Mapping[str, object]) -> Mapping[str, object]:
        self._note("connect")
        path = self.directory / str(connection["target_lun"])
        path.touch()
        return {"type": "block", "path": str(path), "scsi_wwn": "3" + WWN}

    def disconnect(self, connection: Mapping[str, object], device: Mapping[str, object]) -> None:
        self._note("disconnect")
        (self.directory / str(connection["target_lun"])).unlink(missing_ok=True)

    def extend(self, connection: Mapping[str, object]) -> None:
        self._note("extend")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.failing:
            raise RuntimeError(f"iscsiadm failed: {{'auth_password': 'very-secret'}} {call}")


class FakeSite:
    """A host whose devices are files; the number of one is told by its name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "dev").mkdir()
        self.connector = FakeConnector(directory / "dev")
        self.volumes = self.after_a_death()
        self._luns = 0

    def volume(self, **told: object) -> VolumeDisk:
        self._luns += 1
        connection = {
            "driver_volume_type": "iscsi",
            "target_portal": "192.0.2.7:3260",
            "target_iqn": "iqn.2010-10.org.example:all",
            "target_lun": self._luns,
            "auth_username": "user",
            "auth_password": "very-secret",
            "attachment_id": f"attachment-{self._luns}",
        }
        return VolumeDisk(f"volume-{self._luns}", "/dev/vdb", {**connection, **told})

    def no_device(self) -> VolumeDisk:
        return self.volume(target_lun="none")

    def after_a_death(self) -> HostVolumes:
        notes, sysfs = self.directory / "notes", self.directory / "sys"
        return HostVolumes(("iscsi",), notes, self.connector, sysfs=sysfs, number_of=self.number)

    def number(self, path: str) -> int | None:
        name = Path(path).name
        return int(name) if name.isdecimal() and Path(path).exists() else None

    def name(self, number: int, **files: str) -> None:
        """Have the kernel say what a device is."""
        for file, text in files.items():
            path = self.directory / "sys" / "dev" / "block" / f"0:{number}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    def noted(self) -> int:
        return len(list((self.directory / "notes").glob("*")))


@pytest.fixture
def site(tmp_path: Path) -> FakeSite:
    return FakeSite(tmp_path)


class TestHostVolumes(HostVolumesContract):
    """Every promise."""


def nobody(path: str) -> bool:
    return False


def test_a_note_is_there_before_the_device_and_has_no_secret(site: FakeSite) -> None:
    site.connector.failing.append("connect")
    with pytest.raises(errors.HostFailed) as raised, site.volumes.coming(site.volume()):
        pass
    assert "very-secret" not in repr(raised.value.__dict__)
    (note,) = (site.directory / "notes").iterdir()
    assert "very-secret" not in note.read_text()
    assert json.loads(note.read_text())["device"] == {}
    assert note.stat().st_mode & 0o777 == 0o600


def test_what_was_being_connected_when_the_agent_died_is_given_up(site: FakeSite) -> None:
    volume = site.volume()
    site.connector.failing.append("connect")
    with pytest.raises(errors.HostFailed), site.volumes.coming(volume):
        pass
    site.connector.failing.clear()
    site.after_a_death().release({**volume.connection, "attachment_id": "another"}, nobody)
    assert site.connector.calls == ["connect", "disconnect"]
    assert site.noted() == 0


def test_a_device_that_cannot_be_given_up_stays_noted(site: FakeSite) -> None:
    volume = site.volume()
    with site.volumes.coming(volume):
        pass
    site.connector.failing.append("disconnect")
    with pytest.raises(errors.HostFailed):
        site.volumes.release(volume.connection, nobody)
    site.after_a_death().sweep(nobody)
    assert site.noted() == 1
    site.connector.failing.clear()
    site.volumes.release(volume.connection, nobody)
    assert site.noted() == 0


@pytest.mark.parametrize(
    ("told", "names"),
    [
        pytest.param({"wwn": "3" + WWN}, {"wwid": f"naa.{WWN}"}, id="scsi"),
        pytest.param({"wwn": WWN.upper()}, {"wwid": f"naa.{WWN}"}, id="scsi, written otherwise"),
        pytest.param({"volume_nguid": WWN}, {"nguid": "60014051-2345-678a-bcde-f0123456789a"}, id="nvme"),
    ],
)
def test_a_device_must_be_what_the_connection_says(site: FakeSite, told: dict[str, str], names: dict[str, str]) -> None:
    right, wrong = site.volume(**told), site.volume(**told)
    site.name(1, **names)
    site.name(2, wwid="naa.6001405999999999999999999999999f")
    with site.volumes.coming(right):
        pass
    with pytest.raises(errors.HostFailed, match="not that of the volume"), site.volumes.coming(wrong):
        pass
    assert site.connector.calls == ["connect", "connect", "disconnect"]
    assert site.noted() == 1


def test_a_device_of_which_nothing_is_known_is_not_what_it_must_be(site: FakeSite) -> None:
    with pytest.raises(errors.HostFailed), site.volumes.coming(site.volume(wwn=WWN)):
        pass


def test_a_device_that_became_another_is_refused_and_left_to_who_has_it(site: FakeSite) -> None:
    volume = site.volume()
    site.name(1, wwid=f"naa.{WWN}")
    with site.volumes.coming(volume):
        pass
    site.name(1, wwid="naa.6001405999999999999999999999999f")
    with pytest.raises(errors.HostFailed, match="not the one"), site.after_a_death().coming(volume):
        pass
    assert site.connector.calls == ["connect", "connect"]
    assert site.noted() == 1


def test_another_volumes_device_is_refused(site: FakeSite) -> None:
    """As when a host was left with a device that was not given up, whose number has been used again."""
    first, alike = site.volume(), site.volume(target_lun=1, target_portal="192.0.2.8:3260")
    refused = pytest.raises(errors.HostFailed, match="another volume's")
    with site.volumes.coming(first), refused, site.volumes.coming(alike):
        pass


def test_a_host_that_was_started_anew_connects_what_its_guests_have(site: FakeSite) -> None:
    volume = site.volume()
    with site.volumes.coming(volume) as local:
        pass
    Path(local.path).unlink()
    again = site.after_a_death()
    again.reconnect(local.path)
    again.reconnect(local.path)
    assert site.connector.calls == ["connect", "connect"]
    assert Path(local.path).exists()


def test_a_device_is_told_to_look_how_large_its_volume_is(site: FakeSite) -> None:
    with site.volumes.coming(site.volume()) as local:
        site.volumes.extend(local.path)
        site.volumes.extend("/dev/another")
    assert site.connector.calls == ["connect", "extend"]


def test_a_host_says_what_its_initiators_are_if_it_connects_anything(site: FakeSite) -> None:
    assert site.volumes.properties() == site.connector.properties()
    assert HostVolumes.none().properties() == {}


def test_nobody_imports_os_brick_who_connects_nothing_by_it() -> None:
    """Which is slow to import, and brings much with it."""
    looks = "import sys, nova_lite.compute.virt.libvirt.driver; sys.exit('os_brick' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looks], timeout=240, check=False).returncode == 0
