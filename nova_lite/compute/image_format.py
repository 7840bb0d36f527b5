"""What an image file really is, judged by its bytes before any tool sees it.

Raw and qcow2 are accepted, and of qcow2 only what stands alone: no file beside it, no encryption, sizes within
bounds. Everything else is refused with a reason a user can read, as is a file that is two things at once. ``judge``
is pure; ``inspect`` reads the few bytes it needs.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from nova_lite import errors
from nova_lite.compute import qcow2

#: Enough of a file's beginning to know every format: the last signature looked for is that of a CD, at 32 KiB.
HEAD_BYTES = 128 * 1024

#: Enough of its end: some formats keep their header in the last sector.
TAIL_BYTES = 1024

ACCEPTED = ("qcow2", "raw")

#: Format → its signatures, each at an offset from the file's beginning.
_AT_HEAD: tuple[tuple[str, int, bytes], ...] = (
    ("qcow2", 0, b"QFI\xfb"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"COWD"),
    ("vmdk", 0, b"\xbe\xba\xfe\xca\x00\x00\x00\x00"),
    ("vhdx", 0, b"vhdxfile"),
    ("vhd", 0, b"conectix"),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
    ("qed", 0, b"QED\x00"),
    ("parallels", 0, b"WithoutFreeSpace"),
    ("parallels", 0, b"WithouFreSpacExt"),
    ("bochs", 0, b"Bochs Virtual HD Image"),
    ("cloop", 0, b"#!/bin/sh\n#V2.0 Format"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("luks", 0x4000, b"SKUL\xba\xbe"),
    ("iso", 0x8001, b"CD001"),
    ("udf", 0x8001, b"BEA01"),
    ("gzip", 0, b"\x1f\x8b\x08"),
    ("xz", 0, b"\xfd7zXZ\x00"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("bzip2", 0, b"BZh"),
    ("zip", 0, b"PK\x03\x04"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
)

#: The same, at an offset from the file's end.
_AT_TAIL: tuple[tuple[str, int, bytes], ...] = (
    ("vhd", 512, b"conectix"),
    ("vhd", 511, b"conectix"),
    ("dmg", 512, b"koly"),
)

#: A partition table: of a raw disk, its right; in another format's header, a second face.
_PARTITIONS: tuple[tuple[int, bytes], ...] = ((510, b"\x55\xaa"), (512, b"EFI PART"))

_SECTOR = 512


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """What an accepted file is, and how big a disk it unfolds to, in bytes."""

    disk_format: str
    virtual_size: int


def inspect(path: Path, declared: str | None = None) -> ImageFormat:
    """Return what the file is; raises GuestFailed when it is refused or not what was ``declared``."""
    with path.open("rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise errors.GuestFailed("The image is not a regular file")
        head = file.read(HEAD_BYTES)
        file.seek(max(0, about.st_size - TAIL_BYTES))
        return judge(head, file.read(TAIL_BYTES), about.st_size, declared)


def judge(head: bytes, tail: bytes, size: int, declared: str | None = None) -> ImageFormat:
    """Return what a file of ``size`` bytes with this ``head`` and ``tail`` is.

    Raises: GuestFailed, saying why the file is refused.
    """
    if declared is not None and declared not in ACCEPTED:
        raise errors.GuestFailed(f"The image is declared as {declared}; only raw and qcow2 are accepted")
    if size < _SECTOR:
        raise errors.GuestFailed(f"The image has {size} bytes, less than one disk sector")
    found = _signatures(head, tail)
    if len(found) > 1:
        raise errors.GuestFailed(f"The image is more than one thing at once: {', '.join(sorted(found))}")
    disk_format = found.pop() if found else "raw"
    if disk_format not in ACCEPTED:
        raise errors.GuestFailed(f"The image is in the format {disk_format}; only raw and qcow2 are accepted")
    if declared is not None and disk_format != declared:
        raise errors.GuestFailed(f"The image is declared as {declared} and is {disk_format}")
    if disk_format == "raw":
        return ImageFormat("raw", size)
    if any(head[at : at + len(mark)] == mark for at, mark in _PARTITIONS):
        raise errors.GuestFailed("The image is more than one thing at once: qcow2, partitioned disk")
    return ImageFormat("qcow2", qcow2.check(head, size))


def _signatures(head: bytes, tail: bytes) -> set[str]:
    found = {name for name, at, mark in _AT_HEAD if head[at : at + len(mark)] == mark}
    found |= {name for name, at, mark in _AT_TAIL if len(tail) >= at and tail[-at:].startswith(mark)}
    if _is_vmdk_descriptor(head):
        found.add("vmdk")
    return found


def _is_vmdk_descriptor(head: bytes) -> bool:
    """Return whether the file is, to a reader as lenient as the tools are, the text that describes a VMDK."""
    text = head[:20480].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:21].lower() == b"# disk descriptorfile":
        return True
    for line in text.split(b"\n"):
        words = line.strip()
        if words and not words.startswith(b"#"):
            return words.lower().replace(b" ", b"").startswith((b"version=", b"createtype="))
    return False
