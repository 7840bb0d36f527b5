"""The files a guest has on its host: one directory for each instance, its disks and its console log.

Every image format is named to the tools; none is ever guessed from what a file contains.
"""

import os
import shutil
import uuid as uuids
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nova_lite import errors
from nova_lite.compute import config_drive, external_tools
from nova_lite.compute.virt import console
from nova_lite.compute.virt.libvirt import moved_disks, snapshots
from nova_lite.compute.virt.libvirt.domain_xml import Disk
from nova_lite.model.guest import BaseImage, GuestSpec

_GIB = 1024**3
_MIB = 1024**2

#: There from the first to the last step of a spawn: a guest with this file is a half-made attempt.
_UNFINISHED = "unfinished"

#: What a rescued guest boots from, and the definition it will have again.
_RESCUE_DISK, _KEPT_DEFINITION = "disk.rescue", "definition.kept"

_EPHEMERAL, _SWAP, _CONFIG_DRIVE = "disk.eph0", "disk.swap", "disk.config"

#: The log, and where virtlogd moves it when it grows too big.
_CONSOLE_LOG, _OLDER_CONSOLE_LOG = "console.log", "console.log.0"


class Disks:
    """The instance directories below one path."""

    def __init__(self, instances_path: Path, drive_format: str = config_drive.ISO) -> None:
        self._instances_path = instances_path
        self._drive_format = drive_format
        self._qemu_img = self._mke2fs = self._mkswap = ""

    def prepare(self) -> None:
        """Make the directory and find the tools; raises Misconfigured, saying what is missing."""
        self._qemu_img = external_tools.require("qemu-img", "qemu-utils")
        self._mke2fs = external_tools.require("mke2fs", "e2fsprogs")
        self._mkswap = external_tools.require("mkswap", "util-linux")
        config_drive.require_tools(self._drive_format)
        try:
            self._instances_path.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.Misconfigured(f"Cannot make the directory {self._instances_path}: {error.strerror}") from error
        if not os.access(self._instances_path, os.W_OK | os.X_OK):
            raise errors.Misconfigured(f"The directory {self._instances_path} is not writable")

    def cache_mode(self) -> str:
        """Return the safest cache mode this file system can do: ``none`` where it takes direct I/O."""
        probe = self._instances_path / f".direct-io-{uuids.uuid4()}"
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o600))
        except OSError:
            return "writeback"
        finally:
            probe.unlink(missing_ok=True)
        return "none"

    def total_gib(self) -> int:
        """Return the size of the file system the disks are on."""
        stats = os.statvfs(self._instances_path)
        return stats.f_blocks * stats.f_frsize // _GIB

    def console_path(self, uuid: str) -> str:
        """Return where the guest's console is logged."""
        return str(self._directory(uuid) / _CONSOLE_LOG)

    def console_log(self, uuid: str) -> bytes:
        """Return the newest part of the guest's console log."""
        directory = self._directory(uuid)
        newest = _last_bytes(directory / _CONSOLE_LOG)
        if len(newest) >= console.MAX_BYTES:
            return newest
        return _last_bytes(directory / _OLDER_CONSOLE_LOG)[-(console.MAX_BYTES - len(newest)) :] + newest

    def is_unfinished(self, uuid: str) -> bool:
        """Return whether a spawn of this guest began and did not end."""
        return (self._directory(uuid) / _UNFINISHED).exists()

    def finish(self, uuid: str) -> None:
        """Note that the spawn is done."""
        (self._directory(uuid) / _UNFINISHED).unlink(missing_ok=True)

    def make(self, spec: GuestSpec, image: BaseImage | None) -> list[Disk]:
        """Make the guest's disks, root first, in a new directory; a failure leaves nothing.

        Without an image there is no root: it is a volume.
        """
        with self._new_directory(spec.uuid) as directory:
            disks = [self._make_root(directory, spec, image)] if image is not None else _no_root(directory)
            if spec.ephemeral_gib:
                disks.append(self._make_ephemeral(directory, spec.ephemeral_gib))
            return disks + self._small_disks(directory, spec)

    def found(self, spec: GuestSpec, image: BaseImage | None) -> list[Disk]:
        """Return the disks that are there, made by another host over the same image or by a move, root first."""
        directory = self._directory(spec.uuid)
        root = directory / "disk"
        is_whole = not (directory / _UNFINISHED).exists()
        if image is None and is_whole and (directory / moved_disks.NO_ROOT).exists():
            disks = []
        elif image is None or not is_whole or not root.is_file():
            raise errors.HostFailed("The host sees the server's directory, and no whole disk in it.")
        else:
            below = (image.path, image.disk_format) if moved_disks.image_below(root) is not None else None
            disks = [Disk(str(root), "qcow2", backing=below)]
        disks += [Disk(str(directory / name), "raw") for name in (_EPHEMERAL, _SWAP) if (directory / name).exists()]
        if (directory / _CONFIG_DRIVE).exists():
            disks.append(_config_drive(directory / _CONFIG_DRIVE))
        return disks

    def move_in(self, spec: GuestSpec, source: moved_disks.MovedDisks) -> list[Disk]:
        """Make the guest's disks as ``make`` does, root first, of those it had, which stay."""
        with self._new_directory(spec.uuid) as directory:
            if spec.boots_from_volume:
                disks = _no_root(directory)
            else:
                disks = [moved_disks.copy_root(self._qemu_img, spec, source, directory)]
            moved_disks.clear_parts(directory)
            if spec.ephemeral_gib and source.has(_EPHEMERAL):
                size = spec.ephemeral_gib * _GIB
                disks.append(moved_disks.copy_raw(self._qemu_img, source, _EPHEMERAL, directory, size))
            elif spec.ephemeral_gib:
                disks.append(self._make_ephemeral(directory, spec.ephemeral_gib))
            return disks + self._small_disks(directory, spec)

    @contextmanager
    def _new_directory(self, uuid: str) -> Iterator[Path]:
        """Make the directory of an unfinished guest; whatever fails while it is filled removes it again."""
        directory = self._directory(uuid)
        with ExitStack() as undo:
            try:
                directory.mkdir(mode=0o711)
                undo.callback(self.remove, uuid)
                (directory / _UNFINISHED).touch()
                yield directory
            except OSError as error:
                raise errors.Unavailable("The host cannot write the instance's disks", cause=str(error)) from error
            undo.pop_all()

    def _small_disks(self, directory: Path, spec: GuestSpec) -> list[Disk]:
        """Make the disks that nothing is kept on: swap and the config drive, as far as the guest has them."""
        disks = []
        if spec.swap_mib:
            disks.append(self._make_swap(directory, spec.swap_mib))
        if spec.has_config_drive:
            disks.append(self._make_config_drive(directory, spec.config_files))
        return disks

    def rescue_path(self, uuid: str) -> str:
        """Return where the disk is that a rescued guest boots from."""
        return str(self._directory(uuid) / _RESCUE_DISK)

    def rescue_disk(self, uuid: str, image: BaseImage) -> Disk:
        """Return what ``make_rescue`` makes."""
        return Disk(self.rescue_path(uuid), "qcow2", backing=(image.path, image.disk_format))

    def make_rescue(self, spec: GuestSpec, image: BaseImage) -> None:
        """Make a fresh disk of the image to rescue the guest with; one half made is replaced."""
        path = Path(self.rescue_path(spec.uuid))
        path.unlink(missing_ok=True)
        self._make_over(path, image, spec.root_gib)

    def renew_config_drive(self, spec: GuestSpec) -> None:
        """Write the guest's config drive anew, if it has one; the guest is off."""
        path = self._directory(spec.uuid) / _CONFIG_DRIVE
        if not path.exists():
            return
        # In the guest's definition it is what it was made as, whatever this host makes now.
        config_drive.write(path, spec.config_files, config_drive.format_of(path))

    def keep_definition(self, uuid: str, xml: str) -> None:
        """Keep the guest's definition until it is rescued no more."""
        kept = self._directory(uuid) / _KEPT_DEFINITION
        half_written = kept.with_suffix(".tmp")
        try:
            half_written.write_text(xml, encoding="utf-8")
            half_written.replace(kept)
        except OSError as error:
            raise errors.Unavailable("The host cannot keep the guest's definition", cause=str(error)) from error

    def kept_definition(self, uuid: str) -> str | None:
        """Return the definition that was kept; None when the guest is not rescued."""
        try:
            return (self._directory(uuid) / _KEPT_DEFINITION).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def remove_rescue(self, uuid: str) -> None:
        """Remove what was there to rescue the guest, the kept definition last."""
        for name in (_RESCUE_DISK, _KEPT_DEFINITION):
            (self._directory(uuid) / name).unlink(missing_ok=True)

    def copy_root(self, uuid: str, path: Path, *, timeout_s: float) -> None:
        """Write the root disk of a guest that is off into ``path``, as qcow2 that needs no other file."""
        if (self._directory(uuid) / moved_disks.NO_ROOT).exists():
            raise errors.Conflict(snapshots.NOTHING_TO_COPY)
        source = str(self._directory(uuid) / "disk")
        argv = [self._qemu_img, "convert", "-q", "-f", "qcow2", "-O", "qcow2", source, str(path)]
        external_tools.run(argv, external_tools.Limits(wall_s=timeout_s, cpu_s=int(timeout_s) + 1))

    def remove(self, uuid: str) -> None:
        """Remove all the guest's files; none is no error."""
        try:
            shutil.rmtree(self._directory(uuid))
        except FileNotFoundError:
            return
        except OSError as error:
            raise errors.Unavailable("The host cannot remove the instance's disks", cause=str(error)) from error

    def _make_root(self, directory: Path, spec: GuestSpec, image: BaseImage) -> Disk:
        return self._make_over(directory / "disk", image, spec.root_gib)

    def _make_over(self, path: Path, image: BaseImage, size_gib: int) -> Disk:
        argv = [self._qemu_img, "create", "-q", "-f", "qcow2", "-F", image.disk_format, "-b", image.path, str(path)]
        external_tools.run(argv + ([str(size_gib * _GIB)] if size_gib else []))
        return Disk(str(path), "qcow2", backing=(image.path, image.disk_format))

    def _make_ephemeral(self, directory: Path, size_gib: int) -> Disk:
        path = directory / _EPHEMERAL
        _make_sparse(path, size_gib * _GIB)
        external_tools.run([self._mke2fs, "-q", "-F", "-t", "ext4", "-L", "ephemeral0", str(path)])
        return Disk(str(path), "raw")

    def _make_swap(self, directory: Path, size_mib: int) -> Disk:
        path = directory / _SWAP
        _make_sparse(path, size_mib * _MIB)
        external_tools.run([self._mkswap, str(path)])
        return Disk(str(path), "raw")

    def _make_config_drive(self, directory: Path, files: Mapping[str, bytes]) -> Disk:
        path = directory / _CONFIG_DRIVE
        config_drive.write(path, files, self._drive_format)
        return _config_drive(path)

    def _directory(self, uuid: str) -> Path:
        # The canonical form of a UUID has no slash and no dot: no uuid leads out of the instances' directory.
        return self._instances_path / str(uuids.UUID(uuid))


def _config_drive(path: Path) -> Disk:
    return Disk(str(path), "raw", is_config_drive=True, is_cdrom=config_drive.format_of(path) == config_drive.ISO)


def _no_root(directory: Path) -> list[Disk]:
    """Note that the guest's root is a volume: a directory without a root disk is whole, too."""
    (directory / moved_disks.NO_ROOT).touch()
    return []


def check_size(spec: GuestSpec, image: BaseImage) -> None:
    """Raise GuestFailed when the image does not fit on the guest's root disk."""
    if spec.root_gib and image.virtual_size > spec.root_gib * _GIB:
        raise errors.GuestFailed(
            f"Image {image.image_id} unfolds to {image.virtual_size} bytes; the flavor's disk has {spec.root_gib} GiB"
        )


def _make_sparse(path: Path, size: int) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)


def _last_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - console.MAX_BYTES))
            return file.read(console.MAX_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise errors.Unavailable("The host cannot read the console's log", cause=str(error)) from error
