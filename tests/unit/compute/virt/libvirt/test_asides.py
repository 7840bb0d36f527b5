"""Which disks of another host can be had here."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.asides import Asides

_UUID = "6b8b4567-327b-4c99-8a4e-000000000001"


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    """The directory of a guest whose disk was made over ``base``."""
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (apt-get install qemu-utils)")
    folder, base = tmp_path / _UUID, tmp_path / "base"
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", str(base), "1M"], check=True)
    over = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(folder / "disk")]
    subprocess.run(over, check=True)
    return folder


def test_a_disk_and_the_image_below_it_are_reached(guest: Path) -> None:
    asides = Asides(guest.parent, "here")
    asides.check_reach(str(asides.path(_UUID)))


def test_a_whole_disk_needs_no_other_file(guest: Path) -> None:
    (guest.parent / "base").unlink()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(guest / "disk"), "1M"], check=True)
    asides = Asides(guest.parent, "here")
    asides.check_reach(str(asides.path(_UUID)))


@pytest.mark.parametrize(("gone", "said"), [("base", "image below"), (f"{_UUID}/disk", "no file system")])
def test_what_is_not_here_is_found_out_before_anything_is_moved(guest: Path, gone: str, said: str) -> None:
    (guest.parent / gone).unlink()
    asides = Asides(guest.parent, "here")
    with pytest.raises(errors.HostFailed, match=said):
        asides.check_reach(str(asides.path(_UUID)))
