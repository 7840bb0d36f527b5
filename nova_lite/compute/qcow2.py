"""The qcow2 header, checked: pure. Only an image that needs no other file and keeps within bounds passes.

Source: the qcow2 format description in QEMU's documentation (docs/interop/qcow2.txt), versions 2 and 3.
"""

import struct
from dataclasses import dataclass, replace

from nova_lite import errors

_FIXED = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")

#: Bits of the incompatible features. ``dirty`` is harmless to a file that is only read.
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_INCOMPATIBLE = _DIRTY | _COMPRESSION | _EXTENDED_L2

#: A bit of the autoclear features: the external data file is raw.
_DATA_FILE_RAW = 1 << 1

_COMPRESSIONS = (0, 1)  # deflate, zstd

_END_OF_EXTENSIONS = 0
_REFUSED_EXTENSIONS = {
    0xE2792ACA: "names a backing file's format",
    0x44415441: "names an external data file",
    0x0537BE77: "is encrypted",
}
_MAX_EXTENSIONS = 32

#: What QEMU itself accepts at most.
_MAX_L1_BYTES = 32 * 1024**2
_MAX_REFCOUNT_TABLE_BYTES = 8 * 1024**2
_MAX_SNAPSHOTS = 65535
_MAX_VIRTUAL_SIZE = 2**60


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    backing_offset: int
    backing_length: int
    cluster_bits: int
    virtual_size: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = _FIXED.size
    compression: int = 0

    @property
    def cluster(self) -> int:
        return 1 << self.cluster_bits


def check(head: bytes, file_size: int) -> int:
    """Return the image's virtual size; ``head`` is its beginning.

    Raises: GuestFailed, saying why the image is refused.
    """
    header = _read(head)
    _check_alone(header)
    _check_features(header)
    _check_tables(header, file_size)
    _check_extensions(head, header)
    return header.virtual_size


def _refuse(reason: str) -> errors.GuestFailed:
    return errors.GuestFailed(f"The qcow2 image is refused: it {reason}")


def _read(head: bytes) -> _Header:
    if len(head) < _FIXED.size:
        raise _refuse("ends inside its header")
    _, *fixed = _FIXED.unpack_from(head)
    header = _Header(*fixed)
    version = header.version
    if version == 2:
        return header
    if version != 3:
        raise _refuse(f"has version {version}; 2 and 3 are known")
    if len(head) < _FIXED.size + _VERSION_3.size:
        raise _refuse("ends inside its header")
    incompatible, _, autoclear, refcount_order, length = _VERSION_3.unpack_from(head, _FIXED.size)
    compression = head[104] if length > 104 and len(head) > 104 else 0
    return replace(
        header,
        incompatible=incompatible,
        autoclear=autoclear,
        refcount_order=refcount_order,
        length=length,
        compression=compression,
    )


def _check_alone(header: _Header) -> None:
    if header.backing_offset or header.backing_length:
        raise _refuse("has a backing file")
    if header.incompatible & _DATA_FILE or header.autoclear & _DATA_FILE_RAW:
        raise _refuse("has an external data file")
    if header.encryption:
        raise _refuse("is encrypted")


def _check_features(header: _Header) -> None:
    if header.incompatible & _CORRUPT:
        raise _refuse("is marked corrupt")
    unknown = header.incompatible & ~_KNOWN_INCOMPATIBLE
    if unknown:
        raise _refuse(f"has unknown incompatible features ({unknown:#x})")
    if header.compression not in _COMPRESSIONS or (header.compression and not header.incompatible & _COMPRESSION):
        raise _refuse(f"has the compression type {header.compression}")
    if not 9 <= header.cluster_bits <= 21:
        raise _refuse(f"has clusters of 2**{header.cluster_bits} bytes")
    if header.incompatible & _EXTENDED_L2 and header.cluster_bits < 14:
        raise _refuse("has clusters too small for extended entries")
    if header.refcount_order > 6:
        raise _refuse(f"has reference counts of 2**{header.refcount_order} bits")
    if header.version == 3 and (header.length < 104 or header.length % 8 or header.length > header.cluster):
        raise _refuse(f"has a header of {header.length} bytes")


def _check_tables(header: _Header, file_size: int) -> None:
    if not 0 < header.virtual_size <= _MAX_VIRTUAL_SIZE:
        raise _refuse(f"unfolds to {header.virtual_size} bytes")
    l2_entries = header.cluster // (16 if header.incompatible & _EXTENDED_L2 else 8)
    needed = -(-header.virtual_size // (header.cluster * l2_entries))
    if header.l1_entries < needed or header.l1_entries * 8 > _MAX_L1_BYTES:
        raise _refuse(f"has {header.l1_entries} first-level entries where it needs {needed}")
    _check_within("first-level table", header.l1_offset, header.l1_entries * 8, header.cluster, file_size)
    refcount_bytes = header.refcount_clusters * header.cluster
    if not 0 < refcount_bytes <= max(_MAX_REFCOUNT_TABLE_BYTES, header.cluster):
        raise _refuse(f"has a reference table of {header.refcount_clusters} clusters")
    _check_within("reference table", header.refcount_offset, refcount_bytes, header.cluster, file_size)
    if header.snapshots > _MAX_SNAPSHOTS:
        raise _refuse(f"has {header.snapshots} snapshots")
    if header.snapshots:  # each takes 40 bytes at least
        _check_within("snapshot table", header.snapshots_offset, header.snapshots * 40, header.cluster, file_size)


def _check_within(name: str, offset: int, length: int, cluster: int, file_size: int) -> None:
    if offset == 0 or offset % cluster:
        raise _refuse(f"has its {name} at {offset}, not at the start of a cluster behind the header")
    if offset + length > file_size:
        raise _refuse(f"has a {name} that ends behind the file's end")


def _check_extensions(head: bytes, header: _Header) -> None:
    at, end = header.length, min(header.cluster, len(head))
    for _ in range(_MAX_EXTENSIONS):
        if at + 8 > end:
            return
        kind, length = struct.unpack_from(">II", head, at)
        if kind == _END_OF_EXTENSIONS:
            return
        if kind in _REFUSED_EXTENSIONS:
            raise _refuse(_REFUSED_EXTENSIONS[kind])
        at += 8 + (length + 7) // 8 * 8
        if at > end:
            raise _refuse("has a header extension that ends behind the header")
    raise _refuse(f"has more than {_MAX_EXTENSIONS} header extensions")
