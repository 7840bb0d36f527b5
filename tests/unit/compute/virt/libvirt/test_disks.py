"""A guest's files: made with formats spelled out, removed without a trace, never outside their directory."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt import console
from nova_lite.compute.virt.libvirt.disks import Disks, check_size
from nova_lite.model.guest import BaseImage, GuestSpec, VolumeDisk

UUID = "6f1ba2a1-83f3-4df4-bd4d-3f3f21ab3e52"
GIB = 1024**3
SPEC = GuestSpec(uuid=UUID, name="vm", epoch=1, vcpus=1, ram_mib=64, root_gib=2)


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    disks = Disks(tmp_path / "instances")
    try:
        disks.prepare()
    except errors.Misconfigured as error:
        pytest.skip(error.message)
    return disks


@pytest.fixture
def image(tmp_path: Path) -> BaseImage:
    path = tmp_path / "base"
    path.write_bytes(bytes(1024**2))
    return BaseImage("image", str(path), "raw", 1024**2)


def described(path: str, disk_format: str) -> dict[str, object]:
    argv = ["qemu-img", "info", "-f", disk_format, "--output=json", path]
    found = json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=480).stdout)
    assert isinstance(found, dict)
    return found


def test_the_root_disk_is_an_overlay_that_names_its_base(disks: Disks, image: BaseImage) -> None:
    [root] = disks.make(SPEC, image)
    found = described(root.path, "qcow2")
    assert found["virtual-size"] == 2 * GIB
    assert found["backing-filename"] == image.path
    assert found["backing-filename-format"] == "raw"
    assert root.backing == (image.path, "raw")


def test_a_raw_base_that_looks_like_qcow2_stays_raw(disks: Disks, image: BaseImage) -> None:
    Path(image.path).write_bytes(b"QFI\xfb" + bytes(1024**2))
    [root] = disks.make(SPEC, image)
    assert described(root.path, "qcow2")["backing-filename-format"] == "raw"


def test_a_disk_of_zero_has_the_images_size(disks: Disks, image: BaseImage) -> None:
    [root] = disks.make(GuestSpec(UUID, "vm", 1, 1, 64, root_gib=0), image)
    assert described(root.path, "qcow2")["virtual-size"] == 1024**2


def test_all_kinds_of_disks(disks: Disks, image: BaseImage) -> None:
    spec = GuestSpec(
        UUID, "vm", 1, 1, 64, 1, ephemeral_gib=1, swap_mib=16, has_config_drive=True, config_files={"a": b"1"}
    )
    made = disks.make(spec, image)
    assert [(Path(disk.path).name, disk.disk_format, disk.is_config_drive) for disk in made] == [
        ("disk", "qcow2", False),
        ("disk.eph0", "raw", False),
        ("disk.swap", "raw", False),
        ("disk.config", "raw", True),
    ]
    assert Path(made[1].path).stat().st_size == GIB
    assert Path(made[1].path).stat().st_blocks * 512 < 64 * 1024**2
    assert Path(made[2].path).read_bytes()[4086:4096] == b"SWAPSPACE2"


def test_a_config_drive_is_written_anew(disks: Disks, image: BaseImage) -> None:
    disks.renew_config_drive(SPEC)
    spec = replace(SPEC, has_config_drive=True, config_files={"openstack/latest/meta_data.json": b"old words"})
    drive = Path(disks.make(spec, image)[-1].path)
    assert b"old words" in drive.read_bytes()
    disks.renew_config_drive(replace(spec, config_files={"openstack/latest/meta_data.json": b"new words"}))
    assert b"new words" in drive.read_bytes()
    assert drive.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in drive.parent.iterdir()) == ["disk", "disk.config", "unfinished"]


def test_an_attempt_is_unfinished_until_it_is_said_to_be_done(disks: Disks, image: BaseImage) -> None:
    disks.make(SPEC, image)
    assert disks.is_unfinished(UUID)
    disks.finish(UUID)
    disks.finish(UUID)
    assert not disks.is_unfinished(UUID)
    disks.remove(UUID)
    disks.remove(UUID)
    assert not disks.is_unfinished(UUID)


def test_a_failure_leaves_nothing(disks: Disks, tmp_path: Path) -> None:
    gone = BaseImage("image", str(tmp_path / "gone"), "qcow2", 1024**2)
    with pytest.raises(errors.Unavailable, match="qemu-img failed"):
        disks.make(SPEC, gone)
    assert list((tmp_path / "instances").iterdir()) == []


@pytest.mark.parametrize("uuid", ["..", "../../etc", "/etc", "", "x"])
def test_no_uuid_leads_out_of_the_directory(disks: Disks, uuid: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        disks.remove(uuid)


def test_the_console_log_reaches_back_into_the_older_file(disks: Disks, tmp_path: Path) -> None:
    assert disks.console_log(UUID) == b""
    directory = tmp_path / "instances" / UUID
    directory.mkdir()
    (directory / "console.log").write_bytes(b"new")
    (directory / "console.log.0").write_bytes(b"o" * (2 * console.MAX_BYTES))
    log = disks.console_log(UUID)
    assert len(log) == console.MAX_BYTES
    assert log.endswith(b"onew")
    (directory / "console.log").write_bytes(b"n" * (2 * console.MAX_BYTES))
    assert disks.console_log(UUID) == b"n" * console.MAX_BYTES


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Misconfigured, match=r"Cannot make|missing"):
        Disks(tmp_path / "file" / "instances").prepare()


def test_cache_mode_is_one_of_two(disks: Disks) -> None:
    assert disks.cache_mode() in ("none", "writeback")


@pytest.mark.parametrize(
    ("root_gib", "virtual_size", "fits"),
    [(1, GIB, True), (1, GIB + 1, False), (0, 100 * GIB, True), (2, GIB, True)],
    ids=["exactly", "one byte too big", "no limit", "with room"],
)
def test_an_image_must_fit(root_gib: int, virtual_size: int, fits: bool) -> None:
    image = BaseImage("image", "/nowhere", "qcow2", virtual_size)
    spec = GuestSpec(UUID, "vm", 1, 1, 64, root_gib)
    if fits:
        check_size(spec, image)
    else:
        with pytest.raises(errors.GuestFailed, match="disk has 1 GiB"):
            check_size(spec, image)


def test_a_guest_that_boots_from_a_volume_has_no_root_and_is_whole(disks: Disks, image: BaseImage) -> None:
    boots = VolumeDisk("root", "/dev/vda", {"driver_volume_type": "local"}, boot_index=0)
    spec = replace(SPEC, swap_mib=16, volumes=(boots,))
    made = disks.make(spec, None)
    assert [Path(disk.path).name for disk in made] == ["disk.swap"]
    with pytest.raises(errors.HostFailed, match="no whole disk"):
        disks.found(spec, None)
    disks.finish(UUID)
    assert disks.found(spec, None) == made
    with pytest.raises(errors.HostFailed, match="no whole disk"):
        disks.found(SPEC, image)
