"""The data of volumes and snapshots: raw files that take only the room of what was written to them."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from nova_lite import errors

_GIB = 1 << 30
#: Bytes read at once; a piece that is all zeros is not written.
_PIECE = 1 << 20
_ZEROS = bytes(_PIECE)
#: Seconds the conversion of an image may take.
_CONVERSION_S = 3600


@dataclass(frozen=True, slots=True)
class Pool:
    """A place for volumes: ``folder`` below the directory; ``host`` is what Cinder's API calls it."""

    name: str
    host: str
    folder: str


#: The places there are; volumes are made in the first.
POOLS = (Pool("files", "embedded@files#files", ""), Pool("more", "embedded@more#more", "more"))


class VolumeFiles:
    """One directory, and another in it.

    What is made appears under its name when it is whole, and may be made again after a crash.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folders = {pool.name: directory / pool.folder for pool in POOLS}
        for folder in self._folders.values():
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob("*.part"):
                left.unlink(missing_ok=True)

    def volume(self, volume_id: str, pool: str = POOLS[0].name) -> Path:
        """Return the file of a volume."""
        return self._folders[pool] / f"volume-{volume_id}.raw"

    def snapshot(self, snapshot_id: str) -> Path:
        """Return the file of a snapshot."""
        return self._directory / f"snapshot-{snapshot_id}.raw"

    def make_blank(self, target: Path, size_gib: int) -> None:
        """Make a file of zeros."""
        part = _part(target)
        with part.open("wb") as file:
            file.truncate(size_gib * _GIB)
        part.replace(target)

    def make_copy(self, target: Path, source: Path, size_gib: int | None = None) -> None:
        """Make a copy of another file, with zeros at its end up to ``size_gib``."""
        part = _part(target)
        _copy_sparsely(source, part)
        _grow(part, size_gib)
        part.replace(target)

    def make_from_image(self, target: Path, image: Path, disk_format: str, size_gib: int) -> None:
        """Make a file with the content of an image; raises Unsupported for formats nothing here can read."""
        part = _part(target)
        if disk_format in ("raw", "iso"):
            _copy_sparsely(image, part)
        else:
            _convert(image, disk_format, part)
        _grow(part, size_gib)
        part.replace(target)

    def fill(self, target: Path, image: Path, disk_format: str, size_gib: int) -> None:
        """Give a volume another content in the place it has: whoever holds the file open sees it."""
        fresh = target.with_name(target.name + ".fresh.part")
        try:
            self.make_from_image(fresh, image, disk_format, size_gib)
            with target.open("r+b") as file:
                file.truncate(0)
                file.truncate(size_gib * _GIB)
            _copy_sparsely(fresh, target)
        finally:
            fresh.unlink(missing_ok=True)

    def extend(self, target: Path, size_gib: int) -> None:
        """Make a volume's file bigger."""
        _grow(target, size_gib)

    def remove(self, target: Path) -> None:
        """Remove a file; none is no error."""
        target.unlink(missing_ok=True)
        _part(target).unlink(missing_ok=True)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _grow(path: Path, size_gib: int | None) -> None:
    if size_gib is not None and path.stat().st_size < size_gib * _GIB:
        os.truncate(path, size_gib * _GIB)


def _copy_sparsely(source: Path, target: Path) -> None:
    """Copy the content of a file into another, its holes left holes."""
    with source.open("rb") as reader, target.open("r+b" if target.exists() else "wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(max(size, os.fstat(writer.fileno()).st_size) if target.stat().st_size else size)
        position = 0
        while position < size:
            try:
                position = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                return
            piece = os.pread(reader.fileno(), _PIECE, position)
            if piece != _ZEROS[: len(piece)]:
                os.pwrite(writer.fileno(), piece, position)
            position += len(piece)


def _convert(image: Path, disk_format: str, target: Path) -> None:
    tool = shutil.which("qemu-img")
    if tool is None:
        raise errors.Unsupported(f"Images of format {disk_format} need qemu-img, which is not installed here.")
    # Told the format, it looks for no other in the image's content.
    argv = [tool, "convert", "-f", disk_format, "-O", "raw", str(image), str(target)]
    done = subprocess.run(  # noqa: S603 - an argument list, no shell
        argv, capture_output=True, text=True, timeout=_CONVERSION_S, check=False
    )
    if done.returncode:
        raise errors.Invalid(f"The image cannot be converted: {done.stderr.strip()[:500]}")
