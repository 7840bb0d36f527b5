"""Guests that were set aside: their directories, renamed, each with the definition its domain had.

No domain is left of such a guest, so nothing can start it. The name of the directory tells whose it is, for hosts may
share where their instances are. A directory with a definition in it and no domain is on its way aside, or back.
"""

import contextlib
import os
import shutil
import struct
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

from nova_lite import errors
from nova_lite.compute import external_tools
from nova_lite.compute.virt.libvirt.domain_xml import Disk
from nova_lite.model.guest import GuestSpec

_GIB = 1024**3

#: Where the definition of a guest is kept that has no domain.
_DEFINITION = "domain.xml"
#: How a qcow2 file begins: magic, version, where the name of the file below is, and how long it is.
_HEAD = struct.Struct(">4sIQI")
#: Copying a disk takes as long as it takes.
_COPY = external_tools.Limits(wall_s=3600.0, cpu_s=3600, memory_mib=4096)


class Asides:
    """The directories of guests that one host has set aside."""

    def __init__(self, instances_path: Path, hostname: str) -> None:
        self._instances_path = instances_path
        self._mark = f".aside-{hostname}"

    def path(self, uuid: str) -> Path:
        """Return where the guest is when it is set aside."""
        return self._instances_path / f"{uuids.UUID(uuid)}{self._mark}"

    def check_reach(self, disks_at: str) -> None:
        """Raise HostFailed when the directory of a guest that will be set aside at ``disks_at`` cannot be seen here.

        Nor is a root disk of use without the image it was made over.
        """
        aside = Path(disks_at)
        disk = aside.with_name(aside.name.partition(".")[0]) / "disk"
        if not disk.is_file():
            raise errors.HostFailed("The host cannot reach the server's disks: hosts share no file system.")
        with _files():
            base = _base_of(disk)
        if base is not None and not base.is_file():
            raise errors.HostFailed(
                "The host cannot reach the image below the server's disk, nor has it one of its own."
            )

    def all(self) -> list[str]:
        """Return the guests that are set aside."""
        found = (path.name.removesuffix(self._mark) for path in self._instances_path.glob(f"*{self._mark}"))
        return sorted(found)

    def keep_definition(self, uuid: str, xml: str) -> None:
        """Write the definition down, for it is to go from libvirt."""
        path = self._home(uuid) / _DEFINITION
        draft = path.with_suffix(".tmp")
        with _files():
            draft.write_text(xml, encoding="utf-8")
            draft.replace(path)

    def has_definition(self, uuid: str) -> bool:
        """Return whether the guest's directory is in its place and its definition in it."""
        return (self._home(uuid) / _DEFINITION).is_file()

    def is_aside(self, uuid: str) -> bool:
        """Return whether the guest is set aside."""
        return self.path(uuid).is_dir()

    def put(self, uuid: str) -> None:
        """Rename the guest's directory; what an earlier move left there goes."""
        self.drop(uuid)
        with _files():
            self._home(uuid).rename(self.path(uuid))

    def fetch(self, uuid: str) -> str:
        """Have the guest's directory in its place again; return its definition."""
        with _files():
            if not self.has_definition(uuid):
                self.path(uuid).rename(self._home(uuid))
            return (self._home(uuid) / _DEFINITION).read_text(encoding="utf-8")

    def forget_definition(self, uuid: str) -> None:
        """Remove the definition that libvirt has again."""
        (self._home(uuid) / _DEFINITION).unlink(missing_ok=True)

    def drop(self, uuid: str) -> None:
        """Remove the guest that was set aside, if it was."""
        with _files(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path(uuid))

    def _home(self, uuid: str) -> Path:
        return self._instances_path / str(uuids.UUID(uuid))


def _base_of(disk: Path) -> Path | None:
    """Return the file that a qcow2 disk of ours was made over; None when it is whole."""
    with disk.open("rb") as file:
        _, _, offset, length = _HEAD.unpack(file.read(_HEAD.size))
        file.seek(offset)
        name = file.read(length)
    return Path(os.fsdecode(name)) if offset else None


@contextlib.contextmanager
def _files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.Unavailable("The host cannot set the instance's files aside", cause=str(error)) from error


def copy_root(qemu_img: str, spec: GuestSpec, source: Path, target: Path) -> Disk:
    """Copy a root disk without what is below it, as large as ``spec`` wants it; its format is told, never guessed."""
    copy = [qemu_img, "convert", "-q", "-f", "qcow2", "-O", "qcow2", str(source), str(target)]
    external_tools.run(copy, _COPY)
    if spec.root_gib:
        external_tools.run([qemu_img, "resize", "-q", "-f", "qcow2", str(target), str(spec.root_gib * _GIB)])
    return Disk(str(target), "qcow2")


def copy_raw(qemu_img: str, source: Path, target: Path, size: int) -> Disk:
    """Copy a raw disk, with its holes, and let it grow to ``size`` bytes."""
    external_tools.run([qemu_img, "convert", "-q", "-f", "raw", "-O", "raw", str(source), str(target)], _COPY)
    target.chmod(0o600)
    with target.open("r+b") as file:
        file.truncate(size)
    return Disk(str(target), "raw")
