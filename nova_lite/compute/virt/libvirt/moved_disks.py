"""Where the disks of a guest are that moves here: in a directory that this host sees, too, or on another host.

A host that sees no file of the other one has them sent by that one's libvirt, which it asks as live migrations do.
The image below a root disk is taken from this host's own cache, and is sent like a disk where that has none.
"""

import logging
import os
import shutil
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import quote, unquote

import msgspec

from nova_lite import errors
from nova_lite.compute import external_tools
from nova_lite.compute.virt.libvirt.domain_xml import Disk
from nova_lite.model.guest import GuestSpec

_LOG = logging.getLogger(__name__)

#: What brings files here, and its exit codes. It is run, not imported: only hosts that run libvirt have its bindings.
_PROGRAM = Path(__file__).with_name("far_files.py")
_NOT_THERE, _DAMAGED = 3, 4
#: The name of a guest's root disk, and that of the link to the image below it.
ROOT, BASE = "disk", "disk.base"
#: There in the directory of a guest that has no root disk, for it boots from a volume.
NO_ROOT = "disk.none"
#: How the names of files end that are being sent.
_PART = ".part"
#: How a qcow2 file begins: magic, version, where the name of the file below is, and how long it is.
_HEAD = struct.Struct(">4sIQI")
#: Sending and copying a disk take as long as they take; listing files does not.
_LONG = external_tools.Limits(wall_s=6 * 3600.0, cpu_s=6 * 3600, memory_mib=4096)
_SHORT = external_tools.Limits(wall_s=20.0)
_GIB = 1024**3
#: Bytes that stay free on a host whatever comes.
_RESERVE = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A directory of a host, and how others reach that host's libvirt: None where only the directory is known."""

    directory: Path
    uri: str | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what ``str`` made of it."""
        if text.startswith("/"):
            return cls(Path(text))
        uri, _, path = text.partition("#")
        return cls(Path(unquote(path)), uri)

    def __str__(self) -> str:
        return str(self.directory) if self.uri is None else f"{self.uri}#{quote(str(self.directory))}"


class MovedDisks(Protocol):
    """The files of a guest that was set aside, here or elsewhere."""

    def has(self, name: str) -> bool:
        """Return whether the guest has such a file."""
        ...

    def fetch(self, name: str, into: Path) -> Path:
        """Return a path at which the file is, which is in the directory ``into`` if it was sent there."""
        ...

    def image(self, told: Path, into: Path) -> Path:
        """Return a path at which the image is that a disk was made over, by its path where that was."""
        ...


class FarDisks:
    """Files that lie on another host. What fails and may pass is Unavailable, what will not is HostFailed."""

    def __init__(self, at: Whereabouts, cache: "Cache") -> None:
        self._at = at
        self._cache = cache
        self._sizes: Mapping[str, tuple[int, int]] | None = None

    def has(self, name: str) -> bool:
        """Ask the host, once."""
        return name in self._listed()

    def fetch(self, name: str, into: Path) -> Path:
        """Have the file sent."""
        part = into / f"{name}{_PART}"
        part.unlink(missing_ok=True)
        self._run(name, str(part), limits=_LONG)
        return part

    def image(self, told: Path, into: Path) -> Path:
        """Take this host's own, if that is as large."""
        size, _ = self._listed().get(BASE, (None, 0))
        return self._cache.find(told, size) or self.fetch(BASE, into)

    def check_room(self, folder: Path) -> None:
        """Raise HostFailed when the files would not fit on this host, each there twice while it is copied."""
        listed = self._listed()
        if ROOT not in listed and NO_ROOT not in listed:
            raise errors.HostFailed("The other host has no disk of the server.")
        taken = 2 * sum(taken for _, taken in listed.values())
        if shutil.disk_usage(folder).free < taken + _RESERVE:
            raise errors.HostFailed("The host has no room for the server's disks.")

    def _listed(self) -> Mapping[str, tuple[int, int]]:
        if self._sizes is None:
            self._sizes = msgspec.json.decode(self._run(limits=_SHORT), type=dict[str, tuple[int, int]])
        return self._sizes

    def _run(self, *arguments: str, limits: external_tools.Limits) -> str:
        if self._at.uri is None:
            raise errors.HostFailed("The host cannot reach the server's disks: hosts share no file system.")
        argv = [sys.executable, "-I", str(_PROGRAM), self._at.uri, str(self._at.directory), *arguments]
        try:
            return external_tools.read(argv, limits)
        except errors.Timeout:
            raise
        except errors.Unavailable as exc:
            _LOG.warning("Cannot have files of %s: %s", self._at, exc.facts)
            if exc.facts.get("exit") == _NOT_THERE:
                raise errors.HostFailed("The other host has no such disk of the server.") from exc
            if exc.facts.get("exit") == _DAMAGED:
                raise errors.HostFailed("The server's disk did not come whole.") from exc
            raise errors.Unavailable("The server's disks cannot be had from the other host.", cause=exc.facts) from exc


class NearDisks:
    """Files in a directory that this host sees; images are asked of the other host that are not here."""

    def __init__(self, directory: Path, cache: "Cache", far: FarDisks) -> None:
        self._directory = directory
        self._cache = cache
        self._far = far

    def has(self, name: str) -> bool:
        """Look."""
        return (self._directory / name).exists()

    def fetch(self, name: str, into: Path) -> Path:
        """Leave the file where it is."""
        return self._directory / name

    def image(self, told: Path, into: Path) -> Path:
        """Take this host's own."""
        return self._cache.find(told) or self._far.fetch(BASE, into)


