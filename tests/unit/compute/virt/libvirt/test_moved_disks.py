"""Disks of another host are had where they can be seen, else sent; what cannot be had is told before anything moves."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt import moved_disks
from nova_lite.compute.virt.libvirt.asides import Asides
from nova_lite.compute.virt.libvirt.disks import Disks
from nova_lite.compute.virt.libvirt.moved_disks import Finder, Whereabouts
from nova_lite.model.guest import BaseImage, GuestSpec

_UUID = "6b8b4567-327b-4c99-8a4e-000000000001"
_MIB = 1024**2
_SPEC = GuestSpec(uuid=_UUID, name="vm", epoch=2, vcpus=1, ram_mib=64, root_gib=1, ephemeral_gib=1)

#: What another host's libvirt would send, for directories below the one that is named in its URI.
_SENDER = """
import json, pathlib, subprocess, sys
uri, directory, *what = sys.argv[1:]
if uri == "test:off":
    sys.exit("does not answer")
folder = pathlib.Path(uri.removeprefix("test:") + directory)
if not folder.is_dir():
    sys.exit(3)
files = {path.name: (path.stat().st_size, path.stat().st_blocks * 512) for path in folder.iterdir() if path.is_file()}
if what:
    if what[0] not in files:
        sys.exit(3)
    subprocess.run(["cp", "--sparse=always", folder / what[0], what[1]], check=True)
    if (folder / "torn").exists():
        sys.exit(4)
print(json.dumps(files))
"""


def qemu_img(*arguments: object) -> str:
    done = subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, timeout=480)
    return done.stdout.decode()


class Hosts:
    """A host with a guest that is to move, and the host it is to move to, which calls the other one's files the same.

    What the first has at ``/images/base`` lies below ``far``.
    """

    def __init__(self, directory: Path) -> None:
        self.far, self.here = directory / "far", directory / "here"
        self.images = self.here / "images"
        for folder in (self.far / "images", self.far / "instances", self.images):
            folder.mkdir(parents=True)
        self.base = self.far / "images" / "base"
        qemu_img("create", "-q", "-f", "raw", self.base, "4M")
        with self.base.open("r+b") as file:
            file.write(b"image" * 1000)
        self.disks = Disks(self.here / "instances")
        self.disks.prepare()
        self.finder = Finder(self.here / "instances", self.images)
        old = Disks(self.far / "instances")
        old.prepare()
        old.make(_SPEC, BaseImage("base", str(self.base), "raw", 4 * _MIB))
        self.home = self.far / "instances" / _UUID
        with (self.home / "disk.eph0").open("r+b") as file:
            file.seek(700 * _MIB)
            file.write(b"mine")
        self.asides = Asides(self.far / "instances", "there")
        self.asides.link_image(_UUID)

    def at(self, *, uri: str | None) -> str:
        """Return where the guest's disks will be; with a URI this host does not see the directory."""
        path = self.asides.path(_UUID)
        return str(Whereabouts(path if uri is None else Path("/") / path.relative_to(self.far), uri))

    def set_aside(self) -> None:
        self.asides.keep_definition(_UUID, "<domain/>")
        self.asides.put(_UUID)

    def hide_image(self) -> None:
        """Leave the image only beside the disk that was made over it: there it can be sent from."""
        self.base.replace(self.asides.path(_UUID) / moved_disks.BASE)

    def root(self) -> bytes:
        """Return what the guest's root disk here is, which has nothing below it."""
        disk = self.here / "instances" / _UUID / "disk"
        assert moved_disks.image_below(disk) is None
        assert json.loads(qemu_img("info", "-f", "qcow2", "--output=json", disk))["virtual-size"] == 1024 * _MIB
        raw = disk.with_name("raw")
        qemu_img("convert", "-f", "qcow2", "-O", "raw", disk, raw)
        with raw.open("rb") as file:
            content = file.read(5000)
        raw.unlink()
        return content


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (apt-get install qemu-utils)")
    sender = tmp_path / "sender.py"
    sender.write_text(_SENDER)
    monkeypatch.setattr(moved_disks, "_PROGRAM", sender)
    try:
        return Hosts(tmp_path)
    except errors.Misconfigured as error:
        pytest.skip(error.message)


@pytest.mark.parametrize(
    "at", [Whereabouts(Path("/a b/c#d")), Whereabouts(Path("/a b/c#d"), "qemu+tcp://[fd00::1]/system")]
)
def test_where_disks_are_is_told_in_one_text(at: Whereabouts) -> None:
    assert Whereabouts.read(str(at)) == at


