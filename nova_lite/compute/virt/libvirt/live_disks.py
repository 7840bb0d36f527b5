"""The files of guests that are migrated live: whose a directory is that hosts share, and room for copied disks.

A token in a guest's directory tells the other host whether it sees the same directory. A note in it names the host
whose it is: another one that has or had something of the guest leaves the directory alone.
"""

import shutil
import uuid as uuids
from collections.abc import Mapping
from pathlib import Path

from nova_lite import errors
from nova_lite.compute import config_drive, external_tools
from nova_lite.compute.virt.libvirt import moved_disks
from nova_lite.compute.virt.libvirt.migration_xml import LiveDisk
from nova_lite.model.guest import GuestSpec

_TOKEN, _OWNER = "live-token", "owner"


class LiveDisks:
    """The directories of guests that come to a host, or leave it."""

    def __init__(self, instances_path: Path, hostname: str) -> None:
        self._instances_path = instances_path
        self._hostname = hostname

    def directory(self, uuid: str) -> Path:
        """Return where a guest's files are on this host."""
        return self._instances_path / str(uuids.UUID(uuid))

    def put_token(self, uuid: str) -> str:
        """Write a new token into the guest's directory and return it."""
        token = str(uuids.uuid4())
        try:
            (self.directory(uuid) / _TOKEN).write_text(token, encoding="ascii")
        except OSError as error:
            raise errors.Unavailable("The host cannot write into the guest's directory", cause=str(error)) from error
        return token

    def sees(self, uuid: str, directory: str, token: str) -> bool:
        """Return whether this host sees the directory of a guest of another host as its own, by the token in it."""
        mine = self.directory(uuid)
        try:
            return str(mine) == directory and (mine / _TOKEN).read_text(encoding="ascii") == token
        except (OSError, UnicodeDecodeError):
            return False

    def is_others(self, uuid: str) -> bool:
        """Return whether the guest's directory is another host's."""
        try:
            return (self.directory(uuid) / _OWNER).read_text(encoding="utf-8") != self._hostname
        except FileNotFoundError:
            return False
        except OSError as error:
            raise errors.Unavailable("The host cannot read whose a directory is", cause=str(error)) from error

    def leave_to(self, uuid: str, host: str) -> None:
        """Note that the guest's directory is ``host``'s, unless it is noted already whose it is."""
        if not (self.directory(uuid) / _OWNER).exists():
            self._note_owner(uuid, host)

    def take_over(self, uuid: str) -> None:
        """Note that the guest's directory is this host's."""
        self._note_owner(uuid, self._hostname)
        (self.directory(uuid) / _TOKEN).unlink(missing_ok=True)

    def _note_owner(self, uuid: str, host: str) -> None:
        note = self.directory(uuid) / _OWNER
        half_written = note.with_suffix(".tmp")
        try:
            half_written.write_text(host, encoding="utf-8")
            half_written.replace(note)
        except OSError as error:
            raise errors.Unavailable("The host cannot note whose a directory is", cause=str(error)) from error

    def make_room(self, spec: GuestSpec, disks: Mapping[LiveDisk, int]) -> dict[str, str]:
        """Make an empty file for each of the other host's disks, of its size; return path there → path here."""
        directory = self.directory(spec.uuid)
        found: dict[str, str] = {}
        qemu_img = external_tools.require("qemu-img", "qemu-utils")
        try:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=0o711)
            self._note_owner(spec.uuid, self._hostname)
            if spec.boots_from_volume:
                (directory / moved_disks.NO_ROOT).touch()
            for disk, size in disks.items():
                path = directory / Path(disk.path).name
                found[disk.path] = str(path)
                if disk.is_read_only:
                    drive_format = config_drive.ISO if disk.is_cdrom else config_drive.VFAT
                    config_drive.write(path, spec.config_files, drive_format)
                else:
                    external_tools.run([qemu_img, "create", "-q", "-f", disk.disk_format, str(path), str(size)])
                    path.chmod(0o600)
        except OSError as error:
            raise errors.Unavailable("The host cannot make room for the guest's disks", cause=str(error)) from error
        return found
