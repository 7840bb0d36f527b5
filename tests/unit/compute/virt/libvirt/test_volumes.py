"""What a host says of itself and finds of volumes that lie on it, without libvirt."""

from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.asides import Asides
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.disks import Disks
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes
from nova_lite.compute.virt.libvirt.volumes import Needs, Plan, Volumes
from nova_lite.model.guest import VolumeDisk

VOLUME_ID = "11111111-83f3-4df4-bd4d-3f3f21ab3e52"


def volumes(tmp_path: Path) -> Volumes:
    parts = (Connection("test:///"), Disks(tmp_path), Asides(tmp_path, "alpha"), HostVolumes.none())
    return Volumes("alpha", "192.0.2.1", *parts, initiator=tmp_path / "initiator")


def planned(tmp_path: Path, *wanted: VolumeDisk) -> Plan:
    with volumes(tmp_path).planned(wanted) as plan:
        return plan


def a_volume(path: Path, **changes: object) -> VolumeDisk:
    return VolumeDisk(VOLUME_ID, "/dev/vdb", {"driver_volume_type": "local", "device_path": str(path), **changes})


def test_an_initiator_is_told_of_where_there_is_one(tmp_path: Path) -> None:
    said = volumes(tmp_path).connector()
    assert (said["host"], said["ip"], said["os_type"], said["multipath"]) == ("alpha", "192.0.2.1", "linux", False)
    assert "initiator" not in said
    (tmp_path / "initiator").write_text("## a comment\nInitiatorName=iqn.1993-08.org.debian:01:x\n")
    assert volumes(tmp_path).connector()["initiator"] == "iqn.1993-08.org.debian:01:x"


def test_a_file_is_found_where_it_is_in_truth(tmp_path: Path) -> None:
    home, alias = tmp_path / "home", tmp_path / "alias"
    home.mkdir()
    alias.symlink_to(home)
    (home / "volume").write_bytes(bytes(512))
    plan = planned(tmp_path, a_volume(alias / "volume"))
    source = plan.disks[0].find("source")
    assert source is not None
    assert source.get("file") == str(home / "volume")
    assert plan.needs() == Needs()
    assert list(plan.told()) == [VOLUME_ID]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A link in a volume's place could lead anywhere."""
    real = tmp_path / "real"
    real.write_bytes(bytes(512))
    (tmp_path / "link").symlink_to(real)
    for path in (tmp_path / "link", tmp_path):
        with pytest.raises(errors.GuestFailed, match="neither a file nor a device"):
            planned(tmp_path, a_volume(path))
    with pytest.raises(errors.GuestFailed, match="device_path"):
        planned(tmp_path, a_volume(Path("relative")))


def test_a_file_that_is_not_here_may_be_elsewhere(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none" / "none"):
        with pytest.raises(errors.HostFailed, match=VOLUME_ID):
            planned(tmp_path, a_volume(path))


def test_what_is_booted_from_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(bytes(512))
    connection = a_volume(path).connection
    plan = planned(
        tmp_path,
        a_volume(path),
        VolumeDisk("root", "/dev/vda", connection, boot_index=0),
        VolumeDisk("c", "/dev/vdc", connection),
    )
    assert list(plan.told()) == ["root", VOLUME_ID, "c"]