class TestOfOneDirectory:
    """Hosts that see the same directory."""

    def test_disks_are_copied_whole(self, hosts: Hosts) -> None:
        hosts.finder.check(hosts.at(uri=None))
        hosts.set_aside()
        made = hosts.disks.move_in(_SPEC, hosts.finder.find(hosts.at(uri=None)))
        assert [Path(disk.path).name for disk in made] == ["disk", "disk.eph0"]
        assert hosts.root() == b"image" * 1000

    def test_the_image_may_be_in_a_place_of_this_hosts_own(self, hosts: Hosts) -> None:
        hosts.base.rename(hosts.images / "base")
        hosts.finder.check(hosts.at(uri=None))
        hosts.set_aside()
        hosts.disks.move_in(_SPEC, hosts.finder.find(hosts.at(uri=None)))
        assert hosts.root() == b"image" * 1000

    def test_the_image_may_be_sent(self, hosts: Hosts) -> None:
        hosts.set_aside()
        hosts.hide_image()
        at = Whereabouts(hosts.asides.path(_UUID), "test:")
        hosts.disks.move_in(_SPEC, hosts.finder.find(str(at)))
        assert hosts.root() == b"image" * 1000

    def test_a_whole_disk_needs_no_other_file(self, hosts: Hosts) -> None:
        hosts.base.unlink()
        qemu_img("create", "-q", "-f", "qcow2", hosts.home / "disk", "1M")
        hosts.finder.check(hosts.at(uri=None))

    def test_an_image_that_is_nowhere_is_missed_in_time(self, hosts: Hosts) -> None:
        hosts.base.unlink()
        with pytest.raises(errors.HostFailed, match="image below"):
            hosts.finder.check(hosts.at(uri=None))


class TestOfTwoDirectories:
    """Hosts of which neither sees the other's files."""

    @pytest.mark.parametrize("is_here", [True, False], ids=["image here", "image sent"])
    def test_disks_are_sent(self, hosts: Hosts, is_here: bool) -> None:
        at = hosts.at(uri=f"test:{hosts.far}")
        hosts.finder.check(at)
        hosts.set_aside()
        if is_here:
            shutil.copyfile(hosts.base, hosts.images / "base")
        else:
            hosts.hide_image()
        made = hosts.disks.move_in(_SPEC, hosts.finder.find(at))
        assert hosts.root() == b"image" * 1000
        with Path(made[1].path).open("rb") as file:
            file.seek(700 * _MIB)
            assert file.read(4) == b"mine"
        folder = hosts.here / "instances" / _UUID
        assert {path.name for path in folder.iterdir()} == {"disk", "disk.eph0", "unfinished"}
        assert (hosts.asides.path(_UUID) / "disk").exists()

    def test_an_image_of_another_size_is_another_one(self, hosts: Hosts) -> None:
        hosts.set_aside()
        hosts.hide_image()
        (hosts.images / "base").write_bytes(b"no image")
        hosts.disks.move_in(_SPEC, hosts.finder.find(hosts.at(uri=f"test:{hosts.far}")))
        assert hosts.root() == b"image" * 1000

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            pytest.param(lambda hosts: shutil.rmtree(hosts.home), "no such disk", id="no directory"),
            pytest.param(lambda hosts: (hosts.home / "disk").unlink(), "has no disk", id="no disk"),
        ],
    )
    def test_what_is_not_there_is_missed_in_time(self, hosts: Hosts, spoil: Callable[[Hosts], None], said: str) -> None:
        spoil(hosts)
        with pytest.raises(errors.HostFailed, match=said):
            hosts.finder.check(hosts.at(uri=f"test:{hosts.far}"))

    def test_a_host_that_does_not_answer_is_passed_over_and_later_waited_for(self, hosts: Hosts) -> None:
        with pytest.raises(errors.HostFailed, match="sees no directory"):
            hosts.finder.check(hosts.at(uri="test:off"))
        with pytest.raises(errors.Unavailable):
            hosts.finder.find(hosts.at(uri="test:off"))

    def test_a_host_that_tells_only_a_directory_is_not_asked(self, hosts: Hosts) -> None:
        with pytest.raises(errors.HostFailed, match="share no file system"):
            hosts.finder.check("/nowhere/at/all")

    def test_a_host_without_room_is_passed_over(self, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moved_disks, "_RESERVE", 2**62)
        with pytest.raises(errors.HostFailed, match="no room"):
            hosts.finder.check(hosts.at(uri=f"test:{hosts.far}"))

    def test_a_disk_that_came_torn_leaves_nothing(self, hosts: Hosts) -> None:
        hosts.set_aside()
        (hosts.asides.path(_UUID) / "torn").touch()
        with pytest.raises(errors.HostFailed, match="whole"):
            hosts.disks.move_in(_SPEC, hosts.finder.find(hosts.at(uri=f"test:{hosts.far}")))
        assert list((hosts.here / "instances").iterdir()) == []