class Cache:
    """The images that this host has: where it keeps them, or where another host says that they are."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def find(self, told: Path, size: int | None = None) -> Path | None:
        """Return where this host has an image that is at ``told`` on another one; None where it has not."""
        places = [told] if self._directory is None else [told, self._directory / told.name]
        for path in places:
            if path.is_file() and (size is None or path.stat().st_size == size):
                return path
        return None


class Finder:
    """Finds the disks of guests that move to one host."""

    def __init__(self, instances_path: Path, images_path: Path | None) -> None:
        self._instances_path = instances_path
        self._cache = Cache(images_path)

    def check(self, disks_at: str) -> None:
        """Raise HostFailed when the disks of a guest cannot be had here once it is set aside at ``disks_at``."""
        aside = Whereabouts.read(disks_at)
        home = aside.directory.with_name(aside.directory.name.partition(".")[0])
        far = FarDisks(Whereabouts(home, aside.uri), self._cache)
        try:
            if (home / NO_ROOT).exists():
                return
            if not (home / ROOT).is_file():
                far.check_room(self._instances_path)
            elif self._lacks_image(home / ROOT) and (aside.uri is None or not far.has(BASE)):
                raise errors.HostFailed(
                    "The host cannot reach the image below the server's disk, nor has it one of its own."
                )
        except errors.Unavailable as exc:
            raise errors.HostFailed(
                "The host cannot reach the server's disks: it sees no directory of the other host, nor answers that "
                "one's hypervisor.",
                cause=exc.facts,
            ) from exc
        except OSError as exc:
            raise errors.HostFailed("The host cannot read the server's disks.", cause=str(exc)) from exc

    def find(self, disks_at: str) -> MovedDisks:
        """Return the disks of a guest that was set aside; raises HostFailed where there is no room for them."""
        at = Whereabouts.read(disks_at)
        far = FarDisks(at, self._cache)
        if at.directory.is_dir():
            return NearDisks(at.directory, self._cache, far)
        far.check_room(self._instances_path)
        return far

    def _lacks_image(self, disk: Path) -> bool:
        told = image_below(disk)
        return told is not None and self._cache.find(told) is None


def image_below(disk: Path) -> Path | None:
    """Return the file that a qcow2 disk of ours was made over; None when it is whole."""
    with disk.open("rb") as file:
        _, _, offset, length = _HEAD.unpack(file.read(_HEAD.size))
        file.seek(offset)
        name = file.read(length)
    return Path(os.fsdecode(name)) if offset else None


def copy_root(qemu_img: str, spec: GuestSpec, disks: MovedDisks, directory: Path) -> Disk:
    """Make the root disk in ``directory`` of what there was, with nothing below it, as large as ``spec`` wants it.

    Formats are told, never guessed.
    """
    source = disks.fetch(ROOT, directory)
    told = image_below(source)
    opened: dict[str, object] = {"driver": "qcow2", "file": _file(source)}
    if told is not None:
        image = disks.image(told, directory)
        opened["backing"] = {"driver": _format_below(qemu_img, source), "file": _file(image)}
    argv = [qemu_img, "convert", "-q", "-O", "qcow2", f"json:{msgspec.json.encode(opened).decode()}"]

    def copy(draft: Path) -> None:
        external_tools.run([*argv, str(draft)], _LONG)
        if spec.root_gib:
            external_tools.run([qemu_img, "resize", "-q", "-f", "qcow2", str(draft), str(spec.root_gib * _GIB)])

    return Disk(_at_once(directory / ROOT, copy), "qcow2")


def copy_raw(qemu_img: str, disks: MovedDisks, name: str, directory: Path, size: int) -> Disk:
    """Make a raw disk in ``directory`` of what there was, with its holes, and let it grow to ``size`` bytes."""
    source = disks.fetch(name, directory)

    def copy(draft: Path) -> None:
        if source.parent == directory:
            source.rename(draft)
        else:
            external_tools.run([qemu_img, "convert", "-q", "-f", "raw", "-O", "raw", str(source), str(draft)], _LONG)
        draft.chmod(0o600)
        with draft.open("r+b") as file:
            file.truncate(size)

    return Disk(_at_once(directory / name, copy), "raw")


def clear_parts(directory: Path) -> None:
    """Remove what was sent and is copied."""
    for path in directory.glob(f"*{_PART}"):
        path.unlink(missing_ok=True)


def _at_once(target: Path, make: Callable[[Path], None]) -> str:
    draft = target.with_name(f"{target.name}.new")
    draft.unlink(missing_ok=True)
    make(draft)
    draft.replace(target)
    return str(target)


def _file(path: Path) -> dict[str, str]:
    return {"driver": "file", "filename": str(path)}


def _format_below(qemu_img: str, disk: Path) -> str:
    """Return the format that a disk says the file below it has; disks of ours always say."""
    argv = [qemu_img, "info", "-U", "-f", "qcow2", "--output", "json", str(disk)]
    told = msgspec.json.decode(external_tools.read(argv), type=dict[str, object]).get("backing-filename-format")
    if told not in ("raw", "qcow2"):
        raise errors.HostFailed("The server's disk does not say what the image below it is.")
    return str(told)
